"""Terminal table of a recipe, and the status line."""

import re
import shutil
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.text import cut_to_width, display_width
from pytest_orchestrator.reports import text as report_text
from pytest_orchestrator.reports.critical_path import critical_path, parallel

_HEAD = ("step", "state", "seconds", "CPU s", "peak MB", "wrote")
_RIGHT = {2, 3, 4}
_NARROWEST = 8
_COLOURS = {
    "passed": "green",
    "failed": "red",
    "error": "red",
    "blocked": "yellow",
    "skipped": "yellow",
    "xfailed": "yellow",
    "xpassed": "yellow",
    "interrupted": "red",
    "not run": "yellow",
}
_EXCUSED = frozenset({"xfailed", "interrupted", "not run"})


class Row(NamedTuple):
    """A line of the table in three parts, of which the middle one may be coloured.

    Attributes:
        before: What stands before the state.
        word: The state.
        after: What stands behind it.
    """

    before: str
    word: str = ""
    after: str = ""

    @property
    def text(self) -> str:
        """The whole line."""
        return self.before + self.word + self.after

    @property
    def colour(self) -> str:
        """The name of the colour of the state."""
        return _COLOURS.get(self.word.partition(" (")[0], "")


def table(blocks: Sequence[Mapping[str, Json]], width: int | None = None) -> list[Row]:
    """Return the rows of a table of steps.

    Args:
        blocks: The blocks of the JSON report, in the order they are to be shown.
        width: Columns there are; None asks the terminal.

    Returns:
        Lines, the head first; ``||`` marks steps that ran while others did.
    """
    width = width or shutil.get_terminal_size().columns
    beside = parallel(blocks)
    rows = [_HEAD, *(_row(block) for block in blocks)]
    widths = [max(display_width(row[column]) for row in rows) for column in range(len(_HEAD) - 1)]
    gap = 4 if beside else 2
    widths[0] = min(widths[0], max(_NARROWEST, width - widths[1] - widths[2] - gap - 4))
    marked = [" || " if row[0] in beside else " " * gap for row in rows]
    return [_line(row, mark, widths, width) for row, mark in zip(rows, marked, strict=True)]


def not_run_line(blocks: Sequence[Mapping[str, Json]], width: int) -> str:
    """Return the line of a recipe of which no step ran: its number of steps, and the reason.

    Args:
        blocks: The blocks of its steps.
        width: Columns of the terminal.
    """
    why = str(_at(blocks[0], "step", "reason")).partition("\n")[0]
    return cut_to_width(f" {_count(len(blocks), 'step')} not run: {why}", width)


def closing(blocks: Sequence[Mapping[str, Json]], folder: str, width: int) -> list[str]:
    """Return the lines below a table: the critical path, the Context, the folder of the run.

    Args:
        blocks: The blocks of all steps of one run of a recipe.
        folder: Path of the folder of the run, as it is told.
        width: Columns there are.
    """
    lines = []
    path = critical_path(blocks)
    if path is not None and len(path.names) > 1 and parallel(blocks):
        took = f": {report_text.duration(path.seconds)} of {report_text.duration(path.whole)}"
        head = "critical path "
        lines.append(head + _chain(path.names, width - len(head) - len(took)) + took)
    writes = [write for block in blocks for write in _writes(block)]
    keys = len({str(write["key"]) for write in writes})
    last = [f"context {_count(keys, 'key')}, {_count(len(writes), 'write')}"] if writes else []
    last.append(f"run {folder}")
    whole = "   ".join(last)
    return [*lines, whole] if display_width(whole) <= width else [*lines, *last]


def verdict(blocks: Sequence[Mapping[str, Json]]) -> str:
    """Return the word for a whole recipe: failed, interrupted, not run, passed or skipped.

    A recipe with a blocked step has failed, unless an xfailed, interrupted or not run step blocks
    it.
    """
    states = {_at(block, "step", "state") for block in blocks}
    if states & {"failed", "error"}:
        return "failed"
    excused = {_at(one, "step", "name") for one in blocks if _at(one, "step", "state") in _EXCUSED}
    blocked = [one for one in blocks if _at(one, "step", "state") == "blocked"]
    if any(_at(one, "step", "blocked_by") not in excused for one in blocked):
        return "failed"
    if states == {"not run"}:
        return "not run"
    if states & {"interrupted", "not run"}:
        return "interrupted"
    return "passed" if states & {"passed", "restored"} else "skipped"


def _row(block: Mapping[str, Json]) -> tuple[str, ...]:
    resources = block.get("resources")
    used = resources if isinstance(resources, dict) else {}
    cpu = report_text.added(used.get("cpu_user_seconds"), used.get("cpu_system_seconds"))
    return (
        str(_at(block, "step", "name")),
        _state(block),
        report_text.seconds(used.get("seconds")),
        report_text.seconds(cpu),
        report_text.peak_megabytes(used),
        _written(block),
    )


def _state(block: Mapping[str, Json]) -> str:
    """Return the state of a step, with its numbers of attempts and reruns in parentheses."""
    attempts, reruns = _at(block, "step", "attempt"), _at(block, "step", "reruns")
    counts = [str(attempts)] if isinstance(attempts, int) and attempts > 1 else []
    counts += [report_text.rerun(reruns)] if isinstance(reruns, int) else []
    state = str(_at(block, "step", "state"))
    return f"{state} ({', '.join(counts)})" if counts else state


def _written(block: Mapping[str, Json]) -> str:
    keys = (str(write["key"]) for write in _writes(block))
    return ", ".join(dict.fromkeys(keys)) or "-"


def _writes(block: Mapping[str, Json]) -> list[dict[str, Json]]:
    writes = _at(block, "context", "writes")
    found = writes if isinstance(writes, list) else []
    return [write for write in found if isinstance(write, dict)]


def _line(row: tuple[str, ...], mark: str, widths: Sequence[int], width: int) -> Row:
    cells = [
        _padded(cut_to_width(cell, size), size, right=column in _RIGHT)
        for column, (cell, size) in enumerate(zip(row, widths, strict=False))
    ]
    before, word = f" {cells[0]}{mark}", cells[1].rstrip()
    room = width - display_width(before + word)
    if room < 1:
        return Row(cut_to_width(before + word, width))
    rest = cells[1][len(word) :] + "  " + "  ".join([*cells[2:], row[-1]])
    return Row(before, word, cut_to_width(rest, room))


def _chain(names: Sequence[str], room: int) -> str:
    """Return the names of a chain; where they are too many, the first and the last of them."""
    for left in range(len(names), 1, -1):
        head, tail = names[: (left + 1) // 2], names[len(names) - left // 2 :]
        gap = [] if left == len(names) else [f"… {len(names) - left} more …"]
        told = " > ".join([*head, *gap, *tail])
        if len(told) <= room:
            return told
    return f"{names[0]} > … > {names[-1]}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("s" if number != 1 else "")


def _padded(text: str, size: int, *, right: bool) -> str:
    space = " " * (size - display_width(text))
    return space + text if right else text + space


def _at(block: Mapping[str, Json], *path: str) -> Json:
    found: Json = dict(block)
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


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
        line += f"  {report_text.whole_megabytes(memory)} MB"
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
