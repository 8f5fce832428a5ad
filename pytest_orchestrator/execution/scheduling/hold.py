"""Hold before a step: a person at a prompt decides what becomes of it, and may try it again.

The hold is part of the task of the step, so it keeps the worker slot and delays what needs the
step. The locks of the recipe stay held, its sampled values are sampled, and its clock stands still.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from pytest_orchestrator.core.errors import JournalError
from pytest_orchestrator.core.result import ByHand, StepResult
from pytest_orchestrator.execution.interruptible import InterruptibleFuture
from pytest_orchestrator.execution.notifications import RetryScheduled
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import Step

if TYPE_CHECKING:
    from pytest_orchestrator.context.context import Context
    from pytest_orchestrator.execution.scheduling.tasks import Attempt, Task

_LOOK = 0.1
"""Seconds after which a thread that waits for a prompt looks whether its step is to end."""

_REMARKS: dict[ByHand, str] = {
    "skip": "skipped at a prompt",
    "set": "the Context was set at a prompt",
    "redo": "redone at a prompt",
}


class Decision(NamedTuple):
    """Decision of a person at the prompt of a held step.

    Attributes:
        do: ``continue`` and ``redo`` run the step, and after ``redo`` the run holds again if it
            fails; ``skip`` does not run it.
    """

    do: Literal["continue", "redo", "skip"]


class HeldStep:
    """A step before which the run holds, as the prompt knows it.

    Attributes:
        run: The `RecipeRun`.
        step: The step, before its expressions are evaluated.
        context: The Context that the step writes; changes through it count as changes of the step.
        is_over: Function that returns True once the hold is to end without a decision.
        failed: The result of the last try; None before the first one.
        acts: What the person did, in order.
    """

    def __init__(self, run: Any, step: Step, is_over: Callable[[], bool]) -> None:
        self.run, self.step, self.is_over = run, step, is_over
        by = run.scope.node(step)
        self.context: Context = run.units.context_of(step).bound("prompt", by=by)
        self.failed: StepResult | None = None
        self.acts: dict[ByHand, None] = {}

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
        self.run.identify({})  # reports show the recipe as it is now
        self.run.scope.read_again(recipe)
        self.step = recipe.step(self.step.name)

    def begun(self) -> list[Step]:
        """Return the other steps of the recipe that have begun or have a result."""
        run, own = self.run, self.step.name
        steps = (*run.recipe.steps, *run.recipe.final)
        ours = (one for one in steps if one.name != own)
        return [one for one in ours if run.known(one.name) or run.workers.has_begun(one.name)]


class Hold:
    """Hold before the step of one task, which ends when the person lets the step run or skips it.

    Args:
        run: The `RecipeRun`.
        task: The task.
        is_over: Function that returns True once the task is to end.
    """

    def __init__(self, run: Any, task: "Task", is_over: Callable[[], bool]) -> None:
        self._run, self._task = run, task
        self._held = HeldStep(run, task.step, is_over)
        self._is_due, self._tries = True, False
        self._before: dict[str, Any] = {}

    def attempt(self, run_attempt: "Attempt") -> StepResult | None:
        """Ask a person if that is due, and run the next attempt of the task.

        Args:
            run_attempt: Runs the next attempt, see `Workers.attempt`.

        Returns:
            The result of the step; None if another attempt follows, or the hold is over.
        """
        try:
            if self._is_due:
                self._task.is_held = not self._held.failed
                decision = self._ask()
                if decision is None:
                    return None
                self._task.is_held = self._is_due = False
                if decision.do == "skip":
                    return self._skipped()
                self._begin_try(decision)
            result = run_attempt()
            if result is not None and self._tries and result.outcome == "failed":
                self._undo(result)
                result = None
            return result and self._with_acts(result)
        except JournalError as error:
            refused: StepResult = self._run.refusal(self._task.step, error)
            return refused

    def _ask(self) -> Decision | None:
        """Return the decision of the person; None if the hold is over before."""
        run, held, decided = self._run, self._held, InterruptibleFuture()
        if run.samplers is not None:
            run.samplers.begin(held.step.name)

        def prompt(_: None) -> None:
            deadline = run.gate.deadline
            if deadline is not None:
                deadline.pause()
            try:
                decided.set_result(None if held.is_over() else run.callbacks.hold(held))
            finally:
                if deadline is not None:
                    deadline.go_on()

        run.config.main_queue.in_main_thread(prompt)(None)
        while not decided.wait(_LOOK):
            if held.is_over():
                return None
        decision: Decision | None = decided.result()
        return decision

    def _skipped(self) -> StepResult:
        self._held.acts["skip"] = None
        result = StepResult(step=self._task.step.name, outcome="skipped", meets=True)
        return self._with_acts(result)

    def _begin_try(self, decision: Decision) -> None:
        """Run the step as the recipe says it now; after ``redo`` until it does not fail."""
        self._task.step = self._held.step
        self._tries = decision.do == "redo"
        if self._tries:
            self._held.acts["redo"] = None
            self._before = self._held.context.to_dict()
        if self._tries or self._held.failed:
            self._task.retry_loop = self._task.retry_loop.renewed(self._task.step)

    def _undo(self, result: StepResult) -> None:
        """Undo what a failed try has changed, and hold again."""
        assert result.failure is not None  # noqa: S101  # it has failed
        self._run.services.ended(result.step)
        event = RetryScheduled(self._task.step, result.attempt, result.failure, 0.0)
        self._run.callbacks.record(event)
        own, before = self._held.context, self._before
        for key in {one.key: None for one in result.changes}:
            now = own.to_dict()
            if key not in before and key in now:
                own.delete(key, "redo")
            elif key in before and before[key] != now.get(key):
                own.set(key, before[key], "redo")
        self._held.failed, self._is_due = result, True

    def _with_acts(self, result: StepResult) -> StepResult:
        """Return a result that says what the person did."""
        acts = (*self._held.acts,)
        if not acts:
            return result
        reason = "; ".join(filter(None, (result.reason, *(_REMARKS[one] for one in acts))))
        return msgspec.structs.replace(result, by_hand=acts, reason=reason)
