"""Worker agent: lanes, heartbeats and connections of one worker process.

When the session ends, or is not heard for too long, all that runs for it here is ended.

To connect takes turns over the network, a thread of the session, and where it is encrypted some
milliseconds of CPU time. Each request shows a token, so a connection belongs to no try.
"""

import contextlib
import errno
import os
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

import msgspec

from pytest_orchestrator.context.rpc.client import RemoteContext
from pytest_orchestrator.context.rpc.protocol import RequestRefused
from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.secrets import Masker
from pytest_orchestrator.execution.dask.messages import (
    BEAT,
    LARGEST,
    PATIENCE,
    STREAMS,
    AttemptRef,
    Chunk,
    ClaimReply,
    Heartbeat,
    HeartbeatReply,
    SessionConfig,
    plain,
    read,
)
from pytest_orchestrator.execution.dask.registry import root_of_worker
from pytest_orchestrator.execution.dask.tls_proxy import TlsProxy
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.execution.lanes.lane import Lanes, Program, Slot
from pytest_orchestrator.execution.lanes.messages import LaneLost
from pytest_orchestrator.execution.steps.ssh import Links
from pytest_orchestrator.execution.supervision.watchdog import HeartbeatFile

IDLE: Final = 10.0
"""Seconds for which one is kept that nobody uses: what lies between may forget it."""


class ConnectionPool:
    """Those of one process to one session that nobody uses just now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[tuple[float, RemoteContext]] = []
        self._is_over = False

    def take(self, token: str) -> RemoteContext | None:
        """Return one that shows a token from now on; None where there is none."""
        with self._lock:
            if not self._free:
                return None
            _, link = self._free.pop()
        link.show(token)
        return link

    def keep(self, link: RemoteContext) -> None:
        """Keep one, all of whose requests were answered, for whoever comes next."""
        with self._lock:
            if not self._is_over:
                self._free.append((time.monotonic(), link))
                return
        link.close()

    def tidy(self) -> None:
        """Close those that nobody has used for some time."""
        until = time.monotonic() - IDLE
        with self._lock:
            old = [link for since, link in self._free if since < until]
            self._free = [one for one in self._free if one[0] >= until]
        for link in old:
            link.close()

    def close(self) -> None:
        """Close all of them, and each that is to be kept from now on."""
        with self._lock:
            self._is_over = True
            free, self._free = self._free, []
        for _, link in free:
            link.close()


def attempt_environment(
    terms: SessionConfig, claimed: ClaimReply, folder: Path, slot: Slot
) -> Environment:
    """Return the surroundings of a try.

    Args:
        terms: The terms of the session.
        claimed: The try.
        folder: Where its logs may be written.
        slot: Where it runs.
    """
    secrets = Masker(terms.secret_names)
    for secret in claimed.secrets:
        secrets.add(secret)
    manner = msgspec.structs.replace(
        terms.manner,
        cwd=_here(terms, terms.manner.cwd),
        sys_path=_search_path(terms),
    )
    return Environment(
        root=Path(_here(terms, terms.root)),
        timeout=terms.timeout,
        stretch=terms.stretch,
        slot=slot,
        environ={**os.environ, **claimed.variables},
        recipe=_here(terms, claimed.recipe),
        run=terms.run,
        logs=folder if claimed.logs else None,
        resources=folder / "resources" if claimed.samples else None,
        attempt=claimed.attempt,
        secrets=secrets,
        manner=manner,
        handed=claimed.handed,
        max_log=terms.max_log,
        max_artifact=terms.max_artifact,
        capacity=terms.capacity,
    )


def _here(terms: SessionConfig, path: str) -> str:
    """Return where something is on this machine."""
    root = root_of_worker(terms.root)
    is_below = path == terms.root or path.startswith(f"{terms.root}/")
    return root + path[len(terms.root) :] if is_below else path


def _search_path(terms: SessionConfig) -> list[str]:
    path = [_here(terms, one) for one in terms.manner.sys_path]
    return [*path, *(one for one in sys.path if one not in path)]


def lane_program(terms: SessionConfig) -> Program:
    """Return the lane for Python steps, as it is started on this machine."""
    folder = str(Path(__file__).parents[3])
    argv = [sys.executable, *terms.flags, folder]
    hello = {
        **terms.hello,
        "argv": argv,
        "sys_path": _search_path(terms),
        "folder": _here(terms, terms.manner.cwd),
        "arguments": [_argument(terms, one) for one in terms.hello["arguments"]],
    }
    return Program(argv, dict(os.environ), hello)


def _argument(terms: SessionConfig, one: str) -> str:
    name, equals, path = one.partition("=")
    return f"{name}={_here(terms, path)}" if equals and name == "--rootdir" else one


ADDRESS: Final = "ORCHESTRATOR_ADDRESS"
_ANSWER: Final = 5.0
_CONNECT: Final = 2.0
"""Seconds after which a connection is tried anew: the kernel alone would wait ever longer."""
_PAUSE: Final = 0.2
_REFUSALS: Final = 3
_PIECES: Final = 2 << 20
"""Bytes of all pieces that go with one beat: half of what a request may have, for Base64."""


class Running(Protocol):
    """A try that this process has."""

    @property
    def id(self) -> str:
        """Its ticket."""

    def pieces(self, most: int) -> list[Chunk]:
        """Return what it has printed since that was told last, so many bytes of each stream."""

    def told(self, pieces: list[Chunk]) -> None:
        """Take note of what has arrived."""

    def end(self, *, at_once: bool) -> None:
        """End its body."""

    def shut_down(self) -> None:
        """End it: nobody is there who could be told of it."""


class WorkerAgent:
    """What this process has for one session.

    Attributes:
        id: What the session knows this process by.
        is_over: The session is over, or was not heard for too long.
        address: Where the session can be asked from this machine.
        connections: Those to the session that wait for the next try.
    """

    def __init__(self, session: str) -> None:
        self.id = os.urandom(8).hex()
        self.is_over = False
        self.address = ""
        self.connections = ConnectionPool()
        self._relay: TlsProxy | None = None
        self._session = session
        self._lock = threading.Lock()
        self._runs: dict[str, Running] = {}
        self._slots: list[Slot] = []
        self._free: list[Slot] = []
        self._lanes = Lanes()
        self._terms: SessionConfig | None = None
        self._program = Program([], {}, {})
        self._is_told = False
        self._beats = 0
        self._began = threading.Event()

    @contextlib.contextmanager
    def running(self, run: Running) -> Iterator[int]:
        """Let the session know that this process has a try; give the number of the last beat.

        Raises:
            OSError: The session was not heard; whoever comes later begins anew.
        """
        with self._lock:
            if self.is_over:
                raise OSError("the session is over, or was not heard for too long")
            self._runs[run.id] = run
            beats = self._beats
        try:
            yield beats
        finally:
            with self._lock:
                if self._runs.get(run.id) is run:
                    del self._runs[run.id]

    def reach(self, work: AttemptRef, encrypted: ssl.SSLContext | None) -> None:
        """Find out where the session can be asked: in plain words, for steps on this machine.

        Args:
            work: Where it listens.
            encrypted: How connections to it are encrypted.
        """
        with self._lock:
            if not self.address and work.is_encrypted:
                host, _, port = work.address.rpartition(":")
                self._relay = TlsProxy((host.strip("[]"), int(port)), connects=encrypted).start()
            self.address = work.address if self._relay is None else self._relay.address

    def begin(self, terms: SessionConfig | None, pulse: str) -> None:
        """Begin, once a first claim has told the terms; others wait for that."""
        with self._lock:
            is_first, self._is_told = terms is not None and not self._is_told, True
        if terms is None or not is_first:
            self._began.wait(PATIENCE)
            return
        self._terms = terms
        self._program = lane_program(terms)
        own = HeartbeatFile()
        own.beat(time.monotonic() + PATIENCE)
        self._lanes = Lanes(pulse=own)
        self._began.set()
        threading.Thread(
            target=self._beat, args=(pulse, own), name="session pulse", daemon=True
        ).start()

    @contextlib.contextmanager
    def slot(self) -> Iterator[Slot]:
        """Have a slot while a block runs."""
        with self._lock:
            if not self._free:
                self._free.append(Slot(self._lanes, self._program, Links()))
                self._slots.append(self._free[-1])
            slot = self._free.pop()
        try:
            yield slot
        finally:
            with self._lock:
                self._free.append(slot)

    def environment(self, claimed: ClaimReply, folder: Path, slot: Slot) -> Environment:
        """Return the surroundings of a try; see `attempt_environment`."""
        assert self._terms is not None  # noqa: S101  # it has begun
        handed = {**claimed.handed, ADDRESS: self.address}
        claimed = msgspec.structs.replace(claimed, handed=handed)
        return attempt_environment(self._terms, claimed, folder, slot)

    def _beat(self, token: str, own: HeartbeatFile) -> None:
        """Be heard until the session is over; while it hears, the lanes here may go on."""
        link: RemoteContext | None = None
        heard, refusals = time.monotonic(), 0
        while not self.is_over:
            try:
                link = link or RemoteContext.connect(
                    self.address, token, timeout=_ANSWER, patience=_CONNECT
                )
                began = time.monotonic()
                is_busy = self._tell(link)
                own.beat(began + PATIENCE)  # then already the session may have heard it last
                self.connections.tidy()
                heard, refusals = time.monotonic(), 0
                if is_busy:  # what has been told to end needs a moment
                    time.sleep(_PAUSE)
            except RequestRefused:
                break
            except (OSError, OrchestratorError) as error:
                if link is not None:
                    link.close()
                    link = None
                refused = getattr(error, "errno", None) == errno.ECONNREFUSED
                refused |= self._relay is not None and self._relay.is_refused
                refusals = refusals + 1 if refused else 0  # the machine is there, and pytest not
                if refusals >= _REFUSALS or time.monotonic() - heard > PATIENCE:
                    break
                time.sleep(_PAUSE)
        if link is not None:
            link.close()
        self._end()
        own.close()

    def _tell(self, link: RemoteContext) -> bool:
        """Beat once; tell whether there was something to end."""
        with self._lock:
            runs = dict(self._runs)
            self._beats += 1
            number = self._beats
        most = min(LARGEST, _PIECES // max(1, len(runs) * len(STREAMS)))
        pieces = {name: run.pieces(most) for name, run in runs.items()}
        beat = Heartbeat(
            number, tuple(runs), tuple(piece for each in pieces.values() for piece in each)
        )
        answer = read(link.request(BEAT, plain(beat)), HeartbeatReply)
        for name, run in runs.items():
            run.told(pieces[name])
            if name in answer.end:
                run.end(at_once=answer.end[name])
        self.is_over = answer.is_over
        return bool(answer.end)

    def _end(self) -> None:
        """End all that runs here for the session, and the lanes."""
        with self._lock:
            self.is_over = True
        with _LOCK:
            if _AGENTS.get(self._session) is self:
                del _AGENTS[self._session]
        while True:  # one that is about to begin does not hear of it at once
            with self._lock:
                runs = list(self._runs.values())
                slots = list(self._slots)
            if not runs:
                break
            for run in runs:
                run.shut_down()
            for lane in (lane for slot in slots for lane in (slot.shell, slot.python)):
                if lane.pid is not None:  # be it about to begin
                    with contextlib.suppress(LaneLost):
                        self._lanes.drop(lane.pid, grace=0.0)
            time.sleep(_PAUSE)
        self._lanes.close()
        self.connections.close()
        if self._relay is not None:
            self._relay.close()


_LOCK: Final = threading.Lock()
_AGENTS: Final[dict[str, WorkerAgent]] = {}


def agent_of(session: str) -> WorkerAgent:
    """Return what this process has for a session."""
    with _LOCK:
        if session not in _AGENTS:
            _AGENTS[session] = WorkerAgent(session)
        return _AGENTS[session]
