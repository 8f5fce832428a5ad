"""Elements of ``foreach``, or cells of a matrix, on a page: a table, and curves of measurements."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple, Protocol

from msgspec import UNSET, UnsetType

from pytest_orchestrator.core.json_values import finite_number
from pytest_orchestrator.core.text import cut_to_length
from pytest_orchestrator.reports.html.chart import (
    Axis,
    Chart,
    Measurand,
    Point,
    chart,
    names_axis,
    numbers_axis,
)
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
_MOST_LINES: Final = 5
"""Lines of a chart that colours tell apart."""


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


class Place(NamedTuple):
    """Element, or cell of a matrix, with its place on an axis and the text of that place."""

    x: float
    text: str
    element: Measured


def curves(elements: Sequence[Measured]) -> Iterator[Chart]:
    """Yield a chart for each measurement that has a number in at least two elements."""
    numbers = [finite_number(one.item) for one in elements]
    known = [one for one in numbers if one is not None]
    rises = all(one < other for one, other in pairwise(known))
    is_numeric = rises and len(known) == len(elements)
    ends = known if is_numeric else [float(place) for place in range(len(elements))]
    texts = [json_text(one.item, 40) for one in elements]
    places = [
        Place(x, cut_to_length(f"[{one.index}] {text}", 40), one)
        for x, text, one in zip(ends, texts, elements, strict=True)
    ]
    if places:
        axis = numbers_axis(ends) if is_numeric else names_axis(texts)
        yield from charts({"": places}, axis, "", "elements")


def charts(places: Mapping[str, Sequence[Place]], x: Axis, over: str, noun: str) -> Iterator[Chart]:
    """Yield the charts of the measurements that have a number at two places of a line.

    Lines whose points have the same limits share a chart.

    Args:
        places: The places of each line by its name.
        x: The axis.
        over: Name of the axis; may be empty.
        noun: Noun for the places.
    """
    every = [one for line in places.values() for place in line for one in _measured(place)]
    for name in dict.fromkeys(one.name for one in every):
        first = next(one for one in every if one.name == name)
        lines = {title: [*_points(line, name)] for title, line in places.items()}
        lines = {title: points for title, points in lines.items() if len(points) > 1}
        limits = {(one.low, one.high) for points in lines.values() for one in points}
        if len(limits) == 1 and 1 < len(lines) <= _MOST_LINES:
            yield _chart(first, lines, x, f"over {over}", noun)
            continue
        for title, points in lines.items():
            about = ", ".join(filter(None, (over and f"over {over}", title)))
            yield _chart(first, {"": points}, x, about, noun)


def _chart(
    first: Measurement, lines: Mapping[str, Sequence[Point]], x: Axis, about: str, noun: str
) -> Chart:
    number = f"{sum(map(len, lines.values())):,} {noun}"
    of = f" {about}, {number}" if about else f" over {number}"
    unit, precision = first.unit or "", first.precision or None
    return chart(Measurand(cut(first.name, 60), unit, precision, about, of), [*lines.items()], x)


def _measured(place: Place) -> Iterable[Measurement]:
    return place.element.measurements or ()


def _points(line: Sequence[Place], name: str) -> Iterator[Point]:
    for place in line:
        for one in _measured(place):
            if one.name == name and (value := finite_number(one.value)) is not None:
                equals = finite_number(one.equals)
                low, high = (
                    finite_number(end) if equals is None else equals for end in (one.low, one.high)
                )
                yield Point(place.x, value, place.text, _mark_look(one), low, high)


def _mark_look(one: Measurement) -> str:
    if one.verdict == "fail":
        return look_of(one)
    return "near" if one.marginal else "passed"
