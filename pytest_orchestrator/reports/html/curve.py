"""Curve of a sampled value with its limits, as numbers for an inline SVG picture."""

import math
from typing import Final, NamedTuple

from pytest_orchestrator.core.figures.notation import notation
from pytest_orchestrator.runs.block import Block

WIDTH: Final = 640
HEIGHT: Final = 160
_EDGE: Final = 8
_LEFT: Final = 64
_BOTTOM: Final = 20


class Line(NamedTuple):
    """A horizontal line of the picture: a limit, with its height and its label."""

    y: float
    label: str
    name: str


class CurvePicture(NamedTuple):
    """Picture of a curve; the unit of all lengths is the pixel.

    Attributes:
        points: The points of the curve, as in the attribute ``points`` of a ``polyline``.
        outside: The samples outside of the limits, as pairs of positions.
        limits: The limits.
        top: Label of the upper end of the axis of values.
        bottom: Label of its lower end.
        start: Label of the start of the axis of time.
        stop: Label of its end.
        caption: Number of samples, interval, and samples that were left out.
    """

    points: str
    outside: list[tuple[float, float]]
    limits: list[Line]
    top: str
    bottom: str
    start: str
    stop: str
    caption: str


def caption(block: Block) -> str:
    """Return one line on the samples of a block that has a curve."""
    curve = block.curve
    if not curve:
        return ""
    parts = [f"{curve.samples:,} sample{'' if curve.samples == 1 else 's'}"]
    parts.append(f"every {curve.every:g} s")
    if curve.late:
        parts.append(f"{curve.late:,} left out because the one before took too long")
    if curve.failed:
        parts.append(f"{curve.failed:,} without a value")
    if curve.segment:
        parts.append(f"segment {curve.segment} after resumed runs")
    return ", ".join(parts)


def picture(block: Block) -> CurvePicture | None:
    """Return the picture of the samples of a block; None without samples."""
    curve = block.curve
    if not curve or not curve.points:
        return None
    measured = next(iter(block.measurements or ()), None)
    low = measured.low if measured and isinstance(measured.low, int | float) else None
    high = measured.high if measured and isinstance(measured.high, int | float) else None
    values = [value for _, value in curve.points]
    given = [*values, *(one for one in (low, high) if one is not None)]
    least, most = min(given), max(given)
    span = most - least
    if not (span > 0 and math.isfinite(span)):
        least, most = least - 1.0, most + 1.0
        span = most - least
    until = max(curve.points[-1][0], 1e-9)
    unit = measured.unit or "" if measured else ""
    made = notation([least, most], low=low, high=high, unit=unit)

    def x(seconds: float) -> float:
        return round(_LEFT + (WIDTH - _LEFT - _EDGE) * seconds / until, 1)

    def y(value: float) -> float:
        return round(_EDGE + (HEIGHT - _EDGE - _BOTTOM) * (most - value) / span, 1)

    outside = [
        (x(seconds), y(value))
        for seconds, value in curve.points
        if (low is not None and value < low) or (high is not None and value > high)
    ]
    limits = [
        Line(y(one), f"{name} {made.with_unit(one)}", name)
        for name, one in (("low", low), ("high", high))
        if one is not None
    ]
    return CurvePicture(
        " ".join(f"{x(seconds)},{y(value)}" for seconds, value in curve.points),
        outside,
        limits,
        made.with_unit(most),
        made.with_unit(least),
        "0 s",
        f"{until:.3g} s",
        caption(block),
    )
