"""Journal events for steps whose process was killed or died before they had ended.

The timeout of an inline step can be enforced only by killing pytest. The step counts as failed,
like every step at its timeout; the journal of the run is not sealed, as after any kill.
"""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from pytest_orchestrator.core.errors import JournalError
from pytest_orchestrator.core.events import (
    ElementFinished,
    RecipeStarted,
    RunStarted,
    StepFinished,
    StepStarted,
)
from pytest_orchestrator.runs.block import (
    Block,
    Context,
    Element,
    Place,
    Recipe,
    Run,
    Step,
    plain,
)
from pytest_orchestrator.runs.journal.chain import Entry
from pytest_orchestrator.runs.journal.reader import read_journal
from pytest_orchestrator.runs.journal.writer import NAME, Journal

_PATIENCE = 2.0  # seconds in which the kernel releases the journal's lock of a killed process


class WatchdogReport(NamedTuple):
    """Description of a step whose timeout ended pytest.

    Attributes:
        step: Name of the step.
        reason: Reason of the failure, one line.
        path: The file with the key of its timeout, relative to the rootdir.
        line: Line of the key in that file.
        column: Column of the key in that line.
    """

    step: str
    reason: str
    path: str
    line: int
    column: int

    @classmethod
    def of(cls, words: Sequence[str]) -> "WatchdogReport":
        """Parse the report from five words: step, reason, path, line and column."""
        step, reason, path, line, column = words
        return cls(step, reason, path, int(line), int(column))


def record_timeout(path: Path, report: WatchdogReport) -> bool:
    """Append an event to the journal: the step failed by its timeout.

    Args:
        path: The journal.
        report: The step and its timeout.

    Returns:
        True if the event was written; False if another process writes the journal, or the
        journal is damaged or sealed, or its last step is another one.
    """
    reading = read_journal(path)
    event = timeout_event(reading.entries, report)
    if reading.state != "interrupted" or event is None:
        return False
    os.truncate(path, reading.size)
    try:
        journal = Journal(path, reading.chain)
    except JournalError:
        return False
    journal.append(event)
    journal.sync()
    journal.close()
    return True


def timeout_event(
    entries: list[Entry], report: WatchdogReport, worker: str = "main"
) -> StepFinished | None:
    """Return the event for the last step of a process, which failed by its timeout.

    Args:
        entries: The entries of the journal.
        report: The step and its timeout.
        worker: The process that ran the step: the id of an xdist worker, or main.

    Returns:
        The event; None if the last step that the process started is another one.
    """
    attempt = _last_attempt(entries, worker)
    if attempt is None or attempt.step != report.step:
        return None
    place = Place(path=report.path, line=report.line, column=report.column)
    return _failed(entries, attempt, "timeout", report.reason, place)


def interrupted_events(entries: list[Entry], worker: str, reason: str) -> list[StepFinished]:
    """Return events that mark each step that a process was running at its death as interrupted.

    Args:
        entries: The entries of the journal.
        worker: The process, as in `timeout_event`.
        reason: The cause of the interruption, one line.
    """
    open_: dict[tuple[str, str], StepStarted] = {}
    for entry in entries:
        match entry.event:
            case StepStarted(cut_off_in=None, worker=process, recipe=recipe, step=step) as start:
                if process == worker:
                    open_[recipe, step] = start
            case StepFinished(recipe=recipe, step=step):
                open_.pop((recipe, step), None)
    events = (_failed(entries, start, "interrupted", reason) for start in open_.values())
    return [event for event in events if event is not None]


def _last_attempt(entries: list[Entry], worker: str) -> StepStarted | None:
    events = (one.event for one in reversed(entries))
    return next((e for e in events if isinstance(e, StepStarted) and e.worker == worker), None)


def _failed(
    entries: list[Entry],
    attempt: StepStarted,
    kind: Literal["timeout", "interrupted"],
    reason: str,
    place: Place | UnsetType = UNSET,
) -> StepFinished | None:
    about = _recipe(entries, attempt.recipe)
    run = next(one.event for one in entries if isinstance(one.event, RunStarted))
    steps = (one for one in (about.steps if about else ()) if one["name"] == attempt.step)
    step = next(steps, None)
    if about is None or step is None:
        return None
    state: Literal["failed", "interrupted"] = "failed" if kind == "timeout" else "interrupted"
    outcome = {"state": state, "attempt": attempt.attempt, "kind": kind, "reason": reason}
    block = Block(
        schema_version=run.schema_version,
        run=Run(id=run.run, worker=attempt.worker),
        recipe=msgspec.convert(about.about, Recipe),
        step=replace(msgspec.convert(step | outcome, Step), place=place),
        criteria=[],
        context=Context(writes=[]),
        elements=_elements(entries, attempt) or UNSET,
    )
    return StepFinished(
        recipe=attempt.recipe, step=attempt.step, outcome=state, meets=False, block=plain(block)
    )


def _elements(entries: list[Entry], attempt: StepStarted) -> list[Element]:
    """Return the elements of ``foreach`` that have ended, in order."""
    found: dict[int, Element] = {}
    for entry in entries:
        match entry.event:
            case ElementFinished(recipe=attempt.recipe, step=attempt.step) as event:
                found[event.element] = msgspec.convert(event.block, Element)
    return [found[index] for index in sorted(found)]


def _recipe(entries: list[Entry], key: str) -> RecipeStarted | None:
    events = (one.event for one in entries)
    return next((e for e in events if isinstance(e, RecipeStarted) and e.recipe == key), None)


def main() -> None:
    """Record the timeout that `sys.argv` describes: a run folder, then a `WatchdogReport`."""
    folder, *words = sys.argv[1:]
    journal, until = Path(folder, NAME), time.monotonic() + _PATIENCE
    while not record_timeout(journal, WatchdogReport.of(words)) and time.monotonic() < until:
        time.sleep(0.05)
