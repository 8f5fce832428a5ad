"""Worker side of an attempt: claim, run, report the outcome.

The body runs as it does beside pytest, in lanes of this process; its Context is that of the
session, asked over the network. Whatever engine calls this, it may call it twice: the second
call is refused where the try is claimed.
"""

import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from pytest_orchestrator.context.rpc.protocol import RequestRefused
from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.result import Ended, Failure, Usage
from pytest_orchestrator.execution.criteria import check
from pytest_orchestrator.execution.criteria import files as criteria_files
from pytest_orchestrator.execution.criteria.evidence import Evidence
from pytest_orchestrator.execution.dask.agent import WorkerAgent, agent_of
from pytest_orchestrator.execution.dask.chunks import ChunkSender, send_rest
from pytest_orchestrator.execution.dask.client import BrokerClient
from pytest_orchestrator.execution.dask.messages import (
    CLAIM,
    COPIES,
    DID,
    DONE,
    LARGEST,
    NEXT,
    PIECE,
    STREAMS,
    AttemptRef,
    Chunk,
    ClaimReply,
    ClaimRequest,
    FollowUp,
    FollowUpReply,
    Outcome,
    criterion_of,
    read,
    uncarried,
)
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.execution.lanes.lane import Slot, slot_of
from pytest_orchestrator.execution.lanes.messages import LaneLost
from pytest_orchestrator.execution.lanes.pattern_search import Searches, SearchTimeout
from pytest_orchestrator.execution.outcome import Raised
from pytest_orchestrator.execution.steps import artifacts
from pytest_orchestrator.execution.steps.dispatch import apart
from pytest_orchestrator.execution.temp_folders import scratch
from pytest_orchestrator.recipe.model.step import CodeStep, Step

_HEARS: Final = 3.0  # seconds in which a lane that hears has ended what it runs


class NotClaimed(Exception):
    """A try is not this worker's to run."""


def perform(
    work: AttemptRef,
    worker: str,
    encrypted: ssl.SSLContext | None = None,
    scratch: str | None = None,
) -> None:
    """Run one try of a step, unless somebody has claimed it.

    Args:
        work: Where to claim it.
        worker: The name of this worker.
        encrypted: How its connections are encrypted, where they are.
        scratch: A folder whose owner clears it away even where this process is killed.

    Raises:
        NotClaimed: It is not to be run here.
    """
    stay = agent_of(work.session)
    stay.reach(work, encrypted)
    run = _Run(work, stay, scratch)
    with stay.running(run) as beats:
        claim = ClaimRequest(worker, socket.gethostname(), stay.id, os.urandom(8).hex(), beats)
        run.go(claim)


class _Run:
    """One try that this worker has, or is about to have."""

    def __init__(self, work: AttemptRef, stay: WorkerAgent, scratch: str | None) -> None:
        self.id = work.ticket
        self._stay, self._scratch = stay, scratch
        self._asking = BrokerClient(stay, work.token)
        self._told_to_end: float | None = None
        self._claimed = 0.0
        self._slot: Slot | None = None
        self._turn = threading.Lock()
        self._growing: tuple[ChunkSender, ...] = ()

    def go(self, claim: ClaimRequest) -> None:
        """Claim it, run it, tell of it."""
        try:
            try:
                claimed = read(self._asking.ask(CLAIM, claim), ClaimReply)
            except RequestRefused as error:
                raise NotClaimed(str(error)) from None
            self._claimed = time.monotonic()
            with contextlib.ExitStack() as stack:  # its logs are there until its end is told
                try:
                    self._stay.begin(claimed.terms, claimed.pulse)
                    self._asking.has_pulse = True
                    self._perform(claimed, stack.enter_context(scratch(self._scratch)))
                except Exception as error:
                    self._tell_of(error)
                    raise
        except BaseException:
            self._asking.close()
            raise
        self._asking.keep()

    def pieces(self, most: int) -> list[Chunk]:
        """Return what was printed since it was last told, some of it."""
        return [piece for one in self._growing for piece in one.pieces(self.id, most)]

    def told(self, pieces: Iterable[Chunk]) -> None:
        """Take note of what the session has got."""
        for piece in pieces:
            for one in self._growing:
                one.told(piece)

    def end(self, *, at_once: bool) -> None:
        """End its body; from any thread."""
        with self._turn:  # so that it is still its own slot
            self._told_to_end = self._told_to_end or time.monotonic()
            is_late = time.monotonic() - self._told_to_end > _HEARS
            if self._slot is not None:
                for lane in (self._slot.shell, self._slot.python):
                    lane.cancel(at_once=at_once)
                    if is_late:
                        lane.end()

    def shut_down(self) -> None:
        """End it: nobody is there who could be told of it."""
        self.end(at_once=True)
        self._asking.shut_down()

    def _perform(self, claimed: ClaimReply, folder: Path) -> None:
        step, fresh = uncarried(claimed.step)
        with self._stay.slot() as slot:
            heard: list[dict[str, Any]] = []
            stops: list[tuple[str, int | None]] = []
            env = self._stay.environment(claimed, folder, slot)
            env = msgspec.structs.replace(
                env, hear=heard.append, stop=lambda *words: stops.append(words)
            )
            known = set(claimed.secrets)
            before = criteria_files.noted(msgspec.structs.replace(step, success=fresh), env.root)
            self._growing = tuple(
                ChunkSender(name, env.log(step.name, name) or "") for name in STREAMS if env.logs
            )
            began = time.time()
            ended = self._body(step, env)
            gone = time.monotonic() - self._claimed  # a lane may have had to get ready first
            failure = ended.failure
            raised = failure.exception if failure else None
            if failure is not None:
                failure = msgspec.structs.replace(failure, exception=None)
            outcome = Outcome(
                ended=msgspec.structs.replace(ended, failure=failure),
                shown=raised.report if isinstance(raised, Raised) else None,
                heard=tuple(heard),
                stop=stops[0] if stops else None,
                learnt=tuple(one for one in env.secrets.values if one not in known),
                before=before,
                began=began,
                after=max(0.0, gone - ended.usage.seconds),
            )
            self._tell(outcome)
            if claimed.stays:
                self._obey(step, env, outcome, folder)

    def _body(self, step: Step, env: Environment) -> Ended:
        slot = slot_of(env)
        if isinstance(step, CodeStep):  # what takes seconds, and cannot be told to end
            with contextlib.suppress(LaneLost, OSError):  # which is told below
                slot.python.prepare()
        with self._turn:
            if self._told_to_end is not None:  # between the claim and here
                failure = Failure(kind="interrupted", reason="interrupted after 0.0 s")
                return Ended(usage=Usage(seconds=0.0), failure=failure)
            self._slot = slot
        try:
            return apart(step, self._asking.context, env)
        finally:
            with self._turn:
                self._slot = None

    def _tell(self, outcome: Outcome) -> None:
        """Send what is left of the logs, then how it ended; what is little goes with that."""
        samples = outcome.ended.usage.samples
        files = [*self._growing]
        if samples is not None:
            files.append(ChunkSender("samples", samples))
        few = send_rest(files, self.id, lambda piece: self._asking.ask(PIECE, piece))
        self._asking.ask(DONE, msgspec.structs.replace(outcome, pieces=few))
        self.told(few)

    def _obey(self, step: Step, env: Environment, outcome: Outcome, folder: Path) -> None:
        """Do what is asked for after the body, until the session lets it go."""
        with contextlib.suppress(RequestRefused):
            while (told := self._asking.ask(NEXT)) is not None:
                if not told:
                    continue
                order = read(told, FollowUp)
                if order.patterns is None:
                    done = self._checked(order, step, env, outcome)
                else:
                    done = self._copied(order, env, folder / "copies")
                try:
                    self._asking.ask(DID, done)
                except RequestRefused as error:
                    self._asking.ask(DID, FollowUpReply(error=str(error)))

    def _checked(
        self, order: FollowUp, step: Step, env: Environment, outcome: Outcome
    ) -> FollowUpReply:
        criterion, ended = criterion_of(order), outcome.ended
        context = self._asking.context
        searches = Searches(env.slot, env.seconds_for(step.timeout))
        evidence = Evidence(
            step, context, ended, outcome.began, env.root, outcome.before, searches=searches
        )
        try:
            if criterion.name == "files":
                searches.ahead(criteria_files.queries(criterion, evidence))
            return FollowUpReply(verdicts=tuple(check.CHECKS[criterion.name](criterion, evidence)))
        except SearchTimeout as error:
            return FollowUpReply(error=str(error), late=error.place)
        except Exception as error:  # noqa: BLE001
            return FollowUpReply(error=f"{type(error).__name__}: {error}")

    def _copied(self, order: FollowUp, env: Environment, into: Path) -> FollowUpReply:
        kept = artifacts.collected(
            order.patterns or (), msgspec.structs.replace(env, artifacts=into)
        )
        found, modified = [], []
        for one in kept.artifacts:
            name = str(Path(one.path).relative_to(into))
            with open(one.path, "rb") as file:
                while data := file.read(LARGEST):
                    at = file.tell() - len(data)
                    try:
                        self._asking.ask(PIECE, Chunk(self.id, f"{COPIES}{name}", at, data))
                    except RequestRefused as error:
                        return FollowUpReply(error=str(error))
            found.append(msgspec.structs.replace(one, path=name))
            modified.append(os.stat(one.path).st_mtime_ns)
        return FollowUpReply(
            artifacts=tuple(found), modified=tuple(modified), warnings=kept.warnings
        )

    def _tell_of(self, error: Exception) -> None:
        """Tell of what kept this worker from running it; where its end is told, that counts."""
        reason = f"the worker cannot run it: {type(error).__name__}: {error}"
        ended = Ended(usage=Usage(seconds=0.0), failure=Failure(kind="crash", reason=reason))
        with contextlib.suppress(OSError, OrchestratorError):
            try:
                self._tell(Outcome(ended=ended))
            except RequestRefused:  # its logs are not taken
                self._asking.ask(DONE, Outcome(ended=ended))
