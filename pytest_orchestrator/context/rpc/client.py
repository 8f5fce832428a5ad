"""Client of a Context in another process; it returns and raises the same as a local Context.

The client checks values before it sends them, because JSON would silently turn a tuple into a
list. The server reports all errors that depend on the state of the Context.

A thread sends its request only when the request of another thread has been answered. But a signal
handler or finalizer may send a request while the interrupted thread waits for a reply, and an
exception may abandon a request. So each reply repeats the number of its request.
"""

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, cast

from msgspec import UNSET, UnsetType

from pytest_orchestrator.context import history
from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.history import checked_who, missing_key
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
from pytest_orchestrator.core.errors import (
    ContextKeyError,
    ContextTypeError,
    JournalError,
    OrchestratorError,
)
from pytest_orchestrator.core.events import Change
from pytest_orchestrator.core.files import is_utf8
from pytest_orchestrator.core.json_values import MAX_DEPTH, NotJson, copy_for_key, json_copy, kind
from pytest_orchestrator.core.keys import checked_key

if TYPE_CHECKING:
    import socket

_CHUNK: Final = 1 << 16
_ENDLESS: Final = 1 << 62
_WAKE_UP: Final = request_line(Request(op="missed"))


class Connection(Protocol):
    """The methods of a connected, blocking socket that the client uses."""

    def send(self, data: bytes | memoryview, /) -> int:
        """Send some of the bytes and return their number."""

    def recv(self, size: int, /) -> bytes:
        """Wait for bytes and return them; empty if the other side has closed."""


class ClosedConnection:
    """Connection of a RemoteContext after `close`: sending raises, receiving returns nothing."""

    def send(self, data: bytes | memoryview, /) -> int:  # noqa: ARG002
        """Raise an error.

        Raises:
            ContextUnreachable: Always.
        """
        raise ContextUnreachable("this Context was closed; connect again to use it")

    def recv(self, size: int, /) -> bytes:  # noqa: ARG002
        """Return no bytes, as a closed socket does."""
        return b""


class _Process:
    """Identity object of this process, replaced in each fork; compared instead of `getpid`."""

    current: "_Process"

    def __init__(self) -> None:
        self.pid = os.getpid()

    @classmethod
    def renew(cls) -> None:
        cls.current = cls()


_Process.renew()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Process.renew)


class Exchange:
    """Client side of one connection.

    It may be created before a fork. The process that sends the first request owns the connection.
    In forks of that process, `ask` raises, since two processes would read each other's replies.

    Attributes:
        connection: The connection; its creator closes it.
    """

    __slots__ = (
        "_is_half_sent",
        "_is_interrupted",
        "_lines",
        "_lock",
        "_numbers",
        "_process",
        "_replies",
        "_sends_times",
        "connection",
    )

    def __init__(self, connection: Connection, *, sends_times: bool = False) -> None:
        self.connection = connection
        self._sends_times = sends_times
        self._process: _Process | None = None
        self._lock = threading.RLock()
        self._lines = LineBuffer(_ENDLESS)
        self._numbers = itertools.count(1)
        # Reply by number of its request; several if one request interrupts another in a thread.
        self._replies: dict[int, Reply | None] = {}
        self._is_interrupted = False
        self._is_half_sent = False

    def ask(
        self,
        op: str,
        path: Path | UnsetType = UNSET,
        value: Any = UNSET,
        index: int = -1,
        who: Any = None,
        token: str = "",
    ) -> Reply:
        """Send a request and wait for its reply.

        Args:
            op: The operation; see `Request` for it and the other arguments.
            path: The key or path.
            value: Plain JSON.
            index: Index of the item, for pop.
            who: Name of the writer.
            token: The token.

        Returns:
            The reply, which may be an error reply.

        Raises:
            ContextUnreachable: The server has closed the connection or sent an invalid reply, the
                parent process owns the connection, or a long request is only half sent.
            UnicodeEncodeError: `path` or `who` has lone surrogates; nothing was sent.
        """
        if self._process is not _Process.current:
            self._claim_for_this_process()
        number = next(self._numbers)
        at = time.time_ns() // 1000 if self._sends_times else 0
        line = request_line(Request(number, op, path, value, index, who, token, at))
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
                self._is_interrupted = True
                raise
            finally:
                replies.pop(number, None)
            self._is_interrupted = False
            return reply

    def _claim_for_this_process(self) -> None:
        if self._process is None:
            self._process = _Process.current
        # Another thread may have set it just before.
        if self._process is not _Process.current:
            raise ContextUnreachable(
                f"the Context is used by process {self._process.pid}, and a process that it "
                "forked cannot use it too; hand over the values that it needs and that it finds"
            )

    def _send(self, line: bytes) -> None:
        if self._is_interrupted or len(self._replies) > 1:
            if self._is_half_sent:
                raise ContextUnreachable("a longer request is just being sent; ask again after it")
            line = b"\n" + line  # ends an interrupted request, which may be sent in part
        try:
            sent = self.connection.send(line)
            if sent < len(line):
                self._send_rest(memoryview(line)[sent:])
        except (BrokenPipeError, ConnectionResetError) as error:
            raise _closed_error() from error

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
            raise _closed_error() from error
        if not data:
            raise _closed_error()
        for line in self._lines.feed(data):
            try:
                reply = reply_of(line)
            except ValueError as error:
                if self._is_interrupted:
                    continue  # the rest of the reply to an interrupted request
                raise ContextUnreachable(f"what answers is no Context: {error}") from error
            if reply.id in self._replies:
                self._replies[reply.id] = reply

    def _wake(self) -> None:
        """Request another reply, to wake an interrupted request whose reply this one has read.

        Otherwise the interrupted request could wait forever for bytes that are already read.
        """
        self._send(_WAKE_UP)


def _closed_error() -> ContextUnreachable:
    return ContextUnreachable("the process that keeps the Context has closed the connection")


_ERRORS: Final = {
    error.slug: error
    for error in (ContextKeyError, ContextTypeError, JournalError, NotJson, RequestRefused)
}
_READ_OPERATIONS: Final = {"get", "contains", "history", "last_modified"}
_OPERATIONS_ON_EXISTING_KEYS: Final = {"item", "delete", "pop"}


class RemoteContext(Context):
    """Client of a `Context` in another process; see `Context` for the operations.

    Thread-safe. Only one process may use it: the one that sends the first request, which may be
    a fork of the process that created it.
    """

    __slots__ = ("_exchange", "_name", "_owned_socket", "_token")

    def __init__(
        self,
        connection: Connection,
        who: str | None = None,
        token: str = "",
        *,
        sends_times: bool = False,
    ) -> None:
        """Use an existing connection; the caller closes it.

        Args:
            connection: A connected, blocking socket.
            who: Name of the writer, unless a call names another one; default: the name of the
                server's handle.
            token: The token of the server.
            sends_times: True to send the time of each request, for a server that uses it: that of
                the step of this process.
        """
        self._exchange = Exchange(connection, sends_times=sends_times)
        self._name, self._token = who, token
        self._owned_socket: socket.socket | None = None

    @classmethod
    def connect(
        cls,
        address: str | None = None,
        token: str | None = None,
        who: str | None = None,
        timeout: float | None = None,
        patience: float = rpc_address.CONNECT_SECONDS,
    ) -> "RemoteContext":
        """Connect to a Context server.

        Args:
            address: ``host:port``, or the path of a Unix socket; default: the value of
                ``ORCHESTRATOR_ADDRESS``, or ``.orchestrator/server.json`` in this folder or one
                above.
            token: The token of the server; default: from the same source as the address.
            who: Name of the writer; default: the owner of the token.
            timeout: Seconds to wait for a reply; default: no limit.
            patience: Seconds to wait for the connection.

        Returns:
            The Context; close it, or use it in a ``with`` statement.

        Raises:
            ContextUnreachable: No server listens at the address, or no address is known.
            RequestRefused: The token is wrong.
        """
        server = rpc_address.find_server(address, token)
        link = server.connected(patience)
        link.settimeout(timeout)
        remote = cls(link, None if who is None else checked_who(who), server.token)
        remote._owned_socket = link
        try:
            remote.missed  # noqa: B018  # the first request must be short; it sends the token
        except BaseException:
            link.close()
            raise
        return remote

    def close(self) -> None:
        """Close the connection if `connect` created it."""
        if self._owned_socket is not None:
            self._owned_socket.close()
            self._exchange.connection = ClosedConnection()

    def request(self, name: str, value: Any = None) -> Any:
        """Send a request that is not an operation of the Context (for xdist and Dask workers).

        Args:
            name: Name of the operation.
            value: Plain JSON.

        Returns:
            The result.

        Raises:
            OrchestratorError: The request was refused.
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
        by: str = "",  # noqa: ARG002 # the server sets it
    ) -> "RemoteContext":
        """Return a new handle to the same state; `on_change` is refused, and `by` is ignored.

        Raises:
            ContextTypeError: `on_change` is not None.
        """
        if on_change is not None:
            raise ContextTypeError("a remote Context does not report changes; its server does")
        handle = RemoteContext.__new__(RemoteContext)
        handle._exchange, handle._token = self._exchange, self._token  # noqa: SLF001
        handle._name, handle._owned_socket = checked_who(who), None  # noqa: SLF001
        return handle

    def asked_at(self, moment: int) -> None:
        """Do nothing: a server of another process uses its own clock."""

    @property
    def missed(self) -> tuple[str, ...]:
        """Paths that were read through the server's handle and did not exist."""
        return tuple(self._ask("missed").value)

    def set(self, key: str, value: object, who: str | None = None) -> None:
        """Store a value under a key."""
        self._ask("set", key, copy_for_key(key, value), who=who)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key or path; `default` if it does not exist."""
        reply = self._ask("get", key)
        return default if reply.missing else reply.value

    def __getitem__(self, key: str) -> Any:
        return self._ask("item", key).value

    def __contains__(self, key: object) -> bool:
        return bool(self._ask("contains", key).value)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def append(self, key: str, value: object, who: str | None = None) -> None:
        """Append an item to the list under a key."""
        self._ask("append", key, copy_for_key(key, value, depth=MAX_DEPTH - 1), who=who)

    def increment(self, key: str, by: float = 1, who: str | None = None) -> int | float:
        """Add to the number under a key and return the sum."""
        step = copy_for_key(key, by, "by")
        return cast("float", self._ask("increment", key, step, who=who).value)

    def delete(self, key: str, who: str | None = None) -> None:
        """Delete a key and its value."""
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
        """Return the time of the last change of a key in ISO 8601 UTC, or None."""
        return cast("str | None", self._ask("last_modified", key).value)

    def snapshot(self) -> dict[str, Any]:
        """Return values and history as plain JSON."""
        return cast("dict[str, Any]", self._ask("snapshot").value)

    def restore(self, snapshot: dict[str, Any], who: str | None = None) -> None:
        """Replace all values by those of a snapshot."""
        history.read_snapshot(snapshot)
        plain = json_copy(snapshot, "snapshot", protocol.MAX_DEPTH)
        self._ask("restore", value=plain, who=who)

    def __repr__(self) -> str:
        return "<Context of another process>"

    def _reply(self, op: str, path: Any, value: Any, index: int, who: Any) -> Reply:
        return self._exchange.ask(op, path, value, index, who, self._token)

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
        except UnicodeEncodeError:  # lone surrogates, which no existing key has
            if op in _READ_OPERATIONS:
                return Reply(ok=True, value=None, missing=True)
            raise self._refusal(op, path, who) from None
        if not reply.ok:
            raise _ERRORS.get(reply.kind, OrchestratorError)(reply.error)
        return reply

    def _refusal(self, op: str, path: Any, who: Any) -> OrchestratorError:
        """Return the error that a local Context raises for lone surrogates in a key or in `who`."""
        if op in _OPERATIONS_ON_EXISTING_KEYS and not is_utf8(path):
            return missing_key(path, self.keys())
        try:
            checked_key(path)
            checked_who(who)
        except OrchestratorError as error:
            return error
        return RequestRefused(f"{op} cannot be sent: it is no UTF-8")


def _plain_path(path: object) -> Path:
    """Return a path as text or a number; raise the error of a local Context for other types."""
    if isinstance(path, str):
        return str.__str__(path)
    if path is None or type(path) in (bool, int):
        return cast("Path", path)
    return checked_key(cast("str", path))


def _plain_who(who: object) -> Path:
    if type(who) in (bool, int):
        return cast("Path", who)
    return checked_who(cast("str", who))
