"""Log chunks of steps by offset."""

from pathlib import Path
from typing import Final, NamedTuple

from pytest_orchestrator.monitor.run_cache import RunView
from pytest_orchestrator.reports.text import shown
from pytest_orchestrator.runs.folder import RunFile, parts
from pytest_orchestrator.runs.record import StepRecord

STREAMS: Final = ("stdout", "stderr")

_MOST: Final = 64 * 1024


class Part(NamedTuple):
    """A part of a log.

    Attributes:
        text: What it says, control characters escaped.
        start: Where it begins, in bytes.
        stop: Where the next part begins.
    """

    text: str
    start: int
    stop: int


def log_of(sight: RunView, step: StepRecord, stream: str) -> Path | None:
    """Return the log of a step's last try; None where it is in no run folder.

    Args:
        sight: The run.
        step: The step.
        stream: One of `STREAMS`.
    """
    told = step.logs.get(stream)
    name = f"{step.name}.{step.attempt or 1}.{stream}"
    file = told.file if told else RunFile(str(Path("logs", *_parts(sight, step), name)))
    return file.inside(sight.folder)


def samples_of(sight: RunView, step: StepRecord) -> Path | None:
    """Return the file with what a step used over time; None where it is in no run folder."""
    name = f"{step.name}.{step.attempt or 1}.jsonl"
    file = step.samples or RunFile(str(Path("resources", *_parts(sight, step), name)))
    return file.inside(sight.folder)


def part(path: Path | None, offset: int | None, *, is_open: bool) -> Part | None:
    """Return what a log has behind an offset: whole lines, while it is written.

    Args:
        path: The log.
        offset: Where to go on; None is near its end.
        is_open: More may come, so that a line without an end is waited for.

    Returns:
        The part; None where there is no log.
    """
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            start = max(0, size - _MOST) if offset is None or offset > size else offset
            file.seek(start)
            data = file.read(_MOST)
    except OSError:
        return None
    if offset is None and start and (end := data.find(b"\n")) != -1:
        data, start = data[end + 1 :], start + end + 1
    more = is_open or start + len(data) < size
    if more and len(data) < _MOST:
        data = data[: data.rfind(b"\n") + 1]
    return Part(shown(data.decode("utf-8", "backslashreplace")), start, start + len(data))


def _parts(sight: RunView, step: StepRecord) -> tuple[str, ...]:
    about = sight.record.recipes[step.recipe].about
    return parts(str(about.get("path", step.recipe)), about.get("cell"))
