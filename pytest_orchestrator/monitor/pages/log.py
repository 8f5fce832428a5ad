"""Log tab: stdout and stderr of the selected step."""

from typing import TYPE_CHECKING, Any, Final

from dash import Input, Output, Patch, State, dcc, html, no_update

from pytest_orchestrator.monitor.logs import STREAMS, Part, log_of, part
from pytest_orchestrator.monitor.pages.common import Asked, found, look_at
from pytest_orchestrator.monitor.run_cache import RunCache, RunView
from pytest_orchestrator.runs.record import GOING_ON, StepRecord

if TYPE_CHECKING:
    from dash import Dash

LABEL = "Log"

_PARTS: Final = 60
"""Parts that a page keeps; then it begins anew at the end of the log."""


def layout(sight: RunView, asked: Asked) -> Any:
    """Return the tab."""
    del sight, asked
    options = [{"label": "follow", "value": "follow"}]
    return html.Div(
        [
            dcc.Store(id="log-seen", data=None),
            html.Div(
                [
                    html.Span("", id="log-told", className="quiet"),
                    dcc.Input(id="log-filter", placeholder="lines that have …", debounce=0.3),
                    dcc.Checklist(options, ["follow"], id="log-follow"),
                ],
                className="tools",
            ),
            html.Div(
                [
                    html.Div([html.H3(stream), html.Pre([], id=f"log-{stream}", className="log")])
                    for stream in STREAMS
                ],
                className="logs",
            ),
        ],
        className="fill column",
    )


def register(app: "Dash", watch: RunCache) -> None:
    """Add what was written since."""

    @app.callback(
        *(Output(f"log-{stream}", "children") for stream in STREAMS),
        Output("log-told", "children"),
        Output("log-seen", "data"),
        Input("tick", "data"),
        Input("picked", "data"),
        Input("log-filter", "value"),
        State("run", "data"),
        State("log-seen", "data"),
    )
    def refresh(_: int, picked: str | None, wanted: str | None, run: str, seen: Any) -> Any:
        return look_at(watch, run, lambda sight: shown(sight, picked, wanted or "", seen))


def shown(sight: RunView, picked: str | None, wanted: str, seen: Any) -> tuple[Any, ...]:
    """Return what is new in both streams, a line that tells of which step, and where to go on.

    Args:
        sight: The run.
        picked: The selected step; where there is none, the one that began last.
        wanted: Lines without this are left out.
        seen: What was returned last, None where the page has nothing.
    """
    step = found(sight, picked) or _newest(sight)
    if step is None:
        return no_update, no_update, "no step has begun so far", None
    about = [step.recipe, step.name, step.attempt, wanted]
    if seen and seen["about"] == about and max(seen["parts"]) < _PARTS:
        offsets, counts = seen["offsets"], seen["parts"]
    else:
        offsets, counts = [None, None], [0, 0]
    is_open = step.state in GOING_ON
    pieces: list[Any] = []
    after, parts = [], []
    for stream, offset, count in zip(STREAMS, offsets, counts, strict=True):
        read = part(log_of(sight, step, stream), offset, is_open=is_open)
        pieces.append(_piece(read, offset, wanted))
        after.append(read.stop if read else offset)
        parts.append(count + bool(read and read.text))
    told = f"{step.name}, try {step.attempt or 1}"
    return *pieces, told, {"about": about, "offsets": after, "parts": parts}


def _piece(read: Part | None, offset: int | None, wanted: str) -> Any:
    """Return what the text of a stream becomes."""
    text = read.text if read else ""
    if wanted:
        lines = text.splitlines(keepends=True)
        text = "".join(line for line in lines if wanted.lower() in line.lower())
    if offset is None:
        lead = "… only the end is shown …\n" if read and read.start else ""
        return [lead + text]
    if not text:
        return no_update
    patch = Patch()
    patch.append(text)
    return patch


def _newest(sight: RunView) -> StepRecord | None:
    begun = [step for step in sight.record.steps if step.started]
    return max(begun, key=lambda step: step.lines[0], default=None)
