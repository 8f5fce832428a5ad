"""What one process of a worker keeps for a session: lanes, and a pulse by which it is heard.

When the session ends, or is not heard for too long, all that runs for it here is ended.
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

from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.secrets import Masker
from pytest_orchestrator.execution.alike import root_of_worker
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.execution.errands import (
    BEAT,
    PATIENCE,
    Answer,
    Beat,
    Claimed,
    Piece,
    Terms,
    Work,
    plain,
    read,
)
from pytest_orchestrator.execution.lanes import Lanes
from pytest_orchestrator.execution.relay import Relay
from pytest_orchestrator.execution.slot import Program, Slot
from pytest_orchestrator.remote.client import RemoteContext, RequestRefused

ADDRESS: Final = "ORCHESTRATOR_ADDRESS"
_ANSWER: Final = 5.0
_PAUSE: Final = 0.2
_REFUSALS: Final = 3


class Running(Protocol):
    """A try that this process has."""

    @property
    def id(self) -> str:
        """Its ticket."""

    def pieces(self) -> list[Piece]:
        """Return what it has printed since that was told last."""

    def told(self, pieces: list[Piece]) -> None:
        """Take note of what has arrived."""

    def end(self, *, at_once: bool) -> None:
        """End its body."""

    def hang_up(self) -> None:
        """End it: nobody is there who could be told of it."""


class Stay:
    """What this process has for one session.

    Attributes:
        id: What the session knows this process by.
        is_over: The session is over, or was not heard for too long.
        address: Where the session can be asked from this machine.
    """

    def __init__(self, session: str) -> None:
        self.id = os.urandom(8).hex()
        self.is_over = False
        self.address = ""
        self._relay: Relay | None = None
        self._session = session
        self._lock = threading.Lock()
        self._runs: dict[str, Running] = {}
        self._free: list[Slot] = []
        self._lanes = Lanes()
        self._terms: Terms | None = None
        self._program = Program([], {}, {})
        self._is_told = False
        self._began = threading.Event()

    @contextlib.contextmanager
    def running(self, run: Running) -> Iterator[None]:
        """Let the session know that this process has a try."""
        with self._lock:
            self._runs[run.id] = run
        try:
            yield
        finally:
            with self._lock:
                self._runs.pop(run.id, None)

    def reach(self, work: Work, encrypted: ssl.SSLContext | None) -> None:
        """Find out where the session can be asked: in plain words, for steps on this machine.

        Args:
            work: Where it listens.
            encrypted: How connections to it are encrypted.
        """
        with self._lock:
            if not self.address and work.is_encrypted:
                host, _, port = work.address.rpartition(":")
                self._relay = Relay((host.strip("[]"), int(port)), connects=encrypted).start()
            self.address = work.address if self._relay is None else self._relay.address

    def begin(self, terms: Terms | None, pulse: str) -> None:
        """Begin, once a first claim has told the terms; others wait for that."""
        with self._lock:
            is_first, self._is_told = terms is not None and not self._is_told, True
        if terms is None or not is_first:
            self._began.wait(PATIENCE)
            return
        self._terms = terms
        self._program = _program(terms)
        self._began.set()
        threading.Thread(
            target=self._beat, args=(pulse,), name="session pulse", daemon=True
        ).start()

    @contextlib.contextmanager
    def slot(self) -> Iterator[Slot]:
        """Have a slot while a block runs."""
        with self._lock:
            slot = self._free.pop() if self._free else Slot(self._lanes, self._program)
        try:
            yield slot
        finally:
            with self._lock:
                self._free.append(slot)

    def environment(self, claimed: Claimed, folder: Path, slot: Slot) -> Environment:
        """Return the surroundings of a try.

        Args:
            claimed: The try.
            folder: Where its logs may be written.
            slot: Where it runs.
        """
        terms = self._terms
        assert terms is not None  # noqa: S101  # it has begun
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
            handed={**claimed.handed, ADDRESS: self.address},
            max_log=terms.max_log,
            max_artifact=terms.max_artifact,
            capacity=terms.capacity,
        )

    def _beat(self, token: str) -> None:
        """Be heard until the session is over."""
        link: RemoteContext | None = None
        heard, refusals = time.monotonic(), 0
        while not self.is_over:
            try:
                link = link or RemoteContext.connect(self.address, token, timeout=_ANSWER)
                self._tell(link)
                heard, refusals = time.monotonic(), 0
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

    def _tell(self, link: RemoteContext) -> None:
        with self._lock:
            runs = dict(self._runs)
        pieces = {name: run.pieces() for name, run in runs.items()}
        beat = Beat(tuple(runs), tuple(piece for each in pieces.values() for piece in each))
        answer = read(link.request(BEAT, plain(beat)), Answer)
        for name, run in runs.items():
            run.told(pieces[name])
            if name in answer.end:
                run.end(at_once=answer.end[name])
        self.is_over = answer.is_over

    def _end(self) -> None:
        """End all that runs here for the session, and the lanes."""
        self.is_over = True
        with _LOCK:
            if _STAYS.get(self._session) is self:
                del _STAYS[self._session]
        with self._lock:
            runs = list(self._runs.values())
        for run in runs:
            run.hang_up()
        self._lanes.close()
        if self._relay is not None:
            self._relay.close()


_LOCK: Final = threading.Lock()
_STAYS: Final[dict[str, Stay]] = {}


def stay_of(session: str) -> Stay:
    """Return what this process has for a session."""
    with _LOCK:
        if session not in _STAYS:
            _STAYS[session] = Stay(session)
        return _STAYS[session]


def _here(terms: Terms, path: str) -> str:
    """Return where something is on this machine."""
    root = root_of_worker(terms.root)
    is_below = path == terms.root or path.startswith(f"{terms.root}/")
    return root + path[len(terms.root) :] if is_below else path


def _search_path(terms: Terms) -> list[str]:
    path = [_here(terms, one) for one in terms.manner.sys_path]
    return [*path, *(one for one in sys.path if one not in path)]


def _program(terms: Terms) -> Program:
    """Return the lane for Python steps, as it is started on this machine."""
    folder = str(Path(__file__).parents[2])
    argv = [sys.executable, *terms.flags, folder]
    hello = {
        **terms.hello,
        "argv": argv,
        "sys_path": _search_path(terms),
        "folder": _here(terms, terms.manner.cwd),
        "arguments": [_argument(terms, one) for one in terms.hello["arguments"]],
    }
    return Program(argv, dict(os.environ), hello)


def _argument(terms: Terms, one: str) -> str:
    name, equals, path = one.partition("=")
    return f"{name}={_here(terms, path)}" if equals and name == "--rootdir" else one
