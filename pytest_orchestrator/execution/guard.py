"""What ends pytest from outside where a step that runs inside it cannot be ended.

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

from pytest_orchestrator.execution.exited import LaneLost
from pytest_orchestrator.execution.lanes import Lanes
from pytest_orchestrator.execution.outside import MOMENT

PATIENCE = 10.0
"""Seconds that a step gets after it was interrupted at its deadline."""


class Guard:
    """Has this process and all below it ended by the supervisor, where a block takes too long.

    Args:
        lanes: They have the supervisor.
        writer: A program that takes note of it: it is run once all is ended, with words that
            the block gives as its last arguments.
        terminal: Returns a descriptor of its own for what people read; it is closed here.
    """

    def __init__(self, lanes: Lanes, writer: Sequence[str], terminal: Callable[[], int]) -> None:
        self._lanes = lanes
        self._writer = tuple(writer)
        self._terminal = terminal
        self._file = -1
        self._pid = 0

    @contextlib.contextmanager
    def over(self, seconds: float | None, told: str, noted: Sequence[str]) -> Iterator[None]:
        """Guard a block.

        Args:
            seconds: After these, and `PATIENCE`, everything is ended; None is never.
            told: What people are told then.
            noted: Words for the program that takes note of it.
        """
        if seconds is None or not self._known():
            yield
            return
        os.pwrite(self._file, dumps((told, [*self._writer, *noted])), MOMENT.size)
        os.pwrite(self._file, MOMENT.pack(time.monotonic() + seconds), 0)
        try:
            yield
        finally:
            os.pwrite(self._file, MOMENT.pack(0.0), 0)

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
                    with tempfile.TemporaryFile() as file:
                        self._file = os.dup(file.fileno())
                terminal = self._terminal()
                try:
                    self._lanes.guard(self._file, terminal, PATIENCE)
                finally:
                    os.close(terminal)
                self._pid = pid
        except (LaneLost, OSError):
            return False
        return True
