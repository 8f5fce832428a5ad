"""The lane for Python steps: a pytest session of its own that forks itself for each step.

In the child runs one item with pytest's whole protocol, so assertions are rewritten and
explained as in any test, warnings are filtered and skips understood; what becomes of it
goes back through the step's channels. The user's modules never get into pytest's own
process; here they are imported once and shared by all steps that use them.
"""

import contextlib
import faulthandler
import gc
import io
import logging
import os
import signal
import socket
import sys
import threading
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pytest

from pytest_orchestrator.core.plain import plain
from pytest_orchestrator.core.result import Ended
from pytest_orchestrator.execution import kernel, lane, python, wire
from pytest_orchestrator.execution.deadline import TimeLimitReached, deadline
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.plugin.callables import callable_of
from pytest_orchestrator.recipe.model import PythonStep
from pytest_orchestrator.remote.client import RemoteContext

_CONTROL, _ALIVE = 3, 4

_BROKEN = 70
"""Exit code of a child in which our own code failed; the traceback is on its stderr."""


def main() -> None:
    """Be the lane that the supervisor has started: a socket is open as 3, its life as 4."""
    connection = socket.socket(fileno=_CONTROL)
    lane.outlive_signals()
    hello, _ = wire.receive(connection)
    sys.path[:] = hello["sys_path"]
    os.chdir(hello["folder"])
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        os.environ.pop(name, None)
    pytest.main(hello["arguments"], plugins=[Session(connection, hello)])


class Session:
    """The plugin that makes a pytest session a lane."""

    def __init__(self, connection: socket.socket, hello: dict[str, Any]) -> None:
        self._connection = connection
        self._options: dict[str, Any] = hello["options"]
        self._limited: bool = hello["limited"]
        self._session: Any = None
        self._events: socket.socket | None = None
        self._report: pytest.TestReport | None = None

    def pytest_configure(self, config: pytest.Config) -> None:
        """Show tracebacks as the session shows them that the steps belong to."""
        for name, value in self._options.items():
            setattr(config.option, name, value)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> bool:
        """Collect nothing: steps come as requests."""
        session.items = []
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Serve until the other end is gone."""
        self._session = session
        abilities = kernel.Abilities(limited=self._limited)
        abilities.adopt_orphans(b"recipe-lane-py")
        lane.serve(self._connection, _ALIVE, abilities, self._started)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """In a child: keep what became of the body, or of what went wrong before it."""
        if report.when == "call" or report.failed:
            self._report = report

    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        """In a child: pass a warning on."""
        kind = warning_message.category
        self._tell(
            {
                "op": "warning",
                "message": str(warning_message.message),
                "module": kind.__module__,
                "category": kind.__qualname__,
                "filename": warning_message.filename,
                "line": warning_message.lineno,
            }
        )

    def _tell(self, event: dict[str, Any]) -> None:
        if self._events is not None:
            with contextlib.suppress(OSError):
                wire.send(self._events, event)

    def _started(self, request: dict[str, Any], out: int, err: int) -> int:
        """Fork a child for a step; what it needs is imported here first."""
        step = msgspec.json.decode(request["step"], type=PythonStep)
        self._import(step, request, err)
        gc.freeze()
        pid = os.fork()
        if pid == 0:
            self._be_child(step, request, out, err)
        for fd in request["handed"]:
            os.close(fd)
        return pid

    def _import(self, step: PythonStep, request: dict[str, Any], err: int) -> None:
        """Import a step's module once for all; a failure is the child's to meet and tell."""
        if step.module in sys.modules:
            return
        _take_over(request)
        pytest.register_assert_rewrite(step.module)
        kept = os.dup(1), os.dup(2)
        os.dup2(err, 1)
        os.dup2(err, 2)
        try:
            with (
                contextlib.suppress(Exception, SystemExit, TimeLimitReached),
                deadline(request["timeout"]),
            ):
                __import__(step.module)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, fd in enumerate(kept, 1):
                os.dup2(fd, number)
                os.close(fd)

    def _be_child(self, step: PythonStep, request: dict[str, Any], out: int, err: int) -> NoReturn:
        code = _BROKEN
        try:
            self._connection.close()
            for fd in (_ALIVE, *request["kept"]):
                os.close(fd)
            channel, events = (socket.socket(fileno=fd) for fd in request["handed"])
            _settle(request, out, err)
            self._events = events
            self._tell(self._performed(step, request, channel))
            code = 0
        except BaseException:  # noqa: BLE001
            sys.excepthook(*sys.exc_info())
        finally:
            with contextlib.suppress(BaseException):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _performed(
        self, step: PythonStep, request: dict[str, Any], channel: socket.socket
    ) -> dict[str, Any]:
        """Run one step as an item; return what is to be told of it."""
        before = set(threading.enumerate())
        logging.getLogger().setLevel(request["log_level"])
        logging.getLogger().addHandler(_Records(self._tell))
        item = _item(self._session, step, Path(request["recipe"]))
        item.context = RemoteContext(channel)
        item.env = Environment(
            root=Path(request["root"]),
            timeouts=False,
            skips=(pytest.skip.Exception,),
            passes_through=(pytest.exit.Exception,),
            before_import=pytest.register_assert_rewrite,
        )
        ended: dict[str, Any] = {"op": "end", "exit": None}
        try:
            item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
        except pytest.exit.Exception as stop:
            return ended | {"exit": str(stop)}
        left = [one.name for one in threading.enumerate() if one not in before]
        return ended | {"ended": _encoded(item.ended), "threads": left, "shown": self._shown(item)}

    def _shown(self, item: "_StepCall") -> dict[str, Any] | None:
        """Return the report of an exception, as pytest sends reports between processes."""
        report = self._report
        if report is None or report.longrepr is None:
            return None
        hook = item.config.hook
        data = hook.pytest_report_to_serializable(config=item.config, report=report)
        told = plain({key: data[key] for key in ("longrepr", "outcome", "$report_type")})
        assert isinstance(told, dict)  # noqa: S101
        return told | {"wasxfail": getattr(report, "wasxfail", None)}


class _StepCall(pytest.Function):
    """The one item of a child."""

    step: PythonStep
    context: RemoteContext
    env: Environment
    ended: Ended | None = None

    def perform(self, _fixture: Callable[[str], object]) -> None:
        """Run the body; raise what it raised, for pytest to explain."""
        __tracebackhide__ = True
        self.ended = python.run(self.step, self.context, self.env, {})
        if self.ended.failure is not None and self.ended.failure.exception is not None:
            raise self.ended.failure.exception


class _Shelf(pytest.Module):
    """Where the one item stands: the recipe's file."""


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
        self._tell({"op": "log", "record": plain(told)})


def _item(session: pytest.Session, step: PythonStep, path: Path) -> _StepCall:
    shelf: _Shelf = _Shelf.from_parent(session, path=path)
    shelf.obj = types.ModuleType(path.stem)
    function = callable_of(path, step.name, step.line)
    item: _StepCall = _StepCall.from_parent(shelf, name=step.name, callobj=function)
    item.step = step
    return item


def _encoded(ended: Ended | None) -> bytes:
    """Return the end of a body without its exception: that one is told as pytest shows it."""
    if ended is not None and ended.failure is not None:
        failure = msgspec.structs.replace(ended.failure, exception=None)
        ended = msgspec.structs.replace(ended, failure=failure)
    return msgspec.json.encode(ended)


def _take_over(request: dict[str, Any]) -> None:
    """Stand where pytest stands: environment, folder, search path."""
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.path[:] = request["sys_path"]


def _settle(request: dict[str, Any], out: int, err: int) -> None:
    """Make a fresh process of a fork: own session, streams, signals, surroundings."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    for number, fd in enumerate((null, out, err)):
        os.dup2(fd, number)
        os.close(fd)
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _take_over(request)
    for name, number in (("stdout", 1), ("stderr", 2)):
        binary = open(number, "wb", buffering=0 if number == 2 else -1, closefd=False)  # noqa: SIM115
        text = io.TextIOWrapper(
            binary, encoding="utf-8", line_buffering=True, write_through=number == 2
        )
        setattr(sys, name, text)
        setattr(sys, f"__{name}__", text)
    faulthandler.enable(2)
    # A step that is ended by its timeout tells where it hung.
    faulthandler.register(signal.SIGTERM, 2, all_threads=True, chain=True)


if __name__ == "__main__":
    main()
