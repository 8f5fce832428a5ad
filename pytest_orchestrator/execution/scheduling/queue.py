"""DAG frontier, priority queue of ready steps, and fail-fast."""

import heapq
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import inf
from typing import NamedTuple

from pytest_orchestrator.core.result import StepResult
from pytest_orchestrator.execution.scheduling.task import Task
from pytest_orchestrator.recipe.model.step import Step


class StepDependencies(NamedTuple):
    """What a step waits for.

    Attributes:
        needs: Steps that must have ended so that others may go on.
        after: Steps that must have ended.
    """

    needs: Sequence[str] = ()
    after: Sequence[str] = ()


class Frontier:
    """The steps that nobody has begun yet.

    Args:
        waits: The steps in the order of the recipe, each with what it waits for.
        seconds: How long steps took in earlier runs, as far as that is known.
    """

    def __init__(self, waits: Mapping[str, StepDependencies], seconds: Mapping[str, float]) -> None:
        self._waits = dict(waits)
        self._users: dict[str, list[str]] = {}
        for name, awaited in self._waits.items():
            for other in {*awaited.needs, *awaited.after}:
                self._users.setdefault(other, []).append(name)
        self._weights = self._paths(seconds)

    def _paths(self, seconds: Mapping[str, float]) -> dict[str, float]:
        """Return how long it takes from the start of each step to the end of all that wait for it.

        A step that nothing is known of counts as the mean of the others.
        """
        known = [seconds[name] for name in self._waits if name in seconds]
        usual = sum(known) / len(known) if known else 0.0
        weights: dict[str, float] = {}
        for name in reversed(self._waits):
            after = max((weights[user] for user in self._users.get(name, ())), default=0.0)
            weights[name] = seconds.get(name, usual) + after
        return weights

    def weight(self, name: str) -> float:
        """Return how much a step is in a hurry; the largest goes first."""
        return self._weights.get(name, 0.0)

    def leave(self, name: str) -> None:
        """Take a step out: it is begun, or never will be."""
        self._waits.pop(name, None)

    def clear(self) -> None:
        """Take all steps out."""
        self._waits.clear()

    def ready(
        self, result_of: Callable[[str], StepResult | None], ended: str | None = None
    ) -> list[str]:
        """Return the steps that have nothing to wait for any more.

        Args:
            result_of: Gives what became of a step, None where it has not ended.
            ended: Only those that wait for this one.
        """

        def is_ready(awaited: StepDependencies) -> bool:
            needed = map(result_of, awaited.needs)
            return all(each and each.meets for each in needed) and all(
                map(result_of, awaited.after)
            )

        asked: Iterable[str] = self._waits if ended is None else self._users.get(ended, ())
        return [name for name in asked if name in self._waits and is_ready(self._waits[name])]


class TaskQueue:
    """Steps in the order of their weights, and of the recipe where these are equal."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Task]] = []

    def __bool__(self) -> bool:
        return bool(self._heap)

    def put(self, job: Task, weight: float = float("inf")) -> None:
        """Take a step in; the heaviest goes first."""
        heapq.heappush(self._heap, (-weight, job.step.index, job))

    def take(self, running: Collection[Task]) -> Task | None:
        """Take the first step out that shares no lock with those that run; None if all do."""
        passed = []
        found = None
        while self._heap and found is None:
            entry = heapq.heappop(self._heap)
            if entry[2].collides(running):
                passed.append(entry)
                entry[2].miss_turn()
            else:
                found = entry[2]
                found.begin_turn()
        for entry in passed:
            heapq.heappush(self._heap, entry)
        return found

    def keep(self, which: Callable[[Task], bool]) -> list[Task]:
        """Let go all others, and return those."""
        dropped = [job for *_, job in self._heap if not which(job)]
        self._heap = sorted(entry for entry in self._heap if which(entry[2]))
        return dropped


class FailFast:
    """Where the steps of a recipe end, as soon as that is known.

    Args:
        counted: Names of the steps whose failures count.
        left: Returns how many more of them end the session.
        cause: That end in a few words, for steps that are ended.
    """

    def __init__(
        self, counted: Collection[str] = (), left: Callable[[], int] = lambda: 0, cause: str = ""
    ) -> None:
        self.cause = cause
        self._counted, self._left = counted, left
        self._last = inf

    def judge(self, failed: Iterable[Step]) -> None:
        """See what failures mean that nobody has told of yet."""
        places = sorted(step.index for step in failed if step.name in self._counted)
        left = self._left() if places else 0
        if 0 < left <= len(places):
            self._last = min(self._last, places[left - 1])

    @property
    def is_known(self) -> bool:
        """Tell whether all ends somewhere."""
        return self._last < inf

    def is_past(self, step: Step) -> bool:
        """Tell whether a step comes after the end."""
        return step.index > self._last
