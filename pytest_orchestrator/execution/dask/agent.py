"""Worker agent: lanes, heartbeats and the Context server of one worker process.

When the session ends, or has not replied for too long, the agent ends all its attempts.
"""

import asyncio
import contextlib
import os
import pickle
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from pytest_orchestrator.context.rpc import address as rpc_address
from pytest_orchestrator.context.rpc.protocol import Reply, Request, RequestRefused, refusal
from pytest_orchestrator.context.rpc.server import Server
from pytest_orchestrator.core.secrets import Masker
from pytest_orchestrator.execution.attempt_context import AttemptContext, RunCallbacks
from pytest_orchestrator.execution.dask.link import WorkerLink
from pytest_orchestrator.execution.dask.messages import (
    CONTEXT,
    HEARTBEAT,
    HEARTBEAT_SECONDS,
    PATIENCE,
    ClaimReply,
    SessionConfig,
)
from pytest_orchestrator.execution.dask.registry import root_of_worker
from pytest_orchestrator.execution.lanes.lane import Lanes, Program, Slot
from pytest_orchestrator.execution.lanes.messages import LaneLost
from pytest_orchestrator.execution.lanes.ssh_connections import SshConnections
from pytest_orchestrator.execution.run_config import RunConfig
from pytest_orchestrator.execution.supervision.deadlines import HeartbeatFile


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


_PAUSE: Final = 0.2
_START_SECONDS: Final = 10.0
"""Seconds within which the session connects to a worker that has received a task of it."""


class RunningAttempt(Protocol):
    """An attempt that this process has claimed or is about to claim."""

    @property
    def id(self) -> str:
        """Id of the attempt."""

    def send_logs(self) -> None:
        """Send the next chunk of each log."""

    def end(self, *, at_once: bool) -> None:
        """End the step code, without a grace period if ``at_once``."""


class WorkerAgent:
    """State of this worker process for one session.

    Args:
        session_config: The settings of the session.
        link: The link to the session.

    Attributes:
        link: The link to the session.
    """

    def __init__(self, session_config: SessionConfig, link: WorkerLink) -> None:
        self.link = link
        self._session_config = session_config
        self._lock = threading.Lock()
        self._runs: list[RunningAttempt] = []  # one twice if Dask sends its task again
        self._slots: list[Slot] = []
        self._free: list[Slot] = []
        self._heartbeat_file = HeartbeatFile()
        self._heartbeat_file.beat(time.monotonic() + PATIENCE)
        self._lanes = Lanes(heartbeat=self._heartbeat_file)
        self._program = lane_program(session_config)
        self._server = Server()
        self._server.start()
        self._token_prefix = secrets.token_hex(16)

    def start(self) -> None:
        """Start to send heartbeats."""
        threading.Thread(
            target=self._send_heartbeats, name="session-heartbeat", daemon=True
        ).start()

    @contextlib.contextmanager
    def running(self, run: RunningAttempt) -> Iterator[None]:
        """List an attempt in the heartbeats while a ``with`` block runs."""
        with self._lock:
            self._runs.append(run)
        try:
            yield
        finally:
            with self._lock:
                self._runs.remove(run)

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
        attempt_id: str,
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
                reply: Reply = self.link.request(CONTEXT, (attempt_id, request))
            except (OSError, RequestRefused) as error:
                return refusal(error, request.id)
            return reply

        token = self._server.admit(claim_reply.step.name, answer, self._token_prefix + attempt_id)
        variables = {rpc_address.ADDRESS: self._server.address, rpc_address.TOKEN: token}
        context = attempt_context(
            self._session_config, claim_reply, folder, slot, callbacks, variables
        )
        context.config.secrets.add(self._token_prefix)
        try:
            yield context
        finally:
            self._server.end(token)

    def _send_heartbeats(self) -> None:
        """Send heartbeats until the session ends; each reply renews the heartbeat file of lanes."""
        with contextlib.suppress(OSError):
            while True:
                with self._lock:
                    runs = list(self._runs)
                sent_at = time.monotonic()
                end: dict[str, bool] = self.link.request(
                    HEARTBEAT, [run.id for run in runs], PATIENCE
                )
                # Counted from the sending: the session may have received the heartbeat just then.
                self._heartbeat_file.beat(sent_at + PATIENCE)
                for run in runs:
                    with contextlib.suppress(RequestRefused):  # the attempt was closed
                        run.send_logs()
                    if run.id in end:
                        run.end(at_once=end[run.id])
                time.sleep(_PAUSE if end else HEARTBEAT_SECONDS)  # cancelled attempts end soon
        self.link.close()
        self._end_all()
        self._heartbeat_file.close()

    def _end_all(self) -> None:
        """End all attempts of the session in this process, and the lanes."""
        with _CHANGED:
            del _AGENTS[self._session_config.session]
        while True:  # an attempt that is just starting misses the first round
            with self._lock:
                runs = list(self._runs)
                slots = list(self._slots)
            if not runs:
                break
            for run in runs:
                run.end(at_once=True)
            for lane in (lane for slot in slots for lane in (slot.shell, slot.python)):
                if lane.pid is not None:  # also a lane that is just starting
                    with contextlib.suppress(LaneLost):
                        self._lanes.drop(lane.pid, grace=0.0)
            time.sleep(_PAUSE)
        self._lanes.close()
        self._server.close()


_CHANGED: Final = threading.Condition()
_AGENTS: Final[dict[str, WorkerAgent]] = {}


async def serve_session(comm: Any, config: bytes) -> None:
    """Use a connection of a session until it breaks; a handler of Dask's worker.

    Args:
        comm: The connection.
        config: The pickled settings of the session.
    """
    loop = asyncio.get_running_loop()
    settings = pickle.loads(config)  # noqa: S301  # as Dask does with each task
    agent = await loop.run_in_executor(None, _agent_of, settings, loop)
    await agent.link.attach(comm)


def _agent_of(config: SessionConfig, loop: asyncio.AbstractEventLoop) -> WorkerAgent:
    """Return the agent of this process for a session; start it at the first call."""
    with _CHANGED:
        agent = _AGENTS.get(config.session)
        if agent is None:
            agent = _AGENTS[config.session] = WorkerAgent(config, WorkerLink(loop))
            agent.start()
            _CHANGED.notify_all()
        return agent


def agent_for(session: str) -> WorkerAgent:
    """Return the agent of this process for a session.

    Raises:
        RequestRefused: The session has no connection to this process.
    """
    with _CHANGED:
        if not _CHANGED.wait_for(lambda: session in _AGENTS, _START_SECONDS):
            raise RequestRefused("its session has no connection to this worker")
        return _AGENTS[session]
