"""Elements of ``foreach``, or cells of a matrix, on a page: a table, and curves of measurements."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple, Protocol

from msgspec import UNSET, UnsetType

from pytest_orchestrator.core.figures.notation import Notation, notation
from pytest_orchestrator.core.json_values import finite_number
from pytest_orchestrator.core.text import cut_to_length
from pytest_orchestrator.reports.measurement_text import is_notable
from pytest_orchestrator.reports.quantities import (
    Quantity,
    duration,
    limits_text,
    look_of,
    quantities,
)
from pytest_orchestrator.reports.text import cut, json_text, look, sign
from pytest_orchestrator.runs.block import Measurement, Time

_MOST_ROWS: Final = 60
_MOST_POINTS: Final = 400
WIDTH: Final = 640
"""Width of a curve, in the units of its drawing."""
HEIGHT: Final = 150
_EDGE: Final = 8


class Measured(Protocol):
    """An element of ``foreach``, or a cell of a matrix: a row of a table and a point of a curve."""

    @property
    def index(self) -> int:
        """Its index in the list."""

    @property
    def item(self) -> Any:
        """Its value."""

    @property
    def state(self) -> str:
        """Its state."""

    @property
    def word(self) -> str:
        """The word for its state, see `word_of`."""

    @property
    def attempt(self) -> int | UnsetType:
        """Number of the last attempt."""

    @property
    def reason(self) -> str | UnsetType:
        """Reason why it did not pass."""

    @property
    def time(self) -> Time | UnsetType:
        """Its times."""

    @property
    def measurements(self) -> list[Measurement] | UnsetType:
        """Its measurements."""


class Axis(NamedTuple):
    """A name of a matrix over whose numbers curves are drawn.

    Attributes:
        name: The name.
        others: The values of the other names, which are the same for all points of a curve.
    """

    name: str
    others: str


class ElementRow(NamedTuple):
    """Row of the table of elements."""

    number: int
    item: str
    state: str
    attempt: int
    seconds: str
    measured: list[tuple[str, str]]
    reason: str
    element: Measured

    @property
    def look(self) -> str:
        """Style of the state."""
        return look(self.state)

    @property
    def sign(self) -> str:
        """Sign of the state."""
        return sign(self.state)


class ElementTable(NamedTuple):
    """Table of the elements of a step.

    Attributes:
        names: Names of the measurements, each with its unit, and with its limits if these are the
            same for all elements: the columns.
        rows: The rows; if there are too many elements, those that did not pass come first.
        more: Number of elements that the table omits.
    """

    names: list[str]
    rows: list[ElementRow]
    more: int


class Mark(NamedTuple):
    """Point of a curve: its position, style and text."""

    x: float
    y: float
    look: str
    title: str


class Curve(NamedTuple):
    """A measurement over the elements, as coordinates of a drawing.

    Attributes:
        name: Name of the measurement, with its unit.
        line: The points of the curve.
        low: The points of the lower limit; empty without one.
        high: The points of the upper limit; empty without one.
        marks: The points that are drawn as marks.
        top: The value at the upper edge.
        bottom: The value at the lower edge.
        first: The element at the left edge.
        last: The element at the right edge.
        label: The description for a screen reader.
    """

    name: str
    line: str
    low: str
    high: str
    marks: list[Mark]
    top: str
    bottom: str
    first: str
    last: str
    label: str


class _Point(NamedTuple):
    x: float
    element: Measured
    measured: Measurement
    value: float


def table(elements: Sequence[Measured], most: int) -> ElementTable:
    """Return the table of the elements of a step.

    Args:
        elements: The elements.
        most: Maximum number of characters of a value.
    """
    found: dict[str, dict[int, Measurement]] = {}
    for each in elements:
        for one in each.measurements or ():
            found.setdefault(one.name, {})[each.index] = one
    columns = [_column(name, by_index, most) for name, by_index in found.items()]
    order = sorted(elements, key=lambda one: one.state in ("passed", "restored"))
    shown = order if len(elements) > _MOST_ROWS else elements
    cells = [cells for _, cells in columns]
    rows = [_row(one, cells, most) for one in shown[:_MOST_ROWS]]
    return ElementTable([title for title, _ in columns], rows, max(0, len(elements) - len(rows)))


def _column(
    name: str, measured: Mapping[int, Measurement], most: int
) -> tuple[str, dict[int, tuple[str, str]]]:
    """Return the title of a column, and the text and the style of each of its cells.

    Args:
        name: Name of the measurement.
        measured: The measurement by the index of its element.
        most: Maximum number of characters of a value.
    """
    texts = quantities([*measured.values()], most)
    units, limits = {one.unit for one in texts}, {limits_text(one) for one in texts}
    unit, shared = ("".join(one) if len(one) == 1 else None for one in (units, limits))
    cells = {
        at: _cell(one, text, has_unit=unit is not None, has_limits=shared is not None)
        for (at, one), text in zip(measured.items(), texts, strict=True)
    }
    return ", ".join(filter(None, (cut(name, 60), unit, shared))), cells


def _row(
    element: Measured, columns: Sequence[Mapping[int, tuple[str, str]]], most: int
) -> ElementRow:
    return ElementRow(
        element.index,
        json_text(element.item, most),
        element.word,
        element.attempt or 1,
        duration(element.time.seconds) if element.time else "-",
        [column.get(element.index, ("-", "")) for column in columns],
        cut(element.reason or "", 300),
        element,
    )


def _cell(
    measured: Measurement, texts: Quantity, *, has_unit: bool, has_limits: bool
) -> tuple[str, str]:
    """Return the text and the style of a measurement in its column.

    Args:
        measured: The measurement.
        texts: Its texts.
        has_unit: True if the head of the column has the unit, else the cell has it.
        has_limits: The same for the limits.
    """
    if measured.value is UNSET:
        return f"{sign('failed')} unset", look("failed")
    style = "marginal" if measured.marginal else "failed" if measured.verdict == "fail" else ""
    mark = f"{sign(style)} " if style else ""
    colour = look_of(measured) if style else ""  # one that may fail does not look failed
    unit = "" if has_unit else f" {texts.unit}"
    limits = "" if has_limits else limits_text(texts)
    after = f" ({limits})" if limits else ""
    return f"{mark}{cut(texts.value, 40)}{unit}{after}", colour


def curves(elements: Sequence[Measured], axis: Axis | None = None) -> Iterator[Curve]:
    """Yield a curve for each measurement that has a number in at least two elements.

    Args:
        elements: The elements of ``foreach``; or cells of a matrix, each with its number as `item`.
        axis: The name of the matrix that has these numbers; None for elements of ``foreach``.
    """
    names = dict.fromkeys(one.name for each in elements for one in each.measurements or ())
    places = _places(elements)
    for name in names:
        points = [
            _Point(x, element, one, value)
            for x, element in zip(places, elements, strict=True)
            for one in element.measurements or ()
            if one.name == name and (value := finite_number(one.value)) is not None
        ]
        if len(points) > 1:
            yield _curve(points, axis)


def _places(elements: Sequence[Measured]) -> list[float]:
    """Return the position of each element: itself if all are rising numbers, else its index."""
    numbers = [finite_number(one.item) for one in elements]
    known = [one for one in numbers if one is not None]
    rises = all(one < other for one, other in pairwise(known))
    if len(known) == len(elements) and rises:
        return known
    return [float(one.index) for one in elements]


def _curve(points: list[_Point], axis: Axis | None) -> Curve:
    lows = [low for one in points if (low := finite_number(one.measured.low)) is not None]
    highs = [high for one in points if (high := finite_number(one.measured.high)) is not None]
    values = [one.value for one in points]
    drawn_values = [*values, *lows, *highs]
    least, most = min(drawn_values), max(drawn_values)
    across = _scale(points[0].x, points[-1].x, _EDGE, WIDTH - _EDGE)
    down = _scale(least, most, HEIGHT - _EDGE, _EDGE)
    drawn = _thinned(points)

    def line(limit: Callable[[_Point], float | None]) -> str:
        found = [(across(one.x), down(y)) for one in drawn if (y := limit(one)) is not None]
        return " ".join(f"{x:g},{y:g}" for x, y in found)

    first = points[0].measured
    made = notation(
        drawn_values,
        low=lows[0] if len({*lows}) == 1 else None,
        high=highs[0] if len({*highs}) == 1 else None,
        unit=first.unit or "",
        precision=first.precision or None,
    )
    failed = sum(one.measured.verdict != "pass" for one in points)
    span = f"{made.text(min(values))} to {made.with_unit(max(values))}"
    over = axis.name if axis else ""
    of = f" over {over}" + (f", {axis.others}" if axis.others else "") if axis else ""
    amount = f"{of}, {len(points):,} cells" if axis else f" over {len(points):,} elements"
    name = ", ".join(filter(None, (cut(first.name, 60), cut(made.unit, 20))))
    shown = [one for one in drawn if len(drawn) <= 60 or is_notable(one.measured)]
    return Curve(
        name=f"{name}{of}",
        line=line(lambda one: one.value),
        low=line(lambda one: finite_number(one.measured.low)),
        high=line(lambda one: finite_number(one.measured.high)),
        marks=[_mark(one, made, across, down, over) for one in shown],
        top=made.with_unit(most),
        bottom=made.with_unit(least),
        first=_item(points[0], over),
        last=_item(points[-1], over),
        label=f"{first.name}{amount}: {span}, {failed:,} out of limits",
    )


def _item(point: _Point, over: str) -> str:
    text = json_text(point.element.item, 40)
    return cut_to_length(f"{over or f'[{point.element.index}]'} {text}", 40)


def _mark(
    point: _Point,
    made: Notation,
    across: Callable[[float], float],
    down: Callable[[float], float],
    over: str,
) -> Mark:
    one = point.measured
    text = f"{_item(point, over)}: {made.with_unit(point.value)}"
    look_of_mark = "passed" if look_of(one) == "skipped" else look_of(one)
    return Mark(across(point.x), down(point.value), look_of_mark, text)


def _thinned(points: list[_Point]) -> list[_Point]:
    """Return at most about 400 points: of each group the least and the largest, and bad ones."""
    if len(points) <= _MOST_POINTS:
        return points
    size = -(-len(points) // (_MOST_POINTS // 4))
    kept: dict[int, _Point] = {}
    for start in range(0, len(points), size):
        group = points[start : start + size]
        ends = (min(group, key=lambda one: one.value), max(group, key=lambda one: one.value))
        notable = (one for one in group[:2] if is_notable(one.measured))
        for one in (group[0], *ends, *notable):
            kept[one.element.index] = one
    bad = [one for one in points if is_notable(one.measured)][: _MOST_POINTS // 4]
    kept |= {one.element.index: one for one in (*bad, points[-1])}
    return [kept[index] for index in sorted(kept)]


def _scale(start: float, stop: float, low: float, high: float) -> Callable[[float], float]:
    """Return a function that maps numbers from one range to another."""
    span = stop - start
    if not (math.isfinite(span) and span > 0):
        return lambda _: round((low + high) / 2, 1)
    return lambda value: round(low + (value - start) / span * (high - low), 1)
