"""Flags for opening files, and private folders for Unix sockets."""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import tempfile
    from io import BufferedReader

READ: Final[int] = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""To read bytes, in this process alone."""

READ_FILE: Final[int] = READ | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""The same, of what has this very name, and without waiting for the other end of a pipe."""

_LARGEST: Final = 16 << 20
_PIECE: Final = 1 << 20

_ESCAPABLE: Final = re.compile("(\\\\+)(?=x[89a-f][0-9a-f]|[\udc80-\udcff])")
_ESCAPED: Final = re.compile(r"(\\+)x([89a-f][0-9a-f])")

_LONGEST_FOLDER: Final = 50
"""The most bytes of a folder that has a socket somewhere below it: macOS takes 103 in all."""


def regular(path: str | os.PathLike[str]) -> "BufferedReader":
    """Open a file of a project to read; no pipe, device or file of the kernel is waited for.

    Raises:
        OSError: It cannot be opened, or is no regular file.
    """
    fd = os.open(path, READ | getattr(os, "O_NONBLOCK", 0))
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        os.close(fd)
        code = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        why = os.strerror(code) if stat.S_ISDIR(mode) else "it is no regular file"
        raise OSError(code, why, os.fspath(path))
    return os.fdopen(fd, "rb")


def content(path: str | os.PathLike[str], most: int = _LARGEST, *, whole: bool = True) -> bytes:
    """Read a file that `regular` opens.

    Args:
        path: The file, or a link to one.
        most: The most bytes that are read.
        whole: Refuse a file that has more; else what is beyond is left out.

    Raises:
        OSError: It cannot be read, is no regular file, has nothing yet, or has more bytes.
    """
    with regular(path) as file:
        pieces, left = [], most + whole
        while left > 0 and (piece := os.read(file.fileno(), min(left, _PIECE))):
            pieces.append(piece)
            left -= len(piece)
    if whole and left <= 0:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", os.fspath(path))
    return b"".join(pieces)


def text(
    path: str | os.PathLike[str], most: int = _LARGEST, *, encoding: str = "utf-8", errors: str = ""
) -> str:
    """Read a file of a project as `content` does, as text with ends of lines of one kind.

    Raises:
        OSError: It cannot be read as `content` says.
        UnicodeDecodeError: It is in another encoding.
    """
    found = content(path, most).decode(encoding, errors or "strict")
    return found.replace("\r\n", "\n").replace("\r", "\n")


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
