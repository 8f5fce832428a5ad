"""Changes of a recipe since the last run in which it passed, from the history store.

`compare` reports the same differences between any two runs that have journals; the last good run
may be older than all of these.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from msgspec import Struct

from pytest_orchestrator.runs.compare.comparison import differences, flat
from pytest_orchestrator.runs.compare.history import values_in
from pytest_orchestrator.runs.history.drift import ENOUGH, FACTOR, FLOORS, Drift, Value, drift_of
from pytest_orchestrator.runs.history.model import MEASURED, PastRecipe, PastRun

Runs = Sequence[tuple[PastRun, PastRecipe]]
"""Runs of a recipe, newest first."""

Kind = Literal["recipe", "file", "var", "test_meta", "environment", "selection"]

_MOST_STEPS: Final = 1_000


class Change(Struct, frozen=True):
    """A difference between two runs of a recipe.

    Attributes:
        kind: The kind of what differs: text of the recipe, file of a step, var, key of `test_meta`,
            environment (``host`` too), number of selected steps.
        name: Its name or path.
        was: The earlier value; None if it did not exist. Of a file it is its SHA-256.
        now: The later value; None if it does not exist.
    """

    kind: Kind
    name: str
    was: Any
    now: Any


class Deviation(Struct, frozen=True):
    """A figure of a step that is out of the usual.

    Attributes:
        step: Name of the step.
        figure: ``seconds``, ``cpu_seconds``, ``max_rss``, or the name of a measurement.
        unit: Unit of the figure; may be empty.
        precision: Significant digits of a measurement; None means the default.
        drift: The drift.
    """

    step: str
    figure: str
    unit: str
    precision: int | None
    drift: Drift


def last_good(recipe: PastRecipe, earlier: Runs) -> tuple[PastRun, PastRecipe] | None:
    """Return the newest earlier run in which a recipe passed with at least as many steps."""
    good = (
        (run, past)
        for run, past in earlier
        if past.is_reference and past.selected >= recipe.selected
    )
    return next(good, None)


def changes(a: tuple[PastRun, PastRecipe], b: tuple[PastRun, PastRecipe]) -> Iterator[Change]:
    """Yield the differences between two runs of a recipe.

    Args:
        a: The earlier run.
        b: The later run.
    """
    (run_a, recipe_a), (run_b, recipe_b) = a, b
    if recipe_a.digest != recipe_b.digest:
        yield Change("recipe", recipe_b.path, recipe_a.digest, recipe_b.digest)
    yield from _changes("file", recipe_a.digests, recipe_b.digests)
    yield from _changes("var", recipe_a.vars, recipe_b.vars)
    yield from _changes("test_meta", flat(recipe_a.test_meta), flat(recipe_b.test_meta))
    before, after = ({"host": run.host} | flat(run.environment) for run in (run_a, run_b))
    yield from _changes("environment", before, after)
    if recipe_a.selected != recipe_b.selected:
        yield Change("selection", "", recipe_a.selected, recipe_b.selected)


def _changes(kind: Kind, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Change]:
    for name, was, now in differences(a, b):
        yield Change(kind, name, was, now)


def deviations(recipe: PastRecipe, earlier: Runs) -> Iterator[Deviation]:
    """Yield the figures of a recipe that are out of the usual of the earlier runs that passed.

    Args:
        recipe: The recipe, of which the first 1,000 steps are compared.
        earlier: Its earlier runs.
    """
    past = [
        each
        for _, each in earlier
        if each.is_reference and bool(each.simulated) == bool(recipe.simulated)
    ]
    if len(past) < ENOUGH:
        return
    names = [each.by_name for each in past]
    for step in recipe.steps[:_MOST_STEPS]:
        values = values_in(recipe, step)
        steps = [(each, by_name.get(step.name)) for each, by_name in zip(past, names, strict=True)]
        before = [values_in(*one) for one in steps] if values else []
        for name, value in values.items():
            same = [each[name] for each in before if name in each]
            is_quick = value.limits is None and not _may_drift(value.number, same, name)
            drift = None if is_quick else drift_of(value, same, name)
            if drift is not None:
                figure = name.removeprefix(MEASURED)
                found = (one for one in step.measurements if MEASURED + one.name == name)
                measured = next(found, None)
                precision = (measured and measured.precision) or None
                yield Deviation(step.name, figure, value.unit, precision, drift)


def _may_drift(value: float, values: Sequence[Value], what: str) -> bool:
    """Return False if a duration or memory surely has no drift, faster than by its range.

    A drift is above the median, and so above the lowest value, by a factor and by a minimum.
    """
    if len(values) < ENOUGH:
        return False
    low = min(one.number for one in values)
    return low <= 0 or value > max(low * FACTOR, low + FLOORS.get(what, 0.0))
