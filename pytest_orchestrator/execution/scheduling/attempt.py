"""One attempt of a step: from its start to its StepResult."""

import contextlib
import errno
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.events import Change
from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.result import (
    Ended,
    Failure,
    Measured,
    Outcome,
    StepResult,
    Verdict,
)
from pytest_orchestrator.execution import expression_scope
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.execution.criteria import check, measurements
from pytest_orchestrator.execution.criteria.inputs import CheckInputs
from pytest_orchestrator.execution.criteria.outputs import outputs_of, queries
from pytest_orchestrator.execution.lanes.messages import LaneLost
from pytest_orchestrator.execution.lanes.pattern_search import (
    Searches,
    SearchInterrupted,
    SearchTimeout,
)
from pytest_orchestrator.execution.notifications import Changed, Listener
from pytest_orchestrator.execution.steps.dispatch import submitted
from pytest_orchestrator.execution.steps.services import Services
from pytest_orchestrator.recipe.expressions.expression import (
    ExpressionError,
    TimeoutExpressionError,
    time_limit,
)
from pytest_orchestrator.recipe.fields.resolve import evaluate_late_expressions
from pytest_orchestrator.recipe.model.step import PythonStep, ShellStep, Step

if TYPE_CHECKING:
    from pytest_orchestrator.execution.attempt_context import Submitted

_NO_THREAD = "can't start new thread"
_LACKING = {
    errno.EMFILE: "pytest has all files open that `ulimit -n` allows",
    errno.ENFILE: "the machine has no room for one more open file",
    errno.EAGAIN: "the user has all processes and threads that `ulimit -u` allows",
    errno.ENOMEM: "the machine has no memory left",
}


class StepContext:
    """Access of one step to the Context, with a record of the changes that the step makes.

    Attributes:
        context: The Context, bound to the step.
        changes: The changes, in order.
        site: The `Submitted` of the current attempt; None until the attempt is submitted.

    Args:
        step: The step.
        context: The Context of the recipe.
        notify: Called with each change.
        by: The node id of the step.
    """

    def __init__(
        self, step: Step, context: Context, notify: Listener = lambda _: None, by: str = ""
    ) -> None:
        self.changes: list[Change] = []
        self.site: Submitted | None = None
        self._step, self._notify = step, notify
        self.context = context.bound(step.name, self._add_change, by)
        self._staged: Context | None = None
        self._outputs: dict[str, Json] = {}

    @property
    def view(self) -> Context:
        """The Context as the checks of this attempt see it: with the outputs of the attempt."""
        return self._staged or self.context

    @property
    def missed(self) -> tuple[str, ...]:
        """The Context paths that the step read although they were missing."""
        return tuple(dict.fromkeys((*self.context.missed, *self.view.missed)))

    def begin(self) -> None:
        """Reset `site` for a new attempt, whose step code has not started."""
        self.site = None

    def stage(self) -> None:
        """Hold the outputs of this attempt back until `settle` writes or drops them."""
        self._staged = self.context.layer()

    def write(self, outputs: dict[str, Json]) -> None:
        """Write the values of outputs to `view`, each to its Context key."""
        for key, value in outputs.items():
            self.view.set(key, value)
        self._outputs = outputs if self._staged else {}

    def settle(self, *, is_last: bool) -> None:
        """End an attempt: write its staged outputs to the Context if `is_last`, else drop them."""
        outputs, self._outputs, self._staged = self._outputs, {}, None
        if is_last:
            self.write(outputs)

    def _add_change(self, change: Change) -> None:
        self.changes.append(change)
        self._notify(Changed(self._step, change))


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


def execute(
    step: Step,
    own: StepContext,
    attempt: AttemptContext,
    fixtures: Mapping[str, object],
    names: Mapping[str, Any],
    services: Services,
) -> StepResult:
    """Run one attempt of a step and check its success criteria.

    Args:
        step: The step, with the values of the expressions that its step code needs.
        own: The step's handle to the Context.
        attempt: The context of the attempt.
        fixtures: Values for the step's fixtures, by name.
        names: The variables of expressions that are known before the step code runs.
        services: The services of the recipe.

    Returns:
        The result of the attempt.
    """
    missing = services.missing(step)
    if missing is not None:
        return failed(step, missing)
    site = own.site = submitted(step, own.context, attempt, fixtures, services)
    ended, started = site.result(), site.started
    if attempt.element is not None or (
        step.retry is not None and attempt.number < step.retry.attempts
    ):
        own.stage()
    found = StepFindings(ended.failure, ended.verdicts)
    if ended.skipped is None and not step.reads_variables:  # nothing to evaluate or to check
        if ended.failure is None:
            found = _unchecked(step, ended, attempt)
    elif ended.skipped is None and (ended.failure is None or ended.verdicts):
        known = expression_scope.after(names, ended, own.view, attempt.config.max_result)
        inputs = CheckInputs(
            step,
            own.view,
            ended,
            started,
            attempt.config.root,
            site.before,
            known,
            elsewhere=site.elsewhere,
            searches=Searches(
                attempt.slot, attempt.seconds_for(step.timeout), spent=ended.usage.seconds
            ),
        )
        found = _found(inputs, own, attempt)
    outcome: Outcome = (
        "failed" if found.failure else "passed" if ended.skipped is None else "skipped"
    )
    return StepResult(
        step=step.name,
        outcome=outcome,
        failure=found.failure,
        reason=ended.skipped or "",
        meets=found.failure is None or step.continue_on_error,
        verdicts=found.verdicts,
        measurements=found.measured,
        changes=tuple(own.changes),
        missed=own.missed,
        ended=ended,
        started=ended.began or started,
        inputs=_given(step),
    )


def _given(step: Step) -> dict[str, Any]:
    """Return the `params` or `args` of a step; empty for a step of another kind."""
    match step:
        case PythonStep():
            return step.params
        case ShellStep():
            return {**step.args}
        case _:
            return {}


class StepFindings(msgspec.Struct, frozen=True):
    """Failure, verdicts and measurements that the checks of one attempt found."""

    failure: Failure | None
    verdicts: tuple[Verdict, ...]
    measured: tuple[Measured, ...] = ()


def _found(inputs: CheckInputs, own: StepContext, attempt: AttemptContext) -> StepFindings:
    """Check the criteria of an attempt within the rest of the step's timeout."""
    ended, searches = inputs.ended, inputs.searches
    try:
        with time_limit(searches.seconds, begun=searches.begun):
            good = ended.failure is None
            return _checked(inputs, own, attempt) if good else _beside(inputs)
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


def _unchecked(step: Step, ended: Ended, attempt: AttemptContext) -> StepFindings:
    """Return the findings on a successful step that has no criteria, outputs or measurements."""
    verdicts = ended.verdicts
    if attempt.element is None:
        verdicts += attempt.callbacks.more_verdicts(step, ended, ())
    return StepFindings(unmet_failure(verdicts), verdicts)


def _checked(inputs: CheckInputs, own: StepContext, attempt: AttemptContext) -> StepFindings:
    """Write the outputs, take the measurements and check all criteria; the step code succeeded."""
    ended, names, searches = inputs.ended, inputs.names, inputs.searches
    try:
        unmet = check.unmet_of_type(inputs)
        if unmet:
            verdicts = (*ended.verdicts, *unmet)
            return StepFindings(unmet_failure(verdicts), verdicts)
        step, errors = evaluate_late_expressions(inputs.step, names)
        inputs = msgspec.structs.replace(inputs, step=step, errors=errors)
        asked = list(queries(step, ended, attempt.config.max_result))
        searches.ahead([*asked, *check.queries(inputs)])
        values = outputs_of(step, asked, searches)
        if isinstance(values, Failure):
            return StepFindings(values, ended.verdicts)
    except TimeoutExpressionError:
        raise
    except ExpressionError as error:
        return StepFindings(invalid(error), ended.verdicts)
    own.write(values)
    measured = measurements.take_measurements(step, names, errors, searches)
    verdicts = (
        *ended.verdicts,
        *measurements.measurement_verdicts(measured),
        *check.checked(inputs),
    )
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
            inputs.searches.ahead(check.queries(inputs))
            others = check.checked(inputs)
            verdicts += tuple(one for one in others if not one.errs)
    failure = ended.failure
    if failure is not None and failure.kind == "exit_code":
        reason = f"{failure.reason}{_more(verdicts)}"
        failure = msgspec.structs.replace(failure, reason=reason)
    return StepFindings(failure, verdicts)


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


def unmet_failure(verdicts: tuple[Verdict, ...]) -> Failure | None:
    """Return the failure that unmet criteria mean; None if all criteria hold."""
    unmet = [verdict for verdict in verdicts if verdict.unmet]
    if not unmet:
        return None
    # A criterion that cannot be evaluated is an error of the recipe, so it is reported first.
    first = next((verdict for verdict in unmet if verdict.errs), unmet[0])
    reason = f"{first.description}{_more(verdicts)}"
    return Failure(
        kind="validation" if first.errs else "criterion", reason=reason, place=first.place
    )


def _more(verdicts: tuple[Verdict, ...]) -> str:
    """Return " (and N more)" if N criteria besides the first are not met, else an empty text."""
    count = sum(1 for verdict in verdicts if verdict.unmet) - 1
    return f" (and {count} more)" if count > 0 else ""
