"""What the folder of a run holds at its end: the size and the SHA-256 of each file."""

import hashlib
import os
import stat
from pathlib import Path

from pytest_orchestrator.run.journal import LOCK, NAME


def contents(folder: Path) -> dict[str, tuple[int, str]]:
    """Return the size in bytes and the SHA-256 of each file, by its path in the folder.

    Args:
        folder: The folder of a run; its journal is not among the files, nor is what is no
            regular file.
    """
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            told = path.relative_to(folder).as_posix()
            if told not in (NAME, LOCK) and (known := _known(path)):
                found[told] = known
    return dict(sorted(found.items()))


def _known(path: Path) -> tuple[int, str] | None:
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), digest
    except OSError:  # taken away meanwhile, or not ours to read
        return None
