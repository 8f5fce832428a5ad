"""Parallel run of a recipe: worker threads that run ready steps in slots.

The first step that is asked for starts it. Who asks for a step waits for that one alone, and
takes results in the order of the recipe, so that all else is as if the steps ran one by one:
``results`` has what was taken, and nothing that merely ended.
"""

import contextlib
import os
import threading
import time
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.errors import JournalError
from pytest_orchestrator.core.result import StepResult
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.execution.lanes.lane import Slot
from pytest_orchestrator.execution.locks.lock_file import LockError
from pytest_orchestrator.execution.scheduling.attempt import failed, lacking
from pytest_orchestrator.execution.scheduling.queue import (
    FailFast,
    Frontier,
    StepDependencies,
    TaskQueue,
)
from pytest_orchestrator.execution.scheduling.retry import RetryLoop
from pytest_orchestrator.execution.scheduling.serial import RecipeRun, cause_of
from pytest_orchestrator.execution.scheduling.task import Task, cancel_all
from pytest_orchestrator.recipe.expressions.expression import ExpressionError
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import CodeStep, Step


class ThreadedRun(RecipeRun):
    """Gives slots to the steps that wait in line, as long as there are both.

    Args:
        slots: As many steps run at the same time; the rest is as for `RecipeRun`.

    Attributes:
        cutoff: At which failure all ends.
    """

    def __init__(
        self,
        recipe: Recipe,
        context: Context,
        env: Environment,
        slots: Sequence[Slot],
        logs: Path | None = None,
        resources: Path | None = None,
    ) -> None:
        self._bell = env.bell
        env = msgspec.structs.replace(env, waiting=self._bell.relayed(env.waiting))
        super().__init__(recipe, context, env, logs, resources)
        self._free = list(reversed(slots))
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._ready = TaskQueue()
        self._busy: set[Task] = set()
        self._errors: list[BaseException] = []
        self.cutoff = FailFast()

    def _judge(self, job: Task, result: StepResult) -> None:
        """See whether all ends by what became of a step, which nobody may take yet."""
        raise NotImplementedError

    def _follow(self, ended: str) -> None:
        """Let those wait in line that waited for the end of a step; the lock is held."""
        raise NotImplementedError

    def _heed(self, step: Step, result: StepResult) -> bool:
        """Take note of a failure; if it stops the recipe nothing begins from now on."""
        stops = super()._heed(step, result)
        if stops:
            self._stop.set()
        return stops

    def _staff(self) -> None:
        """Give each free slot a step, as long as there are both; the lock is held."""
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
                if lacking(error) is None:
                    raise
                # There are fewer threads than slots: the job waits for one that ends.
                self._ready.put(job)
                return

    def _run_waiting(self) -> None:
        """Run a job here where none runs and no thread can be started for one."""
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
        """Try a step once, in a thread of its own, then let others use the slot."""
        result, waits = None, False
        with self._raised():
            result = self._try(job)
        with self._raised(), self._lock:
            self._free += job.seat.leave()
            if result is not None:
                self._judge(job, result)
                job.result = result
                self._heed(job.step, result)
            waits = result is None and not self._ends(job)
            if waits:
                waits = not job.wait(self._again)  # until there is a slot, too
            else:
                self._busy.discard(job)
            if not self._stop.is_set():
                self._follow(job.step.name)
        if waits and job.rest():  # no thread can be started that would
            self._again(job)
        self._bell.ring()

    @contextlib.contextmanager
    def _raised(self) -> Iterator[None]:
        """Let what a thread raises be raised where somebody waits."""
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - there
            self._errors.append(error)
            self._stop.set()

    def _try(self, job: Task) -> StepResult | None:
        result = job.tries.prepare() if job.tries.number == 1 else None
        if result is not None:
            return result
        try:
            with self.locks.of(job.tries.step, self._stop, lambda: self._leave(job)) as grip:
                job.waited += grip.waited if grip else 0.0
                if grip is None or not self._may_run(job):
                    return None
                result = job.tries.run(grip.files)
                job.runs = False
                job.cut = self._ends(job)
        except (LockError, ExpressionError, JournalError) as error:
            result = self._unlocked(job.step, error)
        except (OSError, RuntimeError) as error:
            lack = lacking(error)
            if lack is None:
                raise
            job.runs, result = False, failed(job.step, lack)
        if result is None:
            return None
        result = msgspec.structs.replace(result, waited=job.waited)
        # What is cut off is told with who or what has done so.
        return result if job.cut else self._kept(job.step, result)

    def _ends(self, job: Task) -> bool:
        """Tell whether a step is not to go on."""
        return self._stop.is_set() or self.cutoff.is_past(job.step)

    def _leave(self, job: Task) -> None:
        """Let others use the slot of a step that waits for a lock."""
        with self._lock:
            self._free += job.seat.leave()
            self._staff()

    def _may_run(self, job: Task) -> bool:
        """Tell whether a step may run now; where not it waits for its turn and holds no lock."""
        with self._lock:
            if self._free and not job.seat.is_taken:
                job.seat.take(self._free.pop())
            waits = job.collides(self._busy)  # it was prepared, and its locks have other names
            may = job.seat.is_taken and not waits and not self._ends(job)
            if may:
                job.begun, job.runs = job.begun or time.time(), True
            return may

    def _again(self, job: Task) -> None:
        """Let a step be tried again, its wait being over."""
        with self._raised(), self._lock:
            if job.timer is not None:
                job.timer = None
                self._busy.discard(job)
                if not self.cutoff.is_past(job.step):
                    self._ready.put(job)
                self._staff()
        self._bell.ring()


class ParallelRun(ThreadedRun):
    """Runs the steps of one recipe ahead of those who ask for them.

    Without a plan it runs them here and now, as `RecipeRun` does.

    Args:
        slots: As many steps run at the same time.
        variables: Gives the variables that the environment of a step has in addition.

    Attributes:
        untaken: Names of the steps whose results a cancel has kept before anybody took them.
    """

    def __init__(
        self,
        recipe: Recipe,
        context: Context,
        env: Environment,
        *,
        slots: Sequence[Slot],
        variables: Callable[[Step], dict[str, str]] = lambda _step: {},
        logs: Path | None = None,
        resources: Path | None = None,
    ) -> None:
        super().__init__(recipe, context, env, slots, logs, resources)
        self.untaken: list[str] = []
        self._ahead: Frontier | None = None
        self._jobs: dict[str, Task] = {}
        self._variables = variables
        self._environ: dict[str, str] = {}

    @property
    def is_ahead(self) -> bool:
        """Tell whether steps run ahead of those who ask for them."""
        return self._ahead is not None

    def plan(
        self, waits: Mapping[str, StepDependencies], seconds: Mapping[str, float] | None = None
    ) -> None:
        """Let steps run ahead.

        Args:
            waits: The steps, each with what counts of all it waits for; no ``finally`` steps.
            seconds: How long steps took in earlier runs, as far as that is known.
        """
        self._ahead = Frontier(waits, seconds or {})

    def start_early(self) -> None:
        """Start the lanes of the Python steps that begin together, so that they get ready."""
        names = self._ahead.ready(self.known) if self._ahead else ()
        steps = [name for name in names if isinstance(self.recipe.step(name), CodeStep)]
        for _, slot in zip(steps, reversed(self._free), strict=False):
            slot.python.start()

    def one_by_one(self) -> None:
        """Run steps when they are asked for; to be called before the first one is."""
        self._ahead = None

    def note(self, step: Step, outcome: str, reason: str) -> StepResult:
        """Keep the result of a step whose setup failed or skipped it: it is not run any more."""
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
        """Keep and return the result of a step that may not run; what comes after it may."""
        with self._lock:
            result = super().block(step, blocker)
            self._follow(step.name)
        return result

    def settle(self) -> None:
        """Start no further step by itself, and wait for the end of those that run."""
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
                self._bell.wait()

    def cancel(self, cause: str) -> None:
        """End all steps that run ahead, and keep the results of those that ended before.

        Args:
            cause: Who or what ended them, for their results.

        Raises:
            KeyboardInterrupt: Ctrl-C while that was under way; all of it was ended at once.
        """
        interrupt = self._end_all(cause)
        for name, job in self._jobs.items():
            if job.begun and job.result is not None and name not in self.results:
                self._keep(job.step, job.result)
                self.untaken.append(name)
        if interrupt is not None:
            raise interrupt

    def shorten(self, step: Step) -> None:
        """Keep of a step what other steps may ask for alone: all else of it is told."""
        with self._lock:
            super().shorten(step)
            if step.name in self.results:
                self._jobs.pop(step.name, None)

    def over(self) -> list[StepResult]:
        """End what goes on and let go what is held: nobody runs a step of it any more."""
        self.settle()
        return super().over()

    def _forget(self, step: Step) -> None:
        with self._lock:
            super()._forget(step)
            self._jobs.pop(step.name, None)

    def _run(self, step: Step, fixtures: Mapping[str, object]) -> None:
        """Wait for the end of a step."""
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
                    self._bell.wait()
                self._mind()
                if self.stopper is not None and not job.is_known:
                    self.block(step, self.stopper)
                    return
            self._keep(step, job.result)
        except BaseException as error:
            cause = cause_of(error)
            self.cancel(cause)
            if step.name not in self.results:
                tries = (
                    job.tries if job else RetryLoop(step, self.context, self.env, {}, self.scope)
                )
                self._keep(step, tries.interrupted(time.time(), cause))
            raise
        while job.heard:
            self.env.hear(job.heard.pop(0))

    def _is_stopped(self, step: Step) -> bool:
        with self._lock:
            job = self._jobs.get(step.name)
            return super()._is_stopped(step) and not (job and job.is_known)

    def _mind(self) -> None:
        """Raise what a thread has raised; end what runs beside a failure that stops all."""
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
        """Tell whether a step runs that comes after the failure at which all ends."""
        return job.runs and self.cutoff.is_past(job.step)

    def _judge(self, job: Task, result: StepResult) -> None:
        """Let nothing begin that comes after a failure at which all ends; the lock is held."""
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

    def _go_on(self) -> None:
        """Let steps run that come after the end, since somebody asks for one; the lock is held."""
        self.cutoff = FailFast()
        self._ready.keep(lambda _: False)
        for name, job in [*self._jobs.items()]:
            if job.result is None and job not in self._busy:
                del self._jobs[name]

    def _end_all(self, cause: str) -> BaseException | None:
        """End all that runs ahead; return what Ctrl-C raised meanwhile."""
        self._stop.set()
        with self._lock:
            self._clear()
            self._ready.keep(lambda _: False)
        interrupt = self._end_these(lambda _: True, cause)
        self._stop.clear()
        return interrupt

    def _end_these(self, which: Callable[[Task], bool], cause: str) -> BaseException | None:
        """End some of what runs ahead; return what Ctrl-C raised meanwhile."""
        with self._lock:
            self._busy -= {job for job in self._busy if which(job) and job.stop_waiting()}
            jobs = list(filter(which, self._jobs.values()))
        interrupt = cancel_all(lambda: list(filter(which, (*self._busy,))), self._bell)
        for job in jobs:
            if job.begun:
                job.result, job.cut = job.cut_off(cause), False
        return interrupt

    def _asked(self, step: Step) -> Task:
        """Return the job of a step; start the graph, or this step alone, where there is none."""
        with self._lock:
            # pytest changes it between two items, while other threads would read it.
            self._environ = dict(os.environ)
            if self.cutoff.is_past(step):
                self._go_on()
            if self._ahead is not None and not self.begun:
                for name in self._ahead.ready(self.known):
                    self._push(self.recipe.step(name))
            self._begin()
            if step.name not in self._jobs:
                self._push(step, asked=True)
            self._staff()
            return self._jobs[step.name]

    def _push(self, step: Step, *, asked: bool = False) -> None:
        """Put a step among those that run next; what somebody waits for comes first."""
        environ = ChainMap(self._variables(step), self._environ)
        env = msgspec.structs.replace(self.env, environ=environ, live=None)
        job = Task(step, self.context, env, self.scope)
        self._jobs[step.name] = job
        weight = float("inf") if asked or self._ahead is None else self._ahead.weight(step.name)
        if self._ahead is not None:
            self._ahead.leave(step.name)
        self._ready.put(job, weight)

    def known(self, name: str) -> StepResult | None:
        """Return what became of a step, None where that is not known yet."""
        job = self._jobs.get(name)
        return self.results.get(name) if job is None else job.result

    def _follow(self, ended: str) -> None:
        """Start what waited for the end of a step; the lock is held."""
        for name in self._ahead.ready(self.known, ended) if self._ahead and self.begun else ():
            if not self.cutoff.is_past(step := self.recipe.step(name)):
                self._push(step)
        self._staff()

    def _clear(self) -> None:
        """Forget what has not begun; it may be asked for again."""
        for job in self._ready.keep(lambda job: job.begun is not None):
            self._jobs.pop(job.step.name, None)
        if self._ahead is not None:
            self._ahead.clear()
