"""Main program of the lane for Python steps.

In the child runs one item, so assertions are rewritten and explained as in any test,
warnings are filtered and skips understood; what becomes of it goes back through the step's
channels. The user's modules never get into pytest's own process; here they are imported
once and shared by all steps that use them. Where a fork is not safe (on other systems, or
once a module has started a thread while it was imported) each step is run by a fresh
interpreter instead, which is told the same and tells the same.
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

from pytest_orchestrator.execution.lanes.messages import unpacked
from pytest_orchestrator.execution.steps.python_inline import TimeLimitReached, deadline
from pytest_orchestrator.execution.supervision import framing, lane_process, os_support
from pytest_orchestrator.plugin.python_lane.item import StepCalls
from pytest_orchestrator.plugin.python_lane.process import (
    Imported,
    forget_exits,
    own_process,
    run_exits,
    take_over,
)
from pytest_orchestrator.recipe.model.step import PythonStep

_CONTROL, _ALIVE = 3, 4
_CONTEXT, _EVENTS = 3, 4  # of a fresh interpreter
_ALONE = "alone"

_REHEARSALS = 10

_BROKEN = 70
"""Exit code of a child in which our own code failed; the traceback is on its stderr."""


def main() -> None:
    """Be the lane that the supervisor has started, or the fresh interpreter of one step."""
    if sys.argv[1:] == [_ALONE]:
        _run_alone()
    connection = socket.socket(fileno=_CONTROL)
    lane_process.outlive_signals()
    hello, _ = framing.receive(connection)
    served = Lane(connection, hello)
    words = _session(hello, served)
    if not served.ready:
        framing.send(connection, {"failed": words})


def _session(hello: dict[str, Any], plugin: "Served") -> str:
    """Be a session of pytest; return what it had to say."""
    sys.path[:] = hello["sys_path"]
    os.chdir(hello["folder"])
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        os.environ.pop(name, None)
    words = io.StringIO()
    sys.stdout = sys.stderr = words
    with contextlib.suppress(SystemExit):
        pytest.main(hello["arguments"], plugins=[plugin])
    return words.getvalue().strip()


class Served(StepCalls):
    """The plugin that makes a pytest session run steps and collect nothing."""

    def __init__(self, hello: dict[str, Any]) -> None:
        super().__init__(hello["warns"])
        self._hello = hello

    def pytest_configure(self, config: pytest.Config) -> None:
        """Show tracebacks as the session shows them that the steps belong to."""
        for name, value in self._hello["options"].items():
            setattr(config.option, name, value)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> bool:
        """Collect nothing: steps come as requests."""
        session.items = []
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Serve instead of running what was collected."""
        for name, number in (("stdout", 1), ("stderr", 2)):
            setattr(sys, name, _stream(number))
            setattr(sys, f"__{name}__", getattr(sys, name))
        self.within_an_item(session)
        return True


class Lane(Served):
    """The session that is a lane.

    Attributes:
        ready: It came so far as to be one.
    """

    def __init__(self, connection: socket.socket, hello: dict[str, Any]) -> None:
        super().__init__(hello)
        self.ready = False
        self._connection = connection
        self._forks: bool = hello["forks"]
        self._umask = os.umask(0o022)
        os.umask(self._umask)

    def serve(self) -> None:
        """Serve until the other end is gone."""
        abilities = os_support.SystemFeatures()
        abilities.adopt_orphans(b"recipe-lane-py")
        for _ in range(_REHEARSALS):
            self.rehearse()
        self.ready = True
        framing.send(self._connection, {"ready": os.getpid()})
        lane_process.serve(self._connection, _ALIVE, abilities, self._started)

    def _started(self, request: dict[str, Any], out: int, err: int) -> int:
        """Start a child for a step; what it needs is imported here first."""
        try:
            pid = self._forked(request, out, err) if self._forks else None
            return self._fresh(request, out, err) if pid is None else pid
        finally:
            for fd in request["handed"]:
                os.close(fd)

    def _forked(self, request: dict[str, Any], out: int, err: int) -> int | None:
        """Fork a child for a step; None where that is not safe any more."""
        step = unpacked(request["step"])
        take_over(request)
        self.expect(step, request)
        imported = Imported()
        if step.module not in sys.modules:
            imported = self._imported(step, request)
            if threading.active_count() > 1:  # a fork would go on without it
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
        """Import the module of a step, once for all; what comes of it is the child's to tell."""
        imported = Imported()
        with socket.socket(fileno=os.dup(request["handed"][1])) as events:
            # It may take the lane with it.
            framing.send(events, {"op": "importing", "module": step.module})
            with (
                imported.printed(),
                contextlib.suppress(TimeLimitReached),
                deadline(request["timeout"]),
            ):
                self.imports(step.module, imported)
            framing.send(events, {"op": "importing", "module": ""})
        lane_process.outlive_signals()
        os.umask(self._umask)
        take_over(request)
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
            for number, fd in enumerate(streams, 1):  # the input is empty, as the lane's own
                os.dup2(fd, number)
                os.close(fd)
            forget_exits()
            own_process(traced=not step.background)
            imported.print_again()
            imported.close()
            self.perform(step, request, (channel, events), imported.error, imported.events)
            code = 0
        except BaseException:  # noqa: BLE001
            sys.excepthook(*sys.exc_info())
        finally:
            _end(code)

    def _fresh(self, request: dict[str, Any], out: int, err: int) -> int:
        """Start a fresh interpreter for a step."""
        argv = [*self._hello["argv"], _ALONE]
        with tempfile.TemporaryFile() as told:
            marshal.dump((self._hello, request), told)
            told.seek(0)
            fds = (told.fileno(), out, err, *request["handed"])
            return os.posix_spawn(
                argv[0],
                argv,
                request["env"],
                file_actions=[(os.POSIX_SPAWN_DUP2, fd, to) for to, fd in enumerate(fds)],
                setsid=True,
                setsigmask=(),
                setsigdef=lane_process.DEFAULTS,
            )


class Alone(Served):
    """The session of a fresh interpreter that runs one step.

    Attributes:
        told: It has told what became of the step.
    """

    def __init__(self, hello: dict[str, Any], request: dict[str, Any]) -> None:
        super().__init__(hello)
        self.told = False
        self._request = request

    def serve(self) -> None:
        """Run the step."""
        channel, events = socket.socket(fileno=_CONTEXT), socket.socket(fileno=_EVENTS)
        take_over(self._request)
        step = unpacked(self._request["step"])
        own_process(traced=not step.background)
        self.expect(step, self._request)
        self.perform(step, self._request, (channel, events))
        self.told = True


def _run_alone() -> NoReturn:
    hello, request = marshal.load(sys.stdin.buffer)  # noqa: S302 - our own process
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    for fd in (_CONTEXT, _EVENTS):
        os.set_inheritable(fd, False)
    alone = Alone(hello, request)
    words = _session(hello, alone)
    if not alone.told:
        os.write(2, f"{words}\n".encode())
    _end(0 if alone.told else _BROKEN)


def _end(code: int) -> NoReturn:
    with contextlib.suppress(BaseException):
        run_exits()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):
            stream.flush()
    os._exit(code)


def _stream(number: int) -> io.TextIOWrapper:
    """Return a standard stream that takes any text, as pytest's captured ones do."""
    binary = open(number, "wb", buffering=0 if number == 2 else -1, closefd=False)  # noqa: SIM115
    return io.TextIOWrapper(
        binary, encoding="utf-8", errors="replace", line_buffering=True, write_through=number == 2
    )
