"""Journal entry for a session that the watchdog ended from outside.

A step that ran inside pytest could not be ended otherwise. It has failed as any step does whose
time is over; the run itself has no end, as one that was killed.
"""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pytest_orchestrator.core.errors import JournalError
from pytest_orchestrator.core.events import RecipeStarted, RunStarted, StepFinished, StepStarted
from pytest_orchestrator.runs.journal.chain import Entry
from pytest_orchestrator.runs.journal.reader import read_journal
from pytest_orchestrator.runs.journal.writer import NAME, Journal

_PATIENCE = 2.0  # seconds within which the kernel has taken away what was killed


class WatchdogReport(NamedTuple):
    """What is told of a step for which pytest had to be ended.

    Attributes:
        step: Its name.
        reason: Why it failed, in a line.
        path: The file that its timeout stands in, from the rootdir.
        line: Where in that file.
        column: The same.
    """

    step: str
    reason: str
    path: str
    line: int
    column: int

    @classmethod
    def of(cls, words: Sequence[str]) -> "WatchdogReport":
        """Return what the last words of a command say."""
        step, reason, path, line, column = words
        return cls(step, reason, path, int(line), int(column))


def record_timeout(path: Path, told: WatchdogReport) -> bool:
    """Let the journal say that a step has failed by its timeout.

    Args:
        path: The journal.
        told: What of it.

    Returns:
        True where that is written; False where the journal is another process's affair, or is
        not what was written.
    """
    reading = read_journal(path)
    event = timeout_event(reading.entries, told)
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
    entries: list[Entry], told: WatchdogReport, worker: str = "main"
) -> StepFinished | None:
    """Return that the try which a process began last has failed by its timeout.

    Args:
        entries: The journal.
        told: What of it.
        worker: The process: the id of a worker of xdist, or main.

    Returns:
        The event, as it is told of every step; None where that process has begun another step.
    """
    try_ = _last_try(entries, worker)
    if try_ is None or try_.step != told.step:
        return None
    place = {"path": told.path, "line": told.line, "column": told.column}
    return _failed(entries, try_, {"kind": "timeout", "reason": told.reason, "place": place})


def crash_event(entries: list[Entry], worker: str, reason: str) -> StepFinished | None:
    """Return that the try which a process began last has failed by its end.

    Args:
        entries: The journal.
        worker: The process, as in `timeout_event`.
        reason: Why it failed, in a line.

    Returns:
        The event; None where it is known what became of that step.
    """
    try_ = _last_try(entries, worker)
    if try_ is None:
        return None
    ended = (one.event for one in reversed(entries) if isinstance(one.event, StepFinished))
    if any((one.recipe, one.step) == (try_.recipe, try_.step) for one in ended):
        return None
    return _failed(entries, try_, {"kind": "crash", "reason": reason})


def _last_try(entries: list[Entry], worker: str) -> StepStarted | None:
    events = (one.event for one in reversed(entries))
    return next((e for e in events if isinstance(e, StepStarted) and e.worker == worker), None)


def _failed(entries: list[Entry], try_: StepStarted, how: dict[str, Any]) -> StepFinished | None:
    about = _recipe(entries, try_.recipe)
    run = next(one.event for one in entries if isinstance(one.event, RunStarted))
    if about is None:
        return None
    step = next((one for one in about.steps if one["name"] == try_.step), {"name": try_.step})
    return StepFinished(
        recipe=try_.recipe,
        step=try_.step,
        outcome="failed",
        meets=False,
        block={
            "schema_version": run.schema_version,
            "run": {"id": run.run, "worker": try_.worker},
            "recipe": about.about,
            "step": step | {"state": "failed", "attempt": try_.attempt} | how,
            "criteria": [],
            "context": {"writes": []},
        },
    )


def _recipe(entries: list[Entry], key: str) -> RecipeStarted | None:
    """Return what the journal tells of a recipe."""
    events = (one.event for one in entries)
    return next((e for e in events if isinstance(e, RecipeStarted) and e.recipe == key), None)


def main() -> None:
    """Do so for the words that the program was given: the folder of the run, and what is told."""
    folder, *words = sys.argv[1:]
    journal, until = Path(folder, NAME), time.monotonic() + _PATIENCE
    while not record_timeout(journal, WatchdogReport.of(words)) and time.monotonic() < until:
        time.sleep(0.05)
