"""DAG frontier, priority queue of ready steps, and fail-fast."""

import bisect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import inf
from typing import NamedTuple

from pytest_orchestrator.core.result import StepResult
from pytest_orchestrator.execution.scheduling.task import Task
from pytest_orchestrator.recipe.model.step import Step


class StepDependencies(NamedTuple):
    """The dependencies of a step.

    Attributes:
        needs: Steps whose results must let their dependants run (`StepResult.meets`).
        after: Steps that must have ended.
    """

    needs: Sequence[str] = ()
    after: Sequence[str] = ()


class Frontier:
    """The planned steps that are not queued yet, and their dependency graph.

    Args:
        waits: The steps in the order of the recipe, each with its dependencies.
        seconds: Durations of steps in earlier runs, as far as they are known.
    """

    def __init__(self, waits: Mapping[str, StepDependencies], seconds: Mapping[str, float]) -> None:
        self._waits = dict(waits)
        self._users: dict[str, list[str]] = {}
        for name, awaited in self._waits.items():
            for other in {*awaited.needs, *awaited.after}:
                self._users.setdefault(other, []).append(name)
        self._weights = self._paths(seconds)

    def _paths(self, seconds: Mapping[str, float]) -> dict[str, float]:
        """Return for each step the seconds from its start to the end of all its dependants.

        This is the length of the critical path from the step on. A step of unknown duration counts
        as the mean of the known durations.
        """
        known = [seconds[name] for name in self._waits if name in seconds]
        mean = sum(known) / len(known) if known else 0.0
        weights: dict[str, float] = {}
        for name in reversed(self._waits):
            after = max((weights[user] for user in self._users.get(name, ())), default=0.0)
            weights[name] = seconds.get(name, mean) + after
        return weights

    def weight(self, name: str) -> float:
        """Return the priority of a step: the length of its critical path, in seconds."""
        return self._weights.get(name, 0.0)

    def leave(self, name: str) -> None:
        """Remove a step that is queued or will never run."""
        self._waits.pop(name, None)

    def clear(self) -> None:
        """Remove all steps."""
        self._waits.clear()

    def ready(
        self, result_of: Callable[[str], StepResult | None], ended: str | None = None
    ) -> list[str]:
        """Return the names of the steps whose dependencies are fulfilled.

        Args:
            result_of: Returns the result of a step, or None if it has not ended.
            ended: Consider only the dependants of this step; None considers all steps.
        """

        def is_ready(awaited: StepDependencies) -> bool:
            needed = map(result_of, awaited.needs)
            return all(each and each.meets for each in needed) and all(
                map(result_of, awaited.after)
            )

        names: Iterable[str] = self._waits if ended is None else self._users.get(ended, ())
        return [name for name in names if name in self._waits and is_ready(self._waits[name])]


class TaskQueue:
    """Priority queue of tasks: largest weight first, equal weights in the order of the recipe."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Task]] = []

    def __bool__(self) -> bool:
        return bool(self._entries)

    def put(self, task: Task, weight: float = inf) -> None:
        """Add a task; with the default weight it comes before all tasks of finite weight."""
        bisect.insort(self._entries, (-weight, task.step.index, task))

    def take(self, running: Collection[Task]) -> Task | None:
        """Remove and return the first task that shares no lock with a running task, or None."""
        for place, (*_, task) in enumerate(self._entries):
            if not task.collides(running):
                del self._entries[place]
                task.begin_turn()
                return task
            task.miss_turn()
        return None

    def keep(self, which: Callable[[Task], bool]) -> list[Task]:
        """Keep the matching tasks; remove and return the others."""
        dropped = [task for *_, task in self._entries if not which(task)]
        self._entries = [entry for entry in self._entries if which(entry[2])]
        return dropped


class FailFast:
    """Fail-fast rule: the failures that end the session (``-x``, ``--maxfail``), and the cutoff.

    Args:
        counted: Names of the steps whose failures count.
        left: Returns the number of further failures that end the session.
        cause: The cause, for the results of steps that are interrupted.
    """

    def __init__(
        self, counted: Collection[str] = (), left: Callable[[], int] = lambda: 0, cause: str = ""
    ) -> None:
        self.cause = cause
        self._counted, self._left = counted, left
        self._last = inf

    def add_failures(self, failed: Iterable[Step]) -> None:
        """Set the cutoff if the failed steps, which pytest has not counted yet, end the session."""
        places = sorted(step.index for step in failed if step.name in self._counted)
        left = self._left() if places else 0
        if 0 < left <= len(places):
            self._last = min(self._last, places[left - 1])

    @property
    def has_cutoff(self) -> bool:
        """True if a cutoff exists."""
        return self._last < inf

    def is_past(self, step: Step) -> bool:
        """Return True if a step comes after the cutoff."""
        return step.index > self._last
