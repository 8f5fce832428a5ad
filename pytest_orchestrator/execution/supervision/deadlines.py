"""Deadlines that the supervisor watches: of inline steps, and of the heartbeat of pytest.

A process that is stopped, or whose threads are all blocked, cannot end the processes that it
started. Its supervisor can: it reads a deadline from a file at regular intervals and acts when the
deadline has passed.
"""

from __future__ import annotations

import os
import select
import time
from _signal import SIGKILL, SIGSTOP  # type: ignore[import-not-found]
from marshal import loads
from struct import Struct

from pytest_orchestrator.execution.supervision import os_support

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

ENDED = -1.0
"""The value of the deadline cell after the watchdog has ended pytest."""

KILL_SECONDS = 0.6
"""Seconds to wait for the end of a killed process; if it lives longer, the kernel keeps it."""
REPLY_SECONDS = KILL_SECONDS + 0.3
"""Seconds after the grace period until pytest gives up a lane that has not replied.

A lane that cannot kill its program replies after `KILL_SECONDS`. A step whose lane is stuck ends
at most three seconds after its timeout.
"""

_MOST = 1 << 20
_CHECKS = 10  # within a grace period
_TERMINAL_WAIT = 1.0  # seconds


def watchdog_words(file: int) -> tuple[str, list[str], list[str]]:
    """Return the values that the file of a watchdog contains after the deadline.

    Returns:
        The message for the terminal, the program that records the end in the journal, and the
        arguments of that program.
    """
    message, program, arguments = loads(os.pread(file, _MOST, DEADLINE_CELL.size))  # noqa: S302
    return message, program, arguments


class WatchdogKiller:
    """Supervisor's side of the watchdog: ends pytest and its process tree after a deadline.

    Args:
        pytest: The pid of pytest.
        file: The descriptor of the file that `execution.lanes.watchdog.Watchdog` writes.
        terminal: The descriptor to which the message is written.
        patience: The grace period after the deadline, in seconds.

    Attributes:
        pause: Seconds between two checks.
    """

    def __init__(self, pytest: int, file: int, terminal: int, patience: float) -> None:
        self._pytest, self._file, self._terminal = pytest, file, terminal
        self._deadline = DeadlineReader(file, patience)
        self.pause = self._deadline.pause
        self._argv: list[str] = []

    def ends(self) -> bool:
        """Check the deadline; if it has passed, end pytest and return True."""
        # A user who has stopped pytest with Ctrl-Z does not want it to be ended.
        if not self._deadline.has_passed(lambda: os_support.is_stopped(self._pytest)):
            return False
        message, program, arguments = watchdog_words(self._file)
        self._argv = [*program, *arguments]
        self._end(message)
        return True

    def note(self) -> None:
        """If this object has ended pytest, replace this process by the program that records it."""
        if self._argv:
            os.execv(self._argv[0], self._argv)  # noqa: S606

    def close(self) -> None:
        """Close the descriptors of the file and of the terminal."""
        self._deadline.close()
        os.close(self._terminal)

    def _end(self, message: str) -> None:
        """Stop pytest and its process tree, print the message, and kill all these processes.

        The message is written before the kill, so that it exists when pytest has ended.
        """
        found = [self._pytest]
        for pid in found:
            os_support.kill(pid, SIGSTOP)
            found.extend(one for one in os_support.children(pid) if one != os.getpid())
        os.pwrite(self._file, DEADLINE_CELL.pack(ENDED), 0)
        self._print(message)
        for pid in found:
            os_support.kill(pid, SIGKILL)

    def _print(self, message: str) -> None:
        """Print the message; give up if the terminal or pipe does not accept it within a second."""
        line = f"\n{message}\n".encode(errors="backslashreplace")
        terminal = select.poll()
        terminal.register(self._terminal, select.POLLOUT)
        if terminal.poll(_TERMINAL_WAIT * 1000):
            try:
                os.write(self._terminal, line[: select.PIPE_BUF])
            except OSError:  # the terminal is gone
                return


DEADLINE_CELL = Struct("d")
"""Layout of the start of the file: a deadline of ``time.monotonic``, 0 for none."""


class DeadlineReader:
    """Reader of a deadline that another process stores in a file.

    Args:
        file: The descriptor of the file.
        patience: The grace period after the deadline, in seconds. All checks within it must find
            that the deadline has passed: a process that was frozen together with this one then
            has time to renew its deadline.

    Attributes:
        pause: Seconds between two checks.
    """

    def __init__(self, file: int, patience: float) -> None:
        self.pause = patience / _CHECKS
        self._file = file
        self._looked = 0.0
        self._late = 0

    def has_passed(self, excused: Callable[[], bool] = lambda: False) -> bool:
        """Check the deadline if a check is due; return True if its grace period has passed too.

        Args:
            excused: Returns True if a check that finds the deadline passed does not count.
        """
        now = time.monotonic()
        if now < self._looked + self.pause:
            return False
        self._looked = now
        (until,) = DEADLINE_CELL.unpack(
            os.pread(self._file, DEADLINE_CELL.size, 0) or bytes(DEADLINE_CELL.size)
        )
        self._late = self._late + 1 if 0 < until < now and not excused() else 0
        return self._late > _CHECKS

    def close(self) -> None:
        """Close the descriptor of the file."""
        os.close(self._file)


HEARTBEAT_GRACE = 5.0
"""Seconds after the deadline, in which a process that was frozen with the supervisor may resume."""


class HeartbeatFile:
    """File in memory with a deadline that this process must move forward repeatedly.

    `HEARTBEAT_GRACE` seconds after the deadline, the supervisor ends all lanes and itself.

    Attributes:
        file: The descriptor of the file.
    """

    def __init__(self) -> None:
        import mmap

        self.file = deadline_file()
        os.ftruncate(self.file, DEADLINE_CELL.size)
        self._memory = mmap.mmap(self.file, DEADLINE_CELL.size)

    def beat(self, until: float) -> None:
        """Move the deadline to a time of ``time.monotonic``."""
        DEADLINE_CELL.pack_into(self._memory, 0, until)

    def close(self) -> None:
        """Close the file."""
        self._memory.close()
        os.close(self.file)


def deadline_file() -> int:
    """Return the descriptor of a new file without a name, in memory if the system can."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("deadline")
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
