"""Texts and patterns in files and output of any size, a bounded part in memory at a time."""

import io
import os
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

PART = 4 << 20
"""Bytes that a pattern sees at a time."""

OVERLAP = 256 << 10
"""Bytes of a part that the next one repeats: the longest match that is surely found."""


class Hit(NamedTuple):
    """Where something was found.

    Attributes:
        line: Number of the line, from 1; 0 where it is not known.
        text: That line, or the beginning of it.
    """

    line: int
    text: str


class Searched(NamedTuple):
    """What is searched.

    Attributes:
        name: What messages call it, such as ``stdout``.
        pieces: Opens each contiguous piece; with the number of bytes that count of it.
        lost: Bytes between the first piece and the last that were not kept.
    """

    name: str
    pieces: tuple[tuple[Callable[[], BinaryIO], int], ...]
    lost: int = 0

    def text(self, wanted: str) -> Hit | None:
        """Return where a text stands first, None where it does not."""
        needle = wanted.encode("utf-8", "surrogateescape")
        return self._first(len(needle), lambda part: _text(part, needle))

    def pattern(self, wanted: re.Pattern[str]) -> Hit | None:
        """Return where a pattern matches first, None where it does not.

        Of what is larger than `PART` it sees parts that overlap by `OVERLAP`.
        """
        return self._first(OVERLAP, lambda part: _pattern(part, wanted))

    def match(self, wanted: re.Pattern[str]) -> re.Match[str] | None:
        """Return how a pattern matches first, None where it does not; see `pattern`."""
        for opener, size in self.pieces:
            with opener() as file:
                for part in _parts(file, size, OVERLAP):
                    if (match := _match(part, wanted)) is not None:
                        return match
        return None

    def end(self) -> str:
        """Return the last line that says something; empty where there is none."""
        opener, size = self.pieces[-1]
        with opener() as file:
            file.seek(max(0, size - 4096))
            lines = _decoded(file.read(min(size, 4096))).split("\n")
        return next((line for line in reversed(lines) if line.strip()), "")

    @property
    def size(self) -> int:
        """The bytes that can be searched."""
        return sum(size for _, size in self.pieces)

    def _first(self, overlap: int, found: Callable[["_Part"], Hit | None]) -> Hit | None:
        for number, (opener, size) in enumerate(self.pieces):
            with opener() as file:
                hits = (found(part) for part in _parts(file, size, overlap))
                hit = next((hit for hit in hits if hit), None)
            if hit:
                return hit if not number else hit._replace(line=0)
        return None


def file_of(path: str, name: str) -> Searched:
    """Return a file as something to be searched, as long as it is now."""
    return Searched(name, ((lambda: open(path, "rb"), os.path.getsize(path)),))


def bytes_of(*pieces: bytes, name: str, lost: int = 0) -> Searched:
    """Return pieces of an output that are in memory."""
    return Searched(name, tuple(map(_in_memory, pieces)), lost)


def _in_memory(piece: bytes) -> tuple[Callable[[], BinaryIO], int]:
    return (lambda: io.BytesIO(piece)), len(piece)


class _Part(NamedTuple):
    """A part of a file.

    Attributes:
        data: Its bytes; they end with a line, unless that is longer than a part.
        before: The bytes right before it, a character at least; empty at the beginning.
        line: Number of the line that it begins in, from 1.
        last: The file ends with it.
    """

    data: bytes
    before: bytes
    line: int
    last: bool


def _parts(file: BinaryIO, size: int, overlap: int) -> Iterator[_Part]:
    most = max(PART, 4 * overlap)
    kept, before, line = b"", b"", 1
    while True:
        data = kept + file.read(min(size, most - len(kept)))
        size -= len(data) - len(kept)
        if not size or len(data) < most:
            yield _Part(data, before, line, last=True)
            return
        stop = data.rfind(b"\n", 2 * overlap) + 1 or _between_characters(data, most - 4)
        yield _Part(data[:stop], before, line, last=False)
        start = _between_characters(data, stop - overlap)
        line += data.count(b"\n", 0, start)
        kept, before = data[start:], data[max(0, start - 4) : start]


def _between_characters(data: bytes, at: int) -> int:
    """Return a place at which no character of UTF-8 is cut, at most three bytes before."""
    starts = (at - back for back in range(4) if data[at - back] & 0xC0 != 0x80)
    return next(starts, at)


def _text(part: _Part, needle: bytes) -> Hit | None:
    at = part.data.find(needle)
    if at < 0:
        return None
    start = part.data.rfind(b"\n", 0, at) + 1
    row = part.data[start : start + 1000].split(b"\n", 1)[0]
    return Hit(part.line + part.data.count(b"\n", 0, at), _decoded(row))


def _pattern(part: _Part, wanted: re.Pattern[str]) -> Hit | None:
    match = _match(part, wanted)
    if match is None:
        return None
    text = match.string
    start = text.rfind("\n", 0, match.start()) + 1
    line = part.line + text.count("\n", match.pos, match.start())
    return Hit(line, text[start : start + 1000].split("\n", 1)[0])


def _match(part: _Part, wanted: re.Pattern[str]) -> re.Match[str] | None:
    # A character before it lets no match begin where only the part begins, not a line or the
    # whole; what stands after its last line is left out, since no line begins there.
    before = _decoded(part.before)[-1:]
    is_whole = part.last or part.data.endswith(b"\n")
    rows = part.data if part.last or not is_whole else part.data[:-1]
    text = before + _decoded(rows)
    is_open = not part.last and (not is_whole or r"\Z" in wanted.pattern)
    for match in wanted.finditer(text, len(before)):
        if is_open and match.end() == len(text):
            continue  # the next part tells whether this is an end
        return match
    return None


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
