"""What a session takes over from an earlier run: results of steps that do not run in this one."""

import contextlib
import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from pytest_orchestrator.core.result import Ended, Process, StepResult, Usage
from pytest_orchestrator.runs.resume import restore as resume_restore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_orchestrator.context.context import Context
    from pytest_orchestrator.core.events import AnyEvent, ContextChanged
    from pytest_orchestrator.execution.scheduling.serial import RecipeRun
    from pytest_orchestrator.plugin.nodes import StepItem
    from pytest_orchestrator.plugin.state import State
    from pytest_orchestrator.recipe.analysis.fingerprint import FingerprintInputs
    from pytest_orchestrator.recipe.model.recipe import Recipe
    from pytest_orchestrator.recipe.model.step import Step
    from pytest_orchestrator.runs.record import RunRecord, StepRecord

_MOST = 5
_AROUND: "pytest.StashKey[FingerprintInputs]" = pytest.StashKey()


def work_of(state: "State", recipe: "Recipe", step: "Step") -> dict[str, str]:
    """Return the digests of what a step does today.

    Args:
        state: The session.
        recipe: Its recipe, as it was read.
        step: The step.
    """
    from pytest_orchestrator.recipe.analysis import fingerprint

    return fingerprint.digests(recipe, step, surroundings(state))


def files_of(state: "State", recipe: "Recipe") -> dict[str, str]:
    """Return the digests of the files that the steps of a recipe run, by their paths."""
    from pytest_orchestrator.recipe.analysis import fingerprint

    sources = surroundings(state).sources
    steps = (*recipe.steps, *recipe.final)
    files = dict.fromkeys(
        path for step in steps for path in fingerprint.files_of_step(step, sources)
    )
    return {sources.shown(path): fingerprint.file_digest(path) for path in files}


def work_of_skipped(state: "State", at: tuple[str, str], result: "StepResult") -> dict[str, str]:
    """Return the digests of a step that was skipped before anything of it ran; else none."""
    if result.outcome != "skipped" or not result.meets:
        return {}
    recipe = state.runs[at[0]].recipe
    return work_of(state, recipe, recipe.step(at[1]))


def surroundings(state: "State") -> "FingerprintInputs":
    """Return what digests of steps depend on beside their recipes."""
    from pytest_orchestrator.recipe.analysis.fingerprint import FingerprintInputs
    from pytest_orchestrator.recipe.analysis.source_files import Sources

    stash = state.config.stash
    if _AROUND not in stash:
        sources = Sources(state.config.rootpath)
        stash[_AROUND] = FingerprintInputs(sources, state.given, os.environ, state.masked)
    return stash[_AROUND]


def by_test(event: "ContextChanged") -> "ContextChanged":
    """Return a change with the node id of the test that makes it; one of nobody else's as it is.

    Tests run again in a run that goes on, so what they wrote is not restored.
    """
    node = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
    if not node or threading.current_thread() is not threading.main_thread():
        return event
    return structs.replace(event, by=node)


@contextlib.contextmanager
def quiet(state: "State") -> "Iterator[None]":
    """Let changes of the Context that this thread makes meanwhile not be kept as such."""
    keeper = state.keeper
    if keeper is not None:
        keeper.ignored = threading.get_ident()
    try:
        yield
    finally:
        if keeper is not None:
            keeper.ignored = None


def restore(state: "State", context: "Context", snapshot: dict[str, Any], run: str) -> bool:
    """Make a Context what it was in an earlier run.

    Args:
        state: The session.
        context: The Context; that of a worker of xdist is kept elsewhere.
        snapshot: What it is to be.
        run: Id of the earlier run.

    Returns:
        The journal has nothing of it; else it has each change.
    """
    from pytest_orchestrator.context.context import Context

    with quiet(state):
        context.bound(f"run {run}").restore(snapshot)
    return isinstance(context, Context)


def keep(state: "State", recipes: "Iterable[Recipe]", events: "Iterable[AnyEvent]") -> None:
    """Keep what this run has from an earlier one: who goes on from it has that in it.

    Raises:
        JournalError: It cannot be kept.
    """
    if state.keeper is None:
        return
    for recipe in recipes:
        state.keeper.began(recipe)
    for event in events:
        state.keeper.append(event)
    state.keeper.sync()


def take_over(
    state: "State", run: "RecipeRun", step: "Step", record: "RunRecord", old: "StepRecord"
) -> None:
    """Let a step have the result that it had in an earlier run.

    Args:
        state: The session.
        run: The run of its recipe.
        step: The step.
        record: The earlier run.
        old: The step there.
    """
    block = resume_restore.block(record, old, state.folder.path.name)
    where, was = resume_restore.ran_in(record, old), old.ended.outcome if old.ended else "passed"
    reason = f"restored from run {where}: {was} there"
    said = str(block["step"].get("reason", ""))
    run.results[step.name] = StepResult(
        step=step.name,
        outcome=was,
        reason=f"{reason} ({said})" if said else reason,
        meets=True,
        ended=_ended(block, old),
        restored=where,
    )
    state.restored[run.recipe.key, step.name] = block


def _ended(block: dict[str, Any], old: "StepRecord") -> Ended:
    """Return what expressions may ask of a step that did not run."""
    code = block.get("process", {}).get("exit_code")
    return Ended(
        usage=Usage(seconds=resume_restore.seconds_of(old)),
        value=old.result,
        process=Process(argv=(), cwd="", alone="", exit_code=code) if "process" in block else None,
    )


def listed(names: "Sequence[str]", between: str = ", ") -> str:
    """Return names for a line of the header; the first of very many."""
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return between.join(names[:_MOST]) + more


def set_up(item: "StepItem") -> None:
    """Let an item have something restored in its setup."""
    from pytest_orchestrator.plugin.needs import NEEDS, Needs, request_fixture

    item.stash.setdefault(NEEDS, Needs(item.run, (), frozenset()))
    request_fixture(item)


def refuse(item: "StepItem", why: str) -> None:
    """Let an item be an error at its setup, that says why."""
    from pytest_orchestrator.plugin.needs import NEEDS, Needs

    set_up(item)
    known = item.stash[NEEDS]
    assert isinstance(known, Needs)  # noqa: S101  # those of a step are known
    item.stash[NEEDS] = replace(known, refused=known.refused or why)
