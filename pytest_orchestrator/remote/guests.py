"""A connection that has shown a token, and the conversation with whoever has it."""

import contextlib
import socket
import struct
import time
from collections.abc import Iterator
from hmac import compare_digest
from typing import Final, cast

from pytest_orchestrator.remote.grants import Grant, Grants
from pytest_orchestrator.remote.limits import Limits
from pytest_orchestrator.remote.protocol import (
    Askable,
    Conversation,
    Reply,
    Request,
    refusal_line,
    too_long,
)

_CHUNK: Final = 1 << 16
_LITTLE: Final = 1 << 11
"""Bytes that are asked for where little is expected: hundreds of threads wait with them."""


class Talk(Conversation):
    """The conversation with one who has a token."""

    __slots__ = ("_grant", "_grants")

    def __init__(self, grants: Grants, max_line: int) -> None:
        super().__init__(cast("Askable", None), max_line=max_line)
        self._grants = grants
        self._grant: Grant | None = None

    def answered(self, request: Request) -> Reply:
        """Do what a request asks, by the token that it has."""
        grant, token = self._grant, request.token
        if grant is None or not token.isascii() or not compare_digest(token, grant.token):
            self._grant = None  # until it is known whose the other one is
            grant = self._grant = self._grants.of(request.token)
        return grant.answered(request)

    @property
    def is_over(self) -> bool:
        """True where the last request had no good token."""
        return self._grant is None


class Guest:
    """A connection that has shown a token.

    Attributes:
        connection: Its socket.
        heard: When it last sent something, by ``time.monotonic``.
    """

    def __init__(self, connection: socket.socket, talk: Talk, limits: Limits) -> None:
        self.connection, self._talk, self._limits = connection, talk, limits
        self.heard = time.monotonic()

    def serve(self, said: bytes) -> None:
        """Answer until the client is gone, silent for too long, or refused."""
        connection = self.connection
        # Time-outs of the kernel's: those of Python cost a call of `poll` each.
        if self._limits.idle is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _time(self._limits.idle))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _time(self._limits.sending))
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):  # gone, or silent for too long
            data = said
            while data:
                if data.count(b"\n") == 1:  # nearly always
                    connection.sendall(self._talk.receive(data))
                else:
                    for reply in self._told(data):
                        connection.sendall(reply)
                if self._talk.is_over or self._talk.is_too_long:
                    self._send_off()
                    return
                data = connection.recv(_CHUNK if len(data) == _LITTLE else _LITTLE)
                self.heard = time.monotonic()

    def _told(self, data: bytes) -> Iterator[bytes]:
        yield from filter(None, self._talk.replies(data))
        if self._talk.is_too_long:
            yield refusal_line(too_long(self._limits.line), b"")

    def _send_off(self) -> None:
        """Let the client read why; to close at once would take the answer from it."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _time(1.0))
        self.connection.shutdown(socket.SHUT_WR)
        until = time.monotonic() + 1.0
        while time.monotonic() < until and self.connection.recv(_CHUNK):
            pass

    def shut(self, how: int) -> None:
        """Wake its thread, which then ends."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(how)

    def close(self) -> None:
        """Close it."""
        self.connection.close()


def _time(seconds: float) -> bytes:
    whole = int(seconds)
    return struct.pack("@ll", whole, int((seconds - whole) * 1e6))
