"""What of a graph may run ahead: which steps are ready, and which of them first."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from pytest_orchestrator.core.result import StepResult


class Waits(NamedTuple):
    """What a step waits for.

    Attributes:
        needs: Steps that must have ended so that others may go on.
        after: Steps that must have ended.
    """

    needs: Sequence[str] = ()
    after: Sequence[str] = ()


class Ahead:
    """The steps that nobody has begun yet.

    Args:
        waits: The steps in the order of the recipe, each with what it waits for.
        seconds: How long steps took in earlier runs, as far as that is known.
    """

    def __init__(self, waits: Mapping[str, Waits], seconds: Mapping[str, float]) -> None:
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

        def is_ready(awaited: Waits) -> bool:
            needed = map(result_of, awaited.needs)
            return all(each and each.meets for each in needed) and all(
                map(result_of, awaited.after)
            )

        asked: Iterable[str] = self._waits if ended is None else self._users.get(ended, ())
        return [name for name in asked if name in self._waits and is_ready(self._waits[name])]
