"""Pseudo-terminal at which tests run pytest; imports only the standard library."""

import errno
import os
import pty
import re
import select
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

_TIMEOUT: Final = 120.0
_CHANGES_OUTPUT: Final = re.compile(
    r"CI|BUILD_NUMBER|COLUMNS|LINES|NO_COLOR|\w+_COLORS?|PYTEST_(?!DEBUG_TEMPROOT).*"
)


class Size(NamedTuple):
    """Size of a terminal, in characters."""

    columns: int
    lines: int

    def __str__(self) -> str:
        """Return the size as in ``80x24``."""
        return f"{self.columns}x{self.lines}"


class TerminalProcess:
    """A process at a terminal of its own.

    Args:
        popen: Starts the process, as `subprocess.Popen` does.
        argv: The command.
        size: The size of the terminal.

    Attributes:
        process: The process.
        raw: The output that has been read, with its escape sequences.
    """

    def __init__(self, popen: Callable[..., Any], argv: Sequence[str], size: Size) -> None:
        self.size, self.raw = size, b""
        self._status: int | None = None
        self._end, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (size.lines, size.columns))
        env = {name: text for name, text in os.environ.items() if not _CHANGES_OUTPUT.match(name)}
        env["TERM"] = "xterm-256color"
        with os.fdopen(theirs, "wb") as stream:
            streams = {"stdin": stream, "stdout": stream, "stderr": stream}
            self.process = popen(argv, env=env, start_new_session=True, **streams)

    def types(self, text: str) -> None:
        """Type a text at the terminal."""
        os.write(self._end, text.encode())

    def wait_for_file(self, path: Path) -> None:
        """Read the terminal until a file exists."""
        deadline = time.monotonic() + _TIMEOUT
        while not path.exists():
            assert time.monotonic() < deadline, self.raw.decode(errors="replace")
            self._read(0.02)

    def wait_for(self, text: re.Pattern[str]) -> None:
        """Read the terminal until the process has written a text."""
        deadline = time.monotonic() + _TIMEOUT
        while not text.search(self.raw.decode(errors="replace")):
            assert time.monotonic() < deadline, self.raw.decode(errors="replace")
            self._read(0.02)

    def status(self) -> int:
        """Read the terminal until the process has ended; return its exit status."""
        if self._status is not None:
            return self._status
        deadline = time.monotonic() + _TIMEOUT
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                self.process.kill()
            self._read(0.02)
        while self._read(0):
            pass
        os.close(self._end)
        self._status = int(self.process.wait())
        return self._status

    def hang_up(self) -> int:
        """Close the terminal, wait until the process has ended, and return its exit status."""
        os.close(self._end)
        self._status = int(self.process.wait(_TIMEOUT))
        return self._status

    def _read(self, seconds: float) -> bool:
        """Read what the process has written; return False if it has written nothing."""
        poll = select.poll()  # the descriptor may be above 1023, the largest of `select.select`
        poll.register(self._end, select.POLLIN)
        if not poll.poll(seconds * 1000):
            return False
        try:
            piece = os.read(self._end, 1 << 16)
        except OSError as error:  # the process has closed the terminal
            if error.errno != errno.EIO:
                raise
            time.sleep(seconds)
            return False
        self.raw += piece
        return bool(piece)
