"""Context of one attempt of a step, and the interfaces to the test runner and to workers."""

import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from pytest_orchestrator.core.files import step_file_name
from pytest_orchestrator.execution.run_config import RunConfig, process_variables

if TYPE_CHECKING:
    from pytest_orchestrator.context.context import Context
    from pytest_orchestrator.core.events import InstrumentExchange
    from pytest_orchestrator.core.questions import Answer, Question
    from pytest_orchestrator.core.result import CopiedArtifacts, Ended, Measurement, Stream, Verdict
    from pytest_orchestrator.execution.criteria.simple import Before, Elsewhere
    from pytest_orchestrator.execution.instruments.use import RecipeInstruments
    from pytest_orchestrator.execution.lanes.lane import Slot
    from pytest_orchestrator.execution.locks.locks import LockWait
    from pytest_orchestrator.execution.notifications import RecordedEvent, StepEvent
    from pytest_orchestrator.execution.recipe_deadline import RecipeDeadline
    from pytest_orchestrator.instrument import Instrument
    from pytest_orchestrator.recipe.model.step import Step


RECORDS: Final = "log"
"""Name of the stream of log records; the name of its file ends with it."""


class StepLocks:
    """Locks of a step while it runs.

    Attributes:
        files: The file descriptors of the locks.
        waited: Seconds until the step had its locks.
    """

    def __init__(self, files: tuple[int, ...] = (), waited: float = 0.0) -> None:
        self.files = files
        self.waited = waited


NO_LOCKS = contextlib.nullcontext(StepLocks())
"""Context manager of a step without locks."""


class PendingQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """Question of a step that is to be answered.

    Attributes:
        step: Name of the step.
        attempt: Number of the attempt, from 1.
        element: Index of the element of ``foreach``, from 0; None for a step without it.
        question: The question.
        deadline: Time of ``time.monotonic`` at which the step times out; None if it never does.
        is_withdrawn: Function that returns True once the step ends without the answer.
    """

    step: str
    attempt: int
    element: int | None = None
    question: "Question"
    deadline: float | None = None
    is_withdrawn: Callable[[], bool] = bool


class RunCallbacks:
    """Callbacks to the test runner that runs a recipe; those of this base class do nothing.

    The threads of worker slots call them too, except `on_lock_wait`.
    """

    def before_import(self, module: str) -> None:
        """Prepare the first import of a module by an inline step."""

    def replay_event(self, event: dict[str, Any]) -> None:
        """Repeat a log record or warning of a step that runs in a supervised process."""

    def stop_session(self, reason: str, status: int | None) -> None:
        """End the whole run, as a step requested; the status None leaves it to pytest."""

    def on_idle(self) -> None:
        """Do deferred work; called when a step has been running for `IDLE_AFTER` seconds."""

    def ask(self, pending: PendingQuestion) -> "Answer":  # noqa: ARG002
        """Ask a person, and return the answer.

        Raises:
            NoAnswer: The question has no answer.
        """
        from pytest_orchestrator.core.questions import NoAnswer

        raise NoAnswer("no session asks questions here")

    def is_held(self, step: "Step") -> bool:  # noqa: ARG002
        """Return True if the run holds before a step."""
        return False

    def hold(self, held: Any) -> Any:
        """Ask a person what becomes of a step, see `scheduling.hold`.

        Called in the thread of `RunConfig.main_queue`.

        Args:
            held: The `Hold`.

        Returns:
            The `Decision`; None if the hold is over before.
        """

    def on_lock_wait(self, wait: "LockWait") -> None:
        """Report that a step waits for a lock; called in the thread of `RunConfig.main_queue`."""

    def release_instruments(self) -> None:
        """End the use of the instruments that nothing needs after the end of the recipe."""

    def release_idle_instruments(self) -> None:
        """End the use of the instruments that are kept only because later recipes use them too.

        Called in the thread of `RunConfig.main_queue`.
        """

    def record(self, event: "RecordedEvent") -> None:
        """Store an event outside this process; the event takes effect only afterwards.

        Raises:
            JournalError: The event cannot be stored.
        """

    def notify(self, event: "StepEvent") -> None:
        """Pass an event of a step to listeners."""

    def more_verdicts(
        self,
        step: "Step",  # noqa: ARG002
        ended: "Ended",  # noqa: ARG002
        measured: "tuple[Measurement, ...]",  # noqa: ARG002
    ) -> "tuple[Verdict, ...]":
        """Return additional verdicts on a step whose step code has succeeded."""
        return ()


class AttemptContext(msgspec.Struct, frozen=True, kw_only=True):
    """Data and services for one attempt of a step.

    Attributes:
        config: The settings of the run.
        callbacks: The callbacks to the test runner.
        recipe: Path of the recipe of the step.
        number: Number of the attempt, from 1.
        element: Index of the element of ``foreach``, from 0; None for a step without it.
        slot: The worker slot, with its lanes.
        runner: Runs step code on other machines; None if all steps run on this machine.
        logs: Folder for the output of steps; None if it is not written.
        artifacts: Folder for the artifacts of steps; None if they are not copied.
        resources: Folder for samples of memory and CPU time; None if they are not written.
        live: Descriptors to which stdout and stderr are copied live; None if they are not copied.
        lock_files: Descriptors of the step's lock files; the lane of the step keeps them open
            until the process tree of the step has ended.
        environ: Environment variables of the step; None means those of this process.
        context_variables: Variables of the programs of the step for access to the Context; the
            step's ``args`` override them.
        has_timeout: False for a service, which runs without a time limit.
        event_sink: Receives the log records and warnings of a process of the step; None means
            `RunCallbacks.replay_event`.
        recipe_deadline: The deadline of the recipe; None if it has none, and for steps of
            ``finally``.
        is_cut_off: Function that returns True once the attempt is to end early.
        asker: Function by which the step code asks questions; None if its type asks none.
        instruments: Access of the recipe run to the instruments of the station; None without them.
        opener: Function by which the step code opens an instrument; None if it cannot use any.
        add_exchange: Function by which step code records an exchange with a device of its own.
    """

    config: RunConfig
    callbacks: RunCallbacks = RunCallbacks()
    recipe: str = ""
    number: int = 1
    element: int | None = None
    slot: "Slot | None" = None
    runner: "Runner | None" = None
    logs: Path | None = None
    artifacts: Path | None = None
    resources: Path | None = None
    live: tuple[int, int] | None = None
    lock_files: tuple[int, ...] = ()
    environ: Mapping[str, str] | None = None
    context_variables: Mapping[str, str] = {}
    has_timeout: bool = True
    event_sink: Callable[[dict[str, Any]], None] | None = None
    recipe_deadline: "RecipeDeadline | None" = None
    is_cut_off: Callable[[], bool] = bool
    asker: "Callable[[Question], Answer] | None" = None
    instruments: "RecipeInstruments | None" = None
    opener: "Callable[[str], Instrument] | None" = None
    add_exchange: "Callable[[InstrumentExchange], None]" = lambda _: None

    @property
    def required_slot(self) -> "Slot":
        """The worker slot, for a step that needs a process.

        Raises:
            RuntimeError: The attempt has no slot.
        """
        if self.slot is None:
            raise RuntimeError("this run cannot start processes: set the slot of its attempts")
        return self.slot

    def of_step(self, step: str) -> "AttemptContext":
        """Return the same attempt, whose exchanges with instruments and devices name the step.

        Args:
            step: Name of the step or sampled value.
        """
        replace = msgspec.structs.replace
        by = {"step": step, "attempt": self.number, "element": self.element}
        attempt = replace(self, add_exchange=lambda one: self.add_exchange(replace(one, **by)))
        if self.instruments is None:
            return attempt
        access = self.instruments.used_by(step, self.number, self.element)
        return replace(attempt, instruments=access, opener=access.opener)

    def variables(self) -> dict[str, str]:
        """Return the environment variables of the step before its own ``args`` are added."""
        return process_variables() if self.environ is None else dict(self.environ)

    def pass_event(self, event: dict[str, Any]) -> None:
        """Pass a log record or warning of the step's process to the event sink."""
        (self.event_sink or self.callbacks.replay_event)(event)

    def live_now(self) -> tuple[int, int] | None:
        """Return the descriptors for live output, after flushing the streams; None if not live."""
        if self.live is not None:
            sys.stdout.flush()
            sys.stderr.flush()
        return self.live

    def log(self, step: str, stream: str, number: int | None = None) -> str | None:
        """Return the path of the log file of a step's stream; None if logs are not written.

        Args:
            step: Name of the step.
            stream: Name of the stream.
            number: Number of another attempt of the step; None means this attempt.
        """
        if self.logs is None:
            return None
        return f"{self.logs}/{self._file_name(step)}.{number or self.number}.{stream}"

    def records_so_far(self, step: str) -> "Stream | None":
        """Return the log file of a running step's records at its size now; None if it is empty."""
        from pytest_orchestrator.core.result import Stream

        path = self.log(step, RECORDS)
        size = os.path.getsize(path) if path is not None and os.path.exists(path) else 0
        return Stream(size=size, log=path) if size else None

    def samples(self, step: str) -> str | None:
        """Return the path of the file of a step's resource samples; None if none are written."""
        folder = self.resources
        if folder is None:
            return None
        return f"{folder}/{self._file_name(step)}.{self.number}.jsonl"

    def _file_name(self, step: str) -> str:
        name = step_file_name(step)
        return name if self.element is None else f"{name}.{self.element}"

    def seconds_for(self, timeout: float | None) -> float | None:
        """Return the timeout of a step in seconds, with the default and the factor of the run.

        None means no limit.
        """
        return self.config.seconds_for(timeout) if self.has_timeout else None


class Submitted(Protocol):
    """Attempt of a step that was submitted to a lane of this machine or to a worker."""

    @property
    def before(self) -> "Before":
        """The `Stamp` of each file before the attempt; criteria compare the files with it later."""

    @property
    def elsewhere(self) -> "Elsewhere | None":
        """The function that checks criteria on a worker's files; None for files on this machine."""

    @property
    def started(self) -> float:
        """The start of the step code, in seconds since the epoch; known at its end."""

    def result(self) -> "Ended":
        """Wait until the step code has ended and return its `Ended`; an interrupt ends the code."""

    def collect(self, patterns: Sequence[object], attempt: AttemptContext) -> "CopiedArtifacts":
        """Copy the files that match globs into the run folder."""

    def close(self) -> None:
        """Release the files of the attempt. Call no method afterwards."""


class RemoteSubmission(Submitted, Protocol):
    """One attempt of a step on a worker."""

    def cancel(self, *, at_once: bool, late: bool) -> None:
        """End the step code. Thread-safe, and may be called repeatedly.

        Args:
            at_once: Send KILL directly after TERM, without a grace period.
            late: An earlier cancellation had no effect, so the attempt is lost.
        """

    def release(self) -> None:
        """Release the worker, which after an attempt for an element waits for the next element."""

    @property
    def is_lost(self) -> bool:
        """True if the worker was lost, so that its step code may still run."""


class Runner(Protocol):
    """Runner of step code on other machines, for any number of attempts at a time."""

    def takes(self, step: "Step") -> bool:
        """Return True if workers run the step; otherwise it runs on this machine."""

    def submit(self, step: "Step", context: "Context", attempt: AttemptContext) -> RemoteSubmission:
        """Submit one attempt of a step.

        Args:
            step: The step, with the values of its expressions.
            context: The step's own handle to the Context, which is served to the worker.
            attempt: The context of the attempt.
        """
