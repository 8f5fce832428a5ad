"""The processes that descend from one child: their figures, their end.

A peak from ``wait4`` cannot be below the size of the process that started the child
(Linux copies the starter's mark when the child executes its program), so it counts only
where it is above that; else the children's own marks, sampled while they live, are told.
"""

import contextlib
import os
import resource
import signal
import sys

from pytest_orchestrator.core.result import Usage
from pytest_orchestrator.execution.usage import resident

_LINUX = sys.platform == "linux"
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


class Family:
    """A child that leads its own session, and every descendant that was seen."""

    def __init__(self, leader: int) -> None:
        self.leader = leader
        # Nobody else can have the leader's number before it is reaped.
        self.seen = {leader: ""}
        self.peak = 0
        self._floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT

    def sample(self) -> None:
        """Look once: note new processes and the sum of their peaks of memory."""
        total = 0
        for pid in self._tree():
            if pid not in self.seen:
                self.seen[pid] = _birth(pid)
            total += _high_water(pid)
        self.peak = max(self.peak, total)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the session's group and to all that were seen outside it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.leader, number)
        for pid in self.survivors():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    def survivors(self) -> dict[int, str]:
        """Return the descendants that still run, the leader apart: pid to a name for people."""
        if not self._anyone():
            return {}
        import psutil

        found: dict[int, str] = {}
        for pid in psutil.pids():
            if pid == self.leader or not self._is_ours(pid):
                continue
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE:
                    found[pid] = f"{process.name()} (pid {pid})"
        return found

    def usage(
        self, seconds: float, used: resource.struct_rusage, io: tuple[int, int] | None
    ) -> Usage:
        """Return the figures after the leader was reaped.

        Args:
            seconds: Wall time from the start of the leader to its end.
            used: What ``wait4`` gave for it.
            io: Bytes read from and written to storage, where the system tells.
        """
        source = {"cpu": "wait4"}
        largest = used.ru_maxrss * _RSS_UNIT
        peak = max(self.peak, largest if largest > self._floor else 0) or None
        if peak is not None:
            source["memory"] = "sampled high-water marks" if peak == self.peak else "wait4"
        if io is not None:
            source["io"] = "/proc/pid/io"
        return Usage(
            seconds=seconds,
            cpu_user_seconds=used.ru_utime,
            cpu_system_seconds=used.ru_stime,
            max_rss=peak,
            read_bytes=io[0] if io else None,
            write_bytes=io[1] if io else None,
            processes=len(self.seen),
            source=source,
        )

    def _tree(self) -> list[int]:
        if not _LINUX:
            return [self.leader, *_descendants(self.leader)]
        found = [self.leader]
        for pid in found:
            found.extend(_children(pid))
        return found

    def _is_ours(self, pid: int) -> bool:
        if _session(pid) == self.leader:
            return True
        # A number seen before may by now belong to a stranger.
        return pid in self.seen and self.seen[pid] == _birth(pid)

    def _anyone(self) -> bool:
        """Ask cheaply whether anyone but the leader may be alive."""
        try:
            os.killpg(self.leader, 0)
        except ProcessLookupError:
            pass
        except PermissionError:
            return True
        else:
            return True
        return any(_exists(pid) for pid in self.seen if pid != self.leader)


def _children(pid: int) -> list[int]:
    # psutil finds children by reading every process of the machine: milliseconds, where
    # the kernel's own list costs microseconds. Any thread may have forked.
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                found.extend(map(int, file.read().split()))
    return found


def _descendants(pid: int) -> list[int]:
    import psutil

    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []


def _high_water(pid: int) -> int:
    if not _LINUX:
        return resident(pid)
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            status = file.read()
    except OSError:
        return 0
    at = status.find(b"VmHWM:")
    return int(status[at + 6 : status.index(b"kB", at)]) * 1024 if at >= 0 else 0


def _birth(pid: int) -> str:
    """Return when a process was started, in words that no later process of its number has."""
    if not _LINUX:
        import psutil

        with contextlib.suppress(psutil.Error):
            return str(psutil.Process(pid).create_time())
        return "gone"
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name of the program, in parentheses, may hold anything.
            return file.read().rpartition(b")")[2].split()[19].decode()
    except OSError:
        return "gone"


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
