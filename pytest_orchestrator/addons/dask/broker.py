"""Attempt broker: accepts one claim for each attempt, and watches its worker by heartbeats.

A scheduler may send an attempt to a second worker if it considers the first one lost. The claim
of the second worker is refused here, so the step code of an attempt never runs twice.
"""

import os
import threading
import time
from collections.abc import Callable, Collection
from typing import Any, Final, Protocol

from pytest_orchestrator.addons.dask.link import CLAIM, HEARTBEAT, SILENCE, ClaimRequest, Respond
from pytest_orchestrator.execution.remote.addon import (
    FOLLOW_UP,
    OUTCOME,
    ClaimReply,
    FollowUp,
    FollowUpReply,
    InterruptibleEvent,
    Outcome,
    RemoteWork,
    RequestRefused,
    SessionConfig,
    Where,
    WorkerLost,
)

_OVER: Final = "it is not to run any more"
_CHECK_INTERVAL: Final = 1.0
"""Seconds between two checks whether a worker is lost."""


class Task(Protocol):
    """Task of Dask, which runs an attempt or, with ``foreach``, one after another."""

    def ensure_submitted(self) -> None:
        """Submit the attempt unless a worker may still claim it; called about once a second."""

    def withdraw(self) -> None:
        """Cancel the task."""

    def follow(self, attempt: "RemoteAttempt") -> None:
        """Watch the task on behalf of the next attempt that its worker runs."""


class RemoteAttempt:
    """Session side of an attempt on a Dask worker, from its claim to its outcome or loss.

    Args:
        broker: The broker that issues the attempt.
        work: The attempt as its worker needs it.

    Attributes:
        id: Id of the attempt, with which a worker claims it.
        work: The attempt as its worker needs it.
        task: The task of Dask that runs the attempt.
        claim: The accepted claim, or None.
        claimed_at: Time of the claim, in seconds since the epoch.
        outcome: Outcome of the step code, or None.
        refused: Claims that were refused.
        is_cancelled: True if the attempt was cancelled.
        is_closed: True if its worker was released.
        at_once: True if it was cancelled without a grace period.
    """

    task: "Task"

    def __init__(self, broker: "AttemptBroker", work: RemoteWork) -> None:
        self.id, self.work = os.urandom(8).hex(), work
        self.claim: ClaimRequest | None = None
        self.claimed_at = 0.0
        self.outcome: Outcome | None = None
        self.refused: list[ClaimRequest] = []
        self.is_cancelled = self.at_once = self.is_closed = False
        self._broker = broker
        self._lock, self._executing = threading.RLock(), threading.Lock()
        self._has_moved = InterruptibleEvent()
        self._given_up = self._is_unknown = False
        self._lost = ""
        self._follow_up: FollowUp | None = None
        self._respond: Respond | None = None
        self._replies: list[FollowUpReply] = []
        self._operations: dict[str, Callable[[Any], Any]] = {
            CLAIM: self._accept_claim,
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

    @property
    def worker(self) -> Where | None:
        """The worker that has claimed the attempt, or None."""
        return None if self.claim is None else Where(self.claim.worker, self.claim.host)

    @property
    def refusals(self) -> tuple[str, ...]:
        """A line for each claim that was refused."""
        return tuple(
            f"worker {claim.worker} on {claim.host} was to run it too, and was refused: "
            "it may have begun already"
            for claim in self.refused
        )

    def answer(self, operation: str, value: Any) -> Any:
        """Execute a request of a worker; see `addons.dask.link.Answer`.

        Raises:
            RequestRefused: The attempt was closed, or is claimed although it is over.
        """
        with self._executing:
            is_late = operation == CLAIM and (self._lost or self.outcome is not None)
            if is_late or self.is_closed:
                raise RequestRefused(_OVER)
            execute = self._operations.get(operation)
            return self.work.answer(operation, value) if execute is None else execute(value)

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
                self.task.ensure_submitted()

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

    def withdraw(self) -> None:
        """Cancel the task of the attempt."""
        self.task.withdraw()

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
        self._ask_worker(follow_up)
        while True:
            self._has_moved.clear()
            with self._lock:
                if self._replies:
                    return self._replies.pop()
                self._raise_if_cut_off()
                self._raise_if_lost()
            self._has_moved.wait(_CHECK_INTERVAL)

    def hand_on(self, after: "RemoteAttempt") -> None:
        """Send the worker to the next attempt, for the next element of ``foreach``."""
        after.task = self.task
        self.task.follow(after)
        self._ask_worker(FollowUp(attempt=after.id))

    def _ask_worker(self, follow_up: FollowUp) -> None:
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
        return self.work.claim_reply()

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

    def issue(self, work: RemoteWork) -> RemoteAttempt:
        """Return a new remote attempt."""
        attempt = RemoteAttempt(self, work)
        with self._lock:
            self._attempts[attempt.id] = attempt
        return attempt

    def forget(self, attempt: RemoteAttempt) -> None:
        """Remove an attempt; the next heartbeat reply makes its worker end it if it still runs."""
        with self._lock:
            self._attempts.pop(attempt.id, None)

    def answer(self, link: str, operation: str, value: Any) -> Any:
        """Execute a request of a worker process; see `addons.dask.link.Answer`.

        Args:
            link: Id of the link of the process.
            operation: The operation; see `execution.remote.attempt`.
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
