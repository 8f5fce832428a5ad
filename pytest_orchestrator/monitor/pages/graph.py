"""Graph tab: Cytoscape graph or static picture."""

import base64
import itertools
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from dash import Input, Output, State, dcc, html, no_update

from pytest_orchestrator.monitor.pages.common import Asked, found, key, look_at, recipe_of
from pytest_orchestrator.monitor.run_cache import RunCache, RunView
from pytest_orchestrator.reports.critical_path import critical_path
from pytest_orchestrator.reports.graph.layout import HEIGHT, WIDTH, waits
from pytest_orchestrator.reports.graph.picture import svg
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


LABEL = "Graph"


def layout(sight: RunView, asked: Asked) -> Any:
    """Return the tab."""
    recipe = recipe_of(sight, asked)
    if recipe is None:
        return html.P("No recipe has begun so far.", className="quiet")
    drawn = graph(steps_of(recipe), _chain(recipe), _picked(sight, asked, recipe), "graph")
    return html.Div(
        [
            dcc.Store(id="graph-seen", data=[version(sight, recipe), asked.picked]),
            html.Div(_told(recipe), className="quiet", id="graph-told"),
            html.Div(drawn, className="graph"),
        ],
        className="fill column",
    )


def version(sight: RunView, recipe: RecipeRecord) -> Any:
    """Return what tells whether what is shown is up to date."""
    last = max((step.touched for step in recipe.steps.values()), default=0)
    return [recipe.key, last, sight.record.state, len(recipe.steps)]


def register(app: "Dash", watch: RunCache) -> None:
    """Keep the graph as it is, and select what is clicked."""

    @app.callback(
        Output("graph", "elements"),
        Output("graph-told", "children"),
        Output("graph-seen", "data"),
        Input("tick", "data"),
        Input("picked", "data"),
        State("run", "data"),
        State("recipe", "value"),
        State("graph-seen", "data"),
        prevent_initial_call=True,
    )
    def refresh(_: int, picked: str | None, run: str, recipe: str | None, seen: Any) -> Any:
        def show(sight: RunView) -> Any:
            asked = Asked(picked, recipe)
            shown = recipe_of(sight, asked)
            steps = steps_of(shown) if shown else ()
            if shown is None or not can_be_clicked(steps):
                return (no_update,) * 3
            fresh = [version(sight, shown), picked]
            if fresh == seen:
                return (no_update,) * 3
            drawn = elements(steps, _chain(shown), _picked(sight, asked, shown))
            return drawn, _told(shown), fresh

        return look_at(watch, run, show)

    _follow_clicks(app, watch)


def _follow_clicks(app: "Dash", watch: RunCache) -> None:
    @app.callback(
        Output("picked", "data", allow_duplicate=True),
        Input("graph", "tapNodeData"),
        State("run", "data"),
        State("recipe", "value"),
        prevent_initial_call=True,
    )
    def pick(node: dict[str, Any] | None, run: str, recipe: str | None) -> Any:
        def show(sight: RunView) -> Any:
            shown = recipe_of(sight, Asked(None, recipe))
            step = shown.steps.get(str(node["id"])) if shown and node else None
            return key(step) if step else no_update

        return look_at(watch, run, show)


def _chain(recipe: RecipeRecord) -> tuple[str, ...]:
    """Return the critical path of what has ended so far."""
    path = critical_path([step.block for step in recipe.steps.values() if step.block])
    return path.names if path else ()


def _told(recipe: RecipeRecord) -> str:
    path = critical_path([step.block for step in recipe.steps.values() if step.block])
    if path is None:
        return "critical path: no step has ended so far"
    return f"critical path: {' > '.join(path.names)}: {duration(path.seconds)}"


def _picked(sight: RunView, asked: Asked, recipe: RecipeRecord) -> str | None:
    step = found(sight, asked.picked)
    return step.name if step and step.recipe == recipe.key else None
