"""Checks of one attempt after its step code: outputs, measurements and success criteria.

A recipe whose steps have none of these does not import this module.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.result import Ended, Failure
from pytest_orchestrator.execution import expression_scope
from pytest_orchestrator.execution.attempt_context import AttemptContext, Submitted
from pytest_orchestrator.execution.criteria import check, measurements
from pytest_orchestrator.execution.criteria.measurements import outputs_of
from pytest_orchestrator.execution.criteria.simple import CheckInputs
from pytest_orchestrator.execution.lanes.messages import LaneLost
from pytest_orchestrator.execution.lanes.pattern_search import (
    Searches,
    SearchInterrupted,
    SearchTimeout,
)
from pytest_orchestrator.execution.scheduling.failures import (
    StepFindings,
    invalid,
    more_unmet,
    unmet_failure,
)
from pytest_orchestrator.execution.steps.dispatch import expression_limit
from pytest_orchestrator.recipe.expressions.expression import (
    ExpressionError,
    TimeoutExpressionError,
)
from pytest_orchestrator.recipe.fields.resolve import evaluate_late_expressions
from pytest_orchestrator.recipe.model.step import Step

Write = Callable[[dict[str, Json]], None]
"""Function that writes the values of outputs to the Context."""


def found(
    step: Step,
    own: Context,
    ended: Ended,
    site: Submitted,
    names: Mapping[str, Any],
    attempt: AttemptContext,
    write: Write,
) -> StepFindings:
    """Check an attempt whose step code has ended, within the rest of the step's timeout.

    Args:
        step: The step, with the values of the expressions that its step code needs.
        own: The Context as the checks see it.
        ended: The end of the step code.
        site: The submission of the attempt.
        names: The variables of expressions that were known before the step code ran.
        attempt: The context of the attempt.
        write: Writes the outputs.
    """
    searches = Searches(attempt.slot, attempt.seconds_for(step.timeout), spent=ended.usage.seconds)
    inputs = CheckInputs(
        step,
        own,
        ended,
        site.started,
        attempt.config.root,
        site.before,
        expression_scope.after(names, ended, own, attempt.config.max_result),
        elsewhere=site.elsewhere,
        searches=searches,
    )
    try:
        with expression_limit(step, attempt, searches.seconds, searches.begun):
            if ended.failure is not None:
                return _beside(inputs)
            return _checked(inputs, attempt, write)
    except TimeoutExpressionError as error:
        failure = invalid(error)
    except SearchTimeout as error:
        failure = Failure(kind="timeout", reason=str(error), place=error.place)
    except SearchInterrupted:
        reason = f"interrupted after {ended.usage.seconds:.1f} s"
        failure = Failure(kind="interrupted", reason=reason)
    except LaneLost as lost:
        failure = Failure(kind="crash", reason=f"its process was lost: {lost}")
    return StepFindings(ended.failure or failure, ended.verdicts)


def _checked(inputs: CheckInputs, attempt: AttemptContext, write: Write) -> StepFindings:
    """Write the outputs, take the measurements and check all criteria; the step code succeeded."""
    ended, names, searches = inputs.ended, inputs.names, inputs.searches
    try:
        unmet = check.unmet_of_type(inputs)
        if unmet:
            verdicts = (*ended.verdicts, *unmet)
            return StepFindings(unmet_failure(verdicts), verdicts)
        step, errors = evaluate_late_expressions(inputs.step, names)
        inputs = msgspec.structs.replace(inputs, step=step, errors=errors)
        values = outputs_of(step, ended, attempt.config.max_result, searches)
        if isinstance(values, Failure):
            return StepFindings(values, ended.verdicts)
    except TimeoutExpressionError:
        raise
    except ExpressionError as error:
        return StepFindings(invalid(error), ended.verdicts)
    write(values)
    taken = measurements.take_measurements(step, names, errors, searches)
    measured = tuple(one for one, _ in taken)
    decided = [verdict for _, verdict in taken if verdict is not None]
    verdicts = (*ended.verdicts, *decided, *check.checked(inputs))
    if attempt.element is None:  # figures of an element have no counterpart in earlier runs
        verdicts += attempt.callbacks.more_verdicts(step, ended, measured)
    return StepFindings(unmet_failure(verdicts), verdicts, measured)


def _beside(inputs: CheckInputs) -> StepFindings:
    """Check the remaining criteria of a step whose exit code is not the wanted one."""
    ended = inputs.ended
    verdicts = ended.verdicts
    if any(verdict.unmet for verdict in verdicts):
        # The other criteria may use the result of the step, which may be missing now.
        with contextlib.suppress(ExpressionError):
            step, errors = evaluate_late_expressions(inputs.step, inputs.names)
            inputs = msgspec.structs.replace(inputs, step=step, errors=errors)
            others = check.checked(inputs)
            verdicts += tuple(one for one in others if not one.errs)
    failure = ended.failure
    if failure is not None and failure.kind == "exit_code":
        reason = f"{failure.reason}{more_unmet(verdicts)}"
        failure = msgspec.structs.replace(failure, reason=reason)
    return StepFindings(failure, verdicts)
