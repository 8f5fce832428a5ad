"""Deletion of old run folders, after the history store has their verdicts and measurements.

A session deletes runs at its start, so this module imports the store only if a run has no file.
"""

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_orchestrator.runs.folder import history_file, instruments_folder
from pytest_orchestrator.runs.journal.writer import LOCK, NAME, is_being_written

if TYPE_CHECKING:
    from pytest_orchestrator.runs.history.model import PastRun

_BEGIN: Final = b'{"version":"'
_END: Final = b"}\n"


def delete(folders: Iterable[Path]) -> list[Path]:
    """Delete run folders; write the file of a run before, unless the history store has it.

    On a full disk the file is written after the folder is deleted. A run whose journal cannot be
    read is deleted without a file. Of a run in `in_debt` the journal stays.

    Args:
        folders: The folders, as `lookup.prunable` returns them.

    Returns:
        The folders that were deleted.
    """
    deleted = []
    folders = [*folders]
    kept = in_debt(folders)
    for folder in folders:
        pending = None if _is_kept(folder) else _unwritten(folder)
        if folder in kept:
            _strip(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            deleted.append(folder)
        if pending is not None:
            _is_written(folder.parent, pending)
    return deleted


def in_debt(folders: Iterable[Path]) -> list[Path]:
    """Return those of the run folders whose journals stay.

    They owe a safe state or ``finally`` steps, or have settled the debt of a run that is there.

    Args:
        folders: Folders of runs of one project.
    """
    folders = [*folders]
    if not folders:
        return []
    from pytest_orchestrator.runs.owed_safe import Ledger
    from pytest_orchestrator.runs.pending_finally import pending_runs

    base = folders[0].parent
    kept = Ledger(base).kept | {one.run for one in pending_runs(base)}
    return [folder for folder in folders if folder.name in kept]


def delete_settled(base: Path) -> None:
    """Delete the journals of commands on instruments that have no debts any more.

    Args:
        base: The folder of the runs.
    """
    if not instruments_folder(base).is_dir():
        return
    from pytest_orchestrator.runs.lookup import run_folders
    from pytest_orchestrator.runs.owed_safe import Ledger

    kept = Ledger(base).kept
    for folder in run_folders(instruments_folder(base)):
        if folder.name not in kept and not is_being_written(folder / NAME):
            shutil.rmtree(folder, ignore_errors=True)


def _strip(folder: Path) -> None:
    """Delete all files of a run but its journal, and the lock beside it."""
    for one in folder.iterdir():
        if one.is_dir() and not one.is_symlink():
            shutil.rmtree(one, ignore_errors=True)
        elif one.name not in (NAME, LOCK):
            with contextlib.suppress(OSError):
                one.unlink()


def _is_kept(folder: Path) -> bool:
    """Return True if the file of a run exists and is whole, as far as its ends show.

    Reading all of it would import its types at the start of each session.
    """
    path = history_file(folder.parent, folder.name)
    try:
        with path.open("rb") as file:
            begin = file.read(len(_BEGIN))
            file.seek(-len(_END), os.SEEK_END)
            return begin == _BEGIN and file.read() == _END
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
    if past is not None:
        with contextlib.suppress(OSError):  # a damaged file, or none
            history_file(folder.parent, folder.name).unlink(missing_ok=True)
    return None if past is None or _is_written(folder.parent, past) else past


def _is_written(base: Path, run: "PastRun") -> bool:
    from pytest_orchestrator.runs.history import backfill, store

    try:
        backfill.write(base, run)
    except (OSError, store.NotKept):
        return False
    return True
