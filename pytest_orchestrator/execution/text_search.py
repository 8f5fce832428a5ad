"""Streaming text and pattern search in files and output of any size.

A lane imports it for what it is asked to search, so it imports the standard library alone.
"""

import io
import marshal
import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

from pytest_orchestrator.core.text import compile_pattern

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


class Found(NamedTuple):
    """How a pattern matches first.

    Attributes:
        hit: The place.
        value: Its first group, or all of it without one; None where the group has no part in it.
    """

    hit: Hit
    value: str | None


class Searched(NamedTuple):
    """What is searched.

    Attributes:
        name: What messages call it, such as ``stdout``.
        pieces: The path of each contiguous piece, or the piece itself, and the number of bytes
            that count of it.
        lost: Bytes between the first piece and the last that were not kept.
    """

    name: str
    pieces: tuple[tuple[str | bytes, int], ...]
    lost: int = 0

    def text(self, wanted: str) -> Hit | None:
        """Return where a text stands first, None where it does not."""
        needle = wanted.encode("utf-8", "surrogateescape")
        return self._first(len(needle), lambda part: _text(part, needle))

    def pattern(self, wanted: re.Pattern[str]) -> Hit | None:
        """Return where a pattern matches first, None where it does not; see `first`."""
        found = self.first(wanted)
        return None if found is None else found.hit

    def first(self, wanted: re.Pattern[str]) -> Found | None:
        """Return how a pattern matches first, None where it does not.

        Of what is larger than `PART` it sees parts that overlap by `OVERLAP`.
        """
        for number, (source, size) in enumerate(self.pieces):
            with opened(source) as file:
                for part in _parts(file, size, OVERLAP):
                    if (match := _match(part, wanted)) is not None:
                        hit = _hit(part, match)
                        value = match[1] if match.re.groups else match[0]
                        return Found(hit._replace(line=0) if number else hit, value)
        return None

    def end(self) -> str:
        """Return the last line that says something; empty where there is none."""
        source, size = self.pieces[-1]
        with opened(source) as file:
            file.seek(max(0, size - 4096))
            lines = _decoded(file.read(min(size, 4096))).split("\n")
        return next((line for line in reversed(lines) if line.strip()), "")

    @property
    def size(self) -> int:
        """The bytes that can be searched."""
        return sum(size for _, size in self.pieces)

    def _first(self, overlap: int, found: Callable[["_Part"], Hit | None]) -> Hit | None:
        for number, (source, size) in enumerate(self.pieces):
            with opened(source) as file:
                hits = (found(part) for part in _parts(file, size, overlap))
                hit = next((hit for hit in hits if hit), None)
            if hit:
                return hit if not number else hit._replace(line=0)
        return None


def file_of(path: str, name: str) -> Searched:
    """Return a file as something to be searched, as long as it is now."""
    return Searched(name, ((path, os.path.getsize(path)),))


def bytes_of(*pieces: bytes, name: str, lost: int = 0) -> Searched:
    """Return pieces of an output that are in memory."""
    return Searched(name, tuple((piece, len(piece)) for piece in pieces), lost)


def opened(source: str | bytes) -> BinaryIO:
    """Open a piece of what is searched."""
    return io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")


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


def _hit(part: _Part, match: re.Match[str]) -> Hit:
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


_BEGUN = b"\0"
_SIZE = 8


def answer(searches: Sequence[tuple[Any, str]], fd: int) -> None:
    """Write the answers to searches, one after the other; each is told when it begins.

    Args:
        searches: What is searched, as `Searched` has it, and the pattern.
        fd: Where they are written.
    """
    for given, pattern in searches:
        os.write(fd, _BEGUN)
        found = Searched(*given).first(compile_pattern(pattern))
        body = marshal.dumps(None if found is None else (*found.hit, found.value))
        rest = memoryview(len(body).to_bytes(_SIZE, "big") + body)
        while rest:
            rest = rest[os.write(fd, rest) :]


def answers(data: bytes) -> tuple[list[Found | None], bool]:
    """Return the answers that were written, and whether another search had begun."""
    told: list[Found | None] = []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at + 1 : at + 1 + _SIZE], "big")
        body = data[at + 1 + _SIZE :][:size]
        if len(data) < at + 1 + _SIZE or len(body) < size:
            return told, True
        found = marshal.loads(body)  # noqa: S302 - our own process
        told.append(None if found is None else Found(Hit(*found[:2]), found[2]))
        at += 1 + _SIZE + size
    return told, False
