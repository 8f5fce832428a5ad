"""Status line of running steps."""

import math
import re
from collections.abc import Sequence

import msgspec

from pytest_orchestrator.core.text import cut_to_width, display_width
from pytest_orchestrator.reports import text as report_text

_MIN_OUTPUT = 12
"""Number of columns below which the output of a step is not shown."""
_MIN_NAME = 8
_MOST_IN_LINE = 3


class RunningStep(msgspec.Struct, frozen=True):
    """A running step as the status line shows it.

    Attributes:
        name: Name of the step.
        seconds: Time since it started.
        element: Number of the running element of ``foreach``, from 1; 0 without ``foreach``.
        elements: Number of its elements.
        attempt: Number of the running or next attempt, from 1.
        attempts: Greatest number of attempts; 0 if unknown.
        pause: Seconds until that attempt starts; 0 if it is running.
    """

    name: str
    seconds: float
    element: int = 0
    elements: int = 0
    attempt: int = 1
    attempts: int = 0
    pause: float = 0.0

    def label(self, width: int | None = None) -> str:
        """Return the name with element and attempt: ``ramp [7/500] (attempt 2 of 4)``.

        Args:
            width: Number of columns to which the name is cut; None keeps it whole.
        """
        text = self.name if width is None else cut_to_width(self.name, width)
        text += f" [{self.element:,}/{self.elements:,}]" if self.element else ""
        if self.attempt == 1:
            return text
        total = f" of {self.attempts:,}" if self.attempts else ""
        wait = f" in {clock(math.ceil(self.pause))}" if self.pause else ""
        return f"{text} (attempt {self.attempt:,}{total}{wait})"


def status(
    place: str,
    steps: Sequence[RunningStep],
    memory: int | None,
    printed: str,
    width: int,
) -> str:
    """Return the status line of the running steps for a terminal.

    A part that does not fit is left out: first the output, then the memory, and all steps but the
    first one.

    Args:
        place: Number of the first step, such as ``2/5``.
        steps: The running steps, at least one; the one that has run longest is first.
        memory: Resident memory of all processes of steps in bytes; None if unknown.
        printed: The last line of the output of the first step; may be empty.
        width: Available columns.
    """
    most = max(_MIN_NAME, width * 2 // 5)
    texts = [f"{one.label(most)} {clock(one.seconds)}" for one in steps]
    line = f"[{place}] {texts[0]}"
    for count in range(len(texts), 0, -1):
        more = f" and {len(texts) - count:,} more" if count < len(texts) else ""
        shown = f"[{place}] {', '.join(texts[:count])}{more}"
        if display_width(shown) <= width:
            line = shown
            break
    used = "" if memory is None else f"  {report_text.whole_megabytes(memory)} MB"
    if display_width(line) + len(used) <= width:
        line += used
    room = width - display_width(line) - 4
    if printed and room >= _MIN_OUTPUT:
        line += f'  "{cut_to_width(printed, room)}"'
    return cut_to_width(line, width)


def heartbeat(steps: Sequence[RunningStep], done: int, total: int) -> str:
    """Return the status line of running steps for output that is not a terminal.

    Args:
        steps: The running steps, at least one; the one that has run longest is first.
        done: Number of steps that have ended.
        total: Number of all steps.
    """
    first, *others = steps
    texts = [f"{first.label()} runs for {clock(first.seconds)}"]
    texts += [f"{one.label()} for {clock(one.seconds)}" for one in others[: _MOST_IN_LINE - 1]]
    left = len(steps) - len(texts)
    more = f" and {left:,} more" if left else ""
    return f"orchestrator: {', '.join(texts)}{more} ({done:,} of {total:,} done)"


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
