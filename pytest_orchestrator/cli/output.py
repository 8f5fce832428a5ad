"""Stdout of the command line: a failed write is another error than that of a file."""

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_STDOUT = 1


class Unwritable(Exception):
    """Stdout cannot be written; the text of the error is the reason.

    It is no `OSError`, because argparse suppresses those, and others mean the file of a command.
    """


class _Stdout(io.FileIO):
    """File descriptor 1; a failed write raises `Unwritable`, except to a pipe without a reader."""

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write bytes.

        Raises:
            BrokenPipeError: The reader of the pipe has ended.
            Unwritable: The bytes cannot be written.
        """
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            closed = error.errno == errno.EBADF
            raise Unwritable("stdout is closed" if closed else error.strerror) from error


def prepare_stdout() -> None:
    """Make stdout accept any character, and raise `Unwritable` for a failed write.

    A stdout that is not that of the process, as that of a test, is kept.
    """
    out = cast("TextIO | None", sys.stdout)  # None if file descriptor 1 is closed
    if isinstance(out, io.TextIOWrapper):
        out.reconfigure(errors="backslashreplace")  # names of files may not be encodable
    if out is None:
        # Else the next file that is opened would get this descriptor, and what is printed.
        os.dup2(os.open(os.devnull, os.O_RDONLY), _STDOUT)
    elif out is not sys.__stdout__:
        return
    raw = _Stdout(_STDOUT, "w", closefd=False)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=out.encoding if out else "utf-8",
        errors="backslashreplace",
        line_buffering=raw.isatty(),
    )


def discard_stdout() -> None:
    """Discard what stdout has not written yet, so that the end of Python does not fail at it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
