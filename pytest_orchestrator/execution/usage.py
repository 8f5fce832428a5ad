"""Figures of this process, and what the system tells of one process."""

import contextlib
import os
import sys
import time

from pytest_orchestrator.core.heap import Heap
from pytest_orchestrator.core.result import Usage

_LINUX = sys.platform == "linux"
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Own:
    """Figures of this process between two moments: for a step that runs inside pytest.

    Args:
        heap: Measures the Python heap; None where nobody asked for that.
    """

    def __init__(self, heap: Heap | None = None) -> None:
        self._heap = heap
        self._rss = resident()
        self._io = io_of(os.getpid())
        self._times = os.times()
        self._started = time.perf_counter()

    def usage(self) -> Usage:
        """Return what this process used since the object was made."""
        seconds = time.perf_counter() - self._started
        now, was = os.times(), self._times
        io = io_of(os.getpid()) if self._io else None
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


def io_of(pid: int) -> tuple[int, int] | None:
    """Return bytes read from and written to storage by a process, dead ones not yet reaped too.

    Returns:
        None where the system does not tell.
    """
    try:
        with open(f"/proc/{pid}/io", "rb") as file:
            fields = dict(line.split(b": ") for line in file.read().splitlines())
        return int(fields[b"read_bytes"]), int(fields[b"write_bytes"])
    except (OSError, KeyError, ValueError):
        return None


def resident(pid: int | None = None) -> int:
    """Return the resident memory of a process in bytes, 0 where it is gone."""
    if _LINUX:
        # Twice in each Python step: a fifth of what psutil takes for it.
        with contextlib.suppress(OSError), open(f"/proc/{pid or 'self'}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
        return 0
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
