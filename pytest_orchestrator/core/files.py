"""Access to files: reading, replacing, paths as text, temporary folders; pause of gc."""

import contextlib
import errno
import gc
import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_orchestrator.core.text import lazy_pattern

if TYPE_CHECKING:
    import tempfile
    from io import BufferedReader, BufferedWriter

READ: Final[int] = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""Flags to open a file for reading bytes; programs that are started do not inherit it."""

READ_FILE: Final[int] = READ | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""`READ` without following a symbolic link and without waiting for the writer of a pipe."""

_LARGEST: Final = 16 << 20
_PIECE: Final = 1 << 20  # `read` allocates what it is asked for, and most files are small

_ESCAPABLE: Final = lazy_pattern("(\\\\+)(?=x[89a-f][0-9a-f]|[\udc80-\udcff])")
_ESCAPED: Final = lazy_pattern(r"(\\+)x([89a-f][0-9a-f])")

_LONGEST_FOLDER: Final = 50
"""Maximum length in bytes of a folder for sockets: macOS limits the path of a socket to 103."""


def open_regular_file(path: str | os.PathLike[str]) -> "BufferedReader":
    """Open a regular file of a project for reading, without blocking on a pipe or device.

    Raises:
        OSError: The file cannot be opened, or is not a regular file.
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
    """Return the bytes of a regular file of a project.

    Args:
        path: The file, or a link to one.
        most: Maximum number of bytes to read.
        whole: Refuse a larger file; otherwise return only its first `most` bytes.

    Raises:
        OSError: The file cannot be read, is not a regular file, has no data yet (some files of
            the kernel), or is larger than `most`.
    """
    with open_regular_file(path) as file:
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
    r"""Return the text of a file of a project; each line break becomes ``\n``.

    Raises:
        OSError: `content` cannot read the file.
        UnicodeDecodeError: The file has another encoding.
    """
    decoded = content(path, most).decode(encoding, errors or "strict")
    return decoded.replace("\r\n", "\n").replace("\r", "\n")


def refuse_folder(path: Path) -> None:
    """Check that what a path names is no folder, which no new file can replace.

    Raises:
        IsADirectoryError: It is a folder, such as ``..``.
    """
    try:
        mode = path.lstat().st_mode
    except OSError:  # nothing is there, or who opens the new file learns why
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], mode: int = 0o666) -> "Iterator[BufferedWriter]":
    """Open a new file that replaces another one when the `with` block ends without an error.

    A reader sees either the old content or the new one. The new file has a hidden name beside
    the old one and no link is followed to it; it is removed if the block fails.

    Args:
        path: The file that is replaced; it need not exist.
        mode: Permission bits of the new file, before the umask.

    Raises:
        OSError: The new file cannot be written, or cannot replace the old one.
    """
    path = Path(path)
    refuse_folder(path)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            yield file
        fresh.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise


@contextlib.contextmanager
def output(path: str | os.PathLike[str]) -> "Iterator[BufferedWriter]":
    """Open a file that the user names: a new one, as `replacing` does, or a device or a pipe.

    A pipe, or a device such as ``/dev/null``, is written and stays what it is.

    Args:
        path: The file.

    Raises:
        OSError: The file cannot be written, or cannot replace an old one.
    """
    path = Path(path).absolute()
    if _is_device(path):
        with path.open("ab") as file:  # what is in the file of a redirected output stays
            yield file
    else:
        with replacing(path) as file:
            yield file


def _is_device(path: Path) -> bool:
    """Return True for a file that is no regular one, and for names of open files of a process."""
    _, first, *rest = [*Path(os.path.normpath(path)).parts, ""]
    if first in ("dev", "proc") and rest[:1] != ["shm"]:
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def is_readable(descriptor: int, seconds: float | None) -> bool:
    """Wait until a socket, pipe or terminal has data or has been closed at the other end.

    Args:
        descriptor: The descriptor, of any number: `select.select` refuses those above 1023.
        seconds: The longest wait; None for no limit.

    Returns:
        False if nothing has happened in this time.
    """
    import select  # Windows has no select.poll; no caller of this function runs there

    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(None if seconds is None else seconds * 1000))


@contextlib.contextmanager
def gc_paused() -> Iterator[None]:
    """Pause the garbage collector within a `with` block that makes many objects and no cycles.

    The objects of a parsed file, or of a report, live on or are freed by their counts of
    references, so the collector would only search them in vain.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def gc_paused_for_imports() -> Iterator[None]:
    """Pause the garbage collector within a `with` block that imports modules for the whole session.

    After it, the collector examines the objects of the modules only in full collections, as pytest
    makes them at its end: they become old at once, instead of after two searches.
    """
    with gc_paused():
        yield
        if not _after_freezing and may_freeze():
            gc.freeze()
            gc.unfreeze()


_after_freezing: list[list[object]] = []
"""An object that was made after `freeze_modules`; empty if it has frozen nothing."""


def freeze_modules() -> None:
    """Freeze all objects, unless code of the user has frozen some.

    The caller knows that they are modules and what belongs to pytest.
    """
    if may_freeze():
        gc.freeze()
        _after_freezing.append([])


def has_frozen_modules() -> bool:
    """Return True if `freeze_modules` has frozen the modules."""
    return bool(_after_freezing)


def may_freeze() -> bool:
    """Return True unless code of the user has frozen objects, which then stay frozen.

    After `freeze_modules` the number of frozen objects does not show it: some of them end later,
    and to count them takes 5 ms.
    """
    if _after_freezing:
        return any(one is _after_freezing[0] for one in gc.get_objects())
    return hasattr(gc, "freeze") and gc.get_freeze_count() <= _FROZEN_AT_START


_FROZEN_AT_START = 1_000 if sys.version_info[:2] == (3, 12) else 0
"""Python 3.12 begins with 375 frozen objects; a user who freezes has tens of thousands."""


def path_text(path: str | os.PathLike[str]) -> str:
    r"""Return a path as text for JSON: a byte that is not valid UTF-8 becomes ``\xff``.

    Two paths never have the same text: where a name contains such an escape literally, its
    backslash is doubled.
    """
    text = os.fspath(path)
    if text.isascii() and "\\x" not in text:
        return text
    doubled = _ESCAPABLE.sub(r"\1\1", text)
    return doubled.encode(errors="surrogateescape").decode(errors="backslashreplace")


def is_utf8(path: str) -> bool:
    """Return True if all bytes of a path are valid UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def path_of(text: str) -> str:
    """Convert a text that `path_text` returned back to the path."""
    return _ESCAPED.sub(_unescaped, text) if "\\x" in text else text


def _unescaped(match: re.Match[str]) -> str:
    half, is_byte = divmod(len(match[1]), 2)
    code = match[2]
    return "\\" * half + (chr(0xDC00 + int(code, 16)) if is_byte else f"x{code}")


def private_folder() -> "tempfile.TemporaryDirectory[str]":
    """Create a private folder for Unix sockets, whose paths must be short.

    The parent folder is the first of these that is short enough and writable: the folder of
    temporary files, ``$XDG_RUNTIME_DIR``, ``/tmp``, ``/var/tmp``.

    Raises:
        OSError: None of the parent folders is both short enough and writable.
    """
    import tempfile

    problems = []
    for base in dict.fromkeys(_bases()):
        if len(os.fsencode(base)) > _LONGEST_FOLDER:
            problems.append(f"{base} is too long")
            continue
        try:
            return tempfile.TemporaryDirectory(prefix="orc-", dir=base)
        except OSError as error:
            problems.append(f"{base}: {error.strerror}")
    raise OSError(f"there is no place for a socket: {'; '.join(problems)}")


def _bases() -> Iterator[str]:
    import tempfile

    with contextlib.suppress(OSError):  # no folder for temporary files exists
        yield tempfile.gettempdir()
    own = os.environ.get("XDG_RUNTIME_DIR", "")
    if own.startswith("/"):
        yield own
    yield from ("/tmp", "/var/tmp")  # noqa: S108  # the folder that is made in it has mode 0o700


_private: Final[dict[int, str]] = {}


@contextlib.contextmanager
def scratch(within: str | None) -> Iterator[Path]:
    """Create an empty folder for the duration of a block.

    Args:
        within: The parent folder; None means the system's folder for temporary files.
    """
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="orchestrator-", dir=within))
    try:
        yield folder
    finally:
        try:  # faster than rmtree for the usual few logs
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)


def private_path() -> str:
    """Return a path prefix for the files of an attempt, in a folder private to this user.

    No file has the prefix yet. A process creates the folder once, because one for each step would
    cost more; it creates another one if the folder was removed or belongs to another user by now.
    If the folder cannot be created, as on a full disk, the prefix is in a missing folder: files
    cannot be created there, and most steps need none.
    """
    folder = _private.get(os.getpid())
    if folder is None or not _is_private(folder):
        import atexit
        import tempfile

        try:
            folder = _private[os.getpid()] = tempfile.mkdtemp(prefix="orchestrator-")
        except OSError:
            folder = f"{tempfile.gettempdir()}/orchestrator-{os.urandom(8).hex()}"
        else:
            atexit.register(_remove, os.getpid(), folder)
    return f"{folder}/{os.urandom(8).hex()}"


def _is_private(folder: str) -> bool:
    try:
        status = os.lstat(folder)
    except OSError:
        return False
    return (status.st_uid, status.st_mode) == (os.geteuid(), stat.S_IFDIR | 0o700)


def _remove(pid: int, folder: str) -> None:
    if pid == os.getpid():  # a fork inherits this exit handler
        import shutil

        shutil.rmtree(folder, ignore_errors=True)


_LONGEST_NAME = 200
"""Bytes; file systems allow 255, and the number of the attempt and a suffix follow."""


def step_file_name(step: str) -> str:
    """Return the beginning of the names of the files of a step.

    For a step without a matrix cell it is the name of the step. A `:` becomes `=`, because some
    file systems and archives do not accept it, and a long name ends with a digest.
    """
    if "[" not in step:
        return step
    from hashlib import sha256

    name = step.replace(":", "=")
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    digest = sha256(step.encode()).hexdigest()[:16]
    return f"{name.encode()[: _LONGEST_NAME - 20].decode(errors='ignore')}-{digest}"
