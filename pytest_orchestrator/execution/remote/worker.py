"""Attempt in a worker process: its step code, its outcome, and the follow-ups.

The step code runs in lanes of this process, as on the machine of pytest. Its Context is that of
the session, over the network.
"""

import contextlib
import os
import secrets
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from pytest_orchestrator.context.rpc import address as rpc_address
from pytest_orchestrator.context.rpc.client import RemoteContext
from pytest_orchestrator.context.rpc.protocol import Reply, Request, RequestRefused, refusal
from pytest_orchestrator.context.rpc.server import Server
from pytest_orchestrator.core.files import scratch
from pytest_orchestrator.core.result import Ended, Failure
from pytest_orchestrator.core.secrets import Masker
from pytest_orchestrator.execution.attempt_context import AttemptContext, RunCallbacks
from pytest_orchestrator.execution.criteria import check
from pytest_orchestrator.execution.criteria import files as criteria_files
from pytest_orchestrator.execution.criteria.simple import CheckInputs
from pytest_orchestrator.execution.lanes.lane import Lanes, Program, Slot
from pytest_orchestrator.execution.lanes.messages import LaneLost
from pytest_orchestrator.execution.lanes.pattern_search import Searches, SearchTimeout
from pytest_orchestrator.execution.lanes.ssh_connections import SshConnections
from pytest_orchestrator.execution.outcome import Raised
from pytest_orchestrator.execution.remote.attempt import (
    CHUNK,
    CONTEXT,
    COPY_PREFIX,
    FOLLOW_UP,
    LOGS,
    MAX_CHUNK,
    OUTCOME,
    PATIENCE,
    Chunk,
    ClaimReply,
    FollowUp,
    FollowUpReply,
    Outcome,
    SessionConfig,
    root_of_worker,
)
from pytest_orchestrator.execution.run_config import RunConfig
from pytest_orchestrator.execution.steps import artifacts
from pytest_orchestrator.execution.steps.dispatch import apart
from pytest_orchestrator.execution.supervision.deadlines import HeartbeatFile
from pytest_orchestrator.recipe.model.step import CodeStep, Criterion, Step

Ask = Callable[[str, Any], Any]
"""Function that sends a request for an attempt to its session: operation, message.

It returns the reply, and raises `RequestRefused`, or `OSError` if the session has ended.
"""


class Host:
    """Lanes and Context server of this process, for all attempts of one session.

    When the session was not heard for too long, all lanes end the step code that they run.

    Args:
        session_config: The settings of the session.
    """

    def __init__(self, session_config: SessionConfig) -> None:
        self._session_config = session_config
        self._lock = threading.Lock()
        self._slots: list[Slot] = []
        self._free: list[Slot] = []
        self._heartbeat_file = HeartbeatFile()
        self.hear(time.monotonic())
        self._lanes = Lanes(heartbeat=self._heartbeat_file)
        self._program = lane_program(session_config)
        self._server = Server()
        self._server.start()
        self._token_prefix = secrets.token_hex(16)

    def hear(self, moment: float) -> None:
        """Record that the session lived at a time of ``time.monotonic``."""
        self._heartbeat_file.beat(moment + PATIENCE)

    @contextlib.contextmanager
    def slot(self) -> Iterator[Slot]:
        """Lease a worker slot while a ``with`` block runs."""
        with self._lock:
            if not self._free:
                self._free.append(Slot(self._lanes, self._program, SshConnections()))
                self._slots.append(self._free[-1])
            slot = self._free.pop()
        try:
            yield slot
        finally:
            with self._lock:
                self._free.append(slot)

    @contextlib.contextmanager
    def attempt_context(
        self,
        claim_reply: ClaimReply,
        ask: Ask,
        folder: Path,
        slot: Slot,
        callbacks: RunCallbacks,
    ) -> Iterator[AttemptContext]:
        """Return the context of an attempt, whose programs use the Context within the block.

        See the function `attempt_context`. The programs connect to a server of this process, which
        passes their requests on to the session.
        """

        def answer(request: Request) -> Reply:
            try:
                reply: Reply = ask(CONTEXT, request)
            except (OSError, RequestRefused) as error:
                return refusal(error, request.id)
            return reply

        # Only the prefix is masked: a session learns each secret of its workers, and keeps it.
        token = self._token_prefix + secrets.token_hex(8)
        self._server.admit(claim_reply.step.name, answer, token)
        variables = {rpc_address.ADDRESS: self._server.address, rpc_address.TOKEN: token}
        context = attempt_context(
            self._session_config, claim_reply, folder, slot, callbacks, variables
        )
        context.config.secrets.add(self._token_prefix)
        try:
            yield context
        finally:
            self._server.end(token)

    def end_lanes(self) -> None:
        """End all lanes, also one that is just starting."""
        with self._lock:
            slots = list(self._slots)
        for lane in (lane for slot in slots for lane in (slot.shell, slot.python)):
            if lane.pid is not None:
                with contextlib.suppress(LaneLost):
                    self._lanes.drop(lane.pid, grace=0.0)

    def close(self) -> None:
        """Release everything; no attempt may run."""
        self._lanes.close()
        self._server.close()
        self._heartbeat_file.close()


def attempt_context(
    session_config: SessionConfig,
    claim_reply: ClaimReply,
    folder: Path,
    slot: Slot,
    callbacks: RunCallbacks,
    context_variables: dict[str, str],
) -> AttemptContext:
    """Return the context of an attempt.

    Args:
        session_config: The settings of the session.
        claim_reply: The attempt, with its step and variables.
        folder: Folder for its logs and copied files.
        slot: The worker slot that runs the attempt.
        callbacks: The receiver of events and of the end of the session.
        context_variables: Environment variables with which programs of the step use the Context.
    """
    masker = Masker(session_config.secret_names)
    for secret in claim_reply.secrets:
        masker.add(secret)
    python_settings = msgspec.structs.replace(
        session_config.python_settings,
        cwd=_local_path(session_config, session_config.python_settings.cwd),
        sys_path=_search_path(session_config),
    )
    config = RunConfig(
        root=Path(_local_path(session_config, session_config.root)),
        run_id=session_config.run,
        timeout=session_config.timeout,
        timeout_factor=session_config.timeout_factor,
        python_settings=python_settings,
        record_style=session_config.record_style,
        max_log=session_config.max_log,
        max_artifact=session_config.max_artifact,
        max_result=session_config.max_result,
        secrets=masker,
    )
    return AttemptContext(
        config=config,
        callbacks=callbacks,
        recipe=_local_path(session_config, claim_reply.recipe),
        number=claim_reply.attempt,
        slot=slot,
        logs=folder if claim_reply.logs else None,
        artifacts=folder / "copies",
        resources=folder / "resources" if claim_reply.samples else None,
        environ={**os.environ, **claim_reply.variables},
        context_variables=context_variables,
    )


def _local_path(session_config: SessionConfig, path: str) -> str:
    """Return the path on this machine for a path of the session; the two rootdirs may differ."""
    root = root_of_worker(session_config.root)
    is_below = path == session_config.root or path.startswith(f"{session_config.root}/")
    return root + path[len(session_config.root) :] if is_below else path


def _search_path(session_config: SessionConfig) -> list[str]:
    path = [_local_path(session_config, entry) for entry in session_config.python_settings.sys_path]
    return [*path, *(entry for entry in sys.path if entry not in path)]


def lane_program(session_config: SessionConfig) -> Program:
    """Return the program of a lane for Python steps on this machine."""
    folder = str(Path(__file__).parents[3])
    argv = [sys.executable, *session_config.flags, folder]
    hello = {
        **session_config.hello,
        "argv": argv,
        "sys_path": _search_path(session_config),
        "folder": _local_path(session_config, session_config.python_settings.cwd),
        "arguments": [
            _argument(session_config, argument) for argument in session_config.hello["arguments"]
        ],
    }
    return Program(argv, dict(os.environ), hello)


def _argument(session_config: SessionConfig, argument: str) -> str:
    name, equals, path = argument.partition("=")
    return (
        f"{name}={_local_path(session_config, path)}"
        if equals and name == "--rootdir"
        else argument
    )


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
