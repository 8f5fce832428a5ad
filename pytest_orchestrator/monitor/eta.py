"""ETA: remaining time of a run, estimated from earlier runs."""

from typing import NamedTuple

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.recipe.model.graph import dependencies
from pytest_orchestrator.reports.html.timeline import timeline
from pytest_orchestrator.reports.views import steps_of
from pytest_orchestrator.runs.compare.estimates import Seconds, remaining
from pytest_orchestrator.runs.record import ACTIVE, RunRecord, StepRecord


class Remaining(NamedTuple):
    """Estimated remaining time of a run.

    Attributes:
        seconds: The time.
        is_whole: True if each pending step has an estimate; else the time is a lower bound.
    """

    seconds: float
    is_whole: bool


def remaining_time(run: RunRecord, estimates: Seconds, now: float) -> Remaining | None:
    """Return the estimated remaining time of a run; None if no pending step has an estimate.

    The remaining time of a step is its estimate minus the time that it has already run. The number
    of steps that its timeline shows in parallel is assumed for the rest of a recipe. Steps that
    were not selected do not count.
    """
    whole, is_known, is_whole = 0.0, False, True
    for recipe in run.recipes.values():
        pending = [
            step
            for step in recipe.steps.values()
            if step.block is None and step.state != "not selected"
        ]
        left = {
            step.name: _left(step, estimates[step.recipe, step.name], now)
            for step in pending
            if (step.recipe, step.name) in estimates
        }
        is_known = is_known or bool(left)
        is_whole = is_whole and len(left) == len(pending)
        if left:
            line = timeline(recipe, run.last)
            lanes = max(1, line.lanes if line else 1)
            whole += remaining(left, dependencies(steps_of(recipe)), lanes)
    return Remaining(whole, is_whole) if is_known else None


def _left(step: StepRecord, estimate: float, now: float) -> float:
    if not (step.state == "waiting" or step.state in ACTIVE):
        return 0.0
    ran = max(0.0, now - epoch_seconds(step.started)) if step.started else 0.0
    return max(0.0, estimate - ran)
