"""Page of one run: verdict bar, tabs, footer."""

import time
from collections import Counter
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from dash import Input, Output, State, dcc, html, no_update

from pytest_orchestrator.monitor.eta import Seconds, StepEstimates, to_go
from pytest_orchestrator.monitor.pages import (
    context,
    graph,
    log,
    measurements,
    resources,
    steps,
    timeline,
)
from pytest_orchestrator.monitor.pages.common import Asked, found, look_at
from pytest_orchestrator.monitor.pages.steps import drawer, view
from pytest_orchestrator.monitor.run_cache import RunCache, RunListCache, RunView
from pytest_orchestrator.reports.html.timeline import moment
from pytest_orchestrator.reports.text import duration, look, sign
from pytest_orchestrator.runs.lookup import NoRun
from pytest_orchestrator.runs.summary import seconds, verdict

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


def layout(watch: RunCache, name: str) -> Any:
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


def register(app: "Dash", watch: RunCache, _: RunListCache) -> None:
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


def _refresh(app: "Dash", watch: RunCache) -> None:
    """Keep all that is not in a tab as it is."""
    usual = StepEstimates()

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


def _refreshed(sight: RunView, usual: Seconds, picked: str | None, seen: Any) -> tuple[Any, ...]:
    now = time.time()
    step = found(sight, picked)
    version = [picked, step.touched, step.state] if step else None
    shown: tuple[Any, Any] = (no_update, no_update)
    if version != seen:
        shown = (drawer(view(sight, step)) if step else html.P(_NONE, className="quiet"), version)
    return bar(sight, usual, now), _recipes(sight), *shown, told(sight, now)


def _usual(watch: RunCache, usual: StepEstimates, run: str) -> Seconds:
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


def _recipes(sight: RunView) -> list[str]:
    return list(sight.record.recipes)


_ORDER: Final = ("passed", "failed", "blocked", "skipped", "running", "waiting")


def bar(sight: RunView, usual: Seconds, now: float) -> list[Any]:
    """Return what the bar has in it.

    Args:
        sight: The run.
        usual: What its steps usually take.
        now: Seconds since the epoch.
    """
    run = sight.record
    word = verdict(run)
    states = Counter(step.state for step in run.steps)
    looks = Counter(look(step.state) for step in run.steps)
    total = sum(states.values())
    done = total - looks["running"] - looks["waiting"]
    live = run.state == "running" and bool(run.first)
    took = max(0.0, now - moment(run.first)) if live else seconds(run)
    told = [f"{done} of {total} steps", ", ".join(f"{n} {name}" for name, n in states.items())]
    told += [duration(took)]
    left = to_go(run, usual, now) if live and total else None
    told += [f"about {_clock(left)} to go"] if left is not None else []
    parts = [
        html.Div(className=f"part look-{name}", style={"flexGrow": looks[name]})
        for name in _ORDER
        if looks[name]
    ]
    return [
        html.Div(
            [
                dcc.Link("runs", href="/"),
                html.Span(">", className="quiet"),
                html.H1(sight.folder.name),
                html.Span(f"{sign(word)} {word}", className=f"badge look-{look(word)}"),
                html.Span(_what(sight), className="quiet"),
            ],
            className="line",
        ),
        html.Div(parts, className="bar", title=" · ".join(told)),
        html.Div(" · ".join(part for part in told if part), className="quiet", id="told"),
    ]


def _what(sight: RunView) -> str:
    """Name the recipes, and the machine."""
    names = [recipe.about.get("name") or recipe.key for recipe in sight.record.recipes.values()]
    shown = ", ".join(map(str, names[:3])) + (f" and {len(names) - 3} more" * (len(names) > 3))
    started = sight.record.started
    return f"{shown} on {started.host}" if started and started.host else shown


def _clock(left: float) -> str:
    minutes, rest = divmod(round(left), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def footer(name: str = "foot", told: str = "") -> Any:
    """Return the line; a script turns it red where three answers in a row are missing.

    Args:
        name: The id of what is told.
        told: What that is at first.
    """
    return html.Footer(
        [
            html.Span(told, id=name),
            html.Span("the monitor does not answer", className="missing"),
        ]
    )


def told(sight: RunView, now: float) -> str:
    """Return what the line says of a run."""
    if sight.trouble:
        return sight.trouble
    last = sight.record.last
    lag = max(0.0, now - sight.checked)
    parts = [f"source {sight.folder}", f"lag {lag:.1f} s"]
    if last:
        ago = max(0.0, now - moment(last))
        event = f"last event {last[11:19]} UTC"
        parts.append(f"{event}, {ago:.0f} s ago" if sight.record.state == "running" else event)
    return " · ".join(parts)
