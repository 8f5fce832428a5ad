"""Test item that runs Python steps in forks of a lane.

A lane makes the item once and reuses it for each step. So a fork has less to do, and the kernel
copies fewer memory pages for the fork.
"""

import _signal  # type: ignore[import-not-found]
import atexit
import builtins
import contextlib
import faulthandler
import logging
import os
import shutil
import socket
import sys
import tempfile
import threading
import types
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import msgspec
import pytest
from msgspec.json import encode

from pytest_orchestrator.context.rpc.client import RemoteContext
from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.result import Ended, Failure
from pytest_orchestrator.core.text import clipped
from pytest_orchestrator.execution import outcome
from pytest_orchestrator.execution.attempt_context import AttemptContext, RunCallbacks
from pytest_orchestrator.execution.run_config import RunConfig
from pytest_orchestrator.execution.steps import python_inline
from pytest_orchestrator.execution.steps.python_inline import TimeLimitReached
from pytest_orchestrator.execution.supervision import framing, lane_process
from pytest_orchestrator.plugin.callables import callable_of, set_callback
from pytest_orchestrator.plugin.python_lane.uncaught import Uncaught
from pytest_orchestrator.plugin.results.bounds import bounded
from pytest_orchestrator.plugin.results.jsonable import plain
from pytest_orchestrator.recipe.model.step import PythonStep
from pytest_orchestrator.scriptlets.call import cache_signature

if TYPE_CHECKING:
    from pytest_orchestrator.core.questions import Answer, Question
    from pytest_orchestrator.instrument import Instrument


class Imported:
    """Outcome of the import of a module, for the first step that uses the module.

    Attributes:
        error: The exception of the import, or None.
        events: The log records and warnings of the import.
    """

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.events: list[dict[str, Any]] = []
        self._files: list[Any] = []

    @contextlib.contextmanager
    def printed(self) -> Iterator[None]:
        """Redirect file descriptors 1 and 2 to temporary files inside the with block."""
        self._files = [tempfile.TemporaryFile() for _ in (1, 2)]  # noqa: SIM115
        saved = [os.dup(number) for number in (1, 2)]
        for number, file in enumerate(self._files, 1):
            os.dup2(file.fileno(), number)
        try:
            yield
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    stream.flush()
            for number, fd in enumerate(saved, 1):
                os.dup2(fd, number)
                os.close(fd)

    def print_again(self) -> None:
        """Write the captured output to file descriptors 1 and 2."""
        for number, file in enumerate(self._files, 1):
            file.seek(0)
            with open(number, "wb", closefd=False) as stream:
                shutil.copyfileobj(file, stream)

    def close(self) -> None:
        """Close the temporary files, which deletes the captured output."""
        for file in self._files:
            file.close()


_OWN_TYPES: Final = "pytest_orchestrator.step_types."


class _Environment:
    """Environment variables of this process as the last request has set them.

    Two steps usually differ in two of their forty variables, so only these are set.
    """

    def __init__(self) -> None:
        self._given: dict[str, str] = {}
        self._raw: dict[bytes, bytes] | None = None

    def apply(self, given: dict[str, str]) -> None:
        """Set the environment variables of this process to the given ones."""
        raw: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined]  # noqa: SLF001
        # A module that was imported in this process may have changed the variables.
        before = self._given if raw == self._raw else dict(os.environ)
        for name in before.keys() - given.keys():
            del os.environ[name]
        for name, value in given.items() - before.items():
            os.environ[name] = value
        self._given, self._raw = given, raw.copy()


_environment = _Environment()


def apply_process_state(request: dict[str, Any]) -> None:
    """Set the environment, working folder and ``sys.path`` to those in the request of a step."""
    _environment.apply(request["env"])
    os.chdir(request["cwd"])
    sys.path[:] = request["sys_path"]


def forget_exits() -> None:
    """Unregister all ``atexit`` functions in this fork except `logging.shutdown`."""
    atexit._clear()  # noqa: SLF001
    atexit.register(logging.shutdown)


def run_exits() -> None:
    """Run the ``atexit`` functions that the step registered.

    The function of multiprocessing is removed first, because it would wait for the leftover
    processes, which the lane ends and reports.
    """
    processes = sys.modules.get("multiprocessing.util")
    if processes is not None:
        atexit.unregister(processes._exit_function)  # noqa: SLF001
    atexit._run_exitfuncs()  # noqa: SLF001


def reset_signals(*, traced: bool) -> None:
    """Reset the signal handlers to those of a new Python process.

    Args:
        traced: True if SIGTERM and crashes print the tracebacks of all threads before they end the
            process.
    """
    # `_signal` is used, because the enums of `signal` cost each fork fifty pages of memory.
    for number in lane_process.SIGNALS:
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, _signal.SIG_DFL)
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    if traced:
        faulthandler.register(_signal.SIGTERM, 2, all_threads=True, chain=True)
    else:
        faulthandler.disable()


def is_traced(step: PythonStep) -> bool:
    """Return True if the stacks of a step's threads have frames of the user's code.

    A step type of this package has none, and a step in the background is ended by SIGTERM as usual.
    """
    return not step.background and not step.module.startswith(_OWN_TYPES)


# Coverage reads the source of each executed file, except names in angle brackets.
_NO_FILE = Path("<step>")
_WARNINGS = {one for one in vars(builtins).values() if isinstance(one, type)}


class StepCalls:
    """Plugin of the lane's pytest session that runs all steps in one item without a setup phase.

    All steps run inside the runtest protocol of that item, so pytest installs its warning
    filters and assertion hooks only once.

    Args:
        warns: Names from `uncaught.PLUGINS`: the plugins whose warnings the step issues itself.
    """

    def __init__(self, warns: Collection[str]) -> None:
        self._warns = warns
        self._item: Any = None
        self._report: pytest.TestReport | None = None
        self._raised: BaseException | None = None
        self._events: socket.socket | None = None
        self._records = _Records(self._pass_on)
        self._importing = _ImportCallback()
        self._attempt: AttemptContext | None = None
        self._context: RemoteContext | None = None
        self._send_event: Callable[[dict[str, Any]], None] = lambda _: None

    def within_an_item(self, session: pytest.Session) -> None:
        """Create the item and run its runtest protocol, which serves the steps."""
        path = session.path / "steps"
        module: _StepModule = _StepModule.from_parent(session, path=path)
        module.obj = types.ModuleType("steps")
        function = callable_of(_NO_FILE, "step", 1, asks=False)
        self._item = _StepCall.from_parent(module, name="step", callobj=function)
        set_callback(function, self._item.perform)
        self._item.ihook.pytest_runtest_protocol(item=self._item, nextitem=None)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self) -> bool:
        """Serve steps instead of running the item."""
        if sys.version_info >= (3, 14):
            # A report shows the end of stderr: the C stack would hide the line of the step code.
            faulthandler.enable(2, c_stack=False)
        else:
            faulthandler.enable(2)
        with warnings.catch_warnings():
            warnings.showwarning = self._warned
            self.serve()
        return True

    def serve(self) -> None:
        """Run steps until the connection closes."""
        raise NotImplementedError

    def rehearse(self) -> None:
        """Run an empty step in this process, to warm up the code that forks execute.

        Forks then find the modules of that code imported and its bytecode specialized. Python
        specializes code after some runs, and each fork runs the code only once.
        """
        step = PythonStep(name="nothing", module=__name__, function=_nothing.__name__)
        root = str(self._item.config.rootpath)
        (channel, context), (events, receiver) = socket.socketpair(), socket.socketpair()
        with channel, context, events, receiver:
            self.perform(step, {"root": root}, (channel, events))

    def expect(self, step: PythonStep, request: dict[str, Any]) -> None:
        """Prepare everything for a step that its forks would prepare anew.

        A lane calls this before the fork. Each fork that fills a cache copies memory for it.
        """
        item, root = self._item, logging.getLogger()
        item.name = step.name
        item.obj = callable_of(Path(request["recipe"]), step.name, step.line, asks=False)
        set_callback(item.obj, item.perform)
        if self._records not in root.handlers:
            root.addHandler(self._records)
        if root.level != request["log_level"]:
            root.setLevel(request["log_level"])
        self._attempt_context(request["root"])
        module = sys.modules.get(step.module)
        if step.function is not None and isinstance(module, types.ModuleType):
            cache_signature(vars(module).get(step.function))

    def imports(self, step: PythonStep, imported: Imported) -> None:
        """Import the module of a step; store the log records, warnings and exception of it."""
        module = step.module
        self._send_event = imported.events.append
        with warnings.catch_warnings(), python_inline.OneProcess():
            try:
                pytest.register_assert_rewrite(module)
                __import__(module)
                for name in step.plugin_data.imports if step.plugin_data else ():
                    with contextlib.suppress(ImportError):  # the step code raises it again
                        __import__(name)
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
        """Run a step; send its log records and warnings as events, and finally its result.

        Args:
            step: The step.
            request: The request with the settings of the step.
            connections: The socket of the Context, and that of the events.
            error: The exception of the import of the step's module, or None.
            events: The events of the import.
        """
        channel, self._events = connections
        self._send_event = self._send
        for event in events:
            self._send_event(event)
        before = set(threading.enumerate())
        context = self._context = RemoteContext(channel, sends_times=True)
        self._importing.error = error
        attempt = self._attempt_context(request["root"])
        if step.plugin_data is not None:
            secrets = attempt.config.secrets
            secrets.share(lambda new: self._send_event({"op": "secrets", "values": new}))
            if step.plugin_data.asks:
                attempt = msgspec.structs.replace(attempt, asker=_asker(context))
        step_code = _StepCode(step, context, attempt, self._warns)
        self._item.step_code = step_code.run
        end: dict[str, Any] = {"op": "end", "pid": os.getpid(), "exit": None}
        try:
            self._call()
        except pytest.exit.Exception as stop:
            self._send_event(end | {"exit": (clipped(str(stop.msg)), stop.returncode)})
            return
        left = [one.name for one in threading.enumerate() if one not in before]
        end |= {"ended": step_code.encoded(), "threads": left, "shown": self._shown()}
        self._send_event(end)

    def _attempt_context(self, root: str) -> AttemptContext:
        """Return the context of every attempt; a lane creates it once, before its first fork."""
        if self._attempt is None or str(self._attempt.config.root) != root:
            config = RunConfig(
                root=Path(root),
                timeout_factor=0.0,
                skip_exceptions=(pytest.skip.Exception,),
                exit_exceptions=(pytest.exit.Exception,),
                lane_measures_io=True,
            )
            self._attempt = AttemptContext(
                config=config,
                callbacks=self._importing,
                opener=self._opened,
                add_exchange=lambda one: self._send_event({"op": "exchange", "json": encode(one)}),
            )
        return self._attempt

    def _opened(self, name: str) -> "Instrument":
        """Return the handle of an instrument; its requests go the way of those of the Context."""
        from pytest_orchestrator.instrument import opener

        assert self._context is not None  # noqa: S101 - step code runs
        return opener(self._context.request)(name)

    def _call(self) -> None:
        item = self._item
        stops = (pytest.exit.Exception,)
        call = pytest.CallInfo.from_call(item.called, when="call", reraise=stops)
        if call.excinfo is not None:
            self._raised = call.excinfo.value
            self._report = item.ihook.pytest_runtest_makereport(item=item, call=call)

    def _pass_on(self, event: dict[str, Any]) -> None:
        self._send_event(event)

    def _warned(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,  # noqa: ARG002
        line: str | None = None,  # noqa: ARG002
    ) -> None:
        """Send a warning as an event."""
        self._send_event(
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
        """Return pytest's report of the step's exception as plain data; None without exception."""
        report, config = self._report, self._item.config
        if report is None or report.longrepr is None:
            return None
        data = config.hook.pytest_report_to_serializable(config=config, report=report)
        shown = plain({key: bounded(data[key]) for key in ("longrepr", "outcome", "$report_type")})
        assert isinstance(shown, dict)  # noqa: S101
        return shown | {
            "wasxfail": bounded(getattr(report, "wasxfail", None)),
            "type": type(self._raised).__name__,
            "asserts": isinstance(self._raised, AssertionError),
        }


def _nothing() -> dict[str, str]:
    return {"status": "ok"}


class _StepCode:
    """Runner of the code of one step; stores the result of the step."""

    def __init__(
        self,
        step: PythonStep,
        context: RemoteContext,
        attempt: AttemptContext,
        warns: Collection[str],
    ) -> None:
        self._step, self._context, self._attempt, self._warns = step, context, attempt, warns
        self._ended: Ended | None = None

    def run(self) -> None:
        """Run the step code; raise the exception of a failed step, so that pytest formats it."""
        __tracebackhide__ = True
        try:
            with Uncaught(self._warns) as uncaught:
                self._ended = python_inline.run(self._step, self._context, self._attempt, {})
            self._warned_of(uncaught)
        except KeyboardInterrupt as error:  # raised by the step code; Ctrl-C reaches pytest only
            failure = Failure(
                kind="exception",
                reason=python_inline.summary(error),
                exception=outcome.user_frames(error),
            )
            self._ended = Ended(failure=failure)
        failed = self._ended.failure
        if failed is not None and failed.exception is not None:
            raise failed.exception

    def _warned_of(self, uncaught: Uncaught) -> None:
        """Issue warnings for uncaught exceptions; fail a passed step if warnings are errors."""
        try:
            uncaught.warn()
        except Warning as error:
            if self._ended is not None and self._ended.failure is None:
                failure = Failure(
                    kind="exception", reason=python_inline.summary(error), exception=error
                )
                self._ended = msgspec.structs.replace(self._ended, failure=failure, skipped=None)

    def encoded(self) -> bytes:
        """Return the result as JSON without its exception, which is sent as pytest's report."""
        ended = self._ended
        if ended is not None and ended.failure is not None:
            failure = msgspec.structs.replace(ended.failure, exception=None)
            ended = msgspec.structs.replace(ended, failure=failure)
        return msgspec.json.encode(ended)


class _StepCall(pytest.Function):
    """Item that represents the current step."""

    step_code: Callable[[], None]

    def called(self) -> None:
        """Call the function of the item as pytest would."""
        __tracebackhide__ = True
        self.obj()

    def perform(self) -> None:
        """Run the code of the current step."""
        __tracebackhide__ = True
        self.step_code()


class _StepModule(pytest.Module):
    """Parent node of the item."""


class _Records(logging.Handler):
    """Log handler that sends log records as events."""

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Send a log record as an event of plain data."""
        data = {**record.__dict__, "msg": record.getMessage(), "args": None, "exc_info": None}
        if record.exc_info:
            data["exc_text"] = logging.Formatter().formatException(record.exc_info)
        self._send({"op": "log", "record": plain(bounded(data))})


class _ImportCallback(RunCallbacks):
    """Callback before the import of the step's module.

    Attributes:
        error: The exception of the import in the lane, or None.
    """

    error: BaseException | None = None

    def before_import(self, module: str) -> None:
        """Raise the exception of the import in the lane; without one, have asserts rewritten."""
        if self.error is not None:
            raise self.error
        pytest.register_assert_rewrite(module)


def _asker(context: RemoteContext) -> "Callable[[Question], Answer]":
    """Return a function that asks a question through the connection of the Context."""
    from pytest_orchestrator.core.questions import Answer, NoAnswer
    from pytest_orchestrator.execution.steps.asking import ASK

    def ask(question: "Question") -> Answer:
        try:
            answer = context.request(ASK, msgspec.to_builtins(question))
        except OrchestratorError as error:
            raise NoAnswer(str(error)) from None
        return msgspec.convert(answer, Answer)

    return ask
