"""Outcomes of the steps of one recipe in many runs."""

import threading
from collections.abc import Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from pytest_orchestrator.monitor.address import key_of, step_key
from pytest_orchestrator.monitor.run_cache import RunCache, RunView
from pytest_orchestrator.monitor.run_list import PENDING, RunRow
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.history.model import PastRecipe, PastRun
from pytest_orchestrator.runs.index import past_runs
from pytest_orchestrator.runs.lookup import NoRun
from pytest_orchestrator.runs.record import NOT_REACHED, RecipeRecord, RunRecord
from pytest_orchestrator.runs.statistics.units import name_of_unit
from pytest_orchestrator.runs.summary import flaky, verdict_of
from pytest_orchestrator.runs.verdicts import Word, worst

_MAX_CACHED: Final = 400


class StepCell(Struct, frozen=True):
    """A step in a run: its key in URLs, its state, and True if it passed on a later attempt."""

    key: str
    state: str
    is_flaky: bool


class Column(Struct, frozen=True):
    """A recipe in a run.

    Attributes:
        run: Row of the run.
        verdict: Worst verdict of the cells of the recipe.
        name: Name of the recipe.
        dut: Its unit under test.
        steps: Its steps by label: the name of the step, after the cell of its matrix.
    """

    run: RunRow
    verdict: str
    name: str
    dut: str
    steps: dict[str, StepCell]


class _Read(NamedTuple):
    row: RunRow
    column: Column


class RecipeHistory:
    """Columns of recipes, each of which is read once: from the history, once its run has ended.

    Args:
        runs: The runs.
    """

    def __init__(self, runs: RunCache) -> None:
        self._runs = runs
        self._lock = threading.Lock()
        self._read: dict[tuple[str, str], _Read] = {}

    def columns(self, path: str, rows: list[RunRow]) -> list[Column]:
        """Return the columns of a recipe for runs; leave out runs that were deleted.

        Args:
            path: Path of the recipe.
            rows: The rows of the runs.
        """
        found = []
        for row in rows:
            with self._lock:
                known = self._read.get((row.id, path))
            # A row is replaced when its run has changed.
            column = known.column if known and known.row is row else self._column(path, row)
            if column is None:
                continue
            found.append(column)
            with self._lock:
                self._read[row.id, path] = _Read(row, column)
                while len(self._read) > _MAX_CACHED:
                    del self._read[next(iter(self._read))]
        return found

    def _column(self, path: str, row: RunRow) -> Column | None:
        def column(view: RunView) -> Column:
            return _recorded(view.record, path, row)

        try:
            if row.verdict in ("running", PENDING):
                return self._runs.read(row.id, column)
            if row.verdict == "damaged" and row.has_folder:  # what was recorded before the damage
                folder = self._runs.folder(row.id)
                return _recorded(lookup.load_record(folder, raw_blocks=True), path, row)
        except NoRun:
            return None
        run = past_runs.ended_run(self._runs.base, row.id)
        return _kept(run, path, row) if run else None


_Steps = dict[str, StepCell]


def _recorded(run: RunRecord, path: str, row: RunRow) -> Column:
    """Return the column of a run from its journal."""
    recipes = [one for one in run.recipes.values() if one.path == path and one.is_tested]
    steps: _Steps = {}
    for recipe in recipes:
        again = {step.name for step in flaky(recipe.steps.values())}
        for step in recipe.steps.values():
            if step.state not in NOT_REACHED:
                cell = StepCell(step_key(step), step.word, step.name in again)
                steps[_label(recipe.about.get("cell"), step.name)] = cell
    return _column(row, [(recipe, verdict_of(recipe)) for recipe in recipes], steps)


def _kept(run: PastRun, path: str, row: RunRow) -> Column:
    """Return the column of a run from the history."""
    recipes = [one for one in run.recipes if one.path == path]
    steps: _Steps = {}
    for recipe in recipes:
        for step in recipe.steps:
            is_flaky = step.state == "passed" and step.was_repeated
            cell = StepCell(key_of(recipe.key, step.name), step.word, is_flaky)
            steps[_label(recipe.cell, step.name)] = cell
    return _column(row, [(recipe, recipe.verdict) for recipe in recipes], steps)


def _column(
    row: RunRow, recipes: Sequence[tuple[RecipeRecord | PastRecipe, Word]], steps: _Steps
) -> Column:
    first = recipes[0][0] if recipes else None
    name = first.name if first and first.name != first.key else ""
    dut = name_of_unit(first.test_meta) if first else ""
    return Column(row, worst(verdict for _, verdict in recipes), name, dut, steps)


def _label(cell: str | None, step: str) -> str:
    return f"[{cell}] {step}" if cell else step
