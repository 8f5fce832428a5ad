"""Resumed session: `--recipe-resume`, and what it takes over."""

import contextlib
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from pytest_orchestrator.core.result import Ended, Process, StepResult, Usage, outcome_of
from pytest_orchestrator.plugin import worker_context
from pytest_orchestrator.plugin.options import settings
from pytest_orchestrator.plugin.session_state import state_of
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.journal.reader import read_journal
from pytest_orchestrator.runs.journal.writer import NAME
from pytest_orchestrator.runs.resume import plan
from pytest_orchestrator.runs.resume import restore as resume_restore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_orchestrator.context.context import Context
    from pytest_orchestrator.core.events import AnyEvent, ContextChanged
    from pytest_orchestrator.execution.scheduling.serial import RecipeRun
    from pytest_orchestrator.plugin.collection.nodes import StepItem
    from pytest_orchestrator.plugin.session_state import SessionState
    from pytest_orchestrator.recipe.analysis.fingerprint import FingerprintInputs
    from pytest_orchestrator.recipe.model.recipe import Recipe
    from pytest_orchestrator.recipe.model.step import Step
    from pytest_orchestrator.runs.record import RunRecord, StepRecord

_MOST = 5
_AROUND: "pytest.StashKey[FingerprintInputs]" = pytest.StashKey()


def work_of(state: "SessionState", recipe: "Recipe", step: "Step") -> dict[str, str]:
    """Return the digests of what a step does today.

    Args:
        state: The session.
        recipe: Its recipe, as it was read.
        step: The step.
    """
    from pytest_orchestrator.recipe.analysis import fingerprint

    return fingerprint.digests(recipe, step, surroundings(state))


def files_of(state: "SessionState", recipe: "Recipe") -> dict[str, str]:
    """Return the digests of the files that the steps of a recipe run, by their paths."""
    from pytest_orchestrator.recipe.analysis import fingerprint

    sources = surroundings(state).sources
    steps = (*recipe.steps, *recipe.final)
    files = dict.fromkeys(
        path for step in steps for path in fingerprint.files_of_step(step, sources)
    )
    return {sources.shown(path): fingerprint.file_digest(path) for path in files}


def work_of_skipped(
    state: "SessionState", at: tuple[str, str], result: "StepResult"
) -> dict[str, str]:
    """Return the digests of a step that was skipped before anything of it ran; else none."""
    if result.outcome != "skipped" or not result.meets:
        return {}
    recipe = state.runs[at[0]].recipe
    return work_of(state, recipe, recipe.step(at[1]))


def surroundings(state: "SessionState") -> "FingerprintInputs":
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
def quiet(state: "SessionState") -> "Iterator[None]":
    """Let changes of the Context that this thread makes meanwhile not be kept as such."""
    keeper = state.keeper
    if keeper is not None:
        keeper.ignored = threading.get_ident()
    try:
        yield
    finally:
        if keeper is not None:
            keeper.ignored = None


def restore(state: "SessionState", context: "Context", snapshot: dict[str, Any], run: str) -> bool:
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


def keep(state: "SessionState", recipes: "Iterable[Recipe]", events: "Iterable[AnyEvent]") -> None:
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
    state: "SessionState", run: "RecipeRun", step: "Step", record: "RunRecord", old: "StepRecord"
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
        outcome=outcome_of(was),
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
    from pytest_orchestrator.plugin.collection.needs import NEEDS, Needs, request_fixture

    item.stash.setdefault(NEEDS, Needs(item.run, (), frozenset()))
    request_fixture(item)


def refuse(item: "StepItem", why: str) -> None:
    """Let an item be an error at its setup, that says why."""
    from pytest_orchestrator.plugin.collection.needs import NEEDS, Needs

    set_up(item)
    known = item.stash[NEEDS]
    assert isinstance(known, Needs)  # noqa: S101  # those of a step are known
    item.stash[NEEDS] = replace(known, refused=known.refused or why)


_OPTION = "--recipe-resume"
_RERUN = "--recipe-rerun"
_INPUT = "orchestrator_resume"


def resumed_session(config: pytest.Config) -> "ResumedSession | None":
    """Read the run that a session goes on from; None where it goes on from none.

    Raises:
        pytest.UsageError: There is none, or nobody can go on from it.
    """
    given = getattr(config, "workerinput", {})
    name = given.get(_INPUT) or config.getoption("recipe_resume")
    if not name:
        if config.getoption("recipe_rerun"):
            raise pytest.UsageError(f"{_RERUN} says nothing without {_OPTION}")
        return None
    base = settings.run_dir(config)
    try:
        folder = lookup.find_run(base, name)
        record = _whole(folder)
        while not record.is_whole and record.started and record.started.resumed_from:
            folder = lookup.find_run(base, record.started.resumed_from)
            record = _whole(folder)
    except lookup.NoRun as error:
        raise pytest.UsageError(f"{_OPTION}: {error}") from None
    return ResumedSession(config, record, folder)


def _whole(folder: Path) -> "RunRecord":
    """Read a run that has ended, and whose journal is as it was written.

    Raises:
        pytest.UsageError: It is not.
    """
    record = lookup.load_record(folder)
    if record.state == "running":
        why = "is still running; end it, or wait until it has ended"
    elif record.state == "damaged":
        why = f"has a journal that somebody has changed: {read_journal(folder / NAME).damage}"
    elif not record.id:
        why = "was ended before anything was written to its journal"
    else:
        return record
    raise pytest.UsageError(f"{_OPTION}: run {folder.name} {why}")


class ResumedSession:
    """Takes an earlier run up.

    Args:
        config: The configuration of the session.
        record: The earlier run.
        folder: Its folder.
    """

    def __init__(self, config: pytest.Config, record: "RunRecord", folder: Path) -> None:
        self._config = config
        self._record = record
        self._folder = folder
        self._plan = plan.ResumePlan(record.id, {})
        self._recipes: list[Recipe] = []
        self._lost: list[str] = []

    @property
    def run(self) -> str:
        """Id of the earlier run."""
        return self._record.id

    def tell(self, workerinput: dict[str, object]) -> None:
        """Let a worker of xdist go on from the same run: the last one is soon another."""
        workerinput[_INPUT] = str(self._folder)

    def take_up(self, found: "Sequence[RecipeRun]") -> None:
        """Decide what becomes of each step, and restore what holds still.

        Args:
            found: The runs of today's recipes, each after those that it needs.

        Raises:
            pytest.UsageError: A step is to run again that there is not.
        """
        state = state_of(self._config)
        self._recipes = [run.recipe for run in found]
        todays = [
            plan.CurrentRecipe(
                run.recipe,
                {step.name: work_of(state, run.recipe, step) for step in run.recipe.steps},
                [other.recipe.key for other in run.needed],
            )
            for run in found
        ]
        self._plan = plan.plan(self._record, todays, self._rerun())
        for run in found:
            old = self._record.recipes.get(run.recipe.key)
            for step in run.recipe.steps if old else ():
                if old and self._of(run.recipe, step).kind == "restored":
                    take_over(state, run, step, self._record, old.steps[step.name])
        due = [
            run
            for run in found
            if any(fate.kind != "first" for fate in self._plan.fates[run.recipe.key].values())
        ]
        register, worker = self._config.pluginmanager.register, hasattr(self._config, "workerinput")
        register(_Owing(self._config, due))
        if not worker and self._config.getoption("dist", "no") != "no":
            register(_Closing(self))
        self._restore(found)

    def _restore(self, found: "Sequence[RecipeRun]") -> None:
        """Make the Contexts what they were; no change of them is told to anybody."""
        state = state_of(self._config)
        if worker_context.is_shared(self._config):
            return  # the controller does, once: other workers may be at work by now
        scopes = {"": state.context}
        scopes |= {run.recipe.key: run.context for run in found if run.recipe.context == "recipe"}
        for scope, context in scopes.items():
            if scope in self._record.changes.scopes:
                told = resume_restore.restored(self._record, self._plan, self._recipes, scope)
                restore(state, context, told.snapshot, self.run)
                self._lost += told.lost

    def _rerun(self) -> "list[tuple[str, str]]":
        from pytest_orchestrator.core.suggestions import nearest

        steps = [
            (recipe, step) for recipe in self._recipes for step in (*recipe.steps, *recipe.final)
        ]
        asked: list[tuple[str, str]] = []
        for name in self._config.getoption("recipe_rerun"):
            met = [
                (recipe.key, step.name)
                for recipe, step in steps
                if name in (step.name, recipe.node(step.name))
            ]
            if not met:
                near = nearest(name, [step.name for _, step in steps])
                raise pytest.UsageError(f"{_RERUN}: no selected recipe has a step '{name}'{near}")
            asked += met
        return asked

    def _of(self, recipe: "Recipe", step: "Step") -> plan.ResumeDecision:
        return self._plan.of(recipe.key, step.name)

    def mark(self, items: "Sequence[StepItem]") -> None:
        """Let items of restored steps be skipped, and those of refused ones be errors."""
        for item in items:
            result = item.run.results.get(item.step.name)
            if result is not None and result.restored:
                item.add_marker(pytest.mark.skip(reason=result.reason))
            elif why := self.refusal(item.recipe, item.step):
                refuse(item, why)

    def refusal(self, recipe: "Recipe", step: "Step") -> str:
        """Say what keeps a step from running until a person decides; empty where nothing does."""
        fate = self._of(recipe, step)
        if fate.kind != "refused":
            return ""
        place, node = step.at["name"], recipe.node(step.name)
        return (
            f"{recipe.source(step).id}:{place.line}:{place.column}: "
            f"step '{step.name}' cannot be restored from run {self.run}: {fate.why}\n"
            f"    let it run again: pytest {_OPTION} {_RERUN}={node}\n"
            f"    or say in the recipe that it always may: idempotent: true"
        )

    def refusals(self, recipe: "Recipe", steps: "Sequence[Step]") -> str:
        """Say what keeps the first of some steps from running; empty where nothing does."""
        return next((why for step in steps if (why := self.refusal(recipe, step))), "")

    def write(self) -> None:
        """Let the journal begin with what is taken over.

        Raises:
            JournalError: It cannot be written.
        """
        state = state_of(self._config)
        run = state.folder.path.name
        events = resume_restore.opening(self._record, self._plan, self._recipes, run)
        keep(state, self._recipes, events)

    def told(self) -> "Iterator[str]":
        """Tell what is restored, what runs again, and what somebody has to decide."""
        kinds: dict[str, list[str]] = {"restored": [], "again": [], "refused": []}
        several = len(self._recipes) > 1
        for recipe in self._recipes:
            for step in recipe.steps:
                fate = self._of(recipe, step)
                name = recipe.node(step.name) if several else step.name
                if fate.kind in kinds:
                    kinds[fate.kind].append(f"{name} ({fate.why})" if fate.why else name)
        steps = sum(len(recipe.steps) for recipe in self._recipes)
        yield f"goes on from run {self.run}: {len(kinds['restored'])} of {steps} steps restored"
        if kinds["again"]:
            yield f"runs again: {listed(kinds['again'])}"
        if kinds["refused"]:
            yield f"asks whether it may run again: {listed(kinds['refused'])}"
        if tidied := list(self._tidied()):
            told = listed(tidied, "; ")
            yield f"`finally` of {told} has run since: what it switched off is off"
        if self._lost:
            yield f"secret, so not restored: {listed(self._lost)}"

    def _tidied(self) -> "Iterator[str]":
        """Give the recipes that go on with restored steps after their ``finally`` has run."""
        for recipe in self._recipes:
            kinds = {self._of(recipe, step).kind for step in recipe.steps}
            old = self._record.recipes.get(recipe.key)
            known = {} if old is None else old.steps
            done = [step.name for step in recipe.final if _has_run(known.get(step.name))]
            if done and "restored" in kinds and kinds != {"restored"}:
                yield f"{recipe.key} ({', '.join(done)})"


def _has_run(step: "StepRecord | None") -> bool:
    if step is None or step.ended is None or plan.was_cut_off(step):
        return False
    return step.ended.outcome != "skipped"


class _Owing:
    """Lets recipes owe their ``finally`` steps: at once, in a worker once it runs one of them."""

    def __init__(self, config: pytest.Config, due: "Sequence[RecipeRun]") -> None:
        self._due = {run.recipe.key: run for run in due}
        if not hasattr(config, "workerinput"):
            for run in due:
                run.owes_finally = True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        """Take note of a recipe that this process runs."""
        run = self._due.get(getattr(getattr(item, "recipe", None), "key", ""))
        if run is not None:
            run.owes_finally = True


class _Closing:
    """Tells at the end what stands in the header elsewhere: a session with workers has none."""

    def __init__(self, resuming: ResumedSession) -> None:
        self._resuming = resuming

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Tell it."""
        for line in self._resuming.told():
            terminalreporter.write_line(f"orchestrator: {line}")
