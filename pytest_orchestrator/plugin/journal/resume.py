"""Resumed session (`--recipe-resume`), and the results taken over from the earlier run."""

import contextlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from pytest_orchestrator.plugin import worker_context
from pytest_orchestrator.plugin.options import settings
from pytest_orchestrator.plugin.registered import Plugin
from pytest_orchestrator.plugin.session_state import state_of
from pytest_orchestrator.recipe.expressions.expression import ExpressionError
from pytest_orchestrator.recipe.model.recipe import unit_scope
from pytest_orchestrator.runs.resume import plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_orchestrator.context.context import Context
    from pytest_orchestrator.core.events import AnyEvent, ContextChanged
    from pytest_orchestrator.core.result import StepResult
    from pytest_orchestrator.execution.scheduling.run import RecipeRun
    from pytest_orchestrator.plugin.collection.needs import Refusal
    from pytest_orchestrator.plugin.collection.nodes import StepItem
    from pytest_orchestrator.plugin.session_state import SessionState
    from pytest_orchestrator.recipe.analysis.fingerprint import FingerprintInputs
    from pytest_orchestrator.recipe.model.recipe import Recipe
    from pytest_orchestrator.recipe.model.step import Step
    from pytest_orchestrator.runs.record import RunRecord, StepRecord

_MOST = 5
_AROUND: "pytest.StashKey[FingerprintInputs]" = pytest.StashKey()


def work_of(state: "SessionState", recipe: "Recipe", step: "Step") -> dict[str, str]:
    """Return the digests of all inputs that determine the behavior of a step in this session.

    Args:
        state: The session.
        recipe: The recipe of the step, before expressions are evaluated.
        step: The step.
    """
    from pytest_orchestrator.recipe.analysis.fingerprint import digests

    return digests(recipe, step, fingerprint_inputs(state))


def files_of(state: "SessionState", recipe: "Recipe") -> dict[str, str]:
    """Return the digest of each file that the steps of a recipe execute, by path."""
    from pytest_orchestrator.recipe.analysis import fingerprint

    sources = fingerprint_inputs(state).sources
    steps = (*recipe.steps, *recipe.final)
    files = dict.fromkeys(
        path for step in steps for path in fingerprint.files_of_step(step, sources)
    )
    return {sources.display_path(path): fingerprint.file_digest(path) for path in files}


def work_of_skipped(
    state: "SessionState", at: tuple[str, str], result: "StepResult"
) -> dict[str, str]:
    """Return the digests of a step that was skipped before its start; empty for other steps."""
    if result.outcome != "skipped" or not result.meets:
        return {}
    recipe = state.runs[at[0]].recipe
    return work_of(state, recipe, recipe.step(at[1]))


def fingerprint_inputs(state: "SessionState") -> "FingerprintInputs":
    """Return the inputs of digests that do not come from recipes; the first call creates them."""
    stash = state.config.stash
    if _AROUND not in stash:
        from pytest_orchestrator.recipe.analysis.fingerprint import FingerprintInputs
        from pytest_orchestrator.recipe.analysis.source_files import Sources

        sources = Sources(state.config.rootpath)
        stash[_AROUND] = FingerprintInputs(
            sources, state.var_values, os.environ, state.masked, state.station
        )
    return stash[_AROUND]


def read_files_again(state: "SessionState") -> None:
    """Forget the files of the project that were read for digests."""
    if _AROUND in state.config.stash:
        del state.config.stash[_AROUND]


def by_test(event: "ContextChanged") -> "ContextChanged":
    """Return a change with the current test's node id, or unchanged if no test runs here.

    Tests run again in a resumed run, so their changes are not restored.
    """
    node = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
    if not node or threading.current_thread() is not threading.main_thread():
        return event
    return structs.replace(event, by=node)


@contextlib.contextmanager
def quiet(state: "SessionState") -> "Iterator[None]":
    """Suppress the recording of Context changes that this thread makes inside the with block."""
    recorder = state.recorder
    if recorder is not None:
        recorder.ignored = threading.get_ident()
    try:
        yield
    finally:
        if recorder is not None:
            recorder.ignored = None


def restore_context(
    state: "SessionState", context: "Context", snapshot: dict[str, Any], run: str
) -> bool:
    """Restore a Context from a snapshot of an earlier run.

    Args:
        state: The session.
        context: The Context; in a worker of xdist the controller holds it.
        snapshot: The snapshot.
        run: Id of the earlier run.

    Returns:
        True if the caller has to record the restored Context, because no change was recorded;
        False in a worker of xdist, where the controller has recorded each change.
    """
    from pytest_orchestrator.context.context import Context

    with quiet(state):
        context.bound(f"run {run}").restore(snapshot)
    return isinstance(context, Context)


def keep(state: "SessionState", recipes: "Iterable[Recipe]", events: "Iterable[AnyEvent]") -> None:
    """Record the events of restored steps and Contexts, so that this run can be resumed too.

    Raises:
        JournalError: An event cannot be written.
    """
    if state.recorder is None:
        return
    for recipe in recipes:
        state.recorder.record_start(recipe)
    for event in events:
        state.recorder.append(event)
    state.recorder.sync()


def take_over(
    state: "SessionState", run: "RecipeRun", step: "Step", record: "RunRecord", old: "StepRecord"
) -> None:
    """Set the result of a step to its result in an earlier run.

    Args:
        state: The session.
        run: The run of the recipe.
        step: The step.
        record: The earlier run.
        old: The record of the step in the earlier run.
    """
    from pytest_orchestrator.execution.step_values import with_logs
    from pytest_orchestrator.runs.block import result_of
    from pytest_orchestrator.runs.folder import RunFolder
    from pytest_orchestrator.runs.resume import restore

    event = restore.restored_event(record, old, state.folder.path.name)
    result = result_of(event)
    reason = f"restored from run {event.restored}: {event.outcome} there"
    result = structs.replace(
        result,
        failure=None,
        reason=f"{reason} ({result.reason})" if result.reason else reason,
        meets=True,
        restored=event.restored,
    )
    earlier = RunFolder(state.folder.path.parent, event.restored or record.id)
    run.results[step.name] = with_logs(result, earlier.logs(run.recipe))
    state.restored[run.recipe.key, step.name] = event.block
    for answer in event.block.get("answers") or () if event.block else ():
        if answer.get("dut"):
            run.identify(step, answer["dut"])


def listed(names: "Sequence[str]", between: str = ", ") -> str:
    """Join names for a header line: the first five names, and the number of the others."""
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return between.join(names[:_MOST]) + more


def set_up(item: "StepItem") -> None:
    """Make an item request the fixture that restores the item's Context, or fails, in its setup."""
    from pytest_orchestrator.plugin.collection.needs import NEEDS, Needs, request_fixture

    item.stash.setdefault(NEEDS, Needs(item.run, (), frozenset()))
    request_fixture(item)


def refuse(item: "StepItem", why: "Refusal") -> None:
    """Make the setup of an item fail with a reason."""
    from pytest_orchestrator.plugin.collection.needs import NEEDS, Needs

    set_up(item)
    needs = item.stash[NEEDS]
    assert isinstance(needs, Needs)  # noqa: S101  # only markers of tests have messages here
    item.stash[NEEDS] = structs.replace(needs, refused=needs.refused or why)


_OPTION = "--recipe-resume"
_RERUN = "--recipe-rerun"
_INPUT = "orchestrator_resume"


def resumed_session(config: pytest.Config) -> "ResumedSession | None":
    """Return the session that resumes a run, or None without ``--recipe-resume``.

    Raises:
        pytest.UsageError: The run does not exist or cannot be resumed.
    """
    from pytest_orchestrator.runs import lookup

    workerinput = getattr(config, "workerinput", {})
    name = workerinput.get(_INPUT) or config.getoption("recipe_resume")
    if not name:
        if config.getoption("recipe_rerun"):
            raise pytest.UsageError(f"{_RERUN} says nothing without {_OPTION}")
        return None
    base = settings.run_dir(config)
    try:
        folder = lookup.find_run(base, name)
        record = _whole(folder)
        while not record.is_complete and record.started and record.started.resumed_from:
            folder = lookup.find_run(base, record.started.resumed_from)
            record = _whole(folder)
    except lookup.NoRun as error:
        raise pytest.UsageError(f"{_OPTION}: {error}") from None
    return ResumedSession(config, record, folder)


def _whole(folder: Path) -> "RunRecord":
    """Return the record of a run that has ended and whose journal was not modified.

    Raises:
        pytest.UsageError: The run is running, damaged or empty.
    """
    from pytest_orchestrator.runs import lookup
    from pytest_orchestrator.runs.journal.reader import read_journal
    from pytest_orchestrator.runs.journal.writer import NAME

    record = lookup.load_record(folder)
    if record.state == "running":
        why = "is still running; end it, or wait until it has ended"
    elif record.state == "damaged":
        why = f"has a journal that was modified: {read_journal(folder / NAME).damage}"
    elif not record.id:
        why = "was ended before anything was written to its journal"
    elif record.started and record.started.replay:
        why = f"is a replay of run {record.started.replay}, whose steps used no instrument"
    else:
        return record
    raise pytest.UsageError(f"{_OPTION}: run {folder.name} {why}")


class ResumedSession:
    """Session that resumes an earlier run.

    Args:
        config: The configuration of the session.
        record: The earlier run.
        folder: The folder of the earlier run.
    """

    def __init__(self, config: pytest.Config, record: "RunRecord", folder: Path) -> None:
        self._config = config
        self._record = record
        self._folder = folder
        self._plan = plan.ResumePlan(record.id, {})
        self._recipes: list[Recipe] = []
        self._used = {record.id}
        self._lost: list[str] = []

    @property
    def run(self) -> str:
        """Id of the earlier run."""
        return self._record.id

    def recipes_of(self, run: str) -> "frozenset[str]":
        """Return the keys of the recipes of this session if it resumes them from a run."""
        return frozenset(one.key for one in self._recipes if run in self._used)

    def send_to_worker(self, workerinput: dict[str, object]) -> None:
        """Put the earlier run's folder into `workerinput`; `latest` would mean the new one."""
        workerinput[_INPUT] = str(self._folder)

    def restore_steps(self, runs: "Sequence[RecipeRun]") -> None:
        """Decide which steps are restored, and restore these steps and the Contexts.

        Args:
            runs: The runs of the recipes of this session, each after the runs that it needs.

        Raises:
            pytest.UsageError: A step of ``--recipe-rerun`` does not exist.
        """
        state = state_of(self._config)
        self._recipes = [run.recipe for run in runs]
        self._adopt()
        current = [
            plan.CurrentRecipe(
                run.recipe,
                {step.name: work_of(state, run.recipe, step) for step in run.recipe.steps},
                [other.recipe.key for other in run.needed],
                _skip_reason(run),
            )
            for run in runs
        ]
        self._plan = plan.plan(self._record, current, self._rerun())
        for run in runs:
            old = self._record.recipes.get(run.recipe.key)
            if old and old.samples.segment and run.samplers is not None:
                run.samplers.segment = old.samples.segment + 1
            for step in run.recipe.steps if old else ():
                decision = self._of(run.recipe, step)
                if old and decision.kind == "restored":
                    take_over(state, run, step, self._record, old.steps[step.name])
                elif old and decision.keeps_elements:
                    from pytest_orchestrator.runs.resume.elements import kept_elements

                    kept = kept_elements(self._record, old.steps[step.name])
                    if kept is not None:
                        run.kept_elements[step.name] = kept
        due = [run for run in runs if self._finally_is_due(run)]
        register, worker = self._config.pluginmanager.register, hasattr(self._config, "workerinput")
        register(_PendingFinally(self._config, due))
        if not worker and self._config.getoption("dist", "no") != "no":
            register(_SummaryLines(self))
        self._restore(runs)

    def _adopt(self) -> None:
        """Take recipes that the earlier run did not select from the runs that it resumed.

        Raises:
            pytest.UsageError: One of these runs has a journal that was modified.
        """
        from pytest_orchestrator.runs.resume import restore

        oldest = self._record
        while missing := {one.key for one in self._recipes} - self._record.recipes.keys():
            name = oldest.started and oldest.started.resumed_from
            folder = self._folder.parent / name if name else self._folder
            if not name or not folder.is_dir():  # it was pruned
                return
            oldest = _whole(folder)
            self._used.add(oldest.id)
            restore.adopt(self._record, oldest, missing)

    def _finally_is_due(self, run: "RecipeRun") -> bool:
        """Return True if the ``finally`` steps of a recipe are due before any step runs.

        They are if steps ran in the earlier run. If the recipe skips all its steps now, its
        ``finally`` must not have run there.
        """
        key = run.recipe.key
        if _skip_reason(run):
            from pytest_orchestrator.runs.pending_finally import pending_in

            return key in pending_in(self._record)
        return any(fate.kind != "first" for fate in self._plan.decisions[key].values())

    def _restore(self, runs: "Sequence[RecipeRun]") -> None:
        """Restore the Contexts; neither record the changes nor call step hooks for the changes."""
        from pytest_orchestrator.runs.resume import restore

        state = state_of(self._config)
        if worker_context.is_shared(self._config):
            return  # the controller restores them once; other workers may run steps already
        scopes = {"": state.context}
        scopes |= {run.recipe.key: run.context for run in runs if run.recipe.context == "recipe"}
        for run in runs:
            scopes |= {
                unit_scope(run.recipe.key, step.unit): run.units.context_of(step)
                for step in run.recipe.steps
                if step.unit
            }
        for scope, context in scopes.items():
            if scope in self._record.changes.scopes:
                restored = restore.restored(self._record, self._plan, scope)
                restore_context(state, context, restored.snapshot, self.run)
                self._lost += restored.lost

    def _rerun(self) -> "list[tuple[str, str]]":
        from pytest_orchestrator.core.suggestions import nearest

        steps = [
            (recipe, step) for recipe in self._recipes for step in (*recipe.steps, *recipe.final)
        ]
        selected: list[tuple[str, str]] = []
        for name in self._config.getoption("recipe_rerun"):
            matching = [
                (recipe.key, step.name)
                for recipe, step in steps
                if name in (step.name, recipe.node(step.name))
            ]
            if not matching:
                near = nearest(name, [step.name for _, step in steps])
                raise pytest.UsageError(f"{_RERUN}: no selected recipe has a step '{name}'{near}")
            selected += matching
        return selected

    def _of(self, recipe: "Recipe", step: "Step") -> plan.ResumeDecision:
        return self._plan.of(recipe.key, step.name)

    def mark(self, items: "Sequence[StepItem]") -> None:
        """Mark items of restored steps as skipped; make items of refused steps fail in setup."""
        for item in items:
            result = item.run.results.get(item.step.name)
            if result is not None and result.restored:
                item.add_marker(pytest.mark.skip(reason=result.reason))
            elif why := self.refusal(item.recipe, item.step):
                refuse(item, why)

    def refusal(self, recipe: "Recipe", step: "Step") -> "Refusal | None":
        """Return the reason why a step needs confirmation to run again, or None."""
        from pytest_orchestrator.plugin.collection.needs import Refusal
        from pytest_orchestrator.plugin.results import failures
        from pytest_orchestrator.reports import failure

        fate = self._of(recipe, step)
        if fate.kind != "refused":
            return None
        again = [_OPTION, *failures.options(self._config, recipe)]
        return Refusal(
            source=recipe.source(step),
            place=step.at["name"],
            reason=f"step '{step.name}' cannot be restored from run {self.run}: {fate.why}",
            cures=(
                f"let it run again: {failure.command(f'{_RERUN}={recipe.node(step.name)}', again)}",
                "or say in the recipe that it always may: idempotent: true",
            ),
        )

    def refusals(self, recipe: "Recipe", steps: "Sequence[Step]") -> "Refusal | None":
        """Return the reason of the first step that needs confirmation, or None."""
        return next((why for step in steps if (why := self.refusal(recipe, step))), None)

    def write(self) -> None:
        """Record the restored steps and Contexts at the beginning of the journal.

        Raises:
            JournalError: An event cannot be written.
        """
        from pytest_orchestrator.runs.resume import restore

        state = state_of(self._config)
        run = state.folder.path.name
        events = restore.opening(self._record, self._plan, run)
        keep(state, self._recipes, events)

    def header_lines(self) -> "Iterator[str]":
        """Yield header lines: restored steps, rerun steps, steps that need confirmation."""
        kinds: dict[str, list[str]] = {"restored": [], "again": [], "refused": [], "skipped": []}
        several = len(self._recipes) > 1
        for recipe in self._recipes:
            for step in recipe.steps:
                fate = self._of(recipe, step)
                name = recipe.node(step.name) if several else step.name
                if fate.kind in kinds:
                    kinds[fate.kind].append(f"{name} ({fate.why})" if fate.why else name)
        steps = sum(len(recipe.steps) for recipe in self._recipes)
        yield f"resumed from run {self.run}: {len(kinds['restored'])} of {steps} steps restored"
        if kinds["again"]:
            yield f"runs again: {listed(kinds['again'])}"
        if kinds["skipped"]:
            yield f"skipped now: {listed(kinds['skipped'])}"
        if kinds["refused"]:
            yield f"needs confirmation to run again: {listed(kinds['refused'])}"
        if finished := list(self._finally_has_run()):
            yield (
                f"`finally` of {listed(finished, '; ')} has run since: "
                "whatever it switched off is still off"
            )
        if self._lost:
            yield f"secret, so not restored: {listed(self._lost)}"

    def _finally_has_run(self) -> "Iterator[str]":
        """Yield a text for each partly resumed recipe: key and ``finally`` steps that have run."""
        for recipe in self._recipes:
            kinds = {self._of(recipe, step).kind for step in recipe.steps}
            old = self._record.recipes.get(recipe.key)
            old_steps = {} if old is None else old.steps
            done = [step.name for step in recipe.final if _has_run(old_steps.get(step.name))]
            if done and "restored" in kinds and kinds != {"restored"}:
                yield f"{recipe.key} ({', '.join(done)})"


def _has_run(step: "StepRecord | None") -> bool:
    if step is None or step.ended is None or plan.was_cut_off(step):
        return False
    return step.ended.outcome != "skipped"


def _skip_reason(run: "RecipeRun") -> str:
    """Return the reason why a recipe skips all its steps; empty if they may run."""
    with contextlib.suppress(ExpressionError):  # each step reports the error
        return run.gate.skip_reason() or ""
    return ""


class _PendingFinally(Plugin):
    """Plugin that sets `has_pending_finally` of resumed runs, so that ``finally`` steps run."""

    def __init__(self, config: pytest.Config, runs: "Sequence[RecipeRun]") -> None:
        self._runs = {run.recipe.key: run for run in runs}
        if not hasattr(config, "workerinput"):
            for run in runs:
                run.has_pending_finally = True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        """Set `has_pending_finally` of the recipe run to which the item belongs."""
        run = self._runs.get(getattr(getattr(item, "recipe", None), "key", ""))
        if run is not None:
            run.has_pending_finally = True


class _SummaryLines(Plugin):
    """Plugin that prints the resume lines in the summary, as xdist sessions have no header."""

    def __init__(self, resumed: ResumedSession) -> None:
        self._resumed = resumed

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the header lines of the resumed session."""
        for line in self._resumed.header_lines():
            terminalreporter.write_line(f"orchestrator: {line}")
