"""Main program of the lane for Python steps.

A fork runs its step as a pytest item, so assertions, warning filters and skips work as in any
test; it sends the result through the sockets of the step. The lane, not pytest's own process,
imports each module, once for all steps that use the module. If a fork is not safe (on systems
other than Linux, or after an import has started a thread), a fresh interpreter runs each step
instead, with the same request and the same messages.

A step that sets environment variables imports its module itself, after they are set: in a fork of a
lane that has imported no module of a step, else in a fresh interpreter.
"""

import contextlib
import gc
import io
import marshal
import os
import socket
import sys
import tempfile
import threading
from typing import Any, NoReturn

import pytest

from pytest_orchestrator.execution.lanes.messages import step_from_fields
from pytest_orchestrator.execution.steps.python_inline import TimeLimitReached, deadline
from pytest_orchestrator.execution.supervision import framing, lane_process, os_support
from pytest_orchestrator.plugin.python_lane.item import (
    Imported,
    StepCalls,
    apply_process_state,
    forget_exits,
    is_traced,
    reset_signals,
    run_exits,
)
from pytest_orchestrator.recipe.model.step import PythonStep

_CONTROL, _ALIVE = 3, 4
_CONTEXT, _EVENTS = 3, 4  # file descriptors of a fresh interpreter
_ALONE = "alone"

_REHEARSALS = 10

_BROKEN = 70
"""Exit code of a child in which code of this plugin failed; its stderr has the traceback."""


def main() -> None:
    """Run the lane that the supervisor started, or the fresh interpreter of one step."""
    if sys.argv[1:] == [_ALONE]:
        _run_fresh()
    connection = socket.socket(fileno=_CONTROL)
    lane_process.outlive_signals()
    hello, _ = framing.receive(connection)
    server = ForkServer(connection, hello)
    output = _run_session(hello, server)
    if not server.ready:
        framing.send(connection, {"failed": output})


def _run_session(hello: dict[str, Any], plugin: "StepSession") -> str:
    """Run a pytest session with a plugin; return the text that the session printed."""
    sys.path[:] = hello["sys_path"]
    os.chdir(hello["folder"])
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        os.environ.pop(name, None)
    output = io.StringIO()
    sys.stdout = sys.stderr = output
    with contextlib.suppress(SystemExit):
        pytest.main(hello["arguments"], plugins=[plugin])
    return output.getvalue().strip()


class StepSession(StepCalls):
    """Plugin that makes a pytest session collect nothing and run steps."""

    def __init__(self, hello: dict[str, Any]) -> None:
        super().__init__(hello["warns"])
        self._hello = hello

    def pytest_configure(self, config: pytest.Config) -> None:
        """Set the traceback options to the values of the session to which the steps belong."""
        for name, value in self._hello["options"].items():
            setattr(config.option, name, value)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> bool:
        """Collect nothing, because steps arrive as requests."""
        session.items = []
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Serve steps instead of running collected items."""
        for name, number in (("stdout", 1), ("stderr", 2)):
            setattr(sys, name, _stream(number))
            setattr(sys, f"__{name}__", getattr(sys, name))
        gc.freeze()  # what was imported is no garbage
        gc.enable()
        self.within_an_item(session)
        return True


class ForkServer(StepSession):
    """Session of a lane for Python steps: a fork server, which forks itself for each step.

    Attributes:
        ready: True once the lane has sent its ready message.
    """

    def __init__(self, connection: socket.socket, hello: dict[str, Any]) -> None:
        super().__init__(hello)
        self.ready = False
        self._connection = connection
        self._forks: bool = hello["forks"]
        self._has_imported = False  # True once the lane has imported a module of a step
        self._umask = os.umask(0o022)
        os.umask(self._umask)

    def serve(self) -> None:
        """Serve steps until the other end closes the connection."""
        features = os_support.SystemFeatures()
        features.adopt_orphans(b"recipe-lane-py")
        for _ in range(_REHEARSALS):
            self.rehearse()
        self.ready = True
        framing.send(self._connection, {"ready": os.getpid()})
        lane_process.serve(self._connection, _ALIVE, features, self._started)

    def _started(self, request: dict[str, Any], out: int, err: int) -> int:
        """Start a child process for a step, and return its process id."""
        try:
            pid = self._forked(request, out, err) if self._forks else None
            return self._fresh(request, out, err) if pid is None else pid
        finally:
            for fd in request["handed"]:
                os.close(fd)

    def _forked(self, request: dict[str, Any], out: int, err: int) -> int | None:
        """Fork a child for a step; return its process id, or None if a fork is not safe."""
        if request["sets_variables"] and self._has_imported:
            return None  # a module of the lane may have read the variables
        step = step_from_fields(request["step"])
        apply_process_state(request)
        self.expect(step, request)
        imported = Imported()
        preloaded = step.plugin_data.imports if step.plugin_data else ()
        is_loaded = sys.modules.keys() >= {step.module, *preloaded}
        if not is_loaded and not request["sets_variables"]:
            self._has_imported = True
            imported = self._imported(step, request)
            if threading.active_count() > 1:  # a fork would not have this thread
                self._forks = False
                imported.close()
                return None
        gc.freeze()
        request["is_fork"] = True
        pid = os.fork()
        if pid == 0:
            self._be_child(step, request, imported, (out, err))
        imported.close()
        return pid

    def _imported(self, step: PythonStep, request: dict[str, Any]) -> Imported:
        """Import a step's module into the lane; return the outcome, which the child will report."""
        imported = Imported()
        with socket.socket(fileno=os.dup(request["handed"][1])) as events:
            # This event is sent before the import, because the import may end the lane.
            framing.send(events, {"op": "importing", "module": step.module})
            with (
                imported.printed(),
                contextlib.suppress(TimeLimitReached),
                deadline(request["timeout"]),
            ):
                self.imports(step, imported)
            framing.send(events, {"op": "importing", "module": ""})
        lane_process.outlive_signals()
        os.umask(self._umask)
        apply_process_state(request)
        return imported

    def _be_child(
        self,
        step: PythonStep,
        request: dict[str, Any],
        imported: Imported,
        streams: tuple[int, int],
    ) -> NoReturn:
        code = _BROKEN
        try:
            self._connection.close()
            for fd in (_ALIVE, *request["kept"]):
                os.close(fd)
            channel, events = (socket.socket(fileno=fd) for fd in request["handed"])
            os.setsid()
            for number, fd in enumerate(streams, 1):  # stdin is that of the lane, which is empty
                os.dup2(fd, number)
                os.close(fd)
            forget_exits()
            reset_signals(traced=is_traced(step))
            imported.print_again()
            imported.close()
            self.perform(step, request, (channel, events), imported.error, imported.events)
            code = 0
        except BaseException:  # noqa: BLE001
            sys.excepthook(*sys.exc_info())
        finally:
            _end(code)

    def _fresh(self, request: dict[str, Any], out: int, err: int) -> int:
        """Start a fresh interpreter for a step, and return its process id."""
        argv = [*self._hello["argv"], _ALONE]
        with tempfile.TemporaryFile() as message:
            marshal.dump((self._hello, request), message)
            message.seek(0)
            fds = (message.fileno(), out, err, *request["handed"])
            return os.posix_spawn(
                argv[0],
                argv,
                request["env"],
                file_actions=[(os.POSIX_SPAWN_DUP2, fd, to) for to, fd in enumerate(fds)],
                setsid=True,
                setsigmask=(),
                setsigdef=lane_process.DEFAULTS,
            )


class FreshInterpreter(StepSession):
    """Session of a fresh interpreter that runs one step.

    Attributes:
        reported: True once the result of the step was sent.
    """

    def __init__(self, hello: dict[str, Any], request: dict[str, Any]) -> None:
        super().__init__(hello)
        self.reported = False
        self._request = request

    def serve(self) -> None:
        """Run the step."""
        channel, events = socket.socket(fileno=_CONTEXT), socket.socket(fileno=_EVENTS)
        apply_process_state(self._request)
        step = step_from_fields(self._request["step"])
        reset_signals(traced=is_traced(step))
        self.expect(step, self._request)
        self.perform(step, self._request, (channel, events))
        self.reported = True


def _run_fresh() -> NoReturn:
    hello, request = marshal.load(sys.stdin.buffer)  # noqa: S302 - our own process
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    for fd in (_CONTEXT, _EVENTS):
        os.set_inheritable(fd, False)
    session = FreshInterpreter(hello, request)
    output = _run_session(hello, session)
    if not session.reported:
        os.write(2, f"{output}\n".encode())
    _end(0 if session.reported else _BROKEN)


def _end(code: int) -> NoReturn:
    with contextlib.suppress(BaseException):
        run_exits()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):
            stream.flush()
    os._exit(code)


def _stream(number: int) -> io.TextIOWrapper:
    """Return a text stream to a file descriptor; it replaces characters that it cannot encode."""
    binary = open(number, "wb", buffering=0 if number == 2 else -1, closefd=False)  # noqa: SIM115
    return io.TextIOWrapper(
        binary, encoding="utf-8", errors="replace", line_buffering=True, write_through=number == 2
    )
