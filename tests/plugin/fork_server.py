"""Fork server for the processes of sessions that the tests of the plugin run.

A new interpreter spends 0.2 to 0.4 s of CPU time on imports before it does anything, which is
several times the rest of a session with a small recipe. The fork server has imported everything
once. It forks the supervisor of a session, the interpreters of pytest and of the workers of xdist,
and a supervisor forks itself for the lane of Python steps. All other code of these processes is
that of the product. Tests that check how processes start, end or are measured start real
interpreters (marker ``own_interpreters``).
"""

import atexit
import fcntl
import gc
import importlib
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final, NoReturn

from execnet.gateway_io import Popen2IOMaster

from pytest_orchestrator.core.files import is_readable
from pytest_orchestrator.execution.lanes import lane, supervisor_client
from pytest_orchestrator.execution.lanes.supervisor_client import SupervisorClient
from pytest_orchestrator.execution.supervision import deadlines, framing, lane_process, os_support
from pytest_orchestrator.execution.supervision.supervisor import Supervisor
from tests.plugin import installed, known_plugins

_CONTROL, _ALIVE = 3, 4  # descriptors of a lane
_START: Final = 60.0
_Popen: Final = subprocess.Popen
_ROOT: Final = Path(__file__).parents[2]
# A session loads the plugins first, so that pytest rewrites their asserts as it always does.
_MAIN: Final = """\
import contextlib, io, os, sys, tempfile, pytest
with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
    without = ("-p", "no:hypothesispytest", "-p", "no:rerunfailures", "--noconftest")
    pytest.main([*without, "-c", os.devnull, f"--rootdir={folder}", folder])
sys.path.insert(0, sys.argv[1])
from tests.plugin.fork_server import main
main()"""


class ForkServer:
    """Client of the process that forks others.

    Args:
        connection: A socket to the process; None starts the process.
    """

    def __init__(self, connection: socket.socket | None = None) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._socket = self._start() if connection is None else connection

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        argv = [sys.executable, "-c", _MAIN, str(_ROOT)]
        env = {name: text for name, text in os.environ.items() if not name.startswith("COV")}
        env.pop("PYTEST_ADDOPTS", None)
        with theirs:
            self._process = subprocess.Popen(
                argv,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                cwd="/",
                env=env,
                start_new_session=True,
            )
        ours.settimeout(_START)
        framing.answer(ours)
        return ours

    def fork(self, fds: Sequence[int], **request: Any) -> int:
        """Fork a process with some descriptors; return its pid."""
        pid: int = self._answer(request, fds)["pid"]
        return pid

    def exit_code(self, pid: int) -> int:
        """Return the exit code of a process that has ended."""
        return os.waitstatus_to_exitcode(self._answer({"reap": pid})["status"])

    def _answer(self, request: dict[str, Any], fds: Sequence[int] = ()) -> dict[str, Any]:
        with self._lock:  # execnet ends its workers in several threads
            framing.send(self._socket, request, fds)
            answer: dict[str, Any] = framing.answer(self._socket)
        return answer

    def close(self) -> None:
        """End the server; the processes that it has forked end when their sessions end."""
        self._socket.close()
        if self._process is not None:
            self._process.wait(_START)

    def supervisor(
        self, *, limited: bool, heartbeat: deadlines.HeartbeatFile | None = None
    ) -> "ForkedSupervisor":
        """Start a supervisor, in the place of `SupervisorClient`."""
        return ForkedSupervisor(self, limited=limited, heartbeat=heartbeat)

    def popen(self, argv: Sequence[str], **options: Any) -> Any:
        """Start a process, in the place of `subprocess.Popen`, with a fork for an interpreter."""
        if _arguments(argv) is None:
            return _Popen(argv, **options)
        return ForkedInterpreter(self, argv, **options)

    def start_of_workers(self) -> Callable[..., None]:
        """Return a method that forks a worker of xdist, in the place of that of execnet."""

        def start(gateway: Popen2IOMaster, args: list[str], execmodel: Any) -> None:
            gateway.popen = self.popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            streams = (gateway.popen.stdin, gateway.popen.stdout)
            super(Popen2IOMaster, gateway).__init__(*streams, execmodel=execmodel)

        return start


def _arguments(argv: Sequence[str]) -> tuple[str, str, list[str]] | None:
    """Return the option ``-c`` or ``-m`` of a command, its value and the rest; None without."""
    program, *rest = argv
    if rest[:1] == ["-u"]:
        rest = rest[1:]
    if program != sys.executable or not rest:
        return None
    if rest[0] in ("-c", "-m"):
        return rest[0], rest[1], rest[2:]
    return ("-m", rest[0][2:], rest[1:]) if rest[0].startswith("-m") else None


class ForkedProcess:
    """The part of `subprocess.Popen` that tests use, for a process that the server has forked."""

    def __init__(self, server: ForkServer, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._server = server
        self._fd = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Return the exit code; None if the process is running."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end of the process; return its exit code."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("a forked process", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal to the process if it is running."""
        if self.returncode is None:
            signal.pidfd_send_signal(self._fd, number)

    def kill(self) -> None:
        """Kill the process if it is running."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, seconds: float | None) -> int | None:
        if self.returncode is None and is_readable(self._fd, seconds):
            self.returncode = self._server.exit_code(self.pid)
            os.close(self._fd)
        return self.returncode


class ForkedInterpreter(ForkedProcess):
    """Process that behaves as an interpreter with an option ``-c`` or ``-m``."""

    def __init__(
        self,
        server: ForkServer,
        argv: Sequence[str],
        *,
        stdin: Any = None,
        stdout: Any = None,
        stderr: Any = None,
        env: dict[str, str] | None = None,
        start_new_session: bool = False,
    ) -> None:
        theirs, ours = _streams(stdin, stdout, stderr)
        self.stdin = None if ours[0] is None else os.fdopen(ours[0], "wb", buffering=0)
        self.stdout = None if ours[1] is None else os.fdopen(ours[1], "rb")
        try:
            pid = server.fork(
                theirs,
                argv=_arguments(argv),
                env=env or dict(os.environ),
                cwd=str(Path.cwd()),
                session=start_new_session,
            )
        finally:
            for fd in theirs:
                os.close(fd)
        super().__init__(server, pid)

    def communicate(self, timeout: float | None = None) -> tuple[bytes, None]:
        """Read the output to its end and wait for the process; return the output."""
        if self.stdin is not None:
            self.stdin.close()
        out = b""
        if self.stdout is not None:
            with self.stdout:
                out = self.stdout.read()
        self.wait(timeout)
        return out, None


def _streams(*wanted: Any) -> tuple[list[int], list[int | None]]:
    """Return the standard streams of a new process, and our ends of those that are pipes."""
    theirs: list[int] = []
    ours: list[int | None] = []
    for number, stream in enumerate(wanted):
        end = None
        if stream == subprocess.PIPE:
            read, write = os.pipe()
            fd, end = (write, read) if number else (read, write)
        elif stream == subprocess.DEVNULL:
            fd = os.open(os.devnull, os.O_RDWR)
        elif stream == subprocess.STDOUT:
            fd = os.dup(theirs[1])
        else:
            fd = os.dup(number if stream is None else stream.fileno())
        theirs.append(fd)
        ours.append(end)
    return theirs, ours


class ForkedSupervisor(SupervisorClient):
    """Client of a supervisor that the fork server has forked."""

    def __init__(
        self,
        server: ForkServer,
        *,
        limited: bool,
        heartbeat: deadlines.HeartbeatFile | None,
    ) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(supervisor_client.ANSWER)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        with theirs:
            fds = (theirs.fileno(), self._errors.fileno())
            self.pid = server.fork(fds, pytest=os.getpid(), limited=limited)
        self._process: Any = ForkedProcess(server, self.pid)
        self.lanes: set[int] = set()
        if heartbeat is not None:
            self._send_heartbeat_file(heartbeat)


class _ForkingSupervisor(Supervisor):
    """Supervisor that is no child of pytest, and forks itself for the lane of Python steps."""

    def serve(self) -> None:
        """Answer the requests of pytest until pytest has ended, then end all lanes."""
        try:
            while self._handle_next():
                pass
        finally:
            self._end_all()
        if self._watchdog is not None:
            self._watchdog.note()

    def _spawned(self, request: dict[str, Any], fd: int) -> int:
        pid = os.fork()
        if pid:
            return pid
        try:
            os.dup2(fd, _CONTROL)
            os.dup2(self._alive, _ALIVE)
            os.closerange(_ALIVE + 1, 256)
            os.environ.clear()
            os.environ.update(request["env"])
            sys.argv[:] = ["-c"]
            _program(request["argv"])()
        except BaseException:  # noqa: BLE001 - the copy of the supervisor must not continue
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)


def _program(argv: Sequence[str]) -> Callable[[], None]:
    """Return the main function of a program that a supervisor is to start."""
    if any("instruments.visa" in word for word in argv):
        from pytest_orchestrator.execution.instruments import visa

        return visa.main
    from pytest_orchestrator.plugin.python_lane import main

    return main.main


class _Server:
    """The loop of the server process."""

    def __init__(self, connection: socket.socket) -> None:
        self._connections = {connection.fileno(): connection}
        self._statuses: dict[int, int] = {}

    def serve(self) -> None:
        """Answer all connections until they are closed."""
        while self._connections:
            ready, _, _ = select.select(list(self._connections), [], [])
            for fd in ready:
                connection = self._connections[fd]
                try:
                    self._answer(connection, *framing.receive(connection))
                except (EOFError, ConnectionError):
                    self._connections.pop(fd).close()

    def _answer(self, connection: socket.socket, request: dict[str, Any], fds: list[int]) -> None:
        if "reap" in request:
            while request["reap"] not in self._statuses:
                pid, status = os.waitpid(-1, 0)
                self._statuses[pid] = status
            framing.send(connection, {"status": self._statuses.pop(request["reap"])})
            return
        ours = theirs = None
        if "argv" in request:
            ours, theirs = socket.socketpair()
        pid = os.fork()
        if not pid:
            for one in (*self._connections.values(), *filter(None, [ours])):
                one.close()
            if theirs is None:
                _be_supervisor(*fds, **request)
            _be_interpreter(theirs, fds, **request)
        for fd in fds:
            os.close(fd)
        if ours is not None and theirs is not None:
            theirs.close()
            self._connections[ours.fileno()] = ours
        framing.send(connection, {"pid": pid})


def _be_supervisor(control: int, errors: int, *, pytest: int, limited: bool) -> NoReturn:
    try:
        os.setsid()
        os.chdir("/")
        os.dup2(errors, 2)
        os.close(errors)
        lane_process.outlive_signals()
        features = os_support.SystemFeatures(limited=limited)
        features.adopt_orphans(b"recipe-supervis")
        _ForkingSupervisor(socket.socket(fileno=control), pytest, features).serve()
    except BaseException:  # noqa: BLE001 - the copy of the server must not continue
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(0)


def _be_interpreter(
    server: socket.socket,
    fds: list[int],
    *,
    argv: Any,
    env: dict[str, str],
    cwd: str,
    session: bool,
) -> NoReturn:
    if session:
        os.setsid()
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    if session and os.isatty(0):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    path = env.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [cwd, *filter(None, path), *sys.path[2:]]
    forks = ForkServer(server)
    vars(lane)["SupervisorClient"] = forks.supervisor
    Popen2IOMaster.__init__ = forks.start_of_workers()  # type: ignore[method-assign]
    option, text, rest = argv
    sys.argv[:] = [option, *rest]
    raise _Forked(option, text)


class _Forked(BaseException):
    """Unwinds the loop of the server in a forked interpreter."""

    def run(self) -> None:
        """Run the program of the interpreter."""
        option, text = self.args
        if option == "-m":
            runpy.run_module(text, run_name="__main__", alter_sys=True)
        else:
            exec(text, vars(sys.modules["__main__"]))


def _end(program: _Forked) -> NoReturn:
    """Run the program of an interpreter; end as interpreters do, but leave the memory as it is.

    An interpreter empties all modules at its end. In a fork this copies each page that it shares
    with the server, which takes half of the time of a worker of xdist.
    """
    try:
        program.run()
        code: Any = None
    except SystemExit as ended:
        code = ended.code
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001
    atexit._run_exitfuncs()  # noqa: SLF001
    if isinstance(code, str):
        sys.stderr.write(f"{code}\n")
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(1 if isinstance(code, str) else code or 0)


def _import_all() -> None:
    """Import the modules that sessions import late."""
    import pytest_orchestrator

    for module in pkgutil.walk_packages(pytest_orchestrator.__path__, "pytest_orchestrator."):
        if not module.name.startswith("pytest_orchestrator.monitor"):
            importlib.import_module(module.name)


def main() -> None:
    """Serve the process that started this one, by the socket at standard input."""
    while (null := os.open(os.devnull, os.O_RDWR)) < _ALIVE:
        pass  # reserves the descriptor numbers that a lane uses
    connection = socket.socket(fileno=os.dup(0))
    os.dup2(null, 0)
    _import_all()
    known_plugins.install()
    metadata.distributions = installed.read_once(metadata.distributions)
    installed.read_all()
    gc.collect()
    gc.freeze()
    vars(gc)["get_freeze_count"] = lambda: 100_000  # Python counts them one by one
    framing.send(connection, {"ready": True})
    try:
        _Server(connection).serve()
    except _Forked as forked:
        program = forked
    else:
        os._exit(0)
    _end(program)
