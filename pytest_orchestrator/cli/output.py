"""Output of commands: tables and texts in the width of the terminal, and stdout itself.

A failed write to stdout is another error than that of a file.
"""

import argparse
import errno
import io
import os
import shutil
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TextIO, cast

from pytest_orchestrator.core.text import wrapped
from pytest_orchestrator.reports.text import say, shown

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from pytest_orchestrator.reports.terminal.lines import Table

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


def declare_wide(parser: argparse.ArgumentParser, **more: Any) -> None:
    """Declare the option `--wide`.

    Args:
        parser: The parser of a command.
        more: Keyword arguments of the option.
    """
    parser.add_argument(
        "--wide",
        action="store_true",
        help="print all columns and whole texts, whatever the width of the terminal",
        **more,
    )


def width_of(args: argparse.Namespace) -> int | None:
    """Return the columns of the terminal; None for `--wide`, or if there is no terminal.

    The environment variable COLUMNS sets the width of output that is not a terminal.
    """
    if getattr(args, "wide", False):
        return None
    if not (sys.stdout.isatty() or os.environ.get("COLUMNS")):
        return None
    return shutil.get_terminal_size((0, 0)).columns or None


def say_tables(tables: "Iterable[Table]") -> None:
    """Print tables, and which columns of them are left out."""
    hidden: list[str] = []
    for table in tables:
        say(*table.texts())
        hidden += table.hidden
    say_hidden(hidden)


def say_hidden(titles: Iterable[str]) -> None:
    """Print the titles of columns that are left out; nothing if there are none."""
    names = ", ".join(dict.fromkeys(filter(None, titles)))
    if names:
        say(f"left out: {names} (--wide shows all)")


def say_wrapped(lines: Iterable[str], width: int | None) -> None:
    """Print lines; those that are longer than the terminal are broken at spaces.

    Args:
        lines: The lines.
        width: The columns of the screen; None if there is no limit.
    """
    for line in lines:
        if width is None:
            say(line)
            continue
        indent = " " * (len(line) - len(line.lstrip(" ")) + 4)
        say(*wrapped(shown(line), width, indent))
