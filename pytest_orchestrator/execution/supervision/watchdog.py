"""Watchdog on the supervisor's side: shared deadline, heartbeat file, killer of pytest.

A process that is stopped, or whose threads all wait for one, cannot end what it has started. Its
supervisor can, and looks now and then at the moment until which the pulse is good.
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
"""What stands in the place of the moment once pytest was ended."""

_MOST = 1 << 20
_WATCHDOG_LOOKS = 10  # within the patience
_TELLS = 1.0  # seconds that a terminal may take nothing


def watchdog_words(file: int) -> tuple[str, list[str], list[str]]:
    """Return what stands, marshalled, in the file behind the moment.

    That is what people are told, a program that takes note of it, and words for that program.
    """
    told, writer, noted = loads(os.pread(file, _MOST, DEADLINE_CELL.size))  # noqa: S302
    return told, writer, noted


class WatchdogKiller:
    """Ends pytest and all below it where a step inside it goes on after its time.

    Args:
        pytest: Its pid.
        file: What `watchdog.Watchdog` writes.
        terminal: Where people are told of it.
        patience: Seconds after the moment in the file.

    Attributes:
        pause: Seconds between two looks.
    """

    def __init__(self, pytest: int, file: int, terminal: int, patience: float) -> None:
        self._pytest, self._file, self._terminal = pytest, file, terminal
        self._overdue = DeadlineReader(file, patience, _WATCHDOG_LOOKS)
        self.pause = self._overdue.pause
        self._argv: list[str] = []

    def ends(self) -> bool:
        """Look whether it is time; end everything where it is."""
        # Who has stopped pytest (Ctrl-Z) does not want it to be ended for that.
        if not self._overdue.is_seen(lambda: os_support.is_stopped(self._pytest)):
            return False
        told, writer, noted = watchdog_words(self._file)
        self._argv = [*writer, *noted]
        self._end(told)
        return True

    def note(self) -> None:
        """Become the program that takes note of it, where there was something to be ended."""
        if self._argv:
            os.execv(self._argv[0], self._argv)  # noqa: S606

    def close(self) -> None:
        """Look no more."""
        self._overdue.close()
        os.close(self._terminal)

    def _end(self, told: str) -> None:
        """Kill pytest and what is below it: each is stopped before its children are looked for.

        Whoever waits for that end finds all that is told of it.
        """
        found = [self._pytest]
        for pid in found:
            os_support.kill(pid, SIGSTOP)
            found.extend(one for one in os_support.children(pid) if one != os.getpid())
        os.pwrite(self._file, DEADLINE_CELL.pack(ENDED), 0)
        self._tell(told)
        for pid in found:
            os_support.kill(pid, SIGKILL)

    def _tell(self, told: str) -> None:
        """Tell people, unless their terminal or pipe takes nothing: nobody is to live for that."""
        line = f"\n{told}\n".encode(errors="backslashreplace")
        terminal = select.poll()
        terminal.register(self._terminal, select.POLLOUT)
        if terminal.poll(_TELLS * 1000):
            try:
                os.write(self._terminal, line[: select.PIPE_BUF])
            except OSError:  # it is gone
                return


DEADLINE_CELL = Struct("d")
"""What the file begins with: a moment of ``time.monotonic``, 0 for none."""


class DeadlineReader:
    """Whether that moment is past.

    Args:
        file: The descriptor of the file.
        patience: Seconds beyond the moment.
        looks: As many are taken within them. Only what all of these have seen counts: whoever
            stood still together with this process is given his time.

    Attributes:
        pause: Seconds between two looks.
    """

    def __init__(self, file: int, patience: float, looks: int) -> None:
        self.pause = patience / looks
        self._file, self._looks = file, looks
        self._looked = 0.0
        self._late = 0

    def is_seen(self, excused: Callable[[], bool] = lambda: False) -> bool:
        """Look, if it is time for that; tell whether the patience is over.

        Args:
            excused: Tells whether a look does not count.
        """
        now = time.monotonic()
        if now < self._looked + self.pause:
            return False
        self._looked = now
        (until,) = DEADLINE_CELL.unpack(
            os.pread(self._file, DEADLINE_CELL.size, 0) or bytes(DEADLINE_CELL.size)
        )
        self._late = self._late + 1 if 0 < until < now and not excused() else 0
        return self._late > self._looks

    def close(self) -> None:
        """Look no more."""
        os.close(self._file)


HEARTBEAT_GRACE = 5.0
"""Seconds beyond that moment: whoever was frozen together with the supervisor may go on."""
_HEARTBEAT_LOOKS = 5


class HeartbeatFile:
    """Says until when all is well; one is told of it by a file in memory.

    Attributes:
        file: Its descriptor.
    """

    def __init__(self) -> None:
        import mmap

        self.file = _file()
        os.ftruncate(self.file, DEADLINE_CELL.size)
        self._memory = mmap.mmap(self.file, DEADLINE_CELL.size)

    def beat(self, until: float) -> None:
        """Be well until a moment of ``time.monotonic``."""
        DEADLINE_CELL.pack_into(self._memory, 0, until)

    def close(self) -> None:
        """Say nothing any more."""
        self._memory.close()
        os.close(self.file)


def heartbeat_reader(file: int, grace: float) -> DeadlineReader:
    """Return what the supervisor looks at the pulse by.

    Args:
        file: What the pulse writes.
        grace: Seconds beyond its moment.
    """
    return DeadlineReader(file, grace, _HEARTBEAT_LOOKS)


def _file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("pulse")
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
