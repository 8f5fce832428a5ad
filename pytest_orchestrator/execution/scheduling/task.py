"""Task of a parallel run: a step with its slot lease, and its cancellation."""

import threading
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

import msgspec

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.result import Failure, StepResult
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.execution.expression_scope import Scope
from pytest_orchestrator.execution.lanes.lane import Slot
from pytest_orchestrator.execution.notifications import MainThreadQueue
from pytest_orchestrator.execution.scheduling.retry import RetryLoop
from pytest_orchestrator.recipe.model.step import Step


class SlotLease(Slot):
    """The slot that a step has at the moment."""

    def __init__(self) -> None:
        self._slot: Slot | None = None
        self._others: list[Slot] = []

    def take(self, slot: Slot) -> None:
        """Use a slot from now on."""
        self._slot = slot
        self.shell, self.python, self.links = slot.shell, slot.python, slot.links
        self.runner, self.away = slot.runner, None

    @property
    def is_taken(self) -> bool:
        """Tell whether there is a slot."""
        return self._slot is not None

    def leave(self) -> list[Slot]:
        """Return the slot, if there is one."""
        slot, self._slot = self._slot, None
        return [] if slot is None else [slot]

    def another(self) -> Slot:
        """Return one more slot; until it is let go, what runs there ends with the rest."""
        assert self._slot is not None  # noqa: S101
        self._others.append(self._slot.another())
        return self._others[-1]

    def let_go(self, other: Slot) -> None:
        """Take note that what runs in another slot goes on by itself."""
        self._others.remove(other)

    def end(self, *, at_once: bool, late: bool) -> None:
        """Have ended what runs there; a lane that does not hear is ended itself."""
        if self.away is not None:
            self.away.cancel(at_once=at_once, late=late)
        for slot in (self, *self._others) if self._slot is not None else ():
            for lane in (slot.shell, slot.python):
                lane.cancel(at_once=at_once)
                if late:
                    lane.end()


class Task:
    """A step that runs, ran, or is about to.

    Attributes:
        step: The step.
        tries: Its tries.
        seat: Where it runs.
        heard: Log records and warnings of it, for the one who takes its result.
        result: What became of it.
        cut: It was to be ended when its try ended.
        timer: Starts its next try.
        begun: Start of its first try, seconds since the epoch.
        runs: A try of it runs now.
        waited: Seconds that it waited for locks, those that steps beside it had among them.
    """

    def __init__(self, step: Step, context: Context, env: Environment, scope: Scope) -> None:
        self.step = step
        self.seat = SlotLease()
        self.heard: list[dict[str, Any]] = []
        env = msgspec.structs.replace(env, slot=self.seat, hear=self.heard.append)
        self.tries = RetryLoop(step, context, env, {}, scope)
        self.result: StepResult | None = None
        self.cut = False
        self.timer: threading.Timer | None = None
        self.begun: float | None = None
        self.runs = False
        self.waited = 0.0
        self._missed: float | None = None

    def collides(self, running: Iterable["Task"]) -> bool:
        """Tell whether another step runs, or waits for its locks, that shares one with this."""
        mine = self.tries.step.locks
        return bool(mine) and any(
            not other.timer
            and other is not self
            and not set(mine).isdisjoint(other.tries.step.locks)
            for other in running
        )

    def miss_turn(self) -> None:
        """Let others go first, since a step that runs has a lock of this one."""
        self._missed = self._missed or time.monotonic()

    def begin_turn(self) -> None:
        """Run next."""
        if self._missed is not None:
            self.waited += time.monotonic() - self._missed
            self._missed = None

    def wait(self, then: Callable[["Task"], None]) -> bool:
        """Have something called when the next try may begin; False where that needs `rest`."""
        delay = max(0.0, self.tries.not_before - time.monotonic())
        self.timer = threading.Timer(delay, then, (self,))
        self.timer.daemon = True
        try:
            self.timer.start()
        except RuntimeError:  # there is no thread to be had
            return False
        return True

    def rest(self) -> bool:
        """Wait in this thread for the next try; tell whether it may still begin."""
        timer = self.timer
        return timer is not None and not timer.finished.wait(timer.interval)

    @property
    def is_known(self) -> bool:
        """Tell whether something became of it already: it began, or did not even have to."""
        return self.begun is not None or self.result is not None

    def stop_waiting(self) -> bool:
        """Let no further try begin; tell whether it waited for one."""
        timer, self.timer = self.timer, None
        if timer is not None:
            timer.cancel()
        return timer is not None

    def cut_off(self, cause: str) -> StepResult:
        """Return what became of it where the run was ended; it may have ended before."""
        begun = self.begun or time.time()
        if self.result is None:
            return self.tries.interrupted(begun, cause)
        failure = self.result.failure
        if not self.cut or failure is None or failure.kind not in ("interrupted", "crash"):
            return self.result
        reason = f"interrupted after {time.time() - begun:.1f} s: {cause}"
        failure = Failure(kind="interrupted", reason=reason)
        return msgspec.structs.replace(self.result, failure=failure)


_PATIENCE = 4.0  # seconds; a lane that hears ends what it runs within two
_FIRST, _LONGEST = 0.01, 0.2


def cancel_all(
    running: Callable[[], Collection[Task]], bell: MainThreadQueue
) -> BaseException | None:
    """Have everything ended that runs.

    Args:
        running: Returns what still runs of that; whoever runs it rings at its end.
        bell: Tells of each end.

    Returns:
        What Ctrl-C raised meanwhile; from then on all of it was ended at once.
    """
    interrupt: BaseException | None = None
    begun, pause = time.monotonic(), _FIRST
    while jobs := running():
        try:
            late = time.monotonic() - begun > _PATIENCE
            for job in jobs:
                job.seat.end(at_once=interrupt is not None, late=late)
            bell.wait(pause)
            pause = min(2 * pause, _LONGEST)
        except KeyboardInterrupt as again:
            interrupt = again
    return interrupt
