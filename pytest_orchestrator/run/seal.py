"""What the folder of a run holds at its end: the size and the SHA-256 of each file."""

import hashlib
import os
import stat
from pathlib import Path
from typing import Final

from pytest_orchestrator.core.files import READ_FILE, path_text
from pytest_orchestrator.run.journal import LOCK, NAME

_PIECE: Final = 1 << 20


def contents(folder: Path) -> dict[str, tuple[int, str]]:
    """Return the size in bytes and the SHA-256 of each file, by its path in the folder.

    Args:
        folder: The folder of a run; its journal is not among the files, nor is what is no
            regular file.
    """
    found = {}
    above = len(f"{folder}/")
    for place, _, names in os.walk(folder):
        for name in names:
            # As text, and without a buffer for each: there are thousands of small logs.
            path = f"{place}/{name}"
            told = path_text(path[above:])
            if told not in (NAME, LOCK) and (known := _known(path)):
                found[told] = known
    return dict(sorted(found.items()))


def _known(path: str) -> tuple[int, str] | None:
    try:
        fd = os.open(path, READ_FILE)
    except OSError:  # taken away meanwhile, not ours to read, or a link
        return None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        digest, size = hashlib.sha256(), 0
        while piece := os.read(fd, _PIECE):
            digest.update(piece)
            size += len(piece)
        return size, digest.hexdigest()
    except OSError:
        return None
    finally:
        os.close(fd)
