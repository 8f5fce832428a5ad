"""Trends of figures over the runs of the history store."""

from collections.abc import Iterable

from msgspec import Struct

from pytest_orchestrator.runs.compare.history import values_in
from pytest_orchestrator.runs.history.drift import (
    BaselineRange,
    Drift,
    Value,
    baseline_range,
    drift_of,
)
from pytest_orchestrator.runs.history.model import (
    FIGURES,
    MEASURED,
    PastMeasurement,
    PastRecipe,
    PastRun,
    PastStep,
    by_recipe,
)


class Point(Struct, frozen=True):
    """Point of a trend: the figure in one run.

    Attributes:
        run: Id of the run.
        start: Start of the recipe in that run, in ISO 8601 UTC.
        value: The figure.
        passed: True if the recipe passed in that run.
    """

    run: str
    start: str
    value: float
    passed: bool


class Trend(Struct, frozen=True):
    """Trend of a figure over the runs.

    Attributes:
        recipe: Key of the recipe.
        step: Name of the step.
        figure: ``seconds``, ``cpu_seconds``, ``max_rss``, or the name of a measurement.
        unit: Unit of the figure; empty if unknown.
        points: The runs, oldest first.
        usual: Range of the runs that passed; None if none did.
        drift: Drift of the last run from the passing ones before it.
        precision: Significant digits of a measurement; None means the default.
    """

    recipe: str
    step: str
    figure: str
    unit: str
    points: tuple[Point, ...]
    usual: BaselineRange | None
    drift: Drift | None
    precision: int | None = None


def trends(runs: Iterable[PastRun], name: str = "") -> list[Trend]:
    """Return the trends of figures over runs.

    Args:
        runs: The runs, newest first.
        name: Name of a step, for all its figures; or of a measurement, for all steps that have
            it. Empty for the seconds and the measurements of all steps.

    Returns:
        The trends, ordered by recipe, step and figure.
    """
    return [
        _trend(key, step, figure, points)
        for key, found in by_recipe(runs).items()
        for step, figures in _points(found).items()
        for figure, points in figures.items()
        if _is_selected(name, step, figure)
    ]


def _is_selected(name: str, step: str, figure: str) -> bool:
    if not name:
        return figure == "seconds" or figure.startswith(MEASURED)
    return name in (step, figure.removeprefix(MEASURED), f"{step}.{figure}")


_Points = list[tuple[Point, PastStep, PastRecipe, Value]]


def _points(runs: Iterable[tuple[PastRun, PastRecipe]]) -> dict[str, dict[str, _Points]]:
    """Return the points of each figure, newest first, by step and figure as they appear."""
    points: dict[str, dict[str, _Points]] = {}
    for run, recipe in runs:
        passed = recipe.is_reference
        for step in recipe.steps:
            for figure, value in values_in(recipe, step).items():
                point = Point(run.id, recipe.started, value.number, passed)
                known = points.setdefault(step.name, {}).setdefault(figure, [])
                known.append((point, step, recipe, value))
    return points


def _trend(recipe: str, step: str, figure: str, found: _Points) -> Trend:
    points = [point for point, *_ in reversed(found)]
    passed = [point.value for point in points if point.passed]
    name = figure.removeprefix(MEASURED)
    measured = [] if figure in FIGURES else [_measured(past, name) for _, past, *_ in found]
    _, _, newest, now = found[0]
    before = [
        value
        for _, _, past, value in found[1:]
        if past.is_reference and bool(past.simulated) == bool(newest.simulated)
    ]
    return Trend(
        recipe,
        step,
        name,
        FIGURES.get(figure) or next((one.unit for one in measured if one.unit), ""),
        tuple(points),
        baseline_range(passed) if passed else None,
        drift_of(now, before, figure),
        next((one.precision for one in measured if one.precision), None),
    )


def _measured(step: PastStep, name: str) -> PastMeasurement:
    return next(one for one in step.measurements if one.name == name)
