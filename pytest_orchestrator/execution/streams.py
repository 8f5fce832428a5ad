"""Both output streams of one program: pipes that never hold it up, and their logs."""

from __future__ import annotations

import os
import select

from pytest_orchestrator.execution.live import Live
from pytest_orchestrator.execution.logfile import LogFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pytest_orchestrator.core.secret_stream import SecretStream

_NAMES = ("stdout", "stderr")
_CHUNK = 1 << 16
_LAST = 1 << 20
_HELD = 0.02


class Streams:
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
        self._live = [Live(fd, _stream(secrets)) for fd in fds]
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


def _stream(secrets: tuple[bytes, ...]) -> SecretStream | None:
    if not secrets:
        return None
    from pytest_orchestrator.core.secret_stream import SecretStream

    return SecretStream(secrets)
