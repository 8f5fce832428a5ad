"""Positions in a text, and excerpts that mark a position with carets.

Lines and columns count from 1, as in editors.
"""

import struct
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import accumulate
from typing import Final

import msgspec

from pytest_orchestrator.core.text import cut_to_width, display_width


# Each step has several of these for the whole session, so the garbage collector skips them.
class Place(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Position of a key or value in the text of a recipe.

    Attributes:
        line: Line, from 1.
        column: Column of the first character, from 1.
        length: Number of characters that a caret line marks; at least 1.
    """

    line: int
    column: int
    length: int = 1


class Places(Mapping[str, Place]):
    """Read-only mapping of step keys to positions, in a quarter of the memory of a dict.

    Args:
        places: The positions, by key.
    """

    __slots__ = ("_keys", "_numbers")

    def __init__(self, places: Mapping[str, Place]) -> None:
        self._keys = _interned(tuple(places))
        self._numbers = b"".join(
            _PACKED.pack(place.line, place.column, place.length) for place in places.values()
        )

    def __getitem__(self, key: str) -> Place:
        if key not in self._keys:
            raise KeyError(key)
        return Place(*_PACKED.unpack_from(self._numbers, _PACKED.size * self._keys.index(key)))

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


_PACKED = struct.Struct("=3I")


@lru_cache(maxsize=1024)
def _interned(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Return one shared tuple for all equal tuples of keys, to save memory."""
    return keys


def key_path_text(path: tuple[str | int, ...]) -> str:
    """Return a key path as messages show it, such as ``headers.Accept`` or ``files[0]``."""
    shown = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return shown.removeprefix(".")


WIDTH: Final = 200
"""Columns of an excerpt that is made for no terminal, as in a file."""


def excerpt(
    text: str, place: Place, *, before: int = 2, first: int | None = None, width: int = WIDTH
) -> str:
    """Return the lines before a position and its own line, with carets under the position.

    Args:
        text: The whole text.
        place: The position to mark.
        before: Number of lines to show above the marked one.
        first: First line of the part that contains the position (the head of a step). This line is
            always shown, lines above it never, and ``…`` marks lines that are left out. The
            argument has no effect if the position is above that line (in an anchor).
        width: Available columns.

    Returns:
        Rows such as ``  14 |     modul: flash``, without a newline at the end. A long line is cut
        around the position, any other line at its end; ``…`` shows where.
    """
    lines = text.splitlines()
    if first is not None and first > place.line:
        first = None
    digits = max(4, len(str(place.line)))
    room = width - digits - 3
    start = max(first or 1, place.line - before)
    end = min(place.line, len(lines) + 1)
    shown = [(number, lines[number - 1]) for number in range(start, end)]
    if first is not None and first < start:
        shown[:0] = [(first, lines[first - 1])]
    rows = [f"{number:{digits}} | {cut_to_width(_visible(line), room)}" for number, line in shown]
    if first is not None and first < start - 1:
        rows[1:1] = [f"{'…':>{digits}} |"]
    line = _visible(lines[place.line - 1]) if place.line <= len(lines) else ""
    column = place.column - 1
    marked, left, length = around(
        line,
        display_width(line[:column]) + max(0, column - len(line)),
        display_width(line[column : column + place.length]),
        room,
    )
    if place.line <= len(lines):
        rows.append(f"{place.line:{digits}} | {marked}".rstrip())
    return "\n".join([*rows, f"{'':{digits}} | {' ' * left}{'^' * length}"])


def around(line: str, start: int, length: int, width: int) -> tuple[str, int, int]:
    """Cut a line around a position.

    Args:
        line: The line, without control characters.
        start: Number of columns before the position.
        length: Number of columns of the position.
        width: Available columns; at least ten are used, and a narrower terminal wraps the line.

    Returns:
        The part of the line, with ``…`` at an end that was cut; the number of columns before the
        position in this part; the number of columns of the position, at least 1.
    """
    length, width = max(1, length), max(10, width)
    whole, end = max(display_width(line), start + 1), start + length
    if whole <= width:
        return line, start, min(length, max(1, whole - start))
    low, high = _window(whole, start, end, width)
    shown: list[str] = []
    left: int | None = None
    for char, column in zip(line, accumulate(map(display_width, line), initial=0), strict=False):
        columns = display_width(char)
        if column >= low and column + columns <= high and (columns or shown):
            left = column if left is None else left
            shown.append(char)
    head, tail = "…" * (low > 0), "…" * (high < whole)
    before = start - (low if left is None else left) + len(head)
    return f"{head}{''.join(shown)}{tail}", before, max(1, min(end, high) - start)


def _window(whole: int, start: int, end: int, width: int) -> tuple[int, int]:
    """Return the first column that is shown of a line, and the first one after the shown part.

    A column is left free for each ``…``. A position that is longer than half of the width may be
    cut.
    """
    end = min(end, start + width // 2)
    if end < width:
        return 0, width - 1
    if whole - start < width:
        return whole - width + 1, whole
    room = width - 2
    low = start - max(0, room - (end - start)) // 2
    return (low, low + room) if low > 0 else (0, width - 1)


def _visible(line: str) -> str:
    return "".join(char if char.isprintable() else " " for char in line).rstrip()
