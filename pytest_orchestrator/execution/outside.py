"""The end of pytest from outside: the supervisor's half of `guard`."""

from __future__ import annotations

import os
import select
from _signal import SIGKILL, SIGSTOP  # type: ignore[import-not-found]
from marshal import loads

from pytest_orchestrator.execution import kernel
from pytest_orchestrator.execution.moment import MOMENT, Overdue

ENDED = -1.0
"""What stands in the place of the moment once pytest was ended."""

_MOST = 1 << 20
_LOOKS = 10  # within the patience
_TELLS = 1.0  # seconds that a terminal may take nothing


def words(file: int) -> tuple[str, list[str], list[str]]:
    """Return what stands, marshalled, in the file behind the moment.

    That is what people are told, a program that takes note of it, and words for that program.
    """
    told, writer, noted = loads(os.pread(file, _MOST, MOMENT.size))  # noqa: S302
    return told, writer, noted


class Outside:
    """Ends pytest and all below it where a step inside it goes on after its time.

    Args:
        pytest: Its pid.
        file: What `guard.Guard` writes.
        terminal: Where people are told of it.
        patience: Seconds after the moment in the file.

    Attributes:
        pause: Seconds between two looks.
    """

    def __init__(self, pytest: int, file: int, terminal: int, patience: float) -> None:
        self._pytest, self._file, self._terminal = pytest, file, terminal
        self._overdue = Overdue(file, patience, _LOOKS)
        self.pause = self._overdue.pause
        self._argv: list[str] = []

    def ends(self) -> bool:
        """Look whether it is time; end everything where it is."""
        # Who has stopped pytest (Ctrl-Z) does not want it to be ended for that.
        if not self._overdue.is_seen(lambda: kernel.is_stopped(self._pytest)):
            return False
        told, writer, noted = words(self._file)
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
            kernel.kill(pid, SIGSTOP)
            found.extend(one for one in kernel.children(pid) if one != os.getpid())
        os.pwrite(self._file, MOMENT.pack(ENDED), 0)
        self._tell(told)
        for pid in found:
            kernel.kill(pid, SIGKILL)

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
