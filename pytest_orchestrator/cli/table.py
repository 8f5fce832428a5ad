"""Tables and texts that commands print, within the width of the terminal."""

import argparse
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from pytest_orchestrator.core.text import (
    cut_start_to_width,
    cut_to_width,
    display_width,
    wrapped,
)
from pytest_orchestrator.reports.text import padded, say, shown

_GAP: Final = 2
_MOST_OF_NAMES: Final = 0.4
"""Largest part of the width that a column of names may fill."""
_LEAST: Final = {"name": 12, "place": 12, "text": 12, "prose": 24}
"""Columns of the screen below which no cell of a kind is cut or broken."""
_INDENT: Final = 4


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        title: Its title; a table whose columns have no titles has no head.
        kind: ``figure``, never cut; ``name``, at most 40 % of the width; ``place``, a name of which
            the end is kept; ``text``, cut to the room that is left; ``prose``, broken into lines,
            which only the last column may be.
        right: True if its cells are aligned to the right.
        rank: If the terminal is too narrow, the column with the highest rank is left out first. A
            column with rank 0 never is.
        least: Columns of the screen below which no cell is cut; 0 means those of its kind.
    """

    title: str = ""
    kind: str = "figure"
    right: bool = False
    rank: int = 0
    least: int = 0


class Table:
    """A table whose columns fit into the terminal.

    Args:
        columns: The columns. If a row has more cells, these are figures.
        rows: The cells of each row; control characters in them are escaped.
        width: The columns of the screen; None if there is no limit.
        indent: The columns of the screen to the left of the table.

    Attributes:
        hidden: The titles of the columns that are left out, except those without any value.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        rows: Iterable[Sequence[str]],
        width: int | None = None,
        indent: int = 0,
    ) -> None:
        self._rows = [[" ".join(shown(cell).splitlines()) for cell in row] for row in rows]
        count = max(map(len, self._rows), default=0)
        self._columns = [*columns, *[Column()] * (count - len(columns))][: max(count, len(columns))]
        self._margin = " " * indent
        self._room = None if width is None else max(width - indent, 1)
        self._widths = {at: self._natural(at) for at in range(len(self._columns))}
        self._has_prose_below = False
        self.hidden: list[str] = []
        if self._room is not None:
            self._fit(self._room)

    def _natural(self, at: int) -> int:
        cells = [row[at] for row in self._rows if at < len(row)]
        return max(map(display_width, [self._columns[at].title, *cells]))

    def _fit(self, room: int) -> None:
        for at, column in enumerate(self._columns):
            if column.kind in ("name", "place"):
                most = max(int(room * _MOST_OF_NAMES), _LEAST[column.kind])
                self._widths[at] = min(self._widths[at], most)
        while self._total(map(self._least, self._widths)) > room and self._leave_one_out():
            pass
        widths = dict(self._widths)
        self._shrink(room)
        is_too_wide = self._total(self._widths.values()) > room
        self._has_prose_below = is_too_wide and self._columns[-1].kind == "prose"
        if self._has_prose_below:  # the other columns have the whole line
            last, prose = self._widths.popitem()
            self._widths = {at: widths[at] for at in self._widths}
            self._shrink(room)
            self._widths[last] = prose

    def _shrink(self, room: int) -> None:
        while (left := self._total(self._widths.values()) - room) > 0:
            can_shrink = [at for at in self._widths if self._widths[at] > self._least(at)]
            if not can_shrink:
                break
            widest = max(can_shrink, key=self._widths.__getitem__)
            self._widths[widest] -= min(left, self._widths[widest] - self._least(widest), 4)

    def _total(self, widths: Iterable[int]) -> int:
        return sum(widths) + _GAP * (len(self._widths) - 1)

    def _least(self, at: int) -> int:
        column, width = self._columns[at], self._widths[at]
        return min(width, column.least or _LEAST.get(column.kind, width))

    def _leave_one_out(self) -> bool:
        """Leave out a column, first one without any value; return False if none may be left out."""
        ranks = {at: self._columns[at].rank for at in self._widths if self._columns[at].rank}
        if not ranks:
            return False
        at = max(ranks, key=lambda one: (self._is_empty(one), ranks[one]))
        if not self._is_empty(at):
            self.hidden.append(self._columns[at].title)
        del self._widths[at]
        return True

    def _is_empty(self, at: int) -> bool:
        return all(row[at] in ("", "-") for row in self._rows if at < len(row))

    def lines(self) -> Iterator[str]:
        """Yield the lines of the table."""
        titles = [column.title for column in self._columns]
        if self._has_prose_below:
            titles[-1] = ""
        for row in [titles, *self._rows] if any(titles) else self._rows:
            for line in self._lines_of(row):
                whole = f"{self._margin}{line}".rstrip()
                yield (
                    whole
                    if self._room is None
                    else cut_to_width(whole, self._room + len(self._margin))
                )

    def _lines_of(self, row: Sequence[str]) -> Iterator[str]:
        cells = [at for at in self._widths if at < len(row)]
        last = len(self._columns) - 1
        prose = [""]
        if self._room is not None and last in cells and self._columns[last].kind == "prose":
            cells.pop()
            room = self._room - _INDENT if self._has_prose_below else self._widths[last]
            prose = wrapped(row[last], max(room, 1))
        line = (" " * _GAP).join(self._cell(row[at], at) for at in cells)
        if self._has_prose_below:
            yield line
            yield from (f"{' ' * _INDENT}{one}" for one in prose if one)
            return
        start = f"{line}{' ' * _GAP if cells else ''}"
        yield start + prose[0]
        yield from (f"{' ' * display_width(start)}{one}" for one in prose[1:])

    def _cell(self, text: str, at: int) -> str:
        column, width = self._columns[at], self._widths[at]
        if self._room is not None:
            text = (_end_of_place if column.kind == "place" else cut_to_width)(text, width)
        return padded(text, width, right=column.right)


def _end_of_place(text: str, width: int) -> str:
    """Return the end of a path in at most `width` columns, from the begin of a folder if it can."""
    end = cut_start_to_width(text, width)
    slash = end.find("/")
    return f"…{end[slash:]}" if end != text and slash > 0 else end


def declare_wide(parser: argparse.ArgumentParser, **more: Any) -> None:
    """Declare the option `--wide`.

    Args:
        parser: The parser of a command.
        more: Keyword arguments of the option.
    """
    parser.add_argument(
        "--wide",
        action="store_true",
        help="print all columns and whole texts, whatever the width of the terminal",
        **more,
    )


def width_of(args: argparse.Namespace) -> int | None:
    """Return the columns of the terminal; None for `--wide`, or if there is no terminal.

    The environment variable COLUMNS sets the width of output that is not a terminal.
    """
    if getattr(args, "wide", False):
        return None
    if not (sys.stdout.isatty() or os.environ.get("COLUMNS")):
        return None
    return shutil.get_terminal_size((0, 0)).columns or None


def say_tables(tables: Iterable[Table]) -> None:
    """Print tables, and which columns of them are left out."""
    hidden: list[str] = []
    for table in tables:
        say(*table.lines())
        hidden += table.hidden
    say_hidden(hidden)


def say_hidden(titles: Iterable[str]) -> None:
    """Print the titles of columns that are left out; nothing if there are none."""
    names = ", ".join(dict.fromkeys(filter(None, titles)))
    if names:
        say(f"left out: {names} (--wide shows all)")


def say_wrapped(lines: Iterable[str], width: int | None) -> None:
    """Print lines; those that are longer than the terminal are broken at spaces.

    Args:
        lines: The lines.
        width: The columns of the screen; None if there is no limit.
    """
    for line in lines:
        if width is None:
            say(line)
            continue
        indent = " " * (len(line) - len(line.lstrip(" ")) + _INDENT)
        say(*wrapped(shown(line), width, indent))
