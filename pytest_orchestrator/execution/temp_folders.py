"""Temporary folders: one for an attempt on a worker, private paths for this process."""

import atexit
import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_private: Final[dict[int, str]] = {}


@contextlib.contextmanager
def scratch(within: str | None) -> Iterator[Path]:
    """Have an empty folder while a block runs.

    Args:
        within: Where it is made; None is where temporary files are.
    """
    folder = tempfile.mkdtemp(prefix="orchestrator-", dir=within)
    try:
        yield Path(folder)
    finally:
        try:  # a few logs, mostly
            for file in os.listdir(folder):
                os.unlink(os.path.join(folder, file))
            os.rmdir(folder)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)


def private_path() -> str:
    """Return the beginning of paths for the files of an attempt, where no other user can look.

    There are no such files yet. The folder is made once by a process: one for each step would
    cost more. It is made again where it was cleaned away, or is another user's by now. Where it
    cannot be made, as on a full disk, no file can be made there either, and most steps make none.
    """
    folder = _private.get(os.getpid())
    if folder is None or not _is_private(folder):
        try:
            folder = _private[os.getpid()] = tempfile.mkdtemp(prefix="orchestrator-")
        except OSError:
            folder = f"{tempfile.gettempdir()}/orchestrator-{os.urandom(8).hex()}"
        else:
            atexit.register(_removed, os.getpid(), folder)
    return f"{folder}/{os.urandom(8).hex()}"


def _is_private(folder: str) -> bool:
    try:
        found = os.lstat(folder)
    except OSError:
        return False
    return (found.st_uid, found.st_mode) == (os.geteuid(), stat.S_IFDIR | 0o700)


def _removed(pid: int, folder: str) -> None:
    if pid == os.getpid():  # not at the end of a fork
        shutil.rmtree(folder, ignore_errors=True)
