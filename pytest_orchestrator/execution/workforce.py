"""The workers that may run steps of a session: those that are there and have the same code."""

import threading
import time
from collections.abc import Callable, Collection, Iterable
from typing import Final

import msgspec

from pytest_orchestrator.execution.alike import Fingerprint, differences
from pytest_orchestrator.execution.scheduling.placement import Offer, workers_for
from pytest_orchestrator.recipe.step_keys import Step

_FRESH: Final = 5.0
"""Seconds for which it is good to know who is there."""

Seen = Callable[[], list[Offer]]
"""Gives all workers that are there; their machines' names are not known yet."""
Probe = Callable[[Collection[str]], dict[str, Fingerprint | str]]
"""Gives what workers have, by their addresses; or why that is not known."""


class Workforce:
    """The workers of a cluster.

    Args:
        seen: Gives all that are there.
        probe: Gives what they have.
        here: What pytest has.
        counted: Names of resources that the session counts itself.
        tell: Is told in one line of a worker that came later and is not used.

    Attributes:
        unlike: What those have otherwise than pytest that are not used, by their names.
    """

    def __init__(
        self,
        seen: Seen,
        probe: Probe,
        here: Fingerprint,
        counted: Collection[str] = (),
        tell: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.unlike: dict[str, list[str]] = {}
        self._seen, self._probe, self._here = seen, probe, here
        self._counted, self._tell = counted, tell
        self._lock = threading.Lock()
        self._offers: dict[str, Offer | None] = {}
        self._looked = 0.0

    @property
    def offers(self) -> list[Offer]:
        """What those offer that may be used."""
        with self._lock:
            return [one for one in self._offers.values() if one is not None]

    def look(self, *, at_once: bool = False) -> None:
        """See who is there, unless that was done a moment ago.

        Args:
            at_once: The session begins: who is not used is told by whoever asks.

        Raises:
            OSError: Nobody says so, at the beginning.
        """
        with self._lock:
            if not at_once and time.monotonic() - self._looked < _FRESH:
                return
            self._looked = time.monotonic()
            try:
                seen = {one.address: one for one in self._seen()}
            except OSError:
                if at_once:
                    raise
                return  # whether the scheduler is lost, its connection tells
            self._offers = {name: one for name, one in self._offers.items() if name in seen}
            fresh = seen.keys() - self._offers.keys()
            had = self._probe(sorted(fresh)) if fresh else {}
            for address in sorted(fresh):
                offer = self._offers[address] = self._approved(seen[address], had.get(address))
                if offer is None and not at_once:
                    name = seen[address].name
                    self._tell(f"worker {name} is not used: {'; '.join(self.unlike[name])}")
            self._looked = time.monotonic()

    def _approved(self, offer: Offer, had: Fingerprint | str | None) -> Offer | None:
        """Return what a worker offers, with the name of its machine; None where it is unlike."""
        if isinstance(had, Fingerprint):
            lines = differences(self._here, had)
            offer = msgspec.structs.replace(offer, host=had.host)
        else:
            lines = [had or "it does not answer"]
        if not lines:
            return offer
        self.unlike[offer.name] = lines
        return None

    def able(self, step: Step) -> list[str]:
        """Return the addresses of those that can take a step."""
        return workers_for(step, self.offers, self._counted)

    def wanted(self, step: Step) -> dict[str, float]:
        """Return the resources that a worker must have free for a step."""
        return {
            name: float(number)
            for name, number in step.resources.items()
            if name not in self._counted
        }


def told(unlike: dict[str, list[str]]) -> Iterable[str]:
    """Give lines for people: the workers that are not used, and why."""
    for name, lines in sorted(unlike.items()):
        yield f"worker {name} would not run the same:"
        yield from (f"  {line}" for line in lines)
