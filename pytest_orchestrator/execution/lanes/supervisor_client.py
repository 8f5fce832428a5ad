"""Client of the supervisor process: its start, its socket, its last words."""

import os
import socket
import subprocess
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from pytest_orchestrator.execution.lanes.messages import signal_of
from pytest_orchestrator.execution.supervision import framing, watchdog

ANSWER = 5.0
"""Seconds within which the supervisor answers; to drop a lane takes it three at most."""

# The package stands there without its face, which imports typing; and with nothing of the
# user's on the search path nothing of the user's can get in the way.
MAIN = """\
'the supervisor of pytest-orchestrator: ends what its steps leave behind'
import sys
face = sys.modules['pytest_orchestrator'] = type(sys)('pytest_orchestrator')
face.__path__ = [sys.argv[1]]
from pytest_orchestrator.execution.supervision.supervisor import main
main()"""
_PACKAGE = str(Path(__file__).parents[2])


class SupervisorClient:
    """A supervisor that runs.

    Args:
        limited: Let it do with what every system has: no /proc, no subreaper, no pidfd.
        pulse: Where that ceases it ends, and all lanes with it.

    Attributes:
        socket: Questions go by it, answers come by it.
        pid: Of its process.
        lanes: Pids of the lanes that it has started.
    """

    def __init__(self, *, limited: bool, pulse: watchdog.HeartbeatFile | None = None) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(ANSWER)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        argv = [sys.executable, "-I", "-S", "-c", MAIN, _PACKAGE, str(os.getpid())]
        with theirs, _undebugged():
            self._process = subprocess.Popen(
                argv + ["limited"] * limited,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                cwd="/",
                start_new_session=True,
            )
        self.pid = self._process.pid
        self.lanes: set[int] = set()
        if pulse is not None:
            self._heed(pulse)

    @property
    def over(self) -> bool:
        """True where it has ended."""
        return self._process.poll() is not None

    def _heed(self, pulse: watchdog.HeartbeatFile) -> None:
        try:
            framing.send(self.socket, {"heartbeat": watchdog.HEARTBEAT_GRACE}, (pulse.file,))
            framing.answer(self.socket)
        except (EOFError, OSError):  # whoever asks it next is told
            self._process.kill()

    def close(self) -> str:
        """Let it end everything, and tell how it ended."""
        try:
            self.socket.shutdown(socket.SHUT_WR)  # also where a fork of pytest has it too
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
    """Keep debugpy from putting itself into a process: it would wait there for an editor."""
    patches = sys.modules.get("_pydev_bundle.pydev_monkey")
    skip = getattr(patches, "skip_subprocess_arg_patch", nullcontext)
    told: AbstractContextManager[object] = skip()
    return told


def ending(status: int | None) -> str:
    """Return how a process ended, in words."""
    if status is None:
        return "cannot be ended"
    name = signal_of(status)
    return f"was ended by {name}" if name else f"ended with exit code {os.WEXITSTATUS(status)}"
