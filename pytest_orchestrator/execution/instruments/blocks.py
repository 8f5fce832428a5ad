"""Binary blocks of IEEE 488.2: ``#210`` and ten bytes of data, or ``#0`` and data to the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pytest_orchestrator.instrument import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_SHOWN = 40


class ShortAnswer(Exception):
    """An answer ended before the bytes that were asked for.

    Attributes:
        count: The number of these bytes that came.
    """

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


class BlockProblem(Exception):
    """An answer is no valid block; the text continues "the answer to 'CURV?'"."""


class BlockSource(Protocol):
    """Bytes of one answer.

    Attributes:
        has_ended: True if the end of the answer was received.
    """

    has_ended: bool

    def take(self, count: int) -> bytes:
        """Return the next bytes.

        Raises:
            ShortAnswer: Not as many bytes came in time.
        """

    def end(self) -> bytes:
        """Return the bytes after a block up to the end of the answer, which may be none."""

    def rest(self) -> bytes:
        """Return all further bytes of the answer."""


def with_header(data: bytes) -> bytes:
    """Return data as a block of definite length."""
    size = str(len(data)).encode()
    return b"#%d%b%b" % (len(size), size, data)


def read_block(source: BlockSource) -> bytes:
    """Read an answer that is a block, and return the data of the block.

    Args:
        source: The bytes of the answer.

    Raises:
        BlockProblem: The answer is no complete block.
        TimeoutError: There is no answer.
    """
    digits = _digits(source)
    if digits == 0:
        data = source.rest()
        return data[: -len(_line_end(data))] if _line_end(data) else data
    try:
        size = source.take(digits)
    except ShortAnswer:
        raise BlockProblem("has an incomplete block header") from None
    if not size.isdigit():
        raise BlockProblem(f"has a wrong block header: {_quoted(b'#%d' % digits + size)}")
    try:
        data = source.take(int(size))
    except ShortAnswer as short:
        whole = f"{int(size):,}"
        raise BlockProblem(
            f"ends after {short.count:,} of the {whole} bytes of its block"
        ) from None
    more = source.end().rstrip(b"\r\n")
    if more:
        raise BlockProblem(f"has more after its block of {int(size):,} bytes: {_quoted(more)}")
    return data


def _digits(source: BlockSource) -> int:
    """Read the first two bytes of a block; return the number of digits of its length."""
    try:
        start = source.take(2)
    except ShortAnswer as short:
        if not short.count:
            raise TimeoutError from None
        raise BlockProblem("has an incomplete block header") from None
    if start[:1] != b"#":
        raise BlockProblem(f"is no block: {_quoted(start + _rest(source))}")
    if not start[1:].isdigit():
        raise BlockProblem(f"has a wrong block header: {_quoted(start + _rest(source))}")
    return int(start[1:])


def _rest(source: BlockSource) -> bytes:
    try:
        return source.rest().rstrip(b"\r\n")
    except Exception:  # noqa: BLE001 - the bytes are for a message only
        return b""


def _line_end(data: bytes) -> bytes:
    return b"\n" if data.endswith(b"\n") else b""


def _quoted(data: bytes) -> str:
    return f"'{shown(data.decode('ascii', 'backslashreplace'), _MOST_SHOWN)}'"


class MessageSource:
    """Bytes of an answer whose end the instrument marks.

    Args:
        pieces: The pieces of the answer as they arrive. A TimeoutError says that no more come.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.has_ended = True
        self._pieces = pieces
        self._left = bytearray()

    def take(self, count: int) -> bytes:
        """Return the next bytes; see `BlockSource`."""
        while len(self._left) < count:
            try:
                self._left += next(self._pieces)
            except (TimeoutError, StopIteration):
                raise ShortAnswer(len(self._left)) from None
        data = bytes(self._left[:count])
        del self._left[:count]
        return data

    def end(self) -> bytes:
        """Return the bytes after a block; see `BlockSource`."""
        return bytes(self._left)

    def rest(self) -> bytes:
        """Return all further bytes; see `BlockSource`."""
        return bytes(self._left)
