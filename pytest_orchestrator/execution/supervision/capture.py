"""Output capture: pipes that never block a program, bounded logs, live copy.

Memory stays flat whatever the volume; what the disk does not take is counted all the same.

A terminal that a person has stopped, or a pipe that nobody reads, would else hold up the
lane, and with it the deadline of the step.
"""

from __future__ import annotations

import os
import select
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pytest_orchestrator.core.mask_stream import MaskStream

_NAMES = ("stdout", "stderr")
_CHUNK = 1 << 16
_LAST = 1 << 20
_HELD = 0.02


class OutputPipes:
    """The reading ends of two pipes.

    Args:
        request: The paths of the logs, their limit, and what is masked in them.
        fds: Where stdout and stderr are copied to as they come: none, or both.
        poll: Where the pipes are registered from `listen` on.
    """

    def __init__(self, request: dict[str, Any], fds: list[int], poll: select.poll) -> None:
        limit, secrets = request["max_log"], request["secrets"]
        logs = [request[f"{name}_log"] for name in _NAMES]
        self._logs = [LogFile(path, limit, _stream(secrets)) for path in logs]
        self._live = [LiveCopy(fd, _stream(secrets)) for fd in fds]
        self._poll = poll
        self._open: dict[int, int] = {}
        self._heard: set[int] = set()
        self._held: set[int] = set()

    def open(self) -> list[int]:
        """Make the pipes.

        Returns:
            The ends that the program writes to; the caller closes them.
        """
        theirs = []
        for number, _ in enumerate(_NAMES):
            ours, other = os.pipe()
            os.set_blocking(ours, False)
            self._open[ours] = number
            theirs.append(other)
        return theirs

    def listen(self) -> None:
        """Have the poll tell what comes."""
        for fd in self._open:
            if fd not in self._heard and fd not in self._held:
                self._hear(fd)

    def take(self, fd: int) -> bool:
        """Read one piece of a stream; False where the descriptor is none of these."""
        if fd not in self._open:
            return False
        self._read(fd)
        return True

    def pause(self, seconds: float) -> float:
        """Return how long a poll may wait; a stream whose copy was not taken is tried again."""
        for fd in [fd for fd in self._held if not self._live[self._open[fd]].full]:
            self._held.remove(fd)
            self._hear(fd)
        return max(0.0, min(seconds, _HELD) if self._held else seconds)

    def drain(self) -> None:
        """Read what waits in the pipes now; a stranger that holds one is not waited for."""
        for fd in list(self._open):
            left = _LAST
            while left > 0 and (size := self._read(fd)):
                left -= size

    def close(self) -> dict[str, Any]:
        """Close everything.

        Returns:
            What each stream was, by its name, and what was not yet copied of each.
        """
        for fd in self._open:
            os.close(fd)
        self._open = {}
        told = {name: log.close() for name, log in zip(_NAMES, self._logs, strict=True)}
        return told | {"unsent": [live.close() for live in self._live]}

    def _read(self, fd: int) -> int:
        """Read one piece; 0 at the end of the stream, or where nothing waits."""
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
        self._logs[number].feed(chunk)
        if self._live:
            self._live[number].feed(chunk)
            if self._live[number].full:
                self._release(fd)
                self._held.add(fd)
        return len(chunk)

    def _hear(self, fd: int) -> None:
        self._heard.add(fd)
        self._poll.register(fd, select.POLLIN)

    def _release(self, fd: int) -> None:
        if fd in self._heard:
            self._heard.remove(fd)
            self._poll.unregister(fd)
        self._held.discard(fd)


def _stream(secrets: tuple[bytes, ...]) -> MaskStream | None:
    if not secrets:
        return None
    from pytest_orchestrator.core.mask_stream import MaskStream

    return MaskStream(secrets)


EDGE = 1 << 15
"""Bytes of the beginning and of the end that are kept at hand."""


class LogFile:
    """A stream as it comes.

    Args:
        path: Where the log is written, as soon as there is something to write; None is nowhere.
        limit: Bytes of the stream after which the log is cut, with a mark.
        secrets: Masks what is written; None where nothing is secret.
    """

    def __init__(self, path: str | None, limit: int, secrets: MaskStream | None = None) -> None:
        self.size = 0
        self._kept = 0
        self._path = path
        self._limit = limit
        self._secrets = secrets
        self._fd: int | None = None
        self._error: str | None = None
        self._head = b""
        self._tail = b""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        if self._path is not None and self.size < self._limit and self._error is None:
            logged = chunk[: self._limit - self.size]
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
        """Finish the log.

        Returns:
            How many bytes there were, how many the log has, the first and the last of them,
            whether the log is cut, what the disk said where it took no more, and what masks
            stand for in it.
        """
        if self._secrets is not None and self._fd is not None:
            self._write(self._secrets.end())
        if cut := self.size > self._limit and self._path is not None:
            self._write(b"\n[cut here: the log is limited to %d bytes]\n" % self._limit)
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
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
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
                self._fd = os.open(self._path, flags, 0o666)
            while written < len(data) and self._fd is not None:
                written += os.write(self._fd, data[written:])
        except OSError as error:  # a full disk must not end what the step does
            self._error = error.strerror
        return written


_PIECE = 4096
_BACKLOG = 1 << 16


class LiveCopy:
    """A copy of one stream.

    Args:
        fd: Where it goes; closed at the end.
        secrets: Masks what is copied; None where nothing is secret.
    """

    def __init__(self, fd: int, secrets: MaskStream | None = None) -> None:
        self._fd = _unblocked(fd)
        self._secrets = secrets
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLOUT)
        self._waiting = b""

    @property
    def full(self) -> bool:
        """True where the step itself has to wait until the copy is taken, as at a terminal."""
        self.feed(b"")
        return len(self._waiting) >= _BACKLOG

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes, and write what can be written now."""
        self._waiting += chunk if self._secrets is None else self._secrets.feed(chunk)
        try:
            while self._waiting and self._poll.poll(0):
                self._waiting = self._waiting[os.write(self._fd, self._waiting[:_PIECE]) :]
        except BlockingIOError:
            pass
        except OSError:  # nobody will ever read it
            self._waiting = b""

    def close(self) -> bytes:
        """Stop, and return what was not taken yet."""
        if self._secrets is not None:
            self._waiting += self._secrets.end()
        self.feed(b"")
        os.close(self._fd)
        return self._waiting


def _unblocked(fd: int) -> int:
    """Return a descriptor of one's own: not blocking is a property that its sharers share."""
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
