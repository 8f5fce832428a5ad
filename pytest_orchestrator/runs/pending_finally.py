"""Pending `finally` steps of earlier runs that were killed."""

import os
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from pytest_orchestrator.core.mask_stream import MASK
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.journal.writer import NAME
from pytest_orchestrator.runs.record import RecipeRecord, RunRecord, StepRecord
from pytest_orchestrator.runs.resume.plan import is_done, was_cut_off

_END: Final = 1 << 16  # each session reads the ends of all journals
_WHOLE: Final = (b'"exit_status":0,', b'"exit_status":1,')
_NOT_RUN: Final = b'"owed":'
_CUT_OFF: Final = (b'"final":true', b'"kind":"interrupted"')


class PendingFinally(NamedTuple):
    """Pending ``finally`` steps of one run.

    Attributes:
        run: Id of the run.
        steps: Names of the ``finally`` steps that did not run to their end, by key of their
            recipe.
        vars: The vars of these recipes, see `vars_of`.
    """

    run: str
    steps: dict[str, list[str]]
    vars: dict[str, Any] = {}  # noqa: RUF012  # a default of a NamedTuple, which has no class variables


class Rest(NamedTuple):
    """Rest of a run that ended early.

    Attributes:
        owed: A sentence for each ``finally`` step and each safe state that is due.
        command: The command that runs the other steps; empty if all have run to their end.
    """

    owed: list[str]
    command: str


def rest_of(run: RunRecord) -> Rest:
    """Return what a run has left; nothing while it runs, and of a journal that was changed."""
    if run.state not in ("interrupted", "finished"):
        return Rest([], "")
    pending = pending_in(run)
    owed = [
        f"{name} (finally) did not run{' to its end' * was_cut_off(run.recipes[key].steps[name])}: "
        "the bench may still be on"
        for key, names in pending.items()
        for name in names
    ]
    owed += [f"{name} is not in its safe state: it is owed" for name in run.debts.owed]
    cut = (step.recipe for step in run.steps if step.state in ("not run", "interrupted"))
    recipes = dict.fromkeys([*pending, *cut])
    return Rest(owed, resume_command(run.id, recipes) if recipes else "")


def pending_runs(base: Path) -> Iterator[PendingFinally]:
    """Yield the runs with pending ``finally`` steps, newest first.

    Args:
        base: The folder of the runs.
    """
    folders = lookup.run_folders(base)
    for place, folder in enumerate(folders):
        if _has_none_pending(folder / NAME):
            continue
        try:
            record = lookup.load_record(folder)
        except lookup.NoRun:
            continue
        if record.state not in ("interrupted", "finished") or record.started is None:
            continue
        steps = _still_pending(record, folders[:place])
        if steps and not _is_forgiven(base, record):
            yield PendingFinally(record.id, steps, vars_of(record, steps))


def pending_in(record: RunRecord) -> dict[str, list[str]]:
    """Return the ``finally`` steps that a run did not execute to their end.

    Returns:
        Names of the steps, by key of their recipe; a recipe of which no step ran has none.
    """
    steps = {recipe.key: _pending_steps(recipe) for recipe in record.recipes.values()}
    return {key: names for key, names in steps.items() if names}


def vars_of(record: RunRecord, keys: Iterable[str]) -> dict[str, Any]:
    """Return the vars of recipes of a run by name, each with `value` and `origin`, no secrets."""
    found = (record.recipes[key].about.get("vars") or {} for key in keys)
    return {
        name: var for each in found for name, var in each.items() if MASK not in str(var["value"])
    }


def descriptions(steps: dict[str, list[str]]) -> list[str]:
    """Return a line for each recipe: its key, and its pending steps in parentheses."""
    return [f"{recipe} ({', '.join(names)})" for recipe, names in steps.items()]


def resume_command(run: str, steps: Iterable[str], options: Iterable[str] = ()) -> str:
    """Return the command that runs the pending ``finally`` steps of recipes.

    Args:
        run: Id of the run.
        steps: The keys of the recipes.
        options: Options that give the recipes the values of their vars.
    """
    paths = dict.fromkeys(key.partition("[")[0] for key in steps)
    return shlex.join(["pytest", f"--recipe-resume={run}", *options, *paths])


def _still_pending(record: RunRecord, later: list[Path]) -> dict[str, list[str]]:
    """Return the pending steps of a run that no later run has executed to their end.

    A recipe that a later run has resumed is pending in that one.
    """
    steps, heirs = pending_in(record), {record.id}
    for folder in reversed(later) if steps else ():
        if not _names_any(folder / NAME, [*steps, *heirs]):
            continue
        try:
            run = lookup.load_record(folder)
        except lookup.NoRun:
            continue
        if run.started and run.started.resumed_from in heirs and run.is_complete:
            heirs.add(run.id)
        for key in steps.keys() & run.recipes.keys():
            recipe = run.recipes[key]
            is_resumed = run.id in heirs and _has_begun(recipe)
            steps[key] = [
                name
                for name in steps[key]
                if not is_resumed and not (name in recipe.steps and _ran(recipe.steps[name]))
            ]
    return {key: names for key, names in steps.items() if names}


def _names_any(path: Path, names: Iterable[str]) -> bool:
    """Return True if the bytes of a journal have one of the names; reading it takes longer."""
    try:
        data = path.read_bytes()
    except OSError:
        return False
    return any(msgspec.json.encode(one) in data for one in names)


def _ran(step: StepRecord) -> bool:
    """Return True if a step was done in the run itself, not restored from an earlier run."""
    return is_done(step) and not _is_restored(step)


def _pending_steps(recipe: RecipeRecord) -> list[str]:
    if not _has_begun(recipe):
        return []
    return [
        step.name
        for step in recipe.steps.values()
        if step.about.get("final") and (_never_ran(step) or was_cut_off(step))
    ]


def _has_begun(recipe: RecipeRecord) -> bool:
    steps = recipe.steps.values()
    return any(step.started or step.cut_off_in or _is_restored(step) for step in steps)


def _never_ran(step: StepRecord) -> bool:
    return step.ended is None or step.ended.outcome == "not run"


def _is_restored(step: StepRecord) -> bool:
    return step.ended is not None and step.ended.restored is not None


def _is_forgiven(base: Path, record: RunRecord) -> bool:
    """Return True if a person has dropped the debts of a run."""
    from pytest_orchestrator.runs.owed_safe import Ledger  # needs the station file's model

    return (record.id, "") in Ledger(base).settled


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
