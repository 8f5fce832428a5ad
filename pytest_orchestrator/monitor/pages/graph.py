"""The tab of the graph: live states, the critical path, a click that selects a step."""

from typing import TYPE_CHECKING, Any

from dash import Input, Output, State, dcc, html, no_update

from pytest_orchestrator.monitor.drawing import can_be_clicked, elements, graph
from pytest_orchestrator.monitor.pages.tab import Asked, found, key, look_at, recipe_of
from pytest_orchestrator.monitor.watch import Sight, Watch
from pytest_orchestrator.reports.critical_path import critical_path
from pytest_orchestrator.reports.text import duration
from pytest_orchestrator.reports.views import steps_of
from pytest_orchestrator.runs.record import RecipeRecord

if TYPE_CHECKING:
    from dash import Dash

LABEL = "Graph"


def layout(sight: Sight, asked: Asked) -> Any:
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


def version(sight: Sight, recipe: RecipeRecord) -> Any:
    """Return what tells whether what is shown is up to date."""
    last = max((step.touched for step in recipe.steps.values()), default=0)
    return [recipe.key, last, sight.record.state, len(recipe.steps)]


def register(app: "Dash", watch: Watch) -> None:
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
        def show(sight: Sight) -> Any:
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


def _follow_clicks(app: "Dash", watch: Watch) -> None:
    @app.callback(
        Output("picked", "data", allow_duplicate=True),
        Input("graph", "tapNodeData"),
        State("run", "data"),
        State("recipe", "value"),
        prevent_initial_call=True,
    )
    def pick(node: dict[str, Any] | None, run: str, recipe: str | None) -> Any:
        def show(sight: Sight) -> Any:
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


def _picked(sight: Sight, asked: Asked, recipe: RecipeRecord) -> str | None:
    step = found(sight, asked.picked)
    return step.name if step and step.recipe == recipe.key else None
