"""A session that goes on from an earlier run: ``--recipe-resume``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.plugin import past, settings, shared
from pytest_orchestrator.plugin.state import state_of
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.journal.reader import read_journal
from pytest_orchestrator.runs.journal.writer import NAME
from pytest_orchestrator.runs.resume import plan, restore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_orchestrator.execution.scheduling.serial import RecipeRun
    from pytest_orchestrator.plugin.nodes import StepItem
    from pytest_orchestrator.recipe.model.recipe import Recipe
    from pytest_orchestrator.recipe.model.step import Step
    from pytest_orchestrator.runs.record import RunRecord, StepRecord

_OPTION = "--recipe-resume"
_RERUN = "--recipe-rerun"
_INPUT = "orchestrator_resume"


def begun(config: pytest.Config) -> "Resuming | None":
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
    return Resuming(config, record, folder)


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


class Resuming:
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
                {step.name: past.work_of(state, run.recipe, step) for step in run.recipe.steps},
                [other.recipe.key for other in run.needed],
            )
            for run in found
        ]
        self._plan = plan.plan(self._record, todays, self._rerun())
        for run in found:
            old = self._record.recipes.get(run.recipe.key)
            for step in run.recipe.steps if old else ():
                if old and self._of(run.recipe, step).kind == "restored":
                    past.take_over(state, run, step, self._record, old.steps[step.name])
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
        if shared.is_shared(self._config):
            return  # the controller does, once: other workers may be at work by now
        scopes = {"": state.context}
        scopes |= {run.recipe.key: run.context for run in found if run.recipe.context == "recipe"}
        for scope, context in scopes.items():
            if scope in self._record.changes.scopes:
                told = restore.restored(self._record, self._plan, self._recipes, scope)
                past.restore(state, context, told.snapshot, self.run)
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
                past.refuse(item, why)

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
        events = restore.opening(self._record, self._plan, self._recipes, run)
        past.keep(state, self._recipes, events)

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
            yield f"runs again: {past.listed(kinds['again'])}"
        if kinds["refused"]:
            yield f"asks whether it may run again: {past.listed(kinds['refused'])}"
        if tidied := list(self._tidied()):
            told = past.listed(tidied, "; ")
            yield f"`finally` of {told} has run since: what it switched off is off"
        if self._lost:
            yield f"secret, so not restored: {past.listed(self._lost)}"

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

    def __init__(self, resuming: Resuming) -> None:
        self._resuming = resuming

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Tell it."""
        for line in self._resuming.told():
            terminalreporter.write_line(f"orchestrator: {line}")
