"""Control charts of a measurement: individuals with the Western Electric rules, and moving range.

Centre and sigma are those of reference runs, the first ones that passed since the limits or the
instruments changed. The points that are judged follow them, so a point never moves its own limits.
"""

import statistics
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import Final

import msgspec

from pytest_orchestrator.runs.history.drift import LAST, Limits, Value

MOVING_RANGE: Final = 1.128
"""Mean range of two values of a normal distribution, in standard deviations (d2)."""
_RANGE_LIMIT: Final = 3.267
"""Upper limit of a range of two values, in mean ranges (D4)."""

_RULES: Final = ((1, 3.0, 1, 1), (2, 2.0, 2, 3), (3, 1.0, 4, 5), (4, 0.0, 8, 8))
"""For each rule its number and the sigma beyond which so many of the last points are, on one side.

Western Electric, Statistical Quality Control Handbook, 1956.
"""


class Judged(msgspec.Struct, frozen=True):
    """A value of a measurement; the first ones of reference runs set the limits of the chart."""

    run: str
    value: Value
    is_reference: bool


class Mark(msgspec.Struct, frozen=True):
    """A point that violates a rule.

    Attributes:
        run: Id of the run.
        rule: Number of the Western Electric rule, 1 to 4; 0 for the moving range.
    """

    run: str
    rule: int


class ControlChart(msgspec.Struct, frozen=True):
    """Control chart of a measurement at one station.

    Attributes:
        station: Name of the station; empty if unknown.
        centre: Mean of the reference runs since the last change of the limits or instruments.
        sigma: Their mean moving range / 1.128.
        range_limit: Upper limit of the moving range.
        judged: Number of the points that were judged, also before that change.
        marks: The points that violate a rule, the oldest first.
    """

    station: str
    centre: float
    sigma: float
    range_limit: float
    judged: int
    marks: tuple[Mark, ...]


def moving_ranges(values: Sequence[float]) -> list[float]:
    """Return the distances from each value to the next."""
    return [abs(b - a) for a, b in pairwise(values)]


def violated_rules(values: Iterable[float], centre: float, sigma: float) -> Iterator[int]:
    """Yield for each point the number of the first Western Electric rule that it violates, or 0.

    Args:
        values: The points.
        centre: The centre line.
        sigma: The standard deviation, above 0.
    """
    last: deque[float] = deque(maxlen=8)
    for value in values:
        last.appendleft((value - centre) / sigma)
        yield next((one[0] for one in _RULES if _is_violated(last, *one[1:])), 0)


def _is_violated(last: Sequence[float], sigmas: float, many: int, of: int) -> bool:
    side = 1 if last[0] > 0 else -1
    if side * last[0] <= sigmas:
        return False
    return sum(side * one > sigmas for one in [*last][:of]) >= many


def control_chart(station: str, judged: Sequence[Judged]) -> ControlChart | None:
    """Return the control chart of the values of one station.

    Args:
        station: Name of the station.
        judged: The values, the oldest first.

    Returns:
        The chart; None if there are never 20 reference runs, or they have no spread.
    """
    marks: list[Mark] = []
    found, count = None, 0
    for _, era in groupby(judged, _era):
        points = [*era]
        reference = [at for at, one in enumerate(points) if one.is_reference][:LAST]
        if len(reference) < LAST:
            continue
        numbers = [points[at].value.number for at in reference]
        centre, mean_range = statistics.fmean(numbers), statistics.fmean(moving_ranges(numbers))
        if not mean_range:
            continue
        after = points[reference[-1] + 1 :]
        later = [one.value.number for one in after]
        ranges = moving_ranges([numbers[-1], *later])
        rules = violated_rules(later, centre, mean_range / MOVING_RANGE)
        for one, rule, moved in zip(after, rules, ranges, strict=True):
            marks += [Mark(one.run, rule)] if rule else []
            marks += [Mark(one.run, 0)] if moved > _RANGE_LIMIT * mean_range else []
        count += len(after)
        found = centre, mean_range / MOVING_RANGE, _RANGE_LIMIT * mean_range
    return ControlChart(station, *found, count, tuple(marks)) if found else None


def _era(one: Judged) -> tuple[Limits | None, tuple[str, ...] | None]:
    return one.value.limits, one.value.instruments
