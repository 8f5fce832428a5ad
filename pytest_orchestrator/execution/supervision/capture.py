"""Output capture: pipes that do not block the program, bounded logs, live copies.

Memory stays constant whatever the volume of output. Bytes that the disk does not accept are
counted too.

Live copies never block the lane: a terminal that is stopped with Ctrl-S, or a pipe that is not
read, would otherwise delay the lane and the deadline of the step.
"""

from __future__ import annotations

import os
import select
import stat
import time

from pytest_orchestrator.execution.supervision.framing import EDGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pytest_orchestrator.core.mask_stream import MaskStream
    from pytest_orchestrator.execution.supervision.stack_filter import StackFilter

_NAMES = ("stdout", "stderr")
_STDERR = 1
_CHUNK = 1 << 16
_LAST = 1 << 20
_HELD = 0.02


class OutputPipes:
    """The reading ends of the pipes for stdout and stderr.

    Args:
        request: The paths of the logs, their limit in bytes, and the secrets to mask. With the
            key ``step`` it is that of a Python step, and stderr loses the frames of this package.
        fds: The two descriptors to which stdout and stderr are copied live, or an empty list.
        poll: The poll object in which `listen` registers the pipes.
    """

    def __init__(self, request: dict[str, Any], fds: list[int], poll: select.poll) -> None:
        limit, secrets = request["max_log"], request["secrets"]
        logs = [request[f"{name}_log"] for name in _NAMES]
        self._logs = [LogFile(path, limit, _stream(secrets), TimeMarks(path)) for path in logs]
        self._live = [LiveCopy(fd, _stream(secrets)) for fd in fds]
        self._stacks = _stack_filter() if "step" in request else None  # of a Python step
        self._poll = poll
        self._open: dict[int, int] = {}
        self._registered: set[int] = set()
        self._held: set[int] = set()

    def open(self) -> list[int]:
        """Create the pipes, and return their writing ends.

        Returns:
            The writing ends for the program; the caller closes them.
        """
        theirs = []
        for number, _ in enumerate(_NAMES):
            ours, other = os.pipe()
            os.set_blocking(ours, False)
            self._open[ours] = number
            theirs.append(other)
        return theirs

    def listen(self) -> None:
        """Register the open pipes in the poll object, except those whose live copy is full."""
        for fd in self._open:
            if fd not in self._registered and fd not in self._held:
                self._register(fd)

    def take(self, fd: int) -> bool:
        """Read one chunk of a stream; return False if the descriptor is not one of the pipes."""
        if fd not in self._open:
            return False
        self._read(fd)
        return True

    def pause(self, seconds: float) -> float:
        """Return for how many seconds a poll may wait, at most ``seconds``.

        Resume reading the streams whose live copy has room.
        """
        for fd in [fd for fd in self._held if not self._live[self._open[fd]].full]:
            self._held.remove(fd)
            self._register(fd)
        return max(0.0, min(seconds, _HELD) if self._held else seconds)

    def drain(self) -> None:
        """Read the output left in the pipes, without waiting for the writers to close them."""
        for fd in list(self._open):
            left = _LAST
            while left > 0 and (size := self._read(fd)):
                left -= size

    def close(self) -> dict[str, Any]:
        """Close pipes, logs and live copies.

        Returns:
            The account of each stream by its name (see `LogFile.close`), and under ``unsent`` the
            bytes of each stream that its live copy has not written.
        """
        for fd in self._open:
            os.close(fd)
        self._open = {}
        if self._stacks is not None:
            self._feed(_STDERR, self._stacks.end())
        accounts = {name: log.close() for name, log in zip(_NAMES, self._logs, strict=True)}
        return accounts | {"unsent": [live.close() for live in self._live]}

    def _read(self, fd: int) -> int:
        """Read one chunk from a pipe; return its size, or 0 at the end or if the pipe is empty."""
        try:
            chunk = os.read(fd, _CHUNK)
        except BlockingIOError:
            return 0
        if not chunk:
            self._release(fd)
            os.close(fd)
            del self._open[fd]
            return 0
        number = self._open[fd]
        stacks = self._stacks if number == _STDERR else None
        self._feed(number, chunk if stacks is None else stacks.feed(chunk))
        if self._live and self._live[number].full:
            self._release(fd)
            self._held.add(fd)
        return len(chunk)

    def _feed(self, number: int, shown: bytes) -> None:
        if shown:
            self._logs[number].feed(shown)
            if self._live:
                self._live[number].feed(shown)

    def _register(self, fd: int) -> None:
        self._registered.add(fd)
        self._poll.register(fd, select.POLLIN)

    def _release(self, fd: int) -> None:
        if fd in self._registered:
            self._registered.remove(fd)
            self._poll.unregister(fd)
        self._held.discard(fd)


def _stack_filter() -> StackFilter:
    from pytest_orchestrator.execution.supervision.stack_filter import StackFilter

    return StackFilter()


def _stream(secrets: tuple[bytes, ...]) -> MaskStream | None:
    if not secrets:
        return None
    from pytest_orchestrator.core.mask_stream import MaskStream

    return MaskStream(secrets)


_GAP = 0.1  # seconds
_MOST_MARKS = 5_000


class TimeMarks:
    """Times at which parts of a log arrived, in a file beside it: ``<log>.times``.

    Each line has an offset in bytes and the milliseconds since the start: the log from the offset
    to that of the next line arrived at that time or shortly after it. Between two lines are at
    least 100 ms, so that a short step writes no such file, and more if the file becomes long.

    Args:
        path: The log; None if there is none.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._gap, self._count = _GAP, 0
        self._started = time.monotonic()
        self._due = self._started + _GAP if path is not None else float("inf")
        self._fd: int | None = None

    def note(self, offset: int) -> None:
        """Note that the log from an offset on arrives now."""
        now = time.monotonic()
        if now < self._due:
            return
        try:
            if self._fd is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
                self._fd = os.open(f"{self._path}.times", flags, 0o666)
            os.write(self._fd, b"%d %d\n" % (offset, (now - self._started) * 1000))
        except OSError:  # a full disk must not end the step, whose log counts more
            self._due = float("inf")
            return
        self._count += 1
        if self._count % _MOST_MARKS == 0:
            self._gap *= 2
        self._due = now + self._gap

    def discard_old(self) -> None:
        """Delete the file that belongs to an earlier log of the same path."""
        if self._fd is None:
            try:
                os.unlink(f"{self._path}.times")
            except OSError:
                return  # a short step has none

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class LogFile:
    """Log file of one output stream, limited in size.

    Args:
        path: The file, created at the first output; None writes no log.
        limit: The number of bytes after which the log is cut, with a mark.
        secrets: Replaces secrets in the log by masks; None if nothing is secret.
        times: Notes when parts of the log arrive; None for a log whose lines have times.
    """

    def __init__(
        self,
        path: str | None,
        limit: int,
        secrets: MaskStream | None = None,
        times: TimeMarks | None = None,
    ) -> None:
        self.size = 0
        self._at = 0
        self._times = times
        self._kept = 0
        self._path = path
        self._limit = limit
        self._secrets = secrets
        self._fd: int | None = None
        self._error: str | None = None
        self._head = b""
        self._tail = b""

    def feed(self, chunk: bytes) -> None:
        """Append the next bytes of the stream to the log, up to its limit."""
        if self._path is not None and self.size < self._limit and self._error is None:
            logged = chunk[: self._limit - self.size]
            if self._times is not None:
                self._times.note(self._at)
            if self._secrets is None:
                self._kept += self._write(logged)
            else:
                masked = self._secrets.feed(logged)
                self._kept += len(logged) if self._write(masked) == len(masked) else 0
        if room := max(0, EDGE - self.size):
            self._head += chunk[:room]
        if len(chunk) > room:
            self._tail = (self._tail + chunk[max(room, len(chunk) - EDGE) :])[-EDGE:]
        self.size += len(chunk)

    def close(self) -> dict[str, object]:
        """Write the rest of the log, close its file, and return the account of the stream.

        Returns:
            The account of the stream: ``size`` (its bytes), ``kept`` (those that are in the log),
            ``head`` and ``tail`` (its first and last bytes), ``cut`` (True if the log is cut),
            ``error`` (that of the disk, or None) and ``replaced`` (see `Output.replaced`).
        """
        if self._secrets is not None and self._fd is not None:
            self._write(self._secrets.end())
        if cut := self.size > self._limit and self._path is not None:
            self._write(b"\n[cut here: the log is limited to %d bytes]\n" % self._limit)
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        if self._times is not None:
            self._times.close()
        return {
            "size": self.size,
            "kept": self._kept,
            "cut": cut,
            "head": self._head,
            "tail": self._tail,
            "error": self._error,
            "replaced": [] if self._secrets is None else self._secrets.replaced,
        }

    def _write(self, data: bytes) -> int:
        written = 0
        try:
            if self._fd is None and self._path is not None:
                self._fd = self._opened(self._path)
            while written < len(data) and self._fd is not None:
                written += os.write(self._fd, data[written:])
        except OSError as error:  # a full disk must not end the step
            self._error = error.strerror
        self._at += written
        return written

    def _opened(self, path: str) -> int:
        """Create the log; if another run of the same attempt left one, replace it."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(path, flags | os.O_EXCL, 0o666)
        except FileExistsError:
            if self._times is not None:
                self._times.discard_old()
            return os.open(path, flags | os.O_TRUNC, 0o666)


_PIECE = 4096
_BACKLOG = 1 << 16


class LiveCopy:
    """Copy of one output stream that is written while the program runs, as to a terminal.

    Args:
        fd: The descriptor to which the copy is written; this class closes it.
        secrets: Replaces secrets in the copy by masks; None if nothing is secret.
    """

    def __init__(self, fd: int, secrets: MaskStream | None = None) -> None:
        self._fd = _unblocked(fd)
        self._secrets = secrets
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLOUT)
        self._waiting = b""

    @property
    def full(self) -> bool:
        """True if the backlog has reached its limit, so the output of the step must wait."""
        self.feed(b"")
        return len(self._waiting) >= _BACKLOG

    def feed(self, chunk: bytes) -> None:
        """Append bytes to the backlog, and write as much of it as the reader accepts now."""
        self._waiting += chunk if self._secrets is None else self._secrets.feed(chunk)
        try:
            while self._waiting and self._poll.poll(0):
                self._waiting = self._waiting[os.write(self._fd, self._waiting[:_PIECE]) :]
        except BlockingIOError:
            pass
        except OSError:  # the reader is gone
            self._waiting = b""

    def close(self) -> bytes:
        """Close the descriptor, and return the bytes that the reader has not accepted."""
        if self._secrets is not None:
            self._waiting += self._secrets.end()
        self.feed(b"")
        os.close(self._fd)
        return self._waiting


def _unblocked(fd: int) -> int:
    """Open the terminal or pipe of ``fd`` again as non-blocking, and close ``fd``.

    If ``fd`` is another file, or cannot be opened again, return ``fd`` itself. This function does
    not set O_NONBLOCK on ``fd``: that would make all duplicates of ``fd`` non-blocking too.
    """
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)):
        return fd
    try:
        own = os.open(
            f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        )
    except OSError:
        return fd
    os.close(fd)
    return own
