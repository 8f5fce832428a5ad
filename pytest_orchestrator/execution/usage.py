"""Figures of this process, and what the system tells of one process."""

import os
import sys
import time

from pytest_orchestrator.core.heap import Heap
from pytest_orchestrator.core.result import Usage
from pytest_orchestrator.execution import kernel

_LINUX = sys.platform == "linux"
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Own:
    """Figures of this process between two moments: for a step that runs inside pytest.

    Args:
        heap: Measures the Python heap; None where nobody asked for that.
        io: Measure what is read from storage and written to it.
    """

    def __init__(self, heap: Heap | None = None, *, io: bool = True) -> None:
        self._heap = heap
        self._rss = resident()
        self._io = kernel.io_of(os.getpid()) if io else None
        self._times = os.times()
        self._started = time.perf_counter()

    def usage(self) -> Usage:
        """Return what this process used since the object was made."""
        seconds = time.perf_counter() - self._started
        now, was = os.times(), self._times
        io = kernel.io_of(os.getpid()) if self._io else None
        return Usage(
            seconds=seconds,
            cpu_user_seconds=now.user - was.user + now.children_user - was.children_user,
            cpu_system_seconds=now.system - was.system + now.children_system - was.children_system,
            rss_delta=resident() - self._rss,
            heap_current=self._heap.current if self._heap else None,
            heap_peak=self._heap.peak if self._heap else None,
            read_bytes=io[0] - self._io[0] if io and self._io else None,
            write_bytes=io[1] - self._io[1] if io and self._io else None,
            source={"cpu": "times of this process", "memory": "growth of this process"}
            | ({"io": "/proc/pid/io"} if io else {})
            | ({"heap": "tracemalloc"} if self._heap else {}),
        )


def resident(pid: int | None = None) -> int:
    """Return the resident memory of a process in bytes, 0 where it is gone."""
    if _LINUX:
        # Twice in each Python step: a tenth of what psutil takes for it.
        told = kernel.contents(f"/proc/{pid or 'self'}/statm").split()
        return int(told[1]) * _PAGE if told else 0
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
