"""Process tree: finds, ends and reaps all descendants of this process.

This process adopts orphans, so whatever a step left behind (in a session of its own, twice
forked, with an emptied environment) is found by walking down from here.

Without subreapers an orphan becomes a child of the first process. It is found by its session,
or because it was seen as a descendant before; one that left its session and its parent between
two looks is not found.
"""

from __future__ import annotations

import os
import time
from _signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM  # type: ignore[import-not-found]

from pytest_orchestrator.execution.supervision import os_support

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from resource import struct_rusage

    from pytest_orchestrator.execution.supervision.os_support import SystemFeatures

    Reaped = Callable[[int, int, struct_rusage], None]

PATIENCE = 0.6
"""Seconds that a killed process may take to be gone; then the kernel holds on to it."""

_MOST_REAPED = 1000  # at a time, or processes that come and go without end would hold us up
_PAUSES = (0.001, 0.002, 0.005, 0.01, 0.02)


class ProcessTree:
    """The processes below this one, apart from the spared ones and what is below those.

    Attributes:
        reaped: Called for each child that ended, with its pid, its wait status, and what it
            and those that it waited for used.
        spared: Children that are to live, or that cannot be ended.
    """

    def __init__(self) -> None:
        self.reaped: Reaped = lambda *_: None
        self.spared: set[int] = set()
        self._me = os.getpid()
        self._session = os.getsid(0)

    def started(self, pid: int) -> None:
        """Take note of a child that leads a session of its own."""

    def living(self) -> Iterable[int]:
        """Return all that live now, parents before children, unreaped dead ones among them.

        The children of each are looked for when it has been dealt with.
        """
        found = [pid for pid in os_support.children(self._me) if pid not in self.spared]
        for pid in found:
            yield pid
            found.extend(os_support.children(pid))

    def named(self) -> dict[int, str]:
        """Return all that live now, with what they are called."""
        names = {pid: os_support.name_of(pid) for pid in self.living()}
        return {pid: f"{name} (pid {pid})" for pid, name in names.items() if name}

    def reap(self) -> bool:
        """Wait for those that ended; True where nobody is left to be ended."""
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
        """End all: TERM, the grace, KILL.

        Args:
            grace: Seconds between TERM and KILL; with 0 there is no TERM.
            wait: Waits for some seconds, or shorter; False ends the grace at once.
            first: The signal in the place of TERM.

        Returns:
            Those that could not be ended, with what they are called; they are spared from now on.
        """
        if grace and not self.reap():
            for pid in self.living():
                os_support.kill(pid, first)
                os_support.kill(pid, SIGCONT)
            self._until_gone(time.monotonic() + grace, wait)
        until = time.monotonic() + PATIENCE
        while not self.reap() and time.monotonic() < until:
            self._kill(until)
            self._until_gone(min(until, time.monotonic() + 0.1), wait)
        if self.reap():
            return {}
        left = self.named()
        self.spared.update(os_support.children(self._me))
        return left

    def _until_gone(self, until: float, wait: Callable[[float], bool]) -> None:
        pauses = iter(_PAUSES)
        while not self.reap() and (left := until - time.monotonic()) > 0:
            if not wait(min(left, next(pauses, _PAUSES[-1]))):
                return

    def _kill(self, until: float) -> None:
        """Stop all before killing the first, or a fork bomb fills each gap that is torn."""
        stopped: set[int] = set()
        met = -1
        while met < len(stopped) and time.monotonic() < until:
            met = len(stopped)
            for one in map(self._hunted, self.living()):
                if one not in stopped:
                    os_support.kill(one, SIGSTOP)
                    stopped.add(one)
        for one in stopped:
            os_support.kill(one, SIGKILL)

    def _hunted(self, pid: int) -> int:
        """Return what a signal is sent to that is meant for a process.

        That is its whole group (a negative number) wherever no stranger can be in it: no fork
        comes between, while each of many processes may be gone before it is met. In a session
        that began before, or is ours by now, there are others too.
        """
        try:
            group = 0 if os.getsid(pid) in (self._session, os.getsid(0)) else os.getpgid(pid)
        except OSError:
            return pid
        return -group if group > 1 else pid


def process_tree_of(abilities: SystemFeatures) -> ProcessTree:
    """Return the descendants of this process, found in the way that the system allows."""
    return ProcessTree() if abilities.adopts and abilities.proc else PsProcessTree()


class PsProcessTree(ProcessTree):
    """Descendants found in the table of `ps`."""

    def __init__(self) -> None:
        super().__init__()
        self._leader: int | None = None
        self._known: dict[int, str] = {}
        self._names: dict[int, str] = {}

    def started(self, pid: int) -> None:
        """Take note of a child that leads a session of its own."""
        self._leader = pid
        self._known = {}

    def living(self) -> list[int]:
        """Return all that live now and are known to descend from this process."""
        born, parents = self._table()
        # A number that was seen before may by now belong to a stranger.
        found = [pid for pid in parents if self._known.get(pid) == born[pid] or self._led(pid)]
        family = {self._me, *found}
        while more := [pid for pid in parents if pid not in family and parents[pid] in family]:
            family.update(more)
            found += more
        self._known.update((pid, born[pid]) for pid in found)
        return found

    def named(self) -> dict[int, str]:
        """Return all that live now, with what they are called."""
        return {pid: f"{self._names[pid]} (pid {pid})" for pid in self.living()}

    def reap(self) -> bool:
        """Wait for those that ended; True where nobody is left to be ended."""
        if not super().reap():
            return False
        suspected = any(_lives(pid) for pid in self._known if pid not in self.spared)
        return not ((suspected or self._session_lives()) and self.living())

    def _led(self, pid: int) -> bool:
        """Tell whether a process is in the session of the child that was started."""
        try:
            return self._leader is not None and os.getsid(pid) == self._leader
        except OSError:
            return False

    def _session_lives(self) -> bool:
        return self._leader is not None and _lives(-self._leader)

    def _table(self) -> tuple[dict[int, str], dict[int, int]]:
        """Return when each process was born that is not dead nor spared, and its parent."""
        from subprocess import PIPE, Popen

        ps = Popen(["ps", "-A", "-o", "pid=,ppid=,stat=,lstart=,comm="], stdout=PIPE)
        told, _ = ps.communicate()
        born, parents, self._names = {}, {}, {}
        for line in told.decode("utf-8", "backslashreplace").splitlines():
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
