"""Runs without a file in the history store: writing the files from the journals of the runs."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.folder import history_file
from pytest_orchestrator.runs.history import store
from pytest_orchestrator.runs.history.build import past_run
from pytest_orchestrator.runs.history.model import PastRun
from pytest_orchestrator.runs.history.store import NotKept
from pytest_orchestrator.runs.journal.writer import NAME as JOURNAL
from pytest_orchestrator.runs.journal.writer import is_being_written

if TYPE_CHECKING:
    from pytest_orchestrator.runs.record import RunRecord

_LOCK: Final = threading.Lock()
"""Held while a file is written: threads of one process use the same name for a new file."""


class Backfilled(NamedTuple):
    """Result of a backfill.

    Attributes:
        written: Ids of the runs whose files were written.
        left_out: Reasons why other runs that have ended have no file, by id of the run.
    """

    written: list[str]
    left_out: dict[str, str]


def backfill(base: Path, report: Callable[[int, int], None] | None = None) -> Backfilled:
    """Write the files of all runs that have ended and have none.

    A run that was killed gets a file too; one with a damaged journal gets a file that names the
    damage. Runs that are still running have none.

    Args:
        base: The folder of the runs.
        report: Receives the number of runs that were read so far, and of all without a file.
    """
    result = Backfilled([], {})
    missing = [one for one in lookup.run_folders(base) if not history_file(base, one.name).exists()]
    for count, folder in enumerate(missing, 1):
        try:
            if kept(base, folder) is not None:
                result.written.append(folder.name)
        except (OSError, NotKept, lookup.NoRun) as error:
            result.left_out[folder.name] = _reason(error)
        if report is not None:
            report(count, len(missing))
    return result


def kept(base: Path, folder: Path) -> PastRun | None:
    """Write the file of a run from its journal, and return the run; None while it is running.

    Args:
        base: The folder of the runs.
        folder: The folder of the run.

    Raises:
        NoRun: The journal cannot be read.
        NotKept: As for `store.write`.
        OSError: The file cannot be written.
    """
    past = from_journal(folder)
    if past is not None:
        write(base, past)
    return past


def keep(record: "RunRecord", folder: Path) -> str:
    """Write the file of a run that has ended.

    Args:
        record: The record of the run.
        folder: Its folder.

    Returns:
        A sentence if the file could not be written; else empty.
    """
    try:
        write(folder.parent, _past_run(record, folder))
    except (OSError, NotKept) as error:
        return f"the history of this run could not be written: {_reason(error)}"
    return ""


def write(base: Path, run: PastRun) -> Path:
    """Write the file of a run as `store.write` does, also from several threads of a process."""
    with _LOCK:
        return store.write(base, run)


def from_journal(folder: Path) -> PastRun | None:
    """Return a run from its journal; None while it is running.

    Raises:
        NoRun: The journal cannot be read.
        NotKept: The journal has values of types that no journal of this version has.
    """
    if is_being_written(folder / JOURNAL):
        return None
    record = lookup.load_record(folder, raw_blocks=True)
    return None if record.state == "running" else _past_run(record, folder)


def _past_run(record: "RunRecord", folder: Path) -> PastRun:
    try:
        return past_run(record, folder.name)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise NotKept(f"its journal cannot be understood: {error}") from error


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
