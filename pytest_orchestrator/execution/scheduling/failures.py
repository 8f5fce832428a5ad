"""Failures of steps that the scheduler itself finds, and the findings of an attempt."""

import errno

import msgspec

from pytest_orchestrator.core.errors import JournalError, LockError
from pytest_orchestrator.core.result import Ended, Failure, Measurement, StepResult, Verdict
from pytest_orchestrator.recipe.expressions.expression import (
    ExpressionError,
    TimeoutExpressionError,
)
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import Step

_NO_THREAD = "can't start new thread"
_LACKING = {
    errno.EMFILE: "pytest has all files open that `ulimit -n` allows",
    errno.ENFILE: "the machine has no room for one more open file",
    errno.EAGAIN: "the user has all processes and threads that `ulimit -u` allows",
    errno.ENOMEM: "the machine has no memory left",
}


class StepFindings(msgspec.Struct, frozen=True):
    """Failure, verdicts and measurements that the checks of one attempt found."""

    failure: Failure | None
    verdicts: tuple[Verdict, ...]
    measured: tuple[Measurement, ...] = ()


def resource_failure(error: BaseException) -> Failure | None:
    """Return the failure if a system limit kept a step from starting; None for other errors.

    Args:
        error: The exception that was raised while the step was started.
    """
    why = ""
    if isinstance(error, RuntimeError) and str(error) == _NO_THREAD:
        why = _LACKING[errno.EAGAIN]
    elif isinstance(error, OSError):
        why = _LACKING.get(error.errno or 0, "")
    return Failure(kind="crash", reason=f"it cannot be run: {why}") if why else None


def invalid(error: ExpressionError) -> Failure:
    """Return the failure of a step in which an expression could not be evaluated."""
    if isinstance(error, TimeoutExpressionError):
        return Failure(kind="timeout", reason=f"timeout: {error}", place=error.place)
    return Failure(kind="validation", reason=str(error), place=error.place)


def failed(
    step: Step, failure: Failure, ended: Ended | None = None, started: float = 0.0
) -> StepResult:
    """Create the result of a step that failed for a reason other than an unmet criterion."""
    return StepResult(
        step=step.name,
        outcome="failed",
        failure=failure,
        meets=step.continue_on_error,
        ended=ended,
        started=started,
    )


def refused(
    recipe: Recipe, step: Step, error: LockError | ExpressionError | JournalError
) -> StepResult:
    """Return the result of a step whose locks or record fail."""
    if isinstance(error, ExpressionError):
        return failed(step, invalid(error))
    place = None
    if isinstance(error, LockError):
        place = step.at.get("locks") or recipe.at.get("locks")
    return failed(step, Failure(kind="exception", reason=str(error), place=place))


def blocked(recipe: Recipe, step: Step, blocker: str) -> StepResult:
    """Return the result of a step that another step, or another recipe, blocks."""
    is_step = recipe.has_step(blocker)
    return StepResult(
        step=step.name,
        outcome="blocked",
        reason=f"blocked by {recipe.node(blocker) if is_step else blocker}",
        blocked_by=blocker,
    )


def unmet_failure(verdicts: tuple[Verdict, ...]) -> Failure | None:
    """Return the failure that unmet criteria mean; None if all criteria hold."""
    unmet = [verdict for verdict in verdicts if verdict.unmet]
    if not unmet:
        return None
    # A criterion that cannot be evaluated is an error of the recipe, so it is reported first.
    first = next((verdict for verdict in unmet if verdict.errs), unmet[0])
    reason = f"{first.description}{more_unmet(verdicts)}"
    return Failure(
        kind="validation" if first.errs else "criterion", reason=reason, place=first.place
    )


def more_unmet(verdicts: tuple[Verdict, ...]) -> str:
    """Return " (and N more)" if N criteria besides the first are not met, else an empty text."""
    count = sum(1 for verdict in verdicts if verdict.unmet) - 1
    return f" (and {count} more)" if count > 0 else ""


def cause_of(end: BaseException) -> str:
    """Describe the exception that ended a run in a few words, such as ``Ctrl-C``."""
    return str(end) or ("Ctrl-C" if isinstance(end, KeyboardInterrupt) else type(end).__name__)
