"""Timeline tab: one row for each recipe of a run, or for each step of a recipe that ran."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.monitor.address import Address, chosen_recipe, step_key
from pytest_orchestrator.monitor.pages.graph import PART, notable
from pytest_orchestrator.monitor.pages.part import Part, part
from pytest_orchestrator.monitor.run_cache import RunView
from pytest_orchestrator.reports.critical_path import CriticalPath, critical_path
from pytest_orchestrator.reports.html.timeline import Bar, Timeline, ticks_of, timeline_of
from pytest_orchestrator.reports.text import cut, look
from pytest_orchestrator.runs.record import ACTIVE, RecipeRecord, StepRecord
from pytest_orchestrator.runs.summary import verdict_of

LABEL: Final = "Timeline"

_DID_NOT_RUN: Final = frozenset({"blocked", "skipped", "restored", "not run", "not selected"})
_MAX_FAILURES: Final = 20


class StepBar(Struct, frozen=True):
    """Row of a step.

    Attributes:
        key: Its key in URLs.
        bar: Its bar.
        is_open: True if the last span grows.
        is_critical: True if it is on the critical path.
    """

    key: str
    bar: Bar
    is_open: bool
    is_critical: bool


class Steps(Struct, frozen=True):
    """Timeline of the steps of a recipe.

    Attributes:
        recipe: Key of the recipe.
        name: Its name.
        verdict: Its verdict.
        others: Number of other recipes.
        line: The timeline of the steps on this page.
        part: Their rows.
        path: Names of the steps on the critical path, if some steps overlap.
        critical: The critical path.
        notable: The first step that failed or runs, and its page, if that is another page.
    """

    recipe: str
    name: str
    verdict: str
    others: int
    line: Timeline
    part: Part[StepBar]
    path: tuple[str, ...]
    critical: CriticalPath | None
    notable: tuple[str, int] | None


class RecipeBar(Struct, frozen=True):
    """Row of a recipe; times in seconds since the start of the first recipe.

    Attributes:
        key: Its key.
        name: Its name, with the cell of its matrix.
        verdict: Its verdict.
        start: Start of its first step.
        stop: End of its last step.
        is_open: True if a step of it runs.
        failures: The first failed steps: time, key and name.
    """

    key: str
    name: str
    verdict: str
    start: float
    stop: float
    is_open: bool
    failures: list[tuple[float, str, str]]


class Recipes(Struct, frozen=True):
    """Timeline of the recipes of a run.

    Attributes:
        seconds: Its duration.
        part: The rows.
        ticks: Round times for the axis.
    """

    seconds: float
    part: Part[RecipeBar]
    ticks: tuple[float, ...]


class Content(Struct, frozen=True):
    """Content of the tab: the timeline of a recipe or that of the run; neither before it began.

    Attributes:
        steps: The timeline of the chosen or only recipe.
        recipes: The timeline of the run.
        now: Seconds from the start of the timeline to the present; 0 if it does not grow.
    """

    steps: Steps | None
    recipes: Recipes | None
    now: float


def content(view: RunView, one: Address) -> Content:
    """Return the content of the tab.

    Args:
        view: The run.
        one: The address of the page.
    """
    now = time.time() if view.record.state == "running" else epoch_seconds(view.record.last)
    recipe = chosen_recipe(view, one)
    if recipe is None and len(view.record.recipes) == 1:
        recipe = next(iter(view.record.recipes.values()))
    if recipe is None:
        return _of_run(view, one, now)
    return _of_recipe(view, recipe, one, now)


def _of_recipe(view: RunView, recipe: RecipeRecord, one: Address, now: float) -> Content:
    ran = [step for step in recipe.steps.values() if has_run(step)]
    shown = part(ran, one.page, PART)
    line = timeline_of(shown.rows, datetime.fromtimestamp(now, UTC).isoformat())
    if line is None:
        return Content(None, None, 0.0)
    critical = critical_path([step.block for step in shown.rows if step.block])
    path = critical.names if critical and line.lanes > 1 else ()
    rows = [
        StepBar(step_key(bar.step), bar, bar.step.state in ACTIVE, bar.step.name in path)
        for bar in line.bars
    ]
    grows = any(row.is_open for row in rows)
    steps = Steps(
        recipe=recipe.key,
        name=_name(recipe),
        verdict=verdict_of(recipe),
        others=len(view.record.recipes) - 1,
        line=line,
        part=shown._replace(rows=rows),
        path=path,
        critical=critical,
        notable=notable(ran, shown),
    )
    return Content(steps, None, now - line.began if grows else 0.0)


def has_run(step: StepRecord) -> bool:
    """Return True if a step has started, or waits for a lock; its report is not parsed."""
    if step.state in _DID_NOT_RUN:
        return False
    return step.started is not None or step.locked is not None or step.ended is not None


def _name(recipe: RecipeRecord) -> str:
    cell = f" [{recipe.about['cell']}]" if recipe.about.get("cell") else ""
    return cut(f"{recipe.about.get('name') or recipe.key}{cell}", 200)


def _of_run(view: RunView, one: Address, now: float) -> Content:
    bars = sorted(_recipe_bars(view, now), key=lambda bar: bar.start)
    if not bars:
        return Content(None, None, 0.0)
    began = bars[0].start
    seconds = max(*(bar.stop - began for bar in bars), 1e-6)
    shown = part(bars, one.page, PART)
    rows = [_since(bar, began) for bar in shown.rows]
    recipes = Recipes(seconds, shown._replace(rows=rows), ticks_of(seconds))
    return Content(None, recipes, now - began if any(bar.is_open for bar in bars) else 0.0)


def _since(bar: RecipeBar, began: float) -> RecipeBar:
    failures = [(at - began, key, name) for at, key, name in bar.failures]
    start, stop = bar.start - began, bar.stop - began
    return RecipeBar(bar.key, bar.name, bar.verdict, start, stop, bar.is_open, failures)


def _recipe_bars(view: RunView, now: float) -> Iterator[RecipeBar]:
    """Yield the bars of the recipes that ran, with times in seconds since the epoch.

    The times are those of the events, so that no report of a step is parsed.
    """
    for recipe in view.record.recipes.values():
        ran = [step for step in recipe.steps.values() if has_run(step)]
        starts = [step.started for step in ran if step.started]
        if not starts:
            continue
        is_open = any(step.state in ACTIVE for step in ran)
        ends = [step.finished for step in ran if step.finished]
        stop = now if is_open or not ends else epoch_seconds(max(ends))
        failed = [step for step in ran if look(step.state) == "failed"][:_MAX_FAILURES]
        failures = [
            (epoch_seconds(step.finished) if step.finished else stop, step_key(step), step.name)
            for step in failed
        ]
        start = epoch_seconds(min(starts))
        word = verdict_of(recipe)
        yield RecipeBar(recipe.key, _name(recipe), word, start, max(start, stop), is_open, failures)
