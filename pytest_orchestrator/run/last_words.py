"""The last line of the journal of a run whose pytest had to be ended from outside.

A step that ran inside pytest could not be ended otherwise. It has failed as any step does whose
time is over; the run itself has no end, as one that was killed.
"""

import os
import sys
import time
from pathlib import Path

from pytest_orchestrator.core.chain import Entry
from pytest_orchestrator.core.errors import JournalError
from pytest_orchestrator.core.events import RecipeStarted, RunStarted, StepFinished, StepStarted
from pytest_orchestrator.run.journal import NAME, Journal
from pytest_orchestrator.run.reader import read

_PATIENCE = 2.0  # seconds within which the kernel has taken away what was killed


def add(path: Path, step: str, reason: str, line: int, column: int) -> bool:
    """Let the journal say that a step has failed by its timeout.

    Args:
        path: The journal.
        step: Name of the step that was running.
        reason: Why it failed, in a line.
        line: Where its timeout stands in the recipe.
        column: The same.

    Returns:
        True where that is written; False where the journal is another process's affair, or is
        not what was written.
    """
    reading = read(path)
    event = _event(reading.entries, step, reason, line, column)
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


def _event(
    entries: list[Entry], name: str, reason: str, line: int, column: int
) -> StepFinished | None:
    """Return that the try which began last has failed, told as every failed step is."""
    begun = next((one for one in reversed(entries) if isinstance(one.event, StepStarted)), None)
    if begun is None or not isinstance(begun.event, StepStarted) or begun.event.step != name:
        return None
    try_ = begun.event
    about = _recipe(entries, try_.recipe)
    run = next(one.event for one in entries if isinstance(one.event, RunStarted))
    if about is None:
        return None
    step = next((one for one in about.steps if one["name"] == name), {"name": name})
    place = {"path": about.about["path"], "line": line, "column": column}
    state = {"state": "failed", "attempt": try_.attempt, "kind": "timeout", "reason": reason}
    return StepFinished(
        recipe=try_.recipe,
        step=name,
        outcome="failed",
        meets=False,
        block={
            "schema_version": run.schema_version,
            "run": {"id": run.run, "worker": try_.worker},
            "recipe": about.about,
            "step": step | state | {"place": place},
            "criteria": [],
            "context": {"writes": []},
        },
    )


def _recipe(entries: list[Entry], key: str) -> RecipeStarted | None:
    """Return what the journal tells of a recipe."""
    events = (one.event for one in entries)
    return next((e for e in events if isinstance(e, RecipeStarted) and e.recipe == key), None)


def main() -> None:
    """Do so for the words that the program was given."""
    folder, step, reason, line, column = sys.argv[1:]
    journal, until = Path(folder, NAME), time.monotonic() + _PATIENCE
    while not add(journal, step, reason, int(line), int(column)) and time.monotonic() < until:
        time.sleep(0.05)
