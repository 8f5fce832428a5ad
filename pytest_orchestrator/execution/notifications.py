"""Step notifications: events, their callbacks, and the callback queue of the main thread."""

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

import msgspec

from pytest_orchestrator.core.events import Change
from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.result import Element, Failure, StepResult
from pytest_orchestrator.recipe.model.step import Step

T = TypeVar("T")


class MainThreadQueue:
    """Queue of callbacks that other threads post and the creating thread runs.

    A signal interrupts a wait on this queue immediately, unlike most other kinds of waiting.
    """

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._callbacks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    def wake(self) -> None:
        """End the current call of `wait`, or the next call if none is active. Thread-safe."""
        self._callbacks.put(None)

    def in_main_thread(self, act: Callable[[T], None]) -> Callable[[T], None]:
        """Return a function that any thread may call and that runs ``act`` in the queue's thread.

        Called in that thread, it runs the posted calls and then ``act``. Called in another thread,
        it posts the call, which runs in the next `wait` or before the next call in that thread.
        """

        def relay(argument: T) -> None:
            if threading.get_ident() != self._thread:
                self._callbacks.put(lambda: act(argument))
                return
            self.drain()
            act(argument)

        return relay

    def drain(self) -> None:
        """Run all callbacks that were posted so far, without waiting for further ones."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._run(self._callbacks.get_nowait())

    def wait(self, seconds: float | None = None) -> None:
        """Wait for `wake` or a posted callback, at most ``seconds`` (None: no limit); run it."""
        with contextlib.suppress(queue.Empty):
            self._run(self._callbacks.get(timeout=seconds))

    def _run(self, callback: Callable[[], None] | None) -> None:
        if callback is not None:
            callback()


class Started(msgspec.Struct, frozen=True):
    """Event: the first attempt of a step starts."""

    step: Step


class AttemptStarted(msgspec.Struct, frozen=True):
    """Event: an attempt of a step starts; its step code has not run yet.

    Attributes:
        step: The step.
        attempt: Number of the attempt, from 1.
        element: Index of the element of ``foreach``; None for a step without it, and in the event
            before the first element.
        elements: Number of elements, in the event before the first element.
    """

    step: Step
    attempt: int
    element: int | None = None
    elements: int | None = None


class RetryScheduled(msgspec.Struct, frozen=True):
    """Event: an attempt of a step failed, and the next attempt follows after ``seconds``."""

    step: Step
    attempt: int
    failure: Failure
    seconds: float
    element: int | None = None


class ElementFinished(msgspec.Struct, frozen=True):
    """Event: an element of a step with ``foreach`` has a result.

    Attributes:
        step: The step.
        element: The element.
        outputs: The values of the step's ``outputs`` for the element, by key.
        digest: Digest of the whole list.
    """

    step: Step
    element: Element
    outputs: dict[str, Json]
    digest: str


class Finished(msgspec.Struct, frozen=True):
    """Event: a step has a result. For a service, a second event at its end has the final result."""

    step: Step
    result: StepResult


class Changed(msgspec.Struct, frozen=True):
    """Event: a step has changed the Context."""

    step: Step
    change: Change


class Sampled(msgspec.Struct, frozen=True):
    """Event: a sampled value has a new sample.

    Attributes:
        step: The step code of the value.
        value: The sample.
        moment: Its time, in seconds since the epoch.
        segment: Number of the segment of the curve, from 1.
        is_outside: True if the sample is outside the limits of the value.
    """

    step: Step
    value: float
    moment: float
    segment: int
    is_outside: bool


StepEvent = Started | Finished | Changed
Listener = Callable[[StepEvent], None]
RecordedEvent = AttemptStarted | RetryScheduled | ElementFinished | Finished | Sampled
"""An event that is stored outside this process before it takes effect."""
