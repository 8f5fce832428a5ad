"""Operating system support: subreaper, pidfd, /proc, signals.

Linux keeps the descendants of a process together (subreaper), lists them (/proc) and signals
when one ends (pidfd). If one of these is missing, the lanes work without it; the modules that use
it say what is lost. Tests force that case with ``limited``.
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
"""Unit in bytes of the block counts of getrusage, on every disk."""

KEEPS_IO = os.path.exists("/proc/self/io")
"""True if the kernel counts the storage I/O of each process."""


class SystemFeatures:
    """The features of the operating system that may be used.

    Args:
        limited: True to use none of the features, as on a system that lacks them.

    Attributes:
        proc: True if /proc lists the children of a process.
        pidfd: True if a file descriptor can be opened that becomes readable when a process ends.
        adopts: True if orphans become children of this process; updated by `adopt_orphans`.
    """

    __slots__ = ("adopts", "pidfd", "proc")

    def __init__(self, *, limited: bool = False) -> None:
        me = os.getpid()
        self.proc = not limited and os.path.exists(f"/proc/{me}/task/{me}/children")
        self.pidfd = not limited and hasattr(os, "pidfd_open")
        self.adopts = not limited and sys.platform == "linux"

    def adopt_orphans(self, name: bytes) -> None:
        """Make this process the subreaper of its descendants.

        The kernel then also sends SIGCONT to this process when its parent ends; otherwise a stopped
        process would not notice the end of its parent.

        Args:
            name: The name of this process in process lists, at most 15 bytes.
        """
        self.adopts = self.adopts and _prctl(_PR_SET_CHILD_SUBREAPER, 1) == 0
        if self.adopts:
            _prctl(_PR_SET_NAME, name)
            _prctl(_PR_SET_PDEATHSIG, SIGCONT)


def end_with_parent() -> None:
    """Have Linux kill this process when its parent ends; do nothing on other systems.

    The parent is the thread that started this process. The children of this process do not
    inherit the setting.
    """
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, SIGKILL)


def _prctl(option: int, argument: int | bytes) -> int:
    # Importing ctypes takes three milliseconds; this private module is all that is needed of it.
    try:
        from _ctypes import call_function, dlopen, dlsym
    except ImportError:  # a Python that was built without libffi
        return -1
    result: int = call_function(dlsym(dlopen(None, 0), "prctl"), (option, argument, 0, 0, 0))  # type: ignore[arg-type]
    return result


def open_pidfd(pid: int) -> int:
    """Return a descriptor that becomes readable when a process ends, or -1 without pidfd."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1


def contents(path: str, *, pieces: bool = False) -> bytes:
    """Return the contents of a file in /proc; empty if the file cannot be read.

    Args:
        path: Path of the file.
        pieces: True if the file may be longer than the result of one read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    data = b""
    try:
        data = os.read(fd, _READ)
        while pieces and (piece := os.read(fd, _READ)):
            data += piece
    except OSError:  # the process ended meanwhile
        pass
    finally:
        os.close(fd)
    return data


def children(pid: int) -> list[int]:
    """Return the pids of the children of a process, zombies included."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    # Any thread may have forked.
    lists = [contents(f"/proc/{pid}/task/{task}/children", pieces=True) for task in tasks]
    return [int(child) for line in lists for child in line.split()]


def name_of(pid: int) -> str | None:
    """Return the name of a process; None if it has ended."""
    stat = contents(f"/proc/{pid}/stat")
    at = stat.rfind(b")")
    if at < 0 or stat[at + 2 : at + 3] in b"ZX":
        return None
    return stat[stat.index(b"(") + 1 : at].decode("utf-8", "backslashreplace")


def is_stopped(pid: int) -> bool:
    """Return True if a process is stopped, as by Ctrl-Z or a debugger."""
    stat = contents(f"/proc/{pid}/stat")
    at = stat.rfind(b")")
    return stat[at + 2 : at + 3] in (b"T", b"t")


def kill(pid: int, number: int) -> None:
    """Send a signal to a process, or to a process group if the pid is negative.

    Nothing happens if the process is gone or belongs to another user.
    """
    try:  # noqa: SIM105 - contextlib costs the supervisor a third of its own imports
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def io_of(used: struct_rusage) -> tuple[int, int] | None:
    """Return the bytes read from and written to storage, from the resource usage of `wait4`.

    The numbers equal those in /proc/pid/io, but reading that file takes as long as a short program.

    Returns:
        The two numbers; None if the system does not count them.
    """
    return (used.ru_inblock * BLOCK, used.ru_oublock * BLOCK) if KEEPS_IO else None
