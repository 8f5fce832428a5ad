"""Retry loop of one step; the caller waits between attempts.

Between two attempts the loop holds no lane, no lock and no thread.
"""

import contextlib
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.files import step_file_name
from pytest_orchestrator.core.result import Attempt, Ended, Failure, Process, StepResult, lasted
from pytest_orchestrator.core.text import MAX_CAUSE, clipped
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.execution.expression_scope import Scope, after
from pytest_orchestrator.execution.lanes.messages import output_so_far, stream
from pytest_orchestrator.execution.notifications import (
    AttemptStarted,
    Listener,
    RetryScheduled,
    Started,
)
from pytest_orchestrator.execution.scheduling.attempt import StepContext, execute
from pytest_orchestrator.execution.scheduling.failures import failed, invalid
from pytest_orchestrator.execution.steps import artifacts
from pytest_orchestrator.execution.steps.artifacts import mask_logs
from pytest_orchestrator.execution.steps.dispatch import expression_limit, process_of
from pytest_orchestrator.execution.steps.services import Services
from pytest_orchestrator.recipe.expressions.expression import ExpressionError
from pytest_orchestrator.recipe.fields.extensions import CustomStep
from pytest_orchestrator.recipe.fields.resolve import evaluate_step
from pytest_orchestrator.recipe.model.options import Retry
from pytest_orchestrator.recipe.model.step import Step

_ONCE = Retry(attempts=1)
_NO_EXPRESSIONS = contextlib.nullcontext()
"""Context manager that sets no limit, for a step without expressions."""


class RetryLoop:
    """Loop that repeats a step until an attempt does not fail, or no attempt may follow.

    Args:
        step: The step.
        context: The Context of the recipe.
        attempt_defaults: The values that the contexts of all attempts share.
        fixtures: Values for the step's fixtures, by name.
        scope: The variables of expressions in this run of the recipe.
        services: The services of the recipe.

    Attributes:
        step: The step with the values of its expressions, once it is prepared.
        number: The number of the next or the running attempt, from 1.
        not_before: The time of ``time.monotonic`` before which the next attempt must not start.
        waited: Seconds that the step waited for its locks and those of its recipe.
        result: The result of the step; None as long as another attempt follows.
        deadline: The deadline of the recipe; None if it has none.
    """

    def __init__(
        self,
        step: Step,
        context: Context,
        attempt_defaults: AttemptContext,
        fixtures: Mapping[str, object],
        scope: Scope,
        services: Services,
    ) -> None:
        self._made_with = (context, attempt_defaults, fixtures, scope, services)
        self.number = 1
        self.not_before = 0.0
        self.waited = 0.0
        self.result: StepResult | None = None
        self.step = self._written = step
        self._own = self._step_context(context, attempt_defaults.callbacks.notify, scope.node(step))
        self._scope = scope
        self._names: dict[str, Any] = {}
        if step.cell is not None and attempt_defaults.artifacts is not None:
            # The cells of a step usually write files of the same name.
            folder = attempt_defaults.artifacts / step_file_name(step.name)
            attempt_defaults = msgspec.structs.replace(attempt_defaults, artifacts=folder)
        self._attempt_defaults = attempt_defaults
        self._callbacks = attempt_defaults.callbacks
        self._services = services
        self._fixtures = fixtures
        self._plan = step.retry or _ONCE
        self.deadline = attempt_defaults.recipe_deadline
        self._failed: list[Attempt] = []
        self._interrupted_in: AttemptContext | None = None

    def _step_context(self, context: Context, notify: Listener, by: str) -> StepContext:
        """Return the step's own handle to the Context; see `StepContext` for the arguments."""
        return StepContext(self._written, context, notify, by)

    def renewed(self, step: Step) -> "RetryLoop":
        """Return a new loop of the same kind; the step may have been read again."""
        return type(self)(step, *self._made_with)

    def prepare(self) -> StepResult | None:
        """Evaluate `if` and the expressions that the next attempt needs.

        Returns:
            The result if the step must not run (skipped or failed); None if the attempt can run.
        """
        # The first step evaluates the vars of the recipe; an error in them fails each step.
        if self._scope.is_evaluated and not self._written.reads_variables:
            return None
        try:
            attempt, step = self._attempt_defaults, self._written
            with expression_limit(step, attempt, attempt.seconds_for(step.timeout)):
                return self._prepared()
        except ExpressionError as error:
            result = failed(self._written, invalid(error))
            result = msgspec.structs.replace(result, missed=self._own.missed)
            self.result = self._last(result)
            return self.result

    def _prepared(self) -> StepResult | None:
        """Evaluate `if` and the step's expressions; return the result if the step is skipped.

        Raises:
            ExpressionError: An expression cannot be evaluated.
        """
        step = self._written
        false = self._scope.skipped(step, self._own.context) if self.number == 1 else None
        if false is None:
            own, number = self._own.context, self.number
            self._names = self._scope.before(step, own, number, self._fixtures)
            if step.if_ is not None and number == 1 and not step.if_.holds(self._names):
                false = step.if_.text
        if false is not None:
            self.result = StepResult(
                step=step.name, outcome="skipped", reason=f"if: {false}", meets=True
            )
            return self.result
        self.step = self._scope.locked(self._evaluated())
        return None

    def _evaluated(self) -> Step:
        """Return the step with the values of the expressions that are due before the step code.

        Raises:
            ExpressionError: An expression cannot be evaluated.
        """
        step, recipe = evaluate_step(self._written, self._names), self._attempt_defaults.recipe
        if not isinstance(step, CustomStep):
            return step
        from pytest_orchestrator.recipe.fields import type_hooks

        secrets = type_hooks.call("secrets", step, recipe)
        if secrets:
            self._attempt_defaults.config.secrets.add(secrets)
        is_replayed = self._attempt_defaults.config.replays(step)
        return step if is_replayed else type_hooks.with_locks(step, recipe)

    def run(self, locks: tuple[int, ...] = ()) -> StepResult | None:
        """Run one attempt of the step.

        Args:
            locks: The descriptors of the step's lock files.

        Returns:
            The result of the step; None if another attempt follows, at `not_before`.
        """
        attempt = msgspec.structs.replace(
            self._attempt_defaults, number=self.number, lock_files=locks
        ).of_step(self.step.name)
        if self.number > 1 and self.prepare() is not None:
            return self.result
        if self.deadline is not None:
            self.step = self.deadline.limited(self.step, attempt.config)
        self._callbacks.record(AttemptStarted(self.step, self.number, attempt.element))
        if self.number == 1 and attempt.element is None:
            self._callbacks.notify(Started(self.step))
        secrets = attempt.config.secrets.forms
        try:
            return self._tried(attempt)
        finally:
            if attempt.config.secrets.forms is not secrets and not self.step.background:
                mask_logs(self.step, attempt)  # nothing reads the unmasked output any more

    def _tried(self, attempt: AttemptContext) -> StepResult | None:
        self._own.begin()
        try:
            tried = execute(
                self.step, self._own, attempt, self._fixtures, self._names, self._services
            )
            seconds = attempt.seconds_for(self.step.timeout)
            reads = self.step.reads_variables
            with expression_limit(self.step, attempt, seconds) if reads else _NO_EXPRESSIONS:
                tried = self._judged(tried)
                if self.deadline is not None:
                    tried = self.deadline.judged(tried)
                return self._kept(tried)
        except BaseException:
            self._interrupted_in = None if self._own.site is None else attempt
            raise
        finally:
            if self._own.site is not None:
                self._own.site.close()

    def _kept(self, tried: StepResult) -> StepResult | None:
        """Store an attempt; return the step's result if no attempt follows, else None."""
        if tried.failure is not None and self.step.background:
            ended = self._services.ended(self.step.name) or tried.ended
            tried = msgspec.structs.replace(tried, ended=ended)
        is_last, tried = self._decided(tried)
        if is_last or tried.failure is None or tried.ended is None:
            self._own.settle(is_last=True)
            tried = msgspec.structs.replace(
                tried, changes=tuple(self._own.changes), stopped=time.time()
            )
            self.result = self._last(self._with_artifacts(tried))
            return self.result
        self._own.settle(is_last=False)
        self._failed.append(
            Attempt(
                number=self.number,
                failure=msgspec.structs.replace(tried.failure, exception=None),
                ended=_essential(tried.ended),
                started=tried.started,
                stopped=time.time(),
            )
        )
        pause = self._plan.pause(self.number)
        element = self._attempt_defaults.element
        self._callbacks.record(
            RetryScheduled(self.step, self.number, tried.failure, pause, element)
        )
        self.not_before = time.monotonic() + pause
        self.number += 1
        return None

    def _known(self, tried: StepResult) -> dict[str, Any]:
        """Return the variables of `until` and `abort_if`; empty if no step code has run."""
        kind = tried.failure.kind if tried.failure else None
        return {**self._after(tried.ended, self._own.view), "kind": kind} if tried.ended else {}

    def _after(self, ended: Ended, view: Context) -> dict[str, Any]:
        return after(self._names, ended, view, self._attempt_defaults.config.max_result)

    def _judged(self, tried: StepResult) -> StepResult:
        """Return the result of an attempt, turned into a failure if `until` does not hold."""
        until = self._plan.until
        if until is None or tried.failure is not None or tried.outcome != "passed":
            return tried
        from pytest_orchestrator.execution.criteria import simple

        try:
            unmet = simple.unmet(until, self._known(tried), self._own.view)
        except ExpressionError as error:
            failure = invalid(error)
        else:
            if unmet is None:
                return tried
            failure = Failure(kind="criterion", reason=f"until: {unmet}", place=until.place)
        return msgspec.structs.replace(
            tried,
            outcome="failed",
            failure=failure,
            meets=self.step.continue_on_error,
            missed=self._own.missed,
        )

    def _decided(self, tried: StepResult) -> tuple[bool, StepResult]:
        """Return two values: True if this attempt is the last, and the result to store for it.

        If `abort_if` cannot be evaluated, the step fails as `validation`: another attempt would not
        correct the recipe. The failure of the attempt itself is kept as a detail.
        """
        failure, abort = tried.failure, self._plan.abort_if
        if failure is None or tried.ended is None or self.number >= self._plan.attempts:
            return True, tried
        if failure.kind == "timeout" and self.deadline is not None and self.deadline.is_over:
            return True, tried
        if abort is None:
            return False, tried
        try:
            return abort.holds(self._known(tried)), tried
        except ExpressionError as error:
            own = f"the attempt itself failed ({failure.kind}): {failure.reason}"
            unasked = msgspec.structs.replace(invalid(error), detail=(own, *failure.detail))
            missed = self._own.missed
            return True, msgspec.structs.replace(tried, failure=unasked, missed=missed)

    @property
    def delay(self) -> float:
        """Seconds until the next attempt may start, or until the deadline of the recipe."""
        seconds = max(0.0, self.not_before - time.monotonic())
        return seconds if self.deadline is None else min(seconds, self.deadline.left)

    def wait(self, stop: threading.Event | None = None) -> bool:
        """Wait until the next attempt may start; return True if ``stop`` is set before.

        Ctrl-C interrupts the wait.
        """
        if stop is not None:
            return stop.wait(self.delay)
        if delay := self.delay:
            time.sleep(delay)
        return False

    def overdue(self, state: str = "") -> StepResult | None:
        """Return the result if the deadline of the recipe has passed before the next attempt.

        Args:
            state: The state of the step, such as ``it waited for its locks``; empty if it waited
                for its turn.

        Returns:
            The result; None if an attempt may still start.
        """
        if self.deadline is None or not self.deadline.is_over:
            return None
        begun = f"attempt {self.number}" if self.number > 1 else "this step"
        failure = self.deadline.failure(state or f"{begun} had not begun")
        self.result = self._last(failed(self._written, failure))
        return self.result

    def interrupted(self, started: float, reason: str) -> StepResult:
        """Return the result of a step that was interrupted, in an attempt or between two.

        Args:
            started: The start of the step, in seconds since the epoch.
            reason: The cause of the interruption.
        """
        stopped, process, log, attempt = time.time(), None, None, self._interrupted_in
        if attempt is not None and self._own.site is not None:
            started, process = self._own.site.started, _process_so_far(self.step, attempt)
            log = attempt.records_so_far(self.step.name)
        seconds = max(0.0, stopped - started)
        cause = f"interrupted after {seconds:.1f} s: {clipped(reason, MAX_CAUSE)}"
        failure = Failure(kind="interrupted", reason=cause)
        ended = Ended(usage=lasted(seconds), process=process, log=log)
        cut_off = msgspec.structs.replace(
            failed(self.step, failure, ended, started),
            changes=tuple(self._own.changes),
            stopped=stopped,
        )
        with contextlib.suppress(KeyboardInterrupt):  # a second Ctrl-C
            cut_off = self._with_artifacts(cut_off)
        return self._last(cut_off)

    def cut_off(self, result: StepResult, started: float, reason: str) -> StepResult:
        """Return the result of a step whose program was ended from outside, as interrupted.

        Args:
            result: The result that the end of the program gave.
            started: The start of the step, in seconds since the epoch.
            reason: The cause of the interruption.
        """
        cause = f"interrupted after {time.time() - started:.1f} s: {reason}"
        failure = Failure(kind="interrupted", reason=cause)
        return msgspec.structs.replace(result, failure=failure)

    def _last(self, tried: StepResult) -> StepResult:
        """Return the result of the last attempt, with the earlier failed attempts added."""
        if not self._failed:
            return tried
        if tried.failure is not None and tried.failure.exception is not None:
            tried.failure.exception.add_note(f"attempt {self.number} of {self._plan.attempts}")
        return msgspec.structs.replace(
            tried,
            attempt=self.number,
            attempts=tuple(self._failed),
        )

    def _with_artifacts(self, tried: StepResult) -> StepResult:
        """Return a result with artifacts; those of a running service are copied when it ends."""
        if self._services.at_end(self.step.name, self._complete):
            return tried
        return self._complete(tried)

    def _complete(self, tried: StepResult) -> StepResult:
        """Return a result with the artifacts and all changes of a step that has ended."""
        if tried.ended is None:
            return tried
        ended, context = tried.ended, self._own.context
        collect = artifacts.collected if self._own.site is None else self._own.site.collect
        kept = artifacts.copy_artifacts(
            self.step, self._attempt_defaults, lambda: self._after(ended, context), collect
        )
        if kept is artifacts.NOTHING:
            changes = tuple(self._own.changes)
            return msgspec.structs.replace(tried, changes=changes) if changes else tried
        return msgspec.structs.replace(
            tried,
            changes=tuple(self._own.changes),
            artifacts=kept.artifacts,
            warnings=kept.warnings,
        )


def _process_so_far(step: Step, attempt: AttemptContext) -> Process | None:
    """Return the process of an interrupted attempt with its logged output; None without output.

    Args:
        step: The step, with the values of its expressions.
        attempt: The context of the attempt.
    """
    logs = [attempt.log(step.name, name) for name in ("stdout", "stderr")]
    streams = [stream(output_so_far(Path(log))) for log in logs if log is not None]
    if not any(one.size for one in streams):
        return None
    out, err = streams
    shown = attempt.live is not None
    return msgspec.structs.replace(process_of(step, attempt), stdout=out, stderr=err, shown=shown)


def _essential(ended: Ended) -> Ended:
    """Return a copy of an `Ended` without the output, which the logs of the attempt contain."""
    process = ended.process
    if process is not None:
        process = msgspec.structs.replace(
            process,
            stdout=msgspec.structs.replace(process.stdout, text="", replaced=()),
            stderr=msgspec.structs.replace(process.stderr, text="", replaced=()),
        )
    return msgspec.structs.replace(ended, process=process, value=None, verdicts=())
