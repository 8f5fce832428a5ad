"""Timeline tab."""

import html as escaping
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import plotly.graph_objects as go
from dash import Input, Output, State, dcc, html, no_update

from pytest_orchestrator.monitor.pages.common import Asked, figure, key, look_at, recipe_of
from pytest_orchestrator.monitor.pages.graph import COLOURS
from pytest_orchestrator.monitor.run_cache import RunCache, RunView
from pytest_orchestrator.reports.html.timeline import Bar, Span, Timeline, timeline
from pytest_orchestrator.reports.text import look

if TYPE_CHECKING:
    from dash import Dash

LABEL = "Timeline"

_MOST: Final = 400
_MARKS: Final = 400
_WORDS: Final = {
    "locked": "waited for a lock",
    "failed": "tried",
    "retrying": "waited to be tried again",
    "running": "ran",
}


def layout(sight: RunView, asked: Asked) -> Any:
    """Return the tab."""
    return html.Div(
        [
            dcc.Store(id="timeline-seen", data=version(sight, asked)),
            dcc.Graph(
                id="timeline",
                figure=drawn(sight, asked),
                config={"displaylogo": False, "responsive": True},
                className="figure-fill",
            ),
        ],
        className="fill",
    )


def version(sight: RunView, asked: Asked) -> Any:
    """Return what tells whether what is shown is up to date."""
    recipe = recipe_of(sight, asked)
    return [sight.version, sight.record.state, recipe.key if recipe else "", asked.picked]


def register(app: "Dash", watch: RunCache) -> None:
    """Let the bars grow, and select what is clicked."""

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
        def show(sight: RunView) -> Any:
            asked = Asked(picked, recipe)
            fresh = version(sight, asked)
            if fresh == seen and sight.record.state != "running":
                return no_update, no_update
            return drawn(sight, asked), fresh

        return look_at(watch, run, show)

    @app.callback(
        Output("picked", "data", allow_duplicate=True),
        Input("timeline", "clickData"),
        prevent_initial_call=True,
    )
    def pick(click: dict[str, Any] | None) -> Any:
        points = (click or {}).get("points") or [{}]
        return points[0].get("customdata") or no_update


def drawn(sight: RunView, asked: Asked) -> go.Figure:
    """Return the timeline as a figure."""
    recipe = recipe_of(sight, asked)
    until = sight.record.last
    if sight.record.state == "running":
        until = datetime.fromtimestamp(time.time(), UTC).isoformat()
    line = timeline(recipe, until) if recipe else None
    if line is None:
        return figure("no step has begun so far")
    bars = line.bars[-_MOST:]
    found = figure(xaxis={"title": "seconds", "range": [0, line.seconds * 1.02]})
    for trace in _traces(bars, asked.picked):
        found.add_trace(trace)
    found.add_trace(_marks(bars))
    # The lanes of few bars are not stretched over the whole height.
    height = max(line.lanes, 6)
    found.update_yaxes(range=[height - 0.5, -0.5], **_lanes(line))
    found.update_layout(barmode="overlay", uirevision=recipe.key if recipe else "")
    return found


def _lanes(line: Timeline) -> dict[str, Any]:
    shown = [*range(line.lanes)] if line.lanes <= 40 else []
    return {"tickvals": shown, "ticktext": [f"slot {lane + 1}" for lane in shown]}


def _traces(bars: Iterable[Bar], picked: str | None) -> Iterable[go.Bar]:
    """Give a trace for each look of a bar."""
    groups: dict[tuple[str, str], list[tuple[Bar, Span]]] = {}
    for bar in bars:
        for span in bar.spans:
            groups.setdefault((span.kind, look(bar.step.state)), []).append((bar, span))
    for (kind, looks), each in groups.items():
        colour = COLOURS["waiting"] if kind == "locked" else COLOURS[looks]
        colour = COLOURS["failed"] if kind == "failed" else colour
        names = [escaping.escape(bar.step.name) for bar, _ in each]
        chosen = [3 if key(bar.step) == picked else 0 for bar, _ in each]
        yield go.Bar(
            orientation="h",
            base=[span.start for _, span in each],
            x=[max(span.stop - span.start, 1e-4) for _, span in each],
            y=[bar.lane for bar, _ in each],
            width=0.66,
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
                "line": {"color": "#d946ef", "width": chosen},
                "pattern": {"shape": "/" if kind == "retrying" else "", "solidity": 0.35},
            },
            customdata=[key(bar.step) for bar, _ in each],
            hovertext=[
                f"{name}: {_WORDS[span.kind]} {span.stop - span.start:.2f} s"
                for name, (_, span) in zip(names, each, strict=True)
            ],
            hoverinfo="text",
        )


def _marks(bars: Iterable[Bar]) -> go.Scatter:
    marks = [(bar, mark) for bar in bars for mark in bar.marks][-_MARKS:]
    return go.Scatter(
        mode="markers",
        x=[mark.at for _, mark in marks],
        y=[bar.lane - 0.4 for bar, _ in marks],
        marker={"symbol": "diamond", "size": 8, "color": "#e3a008"},
        customdata=[key(bar.step) for bar, _ in marks],
        hovertext=[f"{mark.op} {escaping.escape(mark.key)}" for _, mark in marks],
        hoverinfo="text",
    )
