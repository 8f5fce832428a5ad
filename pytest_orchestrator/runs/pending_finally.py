"""Pending `finally` steps of earlier runs that were killed."""

import os
from pathlib import Path
from typing import Final, NamedTuple

from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.journal.writer import NAME
from pytest_orchestrator.runs.record import RecipeRecord, RunRecord, StepRecord
from pytest_orchestrator.runs.resume.plan import is_done, was_cut_off

_END: Final = 1 << 20
_WHOLE: Final = (b'"exit_status":0,', b'"exit_status":1,')
_NOT_RUN: Final = b'"owed":'
_CUT_OFF: Final = (b'"final":true', b'"kind":"interrupted"')


class PendingFinally(NamedTuple):
    """Pending ``finally`` steps of one run.

    Attributes:
        run: Id of the run.
        steps: Names of the ``finally`` steps that did not run to their end, by key of their
            recipe.
    """

    run: str
    steps: dict[str, list[str]]


def pending_finally(base: Path, most: int = 20) -> PendingFinally | None:
    """Return the pending ``finally`` steps of the newest run with pending steps.

    Args:
        base: The folder of the runs.
        most: Number of runs that are checked, newest first.

    Returns:
        None if no run has pending steps; a run that a later one resumed has none.
    """
    folders = lookup.run_folders(base)[:most]
    for place, folder in enumerate(folders):
        if _has_none_pending(folder / NAME):
            continue
        try:
            record = lookup.load_record(folder)
        except lookup.NoRun:
            continue
        if record.state not in ("interrupted", "finished") or record.started is None:
            continue
        steps = _still_pending(pending_in(record), folders[:place])
        if steps and not _was_resumed(base, record):
            return PendingFinally(record.id, steps)
    return None


def pending_in(record: RunRecord) -> dict[str, list[str]]:
    """Return the ``finally`` steps that a run did not execute to their end.

    Returns:
        Names of the steps, by key of their recipe; a recipe of which no step ran has none.
    """
    steps = {recipe.key: _pending_steps(recipe) for recipe in record.recipes.values()}
    return {key: names for key, names in steps.items() if names}


def descriptions(steps: dict[str, list[str]]) -> list[str]:
    """Return a line for each recipe: its key, and its pending steps in parentheses."""
    return [f"{recipe} ({', '.join(names)})" for recipe, names in steps.items()]


def _still_pending(steps: dict[str, list[str]], later: list[Path]) -> dict[str, list[str]]:
    """Return those of the pending steps that no later run has executed to their end."""
    for folder in later if steps else ():
        try:
            recipes = lookup.load_record(folder).recipes
        except lookup.NoRun:
            continue
        for key in steps.keys() & recipes.keys():
            now = recipes[key].steps
            steps[key] = [name for name in steps[key] if name not in now or not _ran(now[name])]
        steps = {key: names for key, names in steps.items() if names}
    return steps


def _ran(step: StepRecord) -> bool:
    """Return True if a step was done in the run itself, not restored from an earlier run."""
    return is_done(step) and not _is_restored(step)


def _pending_steps(recipe: RecipeRecord) -> list[str]:
    steps = recipe.steps.values()
    if not any(step.started or step.cut_off_in or _is_restored(step) for step in steps):
        return []
    return [
        step.name
        for step in steps
        if step.about.get("final") and (_never_ran(step) or was_cut_off(step))
    ]


def _never_ran(step: StepRecord) -> bool:
    return step.ended is None or step.ended.outcome == "not run"


def _is_restored(step: StepRecord) -> bool:
    return step.ended is not None and step.ended.restored is not None


def _was_resumed(base: Path, record: RunRecord) -> bool:
    """Return True if a later run resumes this run; pending steps then belong to the later run."""
    field = f'"resumed_from":"{record.id}"'.encode()
    for folder in lookup.run_folders(base):
        try:
            with (folder / NAME).open("rb") as file:
                if field in file.readline() and lookup.load_record(folder).is_complete:
                    return True
        except (OSError, lookup.NoRun):
            continue
    return False


def _has_none_pending(path: Path) -> bool:
    """Return True if the end of a sealed journal shows that no step is pending.

    A sealed journal may have pending steps: after Ctrl-C, or when the Dask scheduler is lost,
    steps are cut off and the session seals its journal nevertheless.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _END))
            last = file.read().rstrip(b"\n").rpartition(b"\n")[2]
            if b'"event":"run_finished"' not in last:
                return False
            if _NOT_RUN in last:
                return False
            if any(field in last for field in _WHOLE):
                return True
            file.seek(0)
            return not any(all(field in line for field in _CUT_OFF) for line in file)
    except OSError:
        return True
