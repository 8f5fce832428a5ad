"""Process capability of a measurement: mean, sample standard deviation, Cp and Cpk."""

import math
import statistics
from collections.abc import Sequence

import msgspec


class Capability(msgspec.Struct, frozen=True):
    """Distribution of the values of a measurement, and its capability against the limits.

    Attributes:
        n: Number of the values.
        mean: Arithmetic mean, in the unit of the measurement; None without values.
        sigma: Sample standard deviation (n - 1); None for fewer than two values.
        least: The smallest value; None without values.
        most: The largest value; None without values.
        cp: Width of the limits divided by six sigma; None if there are not two limits.
        cpk: Distance of the mean to the nearest limit divided by three sigma, negative outside;
            None without a limit.

    Both `cp` and `cpk` are None for fewer than two values, and for values without any spread.
    """

    n: int
    mean: float | None = None
    sigma: float | None = None
    least: float | None = None
    most: float | None = None
    cp: float | None = None
    cpk: float | None = None


def capability(
    values: Sequence[float], low: float | None = None, high: float | None = None
) -> Capability:
    """Return the capability of a measurement.

    Args:
        values: The values; all are finite.
        low: The lower limit; None without one.
        high: The upper limit; None without one.
    """
    if not values:
        return Capability(0)
    # `statistics` computes with fractions: equal values have the spread 0, and huge ones no
    # overflow.
    mean = float(statistics.mean(values))
    sigma = float(statistics.stdev(values)) if len(values) > 1 else None
    cp = cpk = None
    if sigma:
        sides = [
            one
            for one in (
                None if low is None else (mean - low) / (3 * sigma),
                None if high is None else (high - mean) / (3 * sigma),
            )
            if one is not None
        ]
        cpk = _finite(min(sides)) if sides else None
        if low is not None and high is not None:
            cp = _finite((high - low) / (6 * sigma))
    return Capability(len(values), mean, sigma, min(values), max(values), cp, cpk)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
