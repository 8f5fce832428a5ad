"""Texts of quantities: measurements with their limits, durations, local times, margins."""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from msgspec import UNSET, Struct

from pytest_orchestrator.core.figures.notation import Notation, difference, is_number, notation
from pytest_orchestrator.reports.text import cut, json_text
from pytest_orchestrator.runs.block import Measurement

MOST: Final = 200
"""Default maximum number of characters of a value."""
VERDICT_SIGNS: Final = {
    "pass": "✔",
    "marginal": "≈",
    "fail": "✘",
    "recorded": "·",
    "unset": "?",
    "conditional pass": "◐",
    "conditional fail": "✘",
    "not accepted (inside the limit)": "✘",
}


class Quantity(Struct, frozen=True):
    """Texts of a measurement; its numbers share the prefix of their unit and their decimals.

    Attributes:
        value: The value; a dash without one.
        unit: The unit with its prefix; may be empty.
        low: The lower limit; empty without one.
        high: The upper limit; empty without one.
        condition: The condition of a measurement without a range, as in ``= 5``; else empty.
        distance: Distance to the nearest limit, without a sign; empty without one.
        margin: Distance to the nearest limit as `margin_text` gives it; empty without one.
        exact: Value and unit as they were recorded.
        is_text: True if the value is no number.
    """

    value: str
    unit: str
    low: str
    high: str
    condition: str
    distance: str
    margin: str
    exact: str
    is_text: bool


def quantity(measured: Measurement, most: int = MOST) -> Quantity:
    """Return the texts of a measurement.

    Args:
        measured: The measurement.
        most: Maximum number of characters of a value or a limit.
    """
    return quantities([measured], most)[0]


def quantities(measured: Sequence[Measurement], most: int = MOST) -> list[Quantity]:
    """Return the texts of a measurement in several elements or cells.

    They share one notation, so that the limits are shown once, unless the measurement has a
    `precision`, or other limits or units in some of them.

    Args:
        measured: The measurements.
        most: Maximum number of characters of a value or a limit.
    """
    groups: dict[Any, list[Measurement]] = {}
    for at, one in enumerate(measured):
        key = at if one.precision else (one.unit, one.low, one.high, repr(one.equals))
        groups.setdefault(key, []).append(one)
    texts = {
        id(one): _quantity(one, made, most)
        for group in groups.values()
        for made in [_notation(group)]
        for one in group
    }
    return [texts[id(one)] for one in measured]


def _notation(measured: Sequence[Measurement]) -> Notation:
    one = measured[0]
    return notation(
        (each.value for each in measured),
        low=one.low,
        high=one.high,
        equals=one.equals,
        unit=cut(one.unit or "", MOST),
        precision=one.precision or None,
    )


def _quantity(measured: Measurement, made: Notation, most: int) -> Quantity:
    def text(value: Any) -> str:
        if value is UNSET:
            return ""
        return cut(made.text(value), most) if is_number(value) else json_text(value, most)

    condition = ""
    if measured.matches:
        condition = f"matches {json_text(measured.matches, most)}"
    elif measured.equals is not UNSET:
        condition = f"= {text(measured.equals)}"
    value = measured.value
    exact = "" if value is UNSET else json_text(value, MOST)
    side = nearest_side(measured)
    return Quantity(
        value=text(value) or "-",
        unit=made.unit,
        low="" if condition else text(measured.low),
        high="" if condition else text(measured.high),
        condition=condition,
        distance=made.distance(side.value, side.limit) if side else "",
        margin=margin_text(measured),
        exact=f"{exact} {measured.unit or ''}".strip(),
        is_text=value is not UNSET and not is_number(value),
    )


class Side(NamedTuple):
    """Side of a range: its limit, and how far a value is from it; negative outside."""

    apart: float
    value: float
    limit: float
    word: str


def nearest_side(measured: Measurement) -> Side | None:
    """Return the side of the limit that is nearest; None if no number has a limit."""
    value, low, high = measured.value, measured.low, measured.high
    if not is_number(value) or measured.margin is UNSET:
        return None
    sides = [Side(difference(value, low), value, low, "below")] if is_number(low) else []
    sides += [Side(difference(high, value), value, high, "above")] if is_number(high) else []
    return min(sides, default=None)


def decimals_of(texts: Iterable[Quantity]) -> int:
    """Return the decimals that a column keeps room for, so that its numbers align on the point."""
    numbers = (text for one in texts if not one.is_text for text in (one.value, one.low, one.high))
    return min(
        8, max((len(text.partition("e")[0].partition(".")[2]) for text in numbers), default=0)
    )


def has_limits(one: Measurement) -> bool:
    """Return True if a measurement has a limit or a condition."""
    return bool(one.matches) or any(limit is not UNSET for limit in (one.low, one.high, one.equals))


def verdict_of(one: Measurement) -> str:
    """Return the verdict of a measurement: pass, marginal, fail, recorded or unset.

    A value within its uncertainty of a limit has the word of its decision rule.
    """
    if one.decided:
        return one.decided
    if one.verdict != "pass":
        return one.verdict
    if not has_limits(one):
        return "recorded"
    return "marginal" if one.marginal else "pass"


_LOOKS: Final = {
    "pass": "passed",
    "marginal": "blocked",
    "fail": "failed",
    "recorded": "skipped",
    "unset": "failed",
    "conditional pass": "blocked",
    "conditional fail": "failed",
    "not accepted (inside the limit)": "failed",
}


def look_of(one: Measurement) -> str:
    """Return the style of a measurement; one that cannot fail its step does not look failed."""
    verdict = verdict_of(one)
    return "blocked" if one.allow_fail and one.verdict in ("fail", "unset") else _LOOKS[verdict]


def limits_text(texts: Quantity) -> str:
    """Return the limits of a measurement, as in ``≤ 50`` or ``1…2``; empty without a limit."""
    if texts.condition:
        return texts.condition
    if texts.low and texts.high:
        return f"{texts.low}…{texts.high}"
    return f"≥ {texts.low}" if texts.low else f"≤ {texts.high}" if texts.high else ""


def margin_number(measured: Measurement) -> float | None:
    """Return the number by which margins are sorted; negative outside, None without a limit.

    Returns:
        The distance to the nearest limit in percent of half the range between both limits, or of
        the absolute value of a single limit; the distance itself if that is zero.
    """
    side, whole = nearest_side(measured), _whole(measured)
    if side is None:
        return None
    return side.apart / whole * 100 if whole else side.apart


def _whole(measured: Measurement) -> float:
    """Return the figure of which a margin is a share; zero if a margin has no percent."""
    low, high = measured.low, measured.high
    if is_number(low) and is_number(high):
        return difference(high / 2, low / 2)
    return abs(low) if is_number(low) else abs(high) if is_number(high) else 0.0


def margin_text(measured: Measurement) -> str:
    """Return the margin in percent, see `margin_number`; a dash without a percentage.

    It has up to two decimals, fewer for large ones, and is empty for a value without a limit.
    """
    share = margin_number(measured)
    if share is None or not math.isfinite(share):
        return ""
    if not _whole(measured):
        return "-"
    sign = "-" if share < 0 else ""
    share = abs(share)
    if share >= 1e6:
        return f"{sign}{notation([share], precision=2).text(share)}"
    digits = 0 if share >= 100 else 1 if share >= 1 else 2
    if share and not float(f"{share:.{digits}f}"):
        return f"{sign}<0.01"
    return f"{sign}{share:.{digits}f}"


def duration(seconds: float) -> str:
    """Return a duration in its usual units, such as ``3 ms``, ``1.2 s`` or ``2 min 10 s``."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.0005 else "< 1 ms" if seconds else "0 s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    parts = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
    words = []
    for length, unit in parts:
        number, whole = divmod(whole, length)
        words.append((number, unit))
    first = next(at for at, (number, _) in enumerate(words) if number)
    # A day needs no seconds, but a minute does.
    shown = words[first : first + 3] if first == 0 else words[first : first + 2]
    return " ".join(f"{number} {unit}" for number, unit in shown if number)


def range_text(values: Sequence[float], unit: str) -> str:
    """Return the lowest and the highest of some figures, as in ``1.0 to 2.5 V``."""
    low, high = min(values), max(values)
    made = notation([low, high], unit=cut(unit, 20))
    return f"{made.text(low)} to {made.with_unit(high)}"


def local_time(ts: str) -> str:
    """Return a time in ISO 8601 UTC as local time with its offset; a dash if there is none."""
    try:
        moment = datetime.fromisoformat(ts).astimezone()
    except (ValueError, OverflowError, OSError):
        return "-"
    offset = f"{moment:%z}"
    hours = f"{offset[:3]}:{offset[3:5]}" if offset.strip("+-0") else ""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC{hours}"


def utc_time(ts: str) -> str:
    """Return a time in ISO 8601 UTC for people; empty if there is none."""
    return f"{ts[:10]} {ts[11:19]} UTC" if ts else ""


def need_of(one: Measurement) -> int:
    """Return the rank of a measurement in tables: 0 if it failed its step, then 1 and 2."""
    return {"failed": 0, "blocked": 1}.get(look_of(one), 2)
