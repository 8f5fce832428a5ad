"""Measurements tab: limits and trends."""

import html as escaping
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import plotly.graph_objects as go
from dash import Input, Output, State, dcc, html, no_update
from plotly.subplots import make_subplots

from pytest_orchestrator.monitor.pages.common import Asked, figure, look_at
from pytest_orchestrator.monitor.pages.graph import COLOURS
from pytest_orchestrator.monitor.pages.steps import limits_bar, view
from pytest_orchestrator.monitor.run_cache import RunCache, RunView
from pytest_orchestrator.reports.html.step_view import Measurement
from pytest_orchestrator.reports.trends import trends
from pytest_orchestrator.runs import lookup

if TYPE_CHECKING:
    from dash import Dash

LABEL = "Measurements"

_MOST: Final = 150
_CURVES: Final = 12
_COLUMNS: Final = 3
_MOST_BYTES: Final = 8 << 20
_HEAD: Final = ("step", "name", "value", "against its limits", "wanted", "margin", "verdict")


def layout(sight: RunView, _: Asked) -> Any:
    """Return the tab."""
    return html.Div(
        [
            dcc.Store(id="measurements-seen", data=version(sight)),
            html.Div(table(sight), id="measurements"),
            html.Div(trend(sight), id="trends"),
        ],
        className="fill scroll",
    )


def version(sight: RunView) -> Any:
    """Return what tells whether what is shown is up to date."""
    done = [step for step in sight.record.steps if step.block and step.block.get("measurements")]
    return [len(done), max((step.touched for step in done), default=0), sight.record.state]


def register(app: "Dash", watch: RunCache) -> None:
    """Show what was measured since."""

    @app.callback(
        Output("measurements", "children"),
        Output("trends", "children"),
        Output("measurements-seen", "data"),
        Input("tick", "data"),
        State("run", "data"),
        State("measurements-seen", "data"),
        prevent_initial_call=True,
    )
    def refresh(_: int, run: str, seen: Any) -> Any:
        def show(sight: RunView) -> Any:
            fresh = version(sight)
            if fresh == seen:
                return (no_update,) * 3
            # Earlier runs are read again only once it is known how this one ended.
            over = no_update if seen and seen[-1] == fresh[-1] else trend(sight)
            return table(sight), over, fresh

        return look_at(watch, run, show)


def table(sight: RunView) -> Any:
    """Return what was measured last; the rows stand in the order of the recipe."""
    rows: list[Any] = []
    for step in reversed(sight.record.steps):
        if len(rows) < _MOST and step.block and step.block.get("measurements"):
            rows += [_row(step.name, one) for one in reversed(view(sight, step).measurements)]
    if not rows:
        return html.P("Nothing was measured so far.", className="quiet")
    head = html.Thead(html.Tr([html.Th(name) for name in _HEAD]))
    return html.Table([head, html.Tbody(rows[_MOST - 1 :: -1])], className="rows")


def _row(step: str, one: Measurement) -> Any:
    looks = "text-failed" if one.verdict == "fail" else "text-passed"
    cells = [
        html.Td(step),
        html.Td(one.name),
        html.Td(f"{one.value} {one.unit}", className="figure"),
        html.Td(limits_bar(one)),
        html.Td(one.wanted, className="figure"),
        html.Td(one.margin, className="figure"),
        html.Td(one.verdict, className=looks),
    ]
    return html.Tr(cells)


def trend(sight: RunView) -> Any:
    """Return how figures went over the last runs; nothing where there is no run before."""
    before = (
        one for one in lookup.run_folders(sight.folder.parent) if one.name < sight.folder.name
    )
    found = trends(sight.record, before, _MOST_BYTES)[:_CURVES]
    if not found:
        return []
    return dcc.Graph(
        figure=trend_figure(found),
        config={"displaylogo": False, "responsive": True},
        style={"height": f"{90 + 170 * -(-len(found) // _COLUMNS)}px"},
    )


def trend_figure(found: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Return small curves side by side, a point for each run.

    Args:
        found: As `reports.trends` gives them.
    """
    columns = min(len(found), _COLUMNS)
    rows = -(-len(found) // columns)
    titles = [
        escaping.escape(f"{one['name']}, {one['unit']}" if one["unit"] else one["name"])
        for one in found
    ]
    drawn = make_subplots(
        rows, columns, subplot_titles=titles, vertical_spacing=min(0.2, 0.5 / rows)
    )
    for place, one in enumerate(found):
        points = one["points"]
        drawn.add_trace(
            go.Scatter(
                x=list(range(len(points))),
                y=[point["value"] for point in points],
                mode="lines+markers",
                line={"color": COLOURS["running"], "width": 1.5},
                marker={
                    "size": 6,
                    "color": [COLOURS["passed" if p["passed"] else "failed"] for p in points],
                },
                hovertext=[f"{p['run']}: {p['value']:g}" for p in points],
                hoverinfo="text",
            ),
            row=place // columns + 1,
            col=place % columns + 1,
        )
    plain = figure().layout
    drawn.update_layout(
        paper_bgcolor=plain.paper_bgcolor,
        plot_bgcolor=plain.plot_bgcolor,
        font=plain.font,
        margin=plain.margin,
        showlegend=False,
    )
    drawn.update_annotations(font={"size": 11})
    drawn.update_xaxes(showticklabels=False, gridcolor=plain.xaxis.gridcolor, zeroline=False)
    drawn.update_yaxes(gridcolor=plain.yaxis.gridcolor, zeroline=False)
    return drawn
