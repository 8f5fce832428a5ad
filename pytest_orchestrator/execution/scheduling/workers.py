"""Steps of a recipe that run before they are requested, in threads, one in each worker slot."""

import contextlib
import os
import threading
import time
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from pytest_orchestrator.core.result import StepResult
from pytest_orchestrator.execution.interruptible import InterruptibleEvent
from pytest_orchestrator.execution.lanes.lane import Slot
from pytest_orchestrator.execution.notifications import MainThreadQueue
from pytest_orchestrator.execution.scheduling.failures import resource_failure
from pytest_orchestrator.execution.scheduling.tasks import (
    FailFast,
    Frontier,
    Rules,
    SlotLease,
    StepDependencies,
    Task,
    TaskQueue,
    attempt_under_locks,
    cancel_all,
)
from pytest_orchestrator.execution.scheduling.units import Panel
from pytest_orchestrator.recipe.model.step import CodeStep, Step


class Workers:
    """Workers of one recipe run: they run the steps of a plan as soon as their needs have ended.

    Without a plan, as with a single slot, they run nothing.

    Args:
        run: The run of the recipe.
        slots: The worker slots; their number limits the steps that run at the same time.
        main_queue: The queue on which the main thread waits for the workers.
        variables: Returns additional environment variables for a step.

    Attributes:
        lock: Guards the tasks and the stop of the recipe.
        tasks: The tasks of the steps that were queued, by the name of the step.
        fail_fast: The fail-fast rule of the session.
        cause: The cause of the last stop, for the results.
        slots: Number of the worker slots.
        panel: The barriers and turns of the units; None without units.
    """

    def __init__(
        self,
        run: Rules,
        slots: Sequence[Slot],
        main_queue: MainThreadQueue,
        variables: Callable[[Step], dict[str, str]],
    ) -> None:
        self.lock = threading.Lock()
        self.tasks: dict[str, Task] = {}
        self.fail_fast = FailFast()
        self._run, self._main_queue, self._variables = run, main_queue, variables
        self._free = list(reversed(slots))
        self.slots = len(slots)
        self._frontier: Frontier | None = None
        self._queue = TaskQueue()
        self._running: set[Task] = set()
        self._environ: dict[str, str] = {}
        self._stop = InterruptibleEvent()
        self.cause = ""
        self._errors: list[BaseException] = []
        self._blocked: dict[str, StepResult] = {}
        self._stopped: dict[str, str] = {}
        self.panel: Panel | None = None
        if run.recipe.units is not None:
            self.panel = Panel(run.recipe, run.units.own_instruments, self._may_come, self._rests)

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

    def drop_plan(self) -> None:
        """Drop the plan, so that steps run on request only. Call this before the first request."""
        self._frontier = None

    def start_early(self) -> None:
        """Start the lanes of the first Python steps in advance, so that the steps begin sooner."""
        names = self._frontier.ready(self.result_of) if self._frontier else ()
        steps = [name for name in names if isinstance(self._run.recipe.step(name), CodeStep)]
        for _, slot in zip(steps, reversed(self._free), strict=False):
            slot.python.start()

    def result_of(self, name: str) -> StepResult | None:
        """Return the result of a step, requested or not, or None if it has not ended."""
        task = self.tasks.get(name)
        if task is not None:
            return task.result
        return self._run.results.get(name) or self._blocked.get(name)

    def _may_come(self, name: str) -> bool:
        """Return True if a step has not ended and may still run. The caller holds the lock."""
        task = self.tasks.get(name)
        if task is not None:
            return task.result is None
        is_planned = self._frontier is not None and self._frontier.has(name)
        return is_planned and self.result_of(name) is None

    def _rests(self, name: str) -> bool:
        task = self.tasks.get(name)
        return task is not None and task.rests

    def has_begun(self, name: str) -> bool:
        """Return True if a worker has begun a step, or has its result."""
        with self.lock:
            task = self.tasks.get(name)
            return task is not None and task.is_known

    def forget(self, name: str) -> None:
        """Remove the task of a step that has ended."""
        if self.tasks:
            with self.lock:
                self.tasks.pop(name, None)

    def leave_out(self, name: str) -> None:
        """Do not run a step whose result is known without a run. The caller holds the lock."""
        self.tasks.pop(name, None)
        if self._frontier is not None:
            self._frontier.leave(name)
        self._queue.keep(lambda task: task.step.name != name)

    def request(self, step: Step) -> Task:
        """Return the task of a requested step; queue a new one if it has none.

        The first call also queues the steps of the plan that are ready.
        """
        with self.lock:
            # A copy: pytest changes os.environ between two items, while threads read it.
            self._environ = dict(os.environ)
            if self.fail_fast.is_past(step):
                self._drop_cutoff()
            if self._frontier is not None and not self._run.begun:
                self._note_blocked()
                for name in self._frontier.ready(self.result_of):
                    self._enqueue(self._run.recipe.step(name))
            self._run.begin()
            if step.name not in self.tasks:
                self._enqueue(step, asked=True)
            self._start_threads()
            return self.tasks[step.name]

    def wait(self, task: Task) -> None:
        """Run queued tasks, and wait until a task has ended, or another event needs attention."""
        self._run_waiting()
        if task.result is None:
            self._main_queue.wait()
        self.check()

    def settle(self) -> None:
        """Drop the plan and the tasks that have not begun, and wait for the running tasks."""
        if self._frontier is not None:
            with self.lock:
                self.clear()
        while self._running or self._queue:
            self.check()
            self._run_waiting()
            if self._running:
                self._main_queue.wait()

    def _enqueue(self, step: Step, *, asked: bool = False) -> None:
        """Queue a step as a new task; a requested step gets the highest priority."""
        events: list[dict[str, Any]] = []
        task = self.tasks[step.name] = self._run.new_task(
            step,
            SlotLease(),
            environ=ChainMap(self._variables(step), self._environ),
            live=None,
            event_sink=events.append,
            is_cut_off=lambda: self._ends(step),
        )
        task.events = events
        weight = float("inf")
        if self._frontier is not None:
            weight = weight if asked else self._frontier.weight(step.name)
            self._frontier.leave(step.name)
        self._queue.put(task, weight)

    def enqueue_dependants(self, ended: str) -> None:
        """Queue the steps that waited for the step ``ended``. The caller holds the lock."""
        if self._frontier is None:
            return
        result, after = self.result_of(ended), [ended]
        if self.panel is not None and not (result and result.meets):
            self._note_blocked()
            after = []  # a failure in one unit may end what a step waits for in another
        for name in self._frontier.ready(self.result_of, *after) if self._run.begun else ():
            step = self._run.recipe.step(name)
            if not self.fail_fast.is_past(step) and (not step.is_final or self._has_begun(step)):
                self._enqueue(step)
        self._start_threads()

    def _note_blocked(self) -> None:
        """Find the steps of units that cannot run any more. The caller holds the lock."""
        if self._frontier is not None and self.panel is not None:
            self._blocked = {}
            step = self._run.recipe.step
            self._blocked = self._frontier.blocked(
                self.result_of, lambda name: self._run.stopper_of(step(name))
            )

    def _has_begun(self, final: Step) -> bool:
        """Return True if a step of the unit of a final step has begun."""
        return any(one.begun and one.step.unit == final.unit for one in self.tasks.values())

    def clear(self) -> None:
        """Drop the plan and the tasks that have not begun; their steps may be requested again.

        The caller holds the lock.
        """
        for task in self._queue.keep(lambda task: task.begun is not None):
            self.tasks.pop(task.step.name, None)
        if self._frontier is not None:
            self._frontier.clear()

    def stop(self, cause: str) -> None:
        """Start no further task; the main thread ends those that run. The caller holds the lock.

        Args:
            cause: The cause, for the results.
        """
        self.cause = cause
        self._stop.set()
        self._main_queue.wake()

    def stop_unit(self, step: Step, cause: str) -> None:
        """Start no further task of a unit; the main thread ends those that run.

        The caller holds the lock.

        Args:
            step: The step, or the sampled value, that stops its unit.
            cause: The cause, for the results.
        """
        if step.unit in self._stopped:
            return
        self._stopped[step.unit] = cause
        self._run.units.stoppers[step.unit] = step.name
        for task in self._queue.keep(lambda one: one.begun is not None or not self._ends(one.step)):
            self.tasks.pop(task.step.name, None)
        self._main_queue.wake()

    def abort_unit(self, unit: str, cause: str) -> None:
        """End the steps of a unit that run, and start no other but those of ``finally``.

        Thread-safe. If none runs, the first that has not ended is interrupted, and blocks the rest.

        Args:
            unit: The name of the unit.
            cause: The cause, for the results.
        """
        with self.lock:
            steps = [one for one in self._run.recipe.steps if one.unit == unit]
            left = [one for one in steps if self._may_come(one.name)]
            tasks = [self.tasks[one.name] for one in left if one.name in self.tasks]
            begun = [one for one in tasks if one.begun is not None]
            if not left or unit in self._stopped or self._frontier is None or not self._run.begun:
                return
            first = begun[0].step if begun else left[0]
            self.stop_unit(first, cause)
            if not begun:
                task = self.tasks[first.name] = self._run.new_task(first, SlotLease())
                task.result = task.retry_loop.interrupted(time.time(), cause)
                self._frontier.leave(first.name)
                self.enqueue_dependants(first.name)

    def go_on(self, step: Step) -> None:
        """Note that a step is rerun; start tasks of its unit again if it had stopped the unit."""
        with self.lock:
            if self._run.units.stoppers.get(step.unit) == step.name:
                del self._run.units.stoppers[step.unit], self._stopped[step.unit]
            self._note_blocked()

    def check(self) -> None:
        """Raise a stored exception of a worker thread; end the tasks that must not continue."""
        if self._errors:
            raise self._errors.pop()
        interrupt = None
        if self._stop.is_set():
            interrupt = self.end_all(self.cause)
        elif self.fail_fast.has_cutoff and any(map(self._is_late, (*self._running,))):
            interrupt = self._end(self._is_late, self.fail_fast.cause)
        else:
            for unit, cause in self._stopped.items():

                def is_of_unit(task: Task, unit: str = unit) -> bool:
                    return task.step.unit == unit and not task.step.is_final

                if any(map(is_of_unit, (*self._running,))):
                    interrupt = interrupt or self._end(is_of_unit, cause)
        if interrupt is not None:
            raise interrupt

    def _ends(self, step: Step) -> bool:
        """Return True if a step must end, because the run stops or fail-fast excludes it."""
        if self._stop.is_set() or (step.unit in self._stopped and not step.is_final):
            return True
        return self.fail_fast.is_past(step)

    def _is_late(self, task: Task) -> bool:
        """Return True if a task is running although its step comes after the fail-fast cutoff."""
        return task.runs and self.fail_fast.is_past(task.step)

    def _apply_fail_fast(self, task: Task, result: StepResult) -> None:
        """Dequeue the steps after the cutoff if the result of a task sets a cutoff.

        The caller holds the lock.
        """
        if self._fails(task, result):
            others = [one for one in self.tasks.values() if one.step.name not in self._run.results]
            failed = [one.step for one in others if self._fails(one, one.result)]
            self.fail_fast.add_failures([*failed, task.step])
            for one in self._queue.keep(lambda one: not self.fail_fast.is_past(one.step)):
                if not one.begun:
                    self.tasks.pop(one.step.name, None)

    def _fails(self, task: Task, result: StepResult | None) -> bool:
        if task.cut or result is None or result.outcome != "failed":
            return False
        return not self._run.is_expected(task.step, result)

    def _drop_cutoff(self) -> None:
        """Drop the cutoff, because a step after it is requested. The caller holds the lock."""
        self.fail_fast = FailFast()
        self._queue.keep(lambda _: False)
        for name, task in [*self.tasks.items()]:
            if task.result is None and task not in self._running:
                del self.tasks[name]

    def end_all(self, cause: str) -> BaseException | None:
        """End all tasks; return the KeyboardInterrupt that arrived meanwhile, or None.

        Args:
            cause: The cause, for the results.
        """
        self._stop.set()
        with self.lock:
            self.clear()
            self._queue.keep(lambda _: False)
        interrupt = self._end(lambda _: True, cause)
        self._stop.clear()
        return interrupt

    def _end(self, which: Callable[[Task], bool], cause: str) -> BaseException | None:
        """End the selected tasks; return the KeyboardInterrupt that arrived meanwhile, or None."""
        with self.lock:
            for task in [one for one in self._running if which(one) and one.rests]:
                self._running.discard(task)  # first: Ctrl-C may come between these two lines
                task.wake()
            tasks = list(filter(which, self.tasks.values()))
        interrupt = cancel_all(
            lambda: list(filter(which, (*self._running,))), self._main_queue.wait
        )
        for task in tasks:
            if task.begun:
                task.result, task.cut = task.cut_off(cause), False
        return interrupt

    def _next_task(self) -> Task | None:
        """Return a queued task, with a free slot leased to it; None if no task can start.

        The caller holds the lock.
        """
        if not self._free or self._stop.is_set():
            return None
        if self.panel is None:
            task = self._queue.take(self._running)
        else:
            panel, queued, free = self.panel, self._queue.names, len(self._free)
            panel.keep(queued)

            def may_start(one: Task) -> bool:
                return panel.may_start(one.step, queued, free, is_new=one.begun is None)

            task = self._queue.take(self._running, may_start)
        if task is not None:
            if self.panel is not None:
                self.panel.begin(task.step)
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
        with self.lock:
            self._start_threads()
            task = None if self._running else self._next_task()
        if task is not None:
            self._work(task)

    def _work(self, task: Task) -> None:
        """Run one attempt of a task, free its slot, and queue the steps that are now ready."""
        with self.lock:
            if task not in self._running:  # Ctrl-C interrupted the start of this thread
                return
        result = None
        with self._errors_caught():
            result = self._result_of_attempt(task)
        with self._errors_caught(), self.lock:
            self._free += task.lease.leave()
            if result is not None:
                self._apply_fail_fast(task, result)
                task.result = result
                self._run.note_failure(task.step, result)
            task.rests = result is None and not self._ends(task.step)
            if not task.rests:
                self._running.discard(task)
            if not self._stop.is_set():
                self.enqueue_dependants(task.step.name)
        self._main_queue.wake()
        if task.rests:
            task.rest()
            self._requeue(task)

    @contextlib.contextmanager
    def _errors_caught(self) -> Iterator[None]:
        """Catch an exception in a worker thread, so that `check` raises it in the main thread."""
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - raised again by `check`
            self._errors.append(error)
            self._stop.set()

    def _result_of_attempt(self, task: Task) -> StepResult | None:
        """Run one attempt of a task; record the result unless the task is interrupted."""
        result = self.attempt(
            task, self._stop, lambda: self._release_slot(task), lambda: self._may_run(task)
        )
        if task.runs:
            task.runs = False
            task.cut = self._ends(task.step)
        # The result of an interrupted task is recorded later, with the cause.
        return result if result is None or task.cut else self._run.kept(task.step, result)

    def attempt(
        self,
        task: Task,
        stop: threading.Event | None = None,
        on_wait: Callable[[], None] = lambda: None,
        starts: Callable[[], bool] = lambda: True,
    ) -> StepResult | None:
        """Run the next attempt of a task; before its first one, the run may hold for a person."""
        run: Any = self._run
        if task.hold is None and run.callbacks.is_held(task.step):
            from pytest_orchestrator.execution.scheduling.hold import Hold

            def is_over() -> bool:
                return (stop is not None and stop.is_set()) or self._ends(task.step)

            task.hold = Hold(run, task, is_over).attempt
        attempt = partial(attempt_under_locks, self._run, task, stop, on_wait, starts)
        return attempt() if task.hold is None else task.hold(attempt)

    def _release_slot(self, task: Task) -> None:
        """Free the slot of a task that waits for a lock, and start other tasks."""
        with self.lock:
            self._free += task.lease.leave()
            self._start_threads()

    def _may_run(self, task: Task) -> bool:
        """Mark a task as running and return True if it may run now, else return False."""
        with self.lock:
            if self._free and not task.lease.is_held:
                task.lease.take(self._free.pop())
            # The locks of the task may have new names since it was prepared.
            waits = task.collides(self._running)
            may = task.lease.is_held and not waits and not self._ends(task.step)
            if may:
                task.begun, task.runs = task.begun or time.time(), True
            return may

    def _requeue(self, task: Task) -> None:
        """Queue a task again whose retry delay is over."""
        with self._errors_caught(), self.lock:
            if task.rests:
                task.rests = False
                self._running.discard(task)
                if not self.fail_fast.is_past(task.step):
                    self._queue.put(task)
                self._start_threads()
        self._main_queue.wake()
