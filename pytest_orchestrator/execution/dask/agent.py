"""Worker agent: lanes, heartbeats and connections of one worker process.

When the session ends, or has not replied for too long, the agent ends all its attempts.

Connections are shared by attempts, since every request contains a token. A new connection costs
several round trips, a thread in the session and, if it is encrypted, some milliseconds of CPU
time.
"""

import contextlib
import errno
import os
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
from pytest_orchestrator.execution.attempt_context import AttemptContext, RunCallbacks
from pytest_orchestrator.execution.dask.messages import (
    HEARTBEAT,
    HEARTBEAT_SECONDS,
    MAX_CHUNK,
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
from pytest_orchestrator.execution.dask.tls_proxy import Encryption, TlsProxy
from pytest_orchestrator.execution.lanes.lane import Lanes, Program, Slot
from pytest_orchestrator.execution.lanes.messages import LaneLost
from pytest_orchestrator.execution.lanes.ssh_connections import SshConnections
from pytest_orchestrator.execution.run_config import RunConfig
from pytest_orchestrator.execution.supervision.deadlines import HeartbeatFile

IDLE_SECONDS: Final = 10.0
"""Seconds after which an unused connection is not used again: a firewall may have dropped it."""


class ConnectionPool:
    """Unused connections of one worker process to one session."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[tuple[float, RemoteContext]] = []
        self._is_over = False

    def acquire(self, token: str) -> RemoteContext | None:
        """Return a pooled connection, set to use ``token``; None if none is usable."""
        with self._lock:
            since, link = self._free.pop() if self._free else (0.0, None)
        if link is None:
            return None
        if time.monotonic() - since > IDLE_SECONDS:
            link.close()
            return None
        link.show(token)
        return link

    def release(self, link: RemoteContext) -> None:
        """Put a connection into the pool; all its requests must have been answered."""
        with self._lock:
            if not self._is_over:
                self._free.append((time.monotonic(), link))
                return
        link.close()

    def close(self) -> None:
        """Close the unused connections, and later each connection that is returned to the pool."""
        with self._lock:
            self._is_over = True
            free, self._free = self._free, []
        for _, link in free:
            link.close()


def attempt_context(
    session_config: SessionConfig,
    claim_reply: ClaimReply,
    folder: Path,
    slot: Slot,
    callbacks: RunCallbacks,
) -> AttemptContext:
    """Return the context of an attempt.

    Args:
        session_config: The settings of the session.
        claim_reply: The attempt, with its step and variables.
        folder: Folder for its logs and copied files.
        slot: The worker slot that runs the attempt.
        callbacks: The receiver of events and of the end of the session.
    """
    secrets = Masker(session_config.secret_names)
    for secret in claim_reply.secrets:
        secrets.add(secret)
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
        secrets=secrets,
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
        context_variables=claim_reply.context_variables,
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


ADDRESS: Final = "ORCHESTRATOR_ADDRESS"
_REPLY_TIMEOUT: Final = 5.0
_CONNECT_TIMEOUT: Final = 2.0
"""Seconds until an attempt to connect is repeated; the kernel would pause longer each time."""
_PAUSE: Final = 0.2
_MAX_REFUSALS: Final = 3
_MAX_CHUNK_BYTES: Final = 2 << 20
"""Maximum bytes of all chunks in one heartbeat: half of a request's limit, because of Base64."""


class RunningAttempt(Protocol):
    """An attempt that this process has claimed or is about to claim."""

    @property
    def id(self) -> str:
        """Id of the attempt."""

    def chunks(self, most: int) -> list[Chunk]:
        """Return the next chunks of the logs, at most `most` bytes of each stream."""

    def acknowledge(self, chunks: list[Chunk]) -> None:
        """Mark chunks as received, so that `chunks` continues after them."""

    def end(self, *, at_once: bool) -> None:
        """End the step code, without a grace period if ``at_once``."""

    def abort(self) -> None:
        """End the attempt without reporting it, since the session is unreachable."""


class WorkerAgent:
    """State of this worker process for one session.

    If the session expects encrypted connections, a proxy is started for the steps on this machine.

    Args:
        ref: The message with the address of the session.
        encryption: Settings of encrypted connections to the session; None without encryption.

    Attributes:
        id: Id of this process in the session.
        is_over: True if the session has ended, or has not replied for too long.
        address: Address at which steps on this machine reach the session without encryption.
        connections: Unused connections to the session.
    """

    def __init__(self, ref: AttemptRef, encryption: Encryption | None = None) -> None:
        self.id = os.urandom(8).hex()
        self.is_over = False
        self.connections = ConnectionPool()
        self._proxy: TlsProxy | None = None
        self._session = ref.session
        self._lock = threading.Lock()
        self._runs: dict[str, RunningAttempt] = {}
        self._slots: list[Slot] = []
        self._free: list[Slot] = []
        self._heartbeat_file = HeartbeatFile()
        self._heartbeat_file.beat(time.monotonic() + PATIENCE)
        self._lanes = Lanes(heartbeat=self._heartbeat_file)
        self._session_config: SessionConfig | None = None
        self._program = Program([], {}, {})
        self._heartbeat_count = 0
        self._is_ready = threading.Event()
        if encryption is not None:
            host, _, port = ref.address.rpartition(":")
            target = (host.strip("[]"), int(port))
            self._proxy = TlsProxy(target, encryption.loop, client_tls=encryption.tls).start()
        self.address = ref.address if self._proxy is None else self._proxy.address

    def start(self, token: str) -> None:
        """Start to send heartbeats with a token."""
        threading.Thread(
            target=self._send_heartbeats, args=(token,), name="session-heartbeat", daemon=True
        ).start()

    @contextlib.contextmanager
    def running(self, run: RunningAttempt) -> Iterator[int]:
        """List an attempt in the heartbeats while a ``with`` block runs.

        The block starts when the first heartbeat was answered; it gets the last heartbeat's number.

        Raises:
            OSError: The session has ended or did not reply; a later attempt gets a new agent.
        """
        self._is_ready.wait()
        with self._lock:
            if self.is_over:
                raise OSError("the session is over, or was not heard for too long")
            self._runs[run.id] = run
            number = self._heartbeat_count
        try:
            yield number
        finally:
            with self._lock:
                if self._runs.get(run.id) is run:
                    del self._runs[run.id]

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

    def attempt_context(
        self, claim_reply: ClaimReply, folder: Path, slot: Slot, callbacks: RunCallbacks
    ) -> AttemptContext:
        """Return the context of an attempt; see the function `attempt_context`."""
        assert self._session_config is not None  # noqa: S101  # the reply to the first heartbeat
        context_variables = {**claim_reply.context_variables, ADDRESS: self.address}
        claim_reply = msgspec.structs.replace(claim_reply, context_variables=context_variables)
        return attempt_context(self._session_config, claim_reply, folder, slot, callbacks)

    def _send_heartbeats(self, token: str) -> None:
        """Send heartbeats until the session ends; each reply renews the heartbeat file of lanes.

        Without replies for 20 s, or after three refused connections, all attempts are ended.
        """
        link: RemoteContext | None = None
        last_reply, refusals = time.monotonic(), 0
        while not self.is_over:
            try:
                link = link or RemoteContext.connect(
                    self.address, token, timeout=_REPLY_TIMEOUT, patience=_CONNECT_TIMEOUT
                )
                sent_at = time.monotonic()
                is_busy = self._send_heartbeat(link)
                # Counted from the sending: the session may have received the heartbeat just then.
                self._heartbeat_file.beat(sent_at + PATIENCE)
                last_reply, refusals = time.monotonic(), 0
                self._is_ready.set()
                # Attempts that were cancelled end soon.
                time.sleep(_PAUSE if is_busy else HEARTBEAT_SECONDS)
            except RequestRefused:
                break
            except (OSError, OrchestratorError) as error:
                if link is not None:
                    link.close()
                    link = None
                refused = getattr(error, "errno", None) == errno.ECONNREFUSED
                refused |= self._proxy is not None and self._proxy.is_refused
                refusals = refusals + 1 if refused else 0  # the machine runs, but pytest does not
                if refusals >= _MAX_REFUSALS or time.monotonic() - last_reply > PATIENCE:
                    break
                time.sleep(_PAUSE)
        if link is not None:
            link.close()
        self._end_all()
        self._heartbeat_file.close()

    def _send_heartbeat(self, link: RemoteContext) -> bool:
        """Send one heartbeat; return True if the reply ends attempts."""
        with self._lock:
            runs = dict(self._runs)
            self._heartbeat_count += 1
            number = self._heartbeat_count
        most = min(MAX_CHUNK, _MAX_CHUNK_BYTES // max(1, len(runs) * len(STREAMS)))
        chunks = {name: run.chunks(most) for name, run in runs.items()}
        beat = Heartbeat(
            self.id,
            number,
            tuple(runs),
            tuple(chunk for each in chunks.values() for chunk in each),
            needs_config=self._session_config is None,
        )
        answer = read(link.request(HEARTBEAT, plain(beat)), HeartbeatReply)
        for name, run in runs.items():
            run.acknowledge(chunks[name])
            if name in answer.end:
                run.end(at_once=answer.end[name])
        if answer.session_config is not None:
            self._session_config = answer.session_config
            self._program = lane_program(answer.session_config)
        self.is_over = answer.is_over
        return bool(answer.end)

    def _end_all(self) -> None:
        """End all attempts of the session in this process, and the lanes."""
        with self._lock:
            self.is_over = True
        self._is_ready.set()
        with _LOCK:
            if _AGENTS.get(self._session) is self:
                del _AGENTS[self._session]
        while True:  # an attempt that is just starting misses the first round
            with self._lock:
                runs = list(self._runs.values())
                slots = list(self._slots)
            if not runs:
                break
            for run in runs:
                run.abort()
            for lane in (lane for slot in slots for lane in (slot.shell, slot.python)):
                if lane.pid is not None:  # also a lane that is just starting
                    with contextlib.suppress(LaneLost):
                        self._lanes.drop(lane.pid, grace=0.0)
            time.sleep(_PAUSE)
        self._lanes.close()
        self.connections.close()
        if self._proxy is not None:
            self._proxy.close()


_LOCK: Final = threading.Lock()
_AGENTS: Final[dict[str, WorkerAgent]] = {}


def agent_of(ref: AttemptRef, encryption: Encryption | None = None) -> WorkerAgent:
    """Return the agent of this process for the session of an attempt; start it at the first call.

    Args:
        ref: The message with the address of the session.
        encryption: Settings of encrypted connections to the session; None without encryption.
    """
    with _LOCK:
        agent = _AGENTS.get(ref.session)
        if agent is None:
            agent = WorkerAgent(ref, encryption)
            agent.start(ref.heartbeat_token)
            _AGENTS[ref.session] = agent
        return agent
