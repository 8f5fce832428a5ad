"""Process tree: finds, ends and reaps all descendants of this process.

This process is a subreaper, so a walk down from it finds every process that a step left behind:
also one with its own session, one that forked twice, and one with an empty environment.

Without subreapers an orphan becomes a child of process 1. It is found by its session, or because it
was seen as a descendant before; a process that left both its session and its parent between two
checks is not found.
"""

from __future__ import annotations

import os
import time
from _signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM  # type: ignore[import-not-found]

from pytest_orchestrator.execution.supervision import os_support
from pytest_orchestrator.execution.supervision.deadlines import KILL_SECONDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from resource import struct_rusage

    from pytest_orchestrator.execution.supervision.os_support import SystemFeatures

    Reaped = Callable[[int, int, struct_rusage], None]

_MOST_REAPED = 1000  # at a time, so that an endless succession of processes does not delay the lane
_PAUSES = (0.001, 0.002, 0.005, 0.01, 0.02)
_SIGNAL_INTERVAL = 0.02  # seconds between two searches for processes that got no signal yet


class ProcessTree:
    """The descendants of this process, except the spared ones and their descendants.

    Attributes:
        reaped: Called for each child that ended, with its pid, its wait status, and the resource
            usage of it and of the children that it waited for.
        spared: The pids of children that must not be ended, or that cannot be ended.
    """

    def __init__(self) -> None:
        self.reaped: Reaped = lambda *_: None
        self.spared: set[int] = set()
        self._me = os.getpid()
        self._session = os.getsid(0)

    def started(self, pid: int) -> None:
        """Do nothing; a subclass records the pid of the program, which leads a session."""

    def living(self, excluded: Collection[int] = ()) -> Iterable[int]:
        """Yield the pids of all descendants, parents before children, zombies included.

        The children of a process are listed only after the caller has handled that process.

        Args:
            excluded: Pids of processes that are left out together with their descendants.
        """
        parents = [self._me]
        for parent in parents:
            for pid in os_support.children(parent):
                if pid not in self.spared and pid not in excluded:
                    yield pid
                    parents.append(pid)

    def named(self) -> dict[int, str]:
        """Return the text ``name (pid N)`` of each living descendant, by pid."""
        names = {pid: os_support.name_of(pid) for pid in self.living()}
        return {pid: f"{name} (pid {pid})" for pid, name in names.items() if name}

    def reap(self) -> bool:
        """Reap the children that have ended; return True if no process is left to be ended."""
        for _ in range(_MOST_REAPED):
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if not pid:
                return bool(self.spared) and self.spared.issuperset(os_support.children(self._me))
            self.spared.discard(pid)
            self.reaped(pid, status, used)
        return False

    def end(
        self, grace: float, wait: Callable[[float], bool], first: int = SIGTERM
    ) -> dict[int, str]:
        """End all descendants: send TERM, wait for the grace period, and send KILL to the rest.

        The descendants are listed repeatedly during the grace period. A process that was being
        forked while its parent received TERM becomes a child of this process when that parent
        exits, and gets its TERM then. A process that is started after the TERM gets none while its
        parent lives, because it may belong to the cleanup of the parent.

        Args:
            grace: Seconds between TERM and KILL; with 0 no TERM is sent.
            wait: Waits for the given seconds at most; if it returns False, the grace period ends.
            first: The signal that is sent instead of TERM.

        Returns:
            The names of the processes that could not be ended, by pid; they are spared from now on.
        """
        if grace and not self.reap():
            signaled: set[int] = set()

            def signal_new() -> None:
                # Listed before the first signal: a parent may start its cleanup at once.
                for pid in [*self.living(excluded=signaled)]:
                    os_support.kill(pid, first)
                    os_support.kill(pid, SIGCONT)
                    signaled.add(pid)

            self._until_gone(time.monotonic() + grace, wait, signal_new)
        until = time.monotonic() + KILL_SECONDS
        while not self.reap() and time.monotonic() < until:
            self._kill(until)
            self._until_gone(min(until, time.monotonic() + 0.1), wait)
        if self.reap():
            return {}
        left = self.named()
        self.spared.update(os_support.children(self._me))
        return left

    def _until_gone(
        self,
        until: float,
        wait: Callable[[float], bool],
        signal_new: Callable[[], None] | None = None,
    ) -> None:
        pauses, due = iter(_PAUSES), 0.0
        while not self.reap() and (left := until - (now := time.monotonic())) > 0:
            if signal_new is not None and now >= due:
                signal_new()
                due = now + _SIGNAL_INTERVAL
            if not wait(min(left, next(pauses, _PAUSES[-1]))):
                return

    def _kill(self, until: float) -> None:
        """Stop all descendants, so that they cannot fork meanwhile, and then send KILL to them."""
        stopped: set[int] = set()
        met = -1
        while met < len(stopped) and time.monotonic() < until:
            met = len(stopped)
            for target in map(self._signal_target, self.living()):
                if target not in stopped:
                    os_support.kill(target, SIGSTOP)
                    stopped.add(target)
        for target in stopped:
            os_support.kill(target, SIGKILL)

    def _signal_target(self, pid: int) -> int:
        """Return the target for `kill`: the negative process group of a process, or its pid.

        A signal to a group also reaches processes that are forked meanwhile. The pid is returned
        for a process in the present or the first session of this process: a group in these
        sessions may contain unrelated processes.
        """
        try:
            group = 0 if os.getsid(pid) in (self._session, os.getsid(0)) else os.getpgid(pid)
        except OSError:
            return pid
        return -group if group > 1 else pid


def process_tree_of(features: SystemFeatures) -> ProcessTree:
    """Return the process tree of this process, by the method that the system supports."""
    return ProcessTree() if features.adopts and features.proc else PsProcessTree()


class PsProcessTree(ProcessTree):
    """A process tree that reads the process table of `ps`, for systems without subreapers."""

    def __init__(self) -> None:
        super().__init__()
        self._leader: int | None = None
        self._start_times: dict[int, str] = {}
        self._names: dict[int, str] = {}

    def started(self, pid: int) -> None:
        """Record the pid of the program, which leads a session; forget all earlier processes."""
        self._leader = pid
        self._start_times = {}

    def living(self, excluded: Collection[int] = ()) -> list[int]:
        """Return the pids of the living processes that are known to descend from this process.

        Args:
            excluded: Pids of processes that are left out together with their descendants.
        """
        born, parents = self._table()
        # The kernel may have given a pid that was seen before to an unrelated process.
        found = [
            pid
            for pid in parents
            if self._start_times.get(pid) == born[pid] or self._is_in_session(pid)
        ]
        family = {self._me, *found}
        while more := [pid for pid in parents if pid not in family and parents[pid] in family]:
            family.update(more)
            found += more
        self._start_times.update((pid, born[pid]) for pid in found)
        out = set(excluded)
        while more := [pid for pid in found if pid not in out and parents[pid] in out]:
            out.update(more)
        return [pid for pid in found if pid not in out]

    def named(self) -> dict[int, str]:
        """Return the text ``name (pid N)`` of each living descendant, by pid."""
        return {pid: f"{self._names[pid]} (pid {pid})" for pid in self.living()}

    def reap(self) -> bool:
        """Reap the children that have ended; return True if no process is left to be ended."""
        if not super().reap():
            return False
        suspected = any(_lives(pid) for pid in self._start_times if pid not in self.spared)
        return not ((suspected or self._session_lives()) and self.living())

    def _is_in_session(self, pid: int) -> bool:
        """Return True if a process is in the session of the child that was started."""
        try:
            return self._leader is not None and os.getsid(pid) == self._leader
        except OSError:
            return False

    def _session_lives(self) -> bool:
        return self._leader is not None and _lives(-self._leader)

    def _table(self) -> tuple[dict[int, str], dict[int, int]]:
        """Read the process table; return start times and parent pids, both by pid.

        Zombies, spared processes and this process are left out.
        """
        from subprocess import PIPE, Popen

        ps = Popen(["ps", "-A", "-o", "pid=,ppid=,stat=,lstart=,comm="], stdout=PIPE)
        table, _ = ps.communicate()
        born, parents, self._names = {}, {}, {}
        for line in table.decode("utf-8", "backslashreplace").splitlines():
            words = line.split(None, 8)
            pid, state = int(words[0]), words[2]
            if state.startswith("Z") or pid in (1, self._me, ps.pid) or pid in self.spared:
                continue
            born[pid], parents[pid] = " ".join(words[3:8]), int(words[1])
            self._names[pid] = os.path.basename(words[8])
        return born, parents


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
