"""Watchdog of inline steps and expressions: has the supervisor end a pytest that is stuck.

An inline step may hold the GIL, block signals or swallow all exceptions; then no code in this
process can end it. So the supervisor reads a deadline from a file at an interval: the earliest one
of all threads. The file costs a step three writes to the page cache.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from marshal import dumps
from pathlib import Path

from pytest_orchestrator.execution.lanes.lane import Lanes
from pytest_orchestrator.execution.lanes.messages import LaneLost
from pytest_orchestrator.execution.supervision.deadlines import (
    DEADLINE_CELL,
    ENDED,
    deadline_file,
    watchdog_words,
)

GRACE = 10.0
"""Seconds from the deadline of a step, when it is interrupted, to the end of its process."""


class Watchdog:
    """Watchdog that has the supervisor end this process tree if a ``with`` block takes too long.

    Args:
        lanes: The lanes, which own the connection to the supervisor.
        writer: The command line of the program that records the end. The supervisor appends the
            arguments of the block, and executes the program after it has ended all processes.
        terminal: Returns a new descriptor for the message to the user; the watchdog closes it.
        path: The file for the deadline, for a process that outlives this one and calls
            `ended_by_watchdog`; None uses a file without a name.
    """

    def __init__(
        self,
        lanes: Lanes,
        writer: Sequence[str],
        terminal: Callable[[], int],
        path: Path | None = None,
    ) -> None:
        self._lanes = lanes
        self._writer = tuple(writer)
        self._terminal, self._path = terminal, path
        self._file = -1
        self._pid = 0
        self._lock = threading.Lock()
        self._due: dict[object, tuple[float, bytes]] = {}
        self._written = _NOTHING

    def over(
        self, seconds: float, message: str, arguments: Sequence[str]
    ) -> contextlib.AbstractContextManager[None]:
        """Have the supervisor end the process tree if a ``with`` block exceeds a time limit.

        Args:
            seconds: The time limit; the process tree is ended `GRACE` seconds after it.
            message: The message that the supervisor prints when it ends the process tree.
            arguments: The arguments for the program that records the end.
        """
        words = dumps((message, [*self._writer], [*arguments]))
        return _Watched(self, seconds, words)

    def begin(self, block: object, seconds: float, words: bytes) -> None:
        """Add the deadline of a block and the words of its end; do nothing without a supervisor."""
        with self._lock:
            if self._registered():
                self._due[block] = (time.monotonic() + seconds, words)
                self._write_earliest()

    def end(self, block: object) -> None:
        """Remove the deadline of a block."""
        with self._lock:
            if self._due.pop(block, None):
                self._write_earliest()

    def close(self) -> None:
        """Close the file with the deadline."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _write_earliest(self) -> None:
        earliest = min(self._due.values(), default=_NOTHING)
        if earliest == self._written:
            return
        until, words = earliest
        if self._written != _NOTHING:  # a deadline never has the words of another
            os.pwrite(self._file, DEADLINE_CELL.pack(0.0), 0)
        if words:
            os.pwrite(self._file, words, DEADLINE_CELL.size)
            os.pwrite(self._file, DEADLINE_CELL.pack(until), 0)
        self._written = earliest

    def _registered(self) -> bool:
        """Send the file to a supervisor that does not have it yet; return False if that fails."""
        try:
            pid = self._lanes.start()
            if pid != self._pid:
                if self._file < 0:
                    self._file = deadline_file() if self._path is None else _opened(self._path)
                terminal = self._terminal()
                try:
                    self._lanes.guard(self._file, terminal, GRACE)
                finally:
                    os.close(terminal)
                self._pid = pid
        except (LaneLost, OSError):
            return False
        return True


_NOTHING = (0.0, b"")


class _Watched(contextlib.AbstractContextManager[None]):
    """Context manager of `Watchdog.over`; a generator would take twice as long for each step."""

    __slots__ = ("_seconds", "_watchdog", "_words")

    def __init__(self, watchdog: Watchdog, seconds: float, words: bytes) -> None:
        self._watchdog, self._seconds, self._words = watchdog, seconds, words

    def __enter__(self) -> None:
        self._watchdog.begin(self, self._seconds, self._words)

    def __exit__(self, *_: object) -> None:
        self._watchdog.end(self)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def ended_by_watchdog(path: Path) -> tuple[str, list[str]] | None:
    """Return the watchdog's message and arguments, or None if it has not ended the process.

    Args:
        path: The file for the deadline, as passed to `Watchdog`.

    Returns:
        The message and the arguments that were passed to `Watchdog.over`; None if the watchdog
        has not ended the process.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if os.pread(file, DEADLINE_CELL.size, 0) != DEADLINE_CELL.pack(ENDED):
            return None
        message, _, arguments = watchdog_words(file)
        return message, arguments
    finally:
        os.close(file)
