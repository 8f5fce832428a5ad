"""Message framing: a length of four bytes, then one marshalled value.

Both ends run the same interpreter. marshal carries bytes and names that are not UTF-8, and needs no
import; json (with re) and socket (with selectors) would double the start-up time of the supervisor.
For the same reason no module that the supervisor loads imports typing at run time.
"""

from __future__ import annotations

import os
import sys
from _socket import CMSG_SPACE, SCM_RIGHTS, SOL_SOCKET, socket
from marshal import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

EDGE = 1 << 15
"""Bytes of the beginning of an output that are kept in memory and sent, and as many of its end."""

_HEAD = 4
_FD = 4
_MOST_FDS = 250  # the kernel takes 253 at a time
_PIECE = 1 << 16
_ROOM = CMSG_SPACE(_MOST_FDS * _FD)


def send(to: socket, value: Any, fds: Sequence[int] = ()) -> None:
    """Send a value, together with duplicates of open file descriptors.

    Args:
        to: One end of a socket pair.
        value: Numbers, text, bytes, None, and lists, tuples and mappings of these.
        fds: At most 250 file descriptors.

    Raises:
        OSError: The other end is gone.
    """
    payload = dumps(value)
    data = len(payload).to_bytes(_HEAD, "big") + payload
    if fds:
        rights = b"".join(fd.to_bytes(_FD, sys.byteorder) for fd in fds)
        data = data[to.sendmsg([data], [(SOL_SOCKET, SCM_RIGHTS, rights)]) :]
    if data:  # sending zero bytes to a peer that has received all and closed would fail
        to.sendall(data)


def receive(source: socket) -> tuple[Any, list[int]]:
    """Receive one value with its file descriptors, and leave later bytes in the socket.

    Args:
        source: One end of a socket pair.

    Returns:
        The value, and the file descriptors that were sent with it; they are not inheritable.

    Raises:
        EOFError: The other end is gone.
    """
    try:
        head, ancillary, _, _ = source.recvmsg(_HEAD, _ROOM)
        fds = [fd for level, kind, raw in ancillary for fd in _fds(level, kind, raw)]
        size = int.from_bytes(_whole(source, head, _HEAD), "big")
        return loads(_whole(source, source.recv(size), size)), fds  # noqa: S302 - our own process
    except ConnectionError:
        raise EOFError from None


def answer(source: socket) -> Any:
    """Receive one value without descriptors; a second value must not arrive meanwhile.

    This takes fewer system calls than `receive`, but it would lose a second value.

    Args:
        source: One end of a socket pair.

    Raises:
        EOFError: The other end is gone.
        TimeoutError: The value did not arrive within the timeout of the socket.
    """
    try:
        data = _whole(source, source.recv(_PIECE), _HEAD)
        size = int.from_bytes(data[:_HEAD], "big")
        return loads(_whole(source, data[_HEAD:], size))  # noqa: S302 - our own process
    except ConnectionError:
        raise EOFError from None


def frames(pieces: bytearray) -> Iterator[Any]:
    """Yield and remove the complete values in a buffer; leave an incomplete last value there.

    Args:
        pieces: The received bytes of one sender, in order.

    Raises:
        EOFError, TypeError, ValueError: The bytes were not sent by `send`.
    """
    while len(pieces) >= _HEAD:
        end = _HEAD + int.from_bytes(pieces[:_HEAD], "big")
        if len(pieces) < end:
            return
        payload = bytes(pieces[_HEAD:end])
        del pieces[:end]
        yield loads(payload)  # noqa: S302 - its type is checked before it is used


def _whole(source: socket, data: bytes, size: int) -> bytes:
    """Return ``data`` and further bytes from the socket, at least ``size`` bytes in total."""
    if len(data) >= size:
        return data
    pieces = bytearray(data)
    while data and len(pieces) < size:
        data = source.recv(size - len(pieces))
        pieces += data
    if len(pieces) < size:
        raise EOFError
    return bytes(pieces)


def _fds(level: int, kind: int, raw: bytes) -> list[int]:
    if (level, kind) != (SOL_SOCKET, SCM_RIGHTS):
        return []
    whole = len(raw) - len(raw) % _FD
    fds = [int.from_bytes(raw[at : at + _FD], sys.byteorder) for at in range(0, whole, _FD)]
    for fd in fds:
        os.set_inheritable(fd, False)
    return fds
