"""Status line of a running step."""

import re

from pytest_orchestrator.core.text import cut_to_width, display_width
from pytest_orchestrator.reports import text as report_text

_MIN_OUTPUT = 12
"""Number of columns below which the output of a step is not shown."""


def status(
    place: str, name: str, seconds: float, memory: int | None, printed: str, width: int
) -> str:
    """Return the status line of a running step for a terminal.

    Args:
        place: Number of the step, such as ``2/5``.
        name: Name of the step.
        seconds: Time since it started.
        memory: Resident memory of its processes in bytes; None if unknown.
        printed: The last line of its output; may be empty.
        width: Available columns.
    """
    line = f"[{place}] {name} {clock(seconds)}"
    if memory is not None:
        line += f"  {report_text.whole_megabytes(memory)} MB"
    room = width - display_width(line) - 4
    if printed and room >= _MIN_OUTPUT:
        line += f'  "{cut_to_width(printed, room)}"'
    return cut_to_width(line, width)


def heartbeat(name: str, seconds: float, done: int, total: int) -> str:
    """Return the status line of a running step for output that is not a terminal."""
    return f"orchestrator: {name} runs for {clock(seconds)} ({done} of {total} done)"


def clock(seconds: float) -> str:
    """Return a duration in the format of a clock: ``00:03``, ``1:02:03``."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute:02}:{second:02}"


def last_line(tail: bytes) -> str:
    """Return the last non-blank line of some output, with control characters escaped.

    Of a line that is rewritten in place, such as a progress bar, the newest text is returned.
    """
    text = tail.decode("utf-8", "backslashreplace")
    lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()]
    if not lines:
        return ""
    line = " ".join(lines[-1].split())
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)
