"""Safe states that a run owes, and debts of earlier runs that it settles, from its events."""

from pytest_orchestrator.core.events import (
    AnyEvent,
    DebtForgiven,
    InstrumentOpened,
    InstrumentSafe,
)

EVENTS_OF_DEBTS = (InstrumentOpened, InstrumentSafe, DebtForgiven)
"""Events that can change the debts of a run."""


class Debts:
    """Debts of one run, updated with each event of its journal.

    Attributes:
        owed: The last use of each instrument whose safe state was not reached since, by its name.
        settled: The debts of earlier runs that the run has paid or dropped, as pairs of the run and
            the instrument; the instrument is empty for all debts of that run.
    """

    def __init__(self) -> None:
        self.owed: dict[str, InstrumentOpened] = {}
        self.settled: set[tuple[str, str]] = set()

    def fold(self, event: AnyEvent | None) -> None:
        """Update the debts with the next event; most events change none."""
        match event:
            case InstrumentOpened(has_safe_state=True):
                self.owed[event.instrument] = event
            case InstrumentSafe(reason="", run=""):
                self.owed.pop(event.instrument, None)
            case InstrumentSafe(reason="") | DebtForgiven():
                self.settled.add((event.run, event.instrument))
            case _:
                pass

    def __len__(self) -> int:
        return len(self.owed) + len(self.settled)
