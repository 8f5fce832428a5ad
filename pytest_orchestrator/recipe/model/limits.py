"""Limits of a measurement: the range of values that pass, and the range that is not marginal."""

from collections.abc import Iterator

from pytest_orchestrator.recipe.model.options import Marginal, Measurement

Range = tuple[float | None, float | None]
"""The lowest and the highest value of a range; None where the range has no end."""

NUMERIC = ("low", "high", "within", "nominal")
"""Keys of a measurement that limit a number."""


class LimitsError(ValueError):
    """No value can meet the limits of a measurement, or none can be marginal.

    Attributes:
        key: The key of the measurement that is wrong.
    """

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(reason)
        self.key = key


def limits_of(measurement: Measurement) -> Range:
    """Return the range of values that pass, by all limits of a measurement.

    Args:
        measurement: The measurement, without expressions in its limits.

    Raises:
        LimitsError: No value is inside of all limits.
    """
    low, high = measurement.low, measurement.high
    for middle, width in _ranges(measurement):
        low = middle - width if low is None else max(low, middle - width)
        high = middle + width if high is None else min(high, middle + width)
    if low is not None and high is not None and low > high:
        key = next(key for key in NUMERIC if getattr(measurement, key) is not None)
        raise LimitsError(key, f"its limits cross: low {low:.6g}, high {high:.6g}")
    return low, high


def _ranges(measurement: Measurement) -> Iterator[tuple[float, float]]:
    """Yield the middle and the half-width of each range that a measurement names."""
    if measurement.within is not None:
        of = measurement.within.of
        yield of, abs(of) * measurement.within.percent / 100
    nominal, tolerance = measurement.nominal, measurement.tolerance
    if nominal is not None and tolerance is not None:
        if isinstance(tolerance, str):
            tolerance = abs(nominal) * float(tolerance.removesuffix("%")) / 100
        yield nominal, tolerance


def clear_range(marginal: Marginal, limits: Range) -> Range:
    """Return the range of values that pass and are not marginal.

    Args:
        marginal: The key of the measurement, without expressions.
        limits: The range of values that pass.

    Raises:
        LimitsError: The range is empty, or each value that passes is in it.
    """
    low, high = limits
    if marginal.percent is not None:
        share, width = marginal.percent / 100, None
        if low is not None and high is not None:
            width = high - low
        clear = (
            None if low is None else low + share * (abs(low) if width is None else width),
            None if high is None else high - share * (abs(high) if width is None else width),
        )
    else:
        clear = marginal.low, marginal.high
    _check_clear_range(clear, limits)
    return clear


def _check_clear_range(clear: Range, limits: Range) -> None:
    low, high = clear
    for side, limit, clear_limit in zip(("low", "high"), limits, clear, strict=True):
        if clear_limit is None:
            continue
        if limit is None:
            raise LimitsError("marginal", f"it has a marginal {side}, but no {side} limit")
        inside = clear_limit > limit if side == "low" else clear_limit < limit
        if not inside:
            nearer = "above" if side == "low" else "below"
            shown = f"marginal {side} {clear_limit:.6g} is not {nearer} its {side} {limit:.6g}"
            raise LimitsError("marginal", f"its {shown}")
    if low is not None and high is not None and low > high:
        shown = f"low {low:.6g}, high {high:.6g}"
        raise LimitsError("marginal", f"its marginal limits cross: {shown}")
