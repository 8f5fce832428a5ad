"""Host of attempts: the lanes and the Context server of a worker process, for one session."""

import contextlib
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from pytest_orchestrator.context.rpc import address as rpc_address
from pytest_orchestrator.context.rpc.protocol import Reply, Request, RequestRefused, refusal
from pytest_orchestrator.context.rpc.server import Server
from pytest_orchestrator.core.secrets import Masker
from pytest_orchestrator.execution.attempt_context import AttemptContext, RunCallbacks
from pytest_orchestrator.execution.lanes.lane import Lanes, Program, Slot
from pytest_orchestrator.execution.lanes.messages import LaneLost
from pytest_orchestrator.execution.lanes.ssh_connections import SshConnections
from pytest_orchestrator.execution.remote.messages import (
    CONTEXT,
    PATIENCE,
    ClaimReply,
    SessionConfig,
    root_of_worker,
)
from pytest_orchestrator.execution.run_config import RunConfig
from pytest_orchestrator.execution.supervision.deadlines import HeartbeatFile

Ask = Callable[[str, Any], Any]
"""Function that sends a request for an attempt to its session: operation, message.

It returns the reply, and raises `RequestRefused`, or `OSError` if the session has ended.
"""


class Host:
    """Lanes and Context server of this process, for all attempts of one session.

    When the session was not heard for too long, all lanes end the step code that they run.

    Args:
        session_config: The settings of the session.
    """

    def __init__(self, session_config: SessionConfig) -> None:
        self._session_config = session_config
        self._lock = threading.Lock()
        self._slots: list[Slot] = []
        self._free: list[Slot] = []
        self._heartbeat_file = HeartbeatFile()
        self.hear(time.monotonic())
        self._lanes = Lanes(heartbeat=self._heartbeat_file)
        self._program = lane_program(session_config)
        self._server = Server()
        self._server.start()
        self._token_prefix = secrets.token_hex(16)

    def hear(self, moment: float) -> None:
        """Record that the session lived at a time of ``time.monotonic``."""
        self._heartbeat_file.beat(moment + PATIENCE)

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
        ask: Ask,
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
                reply: Reply = ask(CONTEXT, request)
            except (OSError, RequestRefused) as error:
                return refusal(error, request.id)
            return reply

        # Only the prefix is masked: a session learns each secret of its workers, and keeps it.
        token = self._token_prefix + secrets.token_hex(8)
        self._server.admit(claim_reply.step.name, answer, token)
        variables = {rpc_address.ADDRESS: self._server.address, rpc_address.TOKEN: token}
        context = attempt_context(
            self._session_config, claim_reply, folder, slot, callbacks, variables
        )
        context.config.secrets.add(self._token_prefix)
        try:
            yield context
        finally:
            self._server.end(token)

    def end_lanes(self) -> None:
        """End all lanes, also one that is just starting."""
        with self._lock:
            slots = list(self._slots)
        for lane in (lane for slot in slots for lane in (slot.shell, slot.python)):
            if lane.pid is not None:
                with contextlib.suppress(LaneLost):
                    self._lanes.drop(lane.pid, grace=0.0)

    def close(self) -> None:
        """Release everything; no attempt may run."""
        self._lanes.close()
        self._server.close()
        self._heartbeat_file.close()


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
