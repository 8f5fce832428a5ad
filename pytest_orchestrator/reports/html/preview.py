"""Previews of artifacts on a page: a CSV file as a table, JSON and other text as text."""

import csv
import json
from itertools import islice, zip_longest
from pathlib import Path
from typing import Final

import msgspec

from pytest_orchestrator.core.files import READ
from pytest_orchestrator.reports.text import cut

_TEXTS: Final = ("application/json", "application/yaml", "application/xml")
_LARGEST: Final = 256 * 1024
_MOST_TEXT: Final = 4_000
_MOST_ROWS: Final = 20
_MOST_COLUMNS: Final = 20
_MOST_CELL: Final = 80


class Preview(msgspec.Struct, frozen=True):
    """Preview of a file: a table with its first row as head, or a text.

    Attributes:
        head: Names of the columns of a CSV file; empty for a text.
        rows: Its first rows.
        text: The beginning of a text; empty for a table.
        is_whole: True if the preview shows the whole file.
    """

    head: list[str]
    rows: list[list[str]]
    text: str
    is_whole: bool


def preview(path: Path, media_type: str) -> Preview | None:
    """Return the preview of a file; None if it is no text, too large, or cannot be read.

    Args:
        path: The file.
        media_type: Its media type, as the journal has it.
    """
    kind = media_type.partition(";")[0]
    if not (kind.startswith("text/") or kind in _TEXTS):
        return None
    try:
        if path.stat().st_size > _LARGEST:
            return None
        with open(path, encoding="utf-8", errors="replace", opener=_opened) as file:
            text = file.read(_LARGEST)
    except OSError:
        return None
    if not text.strip():
        return None
    if kind == "text/csv":
        return _table(text)
    if kind == "application/json":
        text = _indented(text)
    return Preview([], [], cut(text, _MOST_TEXT), len(text) <= _MOST_TEXT)


def _opened(name: str, _: int) -> int:
    import os

    return os.open(name, READ)


def _table(text: str) -> Preview | None:
    try:
        dialect: type[csv.Dialect] = csv.Sniffer().sniff(text[:2_000], ",;\t")
    except csv.Error:
        dialect = csv.excel
    try:
        rows = [*islice(csv.reader(text.splitlines(), dialect), _MOST_ROWS + 2)]
    except csv.Error:
        return Preview([], [], cut(text, _MOST_TEXT), len(text) <= _MOST_TEXT)
    lines = [[cut(cell, _MOST_CELL) for cell in row[:_MOST_COLUMNS]] for row in rows if row]
    if not lines:
        return None
    # All rows get the same number of cells.
    columns = zip_longest(*lines[: _MOST_ROWS + 1], fillvalue="")
    head, *body = map(list, zip(*columns, strict=True))
    return Preview(head, body, "", len(lines) <= _MOST_ROWS + 1)


def _indented(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
