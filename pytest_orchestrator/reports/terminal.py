"""The table that stands in the terminal for each recipe that ran."""

import shutil
import unicodedata
from collections.abc import Mapping, Sequence

from pytest_orchestrator.core.values import Json
from pytest_orchestrator.reports import figures

_HEAD = ("step", "state", "seconds", "CPU s", "peak MB", "wrote")
_RIGHT = {2, 3, 4}


def table(blocks: Sequence[Mapping[str, Json]], width: int | None = None) -> list[str]:
    """Return the rows of a table of steps.

    Args:
        blocks: The blocks of the JSON report, in the order they are to be shown.
        width: Columns there are; None asks the terminal.

    Returns:
        Lines, the head first.
    """
    width = width or shutil.get_terminal_size().columns
    rows = [_HEAD, *(_row(block) for block in blocks)]
    widths = [max(_columns(row[column]) for row in rows) for column in range(len(_HEAD) - 1)]
    return [_line(row, widths, width) for row in rows]


def verdict(blocks: Sequence[Mapping[str, Json]]) -> str:
    """Return the word for a whole recipe: failed, passed or skipped.

    One with a blocked step has failed, but for a step that an expected failure blocks.
    """
    states = {_at(block, "step", "state") for block in blocks}
    if states & {"failed", "error"}:
        return "failed"
    expected = {
        _at(one, "step", "name") for one in blocks if _at(one, "step", "state") == "xfailed"
    }
    blocked = [one for one in blocks if _at(one, "step", "state") == "blocked"]
    if any(_at(one, "step", "blocked_by") not in expected for one in blocked):
        return "failed"
    return "passed" if "passed" in states else "skipped"


def _row(block: Mapping[str, Json]) -> tuple[str, ...]:
    resources = block.get("resources")
    used = resources if isinstance(resources, dict) else {}
    cpu = figures.added(used.get("cpu_user_seconds"), used.get("cpu_system_seconds"))
    return (
        str(_at(block, "step", "name")),
        _state(block),
        figures.seconds(used.get("seconds")),
        figures.seconds(cpu),
        figures.megabytes(used.get("max_rss")),
        _written(block),
    )


def _state(block: Mapping[str, Json]) -> str:
    """Return the state of a step, with the number of its tries where there were several."""
    state, tries = str(_at(block, "step", "state")), _at(block, "step", "attempt")
    return f"{state} ({tries})" if isinstance(tries, int) and tries > 1 else state


def _written(block: Mapping[str, Json]) -> str:
    writes = _at(block, "context", "writes")
    keys = (
        [write["key"] for write in writes if isinstance(write, dict)]
        if isinstance(writes, list)
        else []
    )
    return ", ".join(dict.fromkeys(map(str, keys))) or "-"


def _line(row: tuple[str, ...], widths: Sequence[int], width: int) -> str:
    cells = [
        _padded(cell, size, right=column in _RIGHT)
        for column, (cell, size) in enumerate(zip(row, widths, strict=False))
    ]
    return _cut(" " + "  ".join([*cells, row[-1]]), width)


def _padded(text: str, size: int, *, right: bool) -> str:
    space = " " * (size - _columns(text))
    return space + text if right else text + space


def _cut(text: str, width: int) -> str:
    if _columns(text) <= width:
        return text.rstrip()
    while _columns(text) > width - 1:
        text = text[:-1]
    return text.rstrip() + "…"


def _columns(text: str) -> int:
    """Count the columns of a terminal that a text takes; wide characters take two."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def _at(block: Mapping[str, Json], *path: str) -> Json:
    found: Json = dict(block)
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found
