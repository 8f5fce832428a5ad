"""Timeline tab: bars of the steps by worker slot."""

import html as escaping
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import plotly.graph_objects as go
from dash import Input, Output, State, dcc, html, no_update

from pytest_orchestrator.monitor.pages.common import (
    Selection,
    empty_figure,
    read_run,
    selected_recipe,
    step_key,
)
from pytest_orchestrator.monitor.pages.graph import COLOURS
from pytest_orchestrator.monitor.run_cache import RunCache, RunView
from pytest_orchestrator.reports.html.timeline import Bar, Span, Timeline, timeline
from pytest_orchestrator.reports.text import look

if TYPE_CHECKING:
    from dash import Dash

LABEL = "Timeline"

_MAX_BARS: Final = 400
_MAX_MARKS: Final = 400
_LABELS: Final = {
    "locked": "waiting for lock",
    "failed": "failed attempt",
    "retrying": "retry delay",
    "running": "running",
}


def layout(view: RunView, selection: Selection) -> Any:
    """Return the content of the Timeline tab."""
    return html.Div(
        [
            dcc.Store(id="timeline-seen", data=version(view, selection)),
            dcc.Graph(
                id="timeline",
                figure=figure(view, selection),
                config={"displaylogo": False, "responsive": True},
                className="figure-fill",
            ),
        ],
        className="fill",
    )


def version(view: RunView, selection: Selection) -> Any:
    """Return a value that changes whenever the shown content changes."""
    recipe = selected_recipe(view, selection)
    return [view.version, view.record.state, recipe.key if recipe else "", selection.picked]


def register(app: "Dash", run_cache: RunCache) -> None:
    """Register the callbacks that extend the bars and select a clicked step."""

    @app.callback(
        Output("timeline", "figure"),
        Output("timeline-seen", "data"),
        Input("tick", "data"),
        Input("picked", "data"),
        State("run", "data"),
        State("recipe", "value"),
        State("timeline-seen", "data"),
        prevent_initial_call=True,
    )
    def refresh(_: int, picked: str | None, run: str, recipe: str | None, seen: Any) -> Any:
        def render(view: RunView) -> Any:
            selection = Selection(picked, recipe)
            fresh = version(view, selection)
            if fresh == seen and view.record.state != "running":
                return no_update, no_update
            return figure(view, selection), fresh

        return read_run(run_cache, run, render)

    @app.callback(
        Output("picked", "data", allow_duplicate=True),
        Input("timeline", "clickData"),
        prevent_initial_call=True,
    )
    def pick(click: dict[str, Any] | None) -> Any:
        points = (click or {}).get("points") or [{}]
        return points[0].get("customdata") or no_update


def figure(view: RunView, selection: Selection) -> go.Figure:
    """Return the timeline as a figure."""
    recipe = selected_recipe(view, selection)
    until = view.record.last
    if view.record.state == "running":
        until = datetime.fromtimestamp(time.time(), UTC).isoformat()
    line = timeline(recipe, until) if recipe else None
    if line is None:
        return empty_figure("No step has started yet")
    bars = line.bars[-_MAX_BARS:]
    chart = empty_figure(xaxis={"title": "seconds", "range": [0, line.seconds * 1.02]})
    for trace in _traces(bars, selection.picked):
        chart.add_trace(trace)
    chart.add_trace(_marks(bars))
    # A minimum of six rows keeps the bars of few slots from filling the whole height.
    height = max(line.lanes, 6)
    chart.update_yaxes(range=[height - 0.5, -0.5], **_lanes(line))
    chart.update_layout(barmode="overlay", uirevision=recipe.key if recipe else "")
    return chart


def _lanes(line: Timeline) -> dict[str, Any]:
    shown = [*range(line.lanes)] if line.lanes <= 40 else []
    return {"tickvals": shown, "ticktext": [f"Worker {lane + 1}" for lane in shown]}


def _traces(bars: Iterable[Bar], picked: str | None) -> Iterable[go.Bar]:
    """Yield a bar trace for each combination of a kind of span and a look of a step."""
    groups: dict[tuple[str, str], list[tuple[Bar, Span]]] = {}
    for bar in bars:
        for span in bar.spans:
            groups.setdefault((span.kind, look(bar.step.state)), []).append((bar, span))
    for (kind, looks), each in groups.items():
        colour = COLOURS["waiting"] if kind == "locked" else COLOURS[looks]
        # As in report.html: a failed attempt is hatched, the delay after it is a thin line.
        colour = {"failed": COLOURS["failed"], "retrying": COLOURS["waiting"]}.get(kind, colour)
        names = [escaping.escape(bar.step.name) for bar, _ in each]
        outlines = [3 if step_key(bar.step) == picked else 0 for bar, _ in each]
        yield go.Bar(
            orientation="h",
            base=[span.start for _, span in each],
            x=[max(span.stop - span.start, 1e-4) for _, span in each],
            y=[bar.lane for bar, _ in each],
            width=0.08 if kind == "retrying" else 0.66,
            text=names if kind == "running" else None,
            textposition="inside",
            insidetextanchor="start",
            textangle=0,
            constraintext="none",
            textfont={"color": "#ffffff", "size": 11},
            cliponaxis=True,
            marker={
                "color": colour,
                "opacity": 0.45 if kind == "locked" else 1,
                "line": {"color": "#d946ef", "width": outlines},
                "pattern": {"shape": "/" if kind == "failed" else "", "solidity": 0.5},
            },
            customdata=[step_key(bar.step) for bar, _ in each],
            hovertext=[
                f"{name}: {_LABELS[span.kind]} {span.stop - span.start:.2f} s"
                for name, (_, span) in zip(names, each, strict=True)
            ],
            hoverinfo="text",
        )


def _marks(bars: Iterable[Bar]) -> go.Scatter:
    marks = [(bar, mark) for bar in bars for mark in bar.marks][-_MAX_MARKS:]
    return go.Scatter(
        mode="markers",
        x=[mark.at for _, mark in marks],
        y=[bar.lane - 0.4 for bar, _ in marks],
        marker={"symbol": "triangle-up", "size": 8, "color": "#8250df"},
        customdata=[step_key(bar.step) for bar, _ in marks],
        hovertext=[f"{mark.op} {escaping.escape(mark.key)}" for _, mark in marks],
        hoverinfo="text",
    )
