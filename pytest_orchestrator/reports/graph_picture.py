"""Pictures of the graph of a recipe, with what became of its steps: SVG, Mermaid, DOT."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.reports import figures
from pytest_orchestrator.reports.graph_layout import HEIGHT, WIDTH, Layout, Steps, laid_out, waits
from pytest_orchestrator.reports.mermaid import mermaid
from pytest_orchestrator.reports.states import look, sign

__all__ = ["PICTURES", "Steps", "boxes", "dot", "mermaid", "svg"]

_WIDEST: Final = 23
_FILLS: Final = {
    "passed": "#dafbe1",
    "failed": "#ffebe9",
    "blocked": "#fff8c5",
    "running": "#ddf4ff",
    "skipped": "#f6f8fa",
}


class _Box(NamedTuple):
    """A step as the template writes it, in few values: each takes a microsecond there."""

    classes: str
    place: str
    title: str
    shown: str
    told: str
    href: Any


def svg(steps: Steps, *, graphviz: bool = False) -> str:
    """Return a drawing that is a file of its own.

    Args:
        steps: The steps of a recipe in their order, each named once; ``seconds`` are shown.
        graphviz: Let Graphviz find the places where it is installed (extra ``graph``).
    """
    from pytest_orchestrator.reports.templates import template

    layout = _by_graphviz(steps) if graphviz else None
    return template("graph.svg").render(boxes(steps, layout or laid_out(steps)), alone=True)


def boxes(steps: Steps, layout: Layout | None = None) -> dict[str, Any]:
    """Return what the template of a drawing shows."""
    layout = layout or laid_out(steps)
    drawn = [
        _box(step, name, layout.boxes[name])
        for step in steps
        if (name := str(step["name"])) in layout.boxes
    ]
    size = {"width": layout.width, "height": layout.height, "box_size": (WIDTH, HEIGHT)}
    return size | {"boxes": drawn, "arrows": layout.arrows}


def _box(step: Mapping[str, Json], name: str, corner: tuple[float, float]) -> _Box:
    told, final = _told(step), bool(step.get("final"))
    x, y = corner
    return _Box(
        f"box {look(str(step.get('state', 'waiting')))}{' final' * final}",
        f"translate({x:.1f} {y:.1f})",
        f"{name}{f': {told}' if told else ''}{' (finally)' * final}",
        _shown(name),
        told,
        step.get("href"),
    )


def _shown(name: str) -> str:
    """Return as much of a name as has room in a box."""
    return name if len(name) <= _WIDEST else f"{name[: _WIDEST - 1]}…"


def dot(steps: Steps) -> str:
    """Return the graph as text for Graphviz.

    Args:
        steps: As for `svg`.
    """
    lines = ["digraph recipe {", "  rankdir=TB;"]
    lines.append('  node [shape=box, style="rounded,filled", fontname="sans-serif"];')
    lines.append(f"  node [width={WIDTH / 72:.3f}, height={HEIGHT / 72:.3f}, fixedsize=true];")
    for step in steps:
        name, told = str(step["name"]), _told(step)
        shown = _quoted(_shown(name))
        label = f"{shown[:-1]}\\n{_quoted(told)[1:]}" if told else shown
        fill = _FILLS.get(look(str(step.get("state", ""))), "#ffffff")
        lines.append(f'  {_quoted(name)} [label={label}, fillcolor="{fill}"];')
    for stop, mine in waits(steps).items():
        for start, weak in mine.items():
            looks = " [style=dashed]" if weak else ""
            lines.append(f"  {_quoted(start)} -> {_quoted(stop)}{looks};")
    return "\n".join([*lines, "}"]) + "\n"


PICTURES: Final[Mapping[str, Callable[[Steps], str]]] = {"svg": svg, "mmd": mermaid, "dot": dot}
"""What draws a picture, by the suffix of its file."""


def _told(step: Mapping[str, Json]) -> str:
    """Return the second line of a box: sign and state, and the time where there is one."""
    state, seconds = step.get("state"), step.get("seconds")
    if not state:
        return ""
    told = f"{sign(str(state))} {state}"
    return f"{told} · {figures.seconds(seconds)} s" if seconds is not None else told


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


def _by_graphviz(steps: Steps) -> Layout | None:
    """Return the places that Graphviz finds; None where it is not installed."""
    from pytest_orchestrator.reports.graphviz_layout import graphviz_layout

    try:
        return graphviz_layout(dot(steps), waits(steps))
    except ImportError:
        return None
