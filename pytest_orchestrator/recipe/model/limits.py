"""Limits of a measurement: the range of values that pass, and the range that is not marginal."""

import sys
from collections.abc import Iterator
from typing import Any

from pytest_orchestrator.core.figures.exact import Number, exact, violated
from pytest_orchestrator.core.figures.notation import notation
from pytest_orchestrator.recipe.model.measurements import Marginal, Measurement

Range = tuple[Number | None, Number | None]
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
    low: Number | None = measurement.low
    high: Number | None = measurement.high
    key = next((key for key in NUMERIC if getattr(measurement, key) is not None), "")
    for middle, width in _ranges(measurement):
        if abs(middle) + width > exact(sys.float_info.max):
            raise LimitsError(key, "its limits are too large for a number")
        low = middle - width if low is None else max(low, middle - width, key=exact)
        high = middle + width if high is None else min(high, middle + width, key=exact)
    if low is not None and high is not None and violated(low, None, high):
        raise LimitsError(key, f"its limits cross: {_range_text(low, high)}")
    return low, high


def _ranges(measurement: Measurement) -> Iterator[tuple[Any, Any]]:
    """Yield the middle and the half-width of each range that a measurement names."""
    if measurement.within is not None:
        of = exact(measurement.within.of)
        yield of, abs(of) * exact(measurement.within.percent) / 100
    nominal, tolerance = measurement.nominal, measurement.tolerance
    if nominal is not None and tolerance is not None:
        if isinstance(tolerance, str):
            share = exact(tolerance.removesuffix("%").strip())
            yield exact(nominal), abs(exact(nominal)) * share / 100
        elif isinstance(nominal, int) and isinstance(tolerance, int):
            yield nominal, tolerance  # integers stay integers in reports
        else:
            yield exact(nominal), exact(tolerance)


def _range_text(low: Number, high: Number) -> str:
    made = notation([low], high=high)
    return f"low {made.text(low)}, high {made.text(high)}"


def clear_range(measurement: Measurement, limits: Range) -> Range:
    """Return the range of values that pass and are not marginal.

    Args:
        measurement: The measurement, without expressions in `marginal`.
        limits: The range of values that pass.

    Raises:
        LimitsError: The range is empty, or each value that passes is in it.
    """
    low, high = (None if one is None else exact(one) for one in limits)
    marginal = measurement.marginal or Marginal()
    if marginal.percent is not None:
        share, width = exact(marginal.percent) / 100, None
        if low is not None and high is not None:
            width = high - low
        clear: Range = (
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
        between = (clear_limit, limit) if side == "low" else (limit, clear_limit)
        if not violated(between[0], None, between[1]):
            nearer = "above" if side == "low" else "below"
            made = notation([clear_limit], equals=limit)
            end, edge = made.text(clear_limit), made.text(limit)
            shown = f"marginal {side} {end} is not {nearer} its {side} {edge}"
            raise LimitsError("marginal", f"its {shown}")
    if low is not None and high is not None and violated(low, None, high):
        shown = _range_text(low, high)
        raise LimitsError("marginal", f"its marginal limits cross: {shown}")
