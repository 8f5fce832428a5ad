"""Where workers claim tries of steps: each is claimed once, and whoever has it is heard.

A scheduler may hand a try to a second worker where it takes the first one for lost. That one is
refused here, so that no body ever runs twice.
"""

import secrets
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from pytest_orchestrator.core.context import Context
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.execution.errands import (
    BEAT,
    LONG_POLL,
    SILENCE,
    Answer,
    Beat,
    Claim,
    Terms,
    plain,
    read,
    replied,
)
from pytest_orchestrator.execution.relay import Relay
from pytest_orchestrator.execution.tickets import Ticket
from pytest_orchestrator.recipe.step_keys import Step
from pytest_orchestrator.remote.protocol import Reply, Request, RequestRefused, serve

_GRACE: Final = 3.0
"""Seconds without a worker that a scheduler has given up."""


class Reception(Protocol):
    """Lets those in who have a token; see `remote.server`."""

    @property
    def address(self) -> str:
        """Where it listens."""

    def admit(self, who: str, answer: Callable[[Request], Reply], token: str | None = None) -> str:
        """Make a token for somebody whose requests are answered one at a time."""

    def end(self, token: str) -> None:
        """Refuse a token from now on."""


class Desk:
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
        terms: Terms,
        cut_off: Callable[[], str] = lambda: "",
        relay: Relay | None = None,
    ) -> None:
        self.terms = terms
        self.cut_off = cut_off
        self.word = secrets.token_hex(16)
        self._moved = threading.Condition()
        self._reception, self._relay = reception, relay
        self._number = 0
        self._tickets: dict[str, Ticket] = {}
        self._stays: dict[str, Stay] = {}
        self._is_over = False

    @property
    def address(self) -> str:
        """Where it listens."""
        return self._reception.address if self._relay is None else self._relay.address

    @property
    def is_encrypted(self) -> bool:
        """True where connections to it are."""
        return self._relay is not None

    def issue(self, step: Step, context: Context, env: Environment) -> Ticket:
        """Make a ticket for a try of a step.

        Args:
            step: The step, with the values of its expressions.
            context: Its own handle on the Context.
            env: The surroundings of the run.
        """
        ticket = Ticket(self, step, context, env)
        with self._moved:
            self._tickets[ticket.id] = ticket
        ticket.token = self.admit(step.name, ticket.answered)
        return ticket

    def forget(self, ticket: Ticket) -> None:
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

    def stay(self, claim: Claim) -> "Stay":
        """Return what is known of a worker's process, which was heard just now."""
        known = self._stays.get(claim.stay)
        if known is None:
            fresh = Stay(self, claim)
            known = self._stays.setdefault(claim.stay, fresh)
            if known is fresh:
                known.token = self.admit(claim.worker, known.answered)
        known.heard = time.monotonic()
        return known

    def silence(self, claim: Claim) -> float:
        """Return for how many seconds a worker's process was not heard."""
        return time.monotonic() - self._stays[claim.stay].heard

    def is_lost(self, claim: Claim, *, given_up: bool) -> bool:
        """Tell whether a worker has to be taken for lost.

        Args:
            claim: Its claim.
            given_up: The scheduler has done so.
        """
        return self.silence(claim) > (_GRACE if given_up else SILENCE)

    def beaten(self, stay: "Stay", beat: Beat) -> Answer:
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
                    return Answer(end=end, is_over=self._is_over)
                self._moved.wait(left)

    def _of(self, stay: "Stay") -> list[Ticket]:
        return [one for one in self._tickets.values() if one.is_with(stay.claim)]

    def stir(self) -> None:
        """Let all beats be answered: there is something to say."""
        with self._moved:
            self._moved.notify_all()

    def close(self) -> None:
        """Tell all workers that the session is over."""
        self._is_over = True
        self.stir()


class Stay:
    """One process of a worker, for as long as a session lasts.

    Attributes:
        claim: Its first claim.
        heard: When it was heard last, by ``time.monotonic``.
        token: What its beats show.
        has_begun: It has beaten, so it has the terms of the session.
    """

    def __init__(self, desk: Desk, claim: Claim) -> None:
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
        return plain(self._desk.beaten(self, read(request.value, Beat)))
