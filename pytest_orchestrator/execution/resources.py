"""Counted resources of this machine: some of what there is several of, and not without end.

Each piece is a lock of its own, so that all processes of the machine count together, and what
a dead process held is free. Nobody waits for pieces while holding others.
"""

import threading
import time
from collections.abc import Mapping
from typing import Final

from pytest_orchestrator.execution import lock_owner, lockfile
from pytest_orchestrator.execution.lock_owner import Owner
from pytest_orchestrator.execution.locks import Held, Waiting, paused

_REMINDER: Final = 10.0


def taken(
    wanted: Mapping[str, int],
    there: Mapping[str, int],
    *,
    run: str,
    step: str,
    waiting: Waiting | None = None,
    stop: threading.Event | None = None,
) -> Held | None:
    """Take as many pieces of each resource as are wanted, and wait until that can be.

    Args:
        wanted: Number of pieces by the name of the resource; never more than there are.
        there: Number of all pieces, likewise.
        run: Id of the run, for those who wait for this one.
        step: Node id of the step, for the same.
        waiting: Is called when there is a wait, and every ten seconds.
        stop: Ends the wait when it is set.

    Returns:
        What is held; None where `stop` was set before.

    Raises:
        LockError: The file of a piece cannot be used.
    """
    begun, reminded = time.monotonic(), 0.0
    folder = lockfile.default_folder()
    while True:
        fds: list[int] = []
        lacking = ""
        try:
            for name in sorted(wanted):
                if not _take(folder, name, wanted[name], there[name], fds):
                    lacking = name
                    break
            if not lacking:
                owner = Owner.here(run, step)
                for fd in fds:
                    lock_owner.write(fd, owner)
                return Held(tuple(sorted(wanted)), fds, time.monotonic() - begun)
        except BaseException:
            _let_go(fds)
            raise
        _let_go(fds)
        now = time.monotonic()
        if waiting is not None and now - reminded >= _REMINDER:
            reminded = now
            owner_of = lock_owner.of(f"{_path(folder, lacking, 0)}.lock")
            waiting(f"{lacking} (resource)", owner_of, owner_of.age() if owner_of else 0.0)
        if paused(now - begun, stop):
            return None


def _take(folder: str, name: str, wanted: int, there: int, fds: list[int]) -> bool:
    """Take pieces of one resource that are free; tell whether there were enough."""
    lacking = wanted
    for number in range(there):
        if not lacking:
            break
        fd = lockfile.locked(f"{_path(folder, name, number)}.lock")
        if fd is not None:
            fds.append(fd)
            lacking -= 1
    return not lacking


def _path(folder: str, name: str, number: int) -> str:
    # A lock of the user's never has a name with a null in it.
    return lockfile.path_of(folder, f"resource {name}\0{number}")


def _let_go(fds: list[int]) -> None:
    while fds:
        lockfile.close(fds.pop())
