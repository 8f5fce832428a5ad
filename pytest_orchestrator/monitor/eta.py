"""ETA: remaining time of a run, estimated from earlier runs."""

import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Final

from pytest_orchestrator.reports.html.timeline import moment, timeline
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.compare.history import History
from pytest_orchestrator.runs.journal.writer import NAME
from pytest_orchestrator.runs.record import GOING_ON, RecipeRecord, RunRecord, StepRecord

_RUNS: Final = 10
_MOST_BYTES: Final = 8 << 20
_KEPT: Final = 16

Seconds = dict[tuple[str, str], float]
"""By the key of a recipe and the name of a step."""


class StepEstimates:
    """Knows for each run what its steps took in the runs before it; those are read once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[History, dict[tuple[str, str], float | None]]] = {}

    def of(self, folder: Path, steps: Iterable[tuple[str, str]]) -> Seconds:
        """Return the usual seconds of steps, of those that ran before.

        Args:
            folder: The folder of the run that they belong to.
            steps: The keys of their recipes, and their names.
        """
        with self._lock:
            if folder.name not in self._known:
                before = (
                    one for one in lookup.run_folders(folder.parent) if one.name < folder.name
                )
                history = History(_affordable(islice(before, _RUNS)))
                while len(self._known) >= _KEPT:
                    del self._known[next(iter(self._known))]
                self._known[folder.name] = (history, {})
            history, known = self._known[folder.name]
            for one in steps:
                if one not in known:
                    figures = history.figures(*one, _RUNS).get("seconds")
                    known[one] = median(figures) if figures else None
            return {one: seconds for one, seconds in known.items() if seconds is not None}


def to_go(run: RunRecord, usual: Seconds, now: float) -> float | None:
    """Return the seconds that a run will go on; None where too little is known.

    Each step counts what it usually takes, less what it has run; as many steps as were seen
    side by side share the rest, and no chain of steps ends sooner than its parts.
    """
    whole = 0.0
    for recipe in run.recipes.values():
        left = {
            step.name: _left(step, usual[step.recipe, step.name], now)
            for step in recipe.steps.values()
            if (step.recipe, step.name) in usual
        }
        ahead = [one for one in recipe.steps.values() if one.block is None]
        if any(step.name not in left for step in ahead):
            return None
        line = timeline(recipe, run.last)
        lanes = max(1, line.lanes if line else 1)
        whole += max(sum(left.values()) / lanes, _chain(recipe, left))
    return whole


def _left(step: StepRecord, usual: float, now: float) -> float:
    if step.block is not None or not (step.state == "waiting" or step.state in GOING_ON):
        return 0.0
    ran = max(0.0, now - moment(step.started)) if step.started else 0.0
    return max(0.0, usual - ran)


def _chain(recipe: RecipeRecord, left: dict[str, float]) -> float:
    """Return the longest chain of steps that need each other; steps stand behind their needs."""
    until: dict[str, float] = {}
    for step in recipe.steps.values():
        needs = [*step.about.get("needs", ()), *step.about.get("after", ())]
        before = max((until.get(name, 0.0) for name in needs), default=0.0)
        until[step.name] = before + left.get(step.name, 0.0)
    return max(until.values(), default=0.0)


def _affordable(folders: Iterable[Path]) -> Iterator[Path]:
    """Give folders as long as their journals are small."""
    left = _MOST_BYTES
    for folder in folders:
        try:
            left -= (folder / NAME).stat().st_size
        except OSError:
            continue
        if left < 0:
            return
        yield folder
