"""Texts of measurements: value, limits and the distance to the nearest limit."""

from typing import Any

from msgspec import UNSET

from pytest_orchestrator.core.text import figure
from pytest_orchestrator.reports.text import cut, json_text
from pytest_orchestrator.runs.block import Measurement


def expected(measured: Measurement, most: int) -> str:
    """Return the limits of a measurement, as in `≤ 50` or `1…2`; empty without a limit.

    Args:
        measured: The measurement.
        most: Maximum number of characters of a limit.
    """
    if measured.matches:
        return f"matches {cut(measured.matches, most)}"
    precision = measured.precision or None
    low, high, equals = (
        "" if one is UNSET else value_text(one, precision, most)
        for one in (measured.low, measured.high, measured.equals)
    )
    if equals:
        return f"= {equals}"
    if low and high:
        return f"{low}…{high}"
    return f"≥ {low}" if low else f"≤ {high}" if high else ""


def value_text(value: Any, precision: int | None, most: int) -> str:
    """Return a value or a limit of a measurement as a text.

    Args:
        value: The value.
        precision: Number of significant digits; None means the default.
        most: Maximum number of characters.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return json_text(figure(value, precision) if is_number else value, most)


def is_notable(measured: Measurement) -> bool:
    """Return True if a measurement did not pass, or is marginal."""
    return measured.verdict != "pass" or bool(measured.marginal)


def look_of(measured: Measurement) -> str:
    """Return the state that stands for a measurement: passed, marginal or failed."""
    if measured.verdict == "pass":
        return "marginal" if measured.marginal else "passed"
    return "failed"


def with_unit(text: str, measured: Measurement) -> str:
    """Return a text with the unit of a measurement; an empty text stays empty."""
    return f"{text} {measured.unit}" if text and measured.unit else text


def distance(measured: Measurement) -> str:
    """Return how far a value is from its limits, without the unit.

    Returns:
        ``11.4 above`` or ``0.3 below`` for a value outside its limits, ``2.8`` for one inside; an
        empty text if the measurement has no number or no limit.
    """
    if measured.margin is UNSET:
        return ""
    text = figure(abs(measured.margin), measured.precision or None)
    if measured.verdict == "pass":
        return text
    high, value = measured.high, measured.value
    is_above = high is not UNSET and value is not UNSET and value > high
    return f"{text} {'above' if is_above else 'below'}"


def margin(measured: Measurement) -> str:
    """Return the distance of a value from its limits as a phrase, with the unit.

    Returns:
        Such as ``11.4 mV above``, ``margin 2.8 mV, marginal`` or ``no value``; empty for a value
        that passes and has no distance.
    """
    if measured.verdict == "unset":
        return "no value"
    number, _, side = distance(measured).partition(" ")
    text = with_unit(number, measured)
    if measured.verdict == "fail":
        text = f"{text} {side}" if text else "not as expected"
        return f"{text}, may fail" if measured.allow_fail else text
    text = f"margin {text}" if text else ""
    return f"{text}, marginal" if measured.marginal else text
