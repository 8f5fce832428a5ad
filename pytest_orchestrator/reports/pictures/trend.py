"""Trends of figures over runs as an SVG picture."""

from collections.abc import Sequence
from typing import Final

import msgspec

from pytest_orchestrator.core.figures.notation import Notation, figure, history_notation
from pytest_orchestrator.core.text import counted
from pytest_orchestrator.reports.quantities import local_time
from pytest_orchestrator.reports.states import COLOURS
from pytest_orchestrator.reports.templating import template
from pytest_orchestrator.reports.text import cut
from pytest_orchestrator.runs.compare.trends import Point, Trend

MOST: Final = 24
"""Maximum number of trends in a picture."""

_WIDTH: Final = 960
_LEFT: Final = 130
_RIGHT: Final = _WIDTH - 20
_PANEL: Final = 190
_HEAD: Final = 24
_TOP: Final = 40
_DRAWN: Final = 110
_SMALL, _LARGE = 3.5, 5.5


class _Dot(msgspec.Struct, frozen=True):
    """Point of a panel; a large red one is of a run in which the recipe failed."""

    x: float
    y: float
    radius: float
    is_bad: bool
    title: str


class _Panel(msgspec.Struct, frozen=True):
    """Panel of a trend: its texts, and the paths of its frame, of its median and of its values."""

    name: str
    summary: str
    head: int
    foot: int
    frame: str
    median: str
    values: str
    ticks: list[tuple[float, str]]
    dates: list[tuple[float, str, str]]
    points: list[_Dot]


def svg(trends: Sequence[Trend]) -> str:
    """Return trends as a picture, one below the other.

    Args:
        trends: At most `MOST` trends, each with at least one point.
    """
    return template("trend.svg").render(
        width=_WIDTH,
        height=_PANEL * len(trends) + 10,
        left=_LEFT - 10,
        right=_RIGHT,
        title=cut(f"Trends: {', '.join(_name(one) for one in trends)}", 300),
        colours=COLOURS,
        panels=[_panel(one, _PANEL * number) for number, one in enumerate(trends)],
    )


def _name(one: Trend) -> str:
    return cut(f"{one.recipe} · {one.step} · {one.figure}", 90)


def _panel(one: Trend, top: int) -> _Panel:
    values = [point.value for point in one.points]
    middle = one.usual.median if one.usual else None
    low, high = min(values), max(values)
    room = (high - low) or abs(high) or 1.0

    def y(value: float) -> float:
        """Return the height of a value; equal values are in the middle."""
        share = (value - low) / room if high > low else 0.5
        return round(top + _TOP + _DRAWN * (1 - share), 1)

    step = (_RIGHT - _LEFT - 20) / max(1, len(values) - 1)
    places = [(round(_LEFT + 10 + step * index, 1), y(value)) for index, value in enumerate(values)]
    bottom = top + _TOP + _DRAWN + 10
    shown = [*values, middle] if middle is not None else values
    made = history_notation(shown, one.unit, one.precision)
    summary = [counted(len(values), "run"), f"last {made.with_unit(values[-1])}"]
    summary += [f"median {made.with_unit(middle)}"] if middle is not None else []
    summary += [f"drift {figure(one.drift.factor, most=3)} times"] if one.drift else []
    return _Panel(
        name=_name(one),
        summary=" · ".join(summary),
        head=top + _HEAD,
        foot=bottom + 18,
        frame=f"M{_LEFT} {top + _TOP - 10}V{bottom}H{_RIGHT}",
        median=f"M{_LEFT} {y(middle)}H{_RIGHT}" if middle is not None else "",
        values="M" + "L".join(f"{x} {height}" for x, height in places),
        ticks=[(y(value) + 4, made.with_unit(value)) for value in dict.fromkeys((low, high))],
        dates=_dates(one.points),
        points=[
            _Dot(
                x, height, _SMALL if point.passed else _LARGE, not point.passed, _title(point, made)
            )
            for (x, height), point in zip(places, one.points, strict=True)
        ],
    )


def _dates(points: Sequence[Point]) -> list[tuple[float, str, str]]:
    """Return the times of the first and of the last run, with their places."""
    first, last = (local_time(point.start)[:16] for point in (points[0], points[-1]))
    found = [(_LEFT + 10.0, "start", first)]
    return [*found, (float(_RIGHT), "end", last)] if len(points) > 1 else found


def _title(point: Point, made: Notation) -> str:
    failed = "" if point.passed else ", recipe failed"
    return f"{point.run}, {local_time(point.start)}: {made.with_unit(point.value)}{failed}"
