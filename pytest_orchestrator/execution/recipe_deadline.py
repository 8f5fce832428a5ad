"""Deadline of a recipe: the end of the time that its key `timeout` gives to its steps."""

import threading
import time

import msgspec

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Failure, StepResult
from pytest_orchestrator.execution.interruptible import InterruptibleEvent
from pytest_orchestrator.execution.run_config import RunConfig
from pytest_orchestrator.recipe.fields.extensions import asks
from pytest_orchestrator.recipe.model.step import Step

_SHORTEST = 0.001  # seconds; a timeout is above zero


class RecipeDeadline:
    """Time at which the steps of a recipe must have ended; the clock starts at once.

    Args:
        seconds: Seconds until the deadline, with the factor of the run.
        factor: The factor of all timeouts in this run, above zero.
        place: The place of `timeout` in the recipe; None if it is not known.
    """

    def __init__(self, seconds: float, factor: float, place: Place | None) -> None:
        self._seconds, self._factor, self._place = seconds, factor, place
        self._at = time.monotonic() + seconds
        self._paused: float | None = None

    @property
    def _now(self) -> float:
        return time.monotonic() if self._paused is None else self._paused

    def pause(self) -> None:
        """Stop the clock until `go_on`."""
        self._paused = time.monotonic()

    def go_on(self) -> None:
        """Start the clock again after `pause`: the deadline is later by the time between them."""
        self._at += time.monotonic() - self._now
        self._paused = None

    @property
    def left(self) -> float:
        """Seconds until the deadline; zero afterwards."""
        return max(0.0, self._at - self._now)

    @property
    def is_over(self) -> bool:
        """True if the deadline has passed."""
        return self._now >= self._at

    def limited(self, step: Step, config: RunConfig) -> Step:
        """Return a step whose next attempt ends at the deadline if its own timeout is later.

        Args:
            step: The step. The wait for the readiness of a service is limited, not its run.
            config: The settings of the run, which stretch all timeouts.
        """
        left = max(_SHORTEST, round(self.left, 3))
        if not step.background:
            has_none = step.timeout is None and asks(step)
            own = None if has_none else config.seconds_for(step.timeout)
            is_later = own is None or own > left
            return msgspec.structs.replace(step, timeout=left / self._factor) if is_later else step
        ready = step.ready
        if ready is None or ready.timeout * self._factor <= left:
            return step
        ready = msgspec.structs.replace(ready, timeout=left / self._factor)
        return msgspec.structs.replace(step, ready=ready)

    def failure(self, state: str) -> Failure:
        """Return the failure of a step that had not ended at the deadline.

        Args:
            state: The state of the step at the deadline, such as ``it had not begun``.
        """
        reason = f"timeout of the recipe: its {self._seconds:g} s are over; {state}"
        return Failure(kind="timeout", reason=reason, place=self._place, is_of_recipe=True)

    def judged(self, result: StepResult) -> StepResult:
        """Return the result of an attempt; if the deadline ended it, the failure says so."""
        failure = result.failure
        if failure is None or failure.kind != "timeout" or not self.is_over:
            return result
        state = failure.reason.removeprefix("timeout: ")
        ended = msgspec.structs.replace(self.failure(state), detail=failure.detail)
        return msgspec.structs.replace(result, failure=ended)


class StopAtDeadline(threading.Event):
    """Event that is also set when a deadline has passed.

    Args:
        event: An event that sets this one too; None without such an event.
        deadline: The deadline.
    """

    def __init__(self, event: threading.Event | None, deadline: RecipeDeadline) -> None:
        super().__init__()
        self._event = event or InterruptibleEvent()
        self._deadline = deadline

    def is_set(self) -> bool:
        """Return True if the event is set or the deadline has passed."""
        return self._event.is_set() or self._deadline.is_over

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the event is set, the deadline has passed, or `timeout` seconds are over.

        Returns:
            True if the event is set or the deadline has passed.
        """
        left = self._deadline.left
        self._event.wait(left if timeout is None else min(timeout, left))
        return self.is_set()
