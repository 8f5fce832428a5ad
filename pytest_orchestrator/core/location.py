"""Positions in a text, and the excerpt that shows one with carets.

Lines and columns count from 1, as editors show them.
"""

import struct
from collections.abc import Iterator, Mapping
from functools import lru_cache

import msgspec


# There are several for each step, as long as the session lasts: not for the garbage collector.
class Place(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where something stands in a recipe's text.

    Attributes:
        line: Line, from 1.
        column: Column of the first character, from 1.
        length: Number of characters that a caret line marks; at least 1.
    """

    line: int
    column: int
    length: int = 1


class Places(Mapping[str, Place]):
    """Where the value of each key of a step stands: a quarter of what a dict of places takes.

    Args:
        places: The places, by key.
    """

    __slots__ = ("_keys", "_numbers")

    def __init__(self, places: Mapping[str, Place]) -> None:
        self._keys = _same(tuple(places))
        self._numbers = b"".join(
            _THREE.pack(one.line, one.column, one.length) for one in places.values()
        )

    def __getitem__(self, key: str) -> Place:
        if key not in self._keys:
            raise KeyError(key)
        return Place(*_THREE.unpack_from(self._numbers, _THREE.size * self._keys.index(key)))

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


_THREE = struct.Struct("=3I")


@lru_cache(maxsize=1024)
def _same(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Return the keys as they were met first: most steps of a project have the same ones."""
    return keys


_WIDEST = 160


def excerpt(text: str, place: Place, *, before: int = 2, first: int | None = None) -> str:
    """Show the lines that lead to a place, with carets under it.

    Args:
        text: The whole text.
        place: What to mark.
        before: How many lines to show above the marked one.
        first: The first line of the part that the place belongs to (the head of a step):
            it is always shown and nothing above it; lines that are left out get a mark.
            Without effect where the place stands above it (in an anchor).

    Returns:
        Lines such as ``  14 |     modul: flash``, without a newline at the end; long
        lines are cut around the place.
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
