"""Resources tab: CPU, memory and I/O."""

import html as escaping
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import plotly.graph_objects as go
from dash import Input, Output, State, dcc, html, no_update
from plotly.subplots import make_subplots

from pytest_orchestrator.monitor.logs import samples_of
from pytest_orchestrator.monitor.pages.common import Asked, figure, found, key, look_at
from pytest_orchestrator.monitor.pages.graph import COLOURS
from pytest_orchestrator.monitor.run_cache import RunCache, RunView
from pytest_orchestrator.reports.html.timeline import moment
from pytest_orchestrator.reports.text import look
from pytest_orchestrator.reports.trends import Curves, curves
from pytest_orchestrator.runs.record import GOING_ON, StepRecord

if TYPE_CHECKING:
    from dash import Dash

LABEL = "Resources"

_MEGA: Final = 1_000_000
_POINTS: Final = 240
_WHOLE: Final = 40
_BARS: Final = 25


def layout(sight: RunView, asked: Asked) -> Any:
    """Return the tab."""
    over_time, all_steps = drawn(sight, asked)
    height = f"{130 + 24 * min(_BARS, len(sight.record.steps))}px"
    config = {"displaylogo": False, "responsive": True}
    return html.Div(
        [
            dcc.Store(id="resources-seen", data=version(sight, asked)),
            dcc.Graph(id="curves", figure=over_time, config=config, style={"height": "340px"}),
            dcc.Graph(id="totals", figure=all_steps, config=config, style={"height": height}),
        ],
        className="fill scroll",
    )


def version(sight: RunView, asked: Asked) -> Any:
    """Return what tells whether what is shown is up to date."""
    return [sight.version, asked.picked]


def register(app: "Dash", watch: RunCache) -> None:
    """Let the curves grow."""

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
        def show(sight: RunView) -> Any:
            asked = Asked(picked)
            fresh = version(sight, asked)
            if fresh == seen and not any(one.state in GOING_ON for one in sight.record.steps):
                return (no_update,) * 3
            over_time, all_steps = drawn(sight, asked)
            return over_time, no_update if fresh == seen else all_steps, fresh

        return look_at(watch, run, show)

    @app.callback(
        Output("picked", "data", allow_duplicate=True),
        Input("totals", "clickData"),
        prevent_initial_call=True,
    )
    def pick(click: dict[str, Any] | None) -> Any:
        points = (click or {}).get("points") or [{}]
        return points[0].get("customdata") or no_update


def drawn(sight: RunView, asked: Asked) -> tuple[go.Figure, go.Figure]:
    """Return the curves of the selected step, or of the whole run, and the sums of all steps."""
    step = found(sight, asked.picked)
    steps = [step] if step else [one for one in sight.record.steps if one.started][-_WHOLE:]
    return over_time(sight, steps, alone=step is not None), totals(sight.record.steps)


def over_time(sight: RunView, steps: Sequence[StepRecord], *, alone: bool) -> go.Figure:
    """Return memory and CPU over time.

    Args:
        sight: The run.
        steps: The steps.
        alone: It is one step, whose limits are shown, too.
    """
    most = _POINTS if alone else max(20, _POINTS * 4 // max(1, len(steps)))
    read = [(step, told) for step in steps if (told := _curves(sight, step, most))]
    if not read:
        return figure("no samples so far: a step is sampled from its 20th millisecond on")
    began = min(moment(step.started or "") for step, _ in read)
    name = f"{steps[0].name}: " if alone else "all steps: "
    titles = [escaping.escape(f"{name}memory, MB"), "CPU, cores"]
    found = _styled(make_subplots(2, 1, shared_xaxes=True, subplot_titles=titles))
    for step, told in read:
        shift = 0.0 if alone else moment(step.started or "") - began
        x = [shift + seconds for seconds in told.seconds]
        colour = COLOURS[look(step.state)]
        for row, values in enumerate(([one / _MEGA for one in told.rss], told.cpu), 1):
            found.add_trace(
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
    for limit in _limits(steps[0]) if alone else ():
        found.add_hline(limit / _MEGA, line={"color": COLOURS["failed"], "dash": "dash"}, row=1)
    found.update_xaxes(title_text="seconds", row=2, col=1)
    found.update_yaxes(rangemode="tozero")
    found.update_layout(uirevision=steps[0].name if alone else "all")
    return found


def totals(steps: Iterable[StepRecord]) -> go.Figure:
    """Return CPU time, peak memory and I/O of the steps that used most."""
    used = [(one, one.block["resources"]) for one in steps if (one.block or {}).get("resources")]  # type: ignore[index]
    used = sorted(used, key=lambda one: one[1].get("seconds", 0.0))[-_BARS:]
    if not used:
        return figure("no step has ended so far")
    titles = ("CPU, s", "peak memory, MB", "I/O, MB")
    found = _styled(make_subplots(1, 3, shared_yaxes=True, subplot_titles=titles))
    names = [escaping.escape(step.name) for step, _ in used]
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
            customdata=[key(step) for step, _ in used],
            hovertext=[f"{name}: {value:.3f}" for name, value in zip(names, values, strict=True)],
            hoverinfo="text",
        )
        found.add_trace(bars, row=1, col=place)
    found.update_yaxes(automargin=True, tickvals=places, ticktext=names)
    return found


def _curves(sight: RunView, step: StepRecord, most: int) -> Curves | None:
    path = samples_of(sight, step)
    return curves(path, most) if path and step.started else None


def _limits(step: StepRecord) -> Iterable[float]:
    """Give the limits of memory that the criteria of a step set, in bytes."""
    for one in (step.block or {}).get("criteria", ()):
        if one["name"] == "max_rss_mb" and isinstance(one.get("wanted"), int | float):
            yield one["wanted"] * _MEGA


def _sum(used: Mapping[str, Any], *names: str) -> float:
    return float(sum(used.get(name) or 0 for name in names))


def _styled(found: go.Figure) -> go.Figure:
    plain = figure().layout
    found.update_layout(
        template=None,
        paper_bgcolor=plain.paper_bgcolor,
        plot_bgcolor=plain.plot_bgcolor,
        font=plain.font,
        margin=plain.margin,
        showlegend=False,
    )
    found.update_xaxes(gridcolor=plain.xaxis.gridcolor, zeroline=False)
    found.update_yaxes(gridcolor=plain.yaxis.gridcolor, zeroline=False)
    found.update_annotations(font={"size": 12})
    return found
