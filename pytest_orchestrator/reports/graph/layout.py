"""Graph layout: layered boxes and arrows, in rows that turn at the right edge.

The rank of a node is one more than the highest rank of the nodes that it waits for. Ranks stand
beside each other from left to right. Where the picture would be too wide, the row turns: the next
ranks stand below, from right to left. Within a rank the barycentre heuristic orders the nodes: each
moves to the mean position of its neighbours, in a few sweeps.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from pytest_orchestrator.recipe.model.graph import longest_chains
from pytest_orchestrator.reports.graph.nodes import Graph

WIDTH: Final = 184
HEIGHT: Final = 44
COLUMNS: Final = 5
"""Number of ranks beside each other that fit the width of a page, 1,120 pixels."""

_ROW: Final = HEIGHT + 14
_BEND_ROW: Final = 14
_TURN_GAP: Final = 26
_MARGIN: Final = 5
_TURN: Final = 24
_WIDE_GAP, _SMALL_GAP = 32, 24
_MOST_IN_RANK: Final = 8
_SWEEPS: Final = 6
_MAX_BENDS: Final = 1000
_HEAD: Final = 7
_SMALL_BOW: Final = 14


class Layout(msgspec.Struct, frozen=True):
    """Positions of boxes and lines, in pixels.

    Attributes:
        width: Width of the picture.
        height: Height of the picture.
        boxes: Upper left corners of the boxes by name of the node.
        arrows: The arrows: start, stop, and True if the arrow is dashed.
        lines: All solid lines as path data of SVG; empty without any.
        dashed: All dashed lines as path data.
        heads: The heads of all arrows as path data.
        columns: Number of ranks beside each other.
    """

    width: float
    height: float
    boxes: dict[str, tuple[float, float]]
    arrows: list[tuple[str, str, bool]]
    lines: str
    dashed: str
    heads: str
    columns: int


class _Bend(msgspec.Struct, frozen=True):
    """Point at which long arrows cross a rank.

    Arrows of the same start share their bends, or arrows of the same stop, so that many arrows
    become one trunk with branches.
    """

    trunk: str
    outward: bool
    weak: bool
    rank: int


_Node = str | _Bend


def layered_layout(graph: Graph, columns: int = COLUMNS) -> Layout:
    """Compute the layered layout of a graph.

    Args:
        graph: The nodes and the nodes that they wait for.
        columns: Highest number of ranks beside each other.
    """
    edges = tuple((name, *mine.items()) for name, mine in graph.waits.items())
    final = tuple(name for name, node in graph.nodes.items() if node.final)
    return _layout(edges, final, columns)


@lru_cache(maxsize=4)  # a page and the picture of its recipe draw the same graph
def _layout(edges: tuple[tuple[Any, ...], ...], final: tuple[str, ...], columns: int) -> Layout:
    """Compute a layout.

    Args:
        edges: Each node as its name, followed by the nodes that it waits for, as in `Waits`.
        final: The names of the ``finally`` steps.
        columns: Highest number of ranks beside each other.
    """
    order = _order(edges, final)
    columns = min(columns, max(len(order.rows), 1))
    turns = len(order.rows) > columns
    gap = _WIDE_GAP if columns == COLUMNS or not turns else _SMALL_GAP
    side = _TURN if turns else _MARGIN
    centres, height = _centres(order.rows, columns, gap, side)
    width = 2 * side + columns * WIDTH + (columns - 1) * gap
    boxes = {
        name: (x - WIDTH / 2, y - HEIGHT / 2)
        for name, (x, y) in centres.items()
        if isinstance(name, str)
    }
    lines = _lines(order, centres, columns)
    return Layout(width, height, boxes, order.arrows, *lines, columns)


class _Order(msgspec.Struct, frozen=True):
    """Order of a graph, which is the same for each number of columns.

    Attributes:
        ranks: The ranks of the nodes that are steps.
        rows: The ordered nodes of each rank, with the bends of arrows that pass it.
        segments: The lines, each from a node to one of the next rank; True if it is dashed.
        arrows: The arrows, as in `Layout`.
    """

    ranks: dict[str, int]
    rows: list[list[_Node]]
    segments: dict[tuple[_Node, _Node], bool]
    arrows: list[tuple[str, str, bool]]


@lru_cache(maxsize=2)  # the pictures for wide and for narrow screens have the same order
def _order(edges: tuple[tuple[Any, ...], ...], final: tuple[str, ...]) -> _Order:
    """Return the order of a graph; the arguments are those of `_layout`."""
    needs: dict[str, dict[str, bool]] = {name: dict(mine) for name, *mine in edges}
    ranks = _ranks(final, needs)
    segments = _segments(ranks, needs)
    arrows = [(start, stop, weak) for stop, mine in needs.items() for start, weak in mine.items()]
    return _Order(ranks, _rows(ranks, segments), segments, arrows)


def _ranks(final: Sequence[str], needs: Mapping[str, Mapping[str, bool]]) -> dict[str, int]:
    """Return the rank of each node; ``finally`` steps follow one by one at the end.

    A rank with many nodes becomes several, so that a picture of steps without needs is no tower.
    """
    chains = longest_chains(needs, dict.fromkeys(needs, 1))
    levels: dict[int, list[str]] = {}
    for name in needs:
        levels.setdefault(int(chains[name][0]), []).append(name)
    ranks, rank = {}, 0
    ends = set(final)
    for level in sorted(levels):
        names = [name for name in levels[level] if name not in ends]
        pieces = -(-len(names) // _MOST_IN_RANK)
        most = -(-len(names) // max(pieces, 1))
        for place, name in enumerate(names):
            ranks[name] = rank + place // most
        rank += pieces
    return ranks | {name: rank + number for number, name in enumerate(final)}


def _rows(ranks: Mapping[str, int], segments: Iterable[tuple[_Node, _Node]]) -> list[list[_Node]]:
    """Return the ordered nodes of each rank, with the bends of arrows that pass it."""
    rows: list[list[_Node]] = [[] for _ in range(max(ranks.values(), default=-1) + 1)]
    for name, rank in ranks.items():
        rows[rank].append(name)
    nodes = [node for pair in segments for node in pair]
    for bend in dict.fromkeys([node for node in nodes if isinstance(node, _Bend)]):
        rows[bend.rank].append(bend)
    if not segments or max(map(len, rows)) <= 1:
        return rows
    previous: dict[_Node, list[_Node]] = {}
    following: dict[_Node, list[_Node]] = {}
    for one, other in segments:
        following.setdefault(one, []).append(other)
        previous.setdefault(other, []).append(one)
    for _ in range(_SWEEPS):
        before = [row[:] for row in rows]
        _sweep(rows, previous)
        _sweep(rows[::-1], following)
        if rows == before:  # so the next sweeps change nothing
            break
    _sweep(rows, previous)
    return rows


def _segments(
    ranks: Mapping[str, int], needs: Mapping[str, Mapping[str, bool]]
) -> dict[tuple[_Node, _Node], bool]:
    """Return the lines of all arrows; an arrow that passes ranks has a bend in each of them."""
    fan_out: dict[str, int] = {}
    for mine in needs.values():
        for start in mine:
            fan_out[start] = fan_out.get(start, 0) + 1
    segments: dict[tuple[_Node, _Node], bool] = {}
    ends: dict[tuple[str, bool, bool], int] = {}
    bends = 0
    for stop, mine in needs.items():
        for start, weak in mine.items():
            first, last = ranks[start] + 1, ranks[stop] - 1
            if first > last:  # the usual arrow, to the next rank
                segments[start, stop] = weak
                continue
            outward = fan_out[start] >= len(mine)
            trunk = (start if outward else stop, outward, weak)
            chain: list[_Node] = [start, stop]
            # Only the part of a trunk that no earlier arrow has is new.
            known = ends.get(trunk, first - 1 if outward else last + 1)
            added = range(known + 1, last + 1) if outward else range(first, known)
            if bends + len(added) <= _MAX_BENDS:
                bends += len(added)
                ends[trunk] = max(known, last) if outward else min(known, first)
                middle = [_Bend(*trunk, rank) for rank in added]
                if outward:
                    before: list[_Node] = (
                        [_Bend(*trunk, min(known, last))] if known >= first else [start]
                    )
                    chain = [*before, *middle, stop]
                else:
                    after: list[_Node] = (
                        [_Bend(*trunk, max(known, first))] if known <= last else [stop]
                    )
                    chain = [start, *middle, *after]
            segments |= dict.fromkeys(itertools.pairwise(chain), weak)
    return segments


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


def _size(node: _Node) -> int:
    return _ROW if isinstance(node, str) else _BEND_ROW


def _centres(
    rows: Sequence[Sequence[_Node]], columns: int, gap: int, side: int
) -> tuple[dict[_Node, tuple[float, float]], float]:
    """Return the centre of each node and the height of the picture."""
    sizes = [sum(map(_size, row)) for row in rows]
    centres: dict[_Node, tuple[float, float]] = {}
    top = float(_MARGIN)
    for first in range(0, len(rows), columns):
        highest = max(sizes[first : first + columns])
        is_forward = first // columns % 2 == 0
        for number, row in enumerate(rows[first : first + columns]):
            column = number if is_forward else columns - 1 - number
            x = side + column * (WIDTH + gap) + WIDTH / 2
            y = top + (highest - sizes[first + number]) / 2
            # A turn mirrors the order: so the bows beside it do not cross each other.
            for node in row if is_forward else row[::-1]:
                size = _size(node)
                centres[node] = (x, y + (size - (_ROW - HEIGHT)) / 2)
                y += size
        top += highest - (_ROW - HEIGHT) + _TURN_GAP
    return centres, top - _TURN_GAP + _MARGIN if rows else 2 * _MARGIN


def _lines(
    order: _Order, centres: Mapping[_Node, tuple[float, float]], columns: int
) -> tuple[str, str, str]:
    """Return path data: the solid lines, the dashed lines, and the heads of the arrows.

    Args:
        order: The order of the graph.
        centres: The centre of each node.
        columns: Number of ranks beside each other.
    """
    ranks, half = order.ranks, WIDTH / 2
    solid: list[str] = []
    dashed: list[str] = []
    heads: dict[str, None] = {}
    for (start, stop), weak in order.segments.items():
        row = (start.rank if isinstance(start, _Bend) else ranks[start]) // columns
        to_row = (stop.rank if isinstance(stop, _Bend) else ranks[stop]) // columns
        # The direction of the arrows in a row: 1 for right, -1 for left.
        way, to_way = 1 - row % 2 * 2, 1 - to_row % 2 * 2
        (x, y), (to_x, to_y) = centres[start], centres[stop]
        begin, end = x + way * half, to_x - to_way * half
        x1, y1, x2, y2 = _number(begin), _number(y), _number(end), _number(to_y)
        if to_row == row + 1:  # a bow beside the end of the rows
            bow = min(abs(to_y - y) / 8, _TURN * 1.2 - _SMALL_BOW)
            middle = _number(begin + way * (_SMALL_BOW + bow))
        else:
            middle = _number((begin + end) / 2)
        # A line is straight beside the boxes of a rank and curved between two ranks.
        path = f"M{x1} {y1}"
        if isinstance(start, _Bend):
            path = f"M{_number(x - way * half)} {y1}H{x1}"
        path += f"C{middle} {y1} {middle} {y2} {x2} {y2}"
        (dashed if weak else solid).append(path)
        if isinstance(stop, str):
            back = _number(end - to_way * _HEAD)
            low, high = _number(to_y - _HEAD / 2), _number(to_y + _HEAD / 2)
            heads[f"M{x2} {y2}L{back} {low}V{high}z"] = None
    return "".join(solid), "".join(dashed), "".join(heads)


@lru_cache(maxsize=1024)  # most nodes of a picture share one of their coordinates
def _number(value: float) -> str:
    return f"{value:g}"
