"""Operating system support: subreaper, pidfd, /proc, signals.

Linux keeps the descendants of a process together (subreaper), lists them (/proc) and tells
when one ends (pidfd). Where one of these is missing the lanes do with less, as the files
that use them say; tests force that by taking the abilities away.
"""

from __future__ import annotations

import os
import sys
from _signal import SIGCONT, SIGKILL  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from resource import struct_rusage

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_READ = 1 << 16

BLOCK = 512
"""Bytes in which getrusage counts what is read and written, whatever the disk."""

KEEPS_IO = os.path.exists("/proc/self/io")
"""The kernel counts that for each process."""


class SystemFeatures:
    """What may be used of the system.

    Attributes:
        proc: /proc tells the children of a process.
        pidfd: A file descriptor tells when a process ends.
        adopts: Orphans become children of this process; set by `adopt_orphans`.
    """

    __slots__ = ("adopts", "pidfd", "proc")

    def __init__(self, *, limited: bool = False) -> None:
        me = os.getpid()
        self.proc = not limited and os.path.exists(f"/proc/{me}/task/{me}/children")
        self.pidfd = not limited and hasattr(os, "pidfd_open")
        self.adopts = not limited and sys.platform == "linux"

    def adopt_orphans(self, name: bytes) -> None:
        """Become the parent of all descendants whose own parents are gone.

        Once its own parent is gone this process is woken, where somebody has stopped it: it would
        not notice otherwise.

        Args:
            name: What this process is called in lists of processes, at most 15 bytes.
        """
        self.adopts = self.adopts and _prctl(_PR_SET_CHILD_SUBREAPER, 1) == 0
        if self.adopts:
            _prctl(_PR_SET_NAME, name)
            _prctl(_PR_SET_PDEATHSIG, SIGCONT)


def end_with_parent() -> None:
    """Let the kernel kill this process once its parent is gone; nothing where it cannot.

    The parent is the thread that started this process. What this process starts itself is not
    ended by it.
    """
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, SIGKILL)


def _prctl(option: int, argument: int | bytes) -> int:
    # ctypes itself costs three milliseconds; this is the part of it that does the work.
    try:
        from _ctypes import call_function, dlopen, dlsym
    except ImportError:  # a Python that was built without libffi
        return -1
    result: int = call_function(dlsym(dlopen(None, 0), "prctl"), (option, argument, 0, 0, 0))  # type: ignore[arg-type]
    return result


def open_pidfd(pid: int) -> int:
    """Return a descriptor that becomes readable when the process ends, -1 where there is none."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1


def contents(path: str, *, pieces: bool = False) -> bytes:
    """Return a file of /proc, empty where the process is gone or a stranger's.

    Args:
        path: The file.
        pieces: The file may be longer than one read gives.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    told = b""
    try:
        told = os.read(fd, _READ)
        while pieces and (piece := os.read(fd, _READ)):
            told += piece
    except OSError:  # the process ended meanwhile
        pass
    finally:
        os.close(fd)
    return told


def children(pid: int) -> list[int]:
    """Return the children of a process, dead ones that nobody waited for among them."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    # Any thread may have forked.
    told = [contents(f"/proc/{pid}/task/{task}/children", pieces=True) for task in tasks]
    return [int(child) for line in told for child in line.split()]


def name_of(pid: int) -> str | None:
    """Return what a process is called; None where it is dead."""
    stat = contents(f"/proc/{pid}/stat")
    at = stat.rfind(b")")
    if at < 0 or stat[at + 2 : at + 3] in b"ZX":
        return None
    return stat[stat.index(b"(") + 1 : at].decode("utf-8", "backslashreplace")


def is_stopped(pid: int) -> bool:
    """Tell whether a process is stopped, as by Ctrl-Z or a debugger."""
    stat = contents(f"/proc/{pid}/stat")
    at = stat.rfind(b")")
    return stat[at + 2 : at + 3] in (b"T", b"t")


def kill(pid: int, number: int) -> None:
    """Send a signal to a process, or to the group of a negative number, where that can be."""
    try:  # noqa: SIM105 - contextlib costs the supervisor a third of its own imports
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def io_of(used: struct_rusage) -> tuple[int, int] | None:
    """Return the bytes read from and written to storage that an account of the kernel holds.

    They are those of /proc/pid/io, whose reading takes as long as a short program does.

    Returns:
        None where the system does not keep them.
    """
    return (used.ru_inblock * BLOCK, used.ru_oublock * BLOCK) if KEEPS_IO else None
