"""Pseudo-terminal in which tests run pytest, and the text that a person sees there."""

import errno
import fcntl
import itertools
import os
import pty
import re
import select
import struct
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pyte
from pyte.screens import Char

from tests.plugin.conftest import PYTEST
from tests.plugin.fork_server import ForkServer

_TIMEOUT: Final = 120.0
_MOST_LINES: Final = 4_000
_CHANGES_OUTPUT: Final = re.compile(r"CI|BUILD_NUMBER|COLUMNS|LINES|NO_COLOR|\w+_COLORS?|PYTEST_.*")


class Size(NamedTuple):
    """Size of a terminal, in characters."""

    columns: int
    lines: int

    def __str__(self) -> str:
        """Return the size as in ``80x24``."""
        return f"{self.columns}x{self.lines}"


class Terminal:
    """A pytest process in this working directory, at a controlling terminal of its own.

    Args:
        server: The fork server, which forks the process.
        args: The arguments of pytest.
        size: The size of the terminal.
        environ: Further environment variables of pytest.
    """

    def __init__(
        self,
        server: ForkServer,
        *args: str,
        size: Size,
        environ: dict[str, str] | None = None,
    ) -> None:
        self.size, self.raw = size, b""
        self._end, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size.lines, size.columns, 0, 0))
        env = {name: text for name, text in os.environ.items() if not _CHANGES_OUTPUT.match(name)}
        env |= {"TERM": "xterm-256color", **(environ or {})}
        with os.fdopen(theirs, "wb") as stream:
            streams = {"stdin": stream, "stdout": stream, "stderr": stream}
            argv = [*PYTEST, *args]
            self._process = server.popen(argv, env=env, start_new_session=True, **streams)

    def types(self, text: str) -> None:
        """Type a text at the terminal."""
        os.write(self._end, text.encode())

    def wait_for_file(self, path: Path) -> None:
        """Read the terminal until a file exists."""
        deadline = time.monotonic() + _TIMEOUT
        while not path.exists():
            assert time.monotonic() < deadline, self.raw.decode(errors="replace")
            self._read(0.02)

    def status(self) -> int:
        """Read the terminal until pytest has ended; return its exit status."""
        deadline = time.monotonic() + _TIMEOUT
        while self._process.poll() is None:
            if time.monotonic() > deadline:
                self._process.kill()
            self._read(0.02)
        while self._read(0):
            pass
        os.close(self._end)
        return int(self._process.wait())

    def _read(self, seconds: float) -> bool:
        """Read what pytest has written; return False if it has written nothing."""
        if not select.select([self._end], [], [], seconds)[0]:
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


def rows(raw: str, columns: int) -> Iterator[list[Char]]:
    """Yield the lines of a terminal after some output, also those that have scrolled out.

    Args:
        raw: The output, with its escape sequences.
        columns: The width of the terminal.
    """
    screen = pyte.Screen(columns, _MOST_LINES)
    pyte.Stream(screen).feed(raw)
    last = max((number for number, line in screen.buffer.items() if line), default=-1)
    for number in range(last + 1):
        line = screen.buffer[number]
        yield [line[column] for column in range(columns)]


def plain(row: list[Char]) -> str:
    """Return the text of a line."""
    return "".join(char.data for char in row).rstrip()


def marked(row: list[Char]) -> str:
    """Return the text of a line with its colours as tags, such as ``<bold-red>E</bold-red>``."""
    text = ""
    for look, chars in itertools.groupby(row, _look):
        piece = "".join(char.data for char in chars)
        text += f"<{look}>{piece}</{look}>" if look else piece
    return text.rstrip()


def _look(char: Char) -> str:
    """Return the colours and styles of a character; empty if it has none."""
    looks = [name for name in ("bold", "italics", "underscore", "reverse") if getattr(char, name)]
    looks += [char.fg.replace("brown", "yellow")] if char.fg != "default" else []
    looks += [f"on-{char.bg}"] if char.bg != "default" else []
    return "-".join(looks)
