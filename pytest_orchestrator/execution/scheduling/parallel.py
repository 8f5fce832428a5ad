"""Parallel run of a recipe: worker threads that run ready steps in worker slots.

The first requested step starts the run. A caller waits only for the step that it requests, and
requests steps in the order of the recipe, so that the session proceeds as in a sequential run:
``results`` has the results that were requested, not those of all steps that have ended.
"""

import contextlib
import os
import threading
import time
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.result import StepResult
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.execution.lanes.lane import Slot
from pytest_orchestrator.execution.locks.locks import LockWait
from pytest_orchestrator.execution.scheduling.attempt import resource_failure
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


class ThreadedRun(RecipeRun):
    """Recipe run whose worker threads run queued steps in free worker slots.

    Args:
        slots: The worker slots; their number limits the steps that run at the same time. The other
            arguments are those of `RecipeRun`.

    Attributes:
        cutoff: The fail-fast rule of the session.
    """

    def __init__(
        self,
        recipe: Recipe,
        context: Context,
        attempt_defaults: AttemptContext,
        slots: Sequence[Slot],
    ) -> None:
        super().__init__(recipe, context, attempt_defaults)
        self._main_queue = self.config.main_queue
        self._free = list(reversed(slots))
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._ready = TaskQueue()
        self._busy: set[Task] = set()
        self._errors: list[BaseException] = []
        self.cutoff = FailFast()

    def _judge(self, job: Task, result: StepResult) -> None:
        """Apply fail-fast to a new result. The caller holds the lock."""
        raise NotImplementedError

    def _follow(self, ended: str) -> None:
        """Queue the steps that waited for the step ``ended``. The caller holds the lock."""
        raise NotImplementedError

    def _note_failure(self, step: Step, result: StepResult) -> bool:
        """Record a failure; if it stops the recipe, start no further step and return True."""
        stops = super()._note_failure(step, result)
        if stops:
            self._stop.set()
        return stops

    def _report_lock_wait(self, wait: LockWait) -> None:
        self._main_queue.in_main_thread(self.callbacks.on_lock_wait)(wait)

    def _staff(self) -> None:
        """Start a thread for each queued task that gets a free slot. The caller holds the lock."""
        while self._free and not self._stop.is_set() and (job := self._ready.take(self._busy)):
            job.seat.take(self._free.pop())
            self._busy.add(job)
            name = f"recipe step {job.step.name}"
            thread = threading.Thread(target=self._work, args=(job,), name=name, daemon=True)
            try:
                thread.start()
            except BaseException as error:
                if not thread.is_alive():
                    self._busy.discard(job)
                    self._free += job.seat.leave()
                if resource_failure(error) is None:
                    raise
                # The system allows fewer threads than slots: the task waits until one ends.
                self._ready.put(job)
                return

    def _run_waiting(self) -> None:
        """Start queued tasks in threads; run one in this thread if no thread can be started."""
        with self._lock:
            self._staff()
            job = None
            if not self._busy and not self._stop.is_set() and self._free:
                job = self._ready.take(())
            if job is None:
                return
            job.seat.take(self._free.pop())
            self._busy.add(job)
        self._work(job)

    def _work(self, job: Task) -> None:
        """Run one attempt of a task, free its slot, and queue the steps that waited for it."""
        result, waits = None, False
        with self._raised():
            result = self._try(job)
        with self._raised(), self._lock:
            self._free += job.seat.leave()
            if result is not None:
                self._judge(job, result)
                job.result = result
                self._note_failure(job.step, result)
            waits = result is None and not self._ends(job)
            if waits:
                waits = not job.wait(self._again)  # it then waits for a slot, too
            else:
                self._busy.discard(job)
            if not self._stop.is_set():
                self._follow(job.step.name)
        if waits and job.rest():  # no timer thread could be started
            self._again(job)
        self._main_queue.wake()

    @contextlib.contextmanager
    def _raised(self) -> Iterator[None]:
        """Catch an exception in a worker thread, so that `_mind` raises it in the main thread."""
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - raised again by `_mind`
            self._errors.append(error)
            self._stop.set()

    def _try(self, job: Task) -> StepResult | None:
        result = self._run_attempt(
            job.tries, self._stop, lambda: self._leave(job), lambda: self._may_run(job)
        )
        if job.runs:
            job.runs = False
            job.cut = self._ends(job)
        # The result of an interrupted task is recorded later, with the cause.
        return result if result is None or job.cut else self._kept(job.step, result)

    def _ends(self, job: Task) -> bool:
        """Return True if a task must end, because the run stops or fail-fast excludes its step."""
        return self._stop.is_set() or self.cutoff.is_past(job.step)

    def _leave(self, job: Task) -> None:
        """Free the slot of a task that waits for a lock, and start other tasks."""
        with self._lock:
            self._free += job.seat.leave()
            self._staff()

    def _may_run(self, job: Task) -> bool:
        """Mark a task as running and return True if it may run now, else return False."""
        with self._lock:
            if self._free and not job.seat.is_held:
                job.seat.take(self._free.pop())
            waits = job.collides(self._busy)  # its locks may have new names since it was prepared
            may = job.seat.is_held and not waits and not self._ends(job)
            if may:
                job.begun, job.runs = job.begun or time.time(), True
            return may

    def _again(self, job: Task) -> None:
        """Queue a task again whose retry delay is over."""
        with self._raised(), self._lock:
            if job.timer is not None:
                job.timer = None
                self._busy.discard(job)
                if not self.cutoff.is_past(job.step):
                    self._ready.put(job)
                self._staff()
        self._main_queue.wake()


class ParallelRun(ThreadedRun):
    """Recipe run that runs steps in parallel, before their results are requested.

    Without a plan it runs each step on request, as `RecipeRun` does.

    Args:
        slots: The worker slots; their number limits the steps that run at the same time.
        variables: Returns additional environment variables for a step.

    Attributes:
        untaken: Names of the steps whose results `cancel` has stored before they were requested.
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
        super().__init__(recipe, context, attempt_defaults, slots)
        self.untaken: list[str] = []
        self._ahead: Frontier | None = None
        self._jobs: dict[str, Task] = {}
        self._variables = variables
        self._environ: dict[str, str] = {}

    @property
    def is_ahead(self) -> bool:
        """True if a plan exists, so that steps run before they are requested."""
        return self._ahead is not None

    def plan(
        self, waits: Mapping[str, StepDependencies], seconds: Mapping[str, float] | None = None
    ) -> None:
        """Set the steps that run before they are requested, with their dependencies.

        Args:
            waits: The names of the steps with their dependencies, without ``finally`` steps.
            seconds: Durations of steps in earlier runs, as far as they are known.
        """
        self._ahead = Frontier(waits, seconds or {})

    def start_early(self) -> None:
        """Start the lanes of the first Python steps in advance, so that the steps begin sooner."""
        names = self._ahead.ready(self.known) if self._ahead else ()
        steps = [name for name in names if isinstance(self.recipe.step(name), CodeStep)]
        for _, slot in zip(steps, reversed(self._free), strict=False):
            slot.python.start()

    def one_by_one(self) -> None:
        """Drop the plan, so that steps run on request only. Call this before the first request."""
        self._ahead = None

    def note(self, step: Step, outcome: str, reason: str) -> StepResult:
        """Dequeue a step that failed or was skipped in its setup; store and return its result."""
        with self._lock:
            result = super().note(step, outcome, reason)
            self._jobs.pop(step.name, None)
            if self._ahead is not None:
                self._ahead.leave(step.name)
            self._ready.keep(lambda job: job.step.name != step.name)
            self._follow(step.name)
        self._mind()
        return result

    def block(self, step: Step, blocker: str) -> StepResult:
        """Store and return the result of a blocked step; queue the steps that waited for it."""
        with self._lock:
            result = super().block(step, blocker)
            self._follow(step.name)
        return result

    def settle(self) -> None:
        """Drop the plan and the tasks that have not begun, and wait for the running tasks."""
        with self._lock:
            self._clear()
        while self._busy or self._ready:
            try:
                self._mind()
                self._run_waiting()
            except BaseException as error:
                self.cancel(cause_of(error))
                raise
            if self._busy:
                self._main_queue.wait()

    def cancel(self, cause: str) -> None:
        """End all running steps, and store the results of all steps that have begun.

        Args:
            cause: The cause of the cancellation, for the results.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed meanwhile; the steps were killed at once.
        """
        interrupt = self._end_all(cause)
        for name, job in self._jobs.items():
            if job.begun and job.result is not None and name not in self.results:
                self._keep(job.step, job.result)
                self.untaken.append(name)
        if interrupt is not None:
            raise interrupt

    def shorten(self, step: Step) -> None:
        """Reduce a step's stored result to the fields that other steps may use, to save memory."""
        with self._lock:
            super().shorten(step)
            if step.name in self.results:
                self._jobs.pop(step.name, None)

    def over(self) -> list[StepResult]:
        """Wait for running steps, end the services, release the locks; return service results."""
        self.settle()
        return super().over()

    def _forget(self, step: Step) -> None:
        with self._lock:
            super()._forget(step)
            self._jobs.pop(step.name, None)

    def _run(self, step: Step, fixtures: Mapping[str, object]) -> None:
        """Wait for a step's result; run the step in this thread if it is final or has no plan."""
        if self._ahead is None or step.is_final:
            self.settle()
            super()._run(step, fixtures)
            return
        job = None
        try:
            self._mind()
            job = self._asked(step)
            while job.result is None:
                self._run_waiting()
                if job.result is None:
                    self._main_queue.wait()
                self._mind()
                if self.stopper is not None and not job.is_known:
                    self.block(step, self.stopper)
                    return
            self._keep(step, job.result)
        except BaseException as error:
            cause = cause_of(error)
            self.cancel(cause)
            if step.name not in self.results:
                tries = job.tries if job else self._retry_loop(step, {})
                self._keep(step, tries.interrupted(time.time(), cause))
            raise
        while job.heard:
            self.callbacks.replay_event(job.heard.pop(0))

    def _is_stopped(self, step: Step) -> bool:
        with self._lock:
            job = self._jobs.get(step.name)
            return super()._is_stopped(step) and not (job and job.is_known)

    def _mind(self) -> None:
        """Raise a stored exception of a worker thread; end the tasks that must not go on."""
        if self._errors:
            raise self._errors.pop()
        interrupt = None
        if self._stop.is_set():
            interrupt = self._end_all(f"{self.recipe.id}::{self.stopper} failed")
        elif self.cutoff.is_known and any(map(self._is_late, (*self._busy,))):
            interrupt = self._end_these(self._is_late, self.cutoff.cause)
        if interrupt is not None:
            raise interrupt

    def _is_late(self, job: Task) -> bool:
        """Return True if a task is running although its step comes after the fail-fast cutoff."""
        return job.runs and self.cutoff.is_past(job.step)

    def _judge(self, job: Task, result: StepResult) -> None:
        """Dequeue the steps after the cutoff if a result sets one. The caller holds the lock."""
        if self._fails(job, result):
            others = [one for one in self._jobs.values() if one.step.name not in self.results]
            failed = [one.step for one in others if self._fails(one, one.result)]
            self.cutoff.judge([*failed, job.step])
            for one in self._ready.keep(lambda one: not self.cutoff.is_past(one.step)):
                if not one.begun:
                    self._jobs.pop(one.step.name, None)

    def _fails(self, job: Task, result: StepResult | None) -> bool:
        if job.cut or result is None or result.outcome != "failed":
            return False
        return not self._is_expected(job.step, result)

    def _resume(self) -> None:
        """Drop the cutoff, because a step after it is requested. The caller holds the lock."""
        self.cutoff = FailFast()
        self._ready.keep(lambda _: False)
        for name, job in [*self._jobs.items()]:
            if job.result is None and job not in self._busy:
                del self._jobs[name]

    def _end_all(self, cause: str) -> BaseException | None:
        """End all tasks; return the KeyboardInterrupt that arrived meanwhile, or None."""
        self._stop.set()
        with self._lock:
            self._clear()
            self._ready.keep(lambda _: False)
        interrupt = self._end_these(lambda _: True, cause)
        self._stop.clear()
        return interrupt

    def _end_these(self, which: Callable[[Task], bool], cause: str) -> BaseException | None:
        """End the selected tasks; return the KeyboardInterrupt that arrived meanwhile, or None."""
        with self._lock:
            self._busy -= {job for job in self._busy if which(job) and job.stop_waiting()}
            jobs = list(filter(which, self._jobs.values()))
        interrupt = cancel_all(lambda: list(filter(which, (*self._busy,))), self._main_queue)
        for job in jobs:
            if job.begun:
                job.result, job.cut = job.cut_off(cause), False
        return interrupt

    def _asked(self, step: Step) -> Task:
        """Return a requested step's task, queued if new; the first call queues the plan."""
        with self._lock:
            # A copy: pytest changes os.environ between two items, while threads read it.
            self._environ = dict(os.environ)
            if self.cutoff.is_past(step):
                self._resume()
            if self._ahead is not None and not self.begun:
                for name in self._ahead.ready(self.known):
                    self._push(self.recipe.step(name))
            self._begin()
            if step.name not in self._jobs:
                self._push(step, asked=True)
            self._staff()
            return self._jobs[step.name]

    def _push(self, step: Step, *, asked: bool = False) -> None:
        """Queue a step as a new task; a requested step gets the highest priority."""
        environ = ChainMap(self._variables(step), self._environ)
        attempt = msgspec.structs.replace(self.attempt_defaults, environ=environ, live=None)
        job = Task(step, self.context, attempt, self.scope, self.services)
        self._jobs[step.name] = job
        weight = float("inf") if asked or self._ahead is None else self._ahead.weight(step.name)
        if self._ahead is not None:
            self._ahead.leave(step.name)
        self._ready.put(job, weight)

    def known(self, name: str) -> StepResult | None:
        """Return the result of a step, or None if it has not ended."""
        job = self._jobs.get(name)
        return self.results.get(name) if job is None else job.result

    def _follow(self, ended: str) -> None:
        """Queue the steps that waited for the step ``ended``. The caller holds the lock."""
        for name in self._ahead.ready(self.known, ended) if self._ahead and self.begun else ():
            if not self.cutoff.is_past(step := self.recipe.step(name)):
                self._push(step)
        self._staff()

    def _clear(self) -> None:
        """Drop the plan and the tasks that have not begun; their steps may be requested again."""
        for job in self._ready.keep(lambda job: job.begun is not None):
            self._jobs.pop(job.step.name, None)
        if self._ahead is not None:
            self._ahead.clear()
