"""Graph tab: Cytoscape graph, or a static picture for large recipes."""

import base64
import itertools
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from dash import Input, Output, State, dcc, html, no_update

from pytest_orchestrator.core.text import cut_to_length
from pytest_orchestrator.monitor.pages.common import (
    Selection,
    read_run,
    selected_recipe,
    selected_step,
    step_key,
)
from pytest_orchestrator.monitor.run_cache import RunCache, RunView
from pytest_orchestrator.reports.critical_path import critical_path
from pytest_orchestrator.reports.graph.layout import HEIGHT, WIDTH
from pytest_orchestrator.reports.graph.nodes import graph as graph_of
from pytest_orchestrator.reports.graph.nodes import waits
from pytest_orchestrator.reports.graph.picture import legend_of, svg
from pytest_orchestrator.reports.text import duration, look, seconds, sign
from pytest_orchestrator.reports.views import steps_of
from pytest_orchestrator.runs.record import RecipeRecord

if TYPE_CHECKING:
    from dash import Dash

COLOURS: Final = {
    "passed": "#1a7f4b",
    "failed": "#c93c37",
    "running": "#1f6feb",
    "blocked": "#a06a00",
    "skipped": "#7d8590",
    "waiting": "#8c959f",
}
"""Colour by the look of a state, legible on white and on black, and below white text."""

_MAX_DRAWN_STEPS: Final = 300
_LABEL_LENGTH: Final = 24
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
    {
        "selector": ".final",
        "style": {"border-width": 2, "border-style": "dashed", "border-color": "#8c959f"},
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
    """Register Cytoscape's layouts with Dash; return False if Cytoscape is not installed."""
    try:
        import dash_cytoscape
    except ImportError:
        return False
    dash_cytoscape.load_extra_layouts()
    return True


def can_be_clicked(steps: Steps) -> bool:
    """Return True if the browser draws the graph: Cytoscape is installed and the steps are few."""
    return prepare() and len(steps) <= _MAX_DRAWN_STEPS


def graph(steps: Steps, critical: Sequence[str], picked: str | None, name: Any) -> Any:
    """Return the graph of a recipe as a component.

    Args:
        steps: The steps, as `reports.views.steps_of` returns them.
        critical: Names of the steps on the critical path, in order.
        picked: Name of the selected step.
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
    """Return the graph as the data URL of an SVG image."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg(steps).encode()).decode()


def elements(steps: Steps, critical: Sequence[str], picked: str | None) -> list[dict[str, Any]]:
    """Return the nodes and edges of the graph for Cytoscape.

    Cytoscape draws labels as plain text, so they are not escaped.
    """
    chain = set(critical)
    drawn: list[dict[str, Any]] = []
    for step in steps:
        name, state = str(step["name"]), str(step.get("state", "waiting"))
        classes = [look(state), "critical" if name in chain else ""]
        classes += ["final"] if step.get("final") else []
        classes += ["picked"] if name == picked else []
        time = f" · {seconds(step['seconds'])} s" if "seconds" in step else ""
        label = f"{cut_to_length(name, _LABEL_LENGTH)}\n{sign(state)} {state}{time}"
        drawn.append({"data": {"id": name, "label": label}, "classes": " ".join(classes)})
    critical_edges = set(itertools.pairwise(critical))
    for stop, mine in waits(steps).items():
        for start, weak in mine.items():
            classes = ["weak"] * weak + ["critical"] * ((start, stop) in critical_edges)
            data = {"id": f"{start} -> {stop}", "source": start, "target": stop}
            drawn.append({"data": data, "classes": " ".join(classes)})
    return drawn


LABEL = "Graph"


def layout(view: RunView, selection: Selection) -> Any:
    """Return the content of the Graph tab."""
    recipe = selected_recipe(view, selection)
    if recipe is None:
        return html.P("No recipe has started yet.", className="quiet")
    steps = steps_of(recipe)
    drawn = graph(steps, _chain(recipe), _picked(view, selection, recipe), "graph")
    return html.Div(
        [
            dcc.Store(id="graph-seen", data=[version(view, recipe), selection.picked]),
            html.Div(_critical_path_text(recipe), className="quiet", id="graph-told"),
            html.Div(drawn, className="graph"),
            html.Div(_legend(steps), className="quiet", id="graph-legend"),
        ],
        className="fill column",
    )


def _legend(steps: Steps) -> str:
    """Return the legend, with the signs and words of `report.html`; a picture has its own."""
    if not can_be_clicked(steps):
        return ""
    return "   ".join([*legend_of(graph_of(steps, fold=False)).texts, "━ critical path"])


def version(view: RunView, recipe: RecipeRecord) -> Any:
    """Return a value that changes whenever the shown content changes."""
    last = max((step.touched for step in recipe.steps.values()), default=0)
    return [recipe.key, last, view.record.state, len(recipe.steps)]


def register(app: "Dash", run_cache: RunCache) -> None:
    """Register the callbacks that update the graph and select a clicked step."""

    @app.callback(
        Output("graph", "elements"),
        Output("graph-told", "children"),
        Output("graph-legend", "children"),
        Output("graph-seen", "data"),
        Input("tick", "data"),
        Input("picked", "data"),
        State("run", "data"),
        State("recipe", "value"),
        State("graph-seen", "data"),
        prevent_initial_call=True,
    )
    def refresh(_: int, picked: str | None, run: str, recipe: str | None, seen: Any) -> Any:
        def render(view: RunView) -> Any:
            selection = Selection(picked, recipe)
            shown = selected_recipe(view, selection)
            steps = steps_of(shown) if shown else ()
            if shown is None or not can_be_clicked(steps):
                return (no_update,) * 4
            fresh = [version(view, shown), picked]
            if fresh == seen:
                return (no_update,) * 4
            drawn = elements(steps, _chain(shown), _picked(view, selection, shown))
            return drawn, _critical_path_text(shown), _legend(steps), fresh

        return read_run(run_cache, run, render)

    _register_clicks(app, run_cache)


def _register_clicks(app: "Dash", run_cache: RunCache) -> None:
    @app.callback(
        Output("picked", "data", allow_duplicate=True),
        Input("graph", "tapNodeData"),
        State("run", "data"),
        State("recipe", "value"),
        prevent_initial_call=True,
    )
    def pick(node: dict[str, Any] | None, run: str, recipe: str | None) -> Any:
        def render(view: RunView) -> Any:
            shown = selected_recipe(view, Selection(None, recipe))
            step = shown.steps.get(str(node["id"])) if shown and node else None
            return step_key(step) if step else no_update

        return read_run(run_cache, run, render)


def _chain(recipe: RecipeRecord) -> tuple[str, ...]:
    """Return the names of the steps on the critical path, among those that have ended."""
    path = critical_path([step.block for step in recipe.steps.values() if step.block])
    return path.names if path else ()


def _critical_path_text(recipe: RecipeRecord) -> str:
    path = critical_path([step.block for step in recipe.steps.values() if step.block])
    if path is None:
        return "Critical path: no step has ended yet"
    return f"Critical path: {' > '.join(path.names)}: {duration(path.seconds)}"


def _picked(view: RunView, selection: Selection, recipe: RecipeRecord) -> str | None:
    step = selected_step(view, selection.picked)
    return step.name if step and step.recipe == recipe.key else None
