"""Hold before a step: a person at a prompt decides what becomes of it, and may try it again.

The hold is part of the task of the step, so it keeps the worker slot and delays what needs the
step. The locks of the recipe stay held, its sampled values are sampled, and its clock stands still.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from pytest_orchestrator.core.errors import JournalError
from pytest_orchestrator.core.result import ByHand, StepResult
from pytest_orchestrator.execution.interruptible import InterruptibleFuture
from pytest_orchestrator.execution.notifications import RetryScheduled
from pytest_orchestrator.recipe.model.recipe import Recipe

if TYPE_CHECKING:
    from pytest_orchestrator.context.context import Context
    from pytest_orchestrator.execution.scheduling.tasks import Attempt, Task

Decision: TypeAlias = Literal["continue", "redo", "skip"]
"""Decision at a prompt: run the step; run it, and hold again if it fails; do not run it."""

_LOOK = 0.1
"""Seconds after which a thread that waits for a prompt looks whether its step is to end."""

_REMARKS: dict[ByHand, str] = {
    "skip": "skipped at a prompt",
    "set": "the Context was set at a prompt",
    "redo": "redone at a prompt",
}


class Hold:
    """Hold before the step of one task.

    Args:
        run: The `RecipeRun`.
        task: The task.
        is_over: Function that returns True once the hold is to end without a decision.

    Attributes:
        run: The `RecipeRun`.
        step: The step, before its expressions are evaluated.
        context: The Context that the step writes; changes through it count as those of the step.
        is_over: Function that returns True once the hold is to end without a decision.
        failed: The result of the last try; None before the first one has failed.
        acts: What the person did, in order.
    """

    def __init__(self, run: Any, task: "Task", is_over: Callable[[], bool]) -> None:
        self.run, self.step, self.is_over = run, task.step, is_over
        by = run.scope.node(task.step)
        self.context: Context = run.units.context_of(task.step).bound("prompt", by=by)
        self.failed: StepResult | None = None
        self.acts: dict[ByHand, None] = {}
        self._task, self._is_due, self._tries = task, True, False
        self._before: dict[str, Any] = {}

    def names(self) -> dict[str, Any]:
        """Return the variables of expressions, as the step reads them.

        Raises:
            ExpressionError: A var of the recipe has no value.
        """
        names: dict[str, Any] = self.run.scope.before(self.step, self.context, 1, {})
        return names

    def read_again(self, recipe: Recipe) -> None:
        """Use the recipe as it is now; its root keys and the steps that have begun are the same."""
        self.run.recipe = recipe
        self.run.identify(self.step, {})  # reports show the recipe as it is now
        self.run.scope.read_again(recipe)
        self.step = self._task.step = recipe.step(self.step.name)

    def attempt(self, run_attempt: "Attempt") -> StepResult | None:
        """Ask the person if that is due, and run the next attempt of the task.

        Args:
            run_attempt: Runs the next attempt, see `Workers.attempt`.

        Returns:
            The result of the step; None if another attempt follows, or the hold is over.
        """
        try:
            if self._is_due:
                self._task.is_held = not self.failed
                decision = self._ask()
                if decision is None:
                    return None
                self._task.is_held = self._is_due = False
                if decision == "skip":
                    self.acts["skip"] = None
                    skipped = StepResult(step=self.step.name, outcome="skipped", meets=True)
                    return self._with_acts(skipped)
                self._begin_try(decision)
            result = run_attempt()
            if result is not None and self._tries and result.outcome == "failed":
                self._undo(result)
                result = None
            return result and self._with_acts(result)
        except JournalError as error:
            refused: StepResult = self.run.refusal(self.step, error)
            return refused

    def _ask(self) -> Decision | None:
        """Return the decision of the person; None if the hold is over before."""
        run, decided = self.run, InterruptibleFuture()
        if run.samplers is not None:
            run.samplers.begin(self.step.name)

        def prompt(_: None) -> None:
            deadline = run.gate.deadline
            if deadline is not None:
                deadline.pause()
            try:
                if not (decided.done() or self.is_over()):
                    decided.set_result(run.callbacks.hold(self))
            finally:
                if deadline is not None:
                    deadline.go_on()

        run.config.main_queue.in_main_thread(prompt)(None)
        while not decided.wait(_LOOK):
            if self.is_over():
                decided.set_result(None)  # a prompt that still waits for its turn is not shown
        decision: Decision | None = decided.result()
        return decision

    def _begin_try(self, decision: Decision) -> None:
        """Prepare the next try, which is the last one after ``continue``."""
        self._tries = decision == "redo"
        if self._tries:
            self.acts["redo"] = None
            self._before = self.context.to_dict()
        if self._tries or self.failed:
            self._task.retry_loop = self._task.retry_loop.renewed(self.step)

    def _undo(self, result: StepResult) -> None:
        """Undo what a failed try has changed in the Context, and hold again."""
        assert result.failure is not None  # noqa: S101  # it has failed
        self.run.services.ended(result.step)
        event = RetryScheduled(self.step, result.attempt, result.failure, 0.0)
        self.run.callbacks.record(event)
        now, before = self.context.to_dict(), self._before
        for key in {one.key for one in result.changes}:
            if key not in before and key in now:
                self.context.delete(key, "redo")
            elif key in before and before[key] != now.get(key):
                self.context.set(key, before[key], "redo")
        self.failed, self._is_due = result, True

    def _with_acts(self, result: StepResult) -> StepResult:
        """Return a result that says what the person did."""
        if not self.acts:
            return result
        acts = (*self.acts,)
        reason = "; ".join(filter(None, (result.reason, *(_REMARKS[one] for one in acts))))
        return msgspec.structs.replace(result, by_hand=acts, reason=reason)
