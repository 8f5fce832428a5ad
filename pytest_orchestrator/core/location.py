"""Positions in a text, and excerpts that mark a position with carets.

Lines and columns count from 1, as in editors.
"""

import struct
from collections.abc import Iterator, Mapping
from functools import lru_cache

import msgspec


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


_WIDEST = 160


def excerpt(text: str, place: Place, *, before: int = 2, first: int | None = None) -> str:
    """Return the lines before a position and its own line, with carets under the position.

    Args:
        text: The whole text.
        place: The position to mark.
        before: Number of lines to show above the marked one.
        first: First line of the part that contains the position (the head of a step). This line is
            always shown, lines above it never, and ``…`` marks lines that are left out. The
            argument has no effect if the position is above that line (in an anchor).

    Returns:
        Lines such as ``  14 |     modul: flash``, without a newline at the end; long lines are
        cut around the position.
    """
    lines = text.splitlines()
    if first is not None and first > place.line:
        first = None
    width = max(4, len(str(place.line)))
    start = max(first or 1, place.line - before)
    shown = [
        (number, lines[number - 1]) for number in range(start, min(place.line, len(lines)) + 1)
    ]
    offset = max(0, place.column + min(place.length, 40) - _WIDEST)
    rows = [
        f"{number:{width}} | {_visible(line[offset : offset + _WIDEST])}" for number, line in shown
    ]
    if first is not None and first < start:
        head = f"{first:{width}} | {_visible(lines[first - 1][offset : offset + _WIDEST])}"
        rows[:0] = [head] if first == start - 1 else [head, f"{'…':>{width}} |"]
    column = place.column - offset
    carets = min(max(1, place.length), _WIDEST - column + 1)
    rows.append(f"{'':{width}} | {' ' * (column - 1)}{'^' * carets}")
    return "\n".join(rows)


def _visible(line: str) -> str:
    return "".join(char if char.isprintable() else " " for char in line).rstrip()
