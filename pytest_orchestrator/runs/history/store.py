"""Files of the history store: one for each run, written once and never changed.

A file has a name of its own until all of it is on the disk, so no reader sees a part of a file, and
two processes that write the same run do not disturb each other.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from pytest_orchestrator.core.files import content, gc_paused, replacing
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.runs.folder import history_file, history_folder, is_run
from pytest_orchestrator.runs.history.model import PastRun, decoded, encoded

_MONTH: Final = lazy_pattern(r"\d{4}-\d\d")
_SUFFIX: Final = ".json"
_LARGEST: Final = 256 << 20


class NotKept(ValueError):
    """Error: a run cannot be written to the history store."""


def write(base: Path, run: PastRun) -> Path:
    """Write the file of a run, unless it exists.

    Args:
        base: The folder of the runs.
        run: The run.

    Returns:
        The file.

    Raises:
        NotKept: The run could not be read back; its journal has values of types that no journal
            of this version has.
        OSError: The file cannot be written.
    """
    path = history_file(base, run.id)
    if path.exists():
        return path
    data = checked(run)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return path


def checked(run: PastRun) -> bytes:
    """Return the content of the file of a run, after a check that a reader accepts it.

    Raises:
        NotKept: As for `write`.
    """
    try:
        data = encoded(run)
    except (TypeError, ValueError, RecursionError) as error:
        raise NotKept(str(error)) from error
    if decoded(data) is None:
        raise NotKept("its journal has values of other types than this version writes")
    return data


def load(
    base: Path, run: str, on_problem: Callable[[Path, str], None] | None = None
) -> PastRun | None:
    """Return a run of the store; None if it has no file that can be read.

    Args:
        base: The folder of the runs.
        run: Id of the run.
        on_problem: Receives the file if it is no run of this version, with the reason.
    """
    path, why = history_file(base, run), "it is no run of this version"
    try:
        with gc_paused():
            past = decoded(content(path, _LARGEST))
    except OSError as error:
        past, why = None, error.strerror or str(error)
    if past is not None and past.id == run:
        return past
    if on_problem is not None:
        on_problem(path, why)
    return None


def newest_first(runs: Iterable[PastRun]) -> list[PastRun]:
    """Return runs of one second, whose ids do not order them, newest first."""
    return sorted(runs, key=lambda run: (run.started, run.id), reverse=True)


def ids(base: Path, before: datetime | None = None) -> Iterator[str]:
    """Yield the ids of the runs of the store, newest first; those of one second in any order.

    Args:
        base: The folder of the runs.
        before: Time before which a run must have started; None reads up to the end.
    """
    end = f"{before.astimezone(UTC):%Y%m%dT%H%M%SZ}" if before else "~"
    for month in months(base):
        yield from (run for run in ids_of(base, month) if run < end)


def months(base: Path) -> list[str]:
    """Return the names of the folders of the store, such as ``2026-11``, newest first."""
    return sorted(filter(_MONTH.fullmatch, _names(history_folder(base))), reverse=True)


def ids_of(base: Path, month: str) -> list[str]:
    """Return the ids of the runs of a month, newest first; those of one second in any order."""
    names = (name.removesuffix(_SUFFIX) for name in _names(history_folder(base) / month))
    runs = (one for one in names if is_run(Path(one)) and f"{one[:4]}-{one[4:6]}" == month)
    return sorted(runs, reverse=True)


def second_of(run: str) -> str:
    """Return the second in which a run started, as its id begins."""
    return run.partition("-")[0]


def _names(folder: Path) -> list[str]:
    """Return the names in a folder that are no links; none if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return [one.name for one in entries if not one.is_symlink()]
    except OSError:
        return []


class Pruned(NamedTuple):
    """Result of the pruning of a store.

    Attributes:
        deleted: Ids of the runs whose files were deleted.
        kept: Ids of the runs whose files stay, because the folders of the runs exist: a reader
            would write the files again.
    """

    deleted: list[str]
    kept: list[str]


def prune(base: Path, before: datetime) -> Pruned:
    """Delete the files of runs that started before a time, and folders that are empty then.

    Args:
        base: The folder of the runs.
        before: The time.

    Raises:
        OSError: A file cannot be deleted.
    """
    pruned = Pruned([], [])
    for run in ids(base, before=before):
        if (base / run).is_dir():
            pruned.kept.append(run)
            continue
        path = history_file(base, run)
        if path.is_dir():  # a folder of another program, which readers name as a problem
            continue
        path.unlink(missing_ok=True)
        pruned.deleted.append(run)
        with contextlib.suppress(OSError):  # not empty
            path.parent.rmdir()
    return pruned
