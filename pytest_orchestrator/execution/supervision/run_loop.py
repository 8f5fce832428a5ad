"""Command loop: one program from its start until its whole tree is gone.

One poll reads both streams, hears of the program's end, of a cancel and of the end of pytest;
between two polls the deadline and the samples are due.
"""

from __future__ import annotations

import os
import select
import time

from pytest_orchestrator.execution.supervision import framing, os_support
from pytest_orchestrator.execution.supervision.capture import OutputPipes
from pytest_orchestrator.execution.supervision.resource_usage import TreeUsage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable
    from resource import struct_rusage
    from typing import Any

    from pytest_orchestrator.execution.supervision.process_tree import ProcessTree

    Start = Callable[[dict[str, Any], int, int], int]

EMERGENCY = 1.0
"""Seconds between TERM and KILL where pytest is gone: two seconds later nothing is alive."""

_SETTLE = 0.1  # a `tee` that a shell has started ends a moment after the shell
_PAUSE = 0.005
_TURNS = 15  # that the lane gets within that moment; on a machine with much to do it is longer
_TICKS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_GLANCES = 2
_WITHOUT_PROC = 6
_WITHOUT_PIDFD = 0.02


class CommandLoop:
    """One run of one program.

    Args:
        request: What to start, as `framing` received it.
        fds: Where stdout and stderr are copied to as they come: none, or both.
        control: The socket that a cancel comes by.
        alive: Its end tells that the supervisor is gone.
        abilities: What may be used of the system.
        descendants: All processes below the lane.

    Attributes:
        gone: Nobody is left to take a reply.
    """

    def __init__(
        self,
        request: dict[str, Any],
        fds: list[int],
        *,
        control: socket,
        alive: int,
        abilities: os_support.SystemFeatures,
        descendants: ProcessTree,
    ) -> None:
        self.gone = False
        self._request = request
        self._control, self._alive = control, alive
        self._abilities, self._descendants = abilities, descendants
        self._poll = select.poll()
        self._streams = OutputPipes(request, fds, self._poll)
        self._figures = TreeUsage(request.get("samples"))
        self._pid, self._pidfd = 0, -1
        self._status: int | None = None
        self._exited: float | None = None
        self._stopped = ""
        self._patience = float("inf")
        self._started = time.monotonic()
        descendants.reaped = self._reaped

    def run(self, start: Start) -> dict[str, Any]:
        """Run the program to its end, and end all that it started.

        Args:
            start: Starts the program with its two output streams, and returns its pid.

        Returns:
            The reply, as `framing` sends it.
        """
        try:
            self._start(start)
        except OSError as error:
            told = {"errno": error.errno, "strerror": error.strerror, "filename": error.filename}
            return {"error": told} | self._streams.close()
        except ValueError as error:
            return {"error": {"value": str(error)}} | self._streams.close()
        leftovers: list[str] = []
        unended: list[str] = []
        self._until_exit()
        if self._exited is None or not self._settled():
            self._streams.listen()
            if self._exited is not None:
                leftovers = list(self._descendants.named().values())
            asked = self._request
            left = self._descendants.end(asked["grace"], self._pump, asked["end_signal"])
            unended = list(left.values())
        self._streams.drain()
        return self._reply(leftovers, unended)

    def _start(self, start: Start) -> None:
        theirs = self._streams.open()
        try:
            self._pid = start(self._request, *theirs)
        finally:
            for fd in theirs:
                os.close(fd)
        self._figures.started(self._pid)
        self._descendants.started(self._pid)
        self._poll.register(self._control, select.POLLIN)
        self._poll.register(self._alive, select.POLLIN)
        if self._abilities.pidfd:
            self._pidfd = os_support.open_pidfd(self._pid)
        if self._pidfd >= 0:
            self._poll.register(self._pidfd, select.POLLIN)

    def _until_exit(self) -> None:
        """Read and sample until the program has exited, or has to be ended."""
        timeout = self._request["timeout"]
        deadline = float("inf") if timeout is None else self._started + timeout
        ticks = iter(_TICKS)
        due = self._started + next(ticks)
        looks = 0
        while self._exited is None and not self._stopped:
            now = time.monotonic()
            if now >= deadline:
                self._stopped = "timeout"
                return
            if now >= due:
                looks += 1
                self._look(looks, now)
                # What ends before the first look is read at its end, in one go.
                self._streams.listen()
                due = now + next(ticks, _TICKS[-1])
            self._pump(min(due, deadline) - now)

    def _look(self, looks: int, now: float) -> None:
        if looks <= (_GLANCES if self._abilities.proc else _WITHOUT_PROC):
            self._figures.glance(self._pid)
        else:
            self._figures.sample(now - self._started, self._descendants)
            self._descendants.reap()  # orphans that came and went

    def _pump(self, seconds: float) -> bool:
        """Take what comes within some seconds; False where there is no time left to lose."""
        if self._pidfd < 0:
            seconds = min(seconds, _WITHOUT_PIDFD)
        for fd, _ in self._poll.poll(self._streams.pause(seconds) * 1000):
            if fd == self._pidfd:
                self._poll.unregister(fd)
                self._exit()
            elif not self._streams.take(fd):
                self._hear(fd)
        if self._pidfd < 0 and self._exited is None and self._dead():
            self._exit()
        return time.monotonic() < self._patience

    def _hear(self, fd: int) -> None:
        """Take a word of pytest's, or learn that it is gone."""
        try:
            word = framing.receive(self._control)[0] if fd != self._alive else None
        except (EOFError, OSError):
            word = None
        if word is None:
            self._poll.unregister(fd)
            self.gone = True
            self._stopped = self._stopped or "gone"
            self._patience = min(self._patience, time.monotonic() + EMERGENCY)
        elif word.get("cancel") == self._request["id"]:
            self._stopped = self._stopped or "cancel"
            if word["at_once"]:
                self._patience = 0.0

    def _settled(self) -> bool:
        """Give what the program left running a moment to end by itself."""
        until, turns = time.monotonic() + _SETTLE, 0
        while not self._descendants.reap():
            self._streams.listen()
            if self._stopped or (time.monotonic() >= until and turns >= _TURNS):
                return False
            self._pump(_PAUSE)
            turns += 1
        return True

    def _dead(self) -> bool:
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._pid, options) is not None

    def _exit(self) -> None:
        self._exited = self._exited or time.monotonic()

    def _reaped(self, pid: int, status: int, used: struct_rusage) -> None:
        self._figures.reaped(pid, used)
        if pid == self._pid:
            self._status = status
            self._exit()

    def _reply(self, leftovers: list[str], unended: list[str]) -> dict[str, Any]:
        if self._pidfd >= 0:
            os.close(self._pidfd)
        return {
            "pid": self._pid,
            "status": self._status,
            "seconds": (self._exited or time.monotonic()) - self._started,
            "timed_out": self._stopped == "timeout",
            "cancelled": self._stopped == "cancel",
            "leftovers": leftovers,
            "unended": unended,
            **self._figures.told(),
            **self._streams.close(),
        }
