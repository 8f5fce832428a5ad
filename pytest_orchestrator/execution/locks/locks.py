"""Lock sets: all-or-nothing acquisition of locks and counted resources.

A lock is a file with `flock` on it, so it is free when the last process that has it open is
gone, however that ended. Nobody waits for a lock while holding another: all that somebody
needs are taken at once, or none.

Each piece is a lock of its own, so that all processes of the machine count together, and what
a dead process held is free. Nobody waits for pieces while holding others.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Self, TypeAlias

from pytest_orchestrator.execution.locks import lock_file
from pytest_orchestrator.execution.locks.lock_file import Owner

Waiting: TypeAlias = Callable[[str, Owner | None, float], None]
"""Is told a name, who has it as far as that is known, and since how many seconds."""

_SHORTEST: Final = 0.001
_LONGEST: Final = 0.025
_REMINDER: Final = 10.0


class LockSet:
    """Locks that are held until they are released, by whom they were handed to as well.

    Attributes:
        names: What is locked, sorted.
        waited: Seconds until all of it was free.
    """

    __slots__ = ("_fds", "names", "waited")

    def __init__(self, names: tuple[str, ...], fds: list[int], waited: float) -> None:
        self._fds = fds
        self.names = names
        self.waited = waited

    def filenos(self) -> tuple[int, ...]:
        """Return the open files that are the locks, in the order of the names.

        A process that is given one (`socket.send_fds`, `pass_fds`) holds that lock as well,
        until it closes the file or ends. A mere fork of this process does not.
        """
        return tuple(self._fds)

    def release(self) -> None:
        """Let go; whoever was handed a lock keeps it. A second time does nothing."""
        while self._fds:
            with contextlib.suppress(IndexError):  # another thread was quicker
                lock_file.close(self._fds.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def acquire(
    names: Iterable[str],
    *,
    run: str,
    step: str,
    folder: str | None = None,
    waiting: Waiting | None = None,
    stop: threading.Event | None = None,
) -> LockSet | None:
    """Take locks, all at once, and wait until that can be.

    Args:
        names: Any texts; what is locked twice by one step is locked once.
        run: Id of the run, for those who wait for this one.
        step: Node id of the step or recipe, for the same.
        folder: Where locks are; default: as the environment says, else one for all users.
        waiting: Is called when there is a wait, when another lock or owner is waited for,
            and every ten seconds.
        stop: Ends the wait when it is set.

    Returns:
        What is held; None where `stop` was set before.

    Raises:
        LockError: The file of a lock cannot be used.
    """
    begun = time.monotonic()
    where = folder or lock_file.default_folder()
    locks = [_Lock(name, lock_file.path_of(where, name)) for name in sorted(set(names))]
    report = _Report(waiting)
    try:
        if (busy := _busy(locks)) is not None:
            _look_at([lock for lock in locks if lock is not busy])
        while (busy := _busy(locks)) is not None:
            report.of(busy)
            if paused(time.monotonic() - begun, stop):
                for lock in locks:
                    lock.leave()
                return None
        return _held(locks, Owner.here(run, step), time.monotonic() - begun)
    except BaseException:
        for lock in locks:
            lock.leave()
        raise


class _Lock:
    """A lock that is wanted.

    Beside its file is one for the turn: who has the turn is the next to get the lock, so
    that an owner who takes it again and again leaves room for others.
    """

    __slots__ = ("fd", "name", "path", "turn")

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.path = f"{path}.lock"
        self.turn: int | None = None
        self.fd: int | None = None

    def take(self) -> bool:
        """Take the turn and then the lock, without waiting for either."""
        if self.turn is None:
            self.turn = lock_file.locked(f"{self.path}.turn")
        if self.turn is not None and self.fd is None:
            self.fd = lock_file.locked(self.path)
        return self.fd is not None

    def leave(self) -> None:
        """Give up lock and turn."""
        if self.fd is not None:
            lock_file.close(self.fd)
            self.fd = None
        self.pass_turn()

    def pass_turn(self) -> None:
        """Let somebody else be the next."""
        if self.turn is not None:
            lock_file.close(self.turn)
            self.turn = None


def _busy(locks: list[_Lock]) -> _Lock | None:
    """Take all locks, or none of them and return the one that somebody else has.

    Of that one the turn is kept. It comes first the next time: until it is free the others
    are not even touched.
    """
    for lock in locks:
        if not lock.take():
            for other in locks:
                if other is not lock:
                    other.leave()
            locks.sort(key=lambda one: (one is not lock, one.name))
            return lock
    return None


def _look_at(locks: list[_Lock]) -> None:
    """See each once: for what a killed owner has left elsewhere a lock is kept from then on.

    Else several locks of one owner would be waited for one after the other.
    """
    for lock in locks:
        lock.take()
        lock.leave()


def _held(locks: list[_Lock], owner: Owner, waited: float) -> LockSet:
    locks.sort(key=lambda lock: lock.name)
    fds = []
    for lock in locks:
        if lock.fd is not None:
            lock_file.write_owner(lock.fd, owner)
            fds.append(lock.fd)
        lock.pass_turn()
    return LockSet(tuple(lock.name for lock in locks), fds, waited)


def paused(waited: float, stop: threading.Event | None) -> bool:
    """Wait a little, longer where the wait has been long; tell whether to stop."""
    seconds = min(max(waited / 20, _SHORTEST), _LONGEST)
    if stop is not None:
        return stop.wait(seconds)
    time.sleep(seconds)
    return False


class _Report:
    """Tells who is waited for when that is news, and now and then that it still is."""

    def __init__(self, waiting: Waiting | None) -> None:
        self._waiting = waiting
        self._told: tuple[str, Owner | None] | None = None
        self._when = 0.0

    def of(self, busy: _Lock) -> None:
        if self._waiting is None:
            return
        owner = lock_file.owner_of(busy.path)
        now = time.monotonic()
        if (busy.name, owner) != self._told or now - self._when >= _REMINDER:
            self._told, self._when = (busy.name, owner), now
            self._waiting(busy.name, owner, owner.age() if owner else 0.0)


def acquire_resources(
    wanted: Mapping[str, int],
    there: Mapping[str, int],
    *,
    run: str,
    step: str,
    waiting: Waiting | None = None,
    stop: threading.Event | None = None,
) -> LockSet | None:
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
    folder = lock_file.default_folder()
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
                    lock_file.write_owner(fd, owner)
                return LockSet(tuple(sorted(wanted)), fds, time.monotonic() - begun)
        except BaseException:
            _let_go(fds)
            raise
        _let_go(fds)
        now = time.monotonic()
        if waiting is not None and now - reminded >= _REMINDER:
            reminded = now
            owner_of = lock_file.owner_of(f"{_path(folder, lacking, 0)}.lock")
            waiting(f"{lacking} (resource)", owner_of, owner_of.age() if owner_of else 0.0)
        if paused(now - begun, stop):
            return None


def _take(folder: str, name: str, wanted: int, there: int, fds: list[int]) -> bool:
    """Take pieces of one resource that are free; tell whether there were enough."""
    lacking = wanted
    for number in range(there):
        if not lacking:
            break
        fd = lock_file.locked(f"{_path(folder, name, number)}.lock")
        if fd is not None:
            fds.append(fd)
            lacking -= 1
    return not lacking


def _path(folder: str, name: str, number: int) -> str:
    # A lock of the user's never has a name with a null in it.
    return lock_file.path_of(folder, f"resource {name}\0{number}")


def _let_go(fds: list[int]) -> None:
    while fds:
        lock_file.close(fds.pop())
