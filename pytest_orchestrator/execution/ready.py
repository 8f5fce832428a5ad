"""The steps that are ready to run and wait for a slot."""

import heapq
from collections.abc import Callable, Collection

from pytest_orchestrator.execution.job import Job


class Ready:
    """Steps in the order of their weights, and of the recipe where these are equal."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Job]] = []

    def __bool__(self) -> bool:
        return bool(self._heap)

    def put(self, job: Job, weight: float = float("inf")) -> None:
        """Take a step in; the heaviest goes first."""
        heapq.heappush(self._heap, (-weight, job.step.index, job))

    def take(self, running: Collection[Job]) -> Job | None:
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

    def keep(self, which: Callable[[Job], bool]) -> list[Job]:
        """Let go all others, and return those."""
        dropped = [job for *_, job in self._heap if not which(job)]
        self._heap = sorted(entry for entry in self._heap if which(entry[2]))
        return dropped
