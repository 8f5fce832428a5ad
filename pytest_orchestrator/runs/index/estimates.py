"""Estimates from earlier runs: usual durations of steps, and the remaining time of a recipe."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from statistics import median
from typing import Final

from pytest_orchestrator.recipe.model.graph import longest_chains
from pytest_orchestrator.runs.history.model import PastRun
from pytest_orchestrator.runs.index.past_runs import read_all

_EARLIER_RUNS: Final = 10
_BYTE_BUDGET: Final = 8 << 20
_MAX_RUNS_IN_MEMORY: Final = 16

Seconds = dict[tuple[str, str], float]
"""Seconds by the key of a recipe and the name of a step."""


def recent_runs(folder: Path) -> Iterator[PastRun]:
    """Yield the runs before a run from which durations are estimated, newest first.

    Args:
        folder: The folder of the run; it may not exist yet.
    """
    return islice(read_all(folder.parent, _BYTE_BUDGET, of=folder.name), _EARLIER_RUNS)


def usual_seconds(runs: Iterable[PastRun]) -> Seconds:
    """Return the median duration of each step in the runs in which its recipe passed.

    Args:
        runs: The runs.
    """
    figures: dict[tuple[str, str], list[float]] = {}
    for recipe in chain.from_iterable(run.recipes for run in runs):
        for step in recipe.steps if recipe.is_reference else ():
            if step.seconds is not None:
                key = recipe.key.removesuffix(f"[{recipe.cell}]") if recipe.unit else recipe.key
                figures.setdefault((key, step.name), []).append(step.seconds)
    return {step: median(seconds) for step, seconds in figures.items()}


class StepEstimates:
    """Estimated durations of steps: medians over earlier runs, which are read only once."""

    def __init__(self) -> None:
        self._usual = lru_cache(_MAX_RUNS_IN_MEMORY)(_usual_before)

    def of(self, folder: Path, steps: Iterable[tuple[str, str]]) -> Seconds:
        """Return the median duration of each step in earlier runs; leave out steps without one.

        Args:
            folder: The folder of the run whose steps are estimated.
            steps: For each step the key of its recipe and its name.
        """
        usual = self._usual(folder)
        return {step: usual[step] for step in steps if step in usual}


def _usual_before(folder: Path) -> Seconds:
    return usual_seconds(recent_runs(folder))


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
