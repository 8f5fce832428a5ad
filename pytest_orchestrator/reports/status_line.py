"""One line that tells what runs now: for a terminal, and for a file that is read later."""

import re

from pytest_orchestrator.core.text import cut_to_width, display_width
from pytest_orchestrator.reports import figures

_FEWEST = 12
"""Columns below which what a step printed is not worth a place."""


def status(
    place: str, name: str, seconds: float, memory: int | None, printed: str, width: int
) -> str:
    """Return the line for a terminal.

    Args:
        place: Which step it is, such as ``2/5``.
        name: Its name.
        seconds: How long it has run.
        memory: Bytes that its processes have in memory; None where that is not known.
        printed: The last line that it printed; may be empty.
        width: Columns that there are.
    """
    line = f"[{place}] {name} {clock(seconds)}"
    if memory is not None:
        line += f"  {figures.whole_megabytes(memory)} MB"
    room = width - display_width(line) - 4
    if printed and room >= _FEWEST:
        line += f'  "{cut_to_width(printed, room)}"'
    return cut_to_width(line, width)


def heartbeat(name: str, seconds: float, done: int, total: int) -> str:
    """Return the line for a file."""
    return f"orchestrator: {name} runs for {clock(seconds)} ({done} of {total} done)"


def clock(seconds: float) -> str:
    """Return a duration as a clock shows it: ``00:03``, ``1:02:03``."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute:02}:{second:02}"


def last_line(tail: bytes) -> str:
    """Return the last line of some output that says anything, as it may be shown.

    What moves a cursor is escaped; of a line that is rewritten in place the newest words count.
    """
    text = tail.decode("utf-8", "backslashreplace")
    lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()]
    if not lines:
        return ""
    line = " ".join(lines[-1].split())
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)
