"""Outcome of a recipe so far, for the functions and variables of expressions."""

from collections.abc import Callable, Iterable
from typing import Literal

from pytest_orchestrator.core.result import StepResult
from pytest_orchestrator.execution.outcome import Raised
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import FileUse, Step
from pytest_orchestrator.runs.verdicts import BAD, Outcome, is_good, of_steps

ResultOf = Callable[[str], StepResult | None]
"""Function that returns the result of the step with a name; None if it has no result yet."""


def is_expected(
    step: Step, result: StepResult, xfail_exceptions: tuple[type[BaseException], ...]
) -> bool:
    """Return True if the failure of a step is expected: by `xfail`, or declared by its step code.

    The end of a step by an interruption or by the `timeout` of its recipe is never expected.

    Args:
        step: The step.
        result: Its result.
        xfail_exceptions: Exceptions by which a Python step reports an expected failure.
    """
    if result.is_cut_off:
        return False
    raised = result.failure.exception if result.failure else None
    if isinstance(raised, Raised):
        return bool(step.xfail) or raised.is_expected
    return bool(step.xfail) or isinstance(raised, xfail_exceptions)


class RecipeOutcome:
    """Outcome of some steps of a recipe; each method is a function of expressions.

    Args:
        steps: The steps that count.
        result_of: Returns the result of a step of the recipe.
        is_expected: Returns True if the failure of a step is expected.
        is_cut_off: True if the session was interrupted while the recipe ran.
    """

    def __init__(
        self,
        steps: Callable[[], Iterable[Step]],
        result_of: ResultOf,
        is_expected: Callable[[Step, StepResult], bool],
        *,
        is_cut_off: bool,
    ) -> None:
        self._steps = steps
        self._result_of = result_of
        self._is_expected = is_expected
        self._is_cut_off = is_cut_off

    def failed(self) -> bool:
        """Return True if a step failed: unexpectedly, and not because it was interrupted."""
        return of_steps(self._outcomes()) in BAD

    def interrupted(self) -> bool:
        """Return True if a step or the session was interrupted."""
        return any(one.state == "interrupted" for one in self._outcomes())

    def passed(self) -> bool:
        """Return True if no step failed, was blocked by a failed one, or was interrupted."""
        word = of_steps(self._outcomes())
        return is_good(word) or word in ("skipped", "empty")

    @property
    def word(self) -> Literal["failed", "interrupted", "passed"]:
        """The outcome in one word, for `recipe.outcome`; a failure is stronger than the others."""
        if self.failed():
            return "failed"
        return "passed" if self.passed() else "interrupted"

    def _outcomes(self) -> list[Outcome]:
        found = [Outcome("", "interrupted")] if self._is_cut_off else []
        for step in self._steps():
            result = self._result_of(step.name)
            if result is None:
                continue
            kind = result.failure.kind if result.failure else ""
            state: str = "interrupted" if result.is_interrupted else result.outcome
            if state == "failed" and self._is_expected(step, result):
                state = "xfailed"
            by = result.blocked_by or ""
            found.append(Outcome(step.name, state, kind, by, by_hand=result.is_by_hand))
        return found


def is_within(step: Step, use: FileUse) -> bool:
    """Return True if a step comes from one use of a file, directly or through other files."""
    own = step.file_use
    while own is not None and own.name != use.name:
        own = own.outer
    return own is not None


def steps_before(recipe: Recipe, step: Step, use: FileUse | None = None) -> list[Step]:
    """Return the steps whose outcomes count for the expressions of a step.

    Args:
        recipe: The recipe.
        step: The step; for one of ``finally``, all steps before it count, else those that it waits
            for, directly or indirectly.
        use: The use of the file whose step it is: of a ``finally`` step only the steps of that
            use count. None for a step of the recipe itself.
    """
    if step.is_final:
        sampled = [one.step for one in recipe.samplers] if use is None else []
        steps = (*recipe.steps, *recipe.final)
        before = [one for one in steps if one.index < step.index]
        if step.unit:
            before = [one for one in before if one.unit in ("", step.unit)]
        return [one for one in before if use is None or is_within(one, use)] + sampled
    found: dict[str, Step] = {}
    queue = [*step.needs, *step.after]
    while queue:
        name = queue.pop()
        if name not in found:
            found[name] = recipe.step(name)
            queue += (*found[name].needs, *found[name].after)
    return list(found.values())
