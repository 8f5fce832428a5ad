"""Controller side of the shared Context and of the workers' journal.

A session without recipes pays for a socket alone: the server behind it, and what that imports,
comes with the first worker that rings.
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
    """The controller's side."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._bell: socket.socket | None = None
        self._word = secrets.token_urlsafe(32)
        self._hub: XdistContextServer | None = None
        self._thread: threading.Thread | None = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker where to ring; one that takes the place of another too."""
        if self._config.getvalue("dist") == "each":  # each runs all by itself
            return
        told = {"bell": self._listening(), "word": self._word}
        node.workerinput[INPUT] = told

    def _listening(self) -> str:
        from pytest_orchestrator.context.rpc import address
        from pytest_orchestrator.core.files import private_folder

        if self._bell is None:
            try:
                self._folder = private_folder()
                self._bell = address.listen_unix(Path(self._folder.name, "bell"))
            except OSError:  # sockets are for more than a path has room for
                self._bell = address.listen_tcp("127.0.0.1", 0)
            self._thread = threading.Thread(
                target=self._answer, args=(self._bell,), name="context-bell", daemon=True
            )
            self._thread.start()
        return address.address(self._bell)

    def _answer(self, bell: socket.socket) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                link, _ = bell.accept()
                with link, contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                    link.settimeout(5)
                    said = json.loads(link.recv(_LONGEST))
                    if secrets.compare_digest(str(said["word"]), self._word):
                        hub = self._started()
                        told = {"address": hub.server.address, "token": hub.join(said["name"])}
                        link.sendall(json.dumps(told).encode())

    def _started(self) -> "XdistContextServer":
        if self._hub is None:
            from pytest_orchestrator.context.rpc.handshake import Limits
            from pytest_orchestrator.context.rpc.server import Server
            from pytest_orchestrator.context.rpc.xdist import XdistContextServer

            state = state_of(self._config)
            bell = self._listening()
            unix = Path(bell).with_name("hub") if "/" in bell else None
            server = Server(state.context, unix=unix, limits=Limits(idle=None))
            server.start()
            self._hub = XdistContextServer(server, state.context, _asks(state), state.scopes)
        return self._hub

    def pytest_unconfigure(self) -> None:
        """Stop, once no worker is left."""
        if self._bell is not None and self._thread is not None:
            with contextlib.suppress(OSError):
                self._bell.shutdown(socket.SHUT_RDWR)  # wakes the thread
            self._thread.join()
            self._bell.close()
        if self._hub is not None:
            self._hub.server.close()
        if self._folder is not None:
            self._folder.cleanup()


def _asks(state: "SessionState") -> "dict[str, Ask]":
    """Return what workers may ask for beside the Context."""
    import msgspec

    from pytest_orchestrator.core.events import AnyEvent, RecipeStarted

    keeper = state.keeper
    assert keeper is not None  # noqa: S101  # this is the controller

    def keep(told: Any) -> None:
        event = msgspec.convert(told, AnyEvent)
        if isinstance(event, RecipeStarted):
            if event.recipe in keeper.begun:
                return  # a worker that takes the place of another tells it again
            keeper.begun.add(event.recipe)
        keeper.append(event)

    return {
        SECRETS: lambda told: _learn(state, told),
        LEARNT: state.secrets.add,
        EVENT: keep,
        KNOWN: lambda _: _known(state),
        SYNC: lambda _: keeper.sync(),
    }


def _known(state: "SessionState") -> "dict[str, dict[str, StepFinished | None]]":
    """Return what the journal tells of each step that a worker began, None where no end of it.

    It is asked for where a worker has died: nobody keeps it for that.
    """
    from pytest_orchestrator.core.events import StepFinished, StepStarted
    from pytest_orchestrator.runs.journal.reader import read_journal
    from pytest_orchestrator.runs.journal.writer import NAME

    known: dict[str, dict[str, StepFinished | None]] = {}
    journal = state.folder.path / NAME
    for entry in read_journal(journal).entries if journal.exists() else ():
        match entry.event:
            case StepStarted(cut_off_in=None, recipe=recipe, step=step):
                known.setdefault(recipe, {})[step] = None
            case StepFinished(restored=None, recipe=recipe, step=step) as event:
                if event.outcome != "not run":
                    known.setdefault(recipe, {})[step] = event
    return known


def _learn(state: "SessionState", told: dict[str, Any]) -> None:
    state.secrets.declare(told["names"], told["values"])
    state.secrets.learn(os.environ)
