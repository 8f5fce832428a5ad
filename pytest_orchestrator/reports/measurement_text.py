"""Phrases on a measurement: its verdict, and its distance to the nearest limit."""

from msgspec import UNSET

from pytest_orchestrator.reports.quantities import Quantity, nearest_side
from pytest_orchestrator.runs.block import Measurement


def is_notable(measured: Measurement) -> bool:
    """Return True if a measurement did not pass, or is marginal."""
    return measured.verdict != "pass" or bool(measured.marginal or measured.decided)


def look_of(measured: Measurement) -> str:
    """Return the state that stands for a measurement: passed, marginal or failed."""
    if measured.verdict == "pass":
        return "marginal" if measured.marginal else "passed"
    return "failed"


def with_unit(text: str, texts: Quantity) -> str:
    """Return a text with the unit of a measurement; an empty text stays empty."""
    return f"{text} {texts.unit}" if text and texts.unit else text


def distance(measured: Measurement, texts: Quantity, unit: str = "") -> str:
    """Return how far a value is from its limits.

    Args:
        measured: The measurement.
        texts: Its texts.
        unit: The unit that the text has; may be empty.

    Returns:
        ``11.4 above`` or ``0.3 below`` for a value outside its limits, ``2.8`` for one inside; an
        empty text if the measurement has no number or no limit, or fails for another reason.
    """
    side = nearest_side(measured)
    if side is None or (side.apart >= 0) != (measured.verdict == "pass"):
        return ""
    text = f"{texts.distance} {unit}".rstrip()
    return text if side.apart >= 0 else f"{text} {side.word}"


def margin(measured: Measurement, texts: Quantity) -> str:
    """Return the distance of a value from its limits as a phrase, with the unit.

    Returns:
        Such as ``11.4 mV above``, ``margin 2.8 mV, marginal`` or ``no value``; empty for a value
        that passes and has no distance.
    """
    if measured.verdict == "unset":
        return "no value" if measured.value is UNSET else "not decided"
    text = distance(measured, texts, texts.unit)
    if measured.verdict == "fail":
        text = ", ".join(one for one in (text, measured.decided) if one) or "not as expected"
        return f"{text}, may fail" if measured.allow_fail else text
    text = f"margin {text}" if text else ""
    notes = [text, "marginal" if measured.marginal else "", measured.decided or ""]
    return ", ".join(filter(None, notes))
