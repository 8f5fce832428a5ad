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
from typing import Final, Self, TypeAlias, cast

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc import address
from pytest_orchestrator.context.rpc.handshake import HandshakeLoop, Limits
from pytest_orchestrator.context.rpc.protocol import (
    Conversation,
    Reply,
    Request,
    RequestRefused,
    ServableContext,
    refusal_line,
    serve,
    too_long,
    wrong_token,
)

Execute: TypeAlias = Callable[[Request], Reply]


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

    def __init__(self, token: str, who: str, answer: Execute) -> None:
        self.token = token
        self._who = who
        self._answer = answer
        self._lock = threading.Lock()
        self._has_ended = False

    def is_for(self, token: str) -> bool:
        """Compare a token with that of this grant, in constant time; return True if equal."""
        return token.isascii() and compare_digest(token, self.token)

    def execute(self, request: Request) -> Reply:
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

    def add(self, who: str, answer: Execute, token: str | None = None) -> str:
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
                if grant.is_for(token):
                    match = grant
        if match is None:
            raise wrong_token()
        return match


_CHUNK: Final = 1 << 16
_SMALL_CHUNK: Final = 1 << 11
"""Buffer size in bytes for small requests: hundreds of threads may hold a buffer each."""


class ClientSession(Conversation):
    """Conversation with an authenticated client."""

    __slots__ = ("_grant", "_tokens")

    def __init__(self, tokens: TokenTable, max_line: int) -> None:
        super().__init__(cast("ServableContext", None), max_line=max_line)
        self._tokens = tokens
        self._grant: TokenGrant | None = None

    def execute(self, request: Request) -> Reply:
        """Execute a request with the permission of its token."""
        grant = self._grant
        if grant is None or not grant.is_for(request.token):
            self._grant = None  # the look-up of the other token may raise
            grant = self._grant = self._tokens.of(request.token)
        return grant.execute(request)

    @property
    def is_over(self) -> bool:
        """True if the last request had an unknown token, or no request has come yet."""
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
        """Close the sending side, and wait up to `Limits.refused` seconds for the client to close.

        Closing the whole socket immediately could discard the reply.
        """
        seconds = self._limits.refused
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(seconds))
        self.connection.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + seconds
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


class Server:
    """Context server: executes the requests of clients that have a token.

    Its socket listens from the creation of the server, so clients can connect. Before `start` and
    after `pause` the server has no threads, and new connections wait.

    Args:
        context: The Context for clients with the default token; None: no default token exists.
        token: The default token; None generates one.
        listener: The listening socket, which the server closes; default: any free port of the
            loopback. With an address of another interface, other machines can connect.
        limits: The limits for clients.

    Attributes:
        token: The default token; the name of its client is ``client``. Empty if none exists.
        address: ``host:port``, or the path of the Unix socket.
        listener: The listening socket.
    """

    def __init__(
        self,
        context: Context | None = None,
        *,
        token: str | None = None,
        listener: socket.socket | None = None,
        limits: Limits = Limits(),  # noqa: B008  # frozen
    ) -> None:
        self.listener = address.listen_tcp("127.0.0.1", 0) if listener is None else listener
        self.address = address.address(self.listener)
        self._limits = limits
        self._tokens = TokenTable()
        self.token = ""
        if context is not None:
            self.token = self.token_for(CLIENT, context.bound(CLIENT), token)
        self._lock = threading.Lock()
        self._connections: dict[ClientConnection, threading.Thread] = {}
        self._handshakes: HandshakeLoop | None = None
        self._handshake_thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """True between `start` and `pause`, while the server has threads."""
        return self._handshakes is not None

    def token_for(self, who: str, context: ServableContext, token: str | None = None) -> str:
        """Add a token for a client whose requests are executed on a Context, and return it.

        Args:
            who: Name of the client.
            context: The client's handle to the Context.
            token: The token; None generates one.
        """
        return self.admit(who, lambda request: serve(request, context), token)

    def admit(self, who: str, execute: Execute, token: str | None = None) -> str:
        """Add and return a token for a client; `execute` executes its requests one at a time."""
        return self._tokens.add(who, execute, token)

    def end(self, token: str) -> None:
        """Refuse a token from now on; wait for the end of a request that uses it."""
        self._tokens.end(token)

    def start(self) -> None:
        """Accept connections and answer requests, in threads."""
        self._handshakes = HandshakeLoop(
            self.listener,
            self._limits,
            check_token=self._tokens.of,
            admit=self._admit,
            make_room=self._make_room,
            count_admitted=lambda: len(self._connections),
        )
        self._handshake_thread = threading.Thread(
            target=self._handshakes.run, name="context-handshakes", daemon=True
        )
        _RUNNING.add(self)
        self._handshake_thread.start()

    def pause(self) -> None:
        """End all connections and threads; wait for running requests up to `Limits.closing`."""
        if self._handshakes is None or self._handshake_thread is None:
            return
        self._handshakes.stop()
        self._handshake_thread.join()
        for how in (socket.SHUT_RD, socket.SHUT_RDWR):
            with self._lock:
                connections = dict(self._connections)
            for connection in connections:
                connection.shut(how)
            deadline = time.monotonic() + self._limits.closing
            for thread in connections.values():
                thread.join(max(0.0, deadline - time.monotonic()))
        self._handshakes = None
        _RUNNING.discard(self)

    def close(self) -> None:
        """End all threads and connections like `pause`, and stop listening."""
        self.pause()
        address.close_listener(self.listener)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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
            silent.last_received = math.inf  # the connection must not be chosen again
            silent.shut(socket.SHUT_RDWR)
        return silent is not None

    def close_in_fork(self) -> None:
        """Close the sockets of this server in a fork; the server continues in the parent."""
        connections = [connection.connection for connection in list(self._connections)]
        handshake_sockets = [] if self._handshakes is None else self._handshakes.sockets
        for each in [*connections, *handshake_sockets, self.listener]:
            each.close()
        self._handshake_thread = None


_RUNNING: Final[weakref.WeakSet[Server]] = weakref.WeakSet()


def _close_all_in_fork() -> None:
    for server in list(_RUNNING):
        server.close_in_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_all_in_fork)
