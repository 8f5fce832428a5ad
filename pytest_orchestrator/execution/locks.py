"""Locks that all processes of this machine respect, each the name of what there is once.

A lock is a file with `flock` on it, so it is free when the last process that has it open is
gone, however that ended. Nobody waits for a lock while holding another: all that somebody
needs are taken at once, or none.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final, Self, TypeAlias

from pytest_orchestrator.execution import lock_owner, lockfile
from pytest_orchestrator.execution.lock_owner import Owner
from pytest_orchestrator.execution.lockfile import LockError

__all__ = ["Held", "LockError", "Owner", "Waiting", "paused", "taken"]

Waiting: TypeAlias = Callable[[str, Owner | None, float], None]
"""Is told a name, who has it as far as that is known, and since how many seconds."""

_SHORTEST: Final = 0.001
_LONGEST: Final = 0.025
_REMINDER: Final = 10.0


class Held:
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
                lockfile.close(self._fds.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def taken(
    names: Iterable[str],
    *,
    run: str,
    step: str,
    folder: str | None = None,
    waiting: Waiting | None = None,
    stop: threading.Event | None = None,
) -> Held | None:
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
    where = folder or lockfile.default_folder()
    locks = [_Lock(name, lockfile.path_of(where, name)) for name in sorted(set(names))]
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
            self.turn = lockfile.locked(f"{self.path}.turn")
        if self.turn is not None and self.fd is None:
            self.fd = lockfile.locked(self.path)
        return self.fd is not None

    def leave(self) -> None:
        """Give up lock and turn."""
        if self.fd is not None:
            lockfile.close(self.fd)
            self.fd = None
        self.pass_turn()

    def pass_turn(self) -> None:
        """Let somebody else be the next."""
        if self.turn is not None:
            lockfile.close(self.turn)
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


def _held(locks: list[_Lock], owner: Owner, waited: float) -> Held:
    locks.sort(key=lambda lock: lock.name)
    fds = []
    for lock in locks:
        if lock.fd is not None:
            lock_owner.write(lock.fd, owner)
            fds.append(lock.fd)
        lock.pass_turn()
    return Held(tuple(lock.name for lock in locks), fds, waited)


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
        owner = lock_owner.of(busy.path)
        now = time.monotonic()
        if (busy.name, owner) != self._told or now - self._when >= _REMINDER:
            self._told, self._when = (busy.name, owner), now
            self._waiting(busy.name, owner, owner.age() if owner else 0.0)
