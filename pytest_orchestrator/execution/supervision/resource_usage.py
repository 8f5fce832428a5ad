"""Resource usage of a process tree: the kernel's accounting and samples.

The peak memory from ``wait4`` is never below that of the process that started the child, because
Linux copies the high-water mark of the parent when the child executes its program. The peak is used
only if it is above that mark; otherwise the sampled high-water marks are used, and the mark of the
parent is the upper bound of the peak: a program may have needed more memory after the last sample.
A fork that executes no program starts with the memory that it shares with its parent, so its mark
is used as it is. A program that is just being started has a mark of a few pages, so marks below one
megabyte are ignored.
"""

from __future__ import annotations

import os
import sys
from resource import RUSAGE_SELF, getrusage

from pytest_orchestrator.execution.supervision import os_support

TYPE_CHECKING = False
if TYPE_CHECKING:
    from resource import struct_rusage
    from typing import Any

    from pytest_orchestrator.execution.supervision.process_tree import ProcessTree

_LINUX = sys.platform == "linux"
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = os.sysconf("SC_CLK_TCK")
_BLUR = 1 << 20  # the kernel counts pages per CPU and adds them up only now and then
_GRID = 1 << 22  # the marks of lanes differ by 0.4 MB: the bound, and so a verdict, must not
_MOST_SAMPLES = 500


class TreeUsage:
    """The resource usage of the process tree of one step.

    Args:
        path: The file that samples are appended to for the monitor; pytest rewrites it at the end
            of the step. None writes no file.

    Attributes:
        user: CPU seconds in user mode, of all reaped processes.
        system: CPU seconds in kernel mode, of all reaped processes.
        read: Bytes read from storage; None if the system does not count them.
        written: Bytes written to storage; None if the system does not count them.
        seen: The pids of the processes that were seen.
    """

    def __init__(self, path: str | None = None) -> None:
        self._path = path
        self.user = self.system = 0.0
        self.read: int | None = None
        self.written: int | None = None
        self.seen: set[int] = set()
        self._floor = 0
        self._tree_peak = self._largest_sampled = self._largest_waited = 0
        self._samples: list[tuple[float, int, float]] = []
        self._skipped, self._stride = 0, 1

    def started(self, pid: int, *, is_fork: bool = False) -> None:
        """Record the pid of the program, right after its start.

        Args:
            pid: Process ID of the program.
            is_fork: True if the program is a fork of this process that executes no other program.
        """
        self.seen.add(pid)
        if not is_fork:
            mark = getrusage(RUSAGE_SELF).ru_maxrss * _RSS_UNIT + _BLUR
            self._floor = -(-mark // _GRID) * _GRID

    def reaped(self, pid: int, used: struct_rusage) -> None:
        """Add the usage of an ended process, including that of the children it waited for."""
        self.seen.add(pid)
        self.user += used.ru_utime
        self.system += used.ru_stime
        self._largest_waited = max(self._largest_waited, used.ru_maxrss * _RSS_UNIT)
        io = os_support.io_of(used)
        if io is not None:
            self.read = (self.read or 0) + io[0]
            self.written = (self.written or 0) + io[1]

    def sample_one(self, pid: int) -> None:
        """Sample the peak memory of one process only, which is cheap enough for short steps."""
        self._high_water_mark(pid)
        self._tree_peak = max(self._tree_peak, self._largest_sampled)

    def sample(self, seconds: float, descendants: ProcessTree) -> None:
        """Sample memory and CPU time of all living processes.

        Args:
            seconds: Seconds since the start of the step.
            descendants: The processes of the step.
        """
        marks, rss, cpu = 0, 0, self.user + self.system
        for pid in descendants.living():
            self.seen.add(pid)
            marks += self._high_water_mark(pid)
            resident, used = _memory_and_cpu(pid)
            rss += resident
            cpu += used
        self._tree_peak = max(self._tree_peak, marks)
        if _LINUX:  # other systems do not report the memory of other processes
            self._keep((seconds, rss, cpu))

    def as_reply(self, seconds: float) -> dict[str, Any]:
        """Return all figures as fields of the reply to pytest; ``usage`` has the names of reports.

        Args:
            seconds: Seconds from just before the start of the program to its end.
        """
        waited = self._largest_waited if self._largest_waited > self._floor else 0
        largest = max(self._largest_sampled, waited)
        peak = max(self._tree_peak, largest)
        memory = "sampled high-water marks" if peak > waited else "wait4"
        bound = self._floor if self._largest_waited > waited else 0
        if not peak:  # the program ended before the first sample
            largest = peak = bound
            memory = "wait4, an upper bound"
        usage: dict[str, Any] = {
            "seconds": seconds,
            "cpu_user_seconds": self.user,
            "cpu_system_seconds": self.system,
            "processes": len(self.seen),
            "source": {"cpu": "wait4", "memory": memory},
        }
        if peak:
            usage |= {"max_rss": peak, "largest_rss": largest}
        if self.read is not None:
            usage |= {"read_bytes": self.read, "write_bytes": self.written}
            usage["source"] = {"cpu": "wait4", "memory": memory, "io": "wait4"}
        return {"usage": usage, "rss_bound": bound or None, "samples": self._samples}

    def _high_water_mark(self, pid: int) -> int:
        """Return the peak memory of a living process in bytes; 0 if it is below one megabyte."""
        status = os_support.contents(f"/proc/{pid}/status")
        at = status.find(b"VmHWM:")
        mark = int(status[at + 6 : status.index(b"kB", at)]) * 1024 if at >= 0 else 0
        if mark < _BLUR:
            return 0
        self._largest_sampled = max(self._largest_sampled, mark)
        return mark

    def _keep(self, sample: tuple[float, int, float]) -> None:
        """Keep a sample, or skip it: the longer the step runs, the more samples are skipped.

        When the list has 500 entries, every second entry is removed.
        """
        self._skipped += 1
        if self._skipped < self._stride:
            return
        self._skipped = 0
        self._samples.append(sample)
        self._append(sample)
        if len(self._samples) >= _MOST_SAMPLES:
            del self._samples[1::2]
            self._stride *= 2

    def _append(self, sample: tuple[float, int, float]) -> None:
        """Append a sample to the file; after an error, write no further samples."""
        if self._path is None:
            return
        seconds, rss, cpu = sample
        line = f'{{"seconds": {seconds:.6f}, "rss": {rss}, "cpu_seconds": {cpu:.6f}}}\n'
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            fd = os.open(self._path, flags | (os.O_TRUNC if len(self._samples) == 1 else 0), 0o666)
            try:
                os.write(fd, line.encode())
            finally:
                os.close(fd)
        except OSError:
            self._path = None


def _memory_and_cpu(pid: int) -> tuple[int, float]:
    """Return a process's resident bytes and its CPU seconds, its reaped children included."""
    stat = os_support.contents(f"/proc/{pid}/stat")
    fields = stat[stat.rfind(b")") + 2 :].split()
    if len(fields) < 22:
        return 0, 0.0
    return int(fields[21]) * _PAGE, sum(map(int, fields[11:15])) / _TICK
