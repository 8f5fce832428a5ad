"""Size budget of a page, links to the files of a run, and previews of artifacts."""

import base64
import csv
import json
import re
from itertools import islice, zip_longest
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from pytest_orchestrator.core.files import READ
from pytest_orchestrator.core.result import MOST_PREVIEWED
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.reports.text import cut
from pytest_orchestrator.runs.folder import Artifact, RunFile, RunFiles

# Bytes, characters, points and changes of a whole page, however many steps it has: `_share`
# gives each step less of a larger run, but at least 120 bytes of a log.
_LOGS: Final = 800_000
_FAILED_LOGS: Final = 500_000
_TEXTS: Final = 500_000
_POINTS: Final = 30_000
_CHANGES: Final = 6_000
_VALUES: Final = 600_000


class ContentBudget(msgspec.Struct, frozen=True):
    """Amount of content that one step, key or value may use on a page.

    Attributes:
        log: Bytes shown of a log.
        failed_log: Bytes shown of a log of a failed step.
        text: Characters of the failure text of pytest.
        points: Points of each resource curve of a step.
        changes: Changes listed for a key of the Context.
        value: Characters of a value.
    """

    log: int
    failed_log: int
    text: int
    points: int
    changes: int
    value: int


def content_budget(steps: int, failed: int, keys: int, values: int) -> ContentBudget:
    """Divide the size budget of a page among its contents.

    Args:
        steps: Number of steps, and of their earlier attempts.
        failed: Number of failed steps.
        keys: Number of keys of the Context.
        values: Number of values that the page shows: criteria, measurements, changes.
    """
    return ContentBudget(
        log=_share(_LOGS, 2 * steps, 120, 4_000),
        failed_log=_share(_FAILED_LOGS, 2 * failed, 200, 16_000),
        text=_share(_TEXTS, failed, 400, 20_000),
        points=_share(_POINTS, steps, 20, 240),
        changes=_share(_CHANGES, keys, 1, 50),
        value=_share(_VALUES, values, 40, 1_000),
    )


def _share(whole: int, parts: int, least: int, most: int) -> int:
    return max(least, min(most, whole // max(1, parts)))


_LINKABLE: Final = lazy_pattern(r"[\w./:\[\],=+@~-]+", re.ASCII)


def anchor_of(node: str) -> str:
    """Return a node id or the key of a recipe as the id of an element, and as a fragment.

    The result has no character that HTML or a URL would have to escape.
    """
    text = str(node)
    return text if _LINKABLE.fullmatch(text) else quote(text, "/:[],=+@~", errors="replace")


_MAX_EMBEDDED: Final = 64 * 1024
_MAX_EMBEDDED_TOTAL: Final = 1024 * 1024
_MAX_PREVIEWS: Final = 100


class Files:
    """Links to the files of a run, and small pictures as embedded data.

    Args:
        folder: The folder of the run.
        base: Prefix of links to files in the folder.
    """

    def __init__(self, folder: Path, base: str) -> None:
        self._files = RunFiles(folder)
        self._base = base
        self._embeddable = _MAX_EMBEDDED_TOTAL
        self._previews = _MAX_PREVIEWS

    def at(self, file: RunFile) -> Path | None:
        """Return the path of a file; None if it is not a file of the run."""
        return self._files.at(file)

    def href(self, file: RunFile) -> str:
        """Return a link to a file; empty if it is not a file of the run."""
        return "" if self._files.text_at(file) is None else self._link(file)

    def path_and_href(self, file: RunFile) -> tuple[str | None, str]:
        """Return the path of a file as text, as `at` does, and a link to it."""
        path = self._files.text_at(file)
        return path, "" if path is None else self._link(file)

    def _link(self, file: RunFile) -> str:
        return self._base + quote(file.recorded_path)

    def preview(self, artifact: Artifact) -> "Preview | None":
        """Return the preview of a text file; None for other files, and if there are too many."""
        path = self.at(artifact.file) if self._previews else None
        if path is None:
            return None

        shown = preview(path, artifact.type)
        self._previews -= shown is not None
        return _SECRET if shown is not None and artifact.has_secret else shown

    def picture(self, file: RunFile, media_type: str) -> str:
        """Return the `src` of a picture: embedded data if the file is small, else a link."""
        path = self.at(file)
        if path is None:
            return ""
        try:
            size = path.stat().st_size
            if size > min(_MAX_EMBEDDED, self._embeddable):
                return self.href(file)
            data = path.read_bytes()
        except OSError:
            return self.href(file)
        self._embeddable -= len(data)
        return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


_TEXT_TYPES: Final = ("application/json", "application/yaml", "application/xml")
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


_SECRET: Final = Preview([], [], "A secret is in this file, so it is not shown here.", True)
"""Preview of a file that has a masked secret."""


def preview(path: Path, media_type: str) -> Preview | None:
    """Return the preview of a file; None if it is no text, too large, or cannot be read.

    Args:
        path: The file.
        media_type: Its media type, as the journal has it.
    """
    kind = media_type.partition(";")[0]
    if not (kind.startswith("text/") or kind in _TEXT_TYPES):
        return None
    try:
        if path.stat().st_size > MOST_PREVIEWED:
            return None
        with open(path, encoding="utf-8", errors="replace", opener=_opened) as file:
            text = file.read(MOST_PREVIEWED)
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
