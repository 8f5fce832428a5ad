"""Charts of measurements: sampled values, curves over elements and cells, history."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from msgspec import Struct

from pytest_orchestrator.core.figures.notation import figure
from pytest_orchestrator.monitor.address import step_key
from pytest_orchestrator.monitor.pages.step import step_view
from pytest_orchestrator.monitor.run_cache import RunView
from pytest_orchestrator.reports import trends as histories
from pytest_orchestrator.reports.html.cell_view import matrices
from pytest_orchestrator.reports.html.curve import CurvePicture, picture
from pytest_orchestrator.reports.html.element_view import Curve
from pytest_orchestrator.reports.html.element_view import curves as element_curves
from pytest_orchestrator.reports.quantities import local_time
from pytest_orchestrator.reports.text import cut
from pytest_orchestrator.runs.history.backfill import earlier
from pytest_orchestrator.runs.record import ACTIVE, RecipeRecord, StepRecord

_MAX_CURVES: Final = 12
_MAX_CELLS: Final = 2_000
_BYTE_BUDGET: Final = 8 << 20
"""Largest total size of the history of earlier runs that a page reads."""
_MAX_AGE: Final = 30.0
"""Seconds after which the histories of a live run are read again."""
_MAX_HISTORIES: Final = 8
_MAX_VALUE: Final = 200


class Sampled(Struct, frozen=True):
    """A sampled value.

    Attributes:
        key: Key of its step in URLs.
        name: Its name.
        value: Its last sample.
        is_live: True if it is sampled at the moment.
        is_outside: True if a sample was outside the limits.
        picture: Its curve; None before the end of the sampling.
    """

    key: str
    name: str
    value: str
    is_live: bool
    is_outside: bool
    picture: CurvePicture | None


def sampled(recipes: Iterable[RecipeRecord]) -> list[Sampled]:
    """Return the sampled values of recipes.

    Args:
        recipes: The recipes.
    """
    return [one for recipe in recipes for one in _sampled(recipe)]


def _sampled(recipe: RecipeRecord) -> Iterator[Sampled]:
    for name, last in recipe.samples.last.items():
        step = recipe.steps.get(name)
        drawn = picture(step.block) if step and step.block else None
        is_outside = name in recipe.samples.violated
        key = step_key(step) if step else ""
        is_live = step is None or step.state in (*ACTIVE, "waiting")
        yield Sampled(key, name, figure(last.value), is_live, is_outside, drawn)


class Curves(Struct, frozen=True):
    """Curves of measurements over elements of ``foreach`` and cells of matrices.

    Attributes:
        rows: Each with the step or recipe, its link, and the curve.
        total: Number of all curves.
        cells: Number of steps in the cells of matrices, if they are too many for curves; else 0.
    """

    rows: list[tuple[str, str, Curve]]
    total: int
    cells: int


def curves(view: RunView, recipes: Sequence[RecipeRecord], chosen: StepRecord | None) -> Curves:
    """Return the first curves over elements and cells.

    Args:
        view: The run.
        recipes: The recipes whose curves are drawn.
        chosen: The only step whose curves over elements are drawn; None for all.
    """
    drawn: list[tuple[str, str, Curve]] = []
    total = 0
    cells = _cells(view, recipes)
    number = sum(len(steps) for _, steps in cells)
    if number > _MAX_CELLS:
        cells = []
    for name, key, curve in _curves(view, recipes, cells, chosen):
        total += 1
        if total <= _MAX_CURVES:
            drawn.append((name, key, curve))
    return Curves(drawn, total, number if number > _MAX_CELLS else 0)


_Cells = list[tuple[RecipeRecord, list[StepRecord]]]


def _curves(
    view: RunView, recipes: Sequence[RecipeRecord], cells: _Cells, chosen: StepRecord | None
) -> Iterator[tuple[str, str, Curve]]:
    steps = [chosen] if chosen else [step for one in recipes for step in one.steps.values()]
    for step in steps:
        if step.elements or (step.block and step.block.elements):
            for curve in element_curves(step.block_elements):
                yield step.name, step_key(step), curve
    views = [(recipe, [step_view(view, step) for step in steps]) for recipe, steps in cells]
    for matrix in matrices(views, _MAX_VALUE):
        for curve in matrix.curves:
            yield f"{matrix.step} ({matrix.recipe})", "", curve


def _cells(view: RunView, recipes: Sequence[RecipeRecord]) -> _Cells:
    """Return the cells of matrices with their steps; of a chosen cell, those of its recipe."""
    paths = {recipe.about.get("path") for recipe in recipes}
    cells = []
    for recipe in view.record.recipes.values():
        if recipe.about.get("path") in paths:
            is_cell = bool(recipe.about.get("matrix"))
            steps = [step for step in recipe.steps.values() if is_cell or step.about.get("matrix")]
            if steps:
                cells.append((recipe, steps))
    return cells


TREND_WIDTH: Final = 340
TREND_HEIGHT: Final = 120
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 10, 10, 22


class Point(NamedTuple):
    """Point of a history: its position, True if the value passed, and its text."""

    x: float
    y: float
    passed: bool
    title: str


class Trend(Struct, frozen=True):
    """History of a figure over runs, with positions in a picture.

    Attributes:
        name: Name of the figure.
        unit: Its unit.
        line: The points as in the attribute ``points`` of a ``polyline``.
        points: The points, the oldest first.
        limits: Heights and texts of the limits.
        band: Top and height of the range within the limits; None without limits.
        ticks: Heights and texts on the axis of values.
        first: Day of the first point.
        last: Day of the last point.
        label: Description for a screen reader.
        total: Number of all figures with a history.
    """

    name: str
    unit: str
    line: str
    points: list[Point]
    limits: list[tuple[float, str]]
    band: tuple[float, float] | None
    ticks: list[tuple[float, str]]
    first: str
    last: str
    label: str
    total: int


_cached: dict[str, tuple[str, float, list[Trend]]] = {}


def trends(view: RunView, recipe: str) -> list[Trend]:
    """Return the histories of figures of a run over earlier runs.

    They are read once; while the run goes on, again after some time.

    Args:
        view: The run.
        recipe: Key of the only recipe whose figures are returned; empty for all.
    """
    key, state, now = f"{view.folder} {recipe}", view.record.state, time.monotonic()
    known = _cached.get(key)
    if known and known[0] == state and (state != "running" or now - known[1] < _MAX_AGE):
        return known[2]
    found = histories.trends(view.record, earlier(view.record, view.folder, _BYTE_BUDGET), recipe)
    drawn = [trend(one) for one in found]
    _cached.pop(key, None)
    _cached[key] = (state, now, drawn)
    for old in islice([*_cached], max(0, len(_cached) - _MAX_HISTORIES)):
        _cached.pop(old, None)
    return drawn


def trend(history: Mapping[str, Any]) -> Trend:
    """Return the picture of a history.

    Args:
        history: A figure, as `reports.trends` returns it.
    """
    points, unit, made = history["points"], history["unit"], history["notation"]
    limits = [history[name] for name in ("low", "high") if name in history]
    values = [float(point["value"]) for point in points]
    least, most = min([*values, *limits]), max([*values, *limits])
    room = (most - least) * 0.12 or abs(most) * 0.1 or 1.0
    bottom = min(0.0, least) if unit == "s" and not limits else least - room
    top = most + room
    height = TREND_HEIGHT - _TOP - _BOTTOM

    def x(place: int) -> float:
        step = (TREND_WIDTH - _LEFT - _RIGHT) / max(1, len(points) - 1)
        return round(_LEFT + step * place, 1)

    def y(value: float) -> float:
        return float(round(_TOP + height * (top - value) / (top - bottom), 1))

    drawn = [
        Point(
            x(place),
            y(value),
            point["passed"],
            f"{_day(point)} {point['run']}: {made.with_unit(value)}",
        )
        for place, (point, value) in enumerate(zip(points, values, strict=True))
    ]
    edge = y(history["high"]) if "high" in history else _TOP
    end = y(history["low"]) if "low" in history else _TOP + height
    failed = sum(not point["passed"] for point in points)
    return Trend(
        name=cut(history["name"], 200),
        unit=made.unit,
        line=" ".join(f"{point.x},{point.y}" for point in drawn),
        points=drawn,
        limits=[(y(one), made.with_unit(one)) for one in limits],
        band=(edge, round(max(0.0, end - edge), 1)) if limits else None,
        ticks=[(y(one), made.with_unit(one)) for one in _ticks(values, bottom)],
        first=_day(points[0]),
        last=_day(points[-1]),
        label=f"{history['name']} in {len(points)} runs: {made.with_unit(min(values))} to "
        f"{made.with_unit(max(values))}, last {made.with_unit(values[-1])}, {failed} not passed",
        total=history["total"],
    )


def _ticks(values: Sequence[float], bottom: float) -> Iterator[float]:
    """Yield the values on the axis: the largest, and the least if it is not too near."""
    yield max(values)
    if bottom == 0:
        yield 0.0
    elif max(values) - min(values) > (max(values) - bottom) * 0.2:
        yield min(values)


def _day(point: Mapping[str, Any]) -> str:
    return local_time(str(point.get("start") or ""))[:16]
