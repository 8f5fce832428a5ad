"""Tasks of a recipe run: steps in slots, their cancellation, their order, and fail-fast."""

import bisect
import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain
from math import inf
from typing import Any, NamedTuple, Protocol, Self

from msgspec.structs import replace

from pytest_orchestrator.core.errors import JournalError, LockError
from pytest_orchestrator.core.result import StepResult
from pytest_orchestrator.execution.attempt_context import StepLocks
from pytest_orchestrator.execution.interruptible import InterruptibleEvent
from pytest_orchestrator.execution.lanes.lane import Slot
from pytest_orchestrator.execution.scheduling.failures import failed, resource_failure
from pytest_orchestrator.execution.scheduling.retry import RetryLoop
from pytest_orchestrator.execution.scheduling.units import Needs, UnitStates
from pytest_orchestrator.recipe.expressions.expression import ExpressionError
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import Step

Attempt = Callable[[], StepResult | None]
"""Runs the next attempt of a task; returns the result of its step, None if another follows."""


class SlotLease(Slot):
    """Lease of worker slots by a task, which holds one slot or none at a time."""

    def __init__(self) -> None:
        self._slot: Slot | None = None
        self._others: list[Slot] = []
        self._cancelled = InterruptibleEvent()
        self._ending = threading.Lock()

    def take(self, slot: Slot) -> Self:
        """Hold a slot, and use the lanes of the slot; return this lease."""
        self._slot = slot
        self.shell, self.python = slot.shell, slot.python
        self.ssh_connections, self.remote = slot.ssh_connections, None
        self._cancelled.clear()
        return self

    @property
    def is_held(self) -> bool:
        """True if the task holds a slot."""
        return self._slot is not None

    def leave(self) -> list[Slot]:
        """Release the slot; return it in a list, which is empty if none was held."""
        with self._ending:  # `end` in another thread must not reach the next step in the slot
            slot, self._slot = self._slot, None
        return [] if slot is None else [slot]

    def wake(self) -> None:
        """End a `rest`."""
        self._cancelled.set()

    def new_slot(self) -> Slot:
        """Return an additional slot for a service; until `detach`, `end` also ends its programs."""
        assert self._slot is not None  # noqa: S101
        self._others.append(self._slot.new_slot())
        return self._others[-1]

    def detach(self, other: Slot) -> None:
        """Detach a slot that `new_slot` returned, so that `end` does not end its service."""
        self._others.remove(other)

    def end(self, *, at_once: bool, late: bool) -> None:
        """Cancel the programs in the leased slots; if ``late``, end their lanes too."""
        with self._ending:
            if self._slot is not None:
                for slot in (self, *self._others):
                    slot.end_programs(at_once=at_once, late=late)
                return
        self._cancelled.set()
        if self.remote is not None:
            self.remote.cancel(at_once=at_once, late=late)


class Task:
    """The execution of one step: queued, running or ended.

    Attributes:
        step: The step.
        retry_loop: The loop of its attempts.
        lease: The lease of its slot.
        events: Its log records and warnings, which are passed on when its result is requested.
        result: Its result; None until it has ended.
        cut: True if the run was already ending the task when its attempt ended.
        rests: True while it waits for its next attempt, without a slot.
        begun: The start of its first attempt, in seconds since the epoch; None before.
        runs: True while an attempt is running.
        hold: Runs an attempt of a step before which the run holds, see `hold.Hold.attempt`; None
            if it does not hold.
        is_held: True while the run holds before the first try of the step, which has not begun.
    """

    def __init__(
        self,
        step: Step,
        retry_loop: RetryLoop,
        lease: SlotLease,
    ) -> None:
        self.step = step
        self.retry_loop = retry_loop
        self.lease = lease
        self.events: list[dict[str, Any]] = []
        self.result: StepResult | None = None
        self.cut = False
        self.rests = False
        self.begun: float | None = None
        self.runs = False
        self.hold: Callable[[Attempt], StepResult | None] | None = None
        self.is_held = False
        self._missed: float | None = None

    def collides(self, running: Iterable["Task"]) -> bool:
        """Return True if the step shares a lock with a task that runs or waits for its locks."""
        mine = self.retry_loop.step.locks
        return bool(mine) and any(
            not other.rests
            and other is not self
            and not set(mine).isdisjoint(other.retry_loop.step.locks)
            for other in running
        )

    def miss_turn(self) -> None:
        """Record that the task waits from now on, because a running task uses one of its locks."""
        self._missed = self._missed or time.monotonic()

    def begin_turn(self) -> None:
        """Add the time since the first `miss_turn` to ``waited``, because the task runs next."""
        if self._missed is not None:
            self.retry_loop.waited += time.monotonic() - self._missed
            self._missed = None

    def rest(self) -> None:
        """Wait for the next attempt in this thread, or until `wake`."""
        self.lease.rest(self.retry_loop.delay)

    def wake(self) -> None:
        """End the wait for the next attempt."""
        self.rests = False
        self.lease.wake()

    @property
    def is_known(self) -> bool:
        """True if the step has begun, or has a result without having run."""
        return self.begun is not None or self.result is not None

    def interrupted(self, begun: float, cause: str) -> StepResult:
        """Return the result of the task as interrupted; `begun` is in seconds since the epoch."""
        result = self.retry_loop.interrupted(begun, cause)
        return replace(result, waited=self.retry_loop.waited)

    def cut_off(self, cause: str) -> StepResult:
        """Return the result of a cancelled task: interrupted, unless its step had ended before."""
        begun = self.begun or time.time()
        if self.result is None:
            return self.retry_loop.interrupted(begun, cause)
        failure = self.result.failure
        if not self.cut or failure is None or failure.kind not in ("interrupted", "crash"):
            return self.result
        return self.retry_loop.cut_off(self.result, begun, cause)


_PATIENCE = 4.0  # seconds; a lane ends its program within two
_FIRST, _LONGEST = 0.01, 0.2


def cancel_all(
    running: Callable[[], Collection[Task]], wait: Callable[[float], object]
) -> BaseException | None:
    """End all running tasks: by TERM, by KILL after a second Ctrl-C, after 4 s with their lanes.

    Args:
        running: Returns the tasks that are still running.
        wait: Waits for the end of a task, at most the given number of seconds.

    Returns:
        The KeyboardInterrupt that arrived meanwhile, after which the tasks were killed; or None.
    """
    interrupt: BaseException | None = None
    begun, pause = time.monotonic(), _FIRST
    while tasks := running():
        try:
            late = time.monotonic() - begun > _PATIENCE
            for task in tasks:
                task.lease.end(at_once=interrupt is not None, late=late)
            wait(pause)
            pause = min(2 * pause, _LONGEST)
        except KeyboardInterrupt as again:
            interrupt = again
    return interrupt


class StepDependencies(NamedTuple):
    """The dependencies of a step.

    Attributes:
        needs: Steps whose results must let their dependants run (`StepResult.meets`).
        after: Steps that must have ended.
        units: For a step that runs once for all units, its needs in each unit, see `units.Needs`.
    """

    needs: Sequence[str] = ()
    after: Sequence[str] = ()
    units: Sequence[Sequence[str]] = ()


class Frontier:
    """The planned steps that are not queued yet, and their dependency graph.

    Args:
        waits: The steps in the order of the recipe, each with its dependencies.
        seconds: Durations of steps in earlier runs, as far as they are known.
    """

    def __init__(self, waits: Mapping[str, StepDependencies], seconds: Mapping[str, float]) -> None:
        self._waits = dict(waits)
        self._users: dict[str, list[str]] = {}
        for name, awaited in self._waits.items():
            for other in {*awaited.needs, *awaited.after, *chain(*awaited.units)}:
                self._users.setdefault(other, []).append(name)
        self._weights = self._paths(seconds)

    def _paths(self, seconds: Mapping[str, float]) -> dict[str, float]:
        """Return for each step the seconds from its start to the end of all its dependants.

        This is the length of the critical path from the step on. A step of unknown duration counts
        as the mean of the known durations.
        """
        known = [seconds[name] for name in self._waits if name in seconds]
        mean = sum(known) / len(known) if known else 0.0
        weights: dict[str, float] = {}
        for name in reversed(self._waits):
            after = max((weights[user] for user in self._users.get(name, ())), default=0.0)
            weights[name] = seconds.get(name, mean) + after
        return weights

    def weight(self, name: str) -> float:
        """Return the priority of a step: the length of its critical path, in seconds."""
        return self._weights.get(name, 0.0)

    def blocked(
        self, result_of: Callable[[str], StepResult | None], stopper: Callable[[str], str | None]
    ) -> dict[str, StepResult]:
        """Return the results of the steps that cannot run any more, by name.

        Args:
            result_of: Returns the result of a step, or None if it has not ended.
            stopper: Returns the name of the step that has stopped the unit of a step, or None.
        """
        found: dict[str, StepResult] = {}
        for name, awaited in self._waits.items():  # each after the steps that it needs
            needs = Needs(awaited.needs, awaited.units)
            cause = stopper(name) or needs.blocker(lambda one: found.get(one) or result_of(one))
            if cause is not None:
                found[name] = StepResult(step=name, outcome="blocked", blocked_by=cause)
        return found

    def has(self, name: str) -> bool:
        """Return True if a step is planned and not queued yet."""
        return name in self._waits

    def leave(self, name: str) -> None:
        """Remove a step that is queued or will never run."""
        self._waits.pop(name, None)

    def clear(self) -> None:
        """Remove all steps."""
        self._waits.clear()

    def ready(
        self, result_of: Callable[[str], StepResult | None], ended: str | None = None
    ) -> list[str]:
        """Return the names of the steps whose dependencies are fulfilled.

        Args:
            result_of: Returns the result of a step, or None if it has not ended.
            ended: Consider only the dependants of this step; None considers all steps.
        """

        def is_ready(awaited: StepDependencies) -> bool:
            needed = map(result_of, awaited.needs)
            met = all(each and each.meets for each in needed) and all(
                map(result_of, (*awaited.after, *chain(*awaited.units)))
            )
            if not (met and awaited.units):
                return met
            return Needs((), awaited.units).blocker(result_of) is None

        names: Iterable[str] = self._waits if ended is None else self._users.get(ended, ())
        return [name for name in names if name in self._waits and is_ready(self._waits[name])]


class TaskQueue:
    """Priority queue of tasks: largest weight first, equal weights in the order of the recipe."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Task]] = []

    def __bool__(self) -> bool:
        return bool(self._entries)

    def put(self, task: Task, weight: float = inf) -> None:
        """Add a task; with the default weight it comes before all tasks of finite weight."""
        bisect.insort(self._entries, (-weight, task.step.index, task))

    @property
    def names(self) -> set[str]:
        """The names of the steps of all tasks."""
        return {task.step.name for *_, task in self._entries}

    def take(
        self, running: Collection[Task], may_start: Callable[[Task], bool] = lambda _: True
    ) -> Task | None:
        """Remove and return the first task that may start and shares no lock with a running one."""
        for place, (*_, task) in enumerate(self._entries):
            if not task.collides(running) and may_start(task):
                del self._entries[place]
                task.begin_turn()
                return task
            task.miss_turn()
        return None

    def keep(self, which: Callable[[Task], bool]) -> list[Task]:
        """Keep the matching tasks; remove and return the others."""
        dropped = [task for *_, task in self._entries if not which(task)]
        self._entries = [entry for entry in self._entries if which(entry[2])]
        return dropped


class FailFast:
    """Fail-fast rule: the failures that end the session (``-x``, ``--maxfail``), and the cutoff.

    Args:
        counted: Names of the steps whose failures count.
        left: Returns the number of further failures that end the session.
        cause: The cause, for the results of steps that are interrupted.
    """

    def __init__(
        self, counted: Collection[str] = (), left: Callable[[], int] = lambda: 0, cause: str = ""
    ) -> None:
        self.cause = cause
        self._counted, self._left = counted, left
        self._last = inf

    def add_failures(self, failed: Iterable[Step]) -> None:
        """Set the cutoff if the failed steps, which pytest has not counted yet, end the session."""
        places = sorted(step.index for step in failed if step.name in self._counted)
        left = self._left() if places else 0
        if 0 < left <= len(places):
            self._last = min(self._last, places[left - 1])

    @property
    def has_cutoff(self) -> bool:
        """True if a cutoff exists."""
        return self._last < inf

    def is_past(self, step: Step) -> bool:
        """Return True if a step comes after the cutoff."""
        return step.index > self._last


class Rules(Protocol):
    """The recipe run, as its workers know it: what an attempt needs, and what its end means.

    Attributes:
        recipe: The recipe.
        results: The requested results, by the name of the step.
        begun: True once any step has run.
        units: The state of the units.
    """

    recipe: Recipe
    units: UnitStates
    results: dict[str, StepResult]
    begun: bool

    def begin(self, step: Step | None = None) -> None:
        """Record that steps run, and that an attempt of this one begins."""

    def locks_of(
        self, step: Step, stop: threading.Event | None, on_wait: Callable[[], None]
    ) -> contextlib.AbstractContextManager[StepLocks | None]:
        """Hold the locks of a step while a ``with`` block runs."""

    def new_task(self, step: Step, lease: SlotLease, **changes: Any) -> Task:
        """Return a new task of a step; its attempts have these values of `AttemptContext`."""

    def kept(self, step: Step, result: StepResult) -> StepResult:
        """Record a result; return it, or a failed one."""

    def refusal(self, step: Step, error: LockError | ExpressionError | JournalError) -> StepResult:
        """Return the result of a step whose locks or record fail."""

    def note_failure(self, step: Step, result: StepResult) -> None:
        """Stop the workers if a result stops the recipe. The caller holds the lock."""

    def is_expected(self, step: Step, result: StepResult) -> bool:
        """Return True if the recipe expects the failure of a step."""

    def stopper_of(self, step: Step) -> str | None:
        """Return the name of the step whose failure has stopped the recipe or the unit, or None."""


def attempt_under_locks(
    run: Rules,
    task: Task,
    stop: threading.Event | None,
    on_wait: Callable[[], None],
    starts: Callable[[], bool],
) -> StepResult | None:
    """Run the next attempt of a task in this thread while the locks of its step are held.

    Args:
        run: The recipe run.
        task: The task.
        stop: Ends the wait for locks when it is set; None waits as long as necessary.
        on_wait: Called at each report of a wait for a lock.
        starts: Called with the locks held; the attempt runs only if `starts` returns True.

    Returns:
        The result of the step; None if another attempt follows, or if this one did not run.
    """
    loop, until = task.retry_loop, stop
    if loop.deadline is not None:
        from pytest_orchestrator.execution.recipe_deadline import StopAtDeadline

        until = StopAtDeadline(stop, loop.deadline)
    try:
        result = loop.overdue()
        if result is None and loop.number == 1:
            result = loop.prepare()
        if result is not None:
            return result
        with run.locks_of(loop.step, until, on_wait) as held:
            loop.waited += held.waited if held else 0.0
            if held is None and not (stop and stop.is_set()):
                return loop.overdue("it waited for its locks")
            if held is None or not starts():
                return None
            run.begin(loop.step)
            result = loop.run(held.files)
    except (LockError, ExpressionError, JournalError) as error:
        result = run.refusal(loop.step, error)
    except (OSError, RuntimeError) as error:
        lack = resource_failure(error)
        if lack is None:
            raise
        result = failed(loop.step, lack)
    return result and replace(result, waited=loop.waited)
