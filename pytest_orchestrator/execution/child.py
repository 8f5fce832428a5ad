"""One child process from its start to the end of its whole tree.

The child is the leader of a session of its own. One loop reads both streams, keeps the
deadline and samples figures; when it ends, however it ends, nothing of the tree is left.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import IO

from pytest_orchestrator.core.result import Stream, Usage
from pytest_orchestrator.execution.family import Family
from pytest_orchestrator.execution.held import HeldSignals
from pytest_orchestrator.execution.printable import shown
from pytest_orchestrator.execution.usage import io_of

GRACE = 2.0
"""Seconds between TERM and KILL."""

_MOMENT = 0.1
_CHUNK = 1 << 16
_PIPE = 1 << 20
_EDGE = 1 << 15
_TICKS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class Captured:
    """One stream as it comes: the first bytes, the last bytes, and how many there were."""

    def __init__(self, capacity: int) -> None:
        self.size = 0
        self.head = bytearray()
        self._capacity = capacity
        self._tail = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the stream."""
        self.size += len(chunk)
        room = self._capacity - len(self.head)
        self.head += chunk[:room]
        if len(chunk) > room:
            self._tail += chunk[max(0, room) :]
            del self._tail[:-_EDGE]

    @property
    def whole(self) -> bool:
        """True while no byte had to be given up."""
        return self.size == len(self.head)

    def stream(self) -> Stream:
        """Return head and tail as text for people: control characters are escaped."""
        head = bytes(self.head[:_EDGE])
        kept = self.head[max(len(head), len(self.head) - _EDGE) :]
        tail = bytes((kept + self._tail)[-_EDGE:])
        cut = self.size - len(head) - len(tail)
        if not cut:
            return Stream(shown(head + tail), self.size)
        return Stream(f"{shown(head)}\n… {cut} bytes are left out here …\n{shown(tail)}", self.size)


class Exited:
    """A child that is gone, with all that was seen of it."""

    __slots__ = ("code", "leftovers", "signal", "stderr", "stdout", "timed_out", "usage")

    def __init__(
        self,
        *,
        status: int,
        stdout: Captured,
        stderr: Captured,
        usage: Usage,
        timed_out: bool,
        leftovers: tuple[str, ...],
    ) -> None:
        self.code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
        self.signal = _signal_name(os.WTERMSIG(status)) if os.WIFSIGNALED(status) else None
        self.stdout = stdout
        self.stderr = stderr
        self.usage = usage
        self.timed_out = timed_out
        self.leftovers = leftovers


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        # Of the real-time signals only the first and the last have a name in Python.
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str,
    stdin: IO[bytes] | None,
    timeout: float | None,
    capacity: int,
) -> Exited:
    """Run a program to its end, and end all that it started.

    Args:
        argv: Program and arguments; no shell is asked.
        env: The whole environment.
        cwd: Working directory.
        stdin: Open file the child reads from; None is an empty input.
        timeout: Seconds after which the tree is ended; None is for ever.
        capacity: Largest number of bytes of stdout that are kept whole.

    Returns:
        How it ended, what it printed, what it used.

    Raises:
        OSError: The program cannot be started.
    """
    started = time.monotonic()
    held = HeldSignals()
    try:
        process = subprocess.Popen(
            argv,
            env=env,
            cwd=cwd,
            stdin=stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
        try:
            watch = _Watch(process, started, timeout, capacity)
        except BaseException:
            # So early that nobody watches yet.
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        return watch.to_the_end(held)
    finally:
        held.release()


class _Watch:
    """The loop over one child."""

    def __init__(
        self, process: subprocess.Popen[bytes], started: float, timeout: float | None, capacity: int
    ) -> None:
        self.process = process
        self.pid = process.pid
        self.started = started
        self.deadline = None if timeout is None else started + timeout
        self.family = Family(process.pid)
        self.stdout, self.stderr = Captured(capacity), Captured(2 * _EDGE)
        self.timed_out = False
        self._poll = select.poll()
        self._sinks: dict[int, Captured] = {}
        for pipe, sink in zip(self._pipes(), (self.stdout, self.stderr), strict=True):
            os.set_blocking(pipe.fileno(), False)
            self._sinks[pipe.fileno()] = sink
            self._poll.register(pipe, select.POLLIN)
        self._pidfd = os.pidfd_open(self.pid) if hasattr(os, "pidfd_open") else None
        if self._pidfd is not None:
            self._poll.register(self._pidfd, select.POLLIN)

    def to_the_end(self, held: HeldSignals) -> Exited:
        try:
            held.release()
            self._until_exit(self.deadline)
            if self._running():
                self.timed_out = True
                self._end()
            return self._exited()
        except BaseException:
            # Ctrl-C: the person waits for the prompt, the instrument for its end.
            self._end()
            self.process.wait()
            raise
        finally:
            self._close()

    def _exited(self) -> Exited:
        seconds = time.monotonic() - self.started
        io = io_of(self.pid)
        _, status, used = os.wait4(self.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        leftovers = self._end_leftovers()
        self._drain()
        return Exited(
            status=status,
            stdout=self.stdout,
            stderr=self.stderr,
            timed_out=self.timed_out,
            usage=self.family.usage(seconds, used, io),
            leftovers=leftovers,
        )

    def _until_exit(self, deadline: float | None) -> None:
        """Read and sample until the child has exited or the deadline has passed."""
        ticks = iter(_TICKS)
        pause = next(ticks)
        due = time.monotonic() + pause
        while self._running():
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                return
            if now >= due:
                self.family.sample()
                pause = next(ticks, pause)
                due = now + pause
            self._read(max(0.0, (due if deadline is None else min(due, deadline)) - now))

    def _read(self, seconds: float) -> None:
        if self._pidfd is None:
            seconds = min(seconds, 0.02)
        for fd, _ in self._poll.poll(seconds * 1000):
            if fd in self._sinks:
                self._take(fd)
            else:
                # The leader is gone, which would end every later wait at once.
                self._poll.unregister(fd)

    def _take(self, fd: int) -> bool:
        """Read one piece; False at the end of the stream or where nothing waits."""
        try:
            chunk = os.read(fd, _CHUNK)
        except BlockingIOError:
            return False
        self._sinks[fd].feed(chunk)
        if not chunk:
            self._poll.unregister(fd)
            del self._sinks[fd]
        return bool(chunk)

    def _drain(self) -> None:
        """Read what waits in the pipes now; a grandchild that holds one is not waited for."""
        for fd in list(self._sinks):
            # One that escaped may write for ever; no pipe holds more than this.
            for _ in range(_PIPE // _CHUNK):
                if fd not in self._sinks or not self._take(fd):
                    break

    def _running(self) -> bool:
        if self.process.returncode is not None:
            return False
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.pid, options) is None

    def _end_leftovers(self) -> tuple[str, ...]:
        """End what the step left running; return what it was."""
        # What is about to end by itself was not left, and a fork has the name of its shell.
        self._until_gone(time.monotonic() + _MOMENT)
        told = tuple(self.family.survivors().values())
        if told:
            self._end()
        return told

    def _end(self) -> None:
        """TERM to all that still run, two seconds, KILL."""
        self.family.sample()
        self.family.signal(signal.SIGTERM)
        try:
            self._until_gone(time.monotonic() + GRACE)
        finally:
            # Also where somebody presses Ctrl-C a second time.
            self.family.signal(signal.SIGKILL)
        self._until_gone(time.monotonic() + GRACE)

    def _until_gone(self, deadline: float) -> None:
        """Read until the whole tree is gone or the deadline has passed."""
        while self._running() or self.family.survivors():
            if time.monotonic() >= deadline:
                return
            self._read(0.02)

    def _pipes(self) -> list[IO[bytes]]:
        return [pipe for pipe in (self.process.stdout, self.process.stderr) if pipe is not None]

    def _close(self) -> None:
        for pipe in self._pipes():
            pipe.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
