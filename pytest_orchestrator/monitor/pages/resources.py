"""Resources tab: CPU, memory and I/O."""

import html as escaping
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import plotly.graph_objects as go
from dash import Input, Output, State, dcc, html, no_update
from plotly.subplots import make_subplots

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.core.result import is_memory_bound
from pytest_orchestrator.monitor.logs import samples_path
from pytest_orchestrator.monitor.pages.common import (
    Selection,
    empty_figure,
    read_run,
    selected_step,
    step_key,
)
from pytest_orchestrator.monitor.pages.graph import COLOURS
from pytest_orchestrator.monitor.run_cache import RunCache, RunView
from pytest_orchestrator.reports.text import look
from pytest_orchestrator.reports.trends import Curves, curves
from pytest_orchestrator.runs.record import ACTIVE, StepRecord

if TYPE_CHECKING:
    from dash import Dash

LABEL = "Resources"

_MEGA: Final = 1_000_000
_MAX_POINTS: Final = 240
_MAX_CURVES: Final = 40
_MAX_BARS: Final = 25
_MEMORY_COLUMN: Final = 2  # of the subplots


def layout(view: RunView, selection: Selection) -> Any:
    """Return the content of the Resources tab."""
    over_time, all_steps = figures(view, selection)
    height = f"{130 + 24 * min(_MAX_BARS, len(view.record.steps))}px"
    config = {"displaylogo": False, "responsive": True}
    return html.Div(
        [
            dcc.Store(id="resources-seen", data=version(view, selection)),
            dcc.Graph(id="curves", figure=over_time, config=config, style={"height": "340px"}),
            dcc.Graph(id="totals", figure=all_steps, config=config, style={"height": height}),
        ],
        className="fill scroll",
    )


def version(view: RunView, selection: Selection) -> Any:
    """Return a value that changes whenever the shown content changes."""
    return [view.version, selection.picked]


def register(app: "Dash", run_cache: RunCache) -> None:
    """Register the callbacks that extend the curves and select a clicked step."""

    @app.callback(
        Output("curves", "figure"),
        Output("totals", "figure"),
        Output("resources-seen", "data"),
        Input("tick", "data"),
        Input("picked", "data"),
        State("run", "data"),
        State("resources-seen", "data"),
        prevent_initial_call=True,
    )
    def refresh(_: int, picked: str | None, run: str, seen: Any) -> Any:
        def render(view: RunView) -> Any:
            selection = Selection(picked)
            fresh = version(view, selection)
            if fresh == seen and not any(one.state in ACTIVE for one in view.record.steps):
                return (no_update,) * 3
            over_time, all_steps = figures(view, selection)
            return over_time, no_update if fresh == seen else all_steps, fresh

        return read_run(run_cache, run, render)

    @app.callback(
        Output("picked", "data", allow_duplicate=True),
        Input("totals", "clickData"),
        prevent_initial_call=True,
    )
    def pick(click: dict[str, Any] | None) -> Any:
        points = (click or {}).get("points") or [{}]
        return points[0].get("customdata") or no_update


def figures(view: RunView, selection: Selection) -> tuple[go.Figure, go.Figure]:
    """Return the curves of the selected step or of the run, and the totals of all steps."""
    step = selected_step(view, selection.picked)
    steps = [step] if step else [one for one in view.record.steps if one.started][-_MAX_CURVES:]
    return over_time(view, steps, is_single=step is not None), totals(view.record.steps)


def over_time(view: RunView, steps: Sequence[StepRecord], *, is_single: bool) -> go.Figure:
    """Return a figure of memory and CPU use over time.

    Args:
        view: The run.
        steps: The steps.
        is_single: True if the curves belong to one selected step; its limits are then shown too.
    """
    max_points = _MAX_POINTS if is_single else max(20, _MAX_POINTS * 4 // max(1, len(steps)))
    sampled = [(step, samples) for step in steps if (samples := _curves(view, step, max_points))]
    if not sampled:
        return empty_figure("No samples: steps shorter than 20 ms are not sampled")
    began = min(epoch_seconds(step.last_start or "") for step, _ in sampled)
    name = f"{steps[0].name}: " if is_single else "all steps: "
    titles = [escaping.escape(f"{name}memory, MB"), "CPU cores used"]
    chart = _styled(make_subplots(2, 1, shared_xaxes=True, subplot_titles=titles))
    for step, samples in sampled:
        shift = 0.0 if is_single else epoch_seconds(step.last_start or "") - began
        x = [shift + seconds for seconds in samples.seconds]
        colour = COLOURS[look(step.state)]
        for row, values in enumerate(([one / _MEGA for one in samples.rss], samples.cpu), 1):
            chart.add_trace(
                go.Scatter(
                    x=x,
                    y=list(values),
                    mode="lines",
                    line={"color": colour, "width": 1.6},
                    fill="tozeroy",
                    name=escaping.escape(step.name),
                ),
                row=row,
                col=1,
            )
    for limit in _limits(steps[0]) if is_single else ():
        chart.add_hline(limit / _MEGA, line={"color": COLOURS["failed"], "dash": "dash"}, row=1)
    chart.update_xaxes(title_text="seconds", row=2, col=1)
    chart.update_yaxes(rangemode="tozero")
    chart.update_layout(uirevision=steps[0].name if is_single else "all")
    return chart


def totals(steps: Iterable[StepRecord]) -> go.Figure:
    """Return bar charts of CPU time, peak memory and I/O of the steps that ran longest."""
    used = [(one, figures) for one in steps if (figures := one.figures)]
    used = sorted(used, key=lambda one: one[1].get("seconds", 0.0))[-_MAX_BARS:]
    if not used:
        return empty_figure("No step has ended yet")
    titles = ("CPU, s", "peak memory, MB", "I/O, MB")
    chart = _styled(make_subplots(1, 3, shared_yaxes=True, subplot_titles=titles))
    names = [escaping.escape(step.name) for step, _ in used]
    bounds = [is_memory_bound(one.get("source")) for _, one in used]
    places = list(range(len(used)))
    colours = [COLOURS[look(step.state)] for step, _ in used]
    for place, values in enumerate(
        (
            [_sum(one, "cpu_user_seconds", "cpu_system_seconds") for _, one in used],
            [_sum(one, "max_rss") / _MEGA for _, one in used],
            [_sum(one, "read_bytes", "write_bytes") / _MEGA for _, one in used],
        ),
        1,
    ):
        bars = go.Bar(
            orientation="h",
            y=places,
            x=values,
            marker={"color": colours},
            customdata=[step_key(step) for step, _ in used],
            hovertext=[
                f"{name}: {'≤ ' * (is_bound and place == _MEMORY_COLUMN)}{value:.3f}"
                for name, is_bound, value in zip(names, bounds, values, strict=True)
            ],
            hoverinfo="text",
        )
        chart.add_trace(bars, row=1, col=place)
    chart.update_yaxes(automargin=True, tickvals=places, ticktext=names)
    return chart


def _curves(view: RunView, step: StepRecord, max_points: int) -> Curves | None:
    path = samples_path(view, step)
    return curves(path, max_points) if path and step.started else None


def _limits(step: StepRecord) -> Iterable[float]:
    """Yield the memory limits in the criteria of a step, in bytes."""
    for one in step.block.criteria if step.block else ():
        if one.name == "max_rss_mb" and isinstance(one.wanted, int | float):
            yield one.wanted * _MEGA


def _sum(used: Mapping[str, Any], *names: str) -> float:
    return float(sum(used.get(name) or 0 for name in names))


def _styled(chart: go.Figure) -> go.Figure:
    plain = empty_figure().layout
    chart.update_layout(
        template=None,
        paper_bgcolor=plain.paper_bgcolor,
        plot_bgcolor=plain.plot_bgcolor,
        font=plain.font,
        margin=plain.margin,
        showlegend=False,
    )
    chart.update_xaxes(gridcolor=plain.xaxis.gridcolor, zeroline=False)
    chart.update_yaxes(gridcolor=plain.yaxis.gridcolor, zeroline=False)
    chart.update_annotations(font={"size": 12})
    return chart
