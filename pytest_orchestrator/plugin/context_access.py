"""Context servers of a session: for programs of steps, and on request for all."""

import os
import threading
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.plugin.collection import unsupported
from pytest_orchestrator.plugin.options import settings
from pytest_orchestrator.plugin.session_state import state_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from pytest_orchestrator.context.context import Context
    from pytest_orchestrator.context.rpc.protocol import Reply, Request
    from pytest_orchestrator.context.rpc.server import Server
    from pytest_orchestrator.core.secrets import Masker
    from pytest_orchestrator.plugin.session_state import SessionState

ADDRESS, TOKEN = "ORCHESTRATOR_ADDRESS", "ORCHESTRATOR_TOKEN"


class StepContextAccess:
    """Lets the programs of steps ask the Context; see `execution.lanes.context_access`.

    A socket listens from the first step on. The server behind it, and all that it imports, comes
    with a knock, and goes with the last step that may knock: then no thread is left here, and
    who forks this process meets none.

    Args:
        context: Gives the Context of the session.
        secrets: The masker of the session.
    """

    def __init__(self, context: "Callable[[], Context]", secrets: "Masker") -> None:
        self._context, self._secrets = context, secrets
        # One secret for all: each step has a number behind it, so that one form hides them all.
        self._word = os.urandom(16).hex()
        self._forms: tuple[bytes, ...] = ()
        self._is_seen = False
        self._number = 0
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._address = ""
        self._inside: dict[str, tuple[str, Context]] = {}
        self._server: Server | None = None

    @property
    def forms(self) -> tuple[bytes, ...]:
        """What is masked in what they print, as long as it is not among the secrets."""
        if self._is_seen:
            return ()
        if not self._forms:
            from pytest_orchestrator.core.secrets import forms_of

            forms = sorted(forms_of(self._word), key=len, reverse=True)
            self._forms = tuple(form.encode() for form in forms)
        return self._forms

    @property
    def listener(self) -> "socket.socket | None":
        """What is to be listened to; None where a knock is answered by itself."""
        return self._listener if self._server is None else None

    def open(self, step: str, context: "Context") -> Mapping[str, str]:
        """Let the programs of a step in; return the variables that tell them how."""
        if self._listener is None:
            self._listen()
        with self._lock:
            self._number += 1
            token = f"{self._word}.{self._number}"
            self._inside[token] = (step, context)
            if self._server is not None:
                self._admit(self._server, token)
        return {ADDRESS: self._address, TOKEN: token}

    def close(self, variables: Mapping[str, str]) -> None:
        """Let them in no more; what is just being done for them is waited for."""
        with self._lock:
            del self._inside[variables[TOKEN]]
            server = self._server
            if server is not None and not self._inside:
                # Nobody opens meanwhile: who knocked then would meet a server that closes.
                server.close()
                self._server = None
        if server is not None:
            server.end(variables[TOKEN])

    def answer(self) -> None:
        """Answer from now on, in threads."""
        from pytest_orchestrator.context.rpc.server import Server

        with self._lock:
            if self._server is not None:
                return
            server = Server(self._context())
            for token in self._inside:
                self._admit(server, token)
            server.start(self._listener)
            self._server = server

    def seen(self, data: bytes = b"", *, surely: bool = False) -> None:
        """Make it a secret of the session where it is in some bytes, or is known to be."""
        if not self._is_seen and (surely or self._word.encode() in data):
            self._secrets.add(self._word)
            self._is_seen = True

    def shut(self) -> None:
        """Close it for good."""
        if self._server is not None:
            self._server.close()
        if self._listener is not None:
            from pytest_orchestrator.context.rpc import address

            address.close_listener(self._listener)
        self._listener = None

    def _listen(self) -> None:
        from pytest_orchestrator.context.rpc import address

        with self._lock:
            if self._listener is None:
                listener = address.listen_tcp("127.0.0.1", 0)
                self._address = address.address(listener)
                self._listener = listener

    def _admit(self, server: "Server", token: str) -> None:
        step, context = self._inside[token]
        server.admit(step, self._answering(context), token)

    def _answering(self, context: "Context") -> "Callable[[Request], Reply]":
        from pytest_orchestrator.context.rpc.protocol import serve
        from pytest_orchestrator.core.json_values import encode

        def answered(request: "Request") -> "Reply":
            if not self._is_seen and request.op in ("set", "append", "restore"):
                self.seen(encode(request.value))
            return serve(request, context)

        return answered


class SessionContextServer:
    """Serves the Context of the session to whoever has its token.

    Args:
        config: The configuration of the session.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._server: Server | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Serve from now on."""
        where = settings.serve_at(self._config)
        if where is None or self._config.option.collectonly:
            return
        if not unsupported.HERE:
            raise pytest.UsageError(
                "--recipe-serve: a Context is served on Linux and macOS, on Windows in WSL"
            )
        from pytest_orchestrator.context.rpc.address import FILE, AddressFile, CannotListen
        from pytest_orchestrator.context.rpc.server import Server

        state = state_of(self._config)
        server = Server(partial(_handle, state), host=where[0], port=where[1])
        state.secrets.add(server.token)
        try:
            server.start()
            self._config.add_cleanup(server.close)
            notice = AddressFile(self._config.rootpath / FILE, server.address, server.token)
            notice.put_up()
            self._config.add_cleanup(notice.take_down)
        except (CannotListen, OSError) as error:
            raise pytest.UsageError(f"--recipe-serve: {error}") from None
        self._server = server

    def pytest_report_header(self) -> str | None:
        """Tell where."""
        if self._server is None:
            return None
        return f"orchestrator: the Context is served at {self._server.address}"


def _handle(state: "SessionState", who: str) -> "Context":
    """Return a handle for somebody who is no step, whose changes plugins are told too."""
    if state.follower is None:
        return state.context.bound(who)
    return state.context.bound(
        who, state.environment.main_queue.in_main_thread(state.follower.changed)
    )


def step_context_access(config: pytest.Config) -> StepContextAccess:
    """Return the door of a session, which is shut at its end."""
    state = state_of(config)
    made = StepContextAccess(lambda: state.context, state.secrets)
    config.add_cleanup(made.shut)
    return made
