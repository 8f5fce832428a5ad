"""Requests go out and replies come back over one connection, each to whom it belongs.

One request is answered before the next is sent, whichever threads ask. A signal handler or
a finalizer may ask in the middle of it, and one that an exception interrupts is forgotten:
replies are told apart by their numbers.
"""

import itertools
import os
import threading
from typing import Any, Final, Protocol

from msgspec import UNSET, UnsetType

from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.remote.lines import Lines
from pytest_orchestrator.remote.protocol import Path, Reply, Request, reply_of, request_line

_CHUNK: Final = 1 << 16
_ENDLESS: Final = 1 << 62
_WAKING: Final = request_line(Request(op="missed"))


class ContextUnreachable(OrchestratorError, ConnectionError):
    """The process that keeps the Context cannot be asked."""

    slug = "context-unreachable"


class Connection(Protocol):
    """What a connected, blocking socket can do, and `Pipes` too."""

    def send(self, data: bytes | memoryview, /) -> int:
        """Send some of it and return how many bytes."""

    def recv(self, size: int, /) -> bytes:
        """Wait for some bytes; nothing where the other side has closed."""


class Pipes:
    """Two file descriptors as one connection.

    Attributes:
        reader: Where replies come from.
        writer: Where requests go.
    """

    def __init__(self, reader: int, writer: int) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes | memoryview, /) -> int:
        """Send some of it and return how many bytes."""
        return os.write(self.writer, data)

    def recv(self, size: int, /) -> bytes:
        """Wait for some bytes; nothing where the other side has closed."""
        return os.read(self.reader, size)


class Closed:
    """What was a connection, until its user closed it."""

    def send(self, data: bytes | memoryview, /) -> int:  # noqa: ARG002
        """Send nothing.

        Raises:
            ContextUnreachable: Always.
        """
        raise ContextUnreachable("this Context was closed; connect again to use it")

    def recv(self, size: int, /) -> bytes:  # noqa: ARG002
        """Have nothing."""
        return b""


class _Process:
    """This process; another object in each fork, which is quicker to see than its pid."""

    here: "_Process"

    def __init__(self) -> None:
        self.pid = os.getpid()

    @classmethod
    def renew(cls) -> None:
        cls.here = cls()


_Process.renew()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Process.renew)


class Exchange:
    """The client's side of one connection.

    It may be made before a fork: it belongs to the process that asks first, and its forks
    are refused, since two would read each other's replies.

    Attributes:
        connection: What carries the lines; whoever made it closes it.
        token: What each request shows.
    """

    __slots__ = (
        "_is_half_sent",
        "_is_unsure",
        "_lines",
        "_lock",
        "_numbers",
        "_process",
        "_replies",
        "connection",
        "token",
    )

    def __init__(self, connection: Connection, token: str = "") -> None:
        self.connection = connection
        self.token = token
        self._process: _Process | None = None
        self._lock = threading.RLock()
        self._lines = Lines(_ENDLESS)
        self._numbers = itertools.count(1)
        # By number of the request; more than one where one interrupts another in its thread.
        self._replies: dict[int, Reply | None] = {}
        self._is_unsure = False
        self._is_half_sent = False

    def ask(
        self,
        op: str,
        path: Path | UnsetType = UNSET,
        value: Any = UNSET,
        index: int = -1,
        who: Any = None,
        token: str | None = None,
    ) -> Reply:
        """Send a request and wait for its reply.

        Args:
            op: The operation; it and the rest as in `Request`.
            path: The key or path.
            value: Plain JSON.
            index: For pop, the place in the list.
            who: Who changes the Context.
            token: Of another handle than the connection's own.

        Returns:
            The reply, be it an error.

        Raises:
            ContextUnreachable: Nobody answers.
            UnicodeEncodeError: `path` or `who` have lone surrogates; nothing was sent.
        """
        if self._process is not _Process.here:
            self._own()
        number = next(self._numbers)
        known = self.token if token is None else token
        line = request_line(Request(number, op, path, value, index, who, known))
        with self._lock:
            replies = self._replies
            try:
                replies[number] = None
                self._send(line)
                while (reply := replies[number]) is None:
                    self._receive()
                if len(replies) > 1:
                    self._wake()
            except BaseException:
                self._is_unsure = True
                raise
            finally:
                replies.pop(number, None)
            self._is_unsure = False
            return reply

    def _own(self) -> None:
        if self._process is None:
            self._process = _Process.here
        # Of threads that ask first at once, another may have been here already.
        if self._process is not _Process.here:
            raise ContextUnreachable(
                f"the Context is used by process {self._process.pid}, and a process that it "
                "forked cannot use it too; hand over the values that it needs and that it finds"
            )

    def _send(self, line: bytes) -> None:
        if self._is_unsure or len(self._replies) > 1:
            if self._is_half_sent:
                raise ContextUnreachable("a longer request is just being sent; ask again after it")
            line = b"\n" + line  # ends what an interrupted request may have left of itself
        try:
            sent = self.connection.send(line)
            if sent < len(line):
                self._send_rest(memoryview(line)[sent:])
        except (BrokenPipeError, ConnectionResetError) as error:
            raise _gone() from error

    def _send_rest(self, rest: memoryview) -> None:
        self._is_half_sent = True
        try:
            while rest:
                rest = rest[self.connection.send(rest) :]
        finally:
            self._is_half_sent = False

    def _receive(self) -> None:
        try:
            data = self.connection.recv(_CHUNK)
        except ConnectionResetError as error:
            raise _gone() from error
        if not data:
            raise _gone()
        for line in self._lines.feed(data):
            try:
                reply = reply_of(line)
            except ValueError as error:
                if self._is_unsure:
                    continue  # the rest of a reply that was interrupted
                raise ContextUnreachable(f"what answers is no Context: {error}") from error
            if reply.id in self._replies:
                self._replies[reply.id] = reply

    def _wake(self) -> None:
        """Let the request that this one interrupted see its reply, which came before this one's.

        It may still wait for bytes that have been read by now, so it gets others.
        """
        self._send(_WAKING)


def _gone() -> ContextUnreachable:
    return ContextUnreachable("the process that keeps the Context has closed the connection")
