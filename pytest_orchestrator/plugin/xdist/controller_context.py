"""Controller side of the shared Context and of the workers' journal.

The Context and the journal of the session are created at the first request of a worker, so a
session without recipes creates neither.
"""

import functools
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.plugin.registered import Plugin
from pytest_orchestrator.plugin.session_state import state_of
from pytest_orchestrator.plugin.worker_context import EVENT, INPUT, KNOWN, LEARNT, SECRETS, SYNC

if TYPE_CHECKING:
    import tempfile

    from pytest_orchestrator.context.rpc.protocol import Reply, Request
    from pytest_orchestrator.context.rpc.server import Execute, Server
    from pytest_orchestrator.context.rpc.xdist import Ask, XdistContextServer
    from pytest_orchestrator.core.events import StepFinished
    from pytest_orchestrator.plugin.session_state import SessionState


class ControllerContext(Plugin):
    """Plugin of the controller that serves the Context and the journal to workers."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._server: Server | None = None
        self._lock = threading.Lock()
        self._workers: dict[str, Execute] = {}
        self._context_server: XdistContextServer | None = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Send a worker the address of the Context server and a token."""
        if self._config.getvalue("dist") == "each":  # each worker has its own Context
            return
        if self._server is None:
            self._server = self._started()
        name = node.gateway.id
        token = self._server.admit(name, functools.partial(self._execute, name))
        node.workerinput[INPUT] = {"address": self._server.address, "token": token}

    def _started(self) -> "Server":
        from pytest_orchestrator.context.rpc import address
        from pytest_orchestrator.context.rpc.handshake import Limits
        from pytest_orchestrator.context.rpc.protocol import MAX_LINE
        from pytest_orchestrator.context.rpc.server import Server
        from pytest_orchestrator.core.files import private_folder

        try:
            self._folder = private_folder()
            listener = address.listen_unix(Path(self._folder.name, "context"))
        except OSError:  # the path is too long for a Unix socket
            listener = address.listen_tcp("127.0.0.1", 0)
        # The event of a step contains its result, which may have 16 MiB.
        server = Server(listener=listener, limits=Limits(idle=None, line=MAX_LINE))
        server.start()
        return server

    def _execute(self, worker: str, request: "Request") -> "Reply":
        """Execute a request of a worker; the first request creates the shared Context."""
        with self._lock:
            execute = self._workers.get(worker)
            if execute is None:
                self._context_server = self._context_server or self._shared()
                execute = self._workers[worker] = self._context_server.join(worker)
        return execute(request)

    def _shared(self) -> "XdistContextServer":
        from pytest_orchestrator.context.rpc.xdist import XdistContextServer

        assert self._server is not None  # noqa: S101  # it has received a request
        state = state_of(self._config)
        asks = _request_handlers(state)
        return XdistContextServer(self._server, state.context, asks, state.scopes)

    def pytest_unconfigure(self) -> None:
        """Close the server after the last worker has ended."""
        if self._server is not None:
            self._server.close()
        if self._folder is not None:
            self._folder.cleanup()


def _request_handlers(state: "SessionState") -> "dict[str, Ask]":
    """Return the handlers of workers' requests about journal and secrets, by request name."""
    import msgspec

    from pytest_orchestrator.core.events import AnyEvent, RecipeStarted
    from pytest_orchestrator.plugin.questions.remote import WorkerQuestions
    from pytest_orchestrator.plugin.questions.session import questions_of
    from pytest_orchestrator.plugin.reporting.progress import progress_of

    recorder = state.recorder
    assert recorder is not None  # noqa: S101  # this is the controller

    def append(data: Any) -> None:
        event = msgspec.convert(data, AnyEvent)
        if isinstance(event, RecipeStarted):  # the replacement of a worker sends this again
            recorder.append_start(event)
        else:
            recorder.append(event)
        if (progress := progress_of(state.config)) is not None:
            progress.reported(event)

    return {
        **WorkerQuestions(lambda: questions_of(state.config).queue).handlers,
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
    state.secrets.add_environment(os.environ)
