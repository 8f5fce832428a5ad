"""Run of a recipe: the results of its steps, and the rules by which steps block or end others.

The caller requests steps in the order of the recipe and waits only for the requested step. Without
a plan, as with a single worker slot, the step then runs in the calling thread. With a plan, workers
run steps ahead, and the session proceeds as in a sequential run: ``results`` holds the results that
were requested, not those of all steps that have ended.
"""

import contextlib
import operator
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.errors import JournalError, LockError
from pytest_orchestrator.core.result import Failure, StepResult
from pytest_orchestrator.execution.attempt_context import NO_LOCKS, AttemptContext, StepLocks
from pytest_orchestrator.execution.expression_scope import Scope
from pytest_orchestrator.execution.interruptible import InterruptibleEvent
from pytest_orchestrator.execution.lanes.lane import Slot
from pytest_orchestrator.execution.notifications import Finished
from pytest_orchestrator.execution.recipe_outcome import RecipeOutcome, is_expected
from pytest_orchestrator.execution.scheduling.failures import blocked, cause_of, failed, refused
from pytest_orchestrator.execution.scheduling.gate import RecipeGate
from pytest_orchestrator.execution.scheduling.retry import RetryLoop
from pytest_orchestrator.execution.scheduling.tasks import SlotLease, Task, cancel_all
from pytest_orchestrator.execution.scheduling.units import UnitStates, needs_of
from pytest_orchestrator.execution.scheduling.workers import Workers
from pytest_orchestrator.execution.step_values import gist
from pytest_orchestrator.execution.steps.services import Services
from pytest_orchestrator.recipe.expressions.expression import ExpressionError
from pytest_orchestrator.recipe.fields.resolve import for_reports
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import Step

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pytest_orchestrator.execution.instruments.bench import Bench
    from pytest_orchestrator.execution.instruments.use import RecipeInstruments
    from pytest_orchestrator.execution.locks.locks import LockWait
    from pytest_orchestrator.execution.scheduling.recipe_locks import RecipeLocks
    from pytest_orchestrator.execution.scheduling.sampling import Samplers
    from pytest_orchestrator.runs.resume.elements import KeptElements


T = TypeVar("T")

_is_checked = operator.attrgetter("reads_variables")


class RecipeRun:
    """Run of one recipe; each step runs once unless it is rerun.

    Args:
        recipe: The recipe.
        context: The Context of the run.
        attempt_defaults: The values that the contexts of all attempts share.
        slots: The worker slots of a run with a plan; the first is that of ``attempt_defaults``.
        variables: Returns additional environment variables for a step that a worker runs.
        new_layer: Returns the Context of a unit, above that of the recipe.

    Attributes:
        gate: The root keys that keep all steps from running, or end them in time.
        results: The results so far, by the name of the step.
        begun: True once any step has run: from then on the ``finally`` steps are due.
        has_pending_finally: True if steps ran in the earlier run that this one resumes, so that the
            ``finally`` steps are due before any step runs.
        kept_elements: The elements of steps with ``foreach`` that passed in the run that this one
            resumes, by the name of the step.
        needed: The runs of other recipes that must have passed before this run starts.
        stopper: The name of the step whose failure has stopped the recipe, or None.
        units: The state of the units; without effect in a recipe without units.
        aborted: Set when a sampled value has ended the running steps.
        workers: The workers, which run the steps of a plan before they are requested.
        unrequested: Names of the steps whose results `cancel` stored before they were requested.
    """

    def __init__(
        self,
        recipe: Recipe,
        context: Context,
        attempt_defaults: AttemptContext,
        *,
        slots: Sequence[Slot] = (),
        variables: Callable[[Step], dict[str, str]] = lambda _step: {},
        new_layer: Callable[[Context, str], Context] = lambda below, unit: below.layer(unit),
    ) -> None:
        self.recipe = recipe
        self.context = context
        self.services = Services(recipe)
        self.config = attempt_defaults.config
        self.callbacks = attempt_defaults.callbacks
        self.attempt_defaults = msgspec.structs.replace(attempt_defaults, recipe=str(recipe.path))
        if any(map(_is_checked, (*recipe.steps, *recipe.final))) or recipe.samplers:
            # Imported now, since a step may use up all file descriptors.
            from pytest_orchestrator.execution.scheduling import checking  # noqa: F401
        self.results: dict[str, StepResult] = {}
        self.scope = Scope(recipe, self.config, self.so_far)
        self.units = UnitStates(recipe, self.config, self.scope, context, new_layer)
        self.gate = RecipeGate(recipe, self.config, self.scope)
        self._locks: RecipeLocks | None = None
        self._locks_mutex = threading.Lock()
        self._has_locks = bool(recipe.locks) or any(
            template.path[0] == "locks" for template in recipe.templates
        )
        self._instruments: RecipeInstruments | None = None
        if self.config.bench is not None:
            self._join_bench(self.config.bench)
        self.aborted = InterruptibleEvent()
        self.samplers = self._new_samplers() if recipe.samplers else None
        self._slot = self.attempt_defaults.required_slot
        self._lease = SlotLease().take(self._slot)
        self.attempt_defaults = msgspec.structs.replace(self.attempt_defaults, slot=self._lease)
        self._here: Task | None = None
        self.stopper: str | None = None
        self.workers = Workers(self, slots, self.config.main_queue, variables)
        self.unrequested: list[str] = []
        self._sampled: list[StepResult] = []
        self.begun = False
        self.has_pending_finally = False
        self.kept_elements: dict[str, KeptElements] = {}
        self.needed: tuple[RecipeRun, ...] = ()
        self._reruns: dict[str, int] = {}
        self._reported: Recipe | None = None

    @property
    def locks(self) -> "RecipeLocks":
        """The locks of the recipe and of its steps, made at the first use; thread-safe."""
        with self._locks_mutex:
            if self._locks is None:
                from pytest_orchestrator.execution.scheduling.recipe_locks import RecipeLocks

                self._locks = RecipeLocks(
                    self.recipe,
                    self.config,
                    self.scope,
                    self._report_lock_wait,
                    self.callbacks.release_idle_instruments,
                    self._in_main_thread,
                )
            return self._locks

    def locks_of(
        self, step: Step, stop: threading.Event | None, on_wait: Callable[[], None]
    ) -> "AbstractContextManager[StepLocks | None]":
        """Hold the locks of a step while a ``with`` block runs; see `RecipeLocks.of`."""
        if self._has_locks or self.config.bench or step.locks or step.resources:
            return self.locks.of(step, stop, on_wait)
        return NO_LOCKS

    @property
    def reported(self) -> Recipe:
        """The recipe as reports show it; its vars are evaluated on first use.

        Do not read it during collection, because `run.port` creates a file in the run folder.
        """
        if self._reported is None:
            found = self.recipe
            with contextlib.suppress(ExpressionError):  # each step reports the error
                origins = {name: one.origin for name, one in self.config.var_values.items()}
                values, origins = self.scope.early()["vars"], origins | self.scope.named
                found = for_reports(found, values, self.scope.test_meta, origins)
            if self.scope.identified:
                from pytest_orchestrator.runs.operator.identity import identified

                meta = identified(found.test_meta, self.scope.identified)
                found = msgspec.structs.replace(found, test_meta=meta)
            self._reported = found
        return self._reported

    def identify(self, step: Step, values: Mapping[str, str]) -> None:
        """Set keys of the unit under test of which `step` asked; reports show them from then on."""
        self.scope.identify(step, values)
        self._reported = None

    def known(self, name: str) -> StepResult | None:
        """Return the result of a step, requested or not, or None if it has none yet."""
        return self.workers.result_of(name)

    def so_far(self, name: str) -> StepResult | None:
        """Return the result of a step; of a service that has died since it was ready, a failure."""
        result = self.known(name)
        return result and self.services.so_far(name, result)

    def blocker(self, step: Step, needs: Iterable[str] | None = None) -> str | None:
        """Return the name of the step or recipe that blocks a step, or None.

        If a need is itself blocked, return the need's blocker: so all dependants name the cause.

        Args:
            step: The step.
            needs: The needs that count; None counts all needs of the step.
        """
        if self._is_refused(step):  # the step is skipped
            return None
        if not self.begun and not step.is_final and (recipe := self._unmet_recipe()):
            return recipe
        if self.services.missing(step) and not self._is_stopped(step):  # the step runs and fails
            return None
        wanted = step.needs if needs is None else needs
        cause = needs_of(self.recipe, step, wanted).blocker(self.results.get, is_due=True)
        return cause or (self.stopper_of(step) if self._is_stopped(step) else None)

    def _unmet_recipe(self) -> str | None:
        """Return the key of a directly or indirectly needed recipe that has failed, or None."""
        for run in self.needed:
            # The needs of a recipe that is skipped as a whole do not count.
            cause = None if run.gate.is_closed else run._unmet_recipe()  # noqa: SLF001
            if cause or run.gate.lacks or run._has_failed():  # noqa: SLF001
                return cause or run.recipe.key
        return None

    def _has_failed(self) -> bool:
        """Return True if the recipe has not passed so far."""
        if self.samplers is not None and self.samplers.has_failed:
            return True
        steps = [*map(self.recipe.step, [*self.results])]
        outcome = RecipeOutcome(lambda: steps, self.so_far, self.is_expected, is_cut_off=False)
        return not outcome.passed()

    def result(
        self, step: Step, fixtures: Mapping[str, object] | None = None, *, again: bool = False
    ) -> StepResult:
        """Return the result of a step; run the step if it has none yet.

        Args:
            step: A step of this recipe.
            fixtures: Values for the step's fixtures, by name.
            again: Run the step even if it has a result (a rerun).
        """
        if step.name in self.results:
            if not again:
                return self.results[step.name]
            self._forget(step)
        refused = None if self._is_pending(step) else self.gate.result(step)
        if refused is not None:
            self._keep(step, refused)
        else:
            self._run(step, fixtures or {})
        return self.results[step.name]

    def skip_reason(self, step: Step) -> str | None:
        """Return the reason why a step without a result is skipped with its recipe, or None."""
        if step.name in self.results or self._is_pending(step):
            return None
        with contextlib.suppress(ExpressionError):  # the step will raise the error
            return self.gate.skip_reason()
        return None

    def _is_pending(self, step: Step) -> bool:
        """Return True for a finally step that is due although no step of this run has begun."""
        return step.is_final and self.has_pending_finally

    def _is_refused(self, step: Step) -> bool:
        return self.gate.is_closed and not self._is_pending(step)

    def settle(self) -> None:
        """Drop the plan and the tasks that have not begun, and wait for the running tasks."""
        try:
            self.workers.settle()
        except BaseException as error:
            self.cancel(cause_of(error))
            raise

    def cancel(self, cause: str) -> None:
        """End the workers' steps that run, and store the results of all steps that have begun.

        Args:
            cause: The cause of the cancellation, for the results.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed meanwhile, which cut the grace period short.
        """
        interrupt = self.workers.end_all(cause)
        for name, task in self.workers.tasks.items():
            if task.step.is_final and task.result is not None and task.result.is_cut_off:
                continue  # it runs again, with the other steps of `finally`
            if task.begun and task.result is not None and name not in self.results:
                self._keep(task.step, task.result)
                self.unrequested.append(name)
        if interrupt is not None:
            raise interrupt

    def finish(self) -> list[StepResult]:
        """Wait for running steps, end the services and release the locks.

        Returns:
            The results of the services, which are complete only now, and those of sampled values.
        """
        self.settle()
        try:
            self._end_sampling()
            if self._instruments is not None:
                self._instruments.over.set()
                self.callbacks.release_instruments()
            results = self.services.finish(self.results)
        finally:
            if self._locks is not None:
                self._locks.release()
            if self._instruments is not None:
                self._instruments.over.clear()
        for result in results:
            self._keep(self.recipe.step(result.step), result)
        sampled, self._sampled = self._sampled, []
        return [*results, *sampled]

    def _join_bench(self, bench: "Bench") -> None:
        """Give the steps access to the instruments of the station."""
        from pytest_orchestrator.execution.instruments.use import RecipeInstruments

        access = RecipeInstruments(bench, self.recipe.key, self.locks.lock_instrument)
        self._instruments = access
        self.attempt_defaults = msgspec.structs.replace(
            self.attempt_defaults, instruments=access, opener=access.opener
        )

    def _new_samplers(self) -> "Samplers":
        from pytest_orchestrator.execution.scheduling.sampling import Samplers, SamplingContext

        attempt, context = self.attempt_defaults, self.units.context_of
        around = SamplingContext(attempt, context, self.scope, self.abort)
        return Samplers(self.recipe, around)

    def abort(self, name: str, reason: str) -> None:
        """End all steps that run, and block the others except those of ``finally``. Thread-safe.

        Args:
            name: The name of the sampled value; one of a unit ends the steps of that unit alone.
            reason: The reason, for the results.
        """
        step, cause = self.recipe.step(name), f"{self.recipe.node(name)}: {reason}"
        with self.workers.lock:
            if step.unit:
                self.workers.stop_unit(step, cause)
                return
            self.stopper = self.stopper or name
            self.aborted.set()
            self.workers.stop(cause)
        cancel_all(lambda: [self._here] if self._here else [], time.sleep)

    def _end_sampling(self) -> None:
        """End the sampling, and store its results; the first ``finally`` step begins after that."""
        if self.samplers is None:
            return
        for result in self.samplers.finish():
            step = self.recipe.step(result.step)
            self.results[step.name] = self.kept(step, result)
            self._sampled.append(result)

    def trim_result(self, step: Step) -> None:
        """Reduce a step's stored result to the fields that other steps may use, to save memory.

        The result of a service stays whole, because it is completed when the service ends.
        """
        known = self.results.get(step.name)
        if known is not None and not step.background:
            self.results[step.name] = gist(known, self.scope.fields_read(step.name))
        if known is not None:
            self.workers.forget(step.name)

    def drop_values(self) -> None:
        """Drop the values and figures of all results after the end of the run, to save memory."""
        for name, known in self.results.items():
            self.results[name] = msgspec.structs.replace(gist(known), ended=None)

    def replay_late_events(self, name: str) -> None:
        """Replay each log record and warning that an ended service sent after it was ready."""
        for event in self.services.heard.pop(name, ()):
            self.callbacks.replay_event(event)

    def _keep(self, step: Step, result: StepResult) -> None:
        """Record and store the result of a step; notify listeners if the result is new."""
        if self.samplers is not None:
            self.samplers.end(step.name)
        known = self.results.get(step.name)
        result = self.results[step.name] = self.kept(step, result)
        if result != known:
            self.callbacks.notify(Finished(step, result))

    def kept(self, step: Step, result: StepResult) -> StepResult:
        """Record a result; return it, or a failed result if recording a success fails."""
        reruns = self._reruns.get(step.name, 0)
        if result.reruns != reruns:
            result = msgspec.structs.replace(result, reruns=reruns)
        try:
            self.callbacks.record(Finished(step, result))
        except JournalError as error:
            return self.refusal(step, error) if result.failure is None else result
        return result

    def _forget(self, step: Step) -> None:
        """Remove the result of a step that has ended, so that it can run again."""
        self.services.ended(step.name)
        if self.results.pop(step.name).failure is not None:
            self._reruns[step.name] = self._reruns.get(step.name, 0) + 1
        if self.stopper == step.name:
            self.stopper = None
        self.workers.forget(step.name)
        self.workers.go_on(step)

    def stopper_of(self, step: Step) -> str | None:
        """Return the name of the step whose failure has stopped the recipe or the unit, or None."""
        if step.is_final:
            return None
        stopper = self.stopper or self.units.stoppers.get(step.unit)
        return None if stopper == step.name else stopper

    def _is_stopped(self, step: Step) -> bool:
        return self.stopper_of(step) is not None and not self.workers.has_begun(step.name)

    def note_failure(self, step: Step, result: StepResult) -> None:
        """Stop the recipe if this failure is the first one that stops it.

        The caller holds the lock of the workers.
        """
        if self.samplers is not None:
            self.samplers.end(step.name)
        if self.stopper is not None or result.failure is None or step.is_final:
            return
        if result.failure.is_of_recipe:
            self.workers.clear()  # the steps that still run end by themselves, as `timeout`
        elif not self.recipe.stop_on_failure or result.meets or self.is_expected(step, result):
            return
        elif step.unit:
            self.workers.stop_unit(step, f"{self.recipe.node(step.name)} failed")
            return
        else:
            self.workers.stop(f"{self.recipe.id}::{step.name} failed")
        self.stopper = step.name

    def is_expected(self, step: Step, result: StepResult) -> bool:
        """Return True if the recipe expects the failure of a step."""
        return is_expected(step, result, self.config.xfail_exceptions)

    def _run(self, step: Step, fixtures: Mapping[str, object]) -> None:
        """Wait for a step's result; without a plan, or if it is final, run it in this thread."""
        if step.is_final:
            self.settle()
            if self._has_run_early(step):
                return
        if step.is_final or not self.workers.has_plan:
            self._run_here(step, fixtures)
            return
        task = None
        try:
            self.workers.check()
            task = self.workers.request(step)
            while task.result is None:
                self.workers.wait(task)
                stopper = self.stopper_of(step)
                if stopper is not None and not task.is_known:
                    self.block(step, stopper)
                    return
            self._keep(task.step, task.result)
        except BaseException as error:
            cause = cause_of(error)
            self.cancel(cause)
            if step.name not in self.results and not (task and task.is_held):
                task = task or self.new_task(step, self._lease)
                self._keep(step, task.retry_loop.interrupted(time.time(), cause))
            raise
        self._replay(task)

    def _replay(self, task: Task) -> None:
        while task.events:
            self.callbacks.replay_event(task.events.pop(0))

    def _has_run_early(self, step: Step) -> bool:
        """Take the result of a final step that ran when its unit had ended; False without one.

        A final step of a unit that did not begin is skipped.
        """
        task = self.workers.tasks.get(step.name)
        if task is not None and task.result is not None and not task.result.is_cut_off:
            self._keep(step, task.result)
            self._replay(task)
            return True
        if not step.unit or self._is_pending(step) or self.units.has_begun(step, self.results):
            return False
        reason = f"unit {step.unit} did not begin"
        self._keep(step, StepResult(step=step.name, outcome="skipped", reason=reason, meets=True))
        return True

    def _run_here(self, step: Step, fixtures: Mapping[str, object]) -> None:
        """Run a step in this thread and store its result, even if the run is interrupted."""
        if step.is_final:
            self._end_sampling()
        lease, stop = self._lease, None
        if self.samplers is not None and not step.is_final:
            # Of its own: `abort` in the thread of a sampled value must not end the next step.
            lease, stop = SlotLease().take(self._slot), self.aborted
        task = self.new_task(step, lease, fixtures)
        task.begun = begun = time.time()
        self._here = None if stop is None else task
        try:
            while task.result is None and not task.retry_loop.wait(stop):
                task.result = self.workers.attempt(task, stop)
            if stop is not None and stop.is_set() and task.is_held:
                self.block(step, self.stopper or "")
            elif stop is not None and stop.is_set():
                task.cut = True
                task.result = task.cut_off(self.workers.cause)
        except BaseException as end:
            if not task.is_held:
                task.result = task.interrupted(begun, cause_of(end))
            raise
        finally:
            self._here = None
            if stop is not None:
                lease.leave()
            if task.result is not None:
                with self.workers.lock:
                    self.note_failure(task.step, task.result)
                self._keep(task.step, task.result)

    def new_task(
        self,
        step: Step,
        lease: SlotLease,
        fixtures: Mapping[str, object] | None = None,
        **changes: Any,
    ) -> Task:
        """Return a new task: a step with the loop over its attempts, or over its elements.

        Args:
            step: The step.
            lease: The lease of the slot in which its attempts run.
            fixtures: Values for the step's fixtures, by name.
            changes: Values of `AttemptContext` that its attempts have instead of the defaults.
        """
        defaults, deadline = self.attempt_defaults, self.gate.deadline
        if deadline is not None and not step.is_final:
            changes["recipe_deadline"] = deadline
        if changes or lease is not defaults.slot:
            defaults = msgspec.structs.replace(defaults, slot=lease, **changes)
        arguments = (
            step,
            self.units.context_of(step),
            defaults,
            fixtures or {},
            self.scope,
            self.services,
        )
        if step.foreach is None:
            return Task(step, RetryLoop(*arguments), lease)
        from pytest_orchestrator.execution.scheduling.elements import ElementLoop

        kept = self.kept_elements.pop(step.name, None)
        return Task(step, ElementLoop(*arguments, kept), lease)

    def _in_main_thread(self, act: Callable[[T], None]) -> Callable[[T], None]:
        """Return a function that the main thread runs, unless it runs the steps itself."""
        return self.config.main_queue.in_main_thread(act) if self.workers.has_plan else act

    def _report_lock_wait(self, wait: "LockWait") -> None:
        self._in_main_thread(self.callbacks.on_lock_wait)(wait)

    def begin(self, step: Step | None = None) -> None:
        """Record that a step runs: from now on the ``finally`` steps are due."""
        logs = self.attempt_defaults.logs
        if not self.begun and logs is not None:
            logs.mkdir(parents=True, exist_ok=True)
        self.begun = True
        if self.samplers is not None and step is not None:
            self.samplers.begin(step.name)

    def refusal(self, step: Step, error: LockError | ExpressionError | JournalError) -> StepResult:
        """Return the result of a step whose locks or record fail."""
        return refused(self.recipe, step, error)

    def block(self, step: Step, blocker: str) -> StepResult:
        """Store and return the result of a blocked step."""
        result = blocked(self.recipe, step, blocker)
        self._keep(step, result)
        with self.workers.lock:
            self.workers.enqueue_dependants(step.name)
        return result

    def note(self, step: Step, outcome: str, reason: str) -> StepResult:
        """Store and return the result of a step that failed or was skipped in its setup."""
        result = StepResult(step=step.name, outcome="skipped", reason=reason)
        if outcome == "failed":
            result = failed(step, Failure(kind="exception", reason=reason))
        elif self._is_refused(step):
            result = self.gate.result(step) or result
        with self.workers.lock:
            self.note_failure(step, result)
            self.workers.leave_out(step.name)
        self._keep(step, result)
        with self.workers.lock:
            self.workers.enqueue_dependants(step.name)
        self.workers.check()
        return result
