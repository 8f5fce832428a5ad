"""A ticket on its way to a worker, until one claims it."""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pytest_orchestrator.execution.workforce import Workforce
from pytest_orchestrator.recipe.step_keys import Step

if TYPE_CHECKING:
    from pytest_orchestrator.execution.tickets import Ticket

_NOBODY: Final = 60.0
"""Seconds for which a try waits where no worker is left that can take it."""
_AGAIN: Final = 3
"""So many workers may die that were about to claim a try."""


class Handing:
    """A ticket on its way to a worker: handed out anew where who had it died before a claim.

    Args:
        submit: Hands a task out; as ``Client.submit`` of Dask, but for the task itself.
        force: The workers.
        step: The step.
        ticket: Its ticket.
    """

    def __init__(
        self, submit: Callable[..., Any], force: Workforce, step: Step, ticket: "Ticket"
    ) -> None:
        self._submit, self._force, self._step, self._ticket = submit, force, step, ticket
        self._lock = threading.Lock()
        self._future: Any = None
        self._to: list[str] = []
        self._times = 0
        self._nobody: float | None = None

    def tend(self) -> None:
        """Hand the ticket out, where it is with nobody; called as long as nobody claims it."""
        with self._lock:
            if self._future is not None:
                self._force.look()
                if self._is_on_its_way():
                    return
                self._future.cancel()
            self._to = self._force.able(self._step)
            if not self._to:
                self._wait_for_some()
                return
            self._nobody, self._times = None, self._times + 1
            self._future = future = self._submit(
                self._ticket.work,
                # What a key begins with is a kind of task to Dask, which never forgets one.
                key=f"step-{self._times}-{self._ticket.id}-{self._step.name}",
                workers=self._to,
                allow_other_workers=False,
                resources=self._force.wanted(self._step) or None,
                pure=False,
                retries=0,
            )
        future.add_done_callback(self._take_note)

    def withdraw(self) -> None:
        """Take it back."""
        if self._future is not None:
            self._future.cancel()

    def _is_on_its_way(self) -> bool:
        there = {one.address for one in self._force.offers}
        return not self._future.done() and not there.isdisjoint(self._to)

    def _wait_for_some(self) -> None:
        self._future = None
        self._nobody = self._nobody or time.monotonic()
        self._force.look()
        if time.monotonic() - self._nobody > _NOBODY:
            self._ticket.lose("no worker is left that can take it")

    def _take_note(self, future: Any) -> None:
        """Let the ticket know that Dask does no more for it."""
        if future is not self._future:
            return
        ticket = self._ticket
        if future.status == "finished":
            ticket.lose("its worker ended it without a word")
        elif ticket.claim is not None:
            ticket.give_up()
        elif future.status == "error" and self._times >= _AGAIN:
            ticket.lose(f"Dask gave it up before a worker had it: {future.exception()}")
