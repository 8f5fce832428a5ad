"""Step notifications: events, their callbacks, and the callback queue of the main thread."""

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
    """Callback queue of the thread that made it: other threads post callbacks, it runs them.

    Signals interrupt a wait on this queue at once, unlike most other ways to wait.
    """

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._callbacks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    def wake(self) -> None:
        """End the current or the next `wait`. Thread-safe."""
        self._callbacks.put(None)

    def in_main_thread(self, act: Callable[[T], None]) -> Callable[[T], None]:
        """Return a function that calls ``act`` in the thread of this queue only.

        In that thread it drains the queue and calls ``act`` at once. In other threads it posts the
        call, which runs in the next `wait`, or before the next call in that thread.
        """

        def relay(argument: T) -> None:
            if threading.get_ident() != self._thread:
                self._callbacks.put(lambda: act(argument))
                return
            self.drain()
            act(argument)

        return relay

    def drain(self) -> None:
        """Run all posted callbacks."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._run(self._callbacks.get_nowait())

    def wait(self, seconds: float | None = None) -> None:
        """Wait for `wake` or a callback, at most for some seconds; run the callback."""
        with contextlib.suppress(queue.Empty):
            self._run(self._callbacks.get(timeout=seconds))

    def _run(self, callback: Callable[[], None] | None) -> None:
        if callback is not None:
            callback()


class Started(NamedTuple):
    """The first attempt of a step starts."""

    step: Step


class AttemptStarted(NamedTuple):
    """An attempt of a step starts; its step code has not run yet."""

    step: Step
    attempt: int


class RetryScheduled(NamedTuple):
    """An attempt of a step failed, and the next one follows after some seconds."""

    step: Step
    attempt: int
    failure: Failure
    seconds: float


class Finished(NamedTuple):
    """A step has a result; a service has its final one when it has ended."""

    step: Step
    result: StepResult


class Changed(NamedTuple):
    """A step has changed the Context."""

    step: Step
    change: Change


StepEvent = Started | Finished | Changed
Follower = Callable[[StepEvent], None]
Recorder = Callable[[AttemptStarted | RetryScheduled | Finished], None]
"""Stores the event outside this process before it counts; raises `JournalError` on failure."""
