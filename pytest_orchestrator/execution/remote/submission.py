"""Attempt that was submitted to a worker, with the interface `attempt_context.RemoteSubmission`."""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from msgspec import UNSET

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.result import (
    Artifact,
    CopiedArtifacts,
    Ended,
    Failure,
    Process,
    Stream,
    Verdict,
    lasted,
)
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.execution.criteria.simple import Before, Elsewhere
from pytest_orchestrator.execution.lanes.pattern_search import SearchTimeout
from pytest_orchestrator.execution.locks import lock_file
from pytest_orchestrator.execution.outcome import Raised
from pytest_orchestrator.execution.remote.attempt import (
    STREAMS,
    FollowUp,
    FollowUpReply,
    Outcome,
    RemoteAttempt,
    RemoteWork,
    WorkerLost,
    Workers,
)
from pytest_orchestrator.execution.scheduling.placement import beside
from pytest_orchestrator.execution.steps import custom
from pytest_orchestrator.recipe.model.step import CodeStep, Criterion, Step

_CANCEL_SECONDS: Final = 4.0
"""Seconds within which a worker that receives a cancellation has ended its attempt."""


class RemoteRunner:
    """Runner of step code on other machines, with the interface `attempt_context.Runner`.

    Args:
        workers: The processes that run the attempts.
    """

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    def takes(self, step: Step) -> bool:
        """Return True if a step runs on a worker; services, for example, run beside pytest."""
        return not beside(step)

    def submit(self, step: Step, context: Context, attempt: AttemptContext) -> "Submission":
        """Submit an attempt of a step to a worker."""
        if isinstance(step, CodeStep):
            step = custom.called(step, attempt)
        remote = self._workers.issue(RemoteWork(step, context, attempt))
        before, previous = attempt.required_slot.remote, None
        if attempt.element is not None and isinstance(before, Submission):
            previous = before.hand_on(remote)
        if previous is None:
            self._workers.submit(remote)
        return Submission(step, attempt, remote, previous)


class Submission:
    """An attempt that was submitted to a worker.

    Args:
        step: The step, with expressions replaced by values.
        attempt_context: The context of the attempt.
        attempt: The attempt of the runner.
        previous: The attempt for the element before, whose worker runs this one too; or None.
    """

    before: Final[Before] = {}

    def __init__(
        self,
        step: Step,
        attempt_context: AttemptContext,
        attempt: RemoteAttempt,
        previous: RemoteAttempt | None = None,
    ) -> None:
        self._step, self._attempt_context, self._attempt = step, attempt_context, attempt
        self._previous = previous
        self._started_at = time.monotonic()
        self._submitted_at = time.time()

    @property
    def elsewhere(self) -> Elsewhere:
        """Function that checks a criterion on files on the worker."""
        return self._check

    @property
    def started(self) -> float:
        """Start of the step code by the clock of this machine, computed from the claim."""
        outcome = self._attempt.outcome
        claimed_at = self._attempt.claimed_at or self._submitted_at
        return claimed_at if outcome is None else claimed_at + outcome.start_delay

    def result(self) -> Ended:
        """Wait for the `Ended` of the step code and return it; an interrupt cancels the attempt."""
        try:
            with self._remote_lock_state():
                outcome = self._attempt.wait()
        except WorkerLost as lost:
            return self._lost_end(lost)
        return self._local_end(outcome)

    @contextlib.contextmanager
    def _remote_lock_state(self) -> Iterator[None]:
        """Record in the lock files that the attempt may outlive this process, for a ``with`` block.

        An interrupt of the block cancels the attempt. After the block, the lock files record that
        the attempt has ended or was lost.
        """
        for file in self._attempt_context.lock_files:
            lock_file.remote_attempt_started(file)
        try:
            yield
        except WorkerLost:
            raise
        except BaseException:
            self._interrupt()
            raise
        finally:
            record_end = (
                lock_file.remote_attempt_ended
                if self._attempt.is_over
                else lock_file.remote_attempt_lost
            )
            for file in self._attempt_context.lock_files:
                record_end(file)

    def cancel(self, *, at_once: bool, late: bool) -> None:
        """Cancel the attempt; thread-safe, and may be repeated.

        Args:
            at_once: End the step code without a grace period.
            late: True if an earlier cancellation had no effect; the attempt then counts as lost.
        """
        is_claimed = self._attempt.end(at_once=at_once or late)
        if late or not is_claimed:
            self._attempt.withdraw()
            self._attempt.lose("it was ended")

    def collect(
        self, patterns: Sequence[object], attempt_context: AttemptContext
    ) -> CopiedArtifacts:
        """Copy the files that globs match from the worker into the run folder."""
        if attempt_context.artifacts is None:
            return CopiedArtifacts()
        try:
            reply = self._attempt.run_follow_up(FollowUp(patterns=tuple(patterns)))
        except WorkerLost as lost:
            return CopiedArtifacts(warnings=(f"artifacts: {lost}",))
        if reply.error:
            return CopiedArtifacts(warnings=(f"artifacts: {reply.error}",))
        copies = []
        for artifact, modified in zip(reply.artifacts, reply.modified, strict=True):
            path = attempt_context.artifacts / artifact.path
            if not path.exists():  # for an empty file no chunk is sent
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            with contextlib.suppress(OSError):
                os.utime(path, ns=(modified, modified))
            copies.append(Artifact(path=str(path), type=artifact.type, bytes=artifact.bytes))
        return CopiedArtifacts(tuple(copies), reply.warnings)

    def close(self) -> None:
        """Release the worker; one that may run the next element waits until `release`."""
        if self._previous is not None:
            self._previous.close()
            self._previous = None
        if self._attempt_context.element is None or self.is_lost or self._attempt.is_cancelled:
            self._attempt.close()

    def release(self) -> None:
        """Release the worker of an element, and refuse its further requests."""
        self._attempt.close()

    def hand_on(self, after: RemoteAttempt) -> RemoteAttempt | None:
        """Send the worker to the next attempt; return this attempt, or None if it has no worker."""
        if self._attempt.outcome is None or self._attempt.is_closed:
            return None
        self._attempt.hand_on(after)
        return self._attempt

    @property
    def is_lost(self) -> bool:
        """True if the worker was lost."""
        return self._attempt.is_lost

    def _check(self, criterion: Criterion, _started: float) -> tuple[Verdict, ...]:
        reply: FollowUpReply = self._attempt.run_follow_up(FollowUp(criterion=criterion))
        if reply.timed_out_at is not None:
            raise SearchTimeout(reply.error, reply.timed_out_at)
        if reply.error:
            raise RuntimeError(reply.error)
        return reply.verdicts

    def _interrupt(self) -> None:
        """Cancel the attempt and wait for its end; a second interrupt cuts the grace period."""
        self.cancel(at_once=False, late=False)
        until = time.monotonic() + _CANCEL_SECONDS
        try:
            self._attempt.wait_until(until)
        except KeyboardInterrupt:
            self.cancel(at_once=True, late=False)
            with contextlib.suppress(WorkerLost):
                self._attempt.wait_until(until)
            raise
        except WorkerLost:
            pass

    def _lost_end(self, lost: WorkerLost) -> Ended:
        seconds = time.monotonic() - self._started_at
        if self._attempt.is_cancelled:
            failure = Failure(kind="interrupted", reason=f"interrupted after {seconds:.1f} s")
        else:
            failure = Failure(kind="crash", reason=str(lost), detail=self._attempt.refusals)
        return Ended(usage=lasted(seconds), failure=failure, where=self._attempt.worker)

    def _local_end(self, outcome: Outcome) -> Ended:
        attempt_context, ended = self._attempt_context, outcome.ended
        for secret in outcome.new_secrets:
            attempt_context.config.secrets.add(secret)
        for event in outcome.events:
            attempt_context.pass_event(event)
        if outcome.stop is not None:
            attempt_context.callbacks.stop_session(*outcome.stop)
        failure = ended.failure
        if failure is not None and outcome.report is not None:
            raised = Raised.there(failure.reason, outcome.report)
            failure = msgspec.structs.replace(failure, exception=raised)
        usage = ended.usage
        if usage.samples:
            samples = attempt_context.samples(self._step.name) or UNSET
            usage = msgspec.structs.replace(usage, samples=samples)
        return msgspec.structs.replace(
            ended,
            usage=usage,
            failure=failure,
            process=self._with_local_logs(ended.process),
            log=ended.log and self._with_local_log(ended.log, "log"),
            where=self._attempt.worker,
            began=0.0,  # the clock of the worker measured it; `started` is by the local clock
        )

    def _with_local_logs(self, process: Process | None) -> Process | None:
        """Return the process with the paths of the logs that were received from the worker."""
        if process is None:
            return None
        logs = {name: self._with_local_log(getattr(process, name), name) for name in STREAMS}
        return msgspec.structs.replace(process, **logs)

    def _with_local_log(self, stream: Stream, name: str) -> Stream:
        """Return the stream with the path of the log that was received from the worker."""
        log = self._attempt_context.log(self._step.name, name) if stream.log else None
        return msgspec.structs.replace(stream, log=log)
