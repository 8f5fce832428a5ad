"""Lock sets: all-or-nothing acquisition of locks and counted resources.

A lock is a file with `flock` on it, so the kernel releases it when the last process that has the
file open has ended. All locks of a set are acquired together or not at all: no process waits
for one lock of a set while it holds another lock of the set, so processes cannot deadlock.

Each unit of a counted resource has its own lock file. So the count is that of all processes of the
machine, and the units of a dead process are free.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Self, TypeAlias

import msgspec

from pytest_orchestrator.execution.locks import lock_file
from pytest_orchestrator.execution.locks.lock_file import Owner

Waiting: TypeAlias = Callable[[str, Owner | None, float], None]
"""Callback for a wait, with the lock's name, its owner (None: unknown) and the seconds held."""

_SHORTEST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.025
_REMINDER: Final = 10.0


class LockWait(msgspec.Struct, frozen=True, kw_only=True):
    """Wait for a lock, as it is shown to the user.

    Attributes:
        who: Node id of the waiting step, or key of the recipe that waits for its own locks.
        lock: Name of the lock.
        owner: The owner record; None if unknown.
        seconds: Seconds for which the owner has held the lock.
    """

    who: str
    lock: str
    owner: Owner | None
    seconds: float

    def __str__(self) -> str:
        if self.owner is None:
            return f"{self.who} waits for lock '{self.lock}'"
        owner = self.owner
        if owner.free_at:
            left = max(0.0, owner.free_at - time.time())
            return (
                f"{self.who} waits for lock '{self.lock}': what {owner.step} has left on a worker "
                f"may run for {left:.0f} s more ({owner.user}@{owner.host}, run {owner.run})"
            )
        return (
            f"{self.who} waits for lock '{self.lock}': {owner.step} has held it for "
            f"{self.seconds:.0f} s (pid {owner.pid}, {owner.user}@{owner.host}, run {owner.run})"
        )


class LockSet:
    """Set of acquired locks; a process that has received their descriptors holds them too.

    Attributes:
        names: Names of the locks, sorted.
        waited: Seconds that it took to acquire all locks.
    """

    __slots__ = ("_fds", "names", "waited")

    def __init__(self, names: tuple[str, ...], fds: list[int], waited: float) -> None:
        self._fds = fds
        self.names = names
        self.waited = waited

    def filenos(self) -> tuple[int, ...]:
        """Return the file descriptors of the locks, in the order of the names.

        A counted resource has one descriptor for each unit. A process that receives a descriptor
        (`socket.send_fds`, `pass_fds`) holds the lock as well, until it closes the descriptor or
        ends. A fork of this process closes its copies when it starts.
        """
        return tuple(self._fds)

    def take(self, name: str) -> "LockSet":
        """Move one lock of this set to a new set, which is then released on its own.

        Args:
            name: Name of a lock of this set.
        """
        at = self.names.index(name)
        self.names = (*self.names[:at], *self.names[at + 1 :])
        return LockSet((name,), [self._fds.pop(at)], self.waited)

    def release(self) -> None:
        """Release the locks in this process; may be called several times."""
        while self._fds:
            with contextlib.suppress(IndexError):  # another thread releases them as well
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
    """Wait until all locks are free, and acquire all of them together.

    Args:
        names: Names of the locks, any texts; a repeated name is locked once.
        run: Id of the run, for the record of the owner.
        step: Node id of the step or recipe, for the record of the owner.
        folder: Folder of the lock files; default: the one of `default_folder`.
        waiting: Called when the wait begins, when the awaited lock or its owner changes, and every
            ten seconds.
        stop: Ends the wait when it is set.

    Returns:
        The locks; None if `stop` was set before all were free.

    Raises:
        LockError: A lock file cannot be used.
    """
    started = time.monotonic()
    lock_folder = folder or lock_file.default_folder()
    locks = [_Lock(name, lock_file.path_of(lock_folder, name)) for name in sorted(set(names))]
    report = _Report(waiting)
    try:
        if (busy := _acquire_all(locks)) is not None:
            _try_each([lock for lock in locks if lock is not busy])
        while (busy := _acquire_all(locks)) is not None:
            report.of(busy)
            if paused(time.monotonic() - started, stop):
                for lock in locks:
                    lock.release()
                return None
        return _acquired(locks, Owner.here(run, step), time.monotonic() - started)
    except BaseException:
        for lock in locks:
            lock.release()
        raise


class _Lock:
    """A lock that is to be acquired.

    A second lock file, the turn, is acquired first. A waiting process that holds the turn gets
    the lock next, so an owner that acquires a lock repeatedly cannot starve others.
    """

    __slots__ = ("fd", "name", "path", "turn")

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.path = f"{path}.lock"
        self.turn: int | None = None
        self.fd: int | None = None

    def acquire(self) -> bool:
        """Acquire the turn and then the lock, without waiting; return False if one is not free."""
        if self.turn is None:
            self.turn = lock_file.try_lock(f"{self.path}.turn")
        if self.turn is not None and self.fd is None:
            self.fd = lock_file.try_lock(self.path)
        return self.fd is not None

    def release(self) -> None:
        """Release the lock and the turn."""
        if self.fd is not None:
            lock_file.close(self.fd)
            self.fd = None
        self.release_turn()

    def release_turn(self) -> None:
        """Release the turn, so that another process may get the lock next."""
        if self.turn is not None:
            lock_file.close(self.turn)
            self.turn = None


def _acquire_all(locks: list[_Lock]) -> _Lock | None:
    """Acquire all locks and return None, or release them and return one that is not free.

    The returned lock keeps its turn, if it has it. It is moved to the front of the list, so that
    the next call does not touch the other locks until this lock is free.
    """
    for lock in locks:
        if not lock.acquire():
            for other in locks:
                if other is not lock:
                    other.release()
            locks.sort(key=lambda each: (each is not lock, each.name))
            return lock
    return None


def _try_each(locks: list[_Lock]) -> None:
    """Acquire each lock once, if it is free, and release it immediately.

    If the owner of a lock was killed, this starts the waiting time for its remote attempts.
    Otherwise the waiting times for several locks of that owner would follow one another.
    """
    for lock in locks:
        lock.acquire()
        lock.release()


def _acquired(locks: list[_Lock], owner: Owner, waited: float) -> LockSet:
    locks.sort(key=lambda lock: lock.name)
    fds = []
    for lock in locks:
        if lock.fd is not None:
            lock_file.write_owner(lock.fd, owner)
            fds.append(lock.fd)
        lock.release_turn()
    return LockSet(tuple(lock.name for lock in locks), fds, waited)


def paused(waited: float, stop: threading.Event | None) -> bool:
    """Sleep for 1 to 25 ms, depending on the wait so far; return True if `stop` is set."""
    seconds = min(max(waited / 20, _SHORTEST_PAUSE), _LONGEST_PAUSE)
    if stop is not None:
        return stop.wait(seconds)
    time.sleep(seconds)
    return False


class _Report:
    """Calls `waiting` when a wait begins, when the busy lock changes, and every ten seconds."""

    def __init__(self, waiting: Waiting | None) -> None:
        self._waiting = waiting
        self._reported: tuple[str, Owner | None] | None = None
        self._reported_at = 0.0

    def of(self, busy: _Lock) -> None:
        if self._waiting is None:
            return
        owner = lock_file.owner_of(busy.path)
        now = time.monotonic()
        if (busy.name, owner) != self._reported or now - self._reported_at >= _REMINDER:
            self._reported, self._reported_at = (busy.name, owner), now
            self._waiting(busy.name, owner, owner.age() if owner else 0.0)


def acquire_resources(
    wanted: Mapping[str, int],
    total: Mapping[str, int],
    *,
    run: str,
    step: str,
    waiting: Waiting | None = None,
    stop: threading.Event | None = None,
) -> LockSet | None:
    """Wait until enough units of all resources are free, and acquire all of them together.

    Args:
        wanted: Number of units by the name of the resource; at most the total.
        total: Total number of units by the name of the resource.
        run: Id of the run, for the record of the owner.
        step: Node id of the step, for the record of the owner.
        waiting: Called when the wait begins, and every ten seconds.
        stop: Ends the wait when it is set.

    Returns:
        The units; None if `stop` was set before enough were free.

    Raises:
        LockError: The lock file of a unit cannot be used.
    """
    started, reminded = time.monotonic(), 0.0
    folder = lock_file.default_folder()
    while True:
        fds: list[int] = []
        missing = ""
        try:
            for name in sorted(wanted):
                if not _acquire_units(folder, name, wanted[name], total[name], fds):
                    missing = name
                    break
            if not missing:
                owner = Owner.here(run, step)
                for fd in fds:
                    lock_file.write_owner(fd, owner)
                return LockSet(tuple(sorted(wanted)), fds, time.monotonic() - started)
        except BaseException:
            _close_all(fds)
            raise
        _close_all(fds)
        now = time.monotonic()
        if waiting is not None and now - reminded >= _REMINDER:
            reminded = now
            owner_of = lock_file.owner_of(f"{_path(folder, missing, 0)}.lock")
            waiting(f"{missing} (resource)", owner_of, owner_of.age() if owner_of else 0.0)
        if paused(now - started, stop):
            return None


def _acquire_units(folder: str, name: str, wanted: int, total: int, fds: list[int]) -> bool:
    """Append the locks of free units of a resource to ``fds``; return True if they suffice."""
    missing = wanted
    for number in range(total):
        if not missing:
            break
        fd = lock_file.try_lock(f"{_path(folder, name, number)}.lock")
        if fd is not None:
            fds.append(fd)
            missing -= 1
    return not missing


def _path(folder: str, name: str, number: int) -> str:
    # The name of a lock of the user never contains a null character.
    return lock_file.path_of(folder, f"resource {name}\0{number}")


def _close_all(fds: list[int]) -> None:
    while fds:
        lock_file.close(fds.pop())
