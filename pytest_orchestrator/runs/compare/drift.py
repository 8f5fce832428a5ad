"""Drift detection: a figure is compared with the range of its baseline, the earlier runs.

The range consists of the median and the median absolute deviation, because a single outlier moves
neither. A figure has drifted if its deviation from the median exceeds three limits: a factor, a
multiple of the spread of the earlier values, and a minimum deviation.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

FACTOR: Final = 2.0
"""Default of the factor: the highest ratio of a figure to its median that is no drift."""

ENOUGH: Final = 3
"""Number of earlier values that are needed to compare a figure."""

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
    """

    value: float
    baseline: BaselineRange
    limit: float

    @property
    def factor(self) -> float:
        """The figure divided by the median."""
        return self.value / self.baseline.median if self.baseline.median else math.inf


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
    """Return the drift of a figure from its earlier values; None if it has not drifted.

    Args:
        value: The figure.
        figures: The earlier values.
        factor: Highest ratio of the figure to the median of the earlier values that is no drift.
        what: Name of the figure. Of one in `FLOORS` only a high value is drift, of a measurement
            a low value too.
        enough: Number of earlier values that are needed.

    Returns:
        The drift; None if the figure has not drifted, or has too few earlier values.
    """
    if len(figures) < enough:
        return None
    baseline = baseline_range(figures)
    room = max(_SPREADS * baseline.spread, FLOORS.get(what, 0.0))
    size = abs(baseline.median)
    if value > baseline.median:
        limit = baseline.median + max(room, size * (factor - 1))
        return Drift(value, baseline, limit) if size and value > limit else None
    limit = baseline.median - max(room, size * (1 - 1 / factor))
    return Drift(value, baseline, limit) if size and what not in FLOORS and value < limit else None
