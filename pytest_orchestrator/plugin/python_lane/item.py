"""Test item of one Python step in its own process.

The item is made once in a process and becomes one step after the other, each in a fork:
the less a child has to do, the fewer pages of memory it has to copy.
"""

import builtins
import contextlib
import faulthandler
import logging
import os
import socket
import threading
import types
import warnings
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TextIO

import msgspec
import pytest

from pytest_orchestrator.context.rpc.client import RemoteContext
from pytest_orchestrator.core.jsonable import plain
from pytest_orchestrator.core.result import Ended, Failure, Usage
from pytest_orchestrator.core.text import clipped
from pytest_orchestrator.execution import outcome
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.execution.steps import python_inline
from pytest_orchestrator.execution.steps.python_inline import TimeLimitReached
from pytest_orchestrator.execution.supervision import framing
from pytest_orchestrator.plugin.callables import callable_of, let_perform
from pytest_orchestrator.plugin.python_lane.process import Imported
from pytest_orchestrator.plugin.python_lane.uncaught import Uncaught
from pytest_orchestrator.plugin.results.bounds import bounded
from pytest_orchestrator.recipe.model.step import PythonStep

# Coverage asks for the source of each file that has run, but for names such as this one.
_NO_FILE = Path("<step>")
_WARNINGS = {one for one in vars(builtins).values() if isinstance(one, type)}


class StepCalls:
    """A pytest plugin that runs steps by one item, which is called and never set up.

    All of them run within the protocol of that item: pytest's filters of warnings and its
    explanations of assertions are in place once and for all.

    Args:
        warns: Plugins of pytest in whose place a step warns of what nobody has caught.
    """

    def __init__(self, warns: Collection[str]) -> None:
        self._warns = warns
        self._item: Any = None
        self._report: pytest.TestReport | None = None
        self._raised: BaseException | None = None
        self._events: socket.socket | None = None
        self._records = _Records(self._pass_on)
        self._tell: Callable[[dict[str, Any]], None] = lambda _: None

    def within_an_item(self, session: pytest.Session) -> None:
        """Make the item, and serve while it runs."""
        path = session.path / "steps"
        shelf: _Shelf = _Shelf.from_parent(session, path=path)
        shelf.obj = types.ModuleType("steps")
        function = callable_of(_NO_FILE, "step", 1, asks=False)
        self._item = _StepCall.from_parent(shelf, name="step", callobj=function)
        let_perform(function, self._item.perform)
        self._item.ihook.pytest_runtest_protocol(item=self._item, nextitem=None)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self) -> bool:
        """Serve in the place of what pytest does with an item."""
        faulthandler.enable(2)
        with warnings.catch_warnings():
            warnings.showwarning = self._warned
            self.serve()
        return True

    def serve(self) -> None:
        """Run steps until nobody asks any more."""
        raise NotImplementedError

    def rehearse(self) -> None:
        """Do what a child does, for a step that does nothing.

        A child finds loaded what that loads; and Python makes fast what has run some times,
        where a child runs all of it but once.
        """
        step = PythonStep(name="nothing", module=__name__, function=_nothing.__name__)
        (channel, context), (told, heard) = socket.socketpair(), socket.socketpair()
        with channel, context, told, heard:
            self.perform(step, {"root": str(Path.cwd())}, (channel, told))

    def expect(self, step: PythonStep, request: dict[str, Any]) -> None:
        """Make ready for a step, as far as that is possible before its process is there."""
        item, root = self._item, logging.getLogger()
        item.name = step.name
        item.obj = callable_of(Path(request["recipe"]), step.name, step.line, asks=False)
        let_perform(item.obj, item.perform)
        if self._records not in root.handlers:
            root.addHandler(self._records)
        if root.level != request["log_level"]:
            root.setLevel(request["log_level"])

    def imports(self, module: str, imported: Imported) -> None:
        """Import a module as the body of a step would do it."""
        self._tell = imported.events.append
        with warnings.catch_warnings(), python_inline.OneProcess():
            try:
                pytest.register_assert_rewrite(module)
                __import__(module)
            except TimeLimitReached:
                pass
            except BaseException as error:  # noqa: BLE001
                imported.error = error

    def perform(
        self,
        step: PythonStep,
        request: dict[str, Any],
        connections: tuple[socket.socket, socket.socket],
        error: BaseException | None = None,
        events: Sequence[dict[str, Any]] = (),
    ) -> None:
        """Run a step; tell what happens, and at last what became of it.

        Args:
            step: The step.
            request: The surroundings of it.
            connections: The Context is asked by the first, the second takes what is told.
            error: What the import of its module raised.
            events: What happened then.
        """
        channel, self._events = connections
        self._tell = self._send
        for event in events:
            self._tell(event)
        before = set(threading.enumerate())
        body = _Body(step, RemoteContext(channel), _surroundings(request, error), self._warns)
        self._item.body = body.run
        end: dict[str, Any] = {"op": "end", "pid": os.getpid(), "exit": None}
        try:
            self._call()
        except pytest.exit.Exception as stop:
            self._tell(end | {"exit": (clipped(str(stop.msg)), stop.returncode)})
            return
        left = [one.name for one in threading.enumerate() if one not in before]
        self._tell(end | {"ended": body.encoded(), "threads": left, "shown": self._shown()})

    def _call(self) -> None:
        item = self._item
        stops = (pytest.exit.Exception,)
        call = pytest.CallInfo.from_call(item.called, when="call", reraise=stops)
        if call.excinfo is not None:
            self._raised = call.excinfo.value
            self._report = item.ihook.pytest_runtest_makereport(item=item, call=call)

    def _pass_on(self, event: dict[str, Any]) -> None:
        self._tell(event)

    def _warned(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,  # noqa: ARG002
        line: str | None = None,  # noqa: ARG002
    ) -> None:
        """Pass a warning on."""
        self._tell(
            {
                "op": "warning",
                "message": clipped(str(message)),
                "module": category.__module__,
                "category": category.__qualname__,
                "base": next(one.__name__ for one in category.mro() if one in _WARNINGS),
                "filename": filename,
                "line": lineno,
            }
        )

    def _send(self, event: dict[str, Any]) -> None:
        if self._events is not None:
            with contextlib.suppress(OSError):
                framing.send(self._events, event)

    def _shown(self) -> dict[str, Any] | None:
        """Return the report of an exception, as pytest sends reports between processes."""
        report, config = self._report, self._item.config
        if report is None or report.longrepr is None:
            return None
        data = config.hook.pytest_report_to_serializable(config=config, report=report)
        told = plain({key: bounded(data[key]) for key in ("longrepr", "outcome", "$report_type")})
        assert isinstance(told, dict)  # noqa: S101
        return told | {
            "wasxfail": bounded(getattr(report, "wasxfail", None)),
            "type": type(self._raised).__name__,
            "asserts": isinstance(self._raised, AssertionError),
        }


def _nothing() -> dict[str, str]:
    return {"status": "ok"}


class _Body:
    """The body of a step, and how it ended."""

    def __init__(
        self, step: PythonStep, context: RemoteContext, env: Environment, warns: Collection[str]
    ) -> None:
        self._step, self._context, self._env, self._warns = step, context, env, warns
        self._ended: Ended | None = None

    def run(self) -> None:
        """Run it; raise what it raised, for pytest to explain."""
        __tracebackhide__ = True
        try:
            with Uncaught(self._warns) as uncaught:
                self._ended = python_inline.run(self._step, self._context, self._env, {})
            self._warned_of(uncaught)
        except KeyboardInterrupt as error:  # nobody has pressed Ctrl-C here
            told = python_inline.summary(error)
            failure = Failure(kind="exception", reason=told, exception=outcome.user_frames(error))
            self._ended = Ended(usage=Usage(seconds=0.0), failure=failure)
        failed = self._ended.failure
        if failed is not None and failed.exception is not None:
            raise failed.exception

    def _warned_of(self, uncaught: Uncaught) -> None:
        """Warn of what nobody caught; where warnings are errors, a step that passed fails."""
        try:
            uncaught.warn()
        except Warning as error:
            if self._ended is not None and self._ended.failure is None:
                failure = Failure(
                    kind="exception", reason=python_inline.summary(error), exception=error
                )
                self._ended = msgspec.structs.replace(self._ended, failure=failure, skipped=None)

    def encoded(self) -> bytes:
        """Return how it ended without its exception: that is told as pytest shows it."""
        ended = self._ended
        if ended is not None and ended.failure is not None:
            failure = msgspec.structs.replace(ended.failure, exception=None)
            ended = msgspec.structs.replace(ended, failure=failure)
        return msgspec.json.encode(ended)


class _StepCall(pytest.Function):
    """The one item."""

    body: Callable[[], None]

    def called(self) -> None:
        """Call it as pytest would."""
        __tracebackhide__ = True
        self.obj()

    def perform(self) -> None:
        """Run the body that it has at the moment."""
        __tracebackhide__ = True
        self.body()


class _Shelf(pytest.Module):
    """Where the item stands."""


class _Records(logging.Handler):
    """Passes log records on."""

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record as plain data."""
        told = {**record.__dict__, "msg": record.getMessage(), "args": None, "exc_info": None}
        if record.exc_info:
            told["exc_text"] = logging.Formatter().formatException(record.exc_info)
        self._tell({"op": "log", "record": plain(bounded(told))})


def _surroundings(request: dict[str, Any], error: BaseException | None) -> Environment:
    def before_import(module: str) -> None:
        if error is not None:  # it was imported, and this is what came of it
            raise error
        pytest.register_assert_rewrite(module)

    return Environment(
        root=Path(request["root"]),
        stretch=0.0,
        skips=(pytest.skip.Exception,),
        passes_through=(pytest.exit.Exception,),
        before_import=before_import,
        watched=True,
    )
