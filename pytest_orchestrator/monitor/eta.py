"""ETA: remaining time of a run, estimated from earlier runs."""

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.recipe.model.graph import dependencies
from pytest_orchestrator.reports.html.timeline import timeline
from pytest_orchestrator.reports.views import steps_of
from pytest_orchestrator.runs.compare.estimates import Seconds, remaining
from pytest_orchestrator.runs.record import ACTIVE, RunRecord, StepRecord


def remaining_seconds(run: RunRecord, estimates: Seconds, now: float) -> float | None:
    """Return the estimated remaining time of a run; None if a pending step has no estimate.

    The remaining time of a step is its estimate minus the time that it has already run. The number
    of steps that its timeline shows in parallel is assumed for the rest of a recipe.
    """
    whole = 0.0
    for recipe in run.recipes.values():
        left = {
            step.name: _left(step, estimates[step.recipe, step.name], now)
            for step in recipe.steps.values()
            if (step.recipe, step.name) in estimates
        }
        pending = [one for one in recipe.steps.values() if one.block is None]
        if any(step.name not in left for step in pending):
            return None
        line = timeline(recipe, run.last)
        lanes = max(1, line.lanes if line else 1)
        whole += remaining(left, dependencies(steps_of(recipe)), lanes)
    return whole


def _left(step: StepRecord, estimate: float, now: float) -> float:
    if step.block is not None or not (step.state == "waiting" or step.state in ACTIVE):
        return 0.0
    ran = max(0.0, now - epoch_seconds(step.started)) if step.started else 0.0
    return max(0.0, estimate - ran)
