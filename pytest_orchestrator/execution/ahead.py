"""What of a graph may run ahead: which steps are ready, and which of them first."""

from collections.abc import Callable, Iterable, Mapping, Sequence


class Ahead:
    """The steps that nobody has begun yet.

    Args:
        needs: The steps in the order of the recipe, each with the needs that count for it.
        seconds: How long steps took in earlier runs, as far as that is known.
    """

    def __init__(self, needs: Mapping[str, Sequence[str]], seconds: Mapping[str, float]) -> None:
        self._needs = {name: tuple(needed) for name, needed in needs.items()}
        self._users: dict[str, list[str]] = {}
        for name, needed in self._needs.items():
            for need in needed:
                self._users.setdefault(need, []).append(name)
        self._weights = self._paths(seconds)

    def _paths(self, seconds: Mapping[str, float]) -> dict[str, float]:
        """Return how long it takes from the start of each step to the end of all that need it.

        A step that nothing is known of counts as the mean of the others.
        """
        known = [seconds[name] for name in self._needs if name in seconds]
        usual = sum(known) / len(known) if known else 0.0
        weights: dict[str, float] = {}
        for name in reversed(self._needs):
            after = max((weights[user] for user in self._users.get(name, ())), default=0.0)
            weights[name] = seconds.get(name, usual) + after
        return weights

    def weight(self, name: str) -> float:
        """Return how much a step is in a hurry; the largest goes first."""
        return self._weights.get(name, 0.0)

    def leave(self, name: str) -> None:
        """Take a step out: it is begun, or never will be."""
        self._needs.pop(name, None)

    def clear(self) -> None:
        """Take all steps out."""
        self._needs.clear()

    def ready(self, meets: Callable[[str], bool], after: str | None = None) -> list[str]:
        """Return the steps whose needs are met.

        Args:
            meets: Tells whether a step ended so that others may follow.
            after: Only those that need this one.
        """
        asked: Iterable[str] = self._needs if after is None else self._users.get(after, ())
        return [
            name for name in asked if name in self._needs and all(map(meets, self._needs[name]))
        ]
