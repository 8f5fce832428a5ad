"""Attempt in a worker process: its step code, its outcome, and the follow-ups.

The step code runs in lanes of this process, as on the machine of pytest. Its Context is that of
the session, over the network.
"""

import contextlib
import os
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pytest_orchestrator.context.rpc.client import RemoteContext
from pytest_orchestrator.context.rpc.protocol import Reply, Request, RequestRefused
from pytest_orchestrator.core.files import scratch
from pytest_orchestrator.core.result import Ended, Failure
from pytest_orchestrator.execution.attempt_context import AttemptContext, RunCallbacks
from pytest_orchestrator.execution.criteria import check
from pytest_orchestrator.execution.criteria import files as criteria_files
from pytest_orchestrator.execution.criteria.simple import CheckInputs
from pytest_orchestrator.execution.lanes.messages import LaneLost
from pytest_orchestrator.execution.lanes.pattern_search import Searches, SearchTimeout
from pytest_orchestrator.execution.outcome import Raised
from pytest_orchestrator.execution.remote.host import Ask, Host
from pytest_orchestrator.execution.remote.messages import (
    CHUNK,
    CONTEXT,
    COPY_PREFIX,
    FOLLOW_UP,
    LOGS,
    MAX_CHUNK,
    OUTCOME,
    Chunk,
    ClaimReply,
    FollowUp,
    FollowUpReply,
    Outcome,
)
from pytest_orchestrator.execution.steps import artifacts
from pytest_orchestrator.execution.steps.dispatch import apart
from pytest_orchestrator.recipe.model.step import CodeStep, Criterion, Step

if TYPE_CHECKING:
    from pytest_orchestrator.execution.lanes.lane import Slot

_CANCEL_SECONDS: Final = 3.0  # seconds within which a responsive lane has ended its step


class LinkedContext(RemoteContext):
    """Access to the session's Context for the step code of an attempt."""

    __slots__ = ("_request",)

    def __init__(self, ask: Ask) -> None:
        self._name = self._owned_socket = None
        self._request = ask

    def _reply(self, op: str, path: Any, value: Any, index: int, who: Any) -> Reply:
        request = Request(op=op, path=path, value=value, index=index, who=who)
        reply: Reply = self._request(CONTEXT, request)
        return reply


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


class HostAttempt:
    """An attempt that this process has claimed or is about to claim.

    Args:
        host: The lanes and the Context server of this process.
        ask: Sends a request for the attempt to the session.
        folder: Folder for temporary files; None means that of the system.

    Attributes:
        following: The next attempt of this worker, for the next element of ``foreach``; or None.
    """

    def __init__(self, host: Host, ask: Ask, folder: str | None = None) -> None:
        self.following: str | None = None
        self._host, self._ask, self._scratch = host, ask, folder
        self._cancelled_at: float | None = None
        self._claimed_at = 0.0
        self._slot: Slot | None = None
        self._slot_lock, self._logs_lock = threading.Lock(), threading.Lock()
        self._logs: dict[str, str | None] = {}
        self._sent: Counter[str] = Counter()

    def run(self, claim_reply: ClaimReply) -> None:
        """Run the attempt, which was claimed just now, and report its outcome."""
        self._claimed_at = time.monotonic()
        with contextlib.ExitStack() as stack:  # keeps the logs until the outcome is reported
            try:
                self._execute(claim_reply, stack.enter_context(scratch(self._scratch)))
            except Exception as error:
                self._report_error(error)
                raise

    def send_logs(self, *, at_end: bool = False) -> None:
        """Send the next chunk of each log, or all of them; thread-safe."""
        with self._logs_lock:
            for stream, path in self._logs.items():
                while self._send_chunk(stream, path) and at_end:
                    pass

    def _send_chunk(self, stream: str, path: str | None) -> bool:
        """Send the next chunk of a file, which may not exist yet; return False at its end."""
        data = b""
        with contextlib.suppress(OSError), open(path or "", "rb") as file:
            file.seek(self._sent[stream])
            data = file.read(MAX_CHUNK)
        if data:
            self._ask(CHUNK, Chunk(stream, self._sent[stream], data))
            self._sent[stream] += len(data)
        return bool(data)

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

    def _execute(self, claim_reply: ClaimReply, folder: Path) -> None:
        step, callbacks = claim_reply.step, _ForwardedCallbacks()
        with (
            self._host.slot() as slot,
            self._host.attempt_context(claim_reply, self._ask, folder, slot, callbacks) as attempt,
        ):
            known_secrets = set(claim_reply.secrets)
            before = criteria_files.noted(step, attempt.config.root)
            if attempt.logs:
                self._logs = {name: attempt.log(step.name, name) for name in LOGS}
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
            if ended.usage.samples:
                self._logs["samples"] = ended.usage.samples
            self.send_logs(at_end=True)
            self._ask(OUTCOME, outcome)
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
                return Ended(failure=failure)
            self._slot = slot
        try:
            return apart(step, LinkedContext(self._ask), attempt)
        finally:
            with self._slot_lock:
                self._slot = None

    def _run_follow_ups(self, step: Step, attempt: AttemptContext, outcome: Outcome) -> None:
        """Execute follow-ups until the session releases the worker."""
        reply: FollowUpReply | None = None
        with contextlib.suppress(RequestRefused):
            while (follow_up := self._ask(FOLLOW_UP, reply)) is not None:
                self.following = follow_up.attempt
                if self.following is not None:
                    return
                if follow_up.criterion is None:
                    reply = self._copy(follow_up, attempt)
                else:
                    reply = self._check(follow_up.criterion, step, attempt, outcome)

    def _check(
        self, criterion: Criterion, step: Step, attempt: AttemptContext, outcome: Outcome
    ) -> FollowUpReply:
        context = LinkedContext(self._ask)
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
            try:
                while self._send_chunk(f"{COPY_PREFIX}{name}", artifact.path):
                    pass
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
        ended = Ended(failure=Failure(kind="crash", reason=reason))
        with contextlib.suppress(OSError, RequestRefused):
            self._ask(OUTCOME, Outcome(ended=ended))
