"""Handshake loop for unauthenticated connections, and the limits of a server.

One thread handles all of these connections, each with a bounded buffer and a deadline.
"""

import contextlib
import selectors
import socket
import time
from collections.abc import Callable
from typing import Final

import msgspec

from pytest_orchestrator.context.rpc.protocol import (
    RequestRefused,
    refusal_line,
    request_of,
    too_long,
)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a server.

    Attributes:
        connections: Maximum number of open connections, and at most a quarter of the files that
            the process may open. At the limit, a new connection closes the oldest unauthenticated
            one; if none exists, the authenticated one that has been silent longest.
        line: Maximum bytes of a request.
        first_line: Maximum bytes of the first request, which must contain a token.
        unauthenticated: Maximum bytes kept for all unauthenticated connections together; above
            it, the connection with the most bytes is closed.
        handshake: Seconds within which the first request must be complete.
        idle: Seconds without received bytes after which a connection is closed; None: no limit.
        sending: Seconds after which a connection whose client does not read a reply is closed.
        refused: Seconds that a refused client has to read the reply; its input is discarded.
        closing: Seconds that `Server.pause` waits for running requests after it has shut down
            reading, and again after it has shut down writing.
    """

    connections: int = 1_000
    line: int = 4 << 20
    first_line: int = 64 << 10
    unauthenticated: int = 2 << 20
    handshake: float = 5.0
    idle: float | None = 3600.0
    sending: float = 30.0
    refused: float = 1.0
    closing: float = 2.0


_CHUNK: Final = 1 << 16
_PAUSE_WITHOUT_FILES: Final = 0.1


class _PendingConnection:
    """State of an unauthenticated connection.

    Attributes:
        deadline: Deadline at which the connection is closed, by ``time.monotonic``.
        received: The bytes received so far.
        is_refused: True if the connection was refused.
    """

    __slots__ = ("deadline", "is_refused", "received")

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.received = bytearray()
        self.is_refused = False


class HandshakeLoop:
    """Loop that accepts connections, and passes those with a valid token to `admit`.

    Args:
        listener: The listening socket; the caller closes it.
        limits: The limits.
        check_token: Checks a token; raises `RequestRefused` if it is invalid.
        admit: Called with each authenticated connection and all bytes received from it.
        make_room: Closes the authenticated connection that has been silent longest; returns
            False if none exists.
        count_admitted: Returns the number of authenticated connections.
    """

    def __init__(
        self,
        listener: socket.socket,
        limits: Limits,
        *,
        check_token: Callable[[str], object],
        admit: Callable[[socket.socket, bytes], None],
        make_room: Callable[[], bool],
        count_admitted: Callable[[], int],
    ) -> None:
        self._listener, self._limits = listener, limits
        self._check_token, self._admit = check_token, admit
        self._make_room, self._count_admitted = make_room, count_admitted
        self._connection_limit = _connection_limit(limits)
        self._pending: dict[socket.socket, _PendingConnection] = {}
        self._received = 0
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._is_running = True

    @property
    def sockets(self) -> list[socket.socket]:
        """The sockets that a fork of this process must close."""
        return [self._wake_reader, self._wake_writer, *self._pending]

    def run(self) -> None:
        """Run the loop until `stop` is called."""
        listener = self._listener
        listener.setblocking(False)
        with selectors.DefaultSelector() as self._selector:
            self._selector.register(listener, selectors.EVENT_READ)
            self._selector.register(self._wake_reader, selectors.EVENT_READ)
            while self._is_running:
                ready = self._selector.select(self._seconds_to_deadline())
                for key, _ in ready:
                    if key.fileobj is listener:
                        self._accept()
                    elif (
                        isinstance(key.fileobj, socket.socket)
                        and key.fileobj is not self._wake_reader
                    ):
                        self._receive(key.fileobj)
                self._close_expired()
            for connection in list(self._pending):
                self._close(connection)
        self._wake_reader.close()
        self._wake_writer.close()

    def stop(self) -> None:
        """End `run`; thread-safe."""
        self._is_running = False
        with contextlib.suppress(OSError):
            self._wake_writer.send(b"!")

    def _seconds_to_deadline(self) -> float | None:
        if not self._pending:
            return None
        soonest = min(connection.deadline for connection in self._pending.values())
        return max(0.0, soonest - time.monotonic())

    def _accept(self) -> None:
        for _ in range(64):  # so that a flood of connections does not delay the existing ones
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:  # the process has no free file descriptor
                if self._is_running and not self._drop_one():
                    time.sleep(_PAUSE_WITHOUT_FILES)
                return
            if len(self._pending) + self._count_admitted() >= self._connection_limit:
                self._drop_one()
            connection.setblocking(False)
            self._pending[connection] = _PendingConnection(
                time.monotonic() + self._limits.handshake
            )
            self._selector.register(connection, selectors.EVENT_READ)

    def _drop_one(self) -> bool:
        """Close the oldest pending connection, else the admitted one that was silent longest.

        Return False if no connection exists.
        """
        if self._pending:
            self._close(next(iter(self._pending)))
            return True
        return self._make_room()

    def _receive(self, connection: socket.socket) -> None:
        pending = self._pending.get(connection)
        if pending is None:  # closed in this turn of the loop, to make room
            return
        try:
            data = connection.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(connection)
        elif not pending.is_refused:
            pending.received += data
            self._received += len(data)
            self._authenticate(connection, pending)
            if self._received > self._limits.unauthenticated:
                self._close(
                    max(self._pending, key=lambda other: len(self._pending[other].received))
                )

    def _authenticate(self, connection: socket.socket, pending: _PendingConnection) -> None:
        """Admit or refuse a connection by its first request; do nothing while it is incomplete."""
        line = bytes(pending.received.lstrip())
        line, is_complete, _ = line.partition(b"\n")
        try:
            if len(line) > self._limits.first_line:
                raise too_long(self._limits.first_line)
            if not is_complete:
                return
            self._check_token(request_of(line).token)
        except RequestRefused as error:
            self._refuse(connection, pending, refusal_line(error, line))
            return
        self._remove(connection)
        connection.setblocking(True)
        self._admit(connection, bytes(pending.received))

    def _refuse(self, connection: socket.socket, pending: _PendingConnection, reply: bytes) -> None:
        with contextlib.suppress(OSError):
            connection.send(reply)
            # Closing immediately could discard the reply before the client has read it.
            connection.shutdown(socket.SHUT_WR)
        self._received -= len(pending.received)
        pending.received.clear()
        pending.is_refused = True
        pending.deadline = time.monotonic() + self._limits.refused

    def _close_expired(self) -> None:
        """Close the connections whose deadline has passed."""
        now = time.monotonic()
        for connection, pending in list(self._pending.items()):
            if pending.deadline <= now:
                self._close(connection)

    def _close(self, connection: socket.socket) -> None:
        self._remove(connection)
        connection.close()

    def _remove(self, connection: socket.socket) -> None:
        self._received -= len(self._pending.pop(connection).received)
        self._selector.unregister(connection)


def _connection_limit(limits: Limits) -> int:
    """Return the maximum number of connections, which leaves file descriptors for other uses."""
    import resource

    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return limits.connections if files < 0 else min(limits.connections, max(files // 4, 1))
