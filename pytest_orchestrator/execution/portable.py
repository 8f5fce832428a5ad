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
    return Descendants() if abilities.adopts and abilities.proc else Seen()


class Seen(Descendants):
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
