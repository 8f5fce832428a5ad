"""The graph of a recipe that can be clicked: by Cytoscape, or as a picture of our own."""

import base64
import itertools
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from dash import html

from pytest_orchestrator.reports.graph.layout import HEIGHT, WIDTH, waits
from pytest_orchestrator.reports.graph.picture import svg
from pytest_orchestrator.reports.text import look, seconds, sign

COLOURS: Final = {
    "passed": "#1a7f4b",
    "failed": "#c93c37",
    "running": "#1f6feb",
    "blocked": "#a06a00",
    "skipped": "#7d8590",
    "waiting": "#8c959f",
}
"""By the look of a state; white text is legible on each, and each on white and on black."""

_MOST: Final = 300
_LONGEST: Final = 24
_ENDS: Final = 12
_STYLES: Final = [
    {
        "selector": "node",
        "style": {
            "shape": "round-rectangle",
            "width": WIDTH,
            "height": HEIGHT,
            "label": "data(label)",
            "color": "#ffffff",
            "font-size": 12,
            "font-family": "system-ui, sans-serif",
            "text-valign": "center",
            "text-wrap": "wrap",
            "line-height": 1.25,
        },
    },
    *(
        {"selector": f".{name}", "style": {"background-color": colour}}
        for name, colour in COLOURS.items()
    ),
    {
        "selector": "edge",
        "style": {
            "width": 1.5,
            "line-color": "#8c959f",
            "target-arrow-color": "#8c959f",
            "target-arrow-shape": "triangle",
            "curve-style": "bezier",
        },
    },
    {"selector": ".weak", "style": {"line-style": "dashed"}},
    {
        "selector": ".critical",
        "style": {
            "border-width": 3,
            "border-color": "#e3a008",
            "line-color": "#e3a008",
            "target-arrow-color": "#e3a008",
        },
    },
    {"selector": ".picked", "style": {"border-width": 4, "border-color": "#d946ef"}},
]

Steps = Sequence[Mapping[str, Any]]


@cache
def prepare() -> bool:
    """Have the scripts for graphs served; tell whether they are there."""
    try:
        import dash_cytoscape
    except ImportError:
        return False
    dash_cytoscape.load_extra_layouts()
    return True


def can_be_clicked(steps: Steps) -> bool:
    """Tell whether a graph is drawn in the browser: where it can, and is not too large for it."""
    return prepare() and len(steps) <= _MOST


def graph(steps: Steps, critical: Sequence[str], picked: str | None, name: Any) -> Any:
    """Return the graph of a recipe as a component.

    Args:
        steps: The steps, as `reports.views.steps_of` gives them.
        critical: Names of the steps of the critical path, in order.
        picked: Name of the step that is selected.
        name: The id of the component.
    """
    if not can_be_clicked(steps):
        return html.Div(html.Img(src=picture(steps), alt="graph of the recipe"), className="wide")
    import dash_cytoscape

    return dash_cytoscape.Cytoscape(
        id=name,
        elements=elements(steps, critical, picked),
        stylesheet=_STYLES,
        layout={"name": "dagre", "rankDir": "LR", "nodeSep": 18, "rankSep": 48, "fit": True},
        autoRefreshLayout=False,
        responsive=False,
        autoungrabify=True,
        minZoom=0.1,
        maxZoom=1.5,
        style={"width": "100%", "height": "100%"},
    )


def picture(steps: Steps) -> str:
    """Return the graph as what an image is read from."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg(steps).encode()).decode()


def elements(steps: Steps, critical: Sequence[str], picked: str | None) -> list[dict[str, Any]]:
    """Return boxes and arrows for Cytoscape; text in them is drawn, and nothing else."""
    chain = set(critical)
    found: list[dict[str, Any]] = []
    for step in steps:
        name, state = str(step["name"]), str(step.get("state", "waiting"))
        classes = [look(state), "critical" if name in chain else ""]
        classes += ["picked"] if name == picked else []
        shown = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
        time = f" · {seconds(step['seconds'])} s" if "seconds" in step else ""
        label = f"{shown}\n{sign(state)} {state}{time}"
        found.append({"data": {"id": name, "label": label}, "classes": " ".join(classes)})
    follows = set(itertools.pairwise(critical))
    for stop, mine in _waits(steps).items():
        for start, weak in mine.items():
            classes = ["weak"] * weak + ["critical"] * ((start, stop) in follows)
            data = {"id": f"{start} -> {stop}", "source": start, "target": stop}
            found.append({"data": data, "classes": " ".join(classes)})
    return found


def _waits(steps: Steps) -> dict[str, dict[str, bool]]:
    """Return what each step waits for; those of ``finally`` come one by one behind all others."""
    found = waits(steps)
    final = [str(step["name"]) for step in steps if step.get("final")]
    needed = {name for mine in found.values() for name in mine} | {*final}
    last = [name for name in found if name not in needed]
    if final and len(last) <= _ENDS:
        found[final[0]] |= dict.fromkeys(last, True)
    for before, name in itertools.pairwise(final):
        found[name] |= {before: True}
    return found
