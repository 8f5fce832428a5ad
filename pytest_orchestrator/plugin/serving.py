"""The Context of a session for other programs: those of its steps, and with an option all."""

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.plugin.state import state_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from pytest_orchestrator.core.context import Context
    from pytest_orchestrator.core.secrets import Masker
    from pytest_orchestrator.remote.protocol import Reply, Request
    from pytest_orchestrator.remote.server import Server

ADDRESS, TOKEN = "ORCHESTRATOR_ADDRESS", "ORCHESTRATOR_TOKEN"


class StepDoor:
    """Lets the programs of steps ask the Context; see `execution.door`.

    A socket listens from the first step on. The server behind it, and all that it imports, comes
    with the first knock.

    Args:
        context: The Context of the session.
        secrets: The masker of the session.
    """

    def __init__(self, context: "Context", secrets: "Masker") -> None:
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
            from pytest_orchestrator.core.secret_forms import forms_of

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
        if server is not None:
            server.end(variables[TOKEN])

    def answer(self) -> None:
        """Answer from now on, in threads."""
        from pytest_orchestrator.remote.server import Server

        with self._lock:
            if self._server is not None:
                return
            server = Server(self._context)
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
        elif self._listener is not None:
            from pytest_orchestrator.remote import listening

            listening.close(self._listener)
        self._listener = None

    def _listen(self) -> None:
        from pytest_orchestrator.remote import listening

        with self._lock:
            if self._listener is None:
                listener = listening.at("127.0.0.1", 0)
                self._address = listening.address(listener)
                self._listener = listener

    def _admit(self, server: "Server", token: str) -> None:
        step, context = self._inside[token]
        server.admit(step, self._answering(context), token)

    def _answering(self, context: "Context") -> "Callable[[Request], Reply]":
        from pytest_orchestrator.core.values import encode
        from pytest_orchestrator.remote.protocol import serve

        def answered(request: "Request") -> "Reply":
            if not self._is_seen and request.op in ("set", "append", "restore"):
                self.seen(encode(request.value))
            return serve(request, context)

        return answered


def door(config: pytest.Config) -> StepDoor:
    """Return the door of a session, which is shut at its end."""
    state = state_of(config)
    made = StepDoor(state.context, state.secrets)
    config.add_cleanup(made.shut)
    return made
