"""Client of the supervisor process: its start, its socket, the cause of its end."""

import os
import socket
import subprocess
import sys
import tempfile
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path

from pytest_orchestrator.execution.lanes.messages import signal_of
from pytest_orchestrator.execution.supervision import deadlines, framing

ANSWER = 5.0
"""Seconds within which the supervisor replies; it needs at most three to end a lane."""

# The package is registered without executing its __init__, which imports typing. Nothing of the
# user is on the search path, so no module of the user can shadow one of the standard library.
MAIN = """\
'the supervisor of pytest-orchestrator: ends processes that steps leave behind'
import sys
package = sys.modules['pytest_orchestrator'] = type(sys)('pytest_orchestrator')
package.__path__ = [sys.argv[1]]
from pytest_orchestrator.execution.supervision.supervisor import main
main()"""
_PACKAGE = str(Path(__file__).parents[2])


class SupervisorClient:
    """A supervisor process and the socket to it.

    Args:
        limited: True to start the supervisor without /proc, subreaper and pidfd.
        heartbeat: The file that this process must update; the supervisor ends all lanes and
            itself when the heartbeat stops.

    Attributes:
        socket: The socket for requests and replies.
        pid: The pid of its process.
        lanes: The pids of the lanes that it has started.
    """

    def __init__(self, *, limited: bool, heartbeat: deadlines.HeartbeatFile | None = None) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(ANSWER)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        argv = [sys.executable, "-I", "-S", "-c", MAIN, _PACKAGE, str(os.getpid())]
        with theirs, _undebugged(), ExitStack() as on_failure:
            on_failure.callback(self.socket.close)
            on_failure.callback(self._errors.close)
            self._process = subprocess.Popen(
                argv + ["limited"] * limited,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                cwd="/",
                start_new_session=True,
            )
            on_failure.pop_all()
        self.pid = self._process.pid
        self.lanes: set[int] = set()
        if heartbeat is not None:
            self._send_heartbeat_file(heartbeat)

    @property
    def over(self) -> bool:
        """True if the supervisor process has ended."""
        try:  # asked by each inline step; `poll` takes five times as long
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return False
        except (AttributeError, ChildProcessError):  # macOS has no `waitid`
            pass
        return self._process.poll() is not None

    def _send_heartbeat_file(self, heartbeat: deadlines.HeartbeatFile) -> None:
        try:
            framing.send(self.socket, {"heartbeat": deadlines.HEARTBEAT_GRACE}, (heartbeat.file,))
            framing.answer(self.socket)
        except (EOFError, OSError):  # the next request reports the error
            self._process.kill()

    def close(self) -> str:
        """Have the supervisor end all lanes and itself; return a text that describes its end."""
        try:
            self.socket.shutdown(socket.SHUT_WR)  # even if a fork of pytest has it open
            while self.socket.recv(1 << 16):
                pass
        except TimeoutError:
            self._process.kill()
        except OSError:
            pass
        self.socket.close()
        self._process.wait()
        self._errors.seek(0)
        last = self._errors.read().decode(errors="backslashreplace").strip().rpartition("\n")[2]
        self._errors.close()
        code = self._process.returncode
        end = ending(-code if code < 0 else code << 8)
        return f"(pid {self.pid}) {end}{': ' * bool(last)}{last}"


def _undebugged() -> AbstractContextManager[object]:
    """Return a context manager that keeps debugpy from attaching to new processes."""
    patches = sys.modules.get("_pydev_bundle.pydev_monkey")
    skip = getattr(patches, "skip_subprocess_arg_patch", nullcontext)
    block: AbstractContextManager[object] = skip()
    return block


def ending(status: int | None) -> str:
    """Return how a process ended, from its wait status, as text for a message."""
    if status is None:
        return "cannot be ended"
    name = signal_of(status)
    return f"was ended by {name}" if name else f"ended with exit code {os.WEXITSTATUS(status)}"
