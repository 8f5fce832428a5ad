"""Pytest at a pseudo-terminal, and the text and colours that a person sees there."""

import itertools
from collections.abc import Iterator
from typing import Final

import pyte
from pyte.screens import Char

from tests.plugin.conftest import PYTEST
from tests.plugin.fork_server import ForkServer
from tests.plugin.terminal import Size, TerminalProcess

_MOST_LINES: Final = 4_000


class Terminal(TerminalProcess):
    """A pytest process in this working directory, at a controlling terminal of its own.

    Args:
        server: The fork server, which forks the process.
        args: The arguments of pytest.
        size: The size of the terminal.
    """

    def __init__(self, server: ForkServer, *args: str, size: Size) -> None:
        super().__init__(server.popen, [*PYTEST, *args], size)


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
