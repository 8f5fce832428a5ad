"""Log files of steps, read in chunks by offset."""

from pathlib import Path
from typing import Final, NamedTuple

from pytest_orchestrator.core.files import step_file_name
from pytest_orchestrator.monitor.run_cache import RunView
from pytest_orchestrator.reports.text import shown
from pytest_orchestrator.runs.folder import RunFile, subfolder_parts
from pytest_orchestrator.runs.record import StepRecord

STREAMS: Final = ("stdout", "stderr", "log")

_CHUNK_BYTES: Final = 64 * 1024


class LogChunk(NamedTuple):
    """A chunk of a log file.

    Attributes:
        text: Its text, with control characters escaped.
        start: Byte offset of its start.
        stop: Byte offset of the next chunk.
    """

    text: str
    start: int
    stop: int


def log_path(view: RunView, step: StepRecord, stream: str) -> Path | None:
    """Return the path of a log of a step's last attempt; None if outside of the run folder.

    Args:
        view: The run.
        step: The step.
        stream: One of `STREAMS`.
    """
    recorded = step.logs.get(stream)
    name = f"{step_file_name(step.name)}.{step.attempt or 1}.{stream}"
    file = recorded.file if recorded else RunFile(str(Path("logs", *_parts(view, step), name)))
    return file.inside(view.folder)


def samples_path(view: RunView, step: StepRecord) -> Path | None:
    """Return the path of a step's resource samples; None if outside of the run folder."""
    name = f"{step_file_name(step.name)}.{step.attempt or 1}.jsonl"
    file = step.samples or RunFile(str(Path("resources", *_parts(view, step), name)))
    return file.inside(view.folder)


def read_chunk(path: Path | None, offset: int | None, *, is_open: bool) -> LogChunk | None:
    """Read the next chunk of a log: only complete lines while the log is being written.

    Args:
        path: The log.
        offset: Byte offset to resume at; None starts near the end of the log.
        is_open: True if the log is still being written, so an incomplete last line is left for
            the next call.

    Returns:
        The chunk; None if the log does not exist.
    """
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            start = max(0, size - _CHUNK_BYTES) if offset is None or offset > size else offset
            file.seek(start)
            data = file.read(_CHUNK_BYTES)
    except OSError:
        return None
    if offset is None and start and (end := data.find(b"\n")) != -1:
        data, start = data[end + 1 :], start + end + 1
    more = is_open or start + len(data) < size
    if more and len(data) < _CHUNK_BYTES:
        data = data[: data.rfind(b"\n") + 1]
    return LogChunk(shown(data.decode("utf-8", "backslashreplace")), start, start + len(data))


def _parts(view: RunView, step: StepRecord) -> tuple[str, ...]:
    about = view.record.recipes[step.recipe].about
    return subfolder_parts(str(about.get("path", step.recipe)), about.get("cell"))
