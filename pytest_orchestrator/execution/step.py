"""One step from its start to its StepResult; nothing of it escapes as an exception."""

import time
from collections.abc import Mapping

from pytest_orchestrator.core.context import Change, Context
from pytest_orchestrator.core.result import Ended, Failure, Outcome, StepResult, Verdict
from pytest_orchestrator.execution import criteria, freshness, isolated, python, shell
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.execution.evidence import Evidence
from pytest_orchestrator.recipe.model import PythonStep, ShellStep, Step


def execute(
    step: Step, context: Context, env: Environment, fixtures: Mapping[str, object]
) -> StepResult:
    """Run a step and check what must hold afterwards.

    Args:
        step: The step.
        context: The Context that the recipe runs on.
        env: The surroundings of the run.
        fixtures: Values for the step's fixtures, by name.

    Returns:
        What became of it.
    """
    changes: list[Change] = []
    own = context.bound(step.name, changes.append)
    before = freshness.noted(step, env.root) if step.success else {}
    started = time.time()
    ended = _body(step, own, env, fixtures)
    verdicts = ended.verdicts
    failure = ended.failure
    if failure is None and ended.skipped is None:
        verdicts += criteria.checked(Evidence(step, own, ended, started, env.root, before))
        failure = _unmet(verdicts)
    outcome: Outcome = "failed" if failure else "passed" if ended.skipped is None else "skipped"
    return StepResult(
        step=step.name,
        outcome=outcome,
        failure=failure,
        reason=ended.skipped or "",
        meets=failure is None or step.continue_on_error,
        verdicts=verdicts,
        changes=tuple(changes),
        missed=own.missed,
        ended=ended,
        started=started,
    )


def failed(
    step: Step, failure: Failure, ended: Ended | None = None, started: float = 0.0
) -> StepResult:
    """Return what became of a step that its own body did not end."""
    return StepResult(
        step=step.name,
        outcome="failed",
        failure=failure,
        meets=step.continue_on_error,
        ended=ended,
        started=started,
    )


def _body(step: Step, own: Context, env: Environment, fixtures: Mapping[str, object]) -> Ended:
    match step:
        case PythonStep() if fixtures or env.inline or step.isolation == "inline":
            return python.run(step, own, env, fixtures)
        case PythonStep():
            return isolated.run(step, own, env)
        case ShellStep():
            return shell.run(step, env)
        case _:
            raise TypeError(f"no body is known for {type(step).__name__}")


def _unmet(verdicts: tuple[Verdict, ...]) -> Failure | None:
    unmet = [verdict for verdict in verdicts if verdict.unmet]
    if not unmet:
        return None
    first = unmet[0]
    more = f" (and {len(unmet) - 1} more)" if len(unmet) > 1 else ""
    return Failure(kind="criterion", reason=f"{first.name}: {first.unmet}{more}", place=first.place)
