"""Temporary folders: one for each attempt on a worker, private paths for this process."""

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
    """Create an empty folder for the duration of a block.

    Args:
        within: The parent folder; None means the system's folder for temporary files.
    """
    folder = tempfile.mkdtemp(prefix="orchestrator-", dir=within)
    try:
        yield Path(folder)
    finally:
        try:  # faster than rmtree for the usual few logs
            for file in os.listdir(folder):
                os.unlink(os.path.join(folder, file))
            os.rmdir(folder)
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
        shutil.rmtree(folder, ignore_errors=True)
