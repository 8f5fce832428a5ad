"""Attempt broker: each attempt is claimed once; its worker is watched by heartbeats.

A scheduler may hand a try to a second worker where it takes the first one for lost. That one is
refused here, so that no body ever runs twice.
"""

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.protocol import Reply, Request, RequestRefused, serve
from pytest_orchestrator.execution.criteria import check
from pytest_orchestrator.execution.dask.chunks import ChunkReceiver
from pytest_orchestrator.execution.dask.messages import (
    BEAT,
    CLAIM,
    DID,
    DONE,
    LONG_POLL,
    NEXT,
    ONCE,
    PIECE,
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
    carried,
    plain,
    read,
    replied,
)
from pytest_orchestrator.execution.dask.tls_proxy import TlsProxy
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.execution.steps import artifacts
from pytest_orchestrator.recipe.model.step import Step

_POLL: Final = 10.0
"""Seconds for which a worker that waits for orders is held back."""
_LOOK: Final = 1.0
"""Seconds between two looks at whether a worker is heard."""


class WorkerLost(Exception):
    """The worker that ran a try is gone, or was never there."""


class RemoteAttempt:
    """A try: claimed by one worker, ended by its outcome, or lost.

    Args:
        desk: Where it is claimed.
        step: The step, with the values of its expressions.
        context: Its own handle on the Context.
        env: The surroundings of the run.

    Attributes:
        id: What it is known by.
        token: What lets a worker claim it.
        claim: Who has claimed it.
        claimed_at: When, in seconds since the epoch.
        outcome: How its body ended.
        refused: Who wanted to run it a second time.
        tended: Is called now and then as long as nobody has claimed it.
    """

    def __init__(
        self, desk: "AttemptBroker", step: Step, context: Context, env: Environment
    ) -> None:
        self.id = os.urandom(8).hex()
        self.token = ""
        self.claim: ClaimRequest | None = None
        self.claimed_at = 0.0
        self.outcome: Outcome | None = None
        self.refused: list[ClaimRequest] = []
        self.tended: Callable[[], object] = lambda: None
        self.is_to_end = False
        self.at_once = False
        self._desk, self._step, self._context, self._env = desk, step, context, env
        self._moved = threading.Condition()
        self._handed = ""
        self._given_up = self._is_unknown = False
        self._lost = ""
        self._is_closed = False
        self._order: FollowUp | None = None
        self._done: list[FollowUpReply] = []
        self._last = 0, Reply(ok=True)
        self._arriving = ChunkReceiver(step.name, env)
        self.take = self._arriving.take
        self._asks: dict[str, Callable[[Any], Any]] = {
            CLAIM: lambda value: plain(self._claimed(read(value, ClaimRequest))),
            PIECE: lambda value: self.take(read(value, Chunk)),
            DONE: lambda value: self._ended(read(value, Outcome)),
            NEXT: lambda _: self._next(),
            DID: lambda value: self._did(read(value, FollowUpReply)),
            ONCE: lambda value: self._once(read(value, NumberedRequest)),
        }

    @property
    def work(self) -> AttemptRef:
        """What a worker must know to claim it."""
        desk = self._desk
        return AttemptRef(desk.terms.session, self.id, desk.address, self.token, desk.is_encrypted)

    def is_with(self, claim: ClaimRequest) -> bool:
        """Tell whether a worker's process has claimed it."""
        return self.claim is not None and self.claim.stay == claim.stay

    @property
    def is_over(self) -> bool:
        """True where nothing of its body runs; asked once nobody waits for that any more."""
        if self.claim is None or self.outcome is not None or self._is_unknown:
            return True
        return self._desk.silence(self.claim) > SILENCE

    def is_unknown(self, beat: int) -> None:
        """Take note that the process that has claimed it has nothing of it, as a beat says."""
        if self.claim is not None and beat > self.claim.beats:
            self._is_unknown = True
            self.lose(f"{self.whose} has lost it")

    @property
    def whose(self) -> str:
        """The worker that has claimed it, for people."""
        assert self.claim is not None  # noqa: S101
        return f"worker {self.claim.worker} on {self.claim.host}"

    def answered(self, request: Request) -> Reply:
        """Answer a worker: about the try, or as the Context."""
        asked = self._asks.get(request.op)
        if asked is None:
            return serve(request, self._context)
        return replied(request, asked)

    def wait(self) -> Outcome:
        """Wait for the end of the body.

        Raises:
            WorkerLost: Nobody will tell of it any more.
            KeyboardInterrupt: The session is cut off from all workers.
        """
        while True:
            with self._moved:
                if self.outcome is None:
                    self._raise_if_cut_off()
                    self._raise_if_lost()
                    self._moved.wait(_LOOK)
                if self.outcome is not None:
                    return self.outcome
            if self.claim is None and not self.is_to_end:
                self.tended()

    def wait_until(self, moment: float) -> None:
        """Wait for the end of the body, but not beyond a moment of ``time.monotonic``.

        A worker may tell of it though the scheduler is lost.

        Raises:
            WorkerLost: Nobody will tell of it any more.
        """
        with self._moved:
            while self.outcome is None and (left := moment - time.monotonic()) > 0:
                self._raise_if_lost()
                self._moved.wait(min(left, _LOOK))

    def give_up(self) -> None:
        """Take note that a scheduler has given up the worker that has claimed it."""
        with self._moved:
            self._given_up = True
            self._moved.notify_all()

    def lose(self, why: str) -> None:
        """Take it for lost."""
        with self._moved:
            self._lost = self._lost or why
            self._moved.notify_all()

    def end(self, *, at_once: bool) -> bool:
        """Have its body ended; tell whether there is one: else nobody can claim it any more."""
        with self._moved:
            self.is_to_end, self.at_once = True, self.at_once or at_once
            is_claimed = self.claim is not None
        self._desk.stir()
        return is_claimed

    def asked(self, order: FollowUp) -> FollowUpReply:
        """Have something done after the body, and wait for that.

        Raises:
            WorkerLost: The worker is gone.
        """
        with self._moved:
            self._order = order
            self._moved.notify_all()
            while not self._done:
                self._raise_if_cut_off()
                self._raise_if_lost()
                self._moved.wait(_LOOK)
            return self._done.pop()

    def close(self) -> None:
        """Let the worker go; nothing is done for it from now on."""
        with self._moved:
            self._is_closed = True
            self._moved.notify_all()
        self._desk.forget(self)
        for token in filter(None, (self.token, self._handed)):
            self._desk.end(token)
        self._arriving.close()

    def _claimed(self, claim: ClaimRequest) -> ClaimReply:
        stay = self._desk.stay(claim)  # whoever has a claim is asked for its silence
        with self._moved:
            if self.claim not in (None, claim):  # the same one may not have got the answer
                self.refused.append(claim)
                raise RequestRefused(f"it was claimed by worker {self.claim.worker}")
            is_over = self._lost or self._is_closed or self.outcome is not None
            if is_over or (self.claim is None and self.is_to_end):
                raise RequestRefused("it is not to run any more")
            if self.claim is None:
                self.claim, self.claimed_at = claim, time.time()
        env, step = self._env, self._step
        self._handed = self._handed or self._desk.let_in(step.name, self._context)
        return ClaimReply(
            step=carried(step),
            attempt=env.attempt,
            recipe=env.recipe,
            variables=_of_the_item(env),
            handed={"ORCHESTRATOR_TOKEN": self._handed},
            secrets=tuple(env.secrets.values),
            logs=env.logs is not None,
            samples=env.resources is not None,
            stays=artifacts.wants_artifacts(step)
            or any(one.name in check.ON_FILES for one in step.success),
            pulse=stay.token,
            terms=None if stay.has_begun else self._desk.terms,
        )

    def _ended(self, outcome: Outcome) -> None:
        for piece in outcome.pieces:
            self.take(piece)
        self._arriving.end_logs()
        with self._moved:
            if not self._lost:  # that was told, and is not taken back
                self.outcome = self.outcome or outcome
            self._moved.notify_all()

    def _next(self) -> Any:
        """Wait for an order; none where the worker may go, an empty one where it asks again."""
        until = time.monotonic() + _POLL
        with self._moved:
            while True:
                if self._order is not None:
                    return plain(self._order)
                left = until - time.monotonic()
                if self._is_closed or self._lost:
                    return None
                if left <= 0:
                    return {}
                self._moved.wait(left)

    def _once(self, once: NumberedRequest) -> Reply:
        """Do an operation on the Context; of the last one, tell again what became of it."""
        number, reply = self._last
        if once.number < number:  # it is of a connection that was given up, and comes late
            raise RequestRefused("that was asked for on another connection, and is done")
        if once.number > number:
            reply = serve(once.request, self._context)
            self._last = once.number, reply
        return reply

    def _did(self, done: FollowUpReply) -> None:
        with self._moved:
            if self._order is not None:  # else it did not get the answer, and tells again
                self._order = None
                self._done.append(done)
            self._moved.notify_all()

    def _raise_if_cut_off(self) -> None:
        if cut_off := self._desk.cut_off():
            raise KeyboardInterrupt(cut_off)

    def _raise_if_lost(self) -> None:
        if self._lost:
            raise WorkerLost(self._lost)
        if self.claim is not None and self._desk.is_lost(self.claim, given_up=self._given_up):
            silent = self._desk.silence(self.claim)
            self._lost = f"{self.whose} was lost: it was not heard for {silent:.0f} s"
            raise WorkerLost(self._lost)


def _of_the_item(env: Environment) -> dict[str, str]:
    """Return what the environment of a step has that is not the machine's."""
    name = "PYTEST_CURRENT_TEST"
    variables = env.variables()
    with contextlib.suppress(KeyError):
        return {name: variables[name]}
    return {}


_GRACE: Final = 3.0
"""Seconds without a worker that a scheduler has given up."""


class Reception(Protocol):
    """Lets those in who have a token; see `context.rpc.server`."""

    @property
    def address(self) -> str:
        """Where it listens."""

    def admit(self, who: str, answer: Callable[[Request], Reply], token: str | None = None) -> str:
        """Make a token for somebody whose requests are answered one at a time."""

    def end(self, token: str) -> None:
        """Refuse a token from now on."""


class AttemptBroker:
    """The session's side of all tries that run elsewhere.

    Args:
        reception: Lets workers in.
        terms: The terms of the session.
        cut_off: Says by what the session is cut off from all workers; empty where it is not.
        relay: What listens in its place, for encrypted connections.

    Attributes:
        address: Where it listens.
        terms: The terms of the session.
        word: What all its tokens begin with; a secret of the session.
    """

    def __init__(
        self,
        reception: Reception,
        terms: SessionConfig,
        cut_off: Callable[[], str] = lambda: "",
        relay: TlsProxy | None = None,
    ) -> None:
        self.terms = terms
        self.cut_off = cut_off
        self.word = secrets.token_hex(16)
        self._moved = threading.Condition()
        self._reception, self._relay = reception, relay
        self._number = 0
        self._tickets: dict[str, RemoteAttempt] = {}
        self._stays: dict[str, WorkerSession] = {}
        self._is_over = False

    @property
    def address(self) -> str:
        """Where it listens."""
        return self._reception.address if self._relay is None else self._relay.address

    @property
    def is_encrypted(self) -> bool:
        """True where connections to it are."""
        return self._relay is not None

    def issue(self, step: Step, context: Context, env: Environment) -> RemoteAttempt:
        """Make a ticket for a try of a step.

        Args:
            step: The step, with the values of its expressions.
            context: Its own handle on the Context.
            env: The surroundings of the run.
        """
        ticket = RemoteAttempt(self, step, context, env)
        with self._moved:
            self._tickets[ticket.id] = ticket
        ticket.token = self.admit(step.name, ticket.answered)
        return ticket

    def forget(self, ticket: RemoteAttempt) -> None:
        """Let nobody do anything for a ticket any more."""
        with self._moved:
            self._tickets.pop(ticket.id, None)

    def admit(self, who: str, answer: Callable[[Request], Reply]) -> str:
        """Make a token."""
        with self._moved:
            self._number += 1
            token = f"{self.word}.{self._number}"
        return self._reception.admit(who, answer, token)

    def let_in(self, step: str, context: Context) -> str:
        """Make a token for the programs of a step."""
        return self.admit(step, lambda request: serve(request, context))

    def end(self, token: str) -> None:
        """Refuse a token from now on."""
        self._reception.end(token)

    def stay(self, claim: ClaimRequest) -> "WorkerSession":
        """Return what is known of a worker's process, which was heard just now."""
        known = self._stays.get(claim.stay)
        if known is None:
            fresh = WorkerSession(self, claim)
            known = self._stays.setdefault(claim.stay, fresh)
            if known is fresh:
                known.token = self.admit(claim.worker, known.answered)
        known.heard = time.monotonic()
        return known

    def silence(self, claim: ClaimRequest) -> float:
        """Return for how many seconds a worker's process was not heard."""
        return time.monotonic() - self._stays[claim.stay].heard

    def is_lost(self, claim: ClaimRequest, *, given_up: bool) -> bool:
        """Tell whether a worker has to be taken for lost.

        Args:
            claim: Its claim.
            given_up: The scheduler has done so.
        """
        return self.silence(claim) > (_GRACE if given_up else SILENCE)

    def beaten(self, stay: "WorkerSession", beat: Heartbeat) -> HeartbeatReply:
        """Take what a worker's process brings; answer once there is something to say."""
        for piece in beat.pieces:
            ticket = self._tickets.get(piece.ticket)
            if ticket is not None:
                ticket.take(piece)
        until = time.monotonic() + LONG_POLL
        with self._moved:
            for ticket in self._of(stay):
                if ticket.id not in beat.running:
                    ticket.is_unknown(beat.number)
            while True:
                end = {one.id: one.at_once for one in self._of(stay) if one.is_to_end}
                # What nobody waits for any more, as after a silence, is not to go on there.
                end |= {one: True for one in beat.running if one not in self._tickets}
                left = until - time.monotonic()
                if end or self._is_over or left <= 0:
                    return HeartbeatReply(end=end, is_over=self._is_over)
                self._moved.wait(left)

    def _of(self, stay: "WorkerSession") -> list[RemoteAttempt]:
        return [one for one in self._tickets.values() if one.is_with(stay.claim)]

    def stir(self) -> None:
        """Let all beats be answered: there is something to say."""
        with self._moved:
            self._moved.notify_all()

    def close(self) -> None:
        """Tell all workers that the session is over."""
        self._is_over = True
        self.stir()


class WorkerSession:
    """One process of a worker, for as long as a session lasts.

    Attributes:
        claim: Its first claim.
        heard: When it was heard last, by ``time.monotonic``.
        token: What its beats show.
        has_begun: It has beaten, so it has the terms of the session.
    """

    def __init__(self, desk: AttemptBroker, claim: ClaimRequest) -> None:
        self.claim = claim
        self.heard = time.monotonic()
        self.token = ""
        self.has_begun = False
        self._desk = desk

    def answered(self, request: Request) -> Reply:
        """Answer a beat."""
        self.heard = time.monotonic()
        return replied(request, lambda _: self._done(request))

    def _done(self, request: Request) -> Any:
        if request.op == "missed":
            return []
        if request.op != BEAT:
            raise RequestRefused(f"unknown op {request.op!r}")
        self.has_begun = True
        return plain(self._desk.beaten(self, read(request.value, Heartbeat)))
