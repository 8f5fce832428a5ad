"""How files are opened and named in data, and where Unix sockets are."""

import contextlib
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import tempfile

READ: Final[int] = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""To read bytes, in this process alone."""

READ_FILE: Final[int] = READ | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""The same, of what has this very name, and without waiting for the other end of a pipe."""

_ESCAPABLE: Final = re.compile("(\\\\+)(?=x[89a-f][0-9a-f]|[\udc80-\udcff])")
_ESCAPED: Final = re.compile(r"(\\+)x([89a-f][0-9a-f])")

_LONGEST_FOLDER: Final = 50
"""The most bytes of a folder that has a socket somewhere below it: macOS takes 103 in all."""


def path_text(path: str | os.PathLike[str]) -> str:
    r"""Return a path as text for data: a byte that is not of UTF-8 becomes ``\xff``.

    No two paths have the same text: in a name that has such letters the backslash is doubled.
    """
    text = os.fspath(path)
    if text.isascii() and "\\x" not in text:
        return text
    doubled = _ESCAPABLE.sub(r"\1\1", text)
    return doubled.encode(errors="surrogateescape").decode(errors="backslashreplace")


def is_utf8(path: str) -> bool:
    """Tell whether all bytes of a path are UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def path_of(text: str) -> str:
    """Return the path that `path_text` made a text of."""
    return _ESCAPED.sub(_unescaped, text) if "\\x" in text else text


def _unescaped(found: re.Match[str]) -> str:
    half, is_byte = divmod(len(found[1]), 2)
    code = found[2]
    return "\\" * half + (chr(0xDC00 + int(code, 16)) if is_byte else f"x{code}")


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
