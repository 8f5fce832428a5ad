"""Context server over TCP and Unix sockets: its limits, its connections and their tokens.

One thread accepts connections and reads their first requests, so that silent and slow ones cost
little. With its first request a connection gets a thread of its own, because a request may wait for
a flush of the journal or for another machine. `asyncio` would have to pass each request to such a
thread too: on a loopback, a round trip took 125 microseconds instead of 16, and the import 20
milliseconds.
"""

import contextlib
import math
import os
import secrets
import select
import socket
import struct
import threading
import time
import weakref
from collections.abc import Callable, Collection
from hmac import compare_digest
from typing import Final, Self, TypeAlias, cast

import msgspec

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc import address
from pytest_orchestrator.context.rpc.protocol import (
    Conversation,
    Reply,
    Request,
    RequestRefused,
    ServableContext,
    serve,
)

Execute: TypeAlias = Callable[[Request], Reply]

CLIENT: Final = "client"
"""Name of the writer for changes with the default token."""
_CHUNK: Final = 1 << 16
_SMALL_CHUNK: Final = 1 << 11
"""Buffer size in bytes for small requests: hundreds of threads may hold a buffer each."""
_PAUSE_WITHOUT_FILES: Final = 0.1


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


class TokenGrant:
    """Permission that one token gives.

    Args:
        token: The token.
        who: Name of the client that has the token.
        answer: Executes the requests of that client.
    """

    __slots__ = ("_answer", "_has_ended", "_lock", "_token", "_who")

    def __init__(self, token: str, who: str, answer: Execute) -> None:
        self._token = token
        self._who = who
        self._answer = answer
        self._lock = threading.Lock()
        self._has_ended = False

    def is_for(self, token: str) -> bool:
        """Compare a token with that of this grant, in constant time; return True if equal."""
        return token.isascii() and compare_digest(token, self._token)

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


class ClientConnection(Conversation):
    """Connection of one client, which is authenticated by the token of its first request.

    Attributes:
        connection: The socket, which blocks.
        deadline: Time at which the first request must be complete, by ``time.monotonic``.
        last_received: Time of the last bytes of a client with a thread, by ``time.monotonic``;
            minus infinity before.
        received: The bytes received until the first request is complete.

    Args:
        connection: The socket, which blocks.
        server: The server, which has the limits and the tokens.
    """

    __slots__ = (
        "_grant", "_limits", "_server", "connection", "deadline", "last_received", "received"
    )  # fmt: skip

    def __init__(self, connection: socket.socket, server: "Server") -> None:
        super().__init__(cast("ServableContext", None), server.limits.first_line)
        self.connection, self._server, self._limits = connection, server, server.limits
        self.deadline = time.monotonic() + self._limits.handshake
        self.last_received = -math.inf
        self.received = b""
        self._grant: TokenGrant | None = None

    @property
    def has_first_request(self) -> bool:
        """True if the first request is complete, or too long already."""
        line = self.received.lstrip()
        return b"\n" in line or len(line) > self._limits.first_line

    def receive_first(self) -> None:
        """Receive bytes of the first request without waiting; at the end, the deadline is now."""
        try:
            data = self.connection.recv(_CHUNK, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.received += data
        if not data:
            self.deadline = -math.inf

    def execute(self, request: Request) -> Reply:
        """Execute a request with the permission of its token."""
        grant = self._grant
        if grant is None or not grant.is_for(request.token):
            self._grant = None  # the look-up of the other token may raise
            grant = self._grant = self._server.grant_of(request.token)
            self.lines.limit = self._limits.line
        return grant.execute(request)

    def serve(self) -> None:
        """Answer requests until the client has disconnected, is silent too long, or is refused."""
        connection = self.connection
        # Timeouts of the kernel: a timeout of Python costs a call of `poll` for each operation.
        self._limit_seconds(socket.SO_RCVTIMEO, self._limits.idle or 0)
        self._limit_seconds(socket.SO_SNDTIMEO, self._limits.sending)
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data, self.received = self.received, b""
        if b"\n" not in data.lstrip():  # too long: refused as a line, so with its id
            data += b"\n"
        with contextlib.suppress(OSError):  # disconnected, or silent for too long
            while data:
                self.last_received = time.monotonic()
                for reply in filter(None, self.replies(data)):
                    connection.sendall(reply)
                    if self._grant is None:
                        self._close_after_reply()
                        return
                if refusal := self.refuse_long():
                    connection.sendall(refusal)
                    self._close_after_reply()
                    return
                data = connection.recv(_CHUNK if len(data) == _SMALL_CHUNK else _SMALL_CHUNK)

    def _close_after_reply(self) -> None:
        """Close the sending side, and wait up to `Limits.refused` seconds for the client to close.

        Closing the whole socket immediately could discard the reply.
        """
        deadline = time.monotonic() + self._limits.refused
        self._limit_seconds(socket.SO_RCVTIMEO, self._limits.refused)
        self.connection.shutdown(socket.SHUT_WR)
        while time.monotonic() < deadline and self.connection.recv(_CHUNK):
            pass

    def _limit_seconds(self, option: int, seconds: float) -> None:
        whole, rest = divmod(seconds, 1)
        timeval = struct.pack("@ll", int(whole), int(rest * 1e6))
        self.connection.setsockopt(socket.SOL_SOCKET, option, timeval)

    def shut(self, how: int) -> None:
        """Shut the socket down, so that the thread that serves it wakes up and ends."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(how)


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
        limits: The limits for clients.
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
        self.limits = limits
        self._lock = threading.Lock()
        self._grants: dict[str, TokenGrant] = {}
        self._connections: dict[ClientConnection, threading.Thread] = {}
        self._acceptor: threading.Thread | None = None
        self._wake: tuple[socket.socket, ...] = ()
        self.token = ""
        if context is not None:
            self.token = self.token_for(CLIENT, context.bound(CLIENT), token)

    @property
    def is_running(self) -> bool:
        """True between `start` and `pause`, while the server has threads."""
        return self._acceptor is not None

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
        token = secrets.token_urlsafe(32) if token is None else token
        if not token.isascii():  # only ASCII text can be compared in constant time
            raise ValueError("a token is ASCII text")
        with self._lock:
            self._grants[token] = TokenGrant(token, who, execute)
        return token

    def end(self, token: str) -> None:
        """Refuse a token from now on; wait for the end of a request that uses it."""
        with self._lock:
            grant = self._grants.pop(token, None)
        if grant is not None:
            grant.end()

    def grant_of(self, token: str) -> TokenGrant:
        """Return the grant of a token; the duration of the search reveals nothing about the tokens.

        Raises:
            RequestRefused: The token is unknown.
        """
        with self._lock:
            grants = [grant for grant in self._grants.values() if grant.is_for(token)]
        if not grants:
            raise RequestRefused("the token is wrong or was not given")
        return grants[0]

    def start(self) -> None:
        """Accept connections and answer requests, in threads."""
        self._wake = socket.socketpair()
        self.listener.setblocking(False)
        self._acceptor = threading.Thread(target=self._run, name="context-server", daemon=True)
        _RUNNING.add(self)
        self._acceptor.start()

    def pause(self) -> None:
        """End all connections and threads; wait for running requests up to `Limits.closing`."""
        if self._acceptor is None:
            return
        self._wake[1].send(b"!")
        self._acceptor.join()
        for how in (socket.SHUT_RD, socket.SHUT_RDWR):
            with self._lock:
                connections = dict(self._connections)
            for connection in connections:
                connection.shut(how)
            deadline = time.monotonic() + self.limits.closing
            for thread in connections.values():
                thread.join(max(0.0, deadline - time.monotonic()))
        for end in self._wake:
            end.close()
        self._acceptor = None
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

    def _run(self) -> None:
        """Accept connections and receive their first requests, until `pause` sends a byte."""
        listener, woken = self.listener.fileno(), self._wake[0].fileno()
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        poll.register(woken, select.POLLIN)
        waiting: dict[int, ClientConnection] = {}
        ready: set[int] = set()
        while woken not in ready:
            if listener in ready and (connection := self._accept()) is not None:
                waiting[connection.connection.fileno()] = connection
                poll.register(connection.connection, select.POLLIN)
            for number in ready & waiting.keys():
                waiting[number].receive_first()
                self._limit_bytes(waiting.values())
            now = time.monotonic()
            for number, connection in [*waiting.items()]:
                if connection.has_first_request:
                    self._start_thread(connection)
                elif connection.deadline <= now:
                    self._remove(connection)
                else:
                    continue
                poll.unregister(number)
                del waiting[number]
            soonest = next((connection.deadline for connection in waiting.values()), math.inf)
            pause = None if soonest == math.inf else (soonest - now) * 1000
            ready = {number for number, _ in poll.poll(pause)}
        for connection in waiting.values():
            self._remove(connection)

    def _limit_bytes(self, waiting: Collection[ClientConnection]) -> None:
        """Close the connection with the longest incomplete first request if all are too long."""
        if sum(len(connection.received) for connection in waiting) > self.limits.unauthenticated:
            longest = max(waiting, key=lambda connection: len(connection.received))
            longest.received, longest.deadline = b"", -math.inf

    def _accept(self) -> ClientConnection | None:
        """Accept a connection; None if it has gone, or the process has no file descriptor."""
        try:
            accepted, _ = self.listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return None
        except OSError:  # the process has no free file descriptor
            self._make_room()
            time.sleep(_PAUSE_WITHOUT_FILES)
            return None
        if len(self._connections) >= self._most_connections():
            self._make_room()
        accepted.setblocking(True)
        connection = ClientConnection(accepted, self)
        thread = threading.Thread(
            target=self._serve, args=(connection,), name="context-client", daemon=True
        )
        with self._lock:
            self._connections[connection] = thread
        return connection

    def _most_connections(self) -> int:
        """Return the maximum number of connections, which leaves files for other uses."""
        import resource

        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        most = self.limits.connections
        return most if files < 0 else min(most, max(files // 4, 1))

    def _make_room(self) -> None:
        """Close the oldest unauthenticated connection, else the one that was silent longest."""
        with self._lock:
            silent = min(
                self._connections, key=lambda connection: connection.last_received, default=None
            )
        if silent is not None:
            silent.last_received = math.inf  # the connection must not be chosen again
            silent.shut(socket.SHUT_RDWR)

    def _start_thread(self, connection: ClientConnection) -> None:
        try:
            self._connections[connection].start()
        except RuntimeError:  # the system has no more threads
            self._remove(connection)

    def _serve(self, connection: ClientConnection) -> None:
        try:
            connection.serve()
        finally:
            self._remove(connection)

    def _remove(self, connection: ClientConnection) -> None:
        with self._lock:
            self._connections.pop(connection, None)
        connection.connection.close()

    def close_in_fork(self) -> None:
        """Close the sockets of this server in a fork; the server continues in the parent."""
        connections = [connection.connection for connection in list(self._connections)]
        for each in [*connections, *self._wake, self.listener]:
            each.close()
        self._acceptor = None


_RUNNING: Final[weakref.WeakSet[Server]] = weakref.WeakSet()


def _close_all_in_fork() -> None:
    for server in list(_RUNNING):
        server.close_in_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_all_in_fork)
