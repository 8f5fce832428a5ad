"""Log tab: stdout, stderr and log records of the selected step."""

from typing import TYPE_CHECKING, Any, Final

from dash import Input, Output, Patch, State, dcc, html, no_update

from pytest_orchestrator.monitor.logs import STREAMS, LogChunk, log_path, read_chunk
from pytest_orchestrator.monitor.pages.common import Selection, read_run, selected_step
from pytest_orchestrator.monitor.run_cache import RunCache, RunView
from pytest_orchestrator.runs.record import ACTIVE, StepRecord

if TYPE_CHECKING:
    from dash import Dash

LABEL = "Log"

_MAX_CHUNKS: Final = 60
"""Highest number of chunks that a page keeps; beyond it, the end of the log is loaded again."""


def layout(view: RunView, selection: Selection) -> Any:
    """Return the content of the Log tab."""
    del view, selection
    options = [{"label": "Follow", "value": "follow"}]
    return html.Div(
        [
            dcc.Store(id="log-seen", data=None),
            html.Div(
                [
                    html.Span("", id="log-told", className="quiet"),
                    dcc.Input(id="log-filter", placeholder="Filter lines…", debounce=0.3),
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


def register(app: "Dash", run_cache: RunCache) -> None:
    """Register the callback that appends new output."""

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
    def refresh(_: int, picked: str | None, pattern: str | None, run: str, seen: Any) -> Any:
        return read_run(run_cache, run, lambda view: updates(view, picked, pattern or "", seen))


def updates(view: RunView, picked: str | None, pattern: str, seen: Any) -> tuple[Any, ...]:
    """Return the new output of all streams, the name of the step, and the state to resume from.

    Args:
        view: The run.
        picked: Key of the selected step; None selects the step that started last.
        pattern: Text that a line must contain to be shown; upper and lower case are equal.
        seen: The state of the last call; None if the page shows nothing yet.
    """
    step = selected_step(view, picked) or _newest(view)
    if step is None:
        return *[no_update] * len(STREAMS), "No step has started yet", None
    about = [step.recipe, step.name, step.attempt, pattern]
    if seen and seen["about"] == about and max(seen["parts"]) < _MAX_CHUNKS:
        offsets, counts = seen["offsets"], seen["parts"]
    else:
        offsets, counts = [None] * len(STREAMS), [0] * len(STREAMS)
    is_open = step.state in ACTIVE
    texts: list[Any] = []
    stops, counts_now = [], []
    for stream, offset, count in zip(STREAMS, offsets, counts, strict=True):
        chunk = read_chunk(log_path(view, step, stream), offset, is_open=is_open)
        texts.append(_text_update(chunk, offset, pattern))
        stops.append(chunk.stop if chunk else offset)
        counts_now.append(count + bool(chunk and chunk.text))
    title = f"{step.name}, attempt {step.attempt or 1}"
    return *texts, title, {"about": about, "offsets": stops, "parts": counts_now}


def _text_update(chunk: LogChunk | None, offset: int | None, pattern: str) -> Any:
    """Return the text to show for a stream, or a patch that appends to the shown text."""
    text = chunk.text if chunk else ""
    if pattern:
        lines = text.splitlines(keepends=True)
        text = "".join(line for line in lines if pattern.lower() in line.lower())
    if offset is None:
        head = "… only the end is shown …\n" if chunk and chunk.start else ""
        return [head + text]
    if not text:
        return no_update
    patch = Patch()
    patch.append(text)
    return patch


def _newest(view: RunView) -> StepRecord | None:
    started = [step for step in view.record.steps if step.started]
    return max(started, key=lambda step: step.lines[0], default=None)
