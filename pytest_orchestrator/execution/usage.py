"""Figures of this process, and what the system tells of one process."""

import contextlib
import os
import sys
import time
from resource import (
    RLIM_INFINITY,
    RLIMIT_NOFILE,
    RLIMIT_NPROC,
    RUSAGE_CHILDREN,
    RUSAGE_SELF,
    getrlimit,
    getrusage,
)

from pytest_orchestrator.core.heap import Heap
from pytest_orchestrator.core.result import Usage
from pytest_orchestrator.execution.supervision import os_support

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
        self._io = io
        self._before = _accounts()
        self._started = time.perf_counter()

    def usage(self) -> Usage:
        """Return what this process used since the object was made."""
        seconds = time.perf_counter() - self._started
        user, system, read, written = (
            now - was for now, was in zip(_accounts(), self._before, strict=True)
        )
        io = self._io and os_support.KEEPS_IO
        return Usage(
            seconds=seconds,
            cpu_user_seconds=user,
            cpu_system_seconds=system,
            rss_delta=resident() - self._rss,
            heap_current=self._heap.current if self._heap else None,
            heap_peak=self._heap.peak if self._heap else None,
            read_bytes=int(read) if io else None,
            write_bytes=int(written) if io else None,
            source={"cpu": "times of this process", "memory": "growth of this process"}
            | ({"io": "getrusage"} if io else {})
            | ({"heap": "tracemalloc"} if self._heap else {}),
        )


def _accounts() -> tuple[float, float, float, float]:
    """Return CPU seconds in user mode and in the kernel, bytes read and written, so far.

    Those of the children that were waited for are among them.
    """
    own, theirs = getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN)
    return (
        own.ru_utime + theirs.ru_utime,
        own.ru_stime + theirs.ru_stime,
        (own.ru_inblock + theirs.ru_inblock) * os_support.BLOCK,
        (own.ru_oublock + theirs.ru_oublock) * os_support.BLOCK,
    )


def resident(pid: int | None = None) -> int:
    """Return the resident memory of a process in bytes, 0 where it is gone."""
    if _LINUX:
        # Twice in each Python step: a tenth of what psutil takes for it.
        told = os_support.contents(f"/proc/{pid or 'self'}/statm").split()
        return int(told[1]) * _PAGE if told else 0
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


_EACH = {"ulimit -n": 6, "ulimit -u": 4}
"""Open files, and processes and threads, that one more step at the same time takes at most."""
_FAR = 4096
_BESIDE = 40
"""The same, for all that is beside the steps."""


def room(wanted: int) -> tuple[int, str]:
    """Return how many steps the system lets run at the same time, and the limit that says so.

    Args:
        wanted: The most that is of interest: nothing is counted where a limit is far above.
    """
    found = {}
    for name, limit, used in (
        ("ulimit -n", RLIMIT_NOFILE, open_files),
        ("ulimit -u", RLIMIT_NPROC, processes),
    ):
        most = getrlimit(limit)[0]
        is_far = most == RLIM_INFINITY or most > _FAR + wanted * _EACH[name]
        if not is_far and (limit != RLIMIT_NPROC or os.geteuid() != 0):  # root has none of these
            found[name] = (most - used() - _BESIDE) // _EACH[name]
    least = min(found, key=lambda name: found[name], default="")
    return (found[least], least) if least else (sys.maxsize, "")


def open_files() -> int:
    """Count the open files of this process; 0 where the system does not tell."""
    try:
        return len(os.listdir("/dev/fd"))
    except OSError:
        return 0


def processes() -> int:
    """Count the processes and threads of the user; 0 where the system does not tell."""
    own, count = os.getuid(), 0
    try:
        pids = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return 0
    for pid in pids:
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{pid}").st_uid == own:
                count += len(os.listdir(f"/proc/{pid}/task"))
    return count
