"""Lines and tables of the terminal: coloured texts in aligned columns that fit into its width."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from pytest_orchestrator.core.text import (
    cut_start_to_width,
    cut_to_width,
    display_width,
    wrapped,
)
from pytest_orchestrator.reports.text import IN_A_LINE, shown
from pytest_orchestrator.runs.verdicts import STATES, UNKNOWN

_GAP: Final = "  "
_INDENT: Final = "    "
"""Space before the lines of prose below a row."""
_LEAST: Final = {"name": 12, "place": 12, "text": 12, "prose": 24}
"""Columns of the screen below which no cell of a kind is cut or broken."""


class Part(NamedTuple):
    """A text with the name of its colour; an empty name is the colour of other text."""

    text: str
    colour: str = ""


class Line(NamedTuple):
    """A line as parts that follow each other."""

    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The whole line."""
        return "".join(part.text for part in self.parts)


def plain_line(text: str, width: int, colour: str = "") -> Line:
    """Return a line of one part that is cut to a width."""
    return Line((Part(cut_to_width(text, width), colour),))


def state_part(text: str) -> Part:
    """Return a state, with notes in parentheses, in its colour: ``passed (1 marginal)``."""
    state, _, notes = text.partition(" (")
    is_marginal = state == "passed" and "marginal" in notes
    return Part(text, STATES.get("marginal" if is_marginal else state, UNKNOWN).terminal)


def one_line(text: str) -> str:
    """Return a text with control characters escaped, as one line that is no command.

    In a workflow of GitHub, ``##[`` begins a command anywhere in a line.
    """
    return " ".join(text.split()).translate(IN_A_LINE).replace("##[", "## [")


def most_of_name(width: int) -> int:
    """Return the number of columns that a name may take: 40 % of the terminal."""
    return max(_LEAST["name"], width * 2 // 5)


def cut_line(parts: Sequence[Part], width: int | None) -> Line:
    """Return parts as a line of at most `width` columns; ``…`` marks where it was cut."""
    text = "".join(part.text for part in parts).rstrip()
    text = text if width is None else cut_to_width(text, width)
    kept, start = [], 0
    for part in parts:
        end = start + len(part.text)
        if piece := text[start:end]:
            kept.append(Part(piece, part.colour))
        start = end
    return Line(tuple(kept))


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        title: Its title; a table whose columns have no titles has no head.
        kind: ``figure``, never cut; ``name``, at most 40 % of the width; ``place``, a name of which
            the end is kept; ``text``, cut to the room that is left, before names are; ``prose``,
            broken into lines, which only the last column may be.
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


Cell: TypeAlias = str | Part


class Table:
    """A table whose columns fit into the terminal.

    Args:
        columns: The columns. If a row has more cells, these are figures.
        rows: The cells of each row; control characters in them are escaped.
        width: The columns of the screen; None if there is no limit.
        indent: Space before each line.

    Attributes:
        hidden: The titles of the columns that are left out, except those without any value.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        rows: Iterable[Sequence[Cell]],
        width: int | None = None,
        indent: str = "",
    ) -> None:
        self._rows = [[_escaped(cell) for cell in row] for row in rows]
        count = max(map(len, self._rows), default=0)
        self._columns = [*columns, *[Column()] * (count - len(columns))][: max(count, len(columns))]
        self._margin = Part(indent)
        self._room = None if width is None else max(width - len(indent), 1)
        self._widths = {at: self._natural(at) for at in range(len(self._columns))}
        self._has_prose_below = False
        self.hidden: list[str] = []
        if self._room is not None:
            self._fit(self._room)

    @property
    def width(self) -> int:
        """The columns of the screen that its lines take, without their indent."""
        return self._total(self._widths.values())

    def _natural(self, at: int) -> int:
        cells = [row[at].text for row in self._rows if at < len(row)]
        return max(map(display_width, [self._columns[at].title, *cells]))

    def _fit(self, room: int) -> None:
        for at, column in enumerate(self._columns):
            if column.kind in ("name", "place"):
                self._widths[at] = min(self._widths[at], most_of_name(room))
        self._leave_out(room)
        widths = dict(self._widths)
        self._shrink(room)
        self._has_prose_below = self.width > room and self._columns[-1].kind == "prose"
        if self._has_prose_below:  # the other columns have the whole line
            last, prose = self._widths.popitem()
            self._widths = {at: widths[at] for at in self._widths}
            self._shrink(room)
            self._widths[last] = prose

    def _leave_out(self, room: int) -> None:
        """Leave out columns until the others fit, first those without any value."""
        empty = {at for at in self._widths if self._is_empty(at)}
        ranked = sorted(
            (at for at in self._widths if self._columns[at].rank),
            key=lambda at: (at in empty, self._columns[at].rank, -at),
        )
        while ranked and self._total(map(self._least, self._widths)) > room:
            at = ranked.pop()
            if at not in empty:
                self.hidden.append(self._columns[at].title)
            del self._widths[at]

    def _shrink(self, room: int) -> None:
        while (left := self.width - room) > 0:
            can_shrink = [at for at in self._widths if self._widths[at] > self._least(at)]
            if not can_shrink:
                break
            at = max(
                can_shrink, key=lambda at: (self._columns[at].kind == "text", self._widths[at])
            )
            self._widths[at] -= min(left, self._widths[at] - self._least(at), 4)

    def _total(self, widths: Iterable[int]) -> int:
        return sum(widths) + len(_GAP) * (len(self._widths) - 1)

    def _least(self, at: int) -> int:
        column, width = self._columns[at], self._widths[at]
        return min(width, column.least or _LEAST.get(column.kind, width))

    def _is_empty(self, at: int) -> bool:
        return all(row[at].text in ("", "-") for row in self._rows if at < len(row))

    def texts(self) -> Iterator[str]:
        """Yield the lines of the table without colours."""
        return (line.text for line in self.lines())

    def lines(self) -> Iterator[Line]:
        """Yield the lines of the table."""
        titles = [Part(column.title) for column in self._columns]
        if self._has_prose_below:
            titles[-1] = Part("")
        has_head = any(title.text for title in titles)
        width = None if self._room is None else self._room + len(self._margin.text)
        for row in [titles, *self._rows] if has_head else self._rows:
            for parts in self._lines_of(row):
                yield cut_line([self._margin, *parts], width)

    def _lines_of(self, row: Sequence[Part]) -> Iterator[list[Part]]:
        cells = [at for at in self._widths if at < len(row)]
        last = len(self._columns) - 1
        prose = [Part("")]
        if self._room is not None and last in cells and self._columns[last].kind == "prose":
            cells.pop()
            room = self._room - len(_INDENT) if self._has_prose_below else self._widths[last]
            prose = [Part(one, row[last].colour) for one in wrapped(row[last].text, max(room, 1))]
        line = [part for at in cells for part in (*self._padded(row[at], at), Part(_GAP))]
        if self._has_prose_below:
            yield line
            yield from ([Part(_INDENT), one] for one in prose if one.text)
            return
        yield [*line, prose[0]]
        space = Part(" " * sum(display_width(part.text) for part in line))
        yield from ([space, one] for one in prose[1:])

    def _padded(self, cell: Part, at: int) -> tuple[Part, Part]:
        column, width = self._columns[at], self._widths[at]
        if self._room is not None:
            cut = _end_of_place if column.kind == "place" else cut_to_width
            cell = cell._replace(text=cut(cell.text, width))
        space = Part(" " * (width - display_width(cell.text)))
        return (space, cell) if column.right else (cell, space)


def _escaped(cell: Cell) -> Part:
    part = Part(cell) if isinstance(cell, str) else cell
    return part._replace(text=" ".join(shown(part.text).splitlines()))


def _end_of_place(text: str, width: int) -> str:
    """Return the end of a path in at most `width` columns, from the begin of a folder if it can."""
    end = cut_start_to_width(text, width)
    slash = end.find("/")
    return f"…{end[slash:]}" if end != text and slash > 0 else end
