"""One attempt of a step: from its start to its StepResult."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.events import Change
from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.result import (
    Ended,
    Outcome,
    StepResult,
)
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.execution.notifications import Changed, Listener
from pytest_orchestrator.execution.scheduling.failures import (
    StepFindings,
    failed,
    unmet_failure,
)
from pytest_orchestrator.execution.steps.dispatch import submitted
from pytest_orchestrator.execution.steps.services import Services
from pytest_orchestrator.recipe.model.step import PythonStep, ShellStep, Step

if TYPE_CHECKING:
    from pytest_orchestrator.execution.attempt_context import Submitted


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
        # A recipe with such a step imports this before its first step: see `RecipeRun`.
        from pytest_orchestrator.execution.scheduling import checking

        found = checking.found(step, own.view, ended, site, names, attempt, own.write)
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


def _unchecked(step: Step, ended: Ended, attempt: AttemptContext) -> StepFindings:
    """Return the findings on a successful step that has no criteria, outputs or measurements."""
    verdicts = ended.verdicts
    if attempt.element is None:
        verdicts += attempt.callbacks.more_verdicts(step, ended, ())
    return StepFindings(unmet_failure(verdicts), verdicts)
