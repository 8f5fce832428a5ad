"""Session of pytest at a pseudo-terminal, as a person sees it and types in it."""

import contextlib
import fcntl
import re
import subprocess
import termios
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.plugin.conftest import PYTEST
from tests.plugin.terminal import Size, TerminalProcess


class Screen(TerminalProcess):
    """A pytest process at a terminal of its own.

    Args:
        popen: Starts the process, as `subprocess.Popen` does.
        args: The arguments of pytest.
        stderr: The file to which the process writes its errors; without one, the terminal.
    """

    def __init__(self, popen: Callable[..., Any], *args: str, stderr: Path | None = None) -> None:
        self._read_to = 0
        with contextlib.ExitStack() as stack:
            streams = {} if stderr is None else {"stderr": stack.enter_context(stderr.open("wb"))}
            super().__init__(
                lambda argv, **options: popen(argv, **options | streams),
                [*PYTEST, *args],
                Size(80, 24),
            )

    @property
    def seen(self) -> str:
        """All text that was shown."""
        return self.raw.decode(errors="replace")

    def reads(self, text: str) -> str:
        """Wait until a text is shown, and return all that was shown since the last call."""
        start = self._read_to
        self.wait_for(re.compile(f"(?s:.{{{start}}}.*?)" + re.escape(text)))
        self._read_to = self.seen.index(text, start) + len(text)
        return self.seen[start : self._read_to]


def at_a_terminal(argv: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
    """Start a new interpreter whose controlling terminal is its standard input."""
    return subprocess.Popen(
        argv,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - one call
        **options,
    )
