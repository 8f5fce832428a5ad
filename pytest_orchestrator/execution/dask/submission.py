"""Submitted attempt, as the rest of the engine sees it."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from pytest_orchestrator.core.result import Artifact, Ended, Failure, Process, Usage, Verdict, Where
from pytest_orchestrator.execution.criteria.evidence import Before, Elsewhere
from pytest_orchestrator.execution.dask.broker import RemoteAttempt, WorkerLost
from pytest_orchestrator.execution.dask.messages import (
    STREAMS,
    FollowUp,
    FollowUpReply,
    Outcome,
    follow_up_of,
)
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.execution.lanes.pattern_search import SearchTimeout
from pytest_orchestrator.execution.locks import lock_file
from pytest_orchestrator.execution.outcome import Raised
from pytest_orchestrator.execution.steps.artifacts import CopiedArtifacts
from pytest_orchestrator.recipe.model.step import Criterion, Step

_PATIENCE: Final = 4.0
"""Seconds in which a worker that hears has ended what it runs."""


class Submission:
    """A try that some worker runs.

    Args:
        step: The step, with the values of its expressions.
        env: The surroundings of the run.
        ticket: What the worker claims it by.
        withdraw: Takes it back from whoever was to hand it to a worker.
    """

    before: Final[Before] = {}

    def __init__(
        self, step: Step, env: Environment, ticket: RemoteAttempt, withdraw: Callable[[], object]
    ) -> None:
        self._step, self._env, self._ticket, self._withdraw = step, env, ticket, withdraw
        self._begun = time.monotonic()
        self._submitted = time.time()

    @property
    def elsewhere(self) -> Elsewhere:
        """What checks criteria on files on the worker."""
        return self._checked

    @property
    def started(self) -> float:
        """When its body began, by the clock of this machine: a claim is seen by both."""
        outcome = self._ticket.outcome
        claimed = self._ticket.claimed_at or self._submitted
        return claimed if outcome is None else claimed + outcome.after

    def result(self) -> Ended:
        """Wait for the end of its body; an interrupt ends it first."""
        try:
            with self._away():
                outcome = self._ticket.wait()
        except WorkerLost as lost:
            return self._of_lost(lost)
        return self._ended(outcome)

    @contextlib.contextmanager
    def _away(self) -> Iterator[None]:
        """Let its locks outlast this process, as long as its body may; an interrupt ends it."""
        for file in self._env.locks:
            lock_file.remote_attempt_started(file)
        try:
            yield
        except WorkerLost:
            raise
        except BaseException:
            self._end_it()
            raise
        finally:
            note = (
                lock_file.remote_attempt_ended
                if self._ticket.is_over
                else lock_file.remote_attempt_lost
            )
            for file in self._env.locks:
                note(file)

    def cancel(self, *, at_once: bool, late: bool) -> None:
        """Have its body ended; from any thread, and as often as somebody likes."""
        is_claimed = self._ticket.end(at_once=at_once or late)
        if late or not is_claimed:
            self._withdraw()
            self._ticket.lose("it was ended")

    def collect(self, patterns: Sequence[object], env: Environment) -> CopiedArtifacts:
        """Have the files that globs match sent into the folder of the run."""
        if env.artifacts is None:
            return CopiedArtifacts()
        try:
            done = self._ticket.asked(FollowUp(patterns=tuple(patterns)))
        except WorkerLost as lost:
            return CopiedArtifacts(warnings=(f"artifacts: {lost}",))
        if done.error:
            return CopiedArtifacts(warnings=(f"artifacts: {done.error}",))
        found = []
        for one, modified in zip(done.artifacts, done.modified, strict=True):
            path = env.artifacts / one.path
            if not path.exists():  # of an empty file no piece came
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            with contextlib.suppress(OSError):
                os.utime(path, ns=(modified, modified))
            found.append(Artifact(path=str(path), type=one.type, bytes=one.bytes))
        return CopiedArtifacts(tuple(found), done.warnings)

    def close(self) -> None:
        """Let the worker go."""
        self._ticket.close()

    def _checked(self, criterion: Criterion, _started: float) -> tuple[Verdict, ...]:
        done: FollowUpReply = self._ticket.asked(follow_up_of(criterion))
        if done.late is not None:
            raise SearchTimeout(done.error, done.late)
        if done.error:
            raise RuntimeError(done.error)
        return done.verdicts

    def _end_it(self) -> None:
        """End it and wait for that, as whoever pressed Ctrl-C does."""
        self.cancel(at_once=False, late=False)
        until = time.monotonic() + _PATIENCE
        try:
            self._ticket.wait_until(until)
        except KeyboardInterrupt:
            self.cancel(at_once=True, late=False)
            with contextlib.suppress(WorkerLost):
                self._ticket.wait_until(until)
            raise
        except WorkerLost:
            pass

    def _of_lost(self, lost: WorkerLost) -> Ended:
        seconds = time.monotonic() - self._begun
        if self._ticket.is_to_end:
            failure = Failure(kind="interrupted", reason=f"interrupted after {seconds:.1f} s")
        else:
            failure = Failure(kind="crash", reason=str(lost), detail=self._refused())
        return Ended(usage=Usage(seconds=seconds), failure=failure, where=self._where())

    def _refused(self) -> tuple[str, ...]:
        return tuple(
            f"worker {one.worker} on {one.host} was to run it too, and was refused: "
            "it may have begun already"
            for one in self._ticket.refused
        )

    def _where(self) -> Where | None:
        claim = self._ticket.claim
        return None if claim is None else Where(claim.worker, claim.host)

    def _ended(self, outcome: Outcome) -> Ended:
        env, ended = self._env, outcome.ended
        for secret in outcome.learnt:
            env.secrets.add(secret)
        for event in outcome.heard:
            env.hear(event)
        if outcome.stop is not None:
            env.stop(*outcome.stop)
        failure = ended.failure
        if failure is not None and outcome.shown is not None:
            raised = Raised.there(failure.reason, outcome.shown)
            failure = msgspec.structs.replace(failure, exception=raised)
        usage = ended.usage
        if usage.samples is not None:
            usage = msgspec.structs.replace(usage, samples=env.samples(self._step.name))
        return msgspec.structs.replace(
            ended,
            usage=usage,
            failure=failure,
            process=self._here(ended.process),
            where=self._where(),
        )

    def _here(self, process: Process | None) -> Process | None:
        """Return a process whose logs are those that came from the worker."""
        if process is None:
            return None
        streams = {name: getattr(process, name) for name in STREAMS}
        logs = {
            name: msgspec.structs.replace(
                one, log=self._env.log(self._step.name, name) if one.log else None
            )
            for name, one in streams.items()
        }
        return msgspec.structs.replace(process, **logs)
