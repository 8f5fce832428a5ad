"""Worker agent: claims attempts for a worker process, and sends its heartbeats.

A scheduler may call `perform` twice for one attempt: the claim of the second call is refused. When
the session ends, or has not replied for too long, the agent ends all its attempts.
"""

import asyncio
import contextlib
import pickle
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from pytest_orchestrator.addons.dask.link import (
    CLAIM,
    HEARTBEAT,
    HEARTBEAT_SECONDS,
    ClaimRequest,
    WorkerLink,
)
from pytest_orchestrator.execution.remote.addon import (
    PATIENCE,
    Host,
    HostAttempt,
    RequestRefused,
    SessionConfig,
)

_PAUSE: Final = 0.2
_START_SECONDS: Final = 10.0
"""Seconds within which the session connects to a worker that has received a task of it."""


class NotClaimed(Exception):
    """The claim of this worker for an attempt was refused."""


class WorkerAgent:
    """State of this worker process for one session.

    Args:
        session_config: The settings of the session.
        link: The link to the session.

    Attributes:
        link: The link to the session.
        host: The lanes and the Context server of this process.
    """

    def __init__(self, session_config: SessionConfig, link: WorkerLink) -> None:
        self.link, self.host = link, Host(session_config)
        self._session = session_config.session
        self._lock = threading.Lock()
        # An attempt is here twice if Dask sends its task again.
        self._running: list[tuple[str, HostAttempt]] = []

    def start(self) -> None:
        """Start to send heartbeats."""
        threading.Thread(
            target=self._send_heartbeats, name="session-heartbeat", daemon=True
        ).start()

    def ask(self, attempt_id: str, operation: str, message: object = None) -> Any:
        """Send a request for an attempt, and return the reply; see `WorkerLink.request`."""
        return self.link.request(operation, (attempt_id, message))

    @contextlib.contextmanager
    def running(self, attempt_id: str, attempt: HostAttempt) -> Iterator[None]:
        """List an attempt in the heartbeats while a ``with`` block runs."""
        listed = attempt_id, attempt
        with self._lock:
            self._running.append(listed)
        try:
            yield
        finally:
            with self._lock:
                self._running.remove(listed)

    def _send_heartbeats(self) -> None:
        """Send heartbeats until the session ends; each reply keeps the lanes alive."""
        with contextlib.suppress(OSError):
            while True:
                with self._lock:
                    running = list(self._running)
                sent_at = time.monotonic()
                end: dict[str, bool] = self.link.request(
                    HEARTBEAT, [attempt_id for attempt_id, _ in running], PATIENCE
                )
                # Counted from the sending: the session may have received the heartbeat just then.
                self.host.hear(sent_at)
                for attempt_id, attempt in running:
                    with contextlib.suppress(RequestRefused):  # the attempt was closed
                        attempt.send_logs()
                    if attempt_id in end:
                        attempt.end(at_once=end[attempt_id])
                time.sleep(_PAUSE if end else HEARTBEAT_SECONDS)  # cancelled attempts end soon
        self.link.close()
        self._end_all()

    def _end_all(self) -> None:
        """End all attempts of the session in this process, and the lanes."""
        with _CHANGED:
            del _AGENTS[self._session]
        while True:  # an attempt that is just starting misses the first round
            with self._lock:
                running = list(self._running)
            if not running:
                break
            for _, attempt in running:
                attempt.end(at_once=True)
            self.host.end_lanes()
            time.sleep(_PAUSE)
        self.host.close()


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


def perform(session: str, attempt_id: str, worker: str, scratch: str | None = None) -> None:
    """Claim and run one attempt, unless another worker has claimed it.

    With ``foreach`` the session then sends the worker to the attempt for the next element.

    Args:
        session: Id of the session.
        attempt_id: Id of the attempt.
        worker: Name of this worker.
        scratch: Folder for temporary files; its owner removes it even if this process is killed.

    Raises:
        NotClaimed: The claim was refused.
    """
    following: str | None = attempt_id
    while following is not None:
        with _CHANGED:
            if not _CHANGED.wait_for(lambda: session in _AGENTS, _START_SECONDS):
                raise NotClaimed("its session has no connection to this worker")
            agent = _AGENTS[session]
        ask = partial(agent.ask, following)
        attempt = HostAttempt(agent.host, ask, scratch)
        with agent.running(following, attempt):
            try:
                claim = ClaimRequest(worker, socket.gethostname(), agent.link.id)
                claim_reply = ask(CLAIM, claim)
            except RequestRefused as error:
                raise NotClaimed(str(error)) from None
            attempt.run(claim_reply)
        following = attempt.following
