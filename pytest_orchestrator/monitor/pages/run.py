"""Page of one run: verdict bar, tabs, footer."""

import time
from collections import Counter
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from dash import Input, Output, State, dcc, html, no_update

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.monitor.eta import remaining_seconds
from pytest_orchestrator.monitor.pages import (
    context,
    graph,
    log,
    measurements,
    resources,
    steps,
    timeline,
)
from pytest_orchestrator.monitor.pages.common import Selection, read_run, selected_step
from pytest_orchestrator.monitor.pages.steps import drawer, step_view
from pytest_orchestrator.monitor.run_cache import RunCache, RunListCache, RunView
from pytest_orchestrator.reports.text import duration, look, sign
from pytest_orchestrator.runs.compare.estimates import Seconds, StepEstimates
from pytest_orchestrator.runs.lookup import NoRun
from pytest_orchestrator.runs.summary import interruption, marginal, seconds, verdict

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
_NO_SELECTION: Final = "Select a step in the graph, the timeline or the table to read its details."


def layout(run_cache: RunCache, name: str) -> Any:
    """Return the page of a run."""
    try:
        recipes, shown = run_cache.read(name, lambda view: (_recipes(view), bar(view, {}, 0.0)))
    except NoRun as error:
        gone = html.P([f"{error}; it may have been deleted. ", dcc.Link("All runs", href="/")])
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
                    html.Aside(html.P(_NO_SELECTION, className="quiet"), id="drawer"),
                ],
                className="split",
            ),
            footer("run-foot"),
        ],
        className="page",
    )


def register(app: "Dash", run_cache: RunCache, _: RunListCache) -> None:
    """Register the callbacks of the page and of its tabs."""

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
            return run_cache.read(run, lambda view: shown.layout(view, Selection(picked, recipe)))
        except NoRun as error:
            return html.P(f"{error}; it may have been deleted")

    @app.callback(
        Output("recipe", "value"),
        Input("picked", "data"),
        State("recipe", "value"),
        State("run", "data"),
        prevent_initial_call=True,
    )
    def switch_recipe(picked: str | None, recipe: str | None, run: str) -> Any:
        step = read_run(run_cache, run, lambda view: selected_step(view, picked))
        return step.recipe if step and step.recipe != recipe else no_update

    _refresh(app, run_cache)
    for tab in _TABS.values():
        tab.register(app, run_cache)


def _refresh(app: "Dash", run_cache: RunCache) -> None:
    """Register the callback that updates the page outside of the tabs."""
    step_estimates = StepEstimates()

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
            estimates = _estimates(run_cache, step_estimates, run)
            return run_cache.read(run, lambda view: _updates(view, estimates, picked, seen))
        except NoRun as error:
            gone = f"{error}: its folder was deleted; the page shows its last known state"
            return *(no_update,) * 4, gone


def _updates(view: RunView, estimates: Seconds, picked: str | None, seen: Any) -> tuple[Any, ...]:
    now = time.time()
    step = selected_step(view, picked)
    version = [picked, step.touched, step.state] if step else None
    shown: tuple[Any, Any] = (no_update, no_update)
    if version != seen:
        shown = (
            drawer(step_view(view, step)) if step else html.P(_NO_SELECTION, className="quiet"),
            version,
        )
    return bar(view, estimates, now), _recipes(view), *shown, status_text(view, now)


def _estimates(run_cache: RunCache, step_estimates: StepEstimates, run: str) -> Seconds:
    """Return the estimated durations of the steps of a run; empty if the run has ended."""
    names = run_cache.read(
        run,
        lambda view: (
            [(step.recipe, step.name) for step in view.record.steps]
            if view.record.state == "running"
            else []
        ),
    )
    return step_estimates.of(run_cache.folder(run), names) if names else {}


def _recipes(view: RunView) -> list[str]:
    return list(view.record.recipes)


_ORDER: Final = ("passed", "failed", "blocked", "skipped", "running", "waiting")


def bar(view: RunView, estimates: Seconds, now: float) -> list[Any]:
    """Return the content of the bar at the top: verdict, counts, remaining time.

    Args:
        view: The run.
        estimates: Estimated durations of its steps.
        now: Seconds since the epoch.
    """
    run = view.record
    word = verdict(run)
    why = interruption(run) if word == "interrupted" else ""
    cause = f" ({why})" if why else ""
    states = Counter(step.state for step in run.steps)
    looks = Counter(look(step.state) for step in run.steps)
    total = sum(states.values())
    done = total - looks["running"] - looks["waiting"]
    live = run.state == "running" and bool(run.first)
    took = max(0.0, now - epoch_seconds(run.first)) if live else seconds(run)
    counts = [f"{done} of {total} steps", ", ".join(f"{n} {name}" for name, n in states.items())]
    counts += [f"{near} marginal"] if (near := marginal(run.steps)) else []
    counts += [duration(took)]
    left = remaining_seconds(run, estimates, now) if live and total else None
    counts += [f"about {_clock(left)} to go"] if left is not None else []
    parts = [
        html.Div(className=f"part look-{name}", style={"flexGrow": looks[name]})
        for name in _ORDER
        if looks[name]
    ]
    return [
        html.Div(
            [
                dcc.Link("Runs", href="/"),
                html.Span(">", className="quiet"),
                html.H1(view.folder.name),
                html.Span(f"{sign(word)} {word}{cause}", className=f"badge look-{look(word)}"),
                html.Span(_title(view), className="quiet"),
            ],
            className="line",
        ),
        html.Div(parts, className="bar", title=" · ".join(counts)),
        html.Div(" · ".join(part for part in counts if part), className="quiet", id="counts"),
    ]


def _title(view: RunView) -> str:
    """Return a text with the names of the first three recipes and of the machine."""
    names = [recipe.about.get("name") or recipe.key for recipe in view.record.recipes.values()]
    shown = ", ".join(map(str, names[:3])) + (f" and {len(names) - 3} more" * (len(names) > 3))
    started = view.record.started
    return f"{shown} on {started.host}" if started and started.host else shown


def _clock(left: float) -> str:
    minutes, rest = divmod(round(left), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def footer(name: str = "foot", text: str = "") -> Any:
    """Return the status line; a script turns it red when three replies in a row are missing.

    Args:
        name: The id of its text.
        text: The initial text.
    """
    return html.Footer(
        [
            html.Span(text, id=name),
            html.Span("Connection to the monitor lost", className="missing"),
        ]
    )


def status_text(view: RunView, now: float) -> str:
    """Return the text of the status line for a run."""
    if view.problem:
        return view.problem[0].upper() + view.problem[1:]
    last = view.record.last
    age = max(0.0, now - view.checked)
    parts = [f"Reading {view.folder}", f"read {age:.0f} s ago" if age >= 1 else "up to date"]
    if last:
        ago = max(0.0, now - epoch_seconds(last))
        event = f"last event {last[11:19]} UTC"
        parts.append(f"{event}, {ago:.0f} s ago" if view.record.state == "running" else event)
    return " · ".join(parts)
