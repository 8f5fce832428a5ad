"""Descendants where the system does not keep them together: known by what was seen of them.

Without subreapers an orphan becomes a child of the first process. It is found by its session,
or because it was seen as a descendant before; one that left its session and its parent between
two looks is not found.
"""

from __future__ import annotations

import os

from pytest_orchestrator.execution.descendants import Descendants

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_orchestrator.execution.kernel import Abilities


def descendants_by(abilities: Abilities) -> Descendants:
    """Return the descendants of this process, found in the way that the system allows."""
    return Descendants() if abilities.adopts else Seen()


class Seen(Descendants):
    """Descendants found in the table of `ps`."""

    def __init__(self) -> None:
        super().__init__()
        self._leader = 0
        self._known: set[int] = set()
        self._names: dict[int, str] = {}

    def started(self, pid: int) -> None:
        """Take note of a child that leads a session of its own."""
        self._leader = pid
        self._known = {pid}

    def living(self) -> list[int]:
        """Return all that live now and are known to descend from this process."""
        table = {pid: parent for pid, parent, name in self._table() if pid not in self.spared}
        found = [pid for pid in table if pid in self._known or _session(pid) == self._leader]
        family = {self._me, *found}
        while more := [pid for pid in table if pid not in family and table[pid] in family]:
            family.update(more)
            found += more
        self._known.update(found)
        return found

    def named(self) -> dict[int, str]:
        """Return all that live now, with what they are called."""
        return {pid: f"{self._names[pid]} (pid {pid})" for pid in self.living()}

    def reap(self) -> bool:
        """Wait for those that ended; True where nobody is left to be ended."""
        if not super().reap():
            return False
        suspected = any(_lives(pid) for pid in self._known - self.spared)
        return not ((suspected or _lives(-self._leader)) and self.living())

    def _table(self) -> list[tuple[int, int, str]]:
        """Return pid, parent and name of each process that is not dead."""
        from subprocess import PIPE, Popen

        ps = Popen(["ps", "-A", "-o", "pid=,ppid=,stat=,comm="], stdout=PIPE)
        told, _ = ps.communicate()
        rows = [
            line.split(None, 3) for line in told.decode("utf-8", "backslashreplace").splitlines()
        ]
        found = [
            (int(pid), int(parent), name)
            for pid, parent, state, name in rows
            if not state.startswith("Z") and int(pid) not in (self._me, ps.pid)
        ]
        self._names = {pid: os.path.basename(name) for pid, _, name in found}
        return found


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
