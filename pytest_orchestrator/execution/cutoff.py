"""The failure at which a session ends: nothing that would be told after it runs any more."""

from collections.abc import Callable, Collection, Iterable
from math import inf

from pytest_orchestrator.recipe.step_keys import Step


class Cutoff:
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
