"""The pulse of a process whose lanes run for somebody far away: without it they are ended.

A process that is stopped, or whose threads all wait for one, cannot end what it has started. Its
supervisor can, and looks now and then at the moment until which the pulse is good.
"""

from __future__ import annotations

import os
import time

from pytest_orchestrator.execution.outside import MOMENT

GRACE = 5.0
"""Seconds beyond that moment: whoever was frozen together with the supervisor may go on."""
_LOOKS = 5


class Pulse:
    """Says until when all is well; one is told of it by a file in memory.

    Attributes:
        file: Its descriptor.
    """

    def __init__(self) -> None:
        import mmap

        self.file = _file()
        os.ftruncate(self.file, MOMENT.size)
        self._memory = mmap.mmap(self.file, MOMENT.size)

    def beat(self, until: float) -> None:
        """Be well until a moment of ``time.monotonic``."""
        MOMENT.pack_into(self._memory, 0, until)

    def close(self) -> None:
        """Say nothing any more."""
        self._memory.close()
        os.close(self.file)


class Listener:
    """The supervisor's half.

    Args:
        file: What the pulse writes.
        grace: Seconds beyond its moment.

    Attributes:
        pause: Seconds between two looks.
    """

    def __init__(self, file: int, grace: float) -> None:
        self._file = file
        self.pause = grace / _LOOKS
        self._looked = 0.0
        self._late = 0

    def misses(self) -> bool:
        """Look whether the pulse is gone."""
        now = time.monotonic()
        if now < self._looked + self.pause:
            return False
        self._looked = now
        (until,) = MOMENT.unpack(os.pread(self._file, MOMENT.size, 0))
        self._late = self._late + 1 if 0 < until < now else 0
        return self._late > _LOOKS

    def close(self) -> None:
        """Listen no more."""
        os.close(self._file)


def _file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("pulse")
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
