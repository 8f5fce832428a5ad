"""Graph layout: ranked boxes and arrows, or the layout of Graphviz.

A step stands one rank behind the last of those it waits for. Within its rank it stands near
them: at the mean of their places (the barycentre), which a few sweeps make better.
"""

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.recipe.model.graph import ordered

Steps = Sequence[Mapping[str, Json]]
"""What blocks of the JSON report say of steps: ``name``, and ``needs``, ``after``, ``state``
and ``final`` as far as they are there."""

WIDTH: Final = 184
HEIGHT: Final = 44

_ALONG: Final = {"down": HEIGHT + 30, "right": WIDTH + 40}
_ACROSS: Final = {"down": WIDTH + 16, "right": HEIGHT + 14}
_THREAD: Final = 14
_EDGE: Final = 4
_SWEEPS: Final = 6
_PAGE: Final = 1120
_MOST_THREADS: Final = 4000

Way = Literal["down", "right"]


class Arrow(NamedTuple):
    """A line from a step to one that waits for it.

    Attributes:
        start: Name of the step that comes first.
        stop: Name of the one that waits for it.
        weak: The second one waits for the end of the first whatever became of it.
        path: The line, as SVG writes it.
    """

    start: str
    stop: str
    weak: bool
    path: str


class Layout(NamedTuple):
    """A drawing of a graph, in pixels.

    Attributes:
        width: Of all of it.
        height: The same.
        boxes: Left upper corners of the boxes by name of step.
        arrows: The lines.
    """

    width: float
    height: float
    boxes: dict[str, tuple[float, float]]
    arrows: list[Arrow]


_Thread = tuple[str, str, int]
_Place = str | _Thread


def waits(steps: Steps) -> dict[str, dict[str, bool]]:
    """Return what each step waits for, and for each whether it only comes after it."""
    names = {str(step["name"]) for step in steps}
    found: dict[str, dict[str, bool]] = {}
    for step in steps:
        mine = dict.fromkeys(_names(step, "after"), True) | dict.fromkeys(
            _names(step, "needs"), False
        )
        found[str(step["name"])] = {name: weak for name, weak in mine.items() if name in names}
    return found


def laid_out(steps: Steps) -> Layout:
    """Draw a graph by its ranks.

    Args:
        steps: The steps in their order, each named once.
    """
    needs = waits(steps)
    ranks = _ranks(steps, needs)
    rows = _rows(ranks, needs)
    way = _way(rows)
    places = _places(rows, way)
    boxes = {
        name: (x - WIDTH / 2, y - HEIGHT / 2)
        for name, (x, y) in places.items()
        if isinstance(name, str)
    }
    arrows = [
        Arrow(start, stop, weak, _arrow_path(start, stop, places, ranks, way))
        for stop, mine in needs.items()
        for start, weak in mine.items()
    ]
    right = max((x for x, _ in boxes.values()), default=0.0) + WIDTH
    low = max((y for _, y in boxes.values()), default=0.0) + HEIGHT
    # Threads may stand beyond the last box.
    right = max([right, *(x for x, _ in places.values())])
    low = max([low, *(y for _, y in places.values())])
    return Layout(right + _EDGE, low + _EDGE, boxes, arrows)


def _ranks(steps: Steps, needs: Mapping[str, Mapping[str, bool]]) -> dict[str, int]:
    """Return the rank of each step; those of ``finally`` come one by one behind all others."""
    ranks: dict[str, int] = {}
    for name in ordered({name: tuple(mine) for name, mine in needs.items()}):
        ranks[name] = max((ranks[each] + 1 for each in needs[name]), default=0)
    final = [str(step["name"]) for step in steps if step.get("final")]
    last = max((rank for name, rank in ranks.items() if name not in set(final)), default=-1)
    return ranks | {name: last + number for number, name in enumerate(final, 1)}


def _rows(ranks: Mapping[str, int], needs: Mapping[str, Mapping[str, bool]]) -> list[list[_Place]]:
    """Return who stands in each rank, in order; long arrows have a place in each they cross."""
    rows: list[list[_Place]] = [[] for _ in range(max(ranks.values(), default=-1) + 1)]
    for name in needs:
        rows[ranks[name]].append(name)
    above: dict[_Place, list[_Place]] = {}
    below: dict[_Place, list[_Place]] = {}
    edges = [(start, stop) for stop, mine in needs.items() for start in mine]
    long = sum(max(0, ranks[stop] - ranks[start] - 1) for start, stop in edges)
    for start, stop in edges:
        chain: list[_Place] = [start]
        if long <= _MOST_THREADS:
            chain += [(start, stop, rank) for rank in range(ranks[start] + 1, ranks[stop])]
            for place in chain[1:]:
                rows[place[2]].append(place)  # type: ignore[index]
        for one, other in zip(chain, [*chain[1:], stop], strict=True):
            below.setdefault(one, []).append(other)
            above.setdefault(other, []).append(one)
    if any(len(row) > 1 for row in rows):
        for _ in range(_SWEEPS):
            _sweep(rows, above)
            _sweep(rows[::-1], below)
        _sweep(rows, above)
    return rows


def _sweep(rows: Iterable[list[_Place]], near: Mapping[_Place, Sequence[_Place]]) -> None:
    """Sort each rank by where its neighbours stand in the ranks before it."""
    at: dict[_Place, float] = {}
    for row in rows:
        wanted = {}
        for number, place in enumerate(row):
            known = [at[one] for one in near.get(place, ()) if one in at]
            wanted[place] = sum(known) / len(known) if known else (number + 0.5) / len(row)
        row.sort(key=wanted.__getitem__)
        at |= {place: (number + 0.5) / len(row) for number, place in enumerate(row)}


def _way(rows: Sequence[Sequence[_Place]]) -> Way:
    """Return the way that fits a page: to the right while it is wide enough."""
    if len(rows) * _ALONG["right"] <= _PAGE:
        return "right"
    widest = max((sum(_size(place, "down") for place in row) for row in rows), default=0)
    return "down" if widest <= _PAGE or len(rows) > 2 * _PAGE / _ALONG["right"] else "right"


def _size(place: _Place, way: Way) -> int:
    return _ACROSS[way] if isinstance(place, str) else _THREAD


def _places(rows: Sequence[Sequence[_Place]], way: Way) -> dict[_Place, tuple[float, float]]:
    """Return the middle of everything; each rank stands in the middle of the widest."""
    widest = max((sum(_size(place, way) for place in row) for row in rows), default=0)
    thick = WIDTH if way == "right" else HEIGHT
    found: dict[_Place, tuple[float, float]] = {}
    for number, row in enumerate(rows):
        along = _EDGE + number * _ALONG[way] + thick / 2
        across = _EDGE + (widest - sum(_size(place, way) for place in row)) / 2
        for place in row:
            middle = across + _size(place, way) / 2
            found[place] = (along, middle) if way == "right" else (middle, along)
            across += _size(place, way)
    return found


def _arrow_path(
    start: str,
    stop: str,
    places: Mapping[_Place, tuple[float, float]],
    ranks: Mapping[str, int],
    way: Way,
) -> str:
    """Return a line that leaves a box at its end, and comes to the next one at its beginning."""
    right = way == "right"
    half = WIDTH / 2 if right else HEIGHT / 2
    between = range(ranks[start] + 1, ranks[stop])
    ends: list[_Place] = [start, *((start, stop, rank) for rank in between), stop]
    points = [places[one] if right else places[one][::-1] for one in ends if one in places]
    told = ""
    for number, (one, other) in enumerate(itertools.pairwise(points)):
        along, across, to_along, to_across = one[0] + half, one[1], other[0] - half, other[1]
        middle = (along + to_along) / 2
        # Beside the boxes of a rank a line is straight, between two ranks it is bent.
        told += f"{'L' if number else 'M'}{_point(along, across, right)}C"
        told += f"{_point(middle, across, right)} {_point(middle, to_across, right)} "
        told += _point(to_along, to_across, right)
    return told


def _point(along: float, across: float, right: bool) -> str:
    return f"{along:g} {across:g}" if right else f"{across:g} {along:g}"


def _names(step: Mapping[str, Json], key: str) -> list[str]:
    told = step.get(key)
    return [str(one) for one in told] if isinstance(told, list | tuple) else []


def graphviz_layout(text: str, waits: Mapping[str, Mapping[str, bool]]) -> Layout:
    """Let Graphviz lay a graph out.

    Args:
        text: The graph in the language of Graphviz.
        waits: What each step waits for, and for each whether it only comes after it.

    Raises:
        ImportError: pygraphviz is not installed.
    """
    import pygraphviz

    graph = pygraphviz.AGraph(string=text)
    with _no_word():
        graph.layout("dot")
    left, low, right, high = map(float, graph.graph_attr["bb"].split(","))

    def point(told: str) -> tuple[float, float]:
        x, y = map(float, told.split(","))
        return x - left + _EDGE, high - y + _EDGE

    boxes = {}
    for name in waits:
        x, y = point(graph.get_node(name).attr["pos"])
        boxes[name] = (x - WIDTH / 2, y - HEIGHT / 2)
    arrows = [
        Arrow(start, stop, weak, _graphviz_path(graph.get_edge(start, stop).attr["pos"], point))
        for stop, mine in waits.items()
        for start, weak in mine.items()
    ]
    return Layout(right - left + 2 * _EDGE, high - low + 2 * _EDGE, boxes, arrows)


@contextlib.contextmanager
def _no_word() -> Iterator[None]:
    """Keep from stderr what the libraries of Graphviz say of fonts; boxes have fixed sizes."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _graphviz_path(told: str, point: Callable[[str], tuple[float, float]]) -> str:
    """Return a line of Graphviz, ``e,x,y`` of its head and then a start and triples, for SVG."""
    words = told.split()
    head = next((word[2:] for word in words if word.startswith("e,")), None)
    points = [point(word) for word in words if word[:2] not in ("e,", "s,")]
    path = "M{:g} {:g}C".format(*points[0]) + " ".join(f"{x:g} {y:g}" for x, y in points[1:])
    return path + "L{:g} {:g}".format(*point(head)) if head else path
