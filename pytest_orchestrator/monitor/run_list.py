"""Rows of the list of runs: each journal is read once, in a background thread."""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.core.files import gc_paused
from pytest_orchestrator.monitor.run_cache import RunCache, RunView
from pytest_orchestrator.reports.head.meta import LABELS, labelled_meta, meta_text
from pytest_orchestrator.reports.text import cut
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.history import store
from pytest_orchestrator.runs.history.model import PastRecipe
from pytest_orchestrator.runs.journal.reader import read_journal
from pytest_orchestrator.runs.journal.writer import NAME, is_being_written
from pytest_orchestrator.runs.lookup import NoRun
from pytest_orchestrator.runs.record import RecipeRecord, RunRecord
from pytest_orchestrator.runs.summary import counts_shown, summary
from pytest_orchestrator.runs.verdicts import NOT_GOOD, Word, counts, worst

PENDING: Final = "…"
"""Verdict of a run whose journal was not read yet."""

_LOOK: Final = 0.4
"""Least number of seconds between two looks at the folder of the runs."""
_SHARE: Final = 20
"""Seconds between two looks per second that a look takes: 5 % of a core at most."""
_PATIENCE: Final = 1.0
"""Seconds that the first page waits for the rows of runs that were not read yet."""


class RecipeCount(Struct, frozen=True):
    """A recipe in a run: its path, its name, the number of its cells, and their worst verdict."""

    path: str
    name: str
    cells: int
    verdict: str


class RunRow(Struct, frozen=True):
    """Row of a run.

    Attributes:
        id: Name of its folder; a copied folder has a journal with another id.
        verdict: Its verdict.
        cause: Cause of an interruption; empty without one.
        problem: Reason why its journal cannot be read or trusted; empty if it can.
        started: Its start in ISO 8601 UTC.
        since: Its start in seconds since the epoch while it runs; else 0.
        seconds: Its duration; None if unknown.
        recipes: Its recipes.
        dut: Units under test.
        test_id: Test ids.
        people: Operators and stations.
        rate: Share of the steps that passed; None if none has ended.
        steps: Number of steps by state, as a text.
        text: Lower-case text that a search looks at.
        has_folder: False if the folder of the run was deleted: only the history has the run.
    """

    id: str
    verdict: str
    cause: str = ""
    problem: str = ""
    started: str = ""
    since: float = 0.0
    seconds: float | None = None
    recipes: tuple[RecipeCount, ...] = ()
    dut: str = ""
    test_id: str = ""
    people: str = ""
    rate: float | None = None
    steps: str = ""
    text: str = ""
    has_folder: bool = True


class RunListCache:
    """Cached rows of the list of runs.

    Attributes:
        runs: The runs.

    Args:
        runs: The runs.
    """

    def __init__(self, runs: RunCache) -> None:
        self.runs = runs
        self._lock = threading.Lock()
        self._next_look = 0.0
        self._shown: list[RunRow] = []
        self._version = 0
        self._read: dict[str, tuple[int, RunRow]] = {}
        self._live: dict[str, tuple[int, str, RunRow]] = {}
        self._reader: threading.Thread | None = None

    @property
    def base(self) -> Path:
        """The folder that contains the run folders."""
        return self.runs.base

    @property
    def version(self) -> int:
        """Number that changes with each change of the rows."""
        self.rows()
        return self._version

    def rows(self, *, wait: bool = False) -> list[RunRow]:
        """Return a row for each run, the newest first.

        A run that was not read yet has a row with its id only. A background thread reads it.

        Args:
            wait: True to look at the folder in any case, and to wait up to a second for that
                thread.
        """
        with self._lock:
            began = time.monotonic()
            missing = (wait or began >= self._next_look) and self._look()
            for _ in range(2 * wait):  # a thread that was running has not read the newest changes
                if missing and self._reader is not None:
                    self._reader.join(max(0.0, began + _PATIENCE - time.monotonic()))
                    missing = self._look()
            if time.monotonic() > self._next_look:
                now = time.monotonic()
                self._next_look = now + max(_LOOK, _SHARE * (now - began) * (not wait))
            return self._shown

    def _look(self) -> bool:
        """Compare the folders with the rows, and start to read what has changed; needs the lock.

        Returns:
            True if a run has changed, or was not read yet.
        """
        names = self._names()
        rows, missing = [], []
        for name in names:
            size, cached = self._size(name), self._read.get(name)
            if cached is not None and cached[0] == size:
                rows.append(cached[1])
            elif is_being_written(self.base / name / NAME):
                rows.append(self._live_row(name))
            else:
                rows.append(cached[1] if cached else RunRow(name, PENDING, text=name.lower()))
                missing.append(name)
        for gone in {*[*self._read]} - {*names}:  # a copy: the thread adds rows
            self._read.pop(gone, None)
        if rows != self._shown:
            self._shown = rows
            self._version += 1
        if missing and (self._reader is None or not self._reader.is_alive()):
            self._reader = threading.Thread(target=self._load, args=(missing,), daemon=True)
            self._reader.start()
        return bool(missing)

    def _names(self) -> list[str]:
        """Return the ids of all runs, newest first, also of those that only the history has."""
        names = self.runs.names()
        deleted = {*store.ids(self.base)} - {*names}
        return sorted([*names, *deleted], key=store.second_of, reverse=True)

    def _size(self, name: str) -> int:
        try:
            return (self.base / name / NAME).stat().st_size
        except OSError:
            return -1

    def _live_row(self, name: str) -> RunRow:
        def row_of(view: RunView) -> RunRow:
            version, state = view.version, view.record.state
            cached = self._live.get(name)
            if cached is None or cached[:2] != (version, state):
                cached = self._live[name] = version, state, _row(view.record, name, view.problem)
            return cached[2]

        try:
            return self.runs.read(name, row_of)
        except NoRun:
            return RunRow(name, PENDING, text=name.lower())

    def _load(self, names: list[str]) -> None:
        for name in names:
            size = self._size(name)
            folder = self.base / name
            row = _read_row(folder) if folder.is_dir() else _past_row(self.base, name)
            self._read[name] = size, row
            self._live.pop(name, None)


def _read_row(folder: Path) -> RunRow:
    name = folder.name
    try:
        with gc_paused():
            reading = read_journal(folder / NAME, raw_blocks=True)
            record = lookup.record_of(reading)
        problem = f"journal modified, {reading.damage}" if reading.damage else ""
        return _row(record, name, problem)
    except OSError as error:
        problem = f"the journal cannot be read: {error.strerror or error}"
        return RunRow(name, "damaged", problem=problem, text=f"{name} damaged".lower())


def _past_row(base: Path, name: str) -> RunRow:
    """Return the row of a run that only the history has."""
    problems: list[str] = []
    past = store.load(base, name, lambda path, why: problems.append(f"{path.name}: {why}"))
    if past is None:
        text = f"{name} damaged".lower()
        return RunRow(name, "damaged", problem="".join(problems), text=text, has_folder=False)
    return RunRow(
        name,
        past.verdict,
        cause="" if past.state == "damaged" else past.cause,
        problem=f"journal modified, {past.cause}" if past.state == "damaged" else "",
        started=past.started,
        seconds=past.seconds,
        has_folder=False,
        **_columns(
            name,
            past.verdict,
            [(recipe, recipe.verdict) for recipe in past.recipes],
            counts(step for recipe in past.recipes for step in recipe.steps),
        ),
    )


def _row(run: RunRecord, name: str, problem: str) -> RunRow:
    about: dict[str, Any] = summary(run, name)
    live = run.state == "running" and bool(run.first)
    recipes = [(run.recipes[one["recipe"]], one["verdict"]) for one in about["recipes"]]
    return RunRow(
        name,
        about["verdict"],
        cause=about.get("interruption", ""),
        problem=problem,
        started=run.first,
        since=epoch_seconds(run.first) if live else 0.0,
        seconds=about["seconds"],
        **_columns(name, about["verdict"], recipes, counts_shown(about)),
    )


_Verdicts = Sequence[tuple[RecipeRecord | PastRecipe, Word]]
"""The recipes of a run, each with its verdict."""


def _columns(
    name: str, verdict: Word, recipes: _Verdicts, steps: Mapping[str, int]
) -> dict[str, Any]:
    """Return the fields of a row that describe recipes, units, people and steps.

    Args:
        name: Id of the run.
        verdict: Its verdict.
        recipes: Its recipes.
        steps: Number of its steps by state.
    """
    meta = labelled_meta(recipe for recipe, _ in recipes)
    ended = sum(number for state, number in steps.items() if state not in ("skipped", "running"))
    people = [meta[LABELS[key]] for key in ("operator", "station") if LABELS[key] in meta]
    return {
        "recipes": tuple(_counts(recipes)),
        "dut": meta.get(LABELS["dut"], ""),
        "test_id": meta.get(LABELS["test_id"], ""),
        "people": ", ".join(people),
        "rate": steps.get("passed", 0) / ended if ended else None,
        "steps": ", ".join(f"{number:,} {state}" for state, number in steps.items()),
        "text": " ".join([name, verdict, *_search_texts(one for one, _ in recipes)]).lower(),
    }


def _counts(recipes: _Verdicts) -> list[RecipeCount]:
    """Return the recipes of a run, failed ones first."""
    verdicts: dict[str, list[Word]] = {}
    for recipe, verdict in recipes:
        verdicts.setdefault(recipe.path, []).append(verdict)
    names = {one.path: cut(one.name or one.path, 100) for one, _ in recipes}
    counts = [
        RecipeCount(cut(path, 300), names[path], len(words), worst(words))
        for path, words in verdicts.items()
    ]
    return sorted(counts, key=lambda one: (one.verdict not in NOT_GOOD, one.path))


def _search_texts(recipes: Iterable[RecipeRecord | PastRecipe]) -> Iterator[str]:
    """Yield the texts of recipes that a search looks at: also the units and ids of all recipes."""
    for recipe in recipes:
        yield recipe.key
        yield recipe.name
        if recipe.test_meta:
            yield from (meta_text(recipe, key) for key in LABELS)
