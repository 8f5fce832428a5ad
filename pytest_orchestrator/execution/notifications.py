"""Step notifications: event types, callbacks, and the main-thread event queue."""

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from pytest_orchestrator.core.events import Change
from pytest_orchestrator.core.result import Failure, StepResult
from pytest_orchestrator.recipe.model.step import Step

T = TypeVar("T")


class MainThreadQueue:
    """Wakes the thread that made it.

    Who waits here is woken by signals at once, which most other ways to wait do not allow.
    """

    def __init__(self) -> None:
        self._home = threading.get_ident()
        self._words: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    def ring(self) -> None:
        """Wake who waits, now or next."""
        self._words.put(None)

    def relayed(self, act: Callable[[T], None]) -> Callable[[T], None]:
        """Return what does the same in the thread of the bell alone.

        There it is done at once, after all that was left to be done; for other threads it is
        done when somebody waits, or when something is done there next.
        """

        def relay(given: T) -> None:
            if threading.get_ident() != self._home:
                self._words.put(lambda: act(given))
                return
            self.catch_up()
            act(given)

        return relay

    def catch_up(self) -> None:
        """Do what other threads have left to be done."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._do(self._words.get_nowait())

    def wait(self, seconds: float | None = None) -> None:
        """Wait for a ring, for some seconds at most, or for something to do."""
        with contextlib.suppress(queue.Empty):
            self._do(self._words.get(timeout=seconds))

    def _do(self, told: Callable[[], None] | None) -> None:
        if told is not None:
            told()


class Started(NamedTuple):
    """The first try of a step begins."""

    step: Step


class AttemptStarted(NamedTuple):
    """A try of a step begins: nothing of it has run."""

    step: Step
    attempt: int


class RetryScheduled(NamedTuple):
    """A try of a step failed, and another one follows, some seconds later."""

    step: Step
    attempt: int
    failure: Failure
    seconds: float


class Finished(NamedTuple):
    """It is known what became of a step; of a service once more when it has ended."""

    step: Step
    result: StepResult


class Changed(NamedTuple):
    """A step has changed the Context."""

    step: Step
    change: Change


Happening = Started | Finished | Changed
Follow = Callable[[Happening], None]
Keep = Callable[[AttemptStarted | RetryScheduled | Finished], None]
"""Keeps it outside this process before it counts; raises `JournalError` where it cannot."""
