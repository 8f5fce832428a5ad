"""Remaining time of a session, estimated from earlier runs."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.plugin.options import settings
from pytest_orchestrator.plugin.session_state import state_of

if TYPE_CHECKING:
    from pytest_orchestrator.recipe import Recipe
    from pytest_orchestrator.runs.compare.estimates import Seconds

Step = tuple[str, str]
"""Key of a recipe and name of a step."""


class RemainingTime:
    """Estimate of the remaining time of a session that runs only steps.

    Args:
        folder: The folder of the run of the session.
        workers: Number of processes that run recipes at the same time.
        jobs: Number of steps of a recipe that run at the same time.
    """

    def __init__(self, folder: Path, workers: int = 1, jobs: int = 1) -> None:
        self._folder, self._workers, self._jobs = folder, workers, jobs
        self._steps: dict[Step, None] = {}
        self._nodes: frozenset[str] = frozenset()
        self._waits_for: dict[str, Mapping[str, Collection[str]]] = {}
        self._usual: Seconds | None = None

    def expect(self, steps: Iterable[Step], recipes: "Iterable[Recipe]") -> None:
        """Set the steps that the session runs.

        Args:
            steps: The steps.
            recipes: Their recipes; the steps of a recipe that is left out are taken to be
                independent of each other.
        """
        self._steps = dict.fromkeys(steps)
        if self._jobs > 1:
            self._waits_for = {one.key: _waits_for(one) for one in recipes}

    def expect_nodes(self, nodes: Iterable[str]) -> None:
        """Set the node ids of the steps that the session runs; earlier runs have their names."""
        self._nodes = frozenset(nodes)

    def read(self, is_over: Callable[[], bool]) -> None:
        """Read the durations of earlier runs, once.

        Args:
            is_over: Function that returns True if the reading must end; a later call repeats it.
        """
        if self._usual is not None:
            return
        from pytest_orchestrator.runs.compare import estimates

        runs = takewhile(lambda _: not is_over(), estimates.recent_runs(self._folder))
        usual = estimates.usual_seconds(runs)
        if not is_over():
            self._usual = usual
            if self._nodes:
                self._name_nodes(usual)

    def seconds(self, ended: Collection[Step], elapsed: Mapping[Step, float]) -> float | None:
        """Return the remaining seconds; None if a step that has not ended has no estimate.

        Args:
            ended: The steps that have ended.
            elapsed: The seconds since the start of each running step.
        """
        from pytest_orchestrator.runs.compare.estimates import remaining

        left: defaultdict[str, dict[str, float]] = defaultdict(dict)
        for step in self._steps:
            if step in ended:
                continue
            usual = self._usual.get(step) if self._usual else None
            if usual is None:
                return None
            left[step[0]][step[1]] = max(0.0, usual - elapsed.get(step, 0.0))
        each = [
            remaining(seconds, self._waits_for.get(recipe, dict.fromkeys(seconds, ())), self._jobs)
            for recipe, seconds in left.items()
        ]
        return max(sum(each) / self._workers, *each) if each else None

    def _name_nodes(self, usual: "Seconds") -> None:
        """Set the steps from their node ids; none if earlier runs lack one of the node ids."""
        from pytest_orchestrator.recipe.model.recipe import node_of

        steps = {node_of(*step): step for step in usual}
        if self._nodes <= steps.keys():
            self._steps = dict.fromkeys(steps[node] for node in self._nodes)


def of_session(session: pytest.Session) -> RemainingTime | None:
    """Return the estimate for a session without workers; None if it has other tests than steps.

    Args:
        session: The session, whose items know their prerequisite steps.
    """
    from pytest_orchestrator.plugin.collection.nodes import StepItem
    from pytest_orchestrator.plugin.reporting.header import prerequisites

    items = [item for item in session.items if isinstance(item, StepItem)]
    if len(items) < len(session.items):
        return None
    state = state_of(session.config)
    steps = [(item.recipe.key, item.step.name) for item in items]
    steps += [(recipe.key, name) for recipe, name in prerequisites(session)]
    restored = {(key, name) for key, run in state.runs.items() for name in run.results}
    estimate = RemainingTime(state.folder.path, jobs=settings.slots(session.config, default=1)[0])
    recipes = [run.recipe for run in state.runs.values()]
    estimate.expect([step for step in steps if step not in restored], recipes)
    return estimate


def of_workers(config: pytest.Config, nodes: Iterable[str], workers: int) -> RemainingTime:
    """Return the estimate for a session whose steps run in workers of xdist.

    Args:
        config: The configuration of the controller.
        nodes: The node ids of all items.
        workers: Number of workers.
    """
    jobs = settings.jobs(config, default=1)
    estimate = RemainingTime(state_of(config).folder.path, workers=workers, jobs=jobs)
    estimate.expect_nodes(nodes)
    return estimate


def _waits_for(recipe: "Recipe") -> dict[str, tuple[str, ...]]:
    """Return for each step of a recipe the names of the steps that must end before it."""
    steps = (*recipe.steps, *recipe.final)
    names = {step.name for step in steps}
    return {
        step.name: tuple(name for name in (*step.needs, *step.after) if name in names)
        for step in steps
    }
