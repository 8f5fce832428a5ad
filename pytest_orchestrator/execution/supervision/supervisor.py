"""Supervisor process: starts lanes and ends everything when pytest is gone.

It is a small, freshly started interpreter with one thread, and it imports only a few modules of the
standard library. A child that is not a lane was left behind by a lane that died; the supervisor
ends such children.
"""

from __future__ import annotations

import os
import select
import sys
import time
from _signal import SIGKILL  # type: ignore[import-not-found]
from _socket import socket

from pytest_orchestrator.execution.supervision import framing, lane_process, os_support
from pytest_orchestrator.execution.supervision.deadlines import DeadlineReader, WatchdogKiller
from pytest_orchestrator.execution.supervision.process_tree import process_tree_of
from pytest_orchestrator.execution.supervision.run_loop import EMERGENCY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from resource import struct_rusage
    from typing import Any

_CONTROL, _ALIVE = 3, 4  # descriptors of a lane, besides its standard streams
_GRACE = 1.0  # seconds for the leftover processes of a dead lane
_MORE = 0.2  # seconds that lanes get beyond the grace period of their commands
_POLL_PAUSE = 0.05


class Supervisor:
    """The supervisor of one pytest process.

    Args:
        control: The socket on which pytest sends its requests.
        pytest: The pid of that pytest process.
        features: The features of the operating system that may be used.
    """

    def __init__(self, control: socket, pytest: int, features: os_support.SystemFeatures) -> None:
        self._control = control
        self._pytest = pytest
        self._features = features
        self._lanes: dict[int, int] = {}
        self._statuses: dict[int, int] = {}
        self._leftovers: dict[int, list[str]] = {}
        # Lanes inherit the reading end; it reaches its end when the supervisor closes the other.
        self._alive, self._alive_end = os.pipe()
        self._descendants = process_tree_of(features)
        self._descendants.reaped = self._reaped
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._pidfd = self._watch(pytest)
        self._watchdog: WatchdogKiller | None = None
        self._heartbeat: DeadlineReader | None = None

    def serve(self) -> None:
        """Answer the requests of pytest until pytest has ended, then end all lanes."""
        try:
            while self._pytest == os.getppid() and self._handle_next():
                pass
        finally:
            self._end_all()
        if self._watchdog is not None:
            self._watchdog.note()

    def _handle_next(self) -> bool:
        """Handle the next event; return False if pytest has ended or its heartbeat has stopped."""
        watched, watchdog, heartbeat = self._pidfd >= 0, self._watchdog, self._heartbeat
        pauses = [one.pause for one in (watchdog, heartbeat) if one is not None]
        pause = min(pauses, default=None) if watched else _POLL_PAUSE
        happened = {fd for fd, _ in self._poll.poll(None if pause is None else pause * 1000)}
        if (watchdog is not None and watchdog.ends()) or (
            heartbeat is not None and heartbeat.has_passed()
        ):
            return False
        if watched and self._pidfd in happened:
            return False
        if not watched or happened - {self._control.fileno()}:
            self._reap_lanes(_GRACE)
        if self._control.fileno() not in happened:
            return True
        try:
            request, fds = framing.receive(self._control)
            framing.send(self._control, self._answer(request, fds))
        except (EOFError, ConnectionError):
            return False
        return True

    def _answer(self, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        if "drop" in request:
            return self._end_lane(request["drop"], request["grace"])
        if "guard" in request:
            if self._watchdog is not None:
                self._watchdog.close()
            file, terminal = fds
            self._watchdog = WatchdogKiller(self._pytest, file, terminal, request["guard"])
            return {}
        if "heartbeat" in request:
            (file,) = fds
            self._heartbeat = DeadlineReader(file, request["heartbeat"])
            return {}
        try:
            pid = self._spawned(request, *fds) if "argv" in request else self._forked(*fds)
        except OSError as error:
            return {"errno": error.errno, "strerror": error.strerror, "filename": error.filename}
        finally:
            for fd in fds:
                os.close(fd)
        self._lanes[pid] = self._watch(pid)
        self._descendants.spared.add(pid)
        return {"pid": pid}

    def _forked(self, fd: int) -> int:
        """Fork a lane process that runs programs, and return its pid."""
        pid = os.fork()
        if pid:
            return pid
        try:
            os.dup2(fd, _CONTROL, inheritable=False)
            os.dup2(self._alive, _ALIVE, inheritable=False)
            descriptors = [fd, self._control.fileno(), self._alive, self._alive_end, self._pidfd]
            for other in (self._watchdog, self._heartbeat):
                if other is not None:
                    other.close()
            for one in (*descriptors, *self._lanes.values()):
                if one >= 0:
                    os.close(one)
            self._features.adopt_orphans(b"recipe-lane")
            lane_process.serve(socket(fileno=_CONTROL), _ALIVE, self._features)
        except BaseException:  # noqa: BLE001 - the copy of the supervisor must not continue
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)

    def _spawned(self, request: dict[str, Any], fd: int) -> int:
        """Start a lane that is a separate program, and return its pid."""
        actions = [(os.POSIX_SPAWN_DUP2, fd, _CONTROL), (os.POSIX_SPAWN_DUP2, self._alive, _ALIVE)]
        argv = request["argv"]
        return os.posix_spawn(argv[0], argv, request["env"], file_actions=actions)

    def _end_lane(self, pid: int, grace: float) -> dict[str, Any]:
        """Kill a lane and end its process tree; return the fields of the reply to pytest."""
        if pid in self._lanes:
            os.kill(pid, SIGKILL)
            until = time.monotonic() + 1.0
            while pid in self._lanes and time.monotonic() < until:
                self._reap_lanes(grace)
                _wait(0.001)
        return {"status": self._statuses.get(pid), "leftovers": self._leftovers.get(pid, [])}

    def _reap_lanes(self, grace: float) -> None:
        """Reap the lanes that have ended, and end the processes that these lanes have left."""
        before = set(self._lanes)
        if self._descendants.reap():
            return
        names = list(self._descendants.named().values())
        self._descendants.end(grace, _wait)
        self._leftovers.update((pid, names) for pid in before - set(self._lanes))

    def _end_all(self) -> None:
        """Wait until the lanes have ended their commands, then end all remaining processes."""
        os.close(self._alive_end)
        until = time.monotonic() + EMERGENCY + _MORE
        pause = 0.001
        self._reap_lanes(_GRACE)
        while self._lanes and time.monotonic() < until:
            _wait(pause)
            self._descendants.reap()
            pause = min(2 * pause, 0.02)
        self._descendants.spared.clear()
        self._descendants.end(0, _wait)

    def _reaped(self, pid: int, status: int, _used: struct_rusage) -> None:
        if pid not in self._lanes:
            return
        self._statuses[pid] = status
        fd = self._lanes.pop(pid)
        if fd >= 0:
            self._poll.unregister(fd)
            os.close(fd)

    def _watch(self, pid: int) -> int:
        fd = os_support.open_pidfd(pid) if self._features.pidfd else -1
        if fd >= 0:
            self._poll.register(fd, select.POLLIN)
        return fd


def _wait(seconds: float) -> bool:
    time.sleep(seconds)
    return True


def main() -> None:
    """Serve the pytest process that started this process, by the socket at standard input."""
    lane_process.outlive_signals()
    while (null := os.open(os.devnull, os.O_RDWR)) < _ALIVE:
        pass  # reserves the descriptor numbers that a lane uses
    control = socket(fileno=os.dup(0))
    os.dup2(null, 0)
    features = os_support.SystemFeatures(limited=sys.argv[3:] == ["limited"])
    features.adopt_orphans(b"recipe-supervis")
    Supervisor(control, int(sys.argv[2]), features).serve()
    os._exit(0)  # skips the finalisation of the interpreter, which has nothing to do
