"""Controller side of the shared Context and of the workers' journal.

A session without recipes needs only a listening socket and a thread. The server, with its
imports, is started when the first worker connects.
"""

import contextlib
import json
import os
import secrets
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.plugin.session_state import state_of
from pytest_orchestrator.plugin.worker_context import EVENT, INPUT, KNOWN, LEARNT, SECRETS, SYNC

if TYPE_CHECKING:
    import tempfile

    from pytest_orchestrator.context.rpc.xdist import Ask, XdistContextServer
    from pytest_orchestrator.core.events import StepFinished
    from pytest_orchestrator.plugin.session_state import SessionState

_LONGEST = 4096


class ControllerContext:
    """Plugin of the controller that serves the Context and the journal to workers."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._listener: socket.socket | None = None
        self._secret = secrets.token_urlsafe(32)
        self._context_server: XdistContextServer | None = None
        self._thread: threading.Thread | None = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Send a worker the address of the listening socket and the secret."""
        if self._config.getvalue("dist") == "each":  # each worker has its own Context
            return
        node.workerinput[INPUT] = {"address": self._address(), "secret": self._secret}

    def _address(self) -> str:
        """Return the address of the listening socket; the first call opens the socket."""
        from pytest_orchestrator.context.rpc import address
        from pytest_orchestrator.core.files import private_folder

        if self._listener is None:
            try:
                self._folder = private_folder()
                self._listener = address.listen_unix(Path(self._folder.name, "listener"))
            except OSError:  # the path is too long for a Unix socket
                self._listener = address.listen_tcp("127.0.0.1", 0)
            self._thread = threading.Thread(
                target=self._accept, args=(self._listener,), name="context-listener", daemon=True
            )
            self._thread.start()
        return address.address(self._listener)

    def _accept(self, listener: socket.socket) -> None:
        """Send the Context server's address and a token to each worker that sends the secret."""
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                link, _ = listener.accept()
                with link, contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                    link.settimeout(5)
                    request = json.loads(link.recv(_LONGEST))
                    if secrets.compare_digest(str(request["secret"]), self._secret):
                        server = self._started()
                        token = server.join(request["name"])
                        reply = {"address": server.server.address, "token": token}
                        link.sendall(json.dumps(reply).encode())

    def _started(self) -> "XdistContextServer":
        """Return the Context server; the first call starts the server."""
        if self._context_server is None:
            from pytest_orchestrator.context.rpc.handshake import Limits
            from pytest_orchestrator.context.rpc.protocol import MAX_LINE
            from pytest_orchestrator.context.rpc.server import Server
            from pytest_orchestrator.context.rpc.xdist import XdistContextServer

            state = state_of(self._config)
            listener = self._address()
            unix = Path(listener).with_name("server") if "/" in listener else None
            # The event of a step contains its result, which may have 16 MiB.
            limits = Limits(idle=None, line=MAX_LINE)
            server = Server(state.context, unix=unix, limits=limits)
            server.start()
            self._context_server = XdistContextServer(
                server, state.context, _request_handlers(state), state.scopes
            )
        return self._context_server

    def pytest_unconfigure(self) -> None:
        """Close the socket and the server after the last worker has ended."""
        if self._listener is not None and self._thread is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread
            self._thread.join()
            self._listener.close()
        if self._context_server is not None:
            self._context_server.server.close()
        if self._folder is not None:
            self._folder.cleanup()


def _request_handlers(state: "SessionState") -> "dict[str, Ask]":
    """Return the handlers of workers' requests about journal and secrets, by request name."""
    import msgspec

    from pytest_orchestrator.core.events import AnyEvent, RecipeStarted

    recorder = state.recorder
    assert recorder is not None  # noqa: S101  # this is the controller

    def append(data: Any) -> None:
        event = msgspec.convert(data, AnyEvent)
        if isinstance(event, RecipeStarted):
            if event.recipe in recorder.begun:
                return  # a worker that replaces another sends it again
            recorder.begun.add(event.recipe)
        recorder.append(event)

    return {
        SECRETS: lambda declared: _learn(state, declared),
        LEARNT: state.secrets.add,
        EVENT: append,
        KNOWN: lambda _: _recorded_steps(state),
        SYNC: lambda _: recorder.sync(),
    }


def _recorded_steps(state: "SessionState") -> "dict[str, dict[str, StepFinished | None]]":
    """Return the last `StepFinished` event of each started step; None for a step without one.

    The events are read from the journal file, because they are needed only after a worker has
    died.
    """
    from pytest_orchestrator.core.events import StepFinished, StepStarted
    from pytest_orchestrator.runs.journal.reader import read_journal
    from pytest_orchestrator.runs.journal.writer import NAME

    recorded: dict[str, dict[str, StepFinished | None]] = {}
    journal = state.folder.path / NAME
    for entry in read_journal(journal).entries if journal.exists() else ():
        match entry.event:
            case StepStarted(cut_off_in=None, recipe=recipe, step=step):
                recorded.setdefault(recipe, {})[step] = None
            case StepFinished(restored=None, recipe=recipe, step=step) as event:
                if event.outcome != "not run":
                    recorded.setdefault(recipe, {})[step] = event
    return recorded


def _learn(state: "SessionState", declared: dict[str, Any]) -> None:
    state.secrets.declare(declared["names"], declared["values"])
    state.secrets.learn(os.environ)
