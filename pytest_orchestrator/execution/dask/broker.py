"""Attempt broker: accepts one claim for each attempt, and watches its worker by heartbeats.

A scheduler may send an attempt to a second worker if it considers the first one lost. The claim
of the second worker is refused here, so the step code of an attempt never runs twice.
"""

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.protocol import Reply, Request, RequestRefused, serve
from pytest_orchestrator.context.rpc.server import Server
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.execution.criteria import check
from pytest_orchestrator.execution.dask.chunks import ChunkReceiver
from pytest_orchestrator.execution.dask.messages import (
    CHUNK,
    CLAIM,
    FOLLOW_UP,
    FOLLOW_UP_REPLY,
    HEARTBEAT,
    NUMBERED,
    OUTCOME,
    SILENCE,
    AttemptRef,
    Chunk,
    ClaimReply,
    ClaimRequest,
    FollowUp,
    FollowUpReply,
    Heartbeat,
    HeartbeatReply,
    NumberedRequest,
    Outcome,
    SessionConfig,
    packed,
    plain,
    read,
    replied,
)
from pytest_orchestrator.execution.dask.tls_proxy import TlsProxy
from pytest_orchestrator.execution.interruptible import InterruptibleEvent
from pytest_orchestrator.execution.steps import artifacts
from pytest_orchestrator.recipe.model.step import Step

_FOLLOW_UP_POLL: Final = 10.0
"""Seconds after which a worker that waits for follow-ups gets an empty reply."""
_OVER: Final = "it is not to run any more"
_CHECK_INTERVAL: Final = 1.0
"""Seconds between two checks whether a worker is lost."""


class WorkerLost(Exception):
    """The worker of an attempt is lost, or no worker has claimed it."""


class RemoteAttempt:
    """Session side of an attempt on a Dask worker, from its claim to its outcome or loss.

    Args:
        broker: The broker that issues the attempt.
        step: The step, with expressions replaced by values.
        context: The step's handle to the Context.
        attempt_context: The context of the attempt.

    Attributes:
        id: Id of the attempt.
        token: Token with which a worker claims the attempt.
        claim: The accepted claim, or None.
        claimed_at: Time of the claim, in seconds since the epoch.
        outcome: Outcome of the step code, or None.
        refused: Claims that were refused.
        on_unclaimed: Called about once a second until a worker has claimed the attempt.
        is_cancelled: True if the attempt was cancelled.
        is_closed: True if its worker was released.
        at_once: True if it was cancelled without a grace period.
    """

    def __init__(
        self, broker: "AttemptBroker", step: Step, context: Context, attempt_context: AttemptContext
    ) -> None:
        self.id = os.urandom(8).hex()
        self.token = ""
        self.claim: ClaimRequest | None = None
        self.claimed_at = 0.0
        self.outcome: Outcome | None = None
        self.refused: list[ClaimRequest] = []
        self.on_unclaimed: Callable[[], object] = lambda: None
        self.is_cancelled = False
        self.at_once = False
        self._broker, self._step, self._context, self._attempt_context = (
            broker,
            step,
            context,
            attempt_context,
        )
        # `with` a condition, unlike a lock, may leave it locked if Ctrl-C interrupts it.
        self._lock = threading.RLock()
        self._moved = threading.Condition(self._lock)  # for threads that Ctrl-C does not interrupt
        self._has_moved = InterruptibleEvent()
        self._context_token = ""
        self._given_up = self._is_unknown = False
        self._lost = ""
        self.is_closed = False
        self._follow_up: FollowUp | None = None
        self._replies: list[FollowUpReply] = []
        self._last_replies: dict[str, tuple[int, Reply]] = {}
        self._receiver = ChunkReceiver(step.name, attempt_context)
        self.receive = self._receiver.receive
        self._operations: dict[str, Callable[[Any], Any]] = {
            CLAIM: lambda value: plain(self._accept_claim(read(value, ClaimRequest))),
            CHUNK: lambda value: self.receive(read(value, Chunk)),
            OUTCOME: lambda value: self._receive_outcome(read(value, Outcome)),
            FOLLOW_UP: lambda _: self._next_follow_up(),
            FOLLOW_UP_REPLY: lambda value: self._receive_reply(read(value, FollowUpReply)),
        }

    @property
    def ref(self) -> AttemptRef:
        """The message with which a worker claims the attempt."""
        broker = self._broker
        return AttemptRef(
            broker.session_config.session,
            self.id,
            broker.address,
            self.token,
            broker.heartbeat_token,
            broker.is_encrypted,
        )

    @property
    def is_over(self) -> bool:
        """True if the step code cannot run any more; valid only after `wait` has ended."""
        if self.claim is None or self.outcome is not None or self._is_unknown:
            return True
        return self._broker.silence(self.claim) > SILENCE

    def compare(self, heartbeat: Heartbeat) -> None:
        """Mark the attempt as lost if its worker omits it in a heartbeat after the claim."""
        claim = self.claim
        if claim is None or claim.agent_id != heartbeat.agent_id or self.id in heartbeat.running:
            return
        if heartbeat.number > claim.last_heartbeat:
            self._is_unknown = True
            self.lose(f"{self.worker_name} has lost it")

    @property
    def worker_name(self) -> str:
        """Name and host of the worker that has claimed the attempt, as text for messages."""
        assert self.claim is not None  # noqa: S101
        return f"worker {self.claim.worker} on {self.claim.host}"

    def answered(self, request: Request) -> Reply:
        """Execute a request of a worker; all except the first one of a connection are numbered."""
        if request.op != NUMBERED:
            return serve(request, self._context)
        return replied(request, lambda value: self._execute(read(value, NumberedRequest)))

    def wait(self) -> Outcome:
        """Wait for the outcome of the step code, and return it.

        Raises:
            WorkerLost: The attempt is lost.
            KeyboardInterrupt: The session has lost the scheduler.
        """
        while True:
            self._has_moved.clear()
            with self._lock:
                if self.outcome is None:
                    self._raise_if_cut_off()
                    self._raise_if_lost()
            if self.outcome is None:
                self._has_moved.wait(_CHECK_INTERVAL)
            if self.outcome is not None:
                return self.outcome
            if self.claim is None and not self.is_cancelled:
                self.on_unclaimed()

    def wait_until(self, moment: float) -> None:
        """Wait until the outcome has arrived, at most until a time of ``time.monotonic``.

        A worker can report the outcome even if the scheduler is lost.

        Raises:
            WorkerLost: The attempt is lost.
        """
        while self.outcome is None and (left := moment - time.monotonic()) > 0:
            self._has_moved.clear()
            with self._lock:
                self._raise_if_lost()
            if self.outcome is None:
                self._has_moved.wait(min(left, _CHECK_INTERVAL))

    def give_up(self) -> None:
        """Record that the scheduler considers the worker lost, so that `wait` gives up sooner."""
        with self._lock:
            self._given_up = True
            self._notify()

    def lose(self, why: str) -> None:
        """Mark the attempt as lost; only the first reason counts."""
        with self._lock:
            self._lost = self._lost or why
            self._notify()

    def end(self, *, at_once: bool) -> bool:
        """Cancel the attempt; return True if a worker has claimed it and must end it."""
        with self._lock:
            self.is_cancelled, self.at_once = True, self.at_once or at_once
            return self.claim is not None

    def run_follow_up(self, follow_up: FollowUp) -> FollowUpReply:
        """Send a follow-up to the worker, and wait for its reply.

        Raises:
            WorkerLost: The worker is lost.
        """
        with self._lock:
            self._follow_up = follow_up
            self._notify()
        while True:
            self._has_moved.clear()
            with self._lock:
                if self._replies:
                    return self._replies.pop()
                self._raise_if_cut_off()
                self._raise_if_lost()
            self._has_moved.wait(_CHECK_INTERVAL)

    def _notify(self) -> None:
        """Wake the threads that wait for a change. The caller holds the lock."""
        self._moved.notify_all()
        self._has_moved.set()

    def hand_on(self, ref: AttemptRef) -> None:
        """Send the worker, which waits for a follow-up, to its next attempt; do not wait."""
        with self._lock:
            self._follow_up = FollowUp(attempt=ref)
            self._notify()

    @property
    def is_lost(self) -> bool:
        """True if the attempt was lost before its outcome arrived."""
        return bool(self._lost) and self.outcome is None

    def close(self) -> None:
        """Release the worker, and refuse its further requests."""
        with self._lock:
            self.is_closed = True
            self._notify()
        self._broker.forget(self)
        for token in filter(None, (self.token, self._context_token)):
            self._broker.end(token)
        self._receiver.close()

    def _accept_claim(self, claim: ClaimRequest) -> ClaimReply:
        # Called before the claim is set, because other threads then call `silence` with the claim.
        self._broker.hear(claim.agent_id)
        with self._lock:
            if self.claim is not None:
                self.refused.append(claim)
                raise RequestRefused(f"it was claimed by worker {self.claim.worker}")
            if self.is_cancelled:
                raise RequestRefused(_OVER)
            self.claim, self.claimed_at = claim, time.time()
        attempt_context, step = self._attempt_context, self._step
        self._context_token = self._context_token or self._broker.admit_step(
            step.name, self._context
        )
        return ClaimReply(
            step=packed(step),
            attempt=attempt_context.number,
            recipe=attempt_context.recipe,
            variables=_item_variables(attempt_context),
            context_variables={"ORCHESTRATOR_TOKEN": self._context_token},
            secrets=tuple(attempt_context.config.secrets.values),
            logs=attempt_context.logs is not None,
            samples=attempt_context.resources is not None,
            has_follow_ups=attempt_context.element is not None
            or artifacts.wants_artifacts(step)
            or any(criterion.name in check.ON_FILES for criterion in step.success),
        )

    def _receive_outcome(self, outcome: Outcome) -> None:
        for chunk in outcome.chunks:
            self.receive(chunk)
        self._receiver.end_logs()
        with self._lock:
            if not self._lost:  # the loss was reported, and is final
                self.outcome = self.outcome or outcome
            self._notify()

    def _next_follow_up(self) -> Any:
        """Wait for a follow-up and return it; None releases the worker, ``{}`` means: ask again."""
        until = time.monotonic() + _FOLLOW_UP_POLL
        with self._lock:
            while True:
                if self._follow_up is not None:
                    return plain(self._follow_up)
                left = until - time.monotonic()
                if self.is_closed or self._lost:
                    return None
                if left <= 0:
                    return {}
                self._moved.wait(left)

    def _execute(self, numbered: NumberedRequest) -> Reply:
        """Execute a request once; if it is repeated, return the first reply.

        Raises:
            RequestRefused: The request claims an attempt that is over, or arrives after a later
                request of the same client.
        """
        request = numbered.request
        if request.op == CLAIM and (self._lost or self.is_closed or self.outcome is not None):
            raise RequestRefused(_OVER)
        number, reply = self._last_replies.get(numbered.client_id, (0, Reply(ok=True)))
        if numbered.number < number:
            raise RequestRefused("that was asked for on another connection, and is done")
        if numbered.number > number:
            operation = self._operations.get(request.op)
            if operation is None:
                reply = serve(request, self._context)
            else:
                reply = replied(request, operation)
            self._last_replies[numbered.client_id] = numbered.number, reply
        return reply

    def _receive_reply(self, reply: FollowUpReply) -> None:
        with self._lock:
            self._follow_up = None
            self._replies.append(reply)
            self._notify()

    def _raise_if_cut_off(self) -> None:
        if cut_off := self._broker.cut_off():
            raise KeyboardInterrupt(cut_off)

    def _raise_if_lost(self) -> None:
        if self._lost:
            raise WorkerLost(self._lost)
        if self.claim is not None and self._broker.is_lost(self.claim, given_up=self._given_up):
            silent = self._broker.silence(self.claim)
            self._lost = f"{self.worker_name} was lost: it was not heard for {silent:.0f} s"
            raise WorkerLost(self._lost)


def _item_variables(attempt_context: AttemptContext) -> dict[str, str]:
    """Return ``PYTEST_CURRENT_TEST`` of the run as a mapping; empty if the run does not set it."""
    name = "PYTEST_CURRENT_TEST"
    variables = attempt_context.variables()
    with contextlib.suppress(KeyError):
        return {name: variables[name]}
    return {}


_GIVEN_UP_SILENCE: Final = 3.0
"""Seconds without a heartbeat after which a worker is lost if the scheduler has given it up."""


class AttemptBroker:
    """Session side of all attempts on Dask workers.

    Args:
        server: The server to which workers connect.
        session_config: The settings of the session.
        cut_off: Returns the message that the scheduler is lost; empty if it is not lost.
        proxy: The proxy to which workers connect instead of the server; None without encryption.

    Attributes:
        address: Address to which workers connect.
        session_config: The settings of the session.
        token_prefix: Secret prefix of all tokens of the session.
        heartbeat_token: Token for the heartbeats of all workers.
        last_heard: Time of the last request of each worker process, by ``time.monotonic``.
    """

    def __init__(
        self,
        server: Server,
        session_config: SessionConfig,
        cut_off: Callable[[], str] = lambda: "",
        proxy: TlsProxy | None = None,
    ) -> None:
        self.session_config = session_config
        self.cut_off = cut_off
        self.token_prefix = secrets.token_hex(16)
        self._lock = threading.Lock()
        self._server, self._proxy = server, proxy
        self._number = 0
        self._attempts: dict[str, RemoteAttempt] = {}
        self.last_heard: dict[str, float] = {}
        self._is_over = False
        self.heartbeat_token = self.admit("workers", self._answer_heartbeat)

    @property
    def address(self) -> str:
        """Address to which workers connect."""
        return self._server.address if self._proxy is None else self._proxy.address

    @property
    def is_encrypted(self) -> bool:
        """True if connections of workers are encrypted."""
        return self._proxy is not None

    def issue(self, step: Step, context: Context, attempt_context: AttemptContext) -> RemoteAttempt:
        """Return a new remote attempt of a step.

        Args:
            step: The step, with expressions replaced by values.
            context: The step's handle to the Context.
            attempt_context: The context of the attempt.
        """
        attempt = RemoteAttempt(self, step, context, attempt_context)
        with self._lock:
            self._attempts[attempt.id] = attempt
        attempt.token = self.admit(step.name, attempt.answered)
        return attempt

    def forget(self, attempt: RemoteAttempt) -> None:
        """Remove an attempt; the next heartbeat reply makes its worker end it if it still runs."""
        with self._lock:
            self._attempts.pop(attempt.id, None)

    def admit(self, who: str, answer: Callable[[Request], Reply]) -> str:
        """Return a new token for a client; `answer` executes its requests."""
        with self._lock:
            self._number += 1
            token = f"{self.token_prefix}.{self._number}"
        return self._server.admit(who, answer, token)

    def admit_step(self, step: str, context: Context) -> str:
        """Return a token with which the programs of a step can use the Context."""
        return self.admit(step, lambda request: serve(request, context))

    def end(self, token: str) -> None:
        """Refuse a token from now on."""
        self._server.end(token)

    def hear(self, agent_id: str) -> None:
        """Record that a request of a worker process has arrived."""
        self.last_heard[agent_id] = time.monotonic()

    def silence(self, claim: ClaimRequest) -> float:
        """Return the seconds since the last heartbeat or claim of the process that made a claim."""
        return time.monotonic() - self.last_heard[claim.agent_id]

    def is_lost(self, claim: ClaimRequest, *, given_up: bool) -> bool:
        """Return True if no heartbeat or claim of a worker has arrived for too long.

        Args:
            claim: A claim of the worker.
            given_up: True if the scheduler has given the worker up.
        """
        return self.silence(claim) > (_GIVEN_UP_SILENCE if given_up else SILENCE)

    def close(self) -> None:
        """Reply to all further heartbeats that the session has ended."""
        self._is_over = True

    def _answer_heartbeat(self, request: Request) -> Reply:
        return replied(request, lambda _: self._execute(request))

    def _execute(self, request: Request) -> Any:
        if request.op == "missed":
            return []
        if request.op != HEARTBEAT:
            raise RequestRefused(f"unknown op {request.op!r}")
        return plain(self._receive_heartbeat(read(request.value, Heartbeat)))

    def _receive_heartbeat(self, heartbeat: Heartbeat) -> HeartbeatReply:
        self.hear(heartbeat.agent_id)
        with self._lock:
            attempts = dict(self._attempts)
        for chunk in heartbeat.chunks:
            if chunk.attempt_id in attempts:
                attempts[chunk.attempt_id].receive(chunk)
        for attempt in attempts.values():
            attempt.compare(heartbeat)
        # Attempts that the session has closed, as after a silence, must not continue.
        end = {
            each: attempts[each].at_once if each in attempts else True
            for each in heartbeat.running
            if each not in attempts or attempts[each].is_cancelled
        }
        config = self.session_config if heartbeat.needs_config else None
        return HeartbeatReply(end=end, is_over=self._is_over, session_config=config)
