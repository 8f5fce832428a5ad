"""Parallel run of a recipe: worker threads that run ready steps in worker slots.

The first requested step starts the run. The caller requests steps in the order of the recipe and
waits only for the requested step, so that the session proceeds as in a sequential run. ``results``
holds the results that were requested, not those of all steps that have ended.
"""

import contextlib
import os
import threading
import time
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.result import StepResult
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.execution.interruptible import InterruptibleEvent
from pytest_orchestrator.execution.lanes.lane import Slot
from pytest_orchestrator.execution.scheduling.failures import resource_failure
from pytest_orchestrator.execution.scheduling.queue import (
    FailFast,
    Frontier,
    StepDependencies,
    TaskQueue,
)
from pytest_orchestrator.execution.scheduling.serial import RecipeRun, cause_of
from pytest_orchestrator.execution.scheduling.task import Task, cancel_all
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import CodeStep, Step

if TYPE_CHECKING:
    from pytest_orchestrator.execution.locks.locks import LockWait

_LONGEST_RELEASE = 60.0
"""Seconds for the safe commands of instruments that are kept for later recipes."""


class ParallelRun(RecipeRun):
    """Recipe run whose worker threads run steps in parallel, before their results are requested.

    Without a plan it runs each step on request, as `RecipeRun` does. It also takes the arguments of
    `RecipeRun`.

    Args:
        slots: The worker slots; their number limits the steps that run at the same time.
        variables: Returns additional environment variables for a step.

    Attributes:
        fail_fast: The fail-fast rule of the session.
        unrequested: Names of the steps whose results `cancel` stored before they were requested.
    """

    def __init__(
        self,
        recipe: Recipe,
        context: Context,
        attempt_defaults: AttemptContext,
        *,
        slots: Sequence[Slot],
        variables: Callable[[Step], dict[str, str]] = lambda _step: {},
    ) -> None:
        super().__init__(recipe, context, attempt_defaults)
        self.fail_fast = FailFast()
        self.unrequested: list[str] = []
        self._main_queue = self.config.main_queue
        self._variables = variables
        self._environ: dict[str, str] = {}
        self._lock = threading.Lock()
        self._stop = InterruptibleEvent()
        self._free = list(reversed(slots))
        self._frontier: Frontier | None = None
        self._tasks: dict[str, Task] = {}
        self._queue = TaskQueue()
        self._running: set[Task] = set()
        self._errors: list[BaseException] = []

    @property
    def has_plan(self) -> bool:
        """True if a plan exists, so that steps run before they are requested."""
        return self._frontier is not None

    def plan(
        self, waits: Mapping[str, StepDependencies], seconds: Mapping[str, float] | None = None
    ) -> None:
        """Set the steps that run before they are requested, with their dependencies.

        Args:
            waits: The names of the steps with their dependencies, without ``finally`` steps.
            seconds: Durations of steps in earlier runs, as far as they are known.
        """
        self._frontier = Frontier(waits, seconds or {})

    def start_early(self) -> None:
        """Start the lanes of the first Python steps in advance, so that the steps begin sooner."""
        names = self._frontier.ready(self.known) if self._frontier else ()
        steps = [name for name in names if isinstance(self.recipe.step(name), CodeStep)]
        for _, slot in zip(steps, reversed(self._free), strict=False):
            slot.python.start()

    def drop_plan(self) -> None:
        """Drop the plan, so that steps run on request only. Call this before the first request."""
        self._frontier = None

    def note(self, step: Step, outcome: str, reason: str) -> StepResult:
        """Dequeue a step that failed or was skipped in its setup; store and return its result."""
        with self._lock:
            result = super().note(step, outcome, reason)
            self._tasks.pop(step.name, None)
            if self._frontier is not None:
                self._frontier.leave(step.name)
            self._queue.keep(lambda task: task.step.name != step.name)
            self._enqueue_dependants(step.name)
        self._check()
        return result

    def block(self, step: Step, blocker: str) -> StepResult:
        """Store and return the result of a blocked step; queue the steps that are now ready."""
        with self._lock:
            result = super().block(step, blocker)
            self._enqueue_dependants(step.name)
        return result

    def settle(self) -> None:
        """Drop the plan and the tasks that have not begun, and wait for the running tasks."""
        with self._lock:
            self._clear_queue()
        while self._running or self._queue:
            try:
                self._check()
                self._run_waiting()
            except BaseException as error:
                self.cancel(cause_of(error))
                raise
            if self._running:
                self._main_queue.wait()

    def cancel(self, cause: str) -> None:
        """End all running steps, and store the results of all steps that have begun.

        Args:
            cause: The cause of the cancellation, for the results.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed meanwhile, which cut the grace period short.
        """
        interrupt = self._end_all(cause)
        for name, task in self._tasks.items():
            if task.begun and task.result is not None and name not in self.results:
                self._keep(task.step, task.result)
                self.unrequested.append(name)
        if interrupt is not None:
            raise interrupt

    def abort(self, name: str, reason: str) -> None:
        """End all steps that run, and block the others except those of ``finally``. Thread-safe."""
        if self._frontier is None:
            super().abort(name, reason)
            return
        with self._lock:
            self.stopper = self.stopper or name
            self._abort_reason = f"{self.recipe.node(name)}: {reason}"
            self.aborted.set()
            self._stop.set()
        self._main_queue.wake()

    def trim_result(self, step: Step) -> None:
        """Reduce a step's stored result to the fields that other steps may use, to save memory."""
        with self._lock:
            super().trim_result(step)
            if step.name in self.results:
                self._tasks.pop(step.name, None)

    def finish(self) -> list[StepResult]:
        """Wait for running steps, end the services, release the locks; return service results."""
        self.settle()
        return super().finish()

    def _forget(self, step: Step) -> None:
        with self._lock:
            super()._forget(step)
            self._tasks.pop(step.name, None)

    def _run(self, step: Step, fixtures: Mapping[str, object]) -> None:
        """Wait for a step's result; without a plan, or if it is final, run it in this thread."""
        if self._frontier is None or step.is_final:
            self.settle()
            super()._run(step, fixtures)
            return
        task = None
        try:
            self._check()
            task = self._request(step)
            while task.result is None:
                self._run_waiting()
                if task.result is None:
                    self._main_queue.wait()
                self._check()
                if self.stopper is not None and not task.is_known:
                    self.block(step, self.stopper)
                    return
            self._keep(step, task.result)
        except BaseException as error:
            cause = cause_of(error)
            self.cancel(cause)
            if step.name not in self.results:
                retry_loop = task.retry_loop if task else self._retry_loop(step, {})
                self._keep(step, retry_loop.interrupted(time.time(), cause))
            raise
        while task.events:
            self.callbacks.replay_event(task.events.pop(0))

    def _is_stopped(self, step: Step) -> bool:
        with self._lock:
            task = self._tasks.get(step.name)
            return super()._is_stopped(step) and not (task and task.is_known)

    def _check(self) -> None:
        """Raise a stored exception of a worker thread; end the tasks that must not continue."""
        if self._errors:
            raise self._errors.pop()
        interrupt = None
        if self._stop.is_set():
            cause = self._abort_reason or f"{self.recipe.id}::{self.stopper} failed"
            interrupt = self._end_all(cause)
        elif self.fail_fast.has_cutoff and any(map(self._is_late, (*self._running,))):
            interrupt = self._end_these(self._is_late, self.fail_fast.cause)
        if interrupt is not None:
            raise interrupt

    def _is_late(self, task: Task) -> bool:
        """Return True if a task is running although its step comes after the fail-fast cutoff."""
        return task.runs and self.fail_fast.is_past(task.step)

    def _apply_fail_fast(self, task: Task, result: StepResult) -> None:
        """Dequeue the steps after the cutoff if the result of a task sets a cutoff.

        The caller holds the lock.
        """
        if self._fails(task, result):
            others = [one for one in self._tasks.values() if one.step.name not in self.results]
            failed = [one.step for one in others if self._fails(one, one.result)]
            self.fail_fast.add_failures([*failed, task.step])
            for one in self._queue.keep(lambda one: not self.fail_fast.is_past(one.step)):
                if not one.begun:
                    self._tasks.pop(one.step.name, None)

    def _fails(self, task: Task, result: StepResult | None) -> bool:
        if task.cut or result is None or result.outcome != "failed":
            return False
        return not self._is_expected(task.step, result)

    def _drop_cutoff(self) -> None:
        """Drop the cutoff, because a step after it is requested. The caller holds the lock."""
        self.fail_fast = FailFast()
        self._queue.keep(lambda _: False)
        for name, task in [*self._tasks.items()]:
            if task.result is None and task not in self._running:
                del self._tasks[name]

    def _end_all(self, cause: str) -> BaseException | None:
        """End all tasks; return the KeyboardInterrupt that arrived meanwhile, or None."""
        self._stop.set()
        with self._lock:
            self._clear_queue()
            self._queue.keep(lambda _: False)
        interrupt = self._end_these(lambda _: True, cause)
        self._stop.clear()
        return interrupt

    def _end_these(self, which: Callable[[Task], bool], cause: str) -> BaseException | None:
        """End the selected tasks; return the KeyboardInterrupt that arrived meanwhile, or None."""
        with self._lock:
            for task in [one for one in self._running if which(one) and one.timer is not None]:
                self._running.discard(task)  # first: Ctrl-C may come between these two lines
                task.stop_waiting()
            tasks = list(filter(which, self._tasks.values()))
        interrupt = cancel_all(lambda: list(filter(which, (*self._running,))), self._main_queue)
        for task in tasks:
            if task.begun:
                task.result, task.cut = task.cut_off(cause), False
        return interrupt

    def _request(self, step: Step) -> Task:
        """Return the task of a requested step; queue a new one if it has none.

        The first call also queues the steps of the plan that are ready.
        """
        with self._lock:
            # A copy: pytest changes os.environ between two items, while threads read it.
            self._environ = dict(os.environ)
            if self.fail_fast.is_past(step):
                self._drop_cutoff()
            if self._frontier is not None and not self.begun:
                for name in self._frontier.ready(self.known):
                    self._enqueue(self.recipe.step(name))
            self._begin()
            if step.name not in self._tasks:
                self._enqueue(step, asked=True)
            self._start_threads()
            return self._tasks[step.name]

    def _enqueue(self, step: Step, *, asked: bool = False) -> None:
        """Queue a step as a new task; a requested step gets the highest priority."""
        environ = ChainMap(self._variables(step), self._environ)
        attempt = msgspec.structs.replace(
            self._attempt_defaults_of(step),
            environ=environ,
            live=None,
            is_cut_off=lambda: self._stop.is_set() or self.fail_fast.is_past(step),
        )
        task = Task(step, attempt, self._retry_loop)
        self._tasks[step.name] = task
        weight = (
            float("inf") if asked or self._frontier is None else self._frontier.weight(step.name)
        )
        if self._frontier is not None:
            self._frontier.leave(step.name)
        self._queue.put(task, weight)

    def known(self, name: str) -> StepResult | None:
        """Return the result of a step, or None if it has not ended."""
        task = self._tasks.get(name)
        return self.results.get(name) if task is None else task.result

    def _enqueue_dependants(self, ended: str) -> None:
        """Queue the steps that waited for the step ``ended``. The caller holds the lock."""
        for name in (
            self._frontier.ready(self.known, ended) if self._frontier and self.begun else ()
        ):
            if not self.fail_fast.is_past(step := self.recipe.step(name)):
                self._enqueue(step)
        self._start_threads()

    def _clear_queue(self) -> None:
        """Drop the plan and the tasks that have not begun; their steps may be requested again."""
        for task in self._queue.keep(lambda task: task.begun is not None):
            self._tasks.pop(task.step.name, None)
        if self._frontier is not None:
            self._frontier.clear()

    def _note_failure(self, step: Step, result: StepResult) -> bool:
        """Record a failure; if it stops the recipe, start no further step and return True."""
        stops = super()._note_failure(step, result)
        if stops and self._is_overdue(result):
            self._clear_queue()  # the steps that still run end by themselves, as `timeout`
        elif stops:
            self._stop.set()
        return stops

    def _report_lock_wait(self, wait: "LockWait") -> None:
        self._main_queue.in_main_thread(self.callbacks.on_lock_wait)(wait)

    def _release_idle(self) -> None:
        released = InterruptibleEvent()

        def release(until: threading.Event) -> None:
            try:
                self.callbacks.release_idle_instruments()
            finally:
                until.set()

        self._main_queue.in_main_thread(release)(released)
        released.wait(_LONGEST_RELEASE)

    def _next_task(self) -> Task | None:
        """Return a queued task, with a free slot leased to it; None if no task can start.

        The caller holds the lock.
        """
        if not self._free or self._stop.is_set():
            return None
        task = self._queue.take(self._running)
        if task is not None:
            task.lease.take(self._free.pop())
            self._running.add(task)
        return task

    def _start_threads(self) -> None:
        """Start a thread for each queued task that gets a free slot. The caller holds the lock."""
        while task := self._next_task():
            name = f"recipe step {task.step.name}"
            thread = threading.Thread(target=self._work, args=(task,), name=name, daemon=True)
            try:
                thread.start()
            except BaseException as error:
                if not thread.is_alive():
                    self._running.discard(task)
                    self._free += task.lease.leave()
                if resource_failure(error) is None:
                    raise
                # The system allows fewer threads than slots: the task waits until a thread ends.
                self._queue.put(task)
                return

    def _run_waiting(self) -> None:
        """Start queued tasks in threads; run one in this thread if no thread can be started."""
        with self._lock:
            self._start_threads()
            task = None if self._running else self._next_task()
        if task is not None:
            self._work(task)

    def _work(self, task: Task) -> None:
        """Run one attempt of a task, free its slot, and queue the steps that are now ready."""
        with self._lock:
            if task not in self._running:  # Ctrl-C interrupted the start of this thread
                return
        result, waits = None, False
        with self._errors_caught():
            result = self._result_of_attempt(task)
        with self._errors_caught(), self._lock:
            self._free += task.lease.leave()
            if result is not None:
                self._apply_fail_fast(task, result)
                task.result = result
                self._note_failure(task.step, result)
            waits = result is None and not self._ends(task)
            if waits:
                waits = not task.wait(self._requeue)  # after the delay the task waits for a slot
            else:
                self._running.discard(task)
            if not self._stop.is_set():
                self._enqueue_dependants(task.step.name)
        if waits and task.rest():  # no timer thread could be started
            self._requeue(task)
        self._main_queue.wake()

    @contextlib.contextmanager
    def _errors_caught(self) -> Iterator[None]:
        """Catch an exception in a worker thread, so that `_check` raises it in the main thread."""
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - raised again by `_check`
            self._errors.append(error)
            self._stop.set()

    def _result_of_attempt(self, task: Task) -> StepResult | None:
        """Run one attempt of a task; record the result unless the task is interrupted."""
        result = self._run_attempt(
            task.retry_loop,
            self._stop,
            lambda: self._release_slot(task),
            lambda: self._may_run(task),
        )
        if task.runs:
            task.runs = False
            task.cut = self._ends(task)
        # The result of an interrupted task is recorded later, with the cause.
        return result if result is None or task.cut else self._kept(task.step, result)

    def _ends(self, task: Task) -> bool:
        """Return True if a task must end, because the run stops or fail-fast excludes its step."""
        return self._stop.is_set() or self.fail_fast.is_past(task.step)

    def _release_slot(self, task: Task) -> None:
        """Free the slot of a task that waits for a lock, and start other tasks."""
        with self._lock:
            self._free += task.lease.leave()
            self._start_threads()

    def _may_run(self, task: Task) -> bool:
        """Mark a task as running and return True if it may run now, else return False."""
        with self._lock:
            if self._free and not task.lease.is_held:
                task.lease.take(self._free.pop())
            # The locks of the task may have new names since it was prepared.
            waits = task.collides(self._running)
            may = task.lease.is_held and not waits and not self._ends(task)
            if may:
                task.begun, task.runs = task.begun or time.time(), True
            return may

    def _requeue(self, task: Task) -> None:
        """Queue a task again whose retry delay is over."""
        with self._errors_caught(), self._lock:
            if task.timer is not None:
                task.timer = None
                self._running.discard(task)
                if not self.fail_fast.is_past(task.step):
                    self._queue.put(task)
                self._start_threads()
        self._main_queue.wake()
