"""Context servers of a session: one for programs of steps, one for `--recipe-serve`."""

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.plugin.collection import unsupported
from pytest_orchestrator.plugin.options import settings
from pytest_orchestrator.plugin.registered import Plugin
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
    """Access to the Context for the programs that steps run.

    It implements the protocol in `execution.lanes.context_access`.

    A socket listens from the first step on. The server and its threads start at the first
    connection, and the threads end as soon as no program of a step may connect. So none of them
    runs while all running steps are inline: their code may fork this process.

    Args:
        secrets: The masker of the session.
    """

    def __init__(self, secrets: "Masker") -> None:
        self._secrets = secrets
        # One secret for all steps; the token of a step is the secret and a number, so masking
        # this one prefix masks every token.
        self._token_prefix = os.urandom(16).hex()
        self._forms: tuple[bytes, ...] = ()
        self._is_seen = False
        self._number = self._open = 0
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._server: Server | None = None
        self._admitted: dict[str, tuple[str, Context]] = {}
        """Step and Context of each token, until the server exists."""

    @property
    def forms(self) -> tuple[bytes, ...]:
        """Encodings of the token prefix, to mask in output; empty if the masker has the prefix."""
        if self._is_seen:
            return ()
        if not self._forms:
            from pytest_orchestrator.core.secrets import forms_of

            forms = sorted(forms_of(self._token_prefix), key=len, reverse=True)
            self._forms = tuple(form.encode() for form in forms)
        return self._forms

    @property
    def listener(self) -> "socket.socket | None":
        """The listening socket to poll; None once the server accepts connections itself."""
        server = self._server
        return self._listener if server is None or not server.is_running else None

    def open(self, step: str, context: "Context") -> Mapping[str, str]:
        """Admit the programs of a step; return the environment variables with address and token."""
        from pytest_orchestrator.context.rpc import address

        with self._lock:
            if self._listener is None:
                self._listener = address.listen_tcp("127.0.0.1", 0)
            self._number += 1
            self._open += 1
            token = f"{self._token_prefix}.{self._number}"
            if self._server is None:
                self._admitted[token] = step, context
            else:
                self._server.admit(step, self._request_handler(context), token)
            return {ADDRESS: address.address(self._listener), TOKEN: token}

    def close(self, variables: Mapping[str, str]) -> None:
        """Revoke the token in a step's environment variables; wait for its requests in progress."""
        token = variables[TOKEN]
        with self._lock:
            server = self._server
            self._admitted.pop(token, None)
        if server is not None:
            server.end(token)
        with self._lock:
            self._open -= 1
            if not self._open and self._server is not None:
                self._server.pause()

    def start_server(self) -> None:
        """Start the server at the first connection; do nothing if the server runs."""
        with self._lock:
            if self._listener is None or (self._server is not None and self._server.is_running):
                return
            if self._server is None:
                from pytest_orchestrator.context.rpc.server import Server

                server = Server(listener=self._listener)
                for token, (step, context) in self._admitted.items():
                    server.admit(step, self._request_handler(context), token)
                self._server = server
                self._admitted.clear()
            self._server.start()

    def mask_token(self, data: bytes = b"", *, surely: bool = False) -> None:
        """Add the token prefix to the masker if `data` contains the prefix or `surely` is true."""
        if not self._is_seen and (surely or self._token_prefix.encode() in data):
            self._secrets.add(self._token_prefix)
            self._is_seen = True

    def shut(self) -> None:
        """Close the server at the end of the session."""
        if self._server is not None:
            self._server.close()
        elif self._listener is not None:
            self._listener.close()

    def _request_handler(self, context: "Context") -> "Callable[[Request], Reply]":
        from pytest_orchestrator.context.rpc.protocol import serve
        from pytest_orchestrator.core.json_values import encode

        def handle(request: "Request") -> "Reply":
            if not self._is_seen and request.op in ("set", "append", "restore"):
                self.mask_token(encode(request.value))
            return serve(request, context)

        return handle


class SessionContextServer(Plugin):
    """Context server of `--recipe-serve` for every client that has the token.

    Args:
        config: The configuration of the session.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._server: Server | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Start the server and write its address file.

        Raises:
            pytest.UsageError: The server cannot listen, or the system cannot run recipes.
        """
        where = settings.serve_at(self._config)
        if where is None or self._config.option.collectonly:
            return
        if not unsupported.HERE:
            raise pytest.UsageError(
                "--recipe-serve: a Context is served on Linux and macOS, on Windows in WSL"
            )
        from pytest_orchestrator.context.rpc import address
        from pytest_orchestrator.context.rpc.server import CLIENT, Server

        state = state_of(self._config)
        try:
            server = Server(listener=address.listen_tcp(*where))
            self._config.add_cleanup(server.close)
            token = server.token_for(CLIENT, _handle(state, CLIENT))
            state.secrets.add(token)
            server.start()
            path = self._config.rootpath / address.FILE
            notice = address.AddressFile(path, server.address, token)
            notice.write()
            self._config.add_cleanup(notice.remove)
        except OSError as error:
            raise pytest.UsageError(f"--recipe-serve: {error}") from None
        self._server = server

    def pytest_report_header(self) -> str | None:
        """Return the line of pytest's header with the server's address; None without a server."""
        if self._server is None:
            return None
        return f"orchestrator: the Context is served at {self._server.address}"


def _handle(state: "SessionState", who: str) -> "Context":
    """Return the Context for a `--recipe-serve` client; step hooks receive the client's changes.

    Args:
        state: The state of the session.
        who: Name of the client in the history of the Context.
    """
    if state.step_hooks is None:
        return state.context.bound(who)
    changed = state.run_config.main_queue.in_main_thread(state.step_hooks.changed)
    return state.context.bound(who, changed)


def step_context_access(config: pytest.Config) -> StepContextAccess:
    """Return new Context access for a session's steps; the end of the session closes it."""
    made = StepContextAccess(state_of(config).secrets)
    config.add_cleanup(made.shut)
    return made
