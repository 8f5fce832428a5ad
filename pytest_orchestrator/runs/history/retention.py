"""Deletion of old run folders, after the history store has their verdicts and measurements.

A session deletes runs at its start, so this module imports the store only if a run has no file.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_orchestrator.runs.folder import history_file

if TYPE_CHECKING:
    from pytest_orchestrator.runs.history.model import PastRun


def delete(folders: Iterable[Path]) -> list[Path]:
    """Delete run folders; write the file of a run before, unless the history store has it.

    On a full disk the file is written after the folder is deleted. A run whose journal cannot be
    read is deleted without a file.

    Args:
        folders: The folders, as `lookup.prunable` returns them.

    Returns:
        The folders that were deleted.
    """
    deleted = []
    for folder in folders:
        pending = None if _exists(history_file(folder.parent, folder.name)) else _unwritten(folder)
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            deleted.append(folder)
        if pending is not None:
            _is_written(folder.parent, pending)
    return deleted


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _unwritten(folder: Path) -> "PastRun | None":
    """Write the file of a run; return the run if the file could not be written."""
    from pytest_orchestrator.runs import lookup
    from pytest_orchestrator.runs.history.backfill import from_journal
    from pytest_orchestrator.runs.history.store import NotKept

    try:
        past = from_journal(folder)
    except (lookup.NoRun, NotKept):
        return None
    return None if past is None or _is_written(folder.parent, past) else past


def _is_written(base: Path, run: "PastRun") -> bool:
    from pytest_orchestrator.runs.history import backfill, store

    try:
        backfill.write(base, run)
    except (OSError, store.NotKept):
        return False
    return True
