"""Streaming text and pattern search in files and output of any size."""

import contextlib
import io
import os
import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple, cast

from pytest_orchestrator.core.mask_stream import unmask
from pytest_orchestrator.core.result import Stream
from pytest_orchestrator.recipe.expressions.expression import ExpressionError

PART = 4 << 20
"""Number of bytes that are searched for a pattern at a time."""

OVERLAP = 256 << 10
"""Bytes that two adjacent parts share: a match up to this length is always found."""


Times = Callable[[], Iterator[float]]
"""Function that begins a search. Its iterator yields the seconds for each attempt, from the start
of the part again, until it raises the exception that ends the search."""


class Hit(NamedTuple):
    """Line in which a text or a pattern was found.

    Attributes:
        line: Number of the line, from 1; 0 if it is not known.
        text: The line, or its beginning.
    """

    line: int
    text: str


class Found(NamedTuple):
    """First match of a text or a pattern.

    Attributes:
        hit: The line of the match.
        value: The first group, or the whole match if the pattern has no group; None for a text,
            or if the group did not take part in the match.
    """

    hit: Hit
    value: str | None


class Searched(NamedTuple):
    """File or captured output in which texts and patterns are searched.

    Attributes:
        name: The name in messages, such as ``stdout``.
        pieces: The path or the bytes of each contiguous piece, and the number of its bytes that
            are searched.
        lost: Number of bytes between the first and the last piece that were not stored.
    """

    name: str
    pieces: tuple[tuple[str | bytes, int], ...]
    lost: int = 0

    def text(self, wanted: str) -> Hit | None:
        """Return the first line that contains a text; None if no line does."""
        needle = wanted.encode("utf-8", "surrogateescape")
        found = self._first(len(needle), lambda part: _text(part, needle))
        return found and found.hit

    def first(self, wanted: re.Pattern[str], times: Times | None = None) -> Found | None:
        """Return the first match of a pattern, or None.

        A source larger than `PART` is searched in parts that overlap by `OVERLAP`.

        Args:
            wanted: The pattern; with `times` one of `core.text.interruptible_pattern`.
            times: The times after which the search in a part is interrupted; None for no limit.
        """
        return self._first(OVERLAP, lambda part: _match_in_time(part, wanted, times))

    def end(self) -> str:
        """Return the last line that is not blank, from the last 4096 bytes; else an empty text."""
        source, size = self.pieces[-1]
        with opened(source) as file:
            file.seek(max(0, size - 4096))
            lines = _decoded(file.read(min(size, 4096))).split("\n")
        return next((line for line in reversed(lines) if line.strip()), "")

    @property
    def size(self) -> int:
        """The number of bytes that can be searched."""
        return sum(size for _, size in self.pieces)

    def _first(self, overlap: int, search: Callable[["_Part"], Found | None]) -> Found | None:
        for number, (source, size) in enumerate(self.pieces):
            with opened(source) as file:
                found = next(filter(None, map(search, _parts(file, size, overlap))), None)
            if found:
                return found._replace(hit=found.hit._replace(line=0)) if number else found
        return None


def file_of(path: str, name: str) -> Searched:
    """Create a `Searched` over a file, up to its present size."""
    return Searched(name, ((path, os.path.getsize(path)),))


def bytes_of(*pieces: bytes, name: str, lost: int = 0) -> Searched:
    """Create a `Searched` over pieces of an output in memory."""
    return Searched(name, tuple((piece, len(piece)) for piece in pieces), lost)


def opened(source: str | bytes) -> BinaryIO:
    """Open a piece of a `Searched`, a path or bytes, for reading."""
    return io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")


class _Part(NamedTuple):
    """Part of a file that is searched at a time.

    Attributes:
        data: Its bytes, up to the end of a line, unless the line is longer than a part.
        before: The bytes right before it, at least one character; empty at the start of the file.
        line: Number of the line in which it begins, from 1.
        last: True if the file ends with it.
    """

    data: bytes
    before: bytes
    line: int
    last: bool


def _parts(file: BinaryIO, size: int, overlap: int) -> Iterator[_Part]:
    part_size = max(PART, 4 * overlap)
    kept, before, line = b"", b"", 1
    while True:
        data = kept + file.read(min(size, part_size - len(kept)))
        size -= len(data) - len(kept)
        if not size or len(data) < part_size:
            yield _Part(data, before, line, last=True)
            return
        stop = data.rfind(b"\n", 2 * overlap) + 1 or _between_characters(data, part_size - 4)
        yield _Part(data[:stop], before, line, last=False)
        start = _between_characters(data, stop - overlap)
        line += data.count(b"\n", 0, start)
        kept, before = data[start:], data[max(0, start - 4) : start]


def _between_characters(data: bytes, at: int) -> int:
    """Return a position that cuts no UTF-8 character, at most three bytes before ``at``."""
    starts = (at - back for back in range(4) if data[at - back] & 0xC0 != 0x80)
    return next(starts, at)


def _text(part: _Part, needle: bytes) -> Found | None:
    at = part.data.find(needle)
    if at < 0:
        return None
    start = part.data.rfind(b"\n", 0, at) + 1
    row = part.data[start : start + 1000].split(b"\n", 1)[0]
    return Found(Hit(part.line + part.data.count(b"\n", 0, at), _decoded(row)), None)


def _match_in_time(part: _Part, wanted: re.Pattern[str], times: Times | None) -> Found | None:
    for seconds in times() if times else ():
        with contextlib.suppress(TimeoutError):
            return _match(part, wanted, timeout=seconds)
    return _match(part, wanted)


def _match(part: _Part, wanted: re.Pattern[str], **limit: float) -> Found | None:
    # The character before the part keeps ``^`` and ``\A`` from matching at its start. The final
    # newline of a part that is not the last is left out: ``^`` would match after it.
    before = _decoded(part.before)[-1:]
    is_whole = part.last or part.data.endswith(b"\n")
    rows = part.data if part.last or not is_whole else part.data[:-1]
    text = before + _decoded(rows)
    is_open = not part.last and (not is_whole or r"\Z" in wanted.pattern)
    for match in wanted.finditer(text, len(before), **cast("Any", limit)):
        if is_open and match.end() == len(text):
            continue  # only the next part shows whether the match ends here
        start = text.rfind("\n", 0, match.start()) + 1
        line = part.line + text.count("\n", match.pos, match.start())
        hit = Hit(line, text[start : start + 1000].split("\n", 1)[0])
        return Found(hit, match[1] if match.re.groups else match[0])
    return None


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


_MAX_UNMASKED = 16 << 20


def searched(stream: Stream, name: str) -> Searched:
    """Return a `Searched` over the stored bytes of a stream, in which secrets may be masked.

    Args:
        stream: The stream.
        name: Its name in messages.
    """
    head, tail = stream.edges
    if stream.log is not None and stream.kept == stream.size:
        return file_of(stream.log, name)
    if stream.size == len(head) + len(tail):
        return bytes_of(head + tail, name=name)
    lost = stream.size - len(tail) - max(stream.kept, len(head))
    rest = bytes_of(head, tail, name=name, lost=max(0, lost))
    if stream.log is None or stream.kept <= len(head):
        return rest
    log = file_of(stream.log, name).pieces[0]
    return rest._replace(pieces=((log[0], stream.kept), rest.pieces[1]))


def unmasked(stream: Stream, name: str, limit: int) -> Searched:
    """Return a `Searched` over a stream with its secrets restored, or masked if that is impossible.

    Args:
        stream: The stream.
        name: Its name in messages.
        limit: The largest size in bytes at which secrets are restored; larger streams stay masked.
    """
    raw = _whole(stream, limit) if stream.replaced else None
    return searched(stream, name) if raw is None else bytes_of(raw, name=name)


def text(stream: Stream, name: str, limit: int) -> str:
    """Return a whole stream as text with its secrets restored; replace bytes that are not UTF-8.

    Raises:
        ExpressionError: The stream is larger than the limit, was not stored whole, or was masked
            partly in memory and partly in its log.
    """
    raw = _whole(stream, limit)
    if raw is None:
        why = f"above {limit >> 20} MiB" if stream.size > limit else "not all in its log"
        cure = f"{name}_contains and {name}_matches see all that was kept"
        raise ExpressionError(f"{name} is {why}, so no expression can read it; {cure}")
    return raw.decode("utf-8", "replace")


def tail(stream: Stream, limit: int) -> str:
    """Return the last part of what was kept of a stream as text; replace bytes that are not UTF-8.

    Secrets are restored in streams of up to 16 MiB.

    Args:
        stream: The stream.
        limit: The largest size of the part in bytes.

    Raises:
        OSError: The log of the stream cannot be read.
    """
    whole = _whole(stream, _MAX_UNMASKED) if stream.replaced else None
    if whole is not None:
        return _end_of(whole, limit)
    source, kept = searched(stream, ""), b""
    for piece, size in reversed(source.pieces):
        with opened(piece) as file:
            file.seek(max(0, size - limit))
            kept = file.read(min(size, limit)) + kept
        if source.lost or len(kept) >= limit:
            break
    return _end_of(kept, limit)


def _end_of(raw: bytes, limit: int) -> str:
    """Decode the last bytes of an output, from the first whole character on."""
    end = raw[-limit:]
    if len(end) == limit:
        start = next((at for at, byte in enumerate(end[:4]) if byte & 0xC0 != 0x80), 0)
        end = end[start:]
    return end.decode("utf-8", "replace")


def _whole(stream: Stream, limit: int) -> bytes | None:
    source = searched(stream, "")
    if stream.size > limit or source.lost:
        return None
    pieces = []
    for piece, size in source.pieces:
        with opened(piece) as file:
            pieces.append(file.read(size))
    if stream.edges == (b"", b""):
        return unmask(b"".join(pieces), stream.replaced)
    is_in_log = len(pieces) > 1 and stream.kept > len(stream.edges[0])
    return None if is_in_log and stream.replaced else b"".join(pieces)
