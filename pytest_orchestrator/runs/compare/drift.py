"""Drift detection: whether a figure is outside the usual range of earlier runs.

Median and median absolute deviation, since one odd run moves neither. A figure has drifted
where it is beyond a factor of the median *and* beyond what the spread of the earlier ones
explains *and* by more than what nobody would notice.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final, NamedTuple

FACTOR: Final = 2.0
"""How many times the median a figure may be where nobody says otherwise."""

ENOUGH: Final = 3
"""Of fewer earlier figures nothing can be said."""

_SPREADS: Final = 4.0
_SIGMA: Final = 1.4826
"""What makes a median absolute deviation the standard deviation of a normal distribution."""

FLOORS: Final[Mapping[str, float]] = {"seconds": 0.1, "cpu_seconds": 0.1, "max_rss": 16_000_000}
"""What a figure must be beyond the median at least: the start of a process varies by as much."""


class UsualRange(NamedTuple):
    """What a figure mostly is.

    Attributes:
        median: Of the earlier figures.
        spread: Their standard deviation, as the median absolute deviation tells it.
        runs: How many there are.
    """

    median: float
    spread: float
    runs: int


class Drift(NamedTuple):
    """A figure that is out of the usual.

    Attributes:
        value: The figure.
        usual: What it mostly is.
        limit: What it might have been at most; at least, where it is below.
    """

    value: float
    usual: UsualRange
    limit: float

    @property
    def factor(self) -> float:
        """How many times the median it is."""
        return self.value / self.usual.median if self.usual.median else math.inf


def usual_range(figures: Sequence[float]) -> UsualRange:
    """Tell what a figure mostly is.

    Args:
        figures: The earlier ones, at least one.
    """
    middle = median(figures)
    spread = _SIGMA * median(abs(one - middle) for one in figures)
    return UsualRange(middle, spread, len(figures))


def drifted(
    value: float, figures: Sequence[float], factor: float = FACTOR, what: str = ""
) -> Drift | None:
    """Tell whether a figure is out of the usual.

    Args:
        value: The figure.
        figures: The earlier ones.
        factor: How many times their median it may be.
        what: What it is, such as ``seconds``: less of that is never out of the usual. Empty
            is a measurement, which may be too small as well as too large.

    Returns:
        In which way; None where it is not, or where too few are known to say so.
    """
    if len(figures) < ENOUGH:
        return None
    known = usual_range(figures)
    room = max(_SPREADS * known.spread, FLOORS.get(what, 0.0))
    size = abs(known.median)
    if value > known.median:
        limit = known.median + max(room, size * (factor - 1))
        return Drift(value, known, limit) if size and value > limit else None
    limit = known.median - max(room, size * (1 - 1 / factor))
    return Drift(value, known, limit) if size and not what and value < limit else None
