"""Text formatting for reports: figures, states, tables, safe display."""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pytest_orchestrator.core.text import CONTROLS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_orchestrator.core.json_values import Json

_PLAIN: Final = re.compile(r"[\t\n\x20-\x7e]*")
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_SMALL: Final = 400
_DENSE: Final = 1.7
_HEAVY: Final = re.compile(r"[^\t\n\x20\x21\x23-\x25\x28-\x3b\x3d\x3f-\x7e]")


class Tail(NamedTuple):
    """The end of a file.

    Attributes:
        text: What of it is shown.
        size: Bytes that the file has.
        is_whole: It is all of the file.
    """

    text: str
    size: int
    is_whole: bool


def shown(text: str) -> str:
    """Return a text with control characters escaped, and without colours of a terminal."""
    from pytest_orchestrator.core.text import in_utf8

    if _PLAIN.fullmatch(text):
        return text
    text = _COLOURS.sub("", text).replace("\r\n", "\n").translate(CONTROLS)
    return in_utf8(text)


def cut(text: str, most: int) -> str:
    """Return a text as `shown` does, its end left out where it takes too much of a page."""
    if len(text) <= most and (most < _SMALL or _weight(text) <= _DENSE * most):
        return shown(text)
    text = text[: most - 1]
    if most >= _SMALL and _weight(text) > _DENSE * most:
        text = text[: most // 4]
    return f"{shown(text)}…"


def told(value: Any, most: int) -> str:
    """Return a value as JSON, not longer than a number of characters; text stays as it is.

    A value that is huge is not written out to be thrown away.
    """
    if isinstance(value, str):
        return cut(value, most)
    pieces, size = [], 0
    for piece in _ENCODER.iterencode(value):
        pieces.append(piece)
        size += len(piece)
        if size > most:
            break
    return cut("".join(pieces), most)


def tail(path: "str | Path", most: int) -> Tail | None:
    """Return the end of a file; None where it cannot be read.

    Args:
        path: The file.
        most: Bytes of a page that it may take; characters that a page escapes take more.
    """
    import os

    from pytest_orchestrator.core.files import READ

    try:
        fd = os.open(path, READ)
    except OSError:
        return None
    try:
        # Once or twice in each step of a run: a file of Python's asks the system eight times.
        size = os.fstat(fd).st_size
        if size > most:
            os.lseek(fd, size - most, os.SEEK_SET)
        raw = os.read(fd, most)
    except OSError:
        return None
    finally:
        os.close(fd)
    is_whole = len(raw) == size
    text = shown(raw.decode("utf-8", "backslashreplace" if is_whole else "replace"))
    if _weight(text) > _DENSE * most:
        text, is_whole = text[-most // 4 :], False
    if not is_whole and (start := text.find("\n")) != -1:
        text = text[start + 1 :]
    return Tail(text, size, is_whole)


def _weight(text: str) -> int:
    """Return some bytes that a text takes of a page, where what it would obey is escaped."""
    return len(text) + 4 * len(_HEAVY.findall(text))


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False)

_MEGA = 1_000_000


def seconds(value: "Json") -> str:
    """Return seconds with two decimals, or a dash where there is no figure."""
    return f"{value:.2f}" if isinstance(value, (int, float)) else "-"


def duration(value: float) -> str:
    """Return seconds with their unit, as many digits as say something."""
    return f"{value:.1f} s" if value >= 10 else f"{value:.2f} s"


def rerun(times: int) -> str:
    """Return the number of reruns of a step by a pytest plugin, as text after its state."""
    return "rerun" if times == 1 else f"rerun {times} times"


def megabytes(value: "Json") -> str:
    """Return bytes as MB with one decimal, or a dash where there is no figure."""
    return f"{value / _MEGA:.1f}" if isinstance(value, (int, float)) else "-"


def peak_megabytes(used: "Mapping[str, Json]", name: str = "max_rss") -> str:
    """Return a memory peak in MB, with ``≤`` before one that is only an upper bound.

    Args:
        used: The ``resources`` of a block.
        name: Name of the figure in them.
    """
    from pytest_orchestrator.core.result import is_memory_bound

    peak = megabytes(used.get(name))
    return f"≤ {peak}" if name in used and is_memory_bound(used.get("source")) else peak


def added(*values: "Json") -> float | None:
    """Return the sum of the figures that are there, None where there is none."""
    numbers = [value for value in values if isinstance(value, (int, float))]
    return sum(numbers) if numbers else None


def whole_megabytes(value: int) -> str:
    """Return bytes as whole MB."""
    return f"{value / _MEGA:.0f}"


SIGNS: Final = {
    "passed": "✔",
    "failed": "✘",
    "error": "✘",
    "skipped": "○",
    "blocked": "⊘",
    "xfailed": "✔",
    "xpassed": "✔",
    "restored": "↺",
    "interrupted": "!",
    "running": "▶",
    "retrying": "↻",
    "locked": "◔",
    "waiting": "·",
    "not run": "□",
    "not selected": "·",
    "damaged": "!",
}

_LOOKS: Final = {
    "error": "failed",
    "xfailed": "passed",
    "xpassed": "passed",
    "restored": "passed",
    "damaged": "failed",
    "interrupted": "failed",
    "retrying": "running",
    "locked": "running",
}

_WORST: Final = ("failed", "running", "blocked", "skipped", "waiting", "passed")


def sign(state: str) -> str:
    """Return the sign of a state."""
    return SIGNS.get(state, "·")


def look(state: str) -> str:
    """Return which of six looks a state has: passed, failed, skipped, blocked, running, waiting."""
    found = _LOOKS.get(state, state)
    return found if found in _WORST else "waiting"


_LISTS: Final = ("needs", "after", "tags")
_FLAGS: Final = {"final": "in finally", "background": "a service"}


def worker(where: "Mapping[str, str]") -> str:
    """Return the worker that ran a step and its machine; empty where it ran beside pytest.

    Args:
        where: What the block of the step tells of it.
    """
    return cut(f"worker {where['worker']} of {where['host']}", 200) if where else ""


def line(about: "Mapping[str, Any]", recipe: str, where: str = "") -> str:
    """Return what a step is, where it stands, what it waits for, its tags, and where it ran.

    Args:
        about: What the recipe says of it, as the block of the step tells it.
        recipe: The key of the recipe.
        where: The worker that ran it; empty where it ran beside pytest.
    """
    place = f" at {cut(recipe, 200)}:{about['line']}" if "line" in about else ""
    lists = (f", {name} {cut(', '.join(about[name]), 300)}" for name in _LISTS if about.get(name))
    flags = (f", {word}" for name, word in _FLAGS.items() if about.get(name))
    ran = f", ran on {where}" if where else ""
    return "".join((about.get("type") or "step", place, *lists, *flags, ran))


IN_A_LINE: Final = CONTROLS | {10: "\\n"}
"""A table for `str.translate`: ends of lines are escaped too."""
_IN_JSON: Final = {code: f"\\u{code:04x}" for code in CONTROLS if code >= 32}
"""JSON itself escapes the others."""


def say(*lines: str, err: bool = False) -> None:
    """Print lines; nothing in one moves the cursor of a terminal or begins another line.

    Args:
        lines: Each is printed as one line, whatever it holds.
        err: Print them to stderr.
    """
    file = sys.stderr if err else sys.stdout
    for line in lines:
        print(line.translate(IN_A_LINE), file=file, flush=err)  # the one place


def say_json(value: Any, indent: int | None = 2) -> None:
    """Print a value as JSON, on one line where there is no indent; it reads back as it is.

    Args:
        value: The value.
        indent: As `json.dumps` has it.
    """
    if indent is None:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    else:
        text = json.dumps(value, indent=indent)
    print(text.translate(_IN_JSON))  # noqa: T201  # the one place


def say_value(text: str) -> None:
    """Print a text of the user as it is, for a program that reads it; at a terminal as `say` does.

    Args:
        text: The text, of one line or more.
    """
    if sys.stdout.isatty():
        say(*text.split("\n"))
    else:
        print(text)  # noqa: T201  # the one place


_NONE: frozenset[int] = frozenset()


def aligned(rows: Sequence[Sequence[str]], right: frozenset[int] = _NONE) -> Iterator[str]:
    """Give the lines of a table; nothing in the words moves the cursor of a terminal.

    Args:
        rows: The words of each line.
        right: Columns, from 0, that are numbers.
    """
    from pytest_orchestrator.core.text import display_width

    safe = [[" ".join(shown(word).splitlines()) for word in row] for row in rows]
    most = range(max(map(len, safe), default=0))
    widths = [max(display_width(row[at]) for row in safe if at < len(row)) for at in most]
    for row in safe:
        words = []
        for at, word in enumerate(row):
            room = " " * (widths[at] - display_width(word))
            words.append(f"{room}{word}" if at in right else f"{word}{room}")
        yield "  ".join(words).rstrip()
