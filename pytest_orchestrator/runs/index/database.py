"""Index of the history: the runs that have a recipe, a unit under test or a station.

It is a SQLite file beside the files of the history, which stay the truth: the index names runs, and
their files are read. A run that it does not have yet is among the answers to each question, so it
may be old, or deleted at any time, also while it is read. If SQLite fails, as on a full disk, in a
network folder without locks, or with a damaged file, the answer is all runs.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from pytest_orchestrator.runs.folder import history_folder
from pytest_orchestrator.runs.history import store
from pytest_orchestrator.runs.history.model import PastRun, only_tested
from pytest_orchestrator.runs.statistics.units import names_of_unit, station_of

NAME: Final = "index-1.sqlite3"
"""Name of the file, with the version of its tables."""

_TABLES: Final = """
    CREATE TABLE IF NOT EXISTS words
        (kind TEXT, word TEXT, run TEXT, PRIMARY KEY (kind, word, run)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS months (month TEXT PRIMARY KEY, changed INTEGER);
"""
_ASK: Final = """
    SELECT run FROM words WHERE kind = ? AND word = ? AND run < ? ORDER BY run DESC LIMIT ?
"""
_MANY: Final = 50
"""Number of new runs from which a question adds them: fewer are read faster than a transaction
reaches the disk, some 5 ms."""
_LOCK_SECONDS: Final = 1.0
_SETTLED: Final = 2_000_000_000
"""Nanoseconds after the last change of a folder from which its time shows the next change: a file
system may keep times of whole seconds."""


def words_of(run: PastRun) -> Iterator[tuple[str, str]]:
    """Yield what a run can be asked for: its recipes, units under test and stations, by kind."""
    for recipe in run.recipes:
        yield "key", recipe.key
        yield from (("recipe", name) for name in (recipe.path, recipe.name))
        yield from (("unit", name) for name in names_of_unit(recipe.test_meta))
        yield "station", station_of(run, recipe)


class Index:
    """Index of the history of a project, for the questions of one command or page.

    Args:
        base: The folder of the runs.
        report: Receives the number of files that were added so far, and of all to add.
        on_failure: Receives a sentence if the index cannot be used.
    """

    def __init__(
        self,
        base: Path,
        report: Callable[[int, int], None] | None = None,
        on_failure: Callable[[str], None] | None = None,
    ) -> None:
        self._base, self._report, self._on_failure = base, report, on_failure
        self._folder = history_folder(base)
        self._database: sqlite3.Connection | None = None
        self._new: dict[str, list[str]] = {}

    def __enter__(self) -> Self:
        """Open the index, and add the runs that it does not have if they are many."""
        try:
            if (self._folder / NAME).exists():
                self._open()
            self._find_new()
            if sum(map(len, self._new.values())) >= _MANY:
                self._add(self._database or self._open())
        except sqlite3.Error as error:
            self._give_up(error)
        return self

    def __exit__(self, *_: object) -> None:
        """Close the index."""
        if self._database is not None:
            self._database.close()

    def runs(self, kind: str, word: str, before: str = "~", most: int = -1) -> set[str]:
        """Return the ids of the runs that may have a word.

        Args:
            kind: A kind of `words_of`.
            word: The word.
            before: Text before which the ids are; all ids are before the default.
            most: Number of the newest runs in the index that are enough; -1 for all.

        Returns:
            The ids of the runs with the word, and of those that the index does not have. Runs
            without a file are left out.
        """
        found: set[str] = set()
        if self._database is not None:
            try:
                rows = self._database.execute(_ASK, (kind, word, before, most))
                found = {run for (run,) in rows}
            except sqlite3.Error as error:
                self._give_up(error)
        return found.union(*self._new.values())

    def _open(self) -> sqlite3.Connection:
        path = self._folder / NAME
        database = sqlite3.connect(path, timeout=_LOCK_SECONDS, isolation_level=None)
        self._database = database
        database.executescript(_TABLES)
        return database

    def _find_new(self) -> None:
        """Find the runs that the index does not have, in the months whose folders have changed."""
        known: dict[str, int] = {}
        if self._database is not None:
            known = dict(self._database.execute("SELECT month, changed FROM months"))
        for month in store.months(self._base):
            if known.get(month) == _changed(self._folder / month):
                continue
            there = store.ids_of(self._base, month)
            if self._database is not None:
                rows = self._database.execute(_ASK, ("month", month, "~", -1))
                there = sorted({*there}.difference(run for (run,) in rows))
            self._new[month] = there

    def _add(self, database: sqlite3.Connection) -> None:
        """Add runs, month by month; one without a file that can be read stays a new one."""
        total, count = sum(map(len, self._new.values())), 0
        for month, runs in self._new.items():
            changed, bad = _changed(self._folder / month), []
            database.execute("BEGIN IMMEDIATE")
            for run in runs:
                count += 1
                past = store.load(self._base, run)
                if past is None:
                    bad.append(run)
                else:
                    words = {("month", month), *words_of(only_tested(past))}
                    rows = ((*each, run) for each in words)
                    database.executemany("INSERT OR IGNORE INTO words VALUES (?, ?, ?)", rows)
                if self._report is not None:
                    self._report(count, total)
            if not bad and changed < time.time_ns() - _SETTLED:
                database.execute("INSERT OR REPLACE INTO months VALUES (?, ?)", (month, changed))
            database.execute("COMMIT")
            self._new[month] = bad

    def _give_up(self, error: sqlite3.Error) -> None:
        """Use no index; delete a damaged one, so that a later question writes it anew."""
        if self._database is not None:
            self._database.close()
            self._database = None
        if not isinstance(error, sqlite3.OperationalError):
            delete(self._base)
        self._new = {"": [*store.ids(self._base)]}
        if self._on_failure is not None:
            why = f"the index of the history cannot be used: {error}"
            self._on_failure(f"{why}; all files are read instead")


def delete(base: Path) -> None:
    """Delete the index of a project, which the next question that needs it writes anew."""
    with suppress(OSError):
        (history_folder(base) / NAME).unlink()


def _changed(folder: Path) -> int:
    """Return the time of the last change of a folder in nanoseconds; 0 if there is none."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0
