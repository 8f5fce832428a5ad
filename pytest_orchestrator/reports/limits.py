"""Where a measured value lies between its limits, for a bar that shows it."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple


class Limits(NamedTuple):
    """A bar, from 0 at its left to 1 at its right.

    Attributes:
        value: Where the value is.
        low: Where the range that is wanted begins; 0 where it has no lower limit.
        high: Where it ends; 1 where it has no upper one.
        is_point: One value is wanted, not a range.
    """

    value: float
    low: float
    high: float
    is_point: bool


def limits(measured: Mapping[str, Any]) -> Limits | None:
    """Return the bar of a measurement; None where there is no number, or no limit.

    Args:
        measured: A measurement as the block of a step has it.
    """
    value, equals = _number(measured.get("value")), _number(measured.get("equals"))
    low, high = _number(measured.get("low")), _number(measured.get("high"))
    if equals is not None:
        low = high = equals
    known = [one for one in (low, high) if one is not None]
    if value is None or not known:
        return None
    least, most = min([value, *known]), max([value, *known])
    # With one limit, as much room on its good side as makes a value near it look near.
    if len(known) == 1:
        room = max(abs(value - known[0]), abs(known[0]) * 0.5, 1e-12)
        least, most = min(least, known[0] - room), max(most, known[0] + room)
    if not (most > least):
        least, most = least - (abs(least) or 1.0) / 2, most + (abs(most) or 1.0) / 2
    span = most - least
    if not math.isfinite(span):
        return None
    least, span = least - span * 0.12, span * 1.24

    def at(place: float) -> float:
        return round(min(1.0, max(0.0, (place - least) / span)), 4)

    return Limits(
        at(value),
        0.0 if low is None else at(low),
        1.0 if high is None else at(high),
        low is not None and low == high,
    )


def _number(value: Any) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer that no float can be
        return None
    return number if math.isfinite(number) else None
