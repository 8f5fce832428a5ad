"""Client of a Context in another process; same results, errors and texts.

A value is checked here, in the words of the Context, since JSON would quietly make a list
of a tuple. All that depends on the state is said by who keeps it.

One request is answered before the next is sent, whichever threads ask. A signal handler or
a finalizer may ask in the middle of it, and one that an exception interrupts is forgotten:
replies are told apart by their numbers.
"""

import contextlib
import itertools
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol, Self, cast

from msgspec import UNSET, UnsetType

from pytest_orchestrator.context import history
from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc import address as rpc_address
from pytest_orchestrator.context.rpc import protocol
from pytest_orchestrator.context.rpc.address import ContextUnreachable
from pytest_orchestrator.context.rpc.protocol import (
    LineBuffer,
    Path,
    Reply,
    Request,
    RequestRefused,
    reply_of,
    request_line,
)
from pytest_orchestrator.context.state import checked_who
from pytest_orchestrator.core.errors import (
    ContextKeyError,
    ContextTypeError,
    JournalError,
    OrchestratorError,
)
from pytest_orchestrator.core.events import Change
from pytest_orchestrator.core.json_values import MAX_DEPTH, NotJson, json_copy, kind
from pytest_orchestrator.core.keys import checked_key

_CHUNK: Final = 1 << 16
_ENDLESS: Final = 1 << 62
_WAKING: Final = request_line(Request(op="missed"))


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


class ClosedConnection:
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
        self._lines = LineBuffer(_ENDLESS)
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


_ERRORS: Final = {
    error.slug: error
    for error in (ContextKeyError, ContextTypeError, JournalError, NotJson, RequestRefused)
}
_READING: Final = {"get", "contains", "history", "last_modified"}


class RemoteContext(Context):
    """A `Context` that another process keeps; see there for what each operation does.

    Any number of threads may use it, and one process: the first that asks, which may be a
    fork of the one that made it.
    """

    __slots__ = ("_exchange", "_name", "_own")

    def __init__(self, connection: Connection, who: str | None = None, token: str = "") -> None:
        """Use a connection, which stays the caller's to close.

        Args:
            connection: A connected socket that blocks, or `Pipes`.
            who: Who changes the Context, where a call does not say so; default: the name
                that the server's handle has.
            token: The password of the server.
        """
        self._exchange = Exchange(connection, token)
        self._name = who
        self._own: socket.socket | None = None

    @classmethod
    def connect(
        cls,
        address: str | None = None,
        token: str | None = None,
        who: str | None = None,
        timeout: float | None = None,
        patience: float = rpc_address.PATIENCE,
    ) -> "RemoteContext":
        """Use the Context that a server offers.

        Args:
            address: ``host:port``, or the path of a Unix socket; default: what
                ``ORCHESTRATOR_ADDRESS`` says, or ``.orchestrator/server.json`` in this folder
                or one above.
            token: The server's token; default: from the same place.
            who: Who changes the Context; default: whose the token is.
            timeout: Seconds after which an answer is not waited for any more; default: for ever.
            patience: Seconds after which nobody is taken to listen.

        Returns:
            The Context, to be closed, or used in a ``with`` statement.

        Raises:
            ContextUnreachable: Nobody listens, or it is nowhere told where.
            RequestRefused: The token is wrong.
        """
        where = rpc_address.find_server(address, token)
        link = where.connected(patience)
        link.settimeout(timeout)
        remote = cls(link, None if who is None else checked_who(who), where.token)
        remote._own = link
        try:
            remote.missed  # noqa: B018  # a first request, short as it must be, shows the token
        except BaseException:
            link.close()
            raise
        return remote

    def show(self, token: str) -> None:
        """Be who has another token, from the next request on."""
        self._exchange.token = token

    def close(self) -> None:
        """Close the connection that `connect` has made."""
        if self._own is not None:
            self._own.close()
            self._exchange.connection = ClosedConnection()

    def hang_up(self) -> None:
        """Let nobody wait for an answer any more; from any thread."""
        if self._own is not None:
            with contextlib.suppress(OSError):
                self._own.shutdown(socket.SHUT_RDWR)

    def request(self, name: str, value: Any = None) -> Any:
        """Send another request than one for the Context, as xdist and Dask have them.

        Args:
            name: What for.
            value: Plain JSON.

        Returns:
            What it answers.

        Raises:
            OrchestratorError: It is refused.
        """
        return self._ask(name, value=value).value

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def bound(
        self,
        who: str,
        on_change: Callable[[Change], None] | None = None,
        by: str = "",  # noqa: ARG002 # its keeper knows
    ) -> "RemoteContext":
        """Make another handle on the same state; of changes only its keeper can tell."""
        if on_change is not None:
            raise ContextTypeError("changes of a Context elsewhere are told where it is kept")
        handle = RemoteContext.__new__(RemoteContext)
        handle._exchange, handle._name = self._exchange, checked_who(who)  # noqa: SLF001
        handle._own = None  # noqa: SLF001
        return handle

    @property
    def missed(self) -> tuple[str, ...]:
        """Paths that were asked for through the server's handle and not there."""
        return tuple(self._ask("missed").value)

    def set(self, key: str, value: object, who: str | None = None) -> None:
        """Store a value under a key."""
        self._ask("set", key, json_copy(value), who=who)

    def get(self, key: str, default: Any = None) -> Any:
        """Read the value of a key or path."""
        reply = self._ask("get", key)
        return default if reply.missing else reply.value

    def __getitem__(self, key: str) -> Any:
        return self._ask("item", key).value

    def __contains__(self, key: object) -> bool:
        return bool(self._ask("contains", key).value)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def append(self, key: str, value: object, who: str | None = None) -> None:
        """Add an item to the list under a key."""
        self._ask("append", key, json_copy(value, depth=MAX_DEPTH - 1), who=who)

    def increment(self, key: str, by: float = 1, who: str | None = None) -> int | float:
        """Add to the number under a key and return the sum."""
        return cast("float", self._ask("increment", key, json_copy(by, "by"), who=who).value)

    def delete(self, key: str, who: str | None = None) -> None:
        """Remove a key and its value."""
        self._ask("delete", key, who=who)

    def pop(self, key: str, index: int = -1, who: str | None = None) -> Any:
        """Remove an item from the list under a key and return it."""
        if type(index) is not int:
            raise ContextTypeError(f"the index of pop is an integer, not {kind(index)}")
        return self._ask("pop", key, index=index, who=who).value

    def keys(self) -> list[str]:
        """Return all keys."""
        return cast("list[str]", self._ask("keys").value)

    def to_dict(self) -> dict[str, Any]:
        """Return all values by key."""
        return cast("dict[str, Any]", self._ask("full").value)

    def get_history(self, key: str) -> list[dict[str, Any]]:
        """Return every change of a key, oldest first."""
        return cast("list[dict[str, Any]]", self._ask("history", key).value or [])

    def last_modified(self, key: str) -> str | None:
        """Return when a key was changed last, in ISO 8601 UTC."""
        return cast("str | None", self._ask("last_modified", key).value)

    def snapshot(self) -> dict[str, Any]:
        """Return values and history as plain JSON."""
        return cast("dict[str, Any]", self._ask("snapshot").value)

    def restore(self, snapshot: dict[str, Any], who: str | None = None) -> None:
        """Make the values those of a snapshot."""
        history.read_snapshot(snapshot)
        plain = json_copy(snapshot, "snapshot", protocol.MAX_DEPTH)
        self._ask("restore", value=plain, who=who)

    def __repr__(self) -> str:
        return "<Context of another process>"

    def _reply(self, op: str, path: Any, value: Any, index: int, who: Any) -> Reply:
        return self._exchange.ask(op, path, value, index, who)

    def _ask(
        self, op: str, path: Any = UNSET, value: Any = UNSET, index: int = -1, who: Any = None
    ) -> Reply:
        if type(path) is not str and path is not UNSET:
            path = _plain_path(path)
        who = self._name if who is None else who
        if type(who) is not str and who is not None:
            who = _plain_who(who)
        try:
            reply = self._reply(op, path, value, index, who)
        except UnicodeEncodeError:  # lone surrogates, which no key has
            if op in _READING:
                return Reply(ok=True, value=None, missing=True)
            checked_key(path)
            checked_who(who)
            raise
        if not reply.ok:
            raise _ERRORS.get(reply.kind, OrchestratorError)(reply.error)
        return reply


def _plain_path(path: object) -> Path:
    """Make of a path what JSON has, or raise what the Context would say of it."""
    if isinstance(path, str):
        return str.__str__(path)
    if path is None or type(path) in (bool, int):
        return cast("Path", path)
    return checked_key(cast("str", path))


def _plain_who(who: object) -> Path:
    if type(who) in (bool, int):
        return cast("Path", who)
    return checked_who(cast("str", who))
