"""The page of one run: a bar that counts up, tabs, a drawer for the selected step."""

import time
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from dash import Input, Output, State, dcc, html, no_update

from pytest_orchestrator.monitor.pages import (
    context,
    graph,
    log,
    measurements,
    resources,
    steps,
    timeline,
)
from pytest_orchestrator.monitor.pages.drawer import drawer, view
from pytest_orchestrator.monitor.pages.footer import footer, told
from pytest_orchestrator.monitor.pages.tab import Asked, found, look_at
from pytest_orchestrator.monitor.pages.verdict import bar
from pytest_orchestrator.monitor.shelf import Shelf
from pytest_orchestrator.monitor.usual import Seconds, Usual
from pytest_orchestrator.monitor.watch import Sight, Watch
from pytest_orchestrator.runs.lookup import NoRun

if TYPE_CHECKING:
    from dash import Dash

_TABS: Final[dict[str, ModuleType]] = {
    "graph": graph,
    "timeline": timeline,
    "steps": steps,
    "context": context,
    "resources": resources,
    "measurements": measurements,
    "log": log,
}
_NONE: Final = "Select a step in the graph, the timeline or the table."


def layout(watch: Watch, name: str) -> Any:
    """Return the page."""
    try:
        recipes, shown = watch.see(name, lambda sight: (_recipes(sight), bar(sight, {}, 0.0)))
    except NoRun as error:
        gone = html.P([f"{error}; it may have been deleted. ", dcc.Link("all runs", href="/")])
        return html.Main([html.Header(html.H1("Run")), gone, footer()], className="page")
    tabs = [dcc.Tab(label=tab.LABEL, value=word) for word, tab in _TABS.items()]
    return html.Main(
        [
            dcc.Store(id="run", data=name),
            dcc.Store(id="picked"),
            dcc.Store(id="drawer-seen"),
            html.Header(shown, id="bar"),
            html.Div(
                [
                    dcc.Tabs(tabs, id="tab", value="graph", className="tabs"),
                    dcc.Dropdown(
                        recipes,
                        recipes[0] if recipes else None,
                        id="recipe",
                        clearable=False,
                        className="recipe" if len(recipes) > 1 else "recipe single",
                    ),
                ],
                className="choice",
            ),
            html.Div(
                [
                    html.Section(id="pane", className="pane"),
                    html.Aside(html.P(_NONE, className="quiet"), id="drawer"),
                ],
                className="split",
            ),
            footer("run-foot"),
        ],
        className="page",
    )


def register(app: "Dash", watch: Watch, _: Shelf) -> None:
    """Keep the page as it is."""

    @app.callback(
        Output("pane", "children"),
        Input("tab", "value"),
        Input("recipe", "value"),
        Input("run", "data"),
        State("picked", "data"),
    )
    def open_tab(tab: str, recipe: str | None, run: str, picked: str | None) -> Any:
        shown = _TABS.get(tab, graph)
        try:
            return watch.see(run, lambda sight: shown.layout(sight, Asked(picked, recipe)))
        except NoRun as error:
            return html.P(f"{error}; it may have been deleted")

    @app.callback(
        Output("recipe", "value"),
        Input("picked", "data"),
        State("recipe", "value"),
        State("run", "data"),
        prevent_initial_call=True,
    )
    def turn_to(picked: str | None, recipe: str | None, run: str) -> Any:
        step = look_at(watch, run, lambda sight: found(sight, picked))
        return step.recipe if step and step.recipe != recipe else no_update

    _refresh(app, watch)
    for tab in _TABS.values():
        tab.register(app, watch)


def _refresh(app: "Dash", watch: Watch) -> None:
    """Keep all that is not in a tab as it is."""
    usual = Usual()

    @app.callback(
        Output("bar", "children"),
        Output("recipe", "options"),
        Output("drawer", "children"),
        Output("drawer-seen", "data"),
        Output("run-foot", "children"),
        Input("tick", "data"),
        Input("picked", "data"),
        State("run", "data"),
        State("drawer-seen", "data"),
    )
    def refresh(_: int, picked: str | None, run: str, seen: Any) -> tuple[Any, ...]:
        try:
            known = _usual(watch, usual, run)
            return watch.see(run, lambda sight: _refreshed(sight, known, picked, seen))
        except NoRun as error:
            gone = f"{error}: its folder was deleted; what is shown is the last that was known"
            return *(no_update,) * 4, gone


def _refreshed(sight: Sight, usual: Seconds, picked: str | None, seen: Any) -> tuple[Any, ...]:
    now = time.time()
    step = found(sight, picked)
    version = [picked, step.touched, step.state] if step else None
    shown: tuple[Any, Any] = (no_update, no_update)
    if version != seen:
        shown = (drawer(view(sight, step)) if step else html.P(_NONE, className="quiet"), version)
    return bar(sight, usual, now), _recipes(sight), *shown, told(sight, now)


def _usual(watch: Watch, usual: Usual, run: str) -> Seconds:
    """Return what the steps of a run usually take; of none that is over."""
    asked = watch.see(
        run,
        lambda sight: (
            [(step.recipe, step.name) for step in sight.record.steps]
            if sight.record.state == "running"
            else []
        ),
    )
    return usual.of(watch.folder(run), asked) if asked else {}


def _recipes(sight: Sight) -> list[str]:
    return list(sight.record.recipes)
