"""Drift detection: a figure is compared with the range of its baseline, the earlier runs.

The range consists of the median and the median absolute deviation, because a single outlier moves
neither. A duration or a peak of memory has drifted if its deviation from the median exceeds three
limits: a factor, a multiple of the spread of the earlier values, and a minimum deviation. A
measurement has no factor, since a ratio of temperatures or of deviations means nothing: it exceeds
a multiple of the spread and a share of the range between its limits. It is compared with the last
runs and with the first ones, because a slow drift takes the median of the last runs along.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Final, Self

import msgspec
from msgspec import UNSET, UnsetType

if TYPE_CHECKING:
    from pytest_orchestrator.core.result import Measurement

FACTOR: Final = 2.0
"""Default of the factor: the highest ratio of a figure to its median that is no drift."""

ENOUGH: Final = 3
"""Number of earlier values that are needed to compare a figure."""

WITH_LIMITS: Final = 7
"""Number of earlier values that are needed to compare a measurement with limits."""
WITHOUT_LIMITS: Final = 20
"""Number of earlier values that are needed to compare a measurement without limits."""
LAST: Final = 20
"""Number of the last, and of the first runs with which a measurement is compared."""
SHARE: Final = 0.1
"""Share of the range between the limits that is no drift."""

_SPREADS: Final = 4.0
_SIGMA: Final = 1.4826
"""Factor from a median absolute deviation to the standard deviation of a normal distribution."""

FLOORS: Final[Mapping[str, float]] = {"seconds": 0.1, "cpu_seconds": 0.1, "max_rss": 16_000_000}
"""Smallest drift of a figure above its median; the start of a process alone varies by as much."""


class BaselineRange(msgspec.Struct, frozen=True):
    """Range of a figure in its baseline: the earlier runs with which it is compared.

    Attributes:
        median: Median of the earlier values.
        spread: Standard deviation of these values, estimated from the median absolute deviation.
        runs: Number of the earlier values.
    """

    median: float
    spread: float
    runs: int


class Drift(msgspec.Struct, frozen=True):
    """Deviation of a figure from its baseline.

    Attributes:
        value: The figure.
        baseline: The range in the baseline.
        limit: The highest value without drift; the lowest one if `value` is below the median.
        is_measured: True for a measurement.
        room: Range between its limits, or the distance of its only limit from the median; None for
            other figures and without limits.
        is_first: True if the baseline are the first runs since the limits or instruments changed.
    """

    value: float
    baseline: BaselineRange
    limit: float
    is_measured: bool = False
    room: float | None = None
    is_first: bool = False

    @property
    def factor(self) -> float:
        """The figure divided by the median."""
        return self.value / self.baseline.median if self.baseline.median else math.inf

    @property
    def deviations(self) -> float | None:
        """The distance from the median in robust deviations; None if all values were equal."""
        return _distance(self) / self.baseline.spread if self.baseline.spread else None

    @property
    def share(self) -> float | None:
        """The distance from the median as a share of the range between the limits, or None."""
        return _distance(self) / self.room if self.room else None

    @property
    def text(self) -> str:
        """The size: ``3 times``, or of a measurement ``86 deviations, 8.2 % of the range``."""
        from pytest_orchestrator.core.figures.notation import figure

        if not self.is_measured:
            return f"{figure(self.factor, most=3)} times"
        sizes = ((self.deviations, "deviations", 1), (self.share, "% of the range", 100))
        return ", ".join(
            f"{figure(size * by, most=3)} {word}" for size, word, by in sizes if size is not None
        )


def _distance(drift: Drift) -> float:
    return abs(drift.value - drift.baseline.median)


def baseline_range(figures: Sequence[float]) -> BaselineRange:
    """Return the range of earlier values.

    Args:
        figures: The earlier values, at least one.
    """
    from statistics import median

    middle = median(figures)
    spread = _SIGMA * median(abs(one - middle) for one in figures)
    return BaselineRange(middle, spread, len(figures))


def find_drift(
    value: float,
    figures: Sequence[float],
    factor: float = FACTOR,
    what: str = "",
    *,
    enough: int = ENOUGH,
) -> Drift | None:
    """Return the drift of a duration or memory above its earlier values; None without one.

    Args:
        value: The figure.
        figures: The earlier values.
        factor: Highest ratio of the figure to the median of the earlier values that is no drift.
        what: Name of the figure.
        enough: Number of earlier values that are needed.

    Returns:
        The drift; None if the figure has not drifted, or has too few earlier values.
    """
    if len(figures) < enough:
        return None
    baseline = baseline_range(figures)
    limit = baseline.median + max(
        _SPREADS * baseline.spread, FLOORS.get(what, 0.0), baseline.median * (factor - 1)
    )
    return Drift(value, baseline, limit) if baseline.median and value > limit else None


Limits = tuple[float | None, float | None]
"""The lower and the upper limit of a measurement; None without one."""


def limits_of(measured: "Measurement") -> Limits:
    """Return the limits of a measurement; one that is absent or infinite is None."""
    return _limit(measured.low), _limit(measured.high)


def _limit(value: float | UnsetType) -> float | None:
    return None if value is UNSET or not math.isfinite(value) else value


class Value(msgspec.Struct, frozen=True):
    """A figure of a step in one run, and what it may be compared with.

    Attributes:
        number: The figure.
        unit: Its unit; values in another one are not compared.
        limits: Its limits; None for a duration or memory.
        instruments: The instruments in use, with their calibrations; None if not known, which
            means those of the newest earlier run.
    """

    number: float
    unit: str = ""
    limits: Limits | None = None
    instruments: tuple[str, ...] | None = None

    @classmethod
    def of(
        cls, number: float, measured: "Measurement", instruments: tuple[str, ...] | None = None
    ) -> Self:
        """Return the value of a measurement."""
        return cls(number, measured.unit or "", limits_of(measured), instruments)

    @property
    def enough(self) -> int:
        """The number of earlier values that are needed to compare it."""
        if self.limits is None:
            return ENOUGH
        return WITHOUT_LIMITS if self.limits == (None, None) else WITH_LIMITS


def drift_of(
    now: Value,
    past: Sequence[Value],
    what: str,
    factor: float = FACTOR,
    *,
    last: int = LAST,
    enough: int | None = None,
) -> Drift | None:
    """Return the drift of a figure of the rule that it has; None if it has not drifted.

    Args:
        now: The figure.
        past: Its values in the earlier runs that passed, newest first, of a measurement as far
            back as they are known.
        what: Name of the figure, such as ``seconds``.
        factor: As for `find_drift`; a measurement has none.
        last: Number of the last runs that are compared; of a measurement at least as many as it
            needs.
        enough: Number of values that are needed; None for the usual number.
    """
    enough = now.enough if enough is None else enough
    same = [one for one in past if one.unit == now.unit]
    recent = [one.number for one in same[: max(last, enough)]]
    if now.limits is None:
        return find_drift(now.number, recent, factor, what, enough=enough)
    first = _first(now, same)
    return _measured_drift(now, recent, enough) or (
        _measured_drift(now, first, enough, is_first=True) if first != recent else None
    )


def _first(now: Value, past: Sequence[Value]) -> Sequence[float]:
    """Return the first values since the limits and the instruments are those of a value."""
    usual = past[0].instruments if past and now.instruments is None else now.instruments
    same = takewhile(lambda one: (one.limits, one.instruments) == (now.limits, usual), past)
    return [one.number for one in same][-LAST:]


def _measured_drift(
    now: Value, figures: Sequence[float], enough: int, *, is_first: bool = False
) -> Drift | None:
    if len(figures) < enough:
        return None
    baseline = baseline_range(figures)
    middle, spread = baseline.median, baseline.spread
    ordered = sorted({*figures})
    if len(ordered) > 1:
        steps = (b - a for a, b in pairwise(ordered))
        spread = max(spread, min(steps) / 2)
    low, high = now.limits or (None, None)
    ends = [one for one in (low, high) if one is not None]
    room = abs(ends[-1] - (ends[0] if len(ends) > 1 else middle)) if ends else None
    if room is None and not spread:
        return None
    least = max(_SPREADS * spread, SHARE * (room or 0.0))
    if abs(now.number - middle) <= least:
        return None
    limit = middle + math.copysign(least, now.number - middle)
    found = BaselineRange(middle, spread, len(figures))
    return Drift(now.number, found, limit, is_measured=True, room=room, is_first=is_first)
