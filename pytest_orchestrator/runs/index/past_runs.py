"""Past runs of a project, newest first, with a file in the history or only a folder."""

import contextlib
import os
from collections.abc import Callable, Collection, Iterator
from heapq import merge
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.folder import history_file, history_folder
from pytest_orchestrator.runs.history import backfill, store
from pytest_orchestrator.runs.history.model import PastRecipe, PastRun, only_tested
from pytest_orchestrator.runs.history.store import NotKept
from pytest_orchestrator.runs.journal.writer import NAME as JOURNAL
from pytest_orchestrator.runs.units import by_unit

if TYPE_CHECKING:
    from pytest_orchestrator.runs.record import RunRecord

MOST_RUNS: Final = 20
"""Maximum number of runs of a recipe that reports show, the shown run among them."""

_MOST_READ: Final = 200
"""Number of runs of a recipe among which `earlier` looks for these, such as later runs."""


def earlier(
    run: "RunRecord",
    folder: Path,
    most_bytes: int | None = None,
    on_failure: Callable[[str], None] | None = None,
) -> dict[str, list[tuple[PastRun, PastRecipe]]]:
    """Return the earlier runs of the recipes of a run, newest first, by key of the recipe.

    Args:
        run: The run.
        folder: Its folder.
        most_bytes: Largest total size of the files that are read; None means no limit.
        on_failure: As for `Index`.

    Returns:
        At most `MOST_RUNS` - 1 runs of each recipe; recipes without one are left out, and those
        that the run itself only restored.
    """
    from pytest_orchestrator.runs.index.database import Index

    found: dict[str, list[tuple[PastRun, PastRecipe]]] = {}
    lacking = {recipe.key for recipe in by_unit(run.recipes.values()) if recipe.is_tested}
    if not lacking:
        return found
    with Index(folder.parent, on_failure=on_failure) as index:
        end = f"{store.second_of(folder.name)}~"
        among = set[str]().union(*(index.runs("key", one, end, _MOST_READ) for one in lacking))
    for past in read_all(folder.parent, most_bytes, of=folder.name, among=among):
        if (past.started, past.id) >= (run.first, folder.name):
            continue
        for recipe in past.recipes:
            if recipe.key in lacking:
                found.setdefault(recipe.key, []).append((past, recipe))
                if len(found[recipe.key]) == MOST_RUNS - 1:
                    lacking.discard(recipe.key)
        if not lacking:
            break
    return found


def read_all(
    base: Path,
    most_bytes: int | None = None,
    *,
    of: str = "",
    among: Collection[str] | None = None,
    on_problem: Callable[[Path, str], None] | None = None,
) -> Iterator[PastRun]:
    """Yield the runs that have ended, newest first, whether they have a file or only a folder.

    A run without a file is read from its journal, and gets its file if that is possible.

    Args:
        base: The folder of the runs.
        most_bytes: Largest total size of the files and journals that are read; None means no limit.
        of: Id of a run: only other runs are read, which started in its second or before. Empty
            reads all runs.
        among: Ids of the runs in the store that are read; None for all. Runs without a file are
            read in any case.
        on_problem: Receives each file that is no run of this version and has no folder from which
            its run can be read, with the reason.
    """
    left = most_bytes
    ids = store.ids(base) if among is None else sorted(among, reverse=True)
    folders = (one.name for one in lookup.run_folders(base))
    alone = (one for one in folders if among is None or not history_file(base, one).exists())
    runs_by_age = merge(ids, sorted(alone, reverse=True), reverse=True)
    for second, same in groupby(runs_by_age, store.second_of):
        if of and second > store.second_of(of):
            continue
        runs: list[PastRun] = []
        for run in dict.fromkeys(one for one in same if one != of):
            if left is not None:
                left -= _size(base, run)
                if left < 0:
                    break
            past = ended_run(base, run, on_problem)
            runs += [past] if past else []
        yield from store.newest_first(runs)
        if left is not None and left < 0:
            return


def ended_run(
    base: Path, run: str, on_problem: Callable[[Path, str], None] | None = None
) -> PastRun | None:
    """Return a run that has ended from its file, or from its journal if it has none.

    Args:
        base: The folder of the runs.
        run: Id of the run.
        on_problem: As for `read_all`.

    Returns:
        The run without recipes that it only restored; None while it is running, or if neither can
        be read.
    """
    problems: list[tuple[Path, str]] = []
    past = store.load(base, run, lambda *problem: problems.append(problem))
    past = past or _from_folder(base, run)
    if past is None and on_problem is not None:
        for path, why in problems:
            if os.path.lexists(path):  # a run in progress has no file
                on_problem(path, why)
    return past and only_tested(past)


def _size(base: Path, run: str) -> int:
    """Return the size of the file of a run, or of its journal if it has no file."""
    for path in (history_file(base, run), base / run / JOURNAL):
        with contextlib.suppress(OSError):
            return path.stat().st_size
    return 0


def _from_folder(base: Path, run: str) -> PastRun | None:
    """Return a run from its journal, and write its file; None if it cannot be read, or runs."""
    try:
        past = backfill.from_journal(base / run)
        if past is not None:
            _write_if_possible(base, past)
    except (lookup.NoRun, NotKept):
        return None
    return past


def _write_if_possible(base: Path, past: PastRun) -> None:
    if not _has_history(base):
        store.checked(past)
        return
    with contextlib.suppress(OSError):  # a read-only folder, or a full disk
        backfill.write(base, past)


def _has_history(base: Path) -> bool:
    """Return True for the runs of a project; run folders may also be unpacked in any folder."""
    return base.parent.name == ".orchestrator" or history_folder(base).is_dir()
