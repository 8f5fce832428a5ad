"""Watchdog for steps that run inside pytest: lets the supervisor end a stuck session.

A step may hold the interpreter's lock, block signals or swallow all exceptions: then nothing
in this process can do anything any more. So the supervisor looks, now and then, into a file
that says until when the step may run; that costs a step two writes into memory.
"""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from marshal import dumps
from pathlib import Path

from pytest_orchestrator.execution.lanes.lane import Lanes
from pytest_orchestrator.execution.lanes.messages import LaneLost
from pytest_orchestrator.execution.supervision.watchdog import DEADLINE_CELL, ENDED, watchdog_words

PATIENCE = 10.0
"""Seconds that a step gets after it was interrupted at its deadline."""


class Watchdog:
    """Has this process and all below it ended by the supervisor, where a block takes too long.

    Args:
        lanes: They have the supervisor.
        writer: A program that takes note of it: it is run once all is ended, with words that
            the block gives as its last arguments.
        terminal: Returns a descriptor of its own for what people read; it is closed here.
        path: The file, for a process that outlives this one and asks `ended_by_watchdog`; None:
            for nobody.
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

    @contextlib.contextmanager
    def over(self, seconds: float, told: str, noted: Sequence[str]) -> Iterator[None]:
        """Guard a block.

        Args:
            seconds: After these, and `PATIENCE`, everything is ended.
            told: What people are told then.
            noted: Words for the program that takes note of it.
        """
        if not self._known():
            yield
            return
        os.pwrite(self._file, dumps((told, [*self._writer], [*noted])), DEADLINE_CELL.size)
        os.pwrite(self._file, DEADLINE_CELL.pack(time.monotonic() + seconds), 0)
        try:
            yield
        finally:
            os.pwrite(self._file, DEADLINE_CELL.pack(0.0), 0)

    def close(self) -> None:
        """Guard nothing any more."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _known(self) -> bool:
        """Let the supervisor know the file; False where there is no supervisor to be had."""
        try:
            pid = self._lanes.start()
            if pid != self._pid:
                if self._file < 0:
                    self._file = self._opened()
                terminal = self._terminal()
                try:
                    self._lanes.guard(self._file, terminal, PATIENCE)
                finally:
                    os.close(terminal)
                self._pid = pid
        except (LaneLost, OSError):
            return False
        return True

    def _opened(self) -> int:
        if self._path is not None:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())


def ended_by_watchdog(path: Path) -> tuple[str, list[str]] | None:
    """Return what is told of a process that had to be ended.

    Args:
        path: The file of its guard.

    Returns:
        What people are told and the words for the program that takes note of it, as they were
        given to `Watchdog.over`; None where it was not ended so.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if os.pread(file, DEADLINE_CELL.size, 0) != DEADLINE_CELL.pack(ENDED):
            return None
        told, _, noted = watchdog_words(file)
        return told, noted
    finally:
        os.close(file)
