"""Attempt broker: accepts one claim for each attempt, and watches its worker by heartbeats.

A scheduler may send an attempt to a second worker if it considers the first one lost. The claim
of the second worker is refused here, so the step code of an attempt never runs twice.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.protocol import RequestRefused, serve
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.execution.criteria import check
from pytest_orchestrator.execution.dask.link import Respond
from pytest_orchestrator.execution.dask.messages import (
    CHUNK,
    CLAIM,
    CONTEXT,
    COPY_PREFIX,
    FOLLOW_UP,
    HEARTBEAT,
    LOGS,
    OUTCOME,
    SILENCE,
    Chunk,
    ClaimReply,
    ClaimRequest,
    FollowUp,
    FollowUpReply,
    Outcome,
    SessionConfig,
    needed_by_worker,
)
from pytest_orchestrator.execution.interruptible import InterruptibleEvent
from pytest_orchestrator.execution.steps import artifacts
from pytest_orchestrator.recipe.model.step import Step

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
        id: Id of the attempt, with which a worker claims it.
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
        self.claim: ClaimRequest | None = None
        self.claimed_at = 0.0
        self.outcome: Outcome | None = None
        self.refused: list[ClaimRequest] = []
        self.on_unclaimed: Callable[[], object] = lambda: None
        self.is_cancelled = self.at_once = self.is_closed = False
        self._broker, self._step, self._context = broker, step, context
        self._attempt_context = attempt_context
        self._lock, self._executing = threading.RLock(), threading.Lock()
        self._has_moved = InterruptibleEvent()
        self._given_up = self._is_unknown = False
        self._lost = ""
        self._follow_up: FollowUp | None = None
        self._respond: Respond | None = None
        self._replies: list[FollowUpReply] = []
        self._operations: dict[str, Callable[[Any], Any]] = {
            CLAIM: self._accept_claim,
            CONTEXT: lambda request: serve(request, context),
            CHUNK: self._write,
            OUTCOME: self._receive_outcome,
            FOLLOW_UP: self._receive_reply,
        }

    @property
    def is_over(self) -> bool:
        """True if the step code cannot run any more; valid only after `wait` has ended."""
        if self.claim is None or self.outcome is not None or self._is_unknown:
            return True
        return self._broker.silence(self.claim) > SILENCE

    def compare(self, link: str, running: Collection[str]) -> None:
        """Mark the attempt as lost if its worker omits it in a heartbeat after the claim."""
        if self.claim is not None and self.claim.link == link and self.id not in running:
            self._is_unknown = True
            self.lose(f"{self.worker_name} has lost it")

    @property
    def worker_name(self) -> str:
        """Name and host of the worker that has claimed the attempt, as text for messages."""
        assert self.claim is not None  # noqa: S101
        return f"worker {self.claim.worker} on {self.claim.host}"

    def answer(self, operation: str, value: Any) -> Any:
        """Execute a request of a worker; see `execution.dask.link.Answer`.

        Raises:
            RequestRefused: The attempt was closed, or is claimed although it is over.
        """
        with self._executing:
            is_late = operation == CLAIM and (self._lost or self.outcome is not None)
            if is_late or self.is_closed:
                raise RequestRefused(_OVER)
            return self._operations[operation](value)

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
        self._given_up = True
        self._has_moved.set()

    def lose(self, why: str) -> None:
        """Mark the attempt as lost; only the first reason counts."""
        with self._lock:
            self._lost = self._lost or why
            self._send_follow_up()

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
        self.hand_on(follow_up)
        while True:
            self._has_moved.clear()
            with self._lock:
                if self._replies:
                    return self._replies.pop()
                self._raise_if_cut_off()
                self._raise_if_lost()
            self._has_moved.wait(_CHECK_INTERVAL)

    def hand_on(self, follow_up: FollowUp) -> None:
        """Send a follow-up to the worker; do not wait."""
        with self._lock:
            self._follow_up = follow_up
            self._send_follow_up()

    @property
    def is_lost(self) -> bool:
        """True if the attempt was lost before its outcome arrived."""
        return bool(self._lost) and self.outcome is None

    def close(self) -> None:
        """Release the worker, and refuse its further requests; wait for a request that runs."""
        with self._lock:
            self.is_closed = True
            self._send_follow_up()
        with self._executing:
            pass
        self._broker.forget(self)

    def _accept_claim(self, claim: ClaimRequest) -> ClaimReply:
        # Called before the claim is set, because other threads then call `silence` with the claim.
        self._broker.hear(claim.link)
        with self._lock:
            if self.claim is not None:
                self.refused.append(claim)
                raise RequestRefused(f"it was claimed by worker {self.claim.worker}")
            if self.is_cancelled:
                raise RequestRefused(_OVER)
            self.claim, self.claimed_at = claim, time.time()
        attempt_context, step = self._attempt_context, self._step
        return ClaimReply(
            step=needed_by_worker(step),
            attempt=attempt_context.number,
            recipe=attempt_context.recipe,
            variables=_item_variables(attempt_context),
            secrets=tuple(attempt_context.config.secrets.values),
            logs=attempt_context.logs is not None,
            samples=attempt_context.resources is not None,
            has_follow_ups=attempt_context.element is not None
            or artifacts.wants_artifacts(step)
            or any(criterion.name in check.ON_FILES for criterion in step.success),
        )

    def _write(self, chunk: Chunk) -> None:
        """Write bytes of a log or of a copied file.

        Errors of writing a log, such as a full disk, are ignored so that the step can continue.

        Raises:
            RequestRefused: The session does not accept the stream.
            OSError: A copy cannot be written.
        """
        path, is_copy = self._path(chunk.stream), chunk.stream.startswith(COPY_PREFIX)
        with contextlib.suppress(*(() if is_copy else (OSError,))):
            if path is not None:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "r+b" if chunk.at else "wb") as file:
                    file.seek(chunk.at)
                    file.write(chunk.data)

    def _path(self, stream: str) -> str | None:
        if stream in LOGS:
            return self._attempt_context.log(self._step.name, stream)
        if stream == "samples":
            return self._attempt_context.samples(self._step.name)
        copy, folder = Path(stream.removeprefix(COPY_PREFIX)), self._attempt_context.artifacts
        if not stream.startswith(COPY_PREFIX) or copy.is_absolute() or ".." in copy.parts:
            raise RequestRefused(f"nothing is kept of {stream!r}")
        return None if folder is None else str(folder / copy)

    def _receive_outcome(self, outcome: Outcome) -> None:
        with self._lock:
            if not self._lost:  # the loss was reported, and is final
                self.outcome = self.outcome or outcome
            self._has_moved.set()

    def _receive_reply(self, reply: FollowUpReply | None) -> Callable[[Respond], None]:
        """Receive the reply to the last follow-up; the next follow-up is sent when it is known."""
        with self._lock:
            if reply is not None:
                self._replies.append(reply)
                self._has_moved.set()
        return self._await_follow_up

    def _await_follow_up(self, respond: Respond) -> None:
        with self._lock:
            self._respond = respond
            self._send_follow_up()

    def _send_follow_up(self) -> None:
        """Send a follow-up to the worker that waits for one, or release it; wake other waits.

        The caller holds the lock.
        """
        self._has_moved.set()
        is_released = self.is_closed or bool(self._lost)
        if self._respond is not None and (is_released or self._follow_up is not None):
            respond, self._respond = self._respond, None
            respond(self._follow_up)
            self._follow_up = None

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
"""Seconds without a request after which a worker is lost if the scheduler has given it up."""


class AttemptBroker:
    """Session side of all attempts on Dask workers.

    Args:
        session_config: The settings of the session.
        cut_off: Returns the message that the scheduler is lost; empty if it is not lost.

    Attributes:
        session_config: The settings of the session.
        last_heard: Time of the last request of each worker process, by ``time.monotonic``.
    """

    def __init__(
        self, session_config: SessionConfig, cut_off: Callable[[], str] = lambda: ""
    ) -> None:
        self.session_config, self.cut_off = session_config, cut_off
        self.last_heard: dict[str, float] = {}
        self._lock = threading.Lock()
        self._attempts: dict[str, RemoteAttempt] = {}

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
        return attempt

    def forget(self, attempt: RemoteAttempt) -> None:
        """Remove an attempt; the next heartbeat reply makes its worker end it if it still runs."""
        with self._lock:
            self._attempts.pop(attempt.id, None)

    def answer(self, link: str, operation: str, value: Any) -> Any:
        """Execute a request of a worker process; see `execution.dask.link.Answer`.

        Args:
            link: Id of the link of the process.
            operation: The operation; see `execution.dask.messages`.
            value: For a heartbeat the ids of attempts, else the id of an attempt and a message.

        Raises:
            RequestRefused: The session does not know the attempt.
        """
        self.hear(link)
        if operation == HEARTBEAT:
            return self._receive_heartbeat(link, value)
        attempt_id, message = value
        attempt = self._attempts.get(attempt_id)
        if attempt is None:
            raise RequestRefused(_OVER)
        return attempt.answer(operation, message)

    def hear(self, link: str) -> None:
        """Record that a request of a worker process has arrived."""
        self.last_heard[link] = time.monotonic()

    def silence(self, claim: ClaimRequest) -> float:
        """Return the seconds since the last request of the process that made a claim."""
        return time.monotonic() - self.last_heard[claim.link]

    def is_lost(self, claim: ClaimRequest, *, given_up: bool) -> bool:
        """Return True if no request of a worker has arrived for too long.

        Args:
            claim: A claim of the worker.
            given_up: True if the scheduler has given the worker up.
        """
        return self.silence(claim) > (_GIVEN_UP_SILENCE if given_up else SILENCE)

    def _receive_heartbeat(self, link: str, running: Collection[str]) -> dict[str, bool]:
        with self._lock:
            attempts = dict(self._attempts)
        for attempt in attempts.values():
            attempt.compare(link, running)
        # Attempts that the session has closed, as after a silence, must not continue.
        return {
            each: attempts[each].at_once if each in attempts else True
            for each in running
            if each not in attempts or attempts[each].is_cancelled
        }
