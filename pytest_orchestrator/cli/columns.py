"""The one way to a terminal for all verbs: safe lines, and rows in aligned columns."""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

from pytest_orchestrator.core.text import CONTROLS

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
    from pytest_orchestrator.reports.safe_text import shown

    safe = [[" ".join(shown(word).splitlines()) for word in row] for row in rows]
    most = range(max(map(len, safe), default=0))
    widths = [max(display_width(row[at]) for row in safe if at < len(row)) for at in most]
    for row in safe:
        words = []
        for at, word in enumerate(row):
            room = " " * (widths[at] - display_width(word))
            words.append(f"{room}{word}" if at in right else f"{word}{room}")
        yield "  ".join(words).rstrip()
