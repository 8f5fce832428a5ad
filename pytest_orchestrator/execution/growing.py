"""A file that grows, sent in pieces; each is sent again until it is known to have arrived."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from pytest_orchestrator.execution.errands import Piece

LARGEST: Final = 1 << 20
"""Bytes of a piece, at most: as JSON it has to go into a request."""
_FEW: Final = 1 << 14


class Growing:
    """A file from its beginning.

    Args:
        stream: What it is called where it arrives.
        path: Where it is; it may not be there yet.
    """

    def __init__(self, stream: str, path: str) -> None:
        self._stream, self._path = stream, path
        self._sent = 0

    def pieces(self, ticket: str, most: int = LARGEST) -> Iterator[Piece]:
        """Give the next piece of so many bytes at most, where there is one."""
        data = b""
        with contextlib.suppress(OSError), open(self._path, "rb") as file:
            file.seek(self._sent)
            data = file.read(most)
        if data:
            yield Piece(ticket, self._stream, self._sent, data)

    def told(self, piece: Piece) -> None:
        """Take note of a piece that has arrived."""
        if piece.stream == self._stream and piece.at <= self._sent:
            self._sent = max(self._sent, piece.at + len(piece.data))


def last_of(
    files: Iterable[Growing], ticket: str, send: Callable[[Piece], object]
) -> tuple[Piece, ...]:
    """Send what has not arrived of files that grow no more, but for their last few bytes.

    Args:
        files: The files.
        ticket: Whose they are.
        send: Sends a piece, and returns once it has arrived.

    Returns:
        These, to be sent with what comes next; they are told once that has arrived.
    """
    few: list[Piece] = []
    for file in files:
        while pieces := list(file.pieces(ticket)):
            if len(pieces[0].data) <= _FEW:
                few += pieces
                break
            send(pieces[0])
            file.told(pieces[0])
    return tuple(few)
