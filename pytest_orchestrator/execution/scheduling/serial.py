"""Sequential run of a recipe: the results of its steps, and the steps that block others."""

import contextlib
import operator
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.errors import JournalError, LockError
from pytest_orchestrator.core.result import Failure, StepResult
from pytest_orchestrator.execution.attempt_context import NO_LOCKS, AttemptContext, StepLocks
from pytest_orchestrator.execution.expression_scope import Scope
from pytest_orchestrator.execution.interruptible import InterruptibleEvent
from pytest_orchestrator.execution.notifications import Finished
from pytest_orchestrator.execution.recipe_outcome import RecipeOutcome, is_expected
from pytest_orchestrator.execution.scheduling.failures import failed, invalid, resource_failure
from pytest_orchestrator.execution.scheduling.gate import RecipeGate
from pytest_orchestrator.execution.scheduling.retry import RetryLoop
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


_is_checked = operator.attrgetter("reads_variables")
_PATIENCE = 4.0  # seconds; a lane that responds ends its program within two


class RecipeRun:
    """Run of one recipe; each step runs in the calling thread, once unless the step is rerun.

    Attributes:
        recipe: The recipe, as it was loaded.
        context: The Context of the run.
        config: The settings of the run.
        callbacks: The callbacks to the test runner.
        attempt_defaults: The values that the contexts of all attempts share.
        gate: The root keys that keep all steps from running, or end them in time.
        services: The services of the recipe.
        results: The results so far, by the name of the step.
        scope: The variables of expressions.
        begun: True once any step has run: from then on the ``finally`` steps are due.
        has_pending_finally: True if steps ran in the earlier run that this one resumes, so that the
            ``finally`` steps are due before any step runs.
        kept_elements: The elements of steps with ``foreach`` that passed in the run that this one
            resumes, by the name of the step.
        needed: The runs of other recipes that must have passed before this run starts.
        stopper: The name of the step whose failure has stopped the recipe, or None.
        aborted: Set when a sampled value has ended the running steps.
        samplers: The sampled values; None if the recipe has none.
    """

    def __init__(
        self,
        recipe: Recipe,
        context: Context,
        attempt_defaults: AttemptContext,
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
        self._abort_reason = ""
        self._current: RetryLoop | None = None
        self._ending = threading.Lock()
        self.samplers = self._new_samplers() if recipe.samplers else None
        self._sampled: list[StepResult] = []
        self.begun = False
        self.has_pending_finally = False
        self.kept_elements: dict[str, KeptElements] = {}
        self.needed: tuple[RecipeRun, ...] = ()
        self.stopper: str | None = None
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
                    self._release_idle,
                )
            return self._locks

    def _locks_of(
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
                values = self.scope.early()["vars"]
                found = for_reports(found, values, self.scope.test_meta, origins)
            self._reported = found
        return self._reported

    def known(self, name: str) -> StepResult | None:
        """Return the result of a step, or None if it has none yet."""
        return self.results.get(name)

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
        for need in step.needs if needs is None else needs:
            result = self.results.get(need)
            if result is None:
                return need
            if not result.meets:
                return result.blocked_by or need
        return self.stopper if self._is_stopped(step) else None

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
        outcome = RecipeOutcome(lambda: steps, self.so_far, self._is_expected, is_cut_off=False)
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

    def start_early(self) -> None:
        """Start the lanes of the first steps in advance; do nothing in a sequential run."""

    def finish(self) -> list[StepResult]:
        """End the services and release the locks, after the last step of the run.

        Returns:
            The results of the services, which are complete only now, and those of sampled values.
        """
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

        around = SamplingContext(
            self.attempt_defaults, self.context, self.scope, self._note_violation
        )
        return Samplers(self.recipe, around)

    def _note_violation(self, name: str, reason: str, abort: bool) -> None:
        """Abort the recipe at a violation of a limit, if the sampled value says so."""
        if abort:
            self.abort(name, reason)

    def abort(self, name: str, reason: str) -> None:
        """End the step that runs, and block the others except those of ``finally``. Thread-safe.

        Args:
            name: The name of the sampled value that ends them.
            reason: The reason, for the results.
        """
        self.stopper = self.stopper or name
        self._abort_reason = f"{self.recipe.node(name)}: {reason}"
        self.aborted.set()
        begun, pause = time.monotonic(), 0.01
        while self._end_current(late=time.monotonic() - begun > _PATIENCE):
            time.sleep(pause)
            pause = min(2 * pause, 0.2)

    def _end_current(self, *, late: bool) -> bool:
        """End the programs of the step that runs; return False if none runs any more."""
        with self._ending:
            if self._current is not None:
                self.attempt_defaults.required_slot.end_programs(late=late)
            return self._current is not None

    def _end_sampling(self) -> None:
        """End the sampling, and store its results; the first ``finally`` step begins after that."""
        if self.samplers is None:
            return
        for result in self.samplers.finish():
            step = self.recipe.step(result.step)
            self.results[step.name] = self._kept(step, result)
            self._sampled.append(result)

    def trim_result(self, step: Step) -> None:
        """Reduce a step's stored result to the fields that other steps may use, to save memory.

        The result of a service stays whole, because it is completed when the service ends.
        """
        known = self.results.get(step.name)
        if known is not None and not step.background:
            self.results[step.name] = gist(known, self.scope.fields_read(step.name))

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
        result = self.results[step.name] = self._kept(step, result)
        if result != known:
            self.callbacks.notify(Finished(step, result))

    def _kept(self, step: Step, result: StepResult) -> StepResult:
        """Record a result; return it, or a failed result if recording a success fails."""
        reruns = self._reruns.get(step.name, 0)
        if result.reruns != reruns:
            result = msgspec.structs.replace(result, reruns=reruns)
        try:
            self.callbacks.record(Finished(step, result))
        except JournalError as error:
            return self._unlocked(step, error) if result.failure is None else result
        return result

    def _forget(self, step: Step) -> None:
        """Remove the result of a step that has ended, so that it can run again."""
        self.services.ended(step.name)
        if self.results.pop(step.name).failure is not None:
            self._reruns[step.name] = self._reruns.get(step.name, 0) + 1
        if self.stopper == step.name:
            self.stopper = None

    def _is_stopped(self, step: Step) -> bool:
        return self.stopper not in (None, step.name) and not step.is_final

    def _note_failure(self, step: Step, result: StepResult) -> bool:
        """Set `stopper` and return True if this failure is the first one that stops the recipe."""
        if self.samplers is not None:
            self.samplers.end(step.name)
        if self.stopper is not None or result.failure is None or step.is_final:
            return False
        stops = self.recipe.stop_on_failure and not result.meets
        if not self._is_overdue(result) and (not stops or self._is_expected(step, result)):
            return False
        self.stopper = step.name
        return True

    def _is_overdue(self, result: StepResult) -> bool:
        """Return True if a step ended with the time of the recipe, so that no other may run."""
        return result.failure is not None and result.failure.is_of_recipe

    def _is_expected(self, step: Step, result: StepResult) -> bool:
        return is_expected(step, result, self.config.xfail_exceptions)

    def _run(self, step: Step, fixtures: Mapping[str, object]) -> None:
        """Run a step to its end and store its result, even if the run is interrupted."""
        if step.is_final:
            self._end_sampling()
        retry_loop, started = self._retry_loop(step, fixtures), time.time()
        result: StepResult | None = None
        stop = None if step.is_final or self.samplers is None else self.aborted
        self._current = None if stop is None else retry_loop
        try:
            while result is None:
                if stop is None:
                    retry_loop.wait()
                elif stop.wait(retry_loop.delay):
                    result = retry_loop.interrupted(started, self._abort_reason)
                    break
                result = self._run_attempt(retry_loop, stop)
                if stop is not None and stop.is_set():
                    result = self._cut_off(retry_loop, result, started)
        except BaseException as end:
            result = retry_loop.interrupted(started, cause_of(end))
            result = msgspec.structs.replace(result, waited=retry_loop.waited)
            raise
        finally:
            if stop is not None:
                with self._ending:
                    self._current = None
                    self.attempt_defaults.required_slot.renew()
            if result is not None:
                self._note_failure(step, result)
                self._keep(step, result)

    def _cut_off(
        self, retry_loop: RetryLoop, result: StepResult | None, started: float
    ) -> StepResult:
        """Return the result of a step that was running when the recipe was aborted."""
        if result is None:
            return retry_loop.interrupted(started, self._abort_reason)
        failure = result.failure
        if failure is None or failure.kind not in ("interrupted", "crash"):
            return result
        reason = f"interrupted after {time.time() - started:.1f} s: {self._abort_reason}"
        failure = Failure(kind="interrupted", reason=reason)
        return msgspec.structs.replace(result, failure=failure)

    def _run_attempt(
        self,
        retry_loop: RetryLoop,
        stop: threading.Event | None = None,
        on_wait: Callable[[], None] = lambda: None,
        starts: Callable[[], bool] = lambda: True,
    ) -> StepResult | None:
        """Run the next attempt of a step while its locks are held.

        Args:
            retry_loop: The attempts of the step.
            stop: Ends the wait for locks when it is set; None waits as long as necessary.
            on_wait: Called at each report of a wait for a lock.
            starts: Called with the locks held; the attempt runs only if `starts` returns True.

        Returns:
            The result of the step; None if another attempt follows, or if this one did not run.
        """
        deadline = retry_loop.deadline
        until = stop
        if deadline is not None:
            from pytest_orchestrator.execution.recipe_deadline import StopAtDeadline

            until = StopAtDeadline(stop, deadline)
        try:
            result = retry_loop.overdue()
            if result is None and retry_loop.number == 1:
                result = retry_loop.prepare()
            if result is not None:
                return result
            with self._locks_of(retry_loop.step, until, on_wait) as held:
                retry_loop.waited += held.waited if held else 0.0
                if held is None and not (stop and stop.is_set()):
                    return retry_loop.overdue("it waited for its locks")
                if held is None or not starts():
                    return None
                self._begin()
                if self.samplers is not None:
                    self.samplers.begin(retry_loop.step.name)
                result = retry_loop.run(held.files)
        except (LockError, ExpressionError, JournalError) as error:
            result = self._unlocked(retry_loop.step, error)
        except (OSError, RuntimeError) as error:
            lack = resource_failure(error)
            if lack is None:
                raise
            result = failed(retry_loop.step, lack)
        return result and msgspec.structs.replace(result, waited=retry_loop.waited)

    def _retry_loop(
        self,
        step: Step,
        fixtures: Mapping[str, object],
        attempt_defaults: AttemptContext | None = None,
    ) -> RetryLoop:
        """Return the loop of a step: over its attempts, or with ``foreach`` over its elements."""
        attempt_defaults = attempt_defaults or self._attempt_defaults_of(step)
        arguments = (step, self.context, attempt_defaults, fixtures, self.scope, self.services)
        if step.foreach is None:
            return RetryLoop(*arguments)
        from pytest_orchestrator.execution.scheduling.elements import ElementLoop

        return ElementLoop(*arguments, self.kept_elements.pop(step.name, None))

    def _attempt_defaults_of(self, step: Step) -> AttemptContext:
        """Return the values that the contexts of all attempts of a step share."""
        deadline, defaults = self.gate.deadline, self.attempt_defaults
        if deadline is None or step.is_final:
            return defaults
        return msgspec.structs.replace(defaults, recipe_deadline=deadline)

    def _report_lock_wait(self, wait: "LockWait") -> None:
        self.callbacks.on_lock_wait(wait)

    def _release_idle(self) -> None:
        self.callbacks.release_idle_instruments()

    def _begin(self) -> None:
        """Record that a step runs: from now on the ``finally`` steps are due."""
        logs = self.attempt_defaults.logs
        if not self.begun and logs is not None:
            logs.mkdir(parents=True, exist_ok=True)
        self.begun = True

    def _unlocked(
        self, step: Step, error: LockError | ExpressionError | JournalError
    ) -> StepResult:
        if isinstance(error, ExpressionError):
            return failed(step, invalid(error))
        place = None
        if isinstance(error, LockError):
            place = step.at.get("locks") or self.recipe.at.get("locks")
        return failed(step, Failure(kind="exception", reason=str(error), place=place))

    def block(self, step: Step, blocker: str) -> StepResult:
        """Store and return the result of a blocked step."""
        samplers = (one.step for one in self.recipe.samplers)
        steps = (*self.recipe.steps, *self.recipe.final, *samplers)
        is_recipe = blocker not in (other.name for other in steps)
        result = StepResult(
            step=step.name,
            outcome="blocked",
            reason=f"blocked by {blocker if is_recipe else self.recipe.node(blocker)}",
            blocked_by=blocker,
        )
        self._keep(step, result)
        return result

    def note(self, step: Step, outcome: str, reason: str) -> StepResult:
        """Store and return the result of a step that failed or was skipped in its setup."""
        result = StepResult(step=step.name, outcome="skipped", reason=reason)
        if outcome == "failed":
            result = failed(step, Failure(kind="exception", reason=reason))
        elif self._is_refused(step):
            result = self.gate.result(step) or result
        self._note_failure(step, result)
        self._keep(step, result)
        return result


def cause_of(end: BaseException) -> str:
    """Describe the exception that ended a run in a few words, such as ``Ctrl-C``."""
    return str(end) or ("Ctrl-C" if isinstance(end, KeyboardInterrupt) else type(end).__name__)
