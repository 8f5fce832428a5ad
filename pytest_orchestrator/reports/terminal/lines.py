"""Lines of the terminal: coloured texts in aligned columns, no wider than the terminal."""

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from pytest_orchestrator.core.text import cut_to_width, display_width
from pytest_orchestrator.reports.text import IN_A_LINE
from pytest_orchestrator.runs.verdicts import STATES, UNKNOWN

_MIN_NAME: Final = 8
GAP: Final = "  "
"""Text between two columns."""


class Part(msgspec.Struct, frozen=True):
    """A text with the name of its colour; an empty name is the colour of other text."""

    text: str
    colour: str = ""


class Line(msgspec.Struct, frozen=True):
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
    return max(_MIN_NAME, width * 2 // 5)


def cut_start(text: str, width: int) -> str:
    """Return a text of at most `width` columns; ``…`` marks where its start was cut off."""
    if display_width(text) <= width:
        return text
    kept, used = len(text), 1
    while kept and used + display_width(text[kept - 1]) <= width:
        kept -= 1
        used += display_width(text[kept])
    while kept < len(text) and unicodedata.combining(text[kept]):
        kept += 1
    return f"…{text[kept:]}"


def columns(
    rows: Sequence[Sequence[Part]],
    width: int,
    indent: str = "",
    right: Iterable[int] = (),
) -> list[Line]:
    """Return rows as lines with aligned columns.

    Args:
        rows: The cells of each row; a row may have fewer cells than others.
        width: Available columns; longer lines are cut.
        indent: Text before each line.
        right: Columns, from 0, that are aligned to the right.
    """
    sizes: dict[int, int] = {}
    for row in rows:
        for at, cell in enumerate(row):
            sizes[at] = max(sizes.get(at, 0), display_width(cell.text))
    return [_aligned(row, sizes, frozenset(right), width, indent) for row in rows]


def _aligned(
    row: Sequence[Part], sizes: dict[int, int], right: frozenset[int], width: int, indent: str
) -> Line:
    parts = [Part(indent)] if indent else []
    filled = max((at for at, cell in enumerate(row) if cell.text), default=-1)
    for at, cell in enumerate(row[: filled + 1]):
        space = " " * (sizes[at] - display_width(cell.text))
        if at in right:
            parts.append(Part(space))
        parts.append(cell)
        if at < filled:
            parts.append(Part(GAP if at in right else space + GAP))
    return cut_line(parts, width)


def cut_line(parts: Sequence[Part], width: int) -> Line:
    """Return parts as a line of at most `width` columns; ``…`` marks where it was cut."""
    text = cut_to_width("".join(part.text for part in parts), width)
    kept, start = [], 0
    for part in parts:
        end = start + len(part.text)
        if piece := text[start:end]:
            kept.append(Part(piece, part.colour))
        start = end
    return Line(tuple(kept))
