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
    """What a run owes.

    Attributes:
        run: Its id.
        steps: The ``finally`` steps that did not run to their end, by key of their recipe.
    """

    run: str
    steps: dict[str, list[str]]


def pending_finally(base: Path, most: int = 20) -> PendingFinally | None:
    """Return what the last run owes that was killed or cut off; None where none owes anything.

    Args:
        base: The folder of the runs.
        most: So many runs are looked at, the newest first.
    """
    folders = lookup.run_folders(base)[:most]
    for place, folder in enumerate(folders):
        if _owes_nothing(folder / NAME):
            continue
        try:
            record = lookup.load_record(folder)
        except lookup.NoRun:
            continue
        if record.state not in ("interrupted", "finished") or record.started is None:
            continue
        steps = _left(pending_in(record), folders[:place])
        if steps and not _was_taken_up(base, record):
            return PendingFinally(record.id, steps)
    return None


def pending_in(record: RunRecord) -> dict[str, list[str]]:
    """Return the ``finally`` steps that are owed in a run and did not run to their end.

    Returns:
        Their names, by key of their recipe.
    """
    steps = {recipe.key: _open(recipe) for recipe in record.recipes.values()}
    return {key: names for key, names in steps.items() if names}


def told(steps: dict[str, list[str]]) -> list[str]:
    """Return what is owed as it is told: for each recipe its key, and its steps in brackets."""
    return [f"{recipe} ({', '.join(names)})" for recipe, names in steps.items()]


def _left(steps: dict[str, list[str]], later: list[Path]) -> dict[str, list[str]]:
    """Return those of some steps that no later run has run to their end."""
    for folder in later if steps else ():
        try:
            recipes = lookup.load_record(folder).recipes
        except lookup.NoRun:
            continue
        for key in steps.keys() & recipes.keys():
            there = recipes[key].steps
            steps[key] = [name for name in steps[key] if name not in there or not _ran(there[name])]
        steps = {key: names for key, names in steps.items() if names}
    return steps


def _ran(step: StepRecord) -> bool:
    """Tell whether a step did what it was to do, there and then."""
    return is_done(step) and not _is_restored(step)


def _open(recipe: RecipeRecord) -> list[str]:
    """Return the ``finally`` steps of a recipe that owes them."""
    steps = recipe.steps.values()
    if not any(step.started or step.cut_off_in or _is_restored(step) for step in steps):
        return []
    return [
        step.name
        for step in steps
        if step.about.get("final") and (step.ended is None or was_cut_off(step))
    ]


def _is_restored(step: StepRecord) -> bool:
    return step.ended is not None and step.ended.restored is not None


def _was_taken_up(base: Path, record: RunRecord) -> bool:
    """Tell whether a later run goes on from it, which then owes what is open still."""
    word = f'"resumed_from":"{record.id}"'.encode()
    for folder in lookup.run_folders(base):
        try:
            with (folder / NAME).open("rb") as file:
                if word in file.readline() and lookup.load_record(folder).is_whole:
                    return True
        except (OSError, lookup.NoRun):
            continue
    return False


def _owes_nothing(path: Path) -> bool:
    """Tell, without folding it, of a journal that was closed that no ``finally`` step was cut off.

    Ctrl-C and a scheduler that is lost cut off steps and let the session close its journal.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _END))
            last = file.read().rstrip(b"\n").rpartition(b"\n")[2]
            if b'"event":"run_finished"' not in last:
                return False
            if _NOT_RUN in last:
                return False
            if any(word in last for word in _WHOLE):
                return True
            file.seek(0)
            return not any(all(word in line for word in _CUT_OFF) for line in file)
    except OSError:
        return True
