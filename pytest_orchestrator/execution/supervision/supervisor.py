"""Supervisor process: starts lanes and ends everything when pytest is gone.

A small fresh interpreter with one thread. A child of it that is no lane is a stray of a lane
that died, and is ended. It imports the standard library alone, and as little of it as possible.
"""

from __future__ import annotations

import os
import select
import sys
import time
from _signal import SIGKILL  # type: ignore[import-not-found]
from _socket import socket

from pytest_orchestrator.execution.supervision import framing, lane_process, os_support
from pytest_orchestrator.execution.supervision.process_tree import process_tree_of
from pytest_orchestrator.execution.supervision.run_loop import EMERGENCY
from pytest_orchestrator.execution.supervision.watchdog import WatchdogKiller, heartbeat_reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from resource import struct_rusage
    from typing import Any

    from pytest_orchestrator.execution.supervision.watchdog import DeadlineReader

_CONTROL, _ALIVE = 3, 4  # what a lane has open beside its standard streams
_GRACE = 1.0  # for the strays of a dead lane
_MORE = 0.2  # seconds that lanes get beyond the grace of what they run
_LOOK = 0.05


class Supervisor:
    """The supervisor of one pytest.

    Args:
        control: The socket that pytest asks by.
        pytest: The pid of that pytest.
        abilities: What may be used of the system.
    """

    def __init__(self, control: socket, pytest: int, abilities: os_support.SystemFeatures) -> None:
        self._control = control
        self._pytest = pytest
        self._abilities = abilities
        self._lanes: dict[int, int] = {}
        self._ended: dict[int, int] = {}
        self._strays: dict[int, list[str]] = {}
        # Lanes have the one end; they learn from it that the other has closed.
        self._alive, self._living = os.pipe()
        self._descendants = process_tree_of(abilities)
        self._descendants.reaped = self._reaped
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._pidfd = self._watch(pytest)
        self._outside: WatchdogKiller | None = None
        self._pulse: DeadlineReader | None = None

    def serve(self) -> None:
        """Do as pytest asks until it is gone, then end everything."""
        try:
            while self._pytest == os.getppid() and self._once():
                pass
        finally:
            self._end()
        if self._outside is not None:
            self._outside.note()

    def _once(self) -> bool:
        """Take what happens next; False where it is the end of pytest, or of its pulse."""
        watched, outside, pulse = self._pidfd >= 0, self._outside, self._pulse
        pauses = [one.pause for one in (outside, pulse) if one is not None]
        pause = min(pauses, default=None) if watched else _LOOK
        happened = {fd for fd, _ in self._poll.poll(None if pause is None else pause * 1000)}
        if (outside is not None and outside.ends()) or (pulse is not None and pulse.is_seen()):
            return False
        if watched and self._pidfd in happened:
            return False
        if not watched or happened - {self._control.fileno()}:
            self._tidy(_GRACE)
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
            return self._dropped(request["drop"], request["grace"])
        if "guard" in request:
            if self._outside is not None:
                self._outside.close()
            file, terminal = fds
            self._outside = WatchdogKiller(self._pytest, file, terminal, request["guard"])
            return {}
        if "pulse" in request:
            (file,) = fds
            self._pulse = heartbeat_reader(file, request["pulse"])
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
        """Start a lane for programs."""
        pid = os.fork()
        if pid:
            return pid
        try:
            os.dup2(fd, _CONTROL, inheritable=False)
            os.dup2(self._alive, _ALIVE, inheritable=False)
            ours = [fd, self._control.fileno(), self._alive, self._living, self._pidfd]
            for other in (self._outside, self._pulse):
                if other is not None:
                    other.close()
            for one in (*ours, *self._lanes.values()):
                if one >= 0:
                    os.close(one)
            self._abilities.adopt_orphans(b"recipe-lane")
            lane_process.serve(socket(fileno=_CONTROL), _ALIVE, self._abilities)
        except BaseException:  # noqa: BLE001 - the copy of the supervisor must not go on
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)

    def _spawned(self, request: dict[str, Any], fd: int) -> int:
        """Start a lane that is a program of its own."""
        actions = [(os.POSIX_SPAWN_DUP2, fd, _CONTROL), (os.POSIX_SPAWN_DUP2, self._alive, _ALIVE)]
        argv = request["argv"]
        return os.posix_spawn(argv[0], argv, request["env"], file_actions=actions)

    def _dropped(self, pid: int, grace: float) -> dict[str, Any]:
        """End a lane and all that was below it; tell how it ended."""
        if pid in self._lanes:
            os.kill(pid, SIGKILL)
            until = time.monotonic() + 1.0
            while pid in self._lanes and time.monotonic() < until:
                self._tidy(grace)
                _wait(0.001)
        return {"status": self._ended.get(pid), "strays": self._strays.get(pid, [])}

    def _tidy(self, grace: float) -> None:
        """Reap lanes that ended, and end what they left."""
        before = set(self._lanes)
        if self._descendants.reap():
            return
        names = list(self._descendants.named().values())
        self._descendants.end(grace, _wait)
        self._strays.update((pid, names) for pid in before - set(self._lanes))

    def _end(self) -> None:
        """Let the lanes end what they run, then end whatever is left."""
        os.close(self._living)
        until = time.monotonic() + EMERGENCY + _MORE
        pause = 0.001
        self._tidy(_GRACE)
        while self._lanes and time.monotonic() < until:
            _wait(pause)
            self._descendants.reap()
            pause = min(2 * pause, 0.02)
        self._descendants.spared.clear()
        self._descendants.end(0, _wait)

    def _reaped(self, pid: int, status: int, _used: struct_rusage) -> None:
        if pid not in self._lanes:
            return
        self._ended[pid] = status
        fd = self._lanes.pop(pid)
        if fd >= 0:
            self._poll.unregister(fd)
            os.close(fd)

    def _watch(self, pid: int) -> int:
        fd = os_support.open_pidfd(pid) if self._abilities.pidfd else -1
        if fd >= 0:
            self._poll.register(fd, select.POLLIN)
        return fd


def _wait(seconds: float) -> bool:
    time.sleep(seconds)
    return True


def main() -> None:
    """Serve the pytest that started this process: its socket is the standard input."""
    lane_process.outlive_signals()
    while (null := os.open(os.devnull, os.O_RDWR)) < _ALIVE:
        pass  # the numbers of a lane's descriptors are never those of the supervisor's
    control = socket(fileno=os.dup(0))
    os.dup2(null, 0)
    abilities = os_support.SystemFeatures(limited=sys.argv[3:] == ["limited"])
    abilities.adopt_orphans(b"recipe-supervis")
    Supervisor(control, int(sys.argv[2]), abilities).serve()
    os._exit(0)  # nothing here needs the interpreter's own end
