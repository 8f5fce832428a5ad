"""Serves a Context to other processes: over TCP or a Unix socket, a thread per connection."""

import math
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self, cast

from pytest_orchestrator.remote import listening
from pytest_orchestrator.remote.grants import Grants
from pytest_orchestrator.remote.guests import Guest, Talk
from pytest_orchestrator.remote.limits import Limits
from pytest_orchestrator.remote.porch import Porch
from pytest_orchestrator.remote.protocol import Askable, Reply, Request, serve

__all__ = ["Limits", "Server"]

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
        self._grants = Grants()
        self.token = self._grants.add(CLIENT, self._answer(CLIENT), token)
        self._lock = threading.Lock()
        self._guests: dict[Guest, threading.Thread] = {}
        self._address = ""
        self._is_own = True
        self._listener: socket.socket | None = None
        self._porch: Porch | None = None
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
            listener = listening.at_path(unix) if unix else listening.at(host, port)
        self._listener = listener
        self._address = listening.address(self._listener)
        self._porch = Porch(
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
            listening.close(self._listener)
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
        guest = Guest(connection, Talk(self._grants, self._limits.line), self._limits)
        thread = threading.Thread(
            target=self._entertain, args=(guest, said), name="context-guest", daemon=True
        )
        with self._lock:
            self._guests[guest] = thread
        try:
            thread.start()
        except RuntimeError:  # the system has no more threads
            self._leave(guest)

    def _entertain(self, guest: Guest, said: bytes) -> None:
        try:
            guest.serve(said)
        finally:
            self._leave(guest)

    def _leave(self, guest: Guest) -> None:
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
