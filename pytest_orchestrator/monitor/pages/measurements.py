"""Measurements tab: limits and trends."""

import html as escaping
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import plotly.graph_objects as go
from dash import Input, Output, State, dcc, html, no_update
from plotly.subplots import make_subplots

from pytest_orchestrator.core.text import figure
from pytest_orchestrator.monitor.pages.common import Selection, empty_figure, read_run
from pytest_orchestrator.monitor.pages.graph import COLOURS
from pytest_orchestrator.monitor.pages.steps import figure_of, limits_bar, margin_of, step_view
from pytest_orchestrator.monitor.run_cache import RunCache, RunView
from pytest_orchestrator.reports.html.curve import caption
from pytest_orchestrator.reports.html.step_view import Measurement
from pytest_orchestrator.reports.trends import trends
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.block import Block, measurements_of

if TYPE_CHECKING:
    from dash import Dash

LABEL = "Measurements"

_MAX_ROWS: Final = 150
_MAX_CURVES: Final = 12
_COLUMNS: Final = 3
_BYTE_BUDGET: Final = 8 << 20
_HEADINGS: Final = (
    "Step",
    "Measurement",
    "Value",
    "Limits",
    "Expected",
    "Margin to limit",
    "Verdict",
)


def layout(view: RunView, _: Selection) -> Any:
    """Return the content of the Measurements tab."""
    return html.Div(
        [
            dcc.Store(id="measurements-seen", data=version(view)),
            html.Div(table(view), id="measurements"),
            html.Div(curves(view), id="sampled"),
            html.Div(trend(view), id="trends"),
        ],
        className="fill scroll",
    )


def version(view: RunView) -> Any:
    """Return a value that changes whenever the shown content changes."""
    done = [step for step in view.record.steps if measurements_of(step.block)]
    moments = [
        one.moment
        for recipe in view.record.recipes.values()
        for one in recipe.samples.last.values()
    ]
    touched = max((step.touched for step in done), default=0)
    return [len(done), touched, max(moments, default=0), view.record.state]


def register(app: "Dash", run_cache: RunCache) -> None:
    """Register the callback that shows new measurements."""

    @app.callback(
        Output("measurements", "children"),
        Output("sampled", "children"),
        Output("trends", "children"),
        Output("measurements-seen", "data"),
        Input("tick", "data"),
        State("run", "data"),
        State("measurements-seen", "data"),
        prevent_initial_call=True,
    )
    def refresh(_: int, run: str, seen: Any) -> Any:
        def render(view: RunView) -> Any:
            fresh = version(view)
            if fresh == seen:
                return (no_update,) * 4
            # Earlier runs are read again only when the state of this run changes.
            trends_now = no_update if seen and seen[-1] == fresh[-1] else trend(view)
            return table(view), curves(view), trends_now, fresh

        return read_run(run_cache, run, render)


def table(view: RunView) -> Any:
    """Return a table of the last measurements, in the order of the recipe."""
    rows: list[Any] = []
    for step in reversed(view.record.steps):
        if len(rows) < _MAX_ROWS and measurements_of(step.block):
            measured = step_view(view, step).all_measurements[-_MAX_ROWS:]
            rows += [_row(step.name, one) for one in reversed(measured)]
    if not rows:
        return html.P("No measurements yet.", className="quiet")
    head = html.Thead(html.Tr([html.Th(name) for name in _HEADINGS]))
    return html.Table([head, html.Tbody(rows[_MAX_ROWS - 1 :: -1])], className="rows")


def _row(step: str, one: Measurement) -> Any:
    cells = [
        html.Td(step),
        html.Td(one.name),
        html.Td(figure_of(one), className="figure", title=one.texts.exact),
        html.Td(limits_bar(one)),
        html.Td(one.limits, className="figure"),
        html.Td(margin_of(one), className="figure"),
        html.Td(f"{one.sign} {one.verdict}", className=f"text-{one.look}"),
    ]
    return html.Tr(cells)


def curves(view: RunView) -> Any:
    """Return the sampled values: the last sample while they run, the curve with limits later."""
    shown: list[Any] = []
    for recipe in view.record.recipes.values():
        for name, last in recipe.samples.last.items():
            step = recipe.steps.get(name)
            if step is not None and step.block and step.block.curve:
                title = f"{name}: {caption(step.block)}"
                shown.append(html.P(title, className="quiet"))
                shown.append(dcc.Graph(figure=curve_figure(step.block), style={"height": "220px"}))
            else:
                word = "failed" if name in recipe.samples.violated else "running"
                text = f"{name}: {figure(last.value)} now"
                shown.append(html.P(text, className=f"text-{word}"))
    return shown


def curve_figure(block: Block) -> go.Figure:
    """Return the curve of a sampled value with its limits."""
    points = block.curve.points if block.curve else []
    line = {"color": COLOURS["running"], "width": 1.5}
    drawn = go.Figure(
        go.Scatter(x=[x for x, _ in points], y=[y for _, y in points], mode="lines", line=line),
        layout=empty_figure().layout,
    )
    measured = next(iter(block.measurements or ()), None)
    for limit in (measured.low, measured.high) if measured else ():
        if isinstance(limit, int | float):
            drawn.add_hline(limit, line={"color": COLOURS["failed"], "dash": "dash", "width": 1})
    drawn.update_layout(showlegend=False, annotations=[])
    drawn.update_xaxes(visible=True, title="s")
    drawn.update_yaxes(visible=True, title=(measured and measured.unit) or "")
    return drawn


def trend(view: RunView) -> Any:
    """Return the curves of figures over the last runs; an empty list without an earlier run."""
    earlier = (one for one in lookup.run_folders(view.folder.parent) if one.name < view.folder.name)
    shown = trends(view.record, earlier, _BYTE_BUDGET)[:_MAX_CURVES]
    if not shown:
        return []
    return dcc.Graph(
        figure=trend_figure(shown),
        config={"displaylogo": False, "responsive": True},
        style={"height": f"{90 + 170 * -(-len(shown) // _COLUMNS)}px"},
    )


def trend_figure(shown: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Return a grid of small curves with a point for each run.

    Args:
        shown: The figures, as `reports.trends` returns them.
    """
    columns = min(len(shown), _COLUMNS)
    rows = -(-len(shown) // columns)
    titles = [
        escaping.escape(f"{one['name']}, {one['unit']}" if one["unit"] else one["name"])
        for one in shown
    ]
    drawn = make_subplots(
        rows, columns, subplot_titles=titles, vertical_spacing=min(0.2, 0.5 / rows)
    )
    for place, one in enumerate(shown):
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
    plain = empty_figure().layout
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
