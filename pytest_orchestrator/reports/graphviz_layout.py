"""The places that Graphviz finds for a graph; needs pygraphviz, the extra ``graph``."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping

from pytest_orchestrator.reports.graph_layout import HEIGHT, WIDTH, Arrow, Layout

_EDGE = 4


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
        Arrow(start, stop, weak, _path(graph.get_edge(start, stop).attr["pos"], point))
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


def _path(told: str, point: Callable[[str], tuple[float, float]]) -> str:
    """Return a line of Graphviz, ``e,x,y`` of its head and then a start and triples, for SVG."""
    words = told.split()
    head = next((word[2:] for word in words if word.startswith("e,")), None)
    points = [point(word) for word in words if word[:2] not in ("e,", "s,")]
    path = "M{:g} {:g}C".format(*points[0]) + " ".join(f"{x:g} {y:g}" for x, y in points[1:])
    return path + "L{:g} {:g}".format(*point(head)) if head else path
