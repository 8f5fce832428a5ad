"""Samples of the values that a recipe watches, as the journal of a run has them."""

from pytest_orchestrator.core.events import SampleTaken


class Samples:
    """Samples of one run of a recipe.

    Attributes:
        last: The last sample of each value, by the name of the value.
        violated: Names of the values that were outside their limits.
    """

    def __init__(self) -> None:
        self.last: dict[str, SampleTaken] = {}
        self.violated: set[str] = set()

    @property
    def segment(self) -> int:
        """Number of the last segment of the curves; 0 without samples."""
        return max((one.segment for one in self.last.values()), default=0)

    def fold(self, event: SampleTaken) -> None:
        """Add the next sample."""
        self.last[event.name] = event
        if event.is_outside:
            self.violated.add(event.name)
