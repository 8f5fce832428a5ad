"""How files are opened, and where Unix sockets are, as far as this system has them."""

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import tempfile

READ: Final[int] = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""To read bytes, in this process alone."""

READ_FILE: Final[int] = READ | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""The same, of what has this very name, and without waiting for the other end of a pipe."""

_LONGEST_FOLDER: Final = 50
"""The most bytes of a folder that has a socket somewhere below it: macOS takes 103 in all."""


def private_folder() -> "tempfile.TemporaryDirectory[str]":
    """Make a folder of the user's own for Unix sockets, whose paths must be short.

    Where temporary files are is taken if that is short enough, else ``$XDG_RUNTIME_DIR``, else
    ``/tmp`` and ``/var/tmp``.

    Raises:
        OSError: None of these is short enough and may be written.
    """
    import tempfile

    wrong = []
    for base in dict.fromkeys(_bases()):
        if len(os.fsencode(base)) > _LONGEST_FOLDER:
            wrong.append(f"{base} is too long")
            continue
        try:
            return tempfile.TemporaryDirectory(prefix="orc-", dir=base)
        except OSError as error:
            wrong.append(f"{base}: {error.strerror}")
    raise OSError(f"there is no place for a socket: {'; '.join(wrong)}")


def _bases() -> Iterator[str]:
    import tempfile

    with contextlib.suppress(OSError):  # there is no place for temporary files at all
        yield tempfile.gettempdir()
    own = os.environ.get("XDG_RUNTIME_DIR", "")
    if own.startswith("/"):
        yield own
    yield from ("/tmp", "/var/tmp")  # noqa: S108  # a new folder in it, which only we may enter
