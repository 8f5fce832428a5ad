"""The end of pytest from outside: the supervisor's half of `guard`."""

from __future__ import annotations

import os
import select
import time
from _signal import SIGKILL, SIGSTOP  # type: ignore[import-not-found]
from marshal import loads
from struct import Struct

from pytest_orchestrator.execution import kernel

MOMENT = Struct("d")
"""What the file begins with: a moment of ``time.monotonic``, 0 for none.

Behind it stands, marshalled, what people are told, a program that takes note of it, and words
for that program.
"""

ENDED = -1.0
"""What stands in the place of the moment once pytest was ended."""

_MOST = 1 << 20
_LOOKS = 10  # within the patience
_TELLS = 1.0  # seconds that a terminal may take nothing


def words(file: int) -> tuple[str, list[str], list[str]]:
    """Return what stands in the file behind the moment."""
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
        self.pause = patience / _LOOKS
        self._looked = 0.0
        self._late = 0
        self._argv: list[str] = []

    def ends(self) -> bool:
        """Look whether it is time; end everything where it is."""
        now = time.monotonic()
        if now < self._looked + self.pause:
            return False
        self._looked = now
        (until,) = MOMENT.unpack(os.pread(self._file, MOMENT.size, 0) or bytes(8))
        # Who has stopped pytest (Ctrl-Z) does not want it to be ended for that.
        is_late = 0 < until < now and not kernel.is_stopped(self._pytest)
        self._late = self._late + 1 if is_late else 0
        if self._late <= _LOOKS:
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
        os.close(self._file)
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
