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
    Askable,
    Conversation,
    Reply,
    Request,
    RequestRefused,
    is_equal,
    refusal_line,
    serve,
    too_long,
    wrong_token,
)


class TokenGrant:
    """What one token opens.

    Attributes:
        token: The token.

    Args:
        token: The token.
        who: Whose it is.
        answer: Answers its holder's requests.
    """

    __slots__ = ("_answer", "_lock", "_over", "_who", "token")

    def __init__(self, token: str, who: str, answer: Callable[[Request], Reply]) -> None:
        self.token = token
        self._who = who
        self._answer = answer
        self._lock = threading.Lock()
        self._over = False

    def answered(self, request: Request) -> Reply:
        """Do what its holder asks.

        Raises:
            RequestRefused: It is over.
        """
        with self._lock:
            if self._over:
                raise RequestRefused(f"the token was that of {self._who!r}, which has ended")
            return self._answer(request)

    def end(self) -> None:
        """Let nothing be done by it any more; what is just being done is waited for."""
        with self._lock:
            self._over = True


class TokenTable:
    """The tokens of one server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: dict[str, TokenGrant] = {}

    def add(self, who: str, answer: Callable[[Request], Reply], token: str | None = None) -> str:
        """Let who has a token be answered; return the token, a new one where none is given."""
        token = secrets.token_urlsafe(32) if token is None else token
        if not token.isascii():  # nothing else is compared in constant time
            raise ValueError("a token is ASCII text")
        with self._lock:
            self._all[token] = TokenGrant(token, who, answer)
        return token

    def end(self, token: str) -> None:
        """Let a token be good for nothing, once what is just being done by it is done."""
        with self._lock:
            grant = self._all.pop(token, None)
        if grant is not None:
            grant.end()

    def of(self, token: str) -> TokenGrant:
        """Return what a token opens; how long that takes tells nothing of any token.

        Raises:
            RequestRefused: It opens nothing.
        """
        found = None
        with self._lock:
            for grant in self._all.values():
                if is_equal(token, grant.token):
                    found = grant
        if found is None:
            raise wrong_token()
        return found


_CHUNK: Final = 1 << 16
_LITTLE: Final = 1 << 11
"""Bytes that are asked for where little is expected: hundreds of threads wait with them."""


class ClientSession(Conversation):
    """The conversation with one who has a token."""

    __slots__ = ("_grant", "_grants")

    def __init__(self, grants: TokenTable, max_line: int) -> None:
        super().__init__(cast("Askable", None), max_line=max_line)
        self._grants = grants
        self._grant: TokenGrant | None = None

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


class ClientConnection:
    """A connection that has shown a token.

    Attributes:
        connection: Its socket.
        heard: When it last sent something, by ``time.monotonic``.
    """

    def __init__(self, connection: socket.socket, talk: ClientSession, limits: Limits) -> None:
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


CLIENT: Final = "client"
"""Who changes the Context where the plain token is used."""

_PATIENCE: Final = 2.0
"""Seconds for what is being done when the server is closed."""


class Server:
    """Answers whoever has a token.

    Args:
        context: The Context; or what makes the handle of somebody, given a name.
        token: The plain token; default: a new one.
        host: Where to listen; others than the loopback let other machines ask.
        port: The port; 0 is any that is free.
        unix: Path of a Unix socket to listen at, instead of host and port.
        limits: How much clients may take.

    Attributes:
        token: The plain token, whose holder is ``client``.
    """

    def __init__(
        self,
        context: Askable | Callable[[str], Askable],
        *,
        token: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        unix: Path | None = None,
        limits: Limits = Limits(),  # noqa: B008  # frozen
    ) -> None:
        self._context, self._limits = context, limits
        self._where = (host, port, unix)
        self._grants = TokenTable()
        self.token = self._grants.add(CLIENT, self._answer(CLIENT), token)
        self._lock = threading.Lock()
        self._guests: dict[ClientConnection, threading.Thread] = {}
        self._address = ""
        self._is_own = True
        self._listener: socket.socket | None = None
        self._porch: HandshakeLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """``host:port``, or the path of the Unix socket; known once it was started.

        Raises:
            RuntimeError: It was not started.
        """
        if not self._address:
            raise RuntimeError("a server has no address before it is started")
        return self._address

    def token_for(self, who: str, context: Askable | None = None) -> str:
        """Make a token of its own for somebody.

        Args:
            who: Who makes the changes of its holder, where a request does not say so.
            context: The handle that answers its holder; default: one with that name.

        Returns:
            The token.
        """
        return self._grants.add(who, self._answer(who, context))

    def admit(self, who: str, answer: Callable[[Request], Reply], token: str | None = None) -> str:
        """Make a token for somebody whose requests are answered one at a time by `answer`."""
        return self._grants.add(who, answer, token)

    def end(self, token: str) -> None:
        """Refuse a token from now on; what is just being done by its holder is waited for."""
        self._grants.end(token)

    def start(self, listener: socket.socket | None = None) -> None:
        """Listen, and answer from now on.

        Args:
            listener: What listens already, in the place of the address that was given; it stays
                the caller's to close.

        Raises:
            CannotListen: The address is taken, or is none.
        """
        host, port, unix = self._where
        self._is_own = listener is None
        if listener is None:
            listener = address.listen_unix(unix) if unix else address.listen_tcp(host, port)
        self._listener = listener
        self._address = address.address(self._listener)
        self._porch = HandshakeLoop(
            self._listener,
            self._limits,
            known=self._grants.of,
            enter=self._enter,
            make_room=self._make_room,
            inside=lambda: len(self._guests),
        )
        self._thread = threading.Thread(target=self._porch.run, name="context-porch", daemon=True)
        _SERVERS.add(self)
        self._thread.start()

    def close(self) -> None:
        """Stop; what is being answered is answered, and no thread is left."""
        if self._porch is None or self._thread is None or self._listener is None:
            return
        self._porch.stop()
        self._thread.join()
        if self._is_own:
            address.close_listener(self._listener)
        for how in (socket.SHUT_RD, socket.SHUT_RDWR):
            with self._lock:
                guests = dict(self._guests)
            for guest in guests:
                guest.shut(how)
            patience = time.monotonic() + _PATIENCE
            for thread in guests.values():
                thread.join(max(0.0, patience - time.monotonic()))
        self._porch = None
        _SERVERS.discard(self)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, who: str, context: Askable | None = None) -> Callable[[Request], Reply]:
        handle = self._handle(who) if context is None else context
        return lambda request: serve(request, handle)

    def _handle(self, who: str) -> Askable:
        if callable(self._context):
            return self._context(who)
        bound = getattr(self._context, "bound", None)
        return cast("Askable", bound(who)) if bound else self._context

    def _enter(self, connection: socket.socket, said: bytes) -> None:
        guest = ClientConnection(
            connection, ClientSession(self._grants, self._limits.line), self._limits
        )
        thread = threading.Thread(
            target=self._entertain, args=(guest, said), name="context-guest", daemon=True
        )
        with self._lock:
            self._guests[guest] = thread
        try:
            thread.start()
        except RuntimeError:  # the system has no more threads
            self._leave(guest)

    def _entertain(self, guest: ClientConnection, said: bytes) -> None:
        try:
            guest.serve(said)
        finally:
            self._leave(guest)

    def _leave(self, guest: ClientConnection) -> None:
        with self._lock:
            self._guests.pop(guest, None)
        guest.close()

    def _make_room(self) -> bool:
        with self._lock:
            silent = min(self._guests, key=lambda guest: guest.heard, default=None)
        if silent is not None:
            silent.heard = math.inf  # it is on its way out, and not to be chosen again
            silent.shut(socket.SHUT_RDWR)
        return silent is not None

    def forget(self) -> None:
        """Close what a fork of the process has of this server, which goes on in its parent."""
        guests = [guest.connection for guest in list(self._guests)]
        porch = [] if self._porch is None else self._porch.sockets
        listener = [] if self._listener is None else [self._listener]
        for one in [*guests, *porch, *listener]:
            one.close()
        self._porch = self._thread = None


_SERVERS: Final[weakref.WeakSet[Server]] = weakref.WeakSet()


def _forget_all() -> None:
    for server in list(_SERVERS):
        server.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
