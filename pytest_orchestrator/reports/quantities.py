"""Texts of quantities: values with SI prefixes, durations, local times, margins in percent."""

import math
from datetime import datetime
from typing import Any, Final, TypeGuard

from msgspec import UNSET, Struct

from pytest_orchestrator.core.text import figure
from pytest_orchestrator.reports.text import cut, json_text, size
from pytest_orchestrator.runs.block import Measurement

_PREFIXED: Final = frozenset(
    (
        "V",
        "A",
        "W",
        "Hz",
        "F",
        "H",
        "Ω",
        "\u2126",
        "Ohm",
        "ohm",
        "S",
        "J",
        "N",
        "Pa",
        "VA",
        "s",
        "B",
    )
)
"""Units that take a prefix. Others stay as the recipe has them: `m` may be metres or minutes."""
_WHOLE: Final = frozenset(("B",))
"""Units without prefixes for parts."""
_PREFIXES: Final = {-12: "p", -9: "n", -6: "µ", -3: "m", 3: "k", 6: "M", 9: "G", 12: "T"}
_PLAIN: Final = (0.1, 10_000.0)
"""Range of the largest figure of a measurement that needs no prefix."""
_MOST: Final = 200
VERDICT_SIGNS: Final = {"pass": "✔", "marginal": "≈", "fail": "✘", "recorded": "·", "unset": "?"}


class Quantity(Struct, frozen=True):
    """Texts of a measurement; its value and its limits have the same unit.

    Attributes:
        value: The value; a dash without one.
        unit: The unit, with an SI prefix if it makes the figures shorter; may be empty.
        low: The lower limit; empty without one.
        high: The upper limit; empty without one.
        condition: The condition of a measurement without a range, as in ``= 5``; else empty.
        margin: Distance to the nearest limit as `margin_percent` gives it; empty without one.
        exact: Value and unit as they were recorded.
        is_text: True if the value is no number.
    """

    value: str
    unit: str
    low: str
    high: str
    condition: str
    margin: str
    exact: str
    is_text: bool


def quantity(measured: Measurement) -> Quantity:
    """Return the texts of a measurement, with six significant digits or those of its limits."""
    precision = measured.precision or None
    unit = measured.unit or ""
    factor, prefix = _scale(measured, unit)

    def text(value: Any) -> str:
        if value is UNSET:
            return ""
        if not _is_number(value):
            return json_text(value, _MOST)
        scaled = value if factor == 1 else value * factor
        return figure(scaled or 0, precision)  # not -0

    condition = ""
    if measured.matches:
        condition = f"matches {json_text(measured.matches, _MOST)}"
    elif measured.equals is not UNSET:
        condition = f"= {text(measured.equals)}"
    exact = "" if measured.value is UNSET else json_text(measured.value, _MOST)
    return Quantity(
        value=text(measured.value) or "-",
        unit=prefix + unit,
        low="" if condition else text(measured.low),
        high="" if condition else text(measured.high),
        condition=condition,
        margin=margin_percent(measured),
        exact=f"{exact} {unit}".strip(),
        is_text=measured.value is not UNSET and not _is_number(measured.value),
    )


def _is_number(value: object) -> TypeGuard[float]:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and -1e300 < value < 1e300  # not NaN either
    )


def _scale(measured: Measurement, unit: str) -> tuple[float, str]:
    """Return the factor of the figures of a measurement, and the prefix of its unit."""
    figures = (measured.value, measured.low, measured.high, measured.equals)
    largest = max((abs(one) for one in figures if _is_number(one)), default=0.0)
    if unit not in _PREFIXED or not largest or _PLAIN[0] <= largest < _PLAIN[1]:
        return 1, ""
    power = max(-12, min(12, 3 * math.floor(math.log10(largest) / 3)))
    if power == 0 or (power < 0 and unit in _WHOLE):
        return 1, ""
    return 10.0**-power, _PREFIXES[power]


def has_limits(one: Measurement) -> bool:
    """Return True if a measurement has a limit or a condition."""
    return bool(one.matches) or any(limit is not UNSET for limit in (one.low, one.high, one.equals))


def verdict_of(one: Measurement) -> str:
    """Return the verdict of a measurement: pass, marginal, fail, recorded or unset."""
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
}


def look_of(one: Measurement) -> str:
    """Return the style of a measurement; one that cannot fail its step does not look failed."""
    verdict = verdict_of(one)
    return "blocked" if one.allow_fail and verdict in ("fail", "unset") else _LOOKS[verdict]


def limits_text(texts: Quantity) -> str:
    """Return the limits of a measurement, as in ``≤ 50`` or ``1…2``; empty without a limit."""
    if texts.condition:
        return texts.condition
    if texts.low and texts.high:
        return f"{texts.low}…{texts.high}"
    return f"≥ {texts.low}" if texts.low else f"≤ {texts.high}" if texts.high else ""


def margin_percent(measured: Measurement) -> str:
    """Return the distance of a value to the nearest limit in percent; negative outside.

    Returns:
        Percent of the range between both limits, or of the absolute value of a single limit, as
        for `marginal` in recipes; empty without a number, and if that is zero.
    """
    low, high, value = measured.low, measured.high, measured.value
    if not _is_number(value) or measured.margin is UNSET:
        return ""
    ends = [one for one in (low, high) if _is_number(one)]
    whole = abs(ends[1] - ends[0]) if len(ends) == 2 else abs(ends[0]) if ends else 0.0
    if not whole:
        return ""
    share = 100 * measured.margin / whole
    sign = "-" if share < 0 else ""
    share = abs(share)
    if share >= 1e6:
        return f"{sign}{share:.1e}".replace("e+", "e")
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


def with_unit(value: float, unit: str, precision: int | None = None) -> str:
    """Return a figure with its unit, without a prefix; bytes in a unit that suits their number.

    Args:
        value: The figure.
        unit: Its unit; may be empty.
        precision: Significant digits; None means the default.
    """
    if unit == "bytes":
        return size(round(value))
    return f"{figure(value, precision)} {cut(unit, 20)}".rstrip()


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
