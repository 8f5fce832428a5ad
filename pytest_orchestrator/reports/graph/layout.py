"""Graph layout: layered boxes and arrows.

The rank of a step is one more than the highest rank of the steps that it waits for. Within a rank
the barycentre heuristic orders the steps: each moves to the mean position of its neighbours, in a
few sweeps.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.recipe.model.graph import dependencies, longest_chains

Steps = Sequence[Mapping[str, Json]]
"""Steps as mappings with ``name`` and optional ``needs``, ``after``, ``state`` and ``final``, which
have the meaning of the JSON report."""

WIDTH: Final = 184
HEIGHT: Final = 44

_RANK_DISTANCE: Final = {"down": HEIGHT + 30, "right": WIDTH + 40}
_NODE_SIZE: Final = {"down": WIDTH + 16, "right": HEIGHT + 14}
_BEND_SIZE: Final = 14
_MARGIN: Final = 4
_SWEEPS: Final = 6
_PAGE_WIDTH: Final = 1120
_MAX_BENDS: Final = 4000

Direction = Literal["down", "right"]


class Arrow(msgspec.Struct, frozen=True):
    """Arrow from a step to a step that waits for its end.

    Attributes:
        start: Name of the first step.
        stop: Name of the step that waits for it.
        weak: True if `stop` only waits for the end of `start`, whatever its outcome.
        path: The line as the path data of SVG.
    """

    start: str
    stop: str
    weak: bool
    path: str


class Layout(msgspec.Struct, frozen=True):
    """Positions of boxes and arrows, in pixels.

    Attributes:
        width: Width of the picture.
        height: Height of the picture.
        boxes: Upper left corners of the boxes by name of the step.
        arrows: The arrows.
    """

    width: float
    height: float
    boxes: dict[str, tuple[float, float]]
    arrows: list[Arrow]


_Bend = tuple[str, str, int]
"""Point at which a long arrow crosses a rank: its start, its stop, the rank."""
_Node = str | _Bend


def layered_layout(steps: Steps) -> Layout:
    """Compute the layered layout of a graph.

    Args:
        steps: The steps in their order, with unique names.
    """
    needs = dependencies(steps)
    edges = tuple((name, *mine.items()) for name, mine in needs.items())
    return _layout(edges, tuple(str(step["name"]) for step in steps if step.get("final")))


@lru_cache(maxsize=1)  # a page and the picture of its recipe draw the same graph
def _layout(edges: tuple[tuple[Any, ...], ...], final: tuple[str, ...]) -> Layout:
    """Compute a layout.

    Args:
        edges: Each step as its name, followed by the steps that it waits for, as in `dependencies`.
        final: The names of the ``finally`` steps.
    """
    needs: dict[str, dict[str, bool]] = {name: dict(mine) for name, *mine in edges}
    ranks = _ranks(final, needs)
    rows = _rows(ranks, needs)
    direction = _direction(rows)
    centres = _centres(rows, direction)
    boxes = {
        name: (x - WIDTH / 2, y - HEIGHT / 2)
        for name, (x, y) in centres.items()
        if isinstance(name, str)
    }
    arrows = [
        Arrow(start, stop, weak, _arrow_path(start, stop, centres, ranks, direction))
        for stop, mine in needs.items()
        for start, weak in mine.items()
    ]
    right = max([x for x, _ in boxes.values()], default=0.0) + WIDTH
    low = max([y for _, y in boxes.values()], default=0.0) + HEIGHT
    # Bends may lie beyond the last box.
    right = max([right, *[x for x, _ in centres.values()]])
    low = max([low, *[y for _, y in centres.values()]])
    return Layout(right + _MARGIN, low + _MARGIN, boxes, arrows)


def _ranks(final: Sequence[str], needs: Mapping[str, Mapping[str, bool]]) -> dict[str, int]:
    """Return the rank of each step; ``finally`` steps follow one by one at the end."""
    chains = longest_chains(needs, dict.fromkeys(needs, 1))
    ranks = {name: int(length) - 1 for name, (length, _) in chains.items()}
    apart = set(final)
    last = max([rank for name, rank in ranks.items() if name not in apart], default=-1)
    return ranks | {name: last + number for number, name in enumerate(final, 1)}


def _rows(ranks: Mapping[str, int], needs: Mapping[str, Mapping[str, bool]]) -> list[list[_Node]]:
    """Return the ordered nodes of each rank, with a bend for each arrow that passes the rank."""
    rows: list[list[_Node]] = [[] for _ in range(max(ranks.values(), default=-1) + 1)]
    for name in needs:
        rows[ranks[name]].append(name)
    edges = [(start, stop) for stop, mine in needs.items() for start in mine]
    long = [(start, stop) for start, stop in edges if ranks[stop] - ranks[start] > 1]
    bends: dict[tuple[str, str], list[_Node]] = {}
    if sum([ranks[stop] - ranks[start] - 1 for start, stop in long]) <= _MAX_BENDS:
        for start, stop in long:
            passed = range(ranks[start] + 1, ranks[stop])
            bends[start, stop] = [(start, stop, rank) for rank in passed]
            for rank in passed:
                rows[rank].append((start, stop, rank))
    if max(map(len, rows), default=0) > 1:
        _order(rows, edges, bends)
    return rows


def _order(
    rows: list[list[_Node]],
    edges: Iterable[tuple[str, str]],
    bends: Mapping[tuple[str, str], Sequence[_Node]],
) -> None:
    """Sort the nodes of each rank by those of the ranks before and after it."""
    previous: dict[_Node, list[_Node]] = {}
    following: dict[_Node, list[_Node]] = {}
    for start, stop in edges:
        for one, other in itertools.pairwise((start, *bends.get((start, stop), ()), stop)):
            following.setdefault(one, []).append(other)
            previous.setdefault(other, []).append(one)
    for _ in range(_SWEEPS):
        _sweep(rows, previous)
        _sweep(rows[::-1], following)
    _sweep(rows, previous)


def _sweep(rows: Iterable[list[_Node]], adjacent: Mapping[_Node, Sequence[_Node]]) -> None:
    """Sort each row by the mean position of neighbours in the rows that were sorted earlier."""
    positions: dict[_Node, float] = {}
    for row in rows:
        means = {}
        for number, node in enumerate(row):
            placed = [positions[one] for one in adjacent.get(node, ()) if one in positions]
            means[node] = sum(placed) / len(placed) if placed else (number + 0.5) / len(row)
        row.sort(key=means.__getitem__)
        positions |= {node: (number + 0.5) / len(row) for number, node in enumerate(row)}


def _direction(rows: Sequence[Sequence[_Node]]) -> Direction:
    """Return the direction of the arrows, right or down, that suits the width of a page."""
    if len(rows) * _RANK_DISTANCE["right"] <= _PAGE_WIDTH:
        return "right"
    widest = max((sum(_size(node, "down") for node in row) for row in rows), default=0)
    return (
        "down"
        if widest <= _PAGE_WIDTH or len(rows) > 2 * _PAGE_WIDTH / _RANK_DISTANCE["right"]
        else "right"
    )


def _size(node: _Node, direction: Direction) -> int:
    return _NODE_SIZE[direction] if isinstance(node, str) else _BEND_SIZE


def _centres(
    rows: Sequence[Sequence[_Node]], direction: Direction
) -> dict[_Node, tuple[float, float]]:
    """Return the position of the centre of each node; ranks are centred on the widest rank."""
    widths = [sum([_size(node, direction) for node in row]) for row in rows]
    widest = max(widths, default=0)
    right = direction == "right"
    along = _MARGIN + (WIDTH if right else HEIGHT) / 2
    centres: dict[_Node, tuple[float, float]] = {}
    for row, width in zip(rows, widths, strict=True):
        across = _MARGIN + (widest - width) / 2
        for node in row:
            size = _size(node, direction)
            middle = across + size / 2
            centres[node] = (along, middle) if right else (middle, along)
            across += size
        along += _RANK_DISTANCE[direction]
    return centres


def _arrow_path(
    start: str,
    stop: str,
    centres: Mapping[_Node, tuple[float, float]],
    ranks: Mapping[str, int],
    direction: Direction,
) -> str:
    """Return the SVG path of an arrow from the end of one box to the beginning of another."""
    right = direction == "right"
    half = WIDTH / 2 if right else HEIGHT / 2
    ends: tuple[_Node, ...] = (start, stop)
    if ranks[stop] - ranks[start] > 1:
        between = [(start, stop, rank) for rank in range(ranks[start] + 1, ranks[stop])]
        ends = (start, *[one for one in between if one in centres], stop)
    path, letter = "", "M"
    for one, other in itertools.pairwise(ends):
        (x, y), (to_x, to_y) = centres[one], centres[other]
        # The line is straight beside the boxes of a rank and curved between two ranks.
        if right:
            x, to_x = x + half, to_x - half
            middle = _number((x + to_x) / 2)
            x1, y1, x2, y2 = _number(x), _number(y), _number(to_x), _number(to_y)
            path += f"{letter}{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}"
        else:
            y, to_y = y + half, to_y - half
            middle = _number((y + to_y) / 2)
            x1, y1, x2, y2 = _number(x), _number(y), _number(to_x), _number(to_y)
            path += f"{letter}{x1} {y1}C{x1} {middle} {x2} {middle} {x2} {y2}"
        letter = "L"
    return path


@lru_cache(maxsize=1024)  # most nodes of a picture share one of their coordinates
def _number(value: float) -> str:
    return f"{value:g}"
