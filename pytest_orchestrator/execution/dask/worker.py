"""Worker side of an attempt: claim, run, report the outcome.

The step code runs in lanes of this process, as on the machine of pytest. Its Context is that of
the session, over the network. A scheduler may call `perform` twice for one attempt: the claim of
the second call is refused.
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pytest_orchestrator.context.rpc.protocol import RequestRefused
from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.files import scratch
from pytest_orchestrator.core.result import Ended, Failure, Usage
from pytest_orchestrator.execution.attempt_context import AttemptContext, RunCallbacks
from pytest_orchestrator.execution.criteria import check
from pytest_orchestrator.execution.criteria import files as criteria_files
from pytest_orchestrator.execution.criteria.inputs import CheckInputs
from pytest_orchestrator.execution.dask.agent import WorkerAgent, agent_of
from pytest_orchestrator.execution.dask.chunks import ChunkSender, send_rest
from pytest_orchestrator.execution.dask.client import BrokerClient
from pytest_orchestrator.execution.dask.messages import (
    CHUNK,
    CLAIM,
    COPY_PREFIX,
    FOLLOW_UP,
    FOLLOW_UP_REPLY,
    LOGS,
    MAX_CHUNK,
    OUTCOME,
    AttemptRef,
    Chunk,
    ClaimReply,
    ClaimRequest,
    FollowUp,
    FollowUpReply,
    Outcome,
    read,
    unpacked,
)
from pytest_orchestrator.execution.dask.tls_proxy import Encryption
from pytest_orchestrator.execution.lanes.messages import LaneLost
from pytest_orchestrator.execution.lanes.pattern_search import Searches, SearchTimeout
from pytest_orchestrator.execution.outcome import Raised
from pytest_orchestrator.execution.steps import artifacts
from pytest_orchestrator.execution.steps.dispatch import apart
from pytest_orchestrator.recipe.model.step import CodeStep, Criterion, Step

if TYPE_CHECKING:
    from pytest_orchestrator.execution.lanes.lane import Slot

_CANCEL_SECONDS: Final = 3.0  # seconds within which a responsive lane has ended its step


class NotClaimed(Exception):
    """The claim of this worker for an attempt was refused."""


def perform(
    ref: AttemptRef,
    worker: str,
    encryption: Encryption | None = None,
    scratch: str | None = None,
) -> None:
    """Claim and run one attempt, unless another worker has claimed it.

    With ``foreach`` the session then sends the worker to the attempt for the next element.

    Args:
        ref: The message with which the attempt is claimed.
        worker: Name of this worker.
        encryption: Settings of encrypted connections to the session; None if they are plain.
        scratch: Folder for temporary files; its owner removes it even if this process is killed.

    Raises:
        NotClaimed: The claim was refused.
    """
    agent = agent_of(ref, encryption)
    following: AttemptRef | None = ref
    while following is not None:
        run = _Run(following, agent, scratch)
        with agent.running(run) as last_heartbeat:
            run.run(ClaimRequest(worker, socket.gethostname(), agent.id, last_heartbeat))
        following = run.following


class _ForwardedCallbacks(RunCallbacks):
    """Callbacks that are stored for the session, which receives them with the outcome.

    Attributes:
        events: The log records and warnings of the step.
        stop: The reason and the exit status if the step ends the whole run.
    """

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.stop: tuple[str, int | None] | None = None

    def replay_event(self, event: dict[str, Any]) -> None:
        """Store a log record or warning."""
        self.events.append(event)

    def stop_session(self, reason: str, status: int | None) -> None:
        """Store the first request to end the whole run."""
        self.stop = self.stop or (reason, status)


class _Run:
    """An attempt that this worker has claimed or is about to claim.

    Attributes:
        id: Id of the attempt.
        following: The next attempt of this worker, for the next element of ``foreach``; or None.
    """

    def __init__(self, ref: AttemptRef, agent: WorkerAgent, scratch: str | None) -> None:
        self.id = ref.attempt_id
        self.following: AttemptRef | None = None
        self._agent, self._scratch = agent, scratch
        self._client = BrokerClient(agent, ref.token)
        self._cancelled_at: float | None = None
        self._claimed_at = 0.0
        self._slot: Slot | None = None
        self._slot_lock = threading.Lock()
        self._logs: tuple[ChunkSender, ...] = ()

    def run(self, claim: ClaimRequest) -> None:
        """Claim the attempt, run it and report its outcome."""
        try:
            try:
                claim_reply = read(self._client.ask(CLAIM, claim), ClaimReply)
            except RequestRefused as error:
                raise NotClaimed(str(error)) from None
            self._claimed_at = time.monotonic()
            with contextlib.ExitStack() as stack:  # keeps the logs until the outcome is reported
                try:
                    self._execute(claim_reply, stack.enter_context(scratch(self._scratch)))
                except Exception as error:
                    self._report_error(error)
                    raise
        except BaseException:
            self._client.close()
            raise
        self._client.release()

    def chunks(self, most: int) -> list[Chunk]:
        """Return the next chunks of the logs, at most `most` bytes of each stream."""
        return [chunk for log in self._logs for chunk in log.chunks(self.id, most)]

    def acknowledge(self, chunks: Iterable[Chunk]) -> None:
        """Mark chunks as received by the session, so that `chunks` continues after them."""
        for chunk in chunks:
            for log in self._logs:
                log.acknowledge(chunk)

    def end(self, *, at_once: bool) -> None:
        """End the step code, without a grace period if ``at_once``; thread-safe."""
        with self._slot_lock:  # the slot must not be leased to another attempt meanwhile
            self._cancelled_at = self._cancelled_at or time.monotonic()
            is_late = time.monotonic() - self._cancelled_at > _CANCEL_SECONDS
            if self._slot is not None:
                for lane in (self._slot.shell, self._slot.python):
                    lane.cancel(at_once=at_once)
                    if is_late:
                        lane.end()

    def abort(self) -> None:
        """End the attempt without reporting it, since the session is unreachable."""
        self.end(at_once=True)
        self._client.shut_down()

    def _execute(self, claim_reply: ClaimReply, folder: Path) -> None:
        step = unpacked(claim_reply.step)
        with self._agent.slot() as slot:
            callbacks = _ForwardedCallbacks()
            attempt = self._agent.attempt_context(claim_reply, folder, slot, callbacks)
            known_secrets = set(claim_reply.secrets)
            before = criteria_files.noted(step, attempt.config.root)
            self._logs = tuple(
                ChunkSender(name, attempt.log(step.name, name) or "")
                for name in LOGS
                if attempt.logs
            )
            started_at = time.time()
            ended = self._run_step_code(step, attempt)
            elapsed = time.monotonic() - self._claimed_at  # includes the start of a lane
            failure = ended.failure
            raised = failure.exception if failure else None
            if failure is not None:
                failure = msgspec.structs.replace(failure, exception=None)
            outcome = Outcome(
                ended=msgspec.structs.replace(ended, failure=failure),
                report=raised.report if isinstance(raised, Raised) else None,
                events=tuple(callbacks.events),
                stop=callbacks.stop,
                new_secrets=tuple(
                    secret
                    for secret in attempt.config.secrets.values
                    if secret not in known_secrets
                ),
                files_before=before,
                started_at=started_at,
                start_delay=max(0.0, elapsed - ended.usage.seconds),
            )
            self._send_outcome(outcome)
            if claim_reply.has_follow_ups:
                self._run_follow_ups(step, attempt, outcome)

    def _run_step_code(self, step: Step, attempt: AttemptContext) -> Ended:
        slot = attempt.required_slot
        if isinstance(step, CodeStep):  # the start takes seconds, and cannot be cancelled
            with contextlib.suppress(LaneLost, OSError):  # `apart` reports the error
                slot.python.prepare()
        with self._slot_lock:
            if self._cancelled_at is not None:  # cancelled since the claim
                failure = Failure(kind="interrupted", reason="interrupted after 0.0 s")
                return Ended(usage=Usage(seconds=0.0), failure=failure)
            self._slot = slot
        try:
            return apart(step, self._client.context, attempt)
        finally:
            with self._slot_lock:
                self._slot = None

    def _send_outcome(self, outcome: Outcome) -> None:
        """Send the rest of the logs, then the outcome together with the small last chunks."""
        samples = outcome.ended.usage.samples
        files = [*self._logs]
        if samples is not None:
            files.append(ChunkSender("samples", samples))
        last_chunks = send_rest(files, self.id, lambda chunk: self._client.ask(CHUNK, chunk))
        self._client.ask(OUTCOME, msgspec.structs.replace(outcome, chunks=last_chunks))
        self.acknowledge(last_chunks)

    def _run_follow_ups(self, step: Step, attempt: AttemptContext, outcome: Outcome) -> None:
        """Execute follow-ups until the session releases the worker."""
        with contextlib.suppress(RequestRefused):
            while (message := self._client.ask(FOLLOW_UP)) is not None:
                if not message:
                    continue
                follow_up = read(message, FollowUp)
                self.following = follow_up.attempt
                if self.following is not None:
                    return
                if follow_up.criterion is None:
                    reply = self._copy(follow_up, attempt)
                else:
                    reply = self._check(follow_up.criterion, step, attempt, outcome)
                try:
                    self._client.ask(FOLLOW_UP_REPLY, reply)
                except RequestRefused as error:
                    self._client.ask(FOLLOW_UP_REPLY, FollowUpReply(error=str(error)))

    def _check(
        self, criterion: Criterion, step: Step, attempt: AttemptContext, outcome: Outcome
    ) -> FollowUpReply:
        context = self._client.context
        searches = Searches(attempt.slot, attempt.seconds_for(step.timeout))
        inputs = CheckInputs(
            step,
            context,
            outcome.ended,
            outcome.started_at,
            attempt.config.root,
            outcome.files_before,
            searches=searches,
        )
        try:
            return FollowUpReply(verdicts=tuple(check.CHECKS[criterion.name](criterion, inputs)))
        except SearchTimeout as error:
            return FollowUpReply(error=str(error), timed_out_at=error.place)
        except Exception as error:  # noqa: BLE001
            return FollowUpReply(error=f"{type(error).__name__}: {error}")

    def _copy(self, follow_up: FollowUp, attempt: AttemptContext) -> FollowUpReply:
        copied = artifacts.collected(follow_up.patterns, attempt)
        copies, modified = [], []
        for artifact in copied.artifacts:
            name = str(Path(artifact.path).relative_to(str(attempt.artifacts)))
            with open(artifact.path, "rb") as file:
                while data := file.read(MAX_CHUNK):
                    at = file.tell() - len(data)
                    try:
                        self._client.ask(CHUNK, Chunk(self.id, f"{COPY_PREFIX}{name}", at, data))
                    except RequestRefused as error:
                        return FollowUpReply(error=str(error))
            copies.append(msgspec.structs.replace(artifact, path=name))
            modified.append(os.stat(artifact.path).st_mtime_ns)
        return FollowUpReply(
            artifacts=tuple(copies), modified=tuple(modified), warnings=copied.warnings
        )

    def _report_error(self, error: Exception) -> None:
        """Report an error of this worker as the outcome; an earlier outcome takes precedence."""
        reason = f"the worker cannot run it: {type(error).__name__}: {error}"
        ended = Ended(usage=Usage(seconds=0.0), failure=Failure(kind="crash", reason=reason))
        with contextlib.suppress(OSError, OrchestratorError):
            try:
                self._send_outcome(Outcome(ended=ended))
            except RequestRefused:  # the session refuses its logs
                self._client.ask(OUTCOME, Outcome(ended=ended))
