"""Handshake loop for unauthenticated connections, and the limits of a server.

One thread holds all of them, each with a bounded buffer and a deadline.
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
        connections: Open at once, at most; a quarter of the files that the process may open
            is not exceeded either. Where there is no place, the longest silent one is closed.
        line: Bytes of a request.
        first_line: Bytes of the first request, which has to show a token.
        waiting: Bytes that all who have shown no token may have sent, together.
        hello: Seconds until the first request must be complete.
        idle: Seconds without a request after which a connection is closed; None is for ever.
        sending: Seconds for which nobody takes a reply.
    """

    connections: int = 1_000
    line: int = 4 << 20
    first_line: int = 64 << 10
    waiting: int = 2 << 20
    hello: float = 5.0
    idle: float | None = 3600.0
    sending: float = 30.0


_CHUNK: Final = 1 << 16
_LEAVING: Final = 1.0
"""Seconds for one that was refused to read why; it is not listened to any more."""
_SHORT_OF_FILES: Final = 0.1


class _PendingConnection:
    """A connection that has shown no token.

    Attributes:
        until: When it is closed, by ``time.monotonic``.
        said: What it has sent.
        leaves: It was refused.
    """

    __slots__ = ("leaves", "said", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        self.said = bytearray()
        self.leaves = False


class HandshakeLoop:
    """Accepts connections, and lets those in that show a token.

    Args:
        listener: The listening socket; closed by whoever made it.
        limits: The limits.
        known: Looks a token up; raises `RequestRefused`.
        enter: Takes a connection that has shown one, with all that it has sent.
        make_room: Closes the longest silent of those that are in; False where there is none.
        inside: Counts those that are in.
    """

    def __init__(
        self,
        listener: socket.socket,
        limits: Limits,
        *,
        known: Callable[[str], object],
        enter: Callable[[socket.socket, bytes], None],
        make_room: Callable[[], bool],
        inside: Callable[[], int],
    ) -> None:
        self._listener, self._limits = listener, limits
        self._known, self._enter = known, enter
        self._make_room, self._inside = make_room, inside
        self._most = _most(limits)
        self._visitors: dict[socket.socket, _PendingConnection] = {}
        self._said = 0
        self._bell, self._rope = socket.socketpair()
        self._open = True

    @property
    def sockets(self) -> list[socket.socket]:
        """All that a fork must not keep open."""
        return [self._bell, self._rope, *self._visitors]

    def run(self) -> None:
        """Do it until `stop`."""
        listener = self._listener
        listener.setblocking(False)
        with selectors.DefaultSelector() as self._selector:
            self._selector.register(listener, selectors.EVENT_READ)
            self._selector.register(self._bell, selectors.EVENT_READ)
            while self._open:
                ready = self._selector.select(self._seconds())
                for key, _ in ready:
                    if key.fileobj is listener:
                        self._accept()
                    elif isinstance(key.fileobj, socket.socket) and key.fileobj is not self._bell:
                        self._hear(key.fileobj)
                self._see_off()
            for visitor in list(self._visitors):
                self._close(visitor)
        self._bell.close()
        self._rope.close()

    def stop(self) -> None:
        """Let `run` return."""
        self._open = False
        with contextlib.suppress(OSError):
            self._rope.send(b"!")

    def _seconds(self) -> float | None:
        if not self._visitors:
            return None
        soonest = min(visitor.until for visitor in self._visitors.values())
        return max(0.0, soonest - time.monotonic())

    def _accept(self) -> None:
        for _ in range(64):  # those who are here already have their turn in between
            try:
                visitor, _ = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:  # no file is left for it
                if self._open and not self._drop_one():
                    time.sleep(_SHORT_OF_FILES)
                return
            if len(self._visitors) + self._inside() >= self._most:
                self._drop_one()
            visitor.setblocking(False)
            self._visitors[visitor] = _PendingConnection(time.monotonic() + self._limits.hello)
            self._selector.register(visitor, selectors.EVENT_READ)

    def _drop_one(self) -> bool:
        """Close the longest silent connection."""
        if self._visitors:
            self._close(next(iter(self._visitors)))
            return True
        return self._make_room()

    def _hear(self, visitor: socket.socket) -> None:
        about = self._visitors.get(visitor)
        if about is None:  # closed a moment ago, to make room
            return
        try:
            data = visitor.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(visitor)
        elif not about.leaves:
            about.said += data
            self._said += len(data)
            self._judge(visitor, about)
            if self._said > self._limits.waiting:
                self._close(max(self._visitors, key=lambda one: len(self._visitors[one].said)))

    def _judge(self, visitor: socket.socket, about: _PendingConnection) -> None:
        """Let a visitor in by its first request, refuse it, or wait for more of it."""
        line = bytes(about.said.lstrip())
        line, is_whole, _ = line.partition(b"\n")
        try:
            if len(line) > self._limits.first_line:
                raise too_long(self._limits.first_line)
            if not is_whole:
                return
            self._known(request_of(line).token)
        except RequestRefused as error:
            self._refuse(visitor, about, refusal_line(error, line))
            return
        self._forget(visitor)
        visitor.setblocking(True)
        self._enter(visitor, bytes(about.said))

    def _refuse(self, visitor: socket.socket, about: _PendingConnection, why: bytes) -> None:
        with contextlib.suppress(OSError):
            visitor.send(why)
            # What it sends yet is thrown away: to close now would take the answer from it.
            visitor.shutdown(socket.SHUT_WR)
        self._said -= len(about.said)
        about.said.clear()
        about.leaves = True
        about.until = time.monotonic() + _LEAVING

    def _see_off(self) -> None:
        """Close those whose time is over."""
        now = time.monotonic()
        for visitor, about in list(self._visitors.items()):
            if about.until <= now:
                self._close(visitor)

    def _close(self, visitor: socket.socket) -> None:
        self._forget(visitor)
        visitor.close()

    def _forget(self, visitor: socket.socket) -> None:
        self._said -= len(self._visitors.pop(visitor).said)
        self._selector.unregister(visitor)


def _most(limits: Limits) -> int:
    """Return how many connections there may be; the process itself must have files to open."""
    import resource

    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return limits.connections if files < 0 else min(limits.connections, max(files // 4, 1))
