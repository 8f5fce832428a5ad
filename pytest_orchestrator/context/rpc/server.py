"""Context server over TCP and Unix sockets: sessions of clients, token table."""

import contextlib
import math
import os
import secrets
import socket
import struct
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from hmac import compare_digest
from pathlib import Path
from typing import Final, Self, cast

from pytest_orchestrator.context.rpc import address
from pytest_orchestrator.context.rpc.handshake import HandshakeLoop, Limits
from pytest_orchestrator.context.rpc.protocol import (
    Conversation,
    Reply,
    Request,
    RequestRefused,
    ServableContext,
    is_equal,
    refusal_line,
    serve,
    too_long,
    wrong_token,
)


class TokenGrant:
    """Permission that one token gives.

    Attributes:
        token: The token.

    Args:
        token: The token.
        who: Name of the client that has the token.
        answer: Executes the requests of that client.
    """

    __slots__ = ("_answer", "_has_ended", "_lock", "_who", "token")

    def __init__(self, token: str, who: str, answer: Callable[[Request], Reply]) -> None:
        self.token = token
        self._who = who
        self._answer = answer
        self._lock = threading.Lock()
        self._has_ended = False

    def answered(self, request: Request) -> Reply:
        """Execute a request of the client that has the token.

        Raises:
            RequestRefused: The token is no longer valid.
        """
        with self._lock:
            if self._has_ended:
                raise RequestRefused(f"the token was that of {self._who!r}, which has ended")
            return self._answer(request)

    def end(self) -> None:
        """Invalidate the token, after waiting for the end of a request that is being executed."""
        with self._lock:
            self._has_ended = True


class TokenTable:
    """Token table of one Context server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._grants: dict[str, TokenGrant] = {}

    def add(self, who: str, answer: Callable[[Request], Reply], token: str | None = None) -> str:
        """Add a token and return it; generate a new one if `token` is None."""
        token = secrets.token_urlsafe(32) if token is None else token
        if not token.isascii():  # only ASCII text can be compared in constant time
            raise ValueError("a token is ASCII text")
        with self._lock:
            self._grants[token] = TokenGrant(token, who, answer)
        return token

    def end(self, token: str) -> None:
        """Remove a token, after waiting for the end of a request that uses it."""
        with self._lock:
            grant = self._grants.pop(token, None)
        if grant is not None:
            grant.end()

    def of(self, token: str) -> TokenGrant:
        """Return the grant of a token; the duration of the search reveals nothing about the tokens.

        Raises:
            RequestRefused: The token is unknown.
        """
        match = None
        with self._lock:
            for grant in self._grants.values():
                if is_equal(token, grant.token):
                    match = grant
        if match is None:
            raise wrong_token()
        return match


_CHUNK: Final = 1 << 16
_SMALL_CHUNK: Final = 1 << 11
"""Buffer size in bytes while a small request is expected: hundreds of threads hold a buffer."""


class ClientSession(Conversation):
    """Conversation with an authenticated client."""

    __slots__ = ("_grant", "_tokens")

    def __init__(self, tokens: TokenTable, max_line: int) -> None:
        super().__init__(cast("ServableContext", None), max_line=max_line)
        self._tokens = tokens
        self._grant: TokenGrant | None = None

    def answered(self, request: Request) -> Reply:
        """Execute a request with the permission of its token."""
        grant, token = self._grant, request.token
        if grant is None or not token.isascii() or not compare_digest(token, grant.token):
            self._grant = None  # the look-up of the other token may raise
            grant = self._grant = self._tokens.of(request.token)
        return grant.answered(request)

    @property
    def is_over(self) -> bool:
        """True if the last request had no valid token."""
        return self._grant is None


class ClientConnection:
    """An authenticated connection.

    Attributes:
        connection: The socket.
        last_received: Time of the last received bytes, by ``time.monotonic``.
    """

    def __init__(self, connection: socket.socket, session: ClientSession, limits: Limits) -> None:
        self.connection, self._session, self._limits = connection, session, limits
        self.last_received = time.monotonic()

    def serve(self, received: bytes) -> None:
        """Answer requests until the client has disconnected, is silent too long, or is refused.

        Args:
            received: The bytes that were received in the handshake.
        """
        connection = self.connection
        # Timeouts of the kernel: a timeout of Python costs a call of `poll` for each operation.
        if self._limits.idle is not None:
            connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(self._limits.idle)
            )
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(self._limits.sending))
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):  # disconnected, or silent for too long
            data = received
            while data:
                if data.count(b"\n") == 1:  # the usual case
                    connection.sendall(self._session.receive(data))
                else:
                    for reply in self._replies(data):
                        connection.sendall(reply)
                if self._session.is_over or self._session.is_too_long:
                    self._close_after_reply()
                    return
                data = connection.recv(_CHUNK if len(data) == _SMALL_CHUNK else _SMALL_CHUNK)
                self.last_received = time.monotonic()

    def _replies(self, data: bytes) -> Iterator[bytes]:
        yield from filter(None, self._session.replies(data))
        if self._session.is_too_long:
            yield refusal_line(too_long(self._limits.line), b"")

    def _close_after_reply(self) -> None:
        """Wait up to one second for the client to read the reply; closing could discard it."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(1.0))
        self.connection.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline and self.connection.recv(_CHUNK):
            pass

    def shut(self, how: int) -> None:
        """Shut the socket down, so that the thread that serves it wakes up and ends."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(how)

    def close(self) -> None:
        """Close the socket."""
        self.connection.close()


def _timeval(seconds: float) -> bytes:
    whole = int(seconds)
    return struct.pack("@ll", whole, int((seconds - whole) * 1e6))


CLIENT: Final = "client"
"""Name of the writer for changes with the default token."""

_CLOSE_SECONDS: Final = 2.0
"""Seconds for requests that are being executed when the server is closed."""


class Server:
    """Context server: executes the requests of clients that have a token.

    Args:
        context: The Context; or a function that returns a handle for the name of a client.
        token: The default token; default: a new one.
        host: Host to listen at; with another one than the loopback, other machines can connect.
        port: The port; 0 for any free port.
        unix: Path of a Unix socket to listen at, instead of host and port.
        limits: The limits for clients.

    Attributes:
        token: The default token; the name of its client is ``client``.
    """

    def __init__(
        self,
        context: ServableContext | Callable[[str], ServableContext],
        *,
        token: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        unix: Path | None = None,
        limits: Limits = Limits(),  # noqa: B008  # frozen
    ) -> None:
        self._context, self._limits = context, limits
        self._listen_at = (host, port, unix)
        self._tokens = TokenTable()
        self.token = self._tokens.add(CLIENT, self._answer(CLIENT), token)
        self._lock = threading.Lock()
        self._connections: dict[ClientConnection, threading.Thread] = {}
        self._address = ""
        self._owns_listener = True
        self._listener: socket.socket | None = None
        self._handshakes: HandshakeLoop | None = None
        self._handshake_thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """``host:port``, or the path of the Unix socket; known after `start`.

        Raises:
            RuntimeError: The server was not started.
        """
        if not self._address:
            raise RuntimeError("a server has no address before it is started")
        return self._address

    def token_for(self, who: str, context: ServableContext | None = None) -> str:
        """Return a new token for a client.

        Args:
            who: Name of the writer for changes of the client, unless a request names another one.
            context: The handle that executes its requests; default: a new one with that name.

        Returns:
            The token.
        """
        return self._tokens.add(who, self._answer(who, context))

    def admit(self, who: str, answer: Callable[[Request], Reply], token: str | None = None) -> str:
        """Return a token for a client whose requests `answer` executes, one at a time."""
        return self._tokens.add(who, answer, token)

    def end(self, token: str) -> None:
        """Refuse a token from now on; wait for the end of a request that uses it."""
        self._tokens.end(token)

    def start(self, listener: socket.socket | None = None) -> None:
        """Start listening and answering.

        Args:
            listener: A listening socket to use instead of the address; the caller closes it.

        Raises:
            CannotListen: The address is in use or invalid.
        """
        host, port, unix = self._listen_at
        self._owns_listener = listener is None
        if listener is None:
            listener = address.listen_unix(unix) if unix else address.listen_tcp(host, port)
        self._listener = listener
        self._address = address.address(self._listener)
        self._handshakes = HandshakeLoop(
            self._listener,
            self._limits,
            check_token=self._tokens.of,
            admit=self._admit,
            make_room=self._make_room,
            count_admitted=lambda: len(self._connections),
        )
        self._handshake_thread = threading.Thread(
            target=self._handshakes.run, name="context-handshakes", daemon=True
        )
        _SERVERS.add(self)
        self._handshake_thread.start()

    def close(self) -> None:
        """Stop the server; requests that are being executed are answered, and all threads end."""
        if self._handshakes is None or self._handshake_thread is None or self._listener is None:
            return
        self._handshakes.stop()
        self._handshake_thread.join()
        if self._owns_listener:
            address.close_listener(self._listener)
        for how in (socket.SHUT_RD, socket.SHUT_RDWR):
            with self._lock:
                connections = dict(self._connections)
            for connection in connections:
                connection.shut(how)
            deadline = time.monotonic() + _CLOSE_SECONDS
            for thread in connections.values():
                thread.join(max(0.0, deadline - time.monotonic()))
        self._handshakes = None
        _SERVERS.discard(self)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(
        self, who: str, context: ServableContext | None = None
    ) -> Callable[[Request], Reply]:
        handle = self._handle(who) if context is None else context
        return lambda request: serve(request, handle)

    def _handle(self, who: str) -> ServableContext:
        if callable(self._context):
            return self._context(who)
        bound = getattr(self._context, "bound", None)
        return cast("ServableContext", bound(who)) if bound else self._context

    def _admit(self, accepted: socket.socket, received: bytes) -> None:
        connection = ClientConnection(
            accepted, ClientSession(self._tokens, self._limits.line), self._limits
        )
        thread = threading.Thread(
            target=self._serve_connection,
            args=(connection, received),
            name="context-client",
            daemon=True,
        )
        with self._lock:
            self._connections[connection] = thread
        try:
            thread.start()
        except RuntimeError:  # the system has no more threads
            self._remove(connection)

    def _serve_connection(self, connection: ClientConnection, received: bytes) -> None:
        try:
            connection.serve(received)
        finally:
            self._remove(connection)

    def _remove(self, connection: ClientConnection) -> None:
        with self._lock:
            self._connections.pop(connection, None)
        connection.close()

    def _make_room(self) -> bool:
        with self._lock:
            silent = min(
                self._connections, key=lambda connection: connection.last_received, default=None
            )
        if silent is not None:
            silent.last_received = math.inf  # it is being closed, and must not be chosen again
            silent.shut(socket.SHUT_RDWR)
        return silent is not None

    def close_in_fork(self) -> None:
        """Close the sockets of this server in a fork; the server continues in the parent."""
        connections = [connection.connection for connection in list(self._connections)]
        handshake_sockets = [] if self._handshakes is None else self._handshakes.sockets
        listener = [] if self._listener is None else [self._listener]
        for each in [*connections, *handshake_sockets, *listener]:
            each.close()
        self._handshakes = self._handshake_thread = None


_SERVERS: Final[weakref.WeakSet[Server]] = weakref.WeakSet()


def _close_all_in_fork() -> None:
    for server in list(_SERVERS):
        server.close_in_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_all_in_fork)
