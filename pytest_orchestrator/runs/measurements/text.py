"""Rows of measurements as CSV and as JSON Lines.

A spreadsheet evaluates a cell of a CSV file that begins like a formula. So a text with such a
beginning, or with an apostrophe, has an apostrophe before it; without that first apostrophe it is
the text again. JSON Lines has all texts as they are.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.runs.measurements.rows import COLUMNS, Row

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "'")
_QUOTED: Final = lazy_pattern(r'[,"\n\r]')


class TextFormat(NamedTuple):
    """Format of a table of measurements as text, UTF-8 with line feeds.

    Attributes:
        header: The first line of a file; empty without one.
        lines: Function that returns rows as complete lines.
    """

    header: bytes
    lines: Callable[[Iterable[Row]], bytes]


def csv_lines(rows: Iterable[Row]) -> bytes:
    """Return rows as CSV without a header.

    Numbers have all their digits; true and false are words; a missing value is empty.
    """
    lines = (",".join(map(_cell, msgspec.structs.astuple(row))) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace")


def json_lines(rows: Iterable[Row]) -> bytes:
    """Return rows as JSON Lines: an object with all columns in each line."""
    return b"".join(_encode(row) + b"\n" for row in rows)


FORMATS: Final[Mapping[str, TextFormat]] = {
    "csv": TextFormat(f"{','.join(COLUMNS)}\n".encode(), csv_lines),
    "jsonl": TextFormat(b"", json_lines),
}
"""The formats by the suffix of their files."""


def _cell(value: str | float | bool | None) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return repr(value) if value is not True and value is not False else str(value).lower()
    if value.startswith(_FORMULA):
        value = f"'{value}"
    return '"' + value.replace('"', '""') + '"' if _QUOTED.search(value) else value


_encode: Final = msgspec.json.Encoder().encode
