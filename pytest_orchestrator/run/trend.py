"""A figure of a step from run to run."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pytest_orchestrator.run.drift import Drift, Usual, drifted, usual
from pytest_orchestrator.run.history import FIGURES, MEASURED, History, Once


class Point(NamedTuple):
    """The figure in one run.

    Attributes:
        run: Id of the run.
        start: When the recipe began there, in ISO 8601 UTC.
        value: The figure.
        passed: The recipe passed there.
    """

    run: str
    start: str
    value: float
    passed: bool


class Trend(NamedTuple):
    """A figure over the runs.

    Attributes:
        recipe: Key of the recipe.
        step: Name of the step.
        figure: ``seconds``, ``cpu_seconds``, ``max_rss``, or the name of a measurement.
        unit: What it is in; empty where that is not known.
        points: The runs, the oldest first.
        usual: Of those that passed; None where none did.
        drift: In which way the last one is out of what those before it had.
    """

    recipe: str
    step: str
    figure: str
    unit: str
    points: tuple[Point, ...]
    usual: Usual | None
    drift: Drift | None


def trends(folders: Iterable[Path], name: str = "") -> list[Trend]:
    """Follow figures from run to run.

    Args:
        folders: Folders of runs, the newest first.
        name: Name of a step: all its figures; or of a measurement, wherever it is taken.
            Empty are the seconds and the measurements of all steps.

    Returns:
        The trends, by recipe, step and figure.
    """
    history = History(folders)
    history.read_all()
    return [
        _trend(history, recipe, step, figure)
        for recipe in history.recipes
        for step, figures in _known(history.of(recipe)).items()
        for figure in figures
        if _is_meant(name, step, figure)
    ]


def _is_meant(name: str, step: str, figure: str) -> bool:
    if not name:
        return figure == "seconds" or figure.startswith(MEASURED)
    return name in (step, figure.removeprefix(MEASURED), f"{step}.{figure}")


def _known(times: Iterator[Once]) -> dict[str, dict[str, None]]:
    """Return the figures of each step, as names in order."""
    found: dict[str, dict[str, None]] = {}
    for once in times:
        for step, figures in once.steps.items():
            found.setdefault(step, {}).update(dict.fromkeys(figures))
    return found


def _trend(history: History, recipe: str, step: str, figure: str) -> Trend:
    points = [
        Point(once.run, once.started, once.steps[step][figure], once.passed)
        for once in history.of(recipe)
        if figure in once.steps.get(step, ())
    ][::-1]
    good = [point.value for point in points if point.passed]
    before = [point.value for point in points[:-1] if point.passed]
    what = figure if figure in FIGURES else ""
    return Trend(
        recipe,
        step,
        figure.removeprefix(MEASURED),
        FIGURES.get(figure) or history.units.get((recipe, step, figure), ""),
        tuple(points),
        usual(good) if good else None,
        drifted(points[-1].value, before, what=what),
    )
