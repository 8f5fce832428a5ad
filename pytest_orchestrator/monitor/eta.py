"""ETA: remaining time of a run, estimated from earlier runs."""

import threading
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Final

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.recipe.model.graph import dependencies, longest_chains
from pytest_orchestrator.reports.html.timeline import timeline
from pytest_orchestrator.reports.views import steps_of
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.compare.history import History
from pytest_orchestrator.runs.record import ACTIVE, RecipeRecord, RunRecord, StepRecord

_EARLIER_RUNS: Final = 10
_BYTE_BUDGET: Final = 8 << 20
_MAX_RUNS_IN_MEMORY: Final = 16

Seconds = dict[tuple[str, str], float]
"""Seconds by the key of a recipe and the name of a step."""


class StepEstimates:
    """Estimated durations of steps: medians over earlier runs, which are read only once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_run: dict[str, tuple[History, dict[tuple[str, str], float | None]]] = {}

    def of(self, folder: Path, steps: Iterable[tuple[str, str]]) -> Seconds:
        """Return the median duration of each step in earlier runs; leave out steps without one.

        Args:
            folder: The folder of the run whose steps are estimated.
            steps: For each step the key of its recipe and its name.
        """
        with self._lock:
            if folder.name not in self._by_run:
                earlier = (
                    one for one in lookup.run_folders(folder.parent) if one.name < folder.name
                )
                history = History(lookup.within_bytes(islice(earlier, _EARLIER_RUNS), _BYTE_BUDGET))
                while len(self._by_run) >= _MAX_RUNS_IN_MEMORY:
                    del self._by_run[next(iter(self._by_run))]
                self._by_run[folder.name] = (history, {})
            history, medians = self._by_run[folder.name]
            for step in steps:
                if step not in medians:
                    figures = history.figures(*step, _EARLIER_RUNS).get("seconds")
                    medians[step] = median(figures) if figures else None
            return {step: seconds for step, seconds in medians.items() if seconds is not None}


def remaining_seconds(run: RunRecord, estimates: Seconds, now: float) -> float | None:
    """Return the estimated remaining time of a run; None if a pending step has no estimate.

    The remaining time of a step is its estimate minus the time that it has already run. The sum
    over a recipe is divided by the number of steps that its timeline shows in parallel. The
    result is never below the longest chain of steps that depend on each other.
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
        whole += max(sum(left.values()) / lanes, _chain(recipe, left))
    return whole


def _left(step: StepRecord, estimate: float, now: float) -> float:
    if step.block is not None or not (step.state == "waiting" or step.state in ACTIVE):
        return 0.0
    ran = max(0.0, now - epoch_seconds(step.started)) if step.started else 0.0
    return max(0.0, estimate - ran)


def _chain(recipe: RecipeRecord, left: dict[str, float]) -> float:
    """Return the summed duration of the longest chain of steps that depend on each other."""
    chains = longest_chains(dependencies(steps_of(recipe)), left)
    return max((length for length, _ in chains.values()), default=0.0)
