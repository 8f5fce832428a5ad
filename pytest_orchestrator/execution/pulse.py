"""The pulse of a process whose lanes run for somebody far away: without it they are ended.

A process that is stopped, or whose threads all wait for one, cannot end what it has started. Its
supervisor can, and looks now and then at the moment until which the pulse is good.
"""

from __future__ import annotations

import os

from pytest_orchestrator.execution.moment import MOMENT, Overdue

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


def listener(file: int, grace: float) -> Overdue:
    """Return what the supervisor looks at the pulse by.

    Args:
        file: What the pulse writes.
        grace: Seconds beyond its moment.
    """
    return Overdue(file, grace, _LOOKS)


def _file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("pulse")
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
