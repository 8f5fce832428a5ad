"""Threads that try steps, each in a slot of its own, while somebody else waits for them."""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from pytest_orchestrator.core.context import Context
from pytest_orchestrator.core.errors import JournalError
from pytest_orchestrator.core.result import StepResult
from pytest_orchestrator.execution.cutoff import Cutoff
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.execution.job import Job
from pytest_orchestrator.execution.lanes.lane import Slot
from pytest_orchestrator.execution.locks.lock_file import LockError
from pytest_orchestrator.execution.ready import Ready
from pytest_orchestrator.execution.runner import Serial
from pytest_orchestrator.execution.step import failed, lacking
from pytest_orchestrator.recipe.expressions import ExpressionError
from pytest_orchestrator.recipe.model import Recipe
from pytest_orchestrator.recipe.step_keys import Step


class Crew(Serial):
    """Gives slots to the steps that wait in line, as long as there are both.

    Args:
        slots: As many steps run at the same time; the rest is as for `Serial`.

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
        self._ready = Ready()
        self._busy: set[Job] = set()
        self._errors: list[BaseException] = []
        self.cutoff = Cutoff()

    def _judge(self, job: Job, result: StepResult) -> None:
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

    def _work(self, job: Job) -> None:
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

    def _try(self, job: Job) -> StepResult | None:
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

    def _ends(self, job: Job) -> bool:
        """Tell whether a step is not to go on."""
        return self._stop.is_set() or self.cutoff.is_past(job.step)

    def _leave(self, job: Job) -> None:
        """Let others use the slot of a step that waits for a lock."""
        with self._lock:
            self._free += job.seat.leave()
            self._staff()

    def _may_run(self, job: Job) -> bool:
        """Tell whether a step may run now; where not it waits for its turn and holds no lock."""
        with self._lock:
            if self._free and not job.seat.is_taken:
                job.seat.take(self._free.pop())
            waits = job.collides(self._busy)  # it was prepared, and its locks have other names
            may = job.seat.is_taken and not waits and not self._ends(job)
            if may:
                job.begun, job.runs = job.begun or time.time(), True
            return may

    def _again(self, job: Job) -> None:
        """Let a step be tried again, its wait being over."""
        with self._raised(), self._lock:
            if job.timer is not None:
                job.timer = None
                self._busy.discard(job)
                if not self.cutoff.is_past(job.step):
                    self._ready.put(job)
                self._staff()
        self._bell.ring()
