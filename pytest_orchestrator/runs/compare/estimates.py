"""Estimates from earlier runs: usual durations of steps, and the remaining time of a recipe."""

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Final

from pytest_orchestrator.recipe.model.graph import longest_chains
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.compare.history import History

_EARLIER_RUNS: Final = 10
_BYTE_BUDGET: Final = 8 << 20
_MAX_RUNS_IN_MEMORY: Final = 16

Seconds = dict[tuple[str, str], float]
"""Seconds by the key of a recipe and the name of a step."""


def recent_runs(folder: Path) -> Iterator[Path]:
    """Yield the folders of the runs before a run from which durations are estimated, newest first.

    Args:
        folder: The folder of the run; it may not exist yet.
    """
    earlier = (one for one in lookup.run_folders(folder.parent) if one.name < folder.name)
    return lookup.within_bytes(islice(earlier, _EARLIER_RUNS), _BYTE_BUDGET)


def usual_seconds(folders: Iterable[Path]) -> Seconds:
    """Return the median duration of each step in the runs in which its recipe passed.

    Args:
        folders: The folders of the runs.
    """
    history = History(folders)
    history.read_all()
    figures: dict[tuple[str, str], list[float]] = {}
    for recipe in history.recipes:
        for once in history.of(recipe):
            for name, values in once.steps.items() if once.passed else ():
                figures.setdefault((recipe, name), []).append(values["seconds"])
    return {step: median(seconds) for step, seconds in figures.items()}


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
                history = History(recent_runs(folder))
                while len(self._by_run) >= _MAX_RUNS_IN_MEMORY:
                    del self._by_run[next(iter(self._by_run))]
                self._by_run[folder.name] = (history, {})
            history, medians = self._by_run[folder.name]
            for step in steps:
                if step not in medians:
                    figures = history.figures(*step, _EARLIER_RUNS).get("seconds")
                    medians[step] = median(figures) if figures else None
            return {step: seconds for step, seconds in medians.items() if seconds is not None}


def remaining(
    left: Mapping[str, float], waits_for: Mapping[str, Collection[str]], parallel: int
) -> float:
    """Return the estimated remaining time of a recipe.

    The sum over its steps is divided by the number of steps that run at the same time. The result
    is never below the longest chain of steps that wait for each other.

    Args:
        left: The estimated remaining seconds of each step that has not ended, by name.
        waits_for: For each step of the recipe the names of the steps that must end before it.
        parallel: Number of steps that run at the same time, at least 1.
    """
    chains = longest_chains(waits_for, left)
    longest = max((length for length, _ in chains.values()), default=0.0)
    return max(sum(left.values()) / parallel, longest)
