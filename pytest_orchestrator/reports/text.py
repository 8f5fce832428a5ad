"""Text formatting for reports: figures, states, safe display."""

import json
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pytest_orchestrator.core.text import (
    CONTROLS,
    display_width,
    lazy_pattern,
    overwritten,
    without_colours,
)
from pytest_orchestrator.runs.verdicts import STATES, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_orchestrator.core.json_values import Json

_PLAIN: Final = lazy_pattern(r"[\t\n\x20-\x7e]*")
_COLOUR: Final = lazy_pattern(r"(\x1b\[[0-9;]*m)")
_EXACT_BELOW: Final = 400
"""Characters below which `cut` never counts escapes: so short a text enlarges no page."""
_MAX_DENSITY: Final = 1.7
"""Characters on a page for each of a text; binary output, all escapes, is cut to a quarter."""
_LEAST: Final = 2_000
"""Bytes from which on a page has room for the beginning of a file beside its end."""
_ESCAPED: Final = lazy_pattern(r"[^\t\n\x20\x21\x23-\x25\x28-\x3b\x3d\x3f-\x7e]")


class Tail(NamedTuple):
    """The end of a file.

    Attributes:
        text: The text, made safe by `shown_with_colours`; of a line that carriage returns
            overwrite, its last state.
        size: Size of the file in bytes.
        is_whole: True if the text is the whole file.
        head: The first lines of a file of which the text is not the whole; may be empty.
    """

    text: str
    size: int
    is_whole: bool
    head: str = ""


def shown(text: str) -> str:
    """Return a text with control characters escaped and terminal colours removed."""
    if text.isprintable() or _PLAIN.fullmatch(text):
        return text
    from pytest_orchestrator.core.text import escape_surrogates

    text = without_colours(text).replace("\r\n", "\n").translate(CONTROLS)
    return escape_surrogates(text)


def safe(value: "Json") -> "Json":
    """Return a JSON value whose texts and keys are safe to show."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, dict):
        return {shown(key): safe(one) for key, one in value.items()}
    return [safe(one) for one in value] if isinstance(value, list) else value


def shown_with_colours(text: str) -> str:
    """Return a text as `shown` does, but with the SGR sequences of a terminal kept."""
    if "\x1b" not in text:
        return shown(text)
    pieces = _COLOUR.split(text)
    return "".join(piece if at % 2 else shown(piece) for at, piece in enumerate(pieces))


def cut(text: str, most: int) -> str:
    """Cut a text to `most` characters, or fewer if many need escapes; return it as `shown` does."""
    if len(text) <= most and (most < _EXACT_BELOW or _weight(text) <= _MAX_DENSITY * most):
        return shown(text)
    text = text[: most - 1]
    if most >= _EXACT_BELOW and _weight(text) > _MAX_DENSITY * most:
        text = text[: most // 4]
    return f"{shown(text)}…"


def json_text(value: Any, most: int) -> str:
    """Return a value as JSON, shortened by `cut`; a text is not quoted.

    Encoding stops at the limit, so a huge value costs no more than a short one.
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
    """Return the end of a file, and the beginning of a long one; None if it cannot be read.

    Args:
        path: The file.
        most: Maximum size on the page, in bytes; an escaped character counts as several. A quarter
            of it is for the beginning, if it is enough for some lines.
    """
    import os

    from pytest_orchestrator.core.files import READ

    try:
        fd = os.open(path, READ)
    except OSError:
        return None
    begin = b""
    try:
        # Called up to three times for each step; a Python file object makes eight system calls.
        size = os.fstat(fd).st_size
        if size > most:
            if most >= _LEAST:
                begin = os.read(fd, most // 4)
                most -= len(begin)
            os.lseek(fd, size - most, os.SEEK_SET)
        raw = os.read(fd, most)
    except OSError:
        return None
    finally:
        os.close(fd)
    is_whole = len(raw) == size
    text, is_dense = _page_text(raw, most, is_whole=is_whole)
    if is_dense:
        text, is_whole = text[-most // 4 :], False
    if not is_whole and (start := text.find("\n")) != -1:
        text = text[start + 1 :]
    head, is_dense = _page_text(begin, len(begin), is_whole=False)
    if is_dense:
        head = head[: len(begin) // 4]
    return Tail(text, size, is_whole, head[: head.rfind("\n") + 1])


def _page_text(raw: bytes, most: int, *, is_whole: bool) -> tuple[str, bool]:
    """Return a part of a file as text, and True if it takes far more than `most` bytes."""
    text = raw.decode("utf-8", "backslashreplace" if is_whole else "replace")
    text = shown_with_colours(overwritten(text))
    return text, _weight(text) > _MAX_DENSITY * most


def _weight(text: str) -> int:
    """Return the approximate number of bytes that an escaped text takes on a page."""
    return len(text) + 4 * len(_ESCAPED.findall(text))


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False)

_MEGA = 1_000_000


def seconds(value: "Json") -> str:
    """Return a number of seconds with two decimals, or a dash if the figure is missing."""
    return f"{value:.2f}" if isinstance(value, (int, float)) else "-"


def size(value: int) -> str:
    """Return a number of bytes with its unit, such as ``127 bytes``, ``16 kB`` or ``30.0 MB``."""
    if value < 1_000:
        return f"{value} byte" + ("s" if value != 1 else "")
    return f"{value / 1_000:.0f} kB" if value < 999_500 else f"{value / _MEGA:,.1f} MB"


def on_point(text: str, decimals: int) -> str:
    """Return a number with the room of its missing decimals, in spaces as wide as they are.

    Args:
        text: The number; an empty text stays empty.
        decimals: The decimals that the column keeps room for.
    """
    _, point, fraction = text.partition(".")
    space = "" if point or not decimals else "\u2008"
    return text and text + space + "\u2007" * (decimals - len(fraction))


def rerun(times: int) -> str:
    """Return the note, shown after a state, that another pytest plugin has rerun the step."""
    return "rerun" if times == 1 else f"rerun {times} times"


def megabytes(value: "Json") -> str:
    """Return a number of bytes as MB with one decimal, or a dash if the figure is missing."""
    return f"{value / _MEGA:.1f}" if isinstance(value, (int, float)) else "-"


def peak_megabytes(used: "Mapping[str, Json]", name: str = "max_rss") -> str:
    """Return a memory peak in MB, with ``≤`` before it if it is only an upper bound.

    Args:
        used: The ``resources`` of a block.
        name: Name of the figure.
    """
    if name not in used:
        return "-"
    from pytest_orchestrator.core.result import is_memory_bound

    figure = megabytes(used[name])
    return f"≤ {figure}" if is_memory_bound(used.get("source")) else figure


def added(*values: object) -> float | None:
    """Return the sum of all values that are numbers; None if no value is a number."""
    numbers = [value for value in values if isinstance(value, (int, float))]
    return sum(numbers) if numbers else None


def whole_megabytes(value: int) -> str:
    """Return a number of bytes as whole MB."""
    return f"{value / _MEGA:.0f}"


def sign(state: str) -> str:
    """Return the character that stands for a state; a dot for an unknown state."""
    return STATES.get(state, UNKNOWN).sign


def look(state: str) -> str:
    """Return the style of a state or flag: passed, failed, skipped, blocked, running or waiting."""
    return STATES.get(state, UNKNOWN).look


_FLAGS: Final = {"final": "finally step", "background": "service", "sampled": "sampled value"}
_WORDS: Final = {"needs": "depends on", "after": "after", "tags": "tags"}


def worker(where: "Mapping[str, str]") -> str:
    """Return a text with the Dask worker that ran a step and its host; empty without Dask.

    Args:
        where: The ``where`` of the block of the step.
    """
    return cut(f"worker {where['worker']} of {where['host']}", 200) if where else ""


def line(about: "Mapping[str, Any]", recipe: str, where: str = "") -> str:
    """Return the type of a step, its position, dependencies, tags and worker, in one line.

    Args:
        about: The ``step`` of the block of the step.
        recipe: The key of the recipe.
        where: The worker that ran the step, as `worker` returns it; may be empty.
    """
    kind = str(about.get("type") or "")
    parts = [f"{kind[:1].upper()}{kind[1:]} step" if kind else "Step"]
    if "line" in about:
        parts.append(f"{cut(recipe, 200)}:{about['line']}")
    for name, word in _WORDS.items():
        if names := about.get(name):
            parts.append(f"{word} {cut(', '.join(names), 300)}")
    for name, word in _FLAGS.items():
        if about.get(name):
            parts.append(word)
    if where:
        parts.append(f"ran on {where}")
    return " · ".join(parts)


IN_A_LINE: Final = CONTROLS | {10: "\\n"}
"""Table for `str.translate` that also escapes line feeds."""
_IN_JSON: Final = {code: f"\\u{code:04x}" for code in CONTROLS if code >= 32}
"""Control characters that JSON does not escape itself."""


def say(*lines: str, err: bool = False) -> None:
    """Print lines with control characters escaped.

    Args:
        lines: Texts; each is printed as exactly one line.
        err: True to print to stderr.
    """
    file = sys.stderr if err else sys.stdout
    for line in lines:
        print(line.translate(IN_A_LINE), file=file, flush=err)  # the only print of lines


def say_json(value: Any, indent: int | None = 2) -> None:
    """Print a value as JSON; all control characters are escaped within its strings.

    Args:
        value: The value.
        indent: As for `json.dumps`; None prints one line.
    """
    if indent is None:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    else:
        text = json.dumps(value, indent=indent)
    print(text.translate(_IN_JSON))  # noqa: T201  # the only print of JSON


def say_value(text: str) -> None:
    """Print a text of the user unchanged, or as `say` does if stdout is a terminal.

    Args:
        text: The text, of one or more lines.
    """
    if sys.stdout.isatty():
        say(*text.split("\n"))
    else:
        print(text)  # noqa: T201  # the only print of unchanged text


def terminal_width() -> int:
    """Return the columns of the terminal, or of the variable COLUMNS; 200 without a terminal."""
    import shutil

    from pytest_orchestrator.core.location import WIDTH

    return shutil.get_terminal_size((WIDTH, 24)).columns


def padded(text: str, width: int, *, right: bool) -> str:
    """Return a text padded with spaces to a number of columns; if `right`, aligned right."""
    space = " " * (width - display_width(text))
    return space + text if right else text + space
