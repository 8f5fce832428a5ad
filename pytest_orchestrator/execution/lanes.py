"""The lanes of one pytest: starts their supervisor when one is needed, and asks it for them.

Each thread has a lane of its own; the supervisor is shared. Either is started anew where lost.
"""

import socket
import threading
from collections.abc import Sequence
from typing import Any, Self, TypeVar

from pytest_orchestrator.execution import wire
from pytest_orchestrator.execution.exited import LaneLost
from pytest_orchestrator.execution.lane_client import Lane
from pytest_orchestrator.execution.pulse import Pulse
from pytest_orchestrator.execution.supervision import Supervision

_L = TypeVar("_L", bound=Lane)


class Lanes:
    """The lanes of one pytest.

    Args:
        limited: Do with what every system has: no /proc, no subreaper, no pidfd.
        pulse: Where it ceases the supervisor ends, and all lanes with it.
    """

    def __init__(self, *, limited: bool = False, pulse: Pulse | None = None) -> None:
        self._limited, self._pulse = limited, pulse
        self._lock = threading.Lock()
        self._supervisor: Supervision | None = None
        self._lanes: list[Lane] = []
        self._end = "the lanes were closed"

    def start(self) -> int:
        """Start the supervisor ahead of the first lane; return its pid."""
        with self._lock:
            return self._running().pid

    def shell(self) -> Lane:
        """Return a lane for programs; its process starts with its first run."""
        return self.add(Lane(self))

    def add(self, lane: _L) -> _L:
        """Take a lane in, to be closed with the others."""
        self._lanes.append(lane)
        return lane

    def connect(self, **program: object) -> tuple[socket.socket, int]:
        """Start the process of a lane.

        Args:
            program: ``argv`` and ``env``, for a lane that is a program of its own. It has its
                end of the socket as descriptor 3, and as 4 a pipe that ends with the supervisor.

        Returns:
            pytest's end of its socket, and its pid.

        Raises:
            LaneLost: The supervisor died meanwhile.
            OSError: There are no more processes or files to be had.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                told = self._ask(program, (theirs.fileno(),))
        except BaseException:
            ours.close()
            raise
        if "pid" in told:
            return ours, told["pid"]
        ours.close()
        raise OSError(told["errno"], told["strerror"], told["filename"])

    def drop(self, pid: int, grace: float) -> tuple[int | None, tuple[str, ...]]:
        """End a lane at once, and all that it ran.

        Args:
            pid: The lane's.
            grace: Seconds between TERM and KILL for what it ran.

        Returns:
            Its wait status, and what had to be ended in its place.

        Raises:
            LaneLost: The supervisor is gone too.
        """
        told = self._ask({"drop": pid, "grace": grace})
        return told["status"], tuple(told["strays"])

    def guard(self, file: int, terminal: int, patience: float) -> None:
        """Let the supervisor end this process where a `guard.Guard` says so; or raise LaneLost."""
        self._ask({"guard": patience}, (file, terminal))

    def close(self) -> None:
        """End all lanes and the supervisor, and wait for that."""
        for lane in self._lanes:
            lane.close()
        self._lanes.clear()
        with self._lock:
            if self._supervisor is not None:
                self._post_mortem(self._supervisor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _running(self) -> Supervision:
        if self._supervisor is not None and self._supervisor.over:
            self._post_mortem(self._supervisor)
        if self._supervisor is None:
            self._supervisor = Supervision(limited=self._limited, pulse=self._pulse)
        return self._supervisor

    def _ask(self, request: dict[str, Any], fds: Sequence[int] = ()) -> dict[str, Any]:
        with self._lock:
            lane = request.get("drop")
            supervisor = self._supervisor if lane else self._running()
            # One that was started since then knows nothing of a lane of the one before it.
            if supervisor is None or (lane and lane not in supervisor.lanes):
                raise LaneLost(self._end)
            try:
                wire.send(supervisor.socket, request, fds)
                told: dict[str, Any] = wire.answer(supervisor.socket)
            except (EOFError, OSError) as error:
                raise LaneLost(self._post_mortem(supervisor)) from error
            except BaseException:
                # Half an exchange: it would answer the next question with this answer.
                self._post_mortem(supervisor)
                raise
            if "pid" in told:
                supervisor.lanes.add(told["pid"])
            return told

    def _post_mortem(self, supervisor: Supervision) -> str:
        self._supervisor = None
        self._end = f"the supervisor of the lanes {supervisor.close()}"
        return self._end
