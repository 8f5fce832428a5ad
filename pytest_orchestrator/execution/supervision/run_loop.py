"""Command loop: supervises one program from its start until its process tree has ended.

One poll waits for both output streams, for the end of the program, for a cancel request and for the
end of pytest. Between two polls the deadline is checked and samples are taken.
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
"""Seconds between TERM and KILL if pytest is gone: two seconds after its end no process is left."""

_SETTLE = 0.1  # seconds: a `tee` that a shell has started ends shortly after the shell
_PAUSE = 0.005
_TURNS = 15  # minimum number of polls for _SETTLE, so that a loaded machine gets more time
_TICKS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_SINGLE_SAMPLES = 2
_WITHOUT_PROC = 6
_WITHOUT_PIDFD = 0.02


class CommandLoop:
    """The execution of one program.

    Args:
        request: The request that `framing` received.
        fds: The two descriptors to which stdout and stderr are copied live, or an empty list.
        control: The socket on which a cancel request arrives.
        alive: A pipe that reaches its end when the supervisor has ended.
        features: The features of the operating system that may be used.
        descendants: All processes below the lane.

    Attributes:
        gone: True once pytest or the supervisor has ended, so that no reply can be sent.
    """

    def __init__(
        self,
        request: dict[str, Any],
        fds: list[int],
        *,
        control: socket,
        alive: int,
        features: os_support.SystemFeatures,
        descendants: ProcessTree,
    ) -> None:
        self.gone = False
        self._request = request
        self._control, self._alive = control, alive
        self._features, self._descendants = features, descendants
        self._poll = select.poll()
        self._streams = OutputPipes(request, fds, self._poll)
        self._usage = TreeUsage(request.get("samples"))
        self._pid, self._pidfd = 0, -1
        self._status: int | None = None
        self._exited: float | None = None
        self._stopped = ""
        self._kill_at = float("inf")
        self._began, self._started = time.time(), time.monotonic()
        descendants.reaped = self._reaped

    def run(self, start: Start) -> dict[str, Any]:
        """Run the program to its end, and end all processes that it started.

        Args:
            start: Starts the program with its two output streams, and returns its pid.

        Returns:
            The reply to pytest, as plain values that `framing` can send.
        """
        try:
            self._start(start)
        except OSError as error:
            failure = {"errno": error.errno, "strerror": error.strerror, "filename": error.filename}
            return {"error": failure} | self._streams.close()
        except ValueError as error:
            return {"error": {"value": str(error)}} | self._streams.close()
        if self._request.get("announces"):
            try:  # noqa: SIM105 - contextlib costs the supervisor a third of its own imports
                framing.send(self._control, {"started": self._pid})
            except OSError:  # pytest is gone, which the next poll reports
                pass
        leftovers: list[str] = []
        unended: list[str] = []
        self._until_exit()
        if self._exited is None or not self._settled():
            self._streams.listen()
            if self._exited is not None:
                leftovers = list(self._descendants.named().values())
            request = self._request
            left = self._descendants.end(request["grace"], self._pump, request["end_signal"])
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
        self._usage.started(self._pid, is_fork="is_fork" in self._request)
        self._descendants.started(self._pid)
        self._poll.register(self._control, select.POLLIN)
        self._poll.register(self._alive, select.POLLIN)
        if self._features.pidfd:
            self._pidfd = os_support.open_pidfd(self._pid)
        if self._pidfd >= 0:
            self._poll.register(self._pidfd, select.POLLIN)

    def _until_exit(self) -> None:
        """Read output and take samples until the program has exited or has to be ended."""
        timeout = self._request["timeout"]
        deadline = float("inf") if timeout is None else self._started + timeout
        ticks = iter(_TICKS)
        due = self._started + next(ticks)
        samples = 0
        while self._exited is None and not self._stopped:
            now = time.monotonic()
            if now >= deadline:
                self._stopped = "timeout"
                return
            if now >= due:
                samples += 1
                self._sample(samples, now)
                # The output of a program that ends before the first sample is read at its end.
                self._streams.listen()
                due = now + next(ticks, _TICKS[-1])
            self._pump(min(due, deadline) - now)

    def _sample(self, number: int, now: float) -> None:
        if number <= (_SINGLE_SAMPLES if self._features.proc else _WITHOUT_PROC):
            self._usage.sample_one(self._pid)
        else:
            self._usage.sample(now - self._started, self._descendants)
            self._descendants.reap()  # orphans that have ended meanwhile

    def _pump(self, seconds: float) -> bool:
        """Handle events for at most ``seconds``; return False if the tree must be killed now."""
        if self._pidfd < 0:
            seconds = min(seconds, _WITHOUT_PIDFD)
        for fd, _ in self._poll.poll(self._streams.pause(seconds) * 1000):
            if fd == self._pidfd:
                self._poll.unregister(fd)
                self._note_exit()
            elif not self._streams.take(fd):
                self._handle(fd)
        if self._pidfd < 0 and self._exited is None and self._has_exited():
            self._note_exit()
        return time.monotonic() < self._kill_at

    def _handle(self, fd: int) -> None:
        """Handle an event: a cancel request of pytest, or the end of pytest or the supervisor."""
        try:
            request = framing.receive(self._control)[0] if fd != self._alive else None
        except (EOFError, OSError):
            request = None
        if request is None:
            self._poll.unregister(fd)
            self.gone = True
            self._stopped = self._stopped or "gone"
            self._kill_at = min(self._kill_at, time.monotonic() + EMERGENCY)
        elif request.get("cancel") == self._request["id"]:
            self._stopped = self._stopped or "cancel"
            if request["at_once"]:
                self._kill_at = 0.0

    def _settled(self) -> bool:
        """Wait briefly for leftover processes to end; return True if none is left."""
        until, turns = time.monotonic() + _SETTLE, 0
        while not self._descendants.reap():
            self._streams.listen()
            if self._stopped or (time.monotonic() >= until and turns >= _TURNS):
                return False
            self._pump(_PAUSE)
            turns += 1
        return True

    def _has_exited(self) -> bool:
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._pid, options) is not None

    def _note_exit(self) -> None:
        self._exited = self._exited or time.monotonic()

    def _reaped(self, pid: int, status: int, used: struct_rusage) -> None:
        self._usage.reaped(pid, used)
        if pid == self._pid:
            self._status = status
            self._note_exit()

    def _reply(self, leftovers: list[str], unended: list[str]) -> dict[str, Any]:
        if self._pidfd >= 0:
            os.close(self._pidfd)
        return {
            "pid": self._pid,
            "status": self._status,
            "began": self._began,
            "timed_out": self._stopped == "timeout",
            "cancelled": self._stopped == "cancel",
            "leftovers": leftovers,
            "unended": unended,
            **self._usage.as_reply((self._exited or time.monotonic()) - self._started),
            **self._streams.close(),
        }
