"""Earlier runs for pages: copies of a run, changed by the test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from pytest_orchestrator.runs.history.build import past_run
from pytest_orchestrator.runs.history.model import by_recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_orchestrator.reports.html.trends import Earlier
    from pytest_orchestrator.runs.history.model import PastRecipe, PastRun
    from pytest_orchestrator.runs.record import RunRecord


def copies(record: RunRecord, *edits: Callable[[PastRecipe], PastRecipe]) -> Earlier:
    """Return an earlier run for each edit, the newest first; it edits the recipes of the run."""
    runs = [_copy(record, number, edit) for number, edit in enumerate(edits, 1)]
    return by_recipe(runs)


def _copy(record: RunRecord, number: int, edit: Callable[[PastRecipe], PastRecipe]) -> PastRun:
    start = f"2026-10-{31 - number:02}T10:00:00.000000Z"
    past = past_run(record, f"202610{31 - number:02}T100000Z-000{number:x}")
    recipes = tuple(edit(replace(one, started=start)) for one in past.recipes)
    return replace(past, started=start, recipes=recipes)
