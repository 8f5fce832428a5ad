"""Log files of a step: those of all its attempts and of all its elements."""

from pathlib import Path
from typing import Final

from msgspec import Struct

from pytest_orchestrator.core.files import step_file_name
from pytest_orchestrator.monitor.run_cache import RunView
from pytest_orchestrator.reports.text import cut, json_text
from pytest_orchestrator.runs.block import Attempt
from pytest_orchestrator.runs.folder import RunFile, RunFiles, subfolder_parts
from pytest_orchestrator.runs.record import ACTIVE, LogFile, StepRecord, logs_in

STREAMS: Final = ("stdout", "stderr", "log")


class LogSource(Struct, frozen=True):
    """Logs of one attempt or of one element of a step.

    Attributes:
        part: Its name in URLs: empty for the last attempt, else such as ``2`` or ``e5``.
        label: Its name.
        files: The recorded logs by stream; empty while it runs.
        attempt: Number of its attempt; 0 for an element.
    """

    part: str
    label: str
    files: dict[str, LogFile]
    attempt: int


def sources(step: StepRecord) -> list[LogSource]:
    """Return the logs of a step: the last attempt first, then earlier attempts, then elements."""
    found = []
    last = step.attempt or 1
    if step.logs or not step.block_elements:
        found.append(LogSource("", f"attempt {last}", step.logs, last))
    attempts = (step.block.attempts or ()) if step.block else step.failed
    for one in attempts:
        files = logs_in(one) if isinstance(one, Attempt) else {}
        label = f"attempt {one.attempt} (failed)"
        found.append(LogSource(str(one.attempt), label, files, one.attempt))
    for element in step.block_elements:
        label = f"element {element.index + 1}: {json_text(element.item, 40)} ({element.state})"
        found.append(LogSource(f"e{element.index}", label, logs_in(element), 0))
        for one in element.attempts or ():
            part = f"e{element.index}.{one.attempt}"
            label = f"element {element.index + 1}, attempt {one.attempt} (failed)"
            found.append(LogSource(part, label, logs_in(one), 0))
    return found


class Stream(Struct, frozen=True):
    """A log of a step.

    Attributes:
        name: stdout, stderr or log.
        path: Its path; None if it is outside of the run folder or missing.
        recorded_path: Its path as the journal has it.
        size: Its size in bytes.
        is_cut: True if its end was not recorded, since it was too long.
    """

    name: str
    path: Path | None
    recorded_path: str
    size: int
    is_cut: bool = False


def streams(view: RunView, step: StepRecord, source: LogSource) -> list[Stream]:
    """Return the logs of an attempt or element that exist.

    Args:
        view: The run.
        step: The step.
        source: One of its `sources`.
    """
    files, found = RunFiles(view.folder), []
    for name in STREAMS:
        recorded = source.files.get(name)
        if recorded is None and (source.files or not source.attempt):
            continue
        # A log that no block names yet is where an attempt writes it.
        file = recorded.file if recorded else step.log_file(name, source.attempt)
        path = files.at(file)
        is_there = path is not None and path.is_file()
        if is_there or recorded:
            size = path.stat().st_size if path is not None and is_there else 0
            text = cut(file.recorded_path, 300)
            is_cut = bool(recorded and recorded.cut)
            found.append(Stream(name, path if is_there else None, text, size, is_cut))
    return found


def is_open(step: StepRecord, source: LogSource) -> bool:
    """Return True if a step still writes the logs of an attempt or element."""
    return step.state in ACTIVE and source.attempt == step.attempt


def samples_path(view: RunView, step: StepRecord) -> Path | None:
    """Return the path of a step's resource samples; None if outside of the run folder."""
    name = f"{step_file_name(step.name)}.{step.attempt or 1}.jsonl"
    file = step.samples or RunFile(str(Path("resources", *_parts(view, step), name)))
    return file.inside(view.folder)


def _parts(view: RunView, step: StepRecord) -> tuple[str, ...]:
    about = view.record.recipes[step.recipe].about
    return subfolder_parts(str(about.get("path", step.recipe)), about.get("cell"))
