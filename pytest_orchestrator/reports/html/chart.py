"""Charts of pages: curves with their limits, axes with round ticks, and marks with texts.

The template `chart.html` draws a chart. Positions are percent of the width and of the height of
its drawing, from the upper left corner, so that it fits a page of any width.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final, NamedTuple

from pytest_orchestrator.core.figures.notation import Notation, figure, notation
from pytest_orchestrator.core.text import cut_to_length
from pytest_orchestrator.reports.html.timeline import tick_text, ticks_of
from pytest_orchestrator.reports.text import cut

_MOST_POINTS: Final = 400
"""Points of a line: on a wide page two pixels are between them."""
MOST_MARKS: Final = 200
"""Maximum number of points of a line that have a text."""
_MOST_BAD: Final = 100
_MOST_TICKS: Final = 6
_MOST_NAMES: Final = 12
_WIDE: Final = 88
"""Characters that fit below a drawing as wide as a page."""
_NARROW: Final = 44
"""Characters that fit below a drawing on a phone."""
_LONGEST: Final = 20
_EDGE: Final = 2.0
"""Percent of the width between an end of an axis of numbers and the nearest point."""
_DECADES: Final = 50.0
"""Least ratio of the numbers on a logarithmic axis, such as the gains 1, 10 and 100."""
_CROWDED: Final = 60
"""Number of points of a line from which on only the notable ones have a visible mark."""
_FLAT: Final = 0.05
"""Share of the height below which the space between two limits would look like a line."""
_NOISE: Final = 1e-13
"""Ratio of a difference to its numbers that is a rounding error of floats."""


class Point(NamedTuple):
    """Point of a curve.

    Attributes:
        x: Its place on the axis.
        y: Its value.
        name: Text of its place, as in ``[2] 0.5`` or ``1.2 s``.
        look: Style of its mark: passed, near a limit, failed, or blocked if it may fail.
        low: Its lower limit.
        high: Its upper limit.
    """

    x: float
    y: float
    name: str
    look: str = "passed"
    low: float | None = None
    high: float | None = None

    @property
    def is_bad(self) -> bool:
        """True if its mark is a cross: it is out of its limits, or did not pass."""
        return self.look in ("failed", "blocked")


class Axis(NamedTuple):
    """Axis of a chart: the position of a value, and the positions of ticks with their texts.

    Attributes:
        at: Function that returns the position.
        ticks: The ticks.
        is_crowded: True if a narrow drawing has room for half of the texts.
    """

    at: Callable[[float], float]
    ticks: list[tuple[float, str]]
    is_crowded: bool = False


class Mark(NamedTuple):
    """Mark of a point: its position, style and text, and true for a cross."""

    x: float
    y: float
    look: str
    title: str
    is_bad: bool


class Line(NamedTuple):
    """Line of a chart: its name, its path, its marks; true if these are too near to be shown."""

    name: str
    path: str
    marks: list[Mark]
    is_dense: bool


class Chart(NamedTuple):
    """Chart of a quantity.

    Attributes:
        name: Name of the quantity.
        unit: Its unit with the prefix; may be empty.
        about: Remark beside the name; may be empty.
        label: Description for a screen reader.
        span: The least and the largest value.
        limits: The limits that all points share, as a text; empty without them.
        lines: The lines.
        band: Path around the range within the limits; empty without limits.
        edges: Path of the limits.
        x: Axis of the places.
        y: Axis of the values.
    """

    name: str
    unit: str
    about: str
    label: str
    span: str
    limits: str
    lines: list[Line]
    band: str
    edges: str
    x: Axis
    y: Axis

    @property
    def width(self) -> int:
        """Number of characters of the longest text at the axis of values."""
        return max((len(text) for _, text in self.y.ticks), default=1)


class Measurand(NamedTuple):
    """Quantity of a chart.

    Attributes:
        name: Its name.
        unit: Unit of its values and limits.
        precision: Significant digits of the values; None means the default.
        about: Remark beside the name.
        of: Number and kind of the points for the description, as in `` over 3 elements``.
        bad: Words for the points that are crosses.
        made: Notation of the values; None for the one that they share with their limits.
        holds: Values that the axis of values has in any case.
    """

    name: str
    unit: str = ""
    precision: int | None = None
    about: str = ""
    of: str = ""
    bad: str = "out of limits"
    made: Notation | None = None
    holds: tuple[float, ...] = ()


def chart(
    what: Measurand,
    series: Sequence[tuple[str, Sequence[Point]]],
    x: Axis,
    most: int = MOST_MARKS,
) -> Chart:
    """Return the chart of a quantity.

    Args:
        what: The quantity.
        series: The curves, each with its name and at least one point. If there are several, all
            points have the same limits or none.
        x: The axis of their places.
        most: Maximum number of marks of a curve.
    """
    points = [one for _, each in series for one in each]
    lows = {one.low for one in points if one.low is not None}
    highs = {one.high for one in points if one.high is not None}
    low, high = (min(ends) if len(ends) == 1 else None for ends in (lows, highs))
    values = [one.y for one in points]
    unit, precision = cut(what.unit, 20), what.precision
    made = what.made or notation(
        [*values, *lows, *highs], low=low, high=high, unit=unit, precision=precision
    )
    is_shared = len(lows) < 2 and len(highs) < 2
    is_flat = not is_shared and _is_flat(points)
    place = _relative if is_flat else _absolute
    ends = [end for one in points for end in _ends(one, place)]
    y = _values_axis(ends, Notation("%") if is_flat else made, what.holds)
    drawing = _Drawing(x.at, lambda one, value: y.at(place(one, value)), made, is_shared)
    span = f"{made.text(min(values))} to {made.with_unit(max(values))}"
    failed = sum(one.is_bad for one in points)
    judged = f", {failed:,} {what.bad}" if failed or lows or highs else ""
    band, edges = drawing.limits(_thinned(series[0][1], _MOST_POINTS))
    return Chart(
        name=cut(what.name, 160),
        unit=made.unit,
        about=", ".join(filter(None, (what.about, _RELATIVE if is_flat else ""))),
        label=f"{what.name}{what.of}: {span}{judged}",
        span=span,
        limits=_between(made, low, high) if is_shared else "",
        lines=[drawing.line(title, each, most) for title, each in series],
        band=band,
        edges=edges,
        x=x,
        y=y,
    )


class _Drawing(NamedTuple):
    """Positions and texts of the points of a chart."""

    x: Callable[[float], float]
    y: Callable[[Point, float], float]
    made: Notation
    is_shared: bool

    def line(self, name: str, points: Sequence[Point], most: int) -> Line:
        """Return the line through points, and at most about so many marks."""
        drawn = _thinned(points, _MOST_POINTS)
        path = " ".join(f"{self.x(one.x):g} {self.y(one, one.y):g}" for one in drawn)
        marks = [self._mark(name, one) for one in _thinned(points, most)]
        return Line(name, f"M{path}", marks, len(drawn) > _CROWDED)

    def _mark(self, name: str, one: Point) -> Mark:
        limits = "" if self.is_shared else _between(self.made, one.low, one.high)
        value = f"{one.name}: {self.made.with_unit(one.y)}"
        title = ", ".join(filter(None, (name, value, limits)))
        return Mark(self.x(one.x), self.y(one, one.y), one.look, title, one.is_bad)

    def limits(self, points: Sequence[Point]) -> tuple[str, str]:
        """Return the paths of the range within the limits, and of the limits."""
        below = [(self.x(p.x), self.y(p, p.low)) for p in points if p.low is not None]
        above = [(self.x(p.x), self.y(p, p.high)) for p in points if p.high is not None]
        if not (below or above):
            return "", ""
        sides = [_whole(below) or [(0.0, 100.0), (100.0, 100.0)]]
        sides.append(_whole(above) or [(0.0, 0.0), (100.0, 0.0)])
        edges = (_path(side) for side, end in zip(sides, (below, above), strict=True) if end)
        return f"{_path([*sides[0], *reversed(sides[1])])}z", "".join(edges)


def _whole(side: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return a limit from the left to the right edge if it has one height."""
    if len({height for _, height in side}) != 1:
        return side
    return [(0.0, side[0][1]), (100.0, side[0][1])]


def _path(places: Iterable[tuple[float, float]]) -> str:
    return "M" + " ".join(f"{x:g} {y:g}" for x, y in places)


def _absolute(_: Point, value: float) -> float:
    return value


_RELATIVE: Final = "0 % is the middle between the limits, ±100 % a limit"


def _relative(one: Point, value: float) -> float:
    """Return the place of a value between the limits of its point, in percent."""
    low, high = one.low or 0.0, one.high or 0.0
    return 100 * (value - (low + high) / 2) / ((high - low) / 2)


def _is_flat(points: Sequence[Point]) -> bool:
    """Return True if each point has both limits, too near to each other for a common axis."""
    pairs = [(one.low, one.high) for one in points if one.low is not None and one.high is not None]
    apart = [high - low for low, high in pairs]
    if len(pairs) < len(points) or min(apart) <= 0:
        return False
    ends = [end for pair in pairs for end in pair]
    return max(apart) < _FLAT * (max(ends) - min(ends)) < math.inf


def _ends(one: Point, place: Callable[[Point, float], float]) -> list[float]:
    return [place(one, end) for end in (one.y, one.low, one.high) if end is not None]


def _between(made: Notation, low: float | None, high: float | None) -> str:
    """Return limits as in ``limit ≤ 50 mV``; empty without any."""
    if low is None or high is None:
        sign, end = ("≥", low) if low is not None else ("≤", high)
        return "" if end is None else f"limit {sign} {made.with_unit(end)}"
    if low == high:
        return f"expected {made.with_unit(low)}"
    return f"limits {made.text(low)}…{made.with_unit(high)}"


def _thinned(points: Sequence[Point], most: int) -> Sequence[Point]:
    """Return about so many points: of each group the least and the largest, and bad ones."""
    if len(points) <= most:
        return points
    size = -(-len(points) // max(1, most // 3))
    kept = {0, len(points) - 1}
    for start in range(0, len(points), size):
        group = sorted(range(start, min(start + size, len(points))), key=lambda at: points[at].y)
        kept |= {start, group[0], group[-1]}
    notable = (at for at, one in enumerate(points) if one.look != "passed")
    return [points[at] for at in sorted(kept.union(islice(notable, _MOST_BAD)))]


def numbers_axis(values: Sequence[float]) -> Axis:
    """Return an axis of numbers; it is logarithmic if they are spread over decades."""
    least, most = min(values), max(values)
    if _is_logarithmic(values):
        low, high = math.log10(least), math.log10(most)
        at = _scale(low, high, _EDGE, 100 - _EDGE)
        ticks = [(at(math.log10(one)), figure(one)) for one in _decades(least, most)]
        return Axis(lambda value: at(math.log10(value)), ticks)
    at = _scale(least, most, _EDGE, 100 - _EDGE)
    return Axis(at, _ticks(least, most, notation(values), at))


def names_axis(names: Sequence[str]) -> Axis:
    """Return an axis of names, whose places are 0, 1, 2 and so on."""
    texts = [cut_to_length(one, _LONGEST) for one in names]
    room = max(map(len, texts)) + 2
    count = min(_MOST_NAMES, max(2, _WIDE // room))
    shown = range(0, len(texts), -(-len(texts) // count))

    def at(place: float) -> float:
        return round((place + 0.5) / len(texts) * 100, 2)

    return Axis(at, [(at(n), texts[n]) for n in shown], len(shown) * room > _NARROW)


def seconds_axis(until: float) -> Axis:
    """Return an axis of times from zero."""
    until = max(until, 1e-6)
    at = _scale(0.0, until, 0.0, 100.0)
    return Axis(at, [(at(one), tick_text(one)) for one in (0.0, *ticks_of(until))])


def _values_axis(values: Sequence[float], made: Notation, holds: Sequence[float]) -> Axis:
    """Return the axis of values, upwards, with room above and below all values but held ones."""
    least, most = min([*values, *holds]), max([*values, *holds])
    size = max(abs(least), abs(most))
    room = (most - least) * 0.08 if most - least > size * _NOISE else size * 0.1 or 1.0
    if math.isfinite(room):
        least -= room * (least not in holds)
        most += room * (most not in holds or most == least)
    at = _scale(least, most, 100.0, 0.0)
    return Axis(at, _ticks(least, most, made, at))


def _ticks(
    least: float, most: float, made: Notation, at: Callable[[float], float]
) -> list[tuple[float, str]]:
    """Return ticks at multiples of 1, 2 or 5 times a power of ten, as fine as the notation."""
    span = most - least
    if not (1e-300 < span < math.inf):
        return []
    power = max(math.floor(math.log10(span / _MOST_TICKS)), made.power - made.decimals)
    step = next(one for one in (1, 2, 5, 10) if one * 10.0**power >= span / _MOST_TICKS)
    apart = step * 10.0**power
    shown = made._replace(decimals=max(0, made.power - power - (step == 10)))
    first = math.ceil(least / apart - 1e-9)
    places = ((first + n) * apart for n in range(_MOST_TICKS + 2))
    return [(at(one), shown.text(one)) for one in places if one <= most + apart * 1e-9]


def _is_logarithmic(values: Sequence[float]) -> bool:
    """Return True if numbers span decades and their middle is nearer to the geometric one."""
    least, most = min(values), max(values)
    if not (least > 0 and most / least >= _DECADES):
        return False
    middle = sorted(values)[len(values) // 2]
    return abs(math.log(middle / math.sqrt(least) / math.sqrt(most))) < abs(
        math.log(middle / (least / 2 + most / 2))
    )


def _decades(least: float, most: float) -> list[float]:
    """Return the powers of ten in a range, thinned; twice and five times these if there are few."""
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    factors = (1, 2, 5) if len(powers) <= 3 else (1,)
    each = -(-len(powers) // _MOST_TICKS)
    ticks = [factor * 10.0**power for power in powers[::each] for factor in factors]
    return [one for one in ticks if least * 0.999 <= one <= most * 1.001]


def _scale(start: float, stop: float, low: float, high: float) -> Callable[[float], float]:
    """Return a function that maps numbers from one range to another."""
    span = stop / 2 - start / 2  # the difference of two floats may be infinite
    if not span > 0:
        return lambda _: (low + high) / 2
    left, right = min(low, high), max(low, high)
    return lambda value: round(
        min(right, max(left, low + (value / 2 - start / 2) / span * (high - low))), 2
    )
