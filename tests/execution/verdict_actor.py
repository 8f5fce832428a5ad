"""Step code that takes the actions in its parameters, and logs each of them beforehand.

`test_verdict_law` copies this module into its projects. Each process writes to a named pipe of the
test before it acts; limits and closed descriptors of the process do not affect that pipe.
"""

from __future__ import annotations

import atexit
import inspect
import os
import resource
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

RETURNS = {
    "ok": {"status": "ok"},
    "off": {"status": "off"},
    "skip": {"status": "skip"},
    "none": None,
}


def step(ctx: object, params: dict[str, Any]) -> dict[str, str] | None:
    """Take the actions in order; return the result that the last one asks for."""
    actor = Actor(os.open(params["log"], os.O_WRONLY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    actor.note("began")
    try:
        says = actor.acts(params["actions"]) or params["returns"]
    except BaseException:
        actor.note("says off")
        raise
    actor.note(f"says {says}")
    return RETURNS[says]


class Actor:
    """The actions of a process on itself and on its children.

    An action returns the name of the result that its process returns from the step's function now,
    or None to continue.
    """

    def __init__(self, log: int) -> None:
        self._log = log
        self._pid = os.getpid()
        self._connection = _connection()

    def acts(self, actions: Sequence[Sequence[Any]]) -> str | None:
        """Take the actions in order, up to the first that returns a result."""
        for name, *args in actions:
            says: str | None = getattr(self, name)(*args)
            if says is not None:
                return says
        return None

    def note(self, word: str, pid: int | None = None) -> None:
        """Log the next action of a process."""
        os.write(self._log, f"{pid or os.getpid()} {word}\n".encode())

    def prints(self) -> None:
        """Print a line that is no result."""
        print("noise")  # noqa: T201

    def exits(self, code: int) -> None:
        """Exit without the finalisation of Python."""
        self.note(f"leaves {code}")
        os._exit(code)

    def is_killed(self, name: str) -> None:
        """End by a signal."""
        self.note("dies")
        os.kill(os.getpid(), getattr(signal, name))
        time.sleep(60)

    def executes(self, code: int) -> None:
        """Execute another program in this process."""
        self.note(f"leaves {code}")
        os.execv("/bin/sh", ["sh", "-c", f"exit {code}"])

    def raises(self, code: int | None) -> None:
        """Raise ValueError, or SystemExit with a code."""
        raise ValueError("raised") if code is None else SystemExit(code)

    def stops_the_run(self) -> None:
        """End the session by pytest.exit."""
        import pytest

        pytest.exit("stopped", 0)

    def child_returns(self, what: str) -> str | None:
        """Have a child leave the function as if it were the step; wait for it."""
        return what if self._forked() else None

    def child_raises(self, code: int | None) -> None:
        """Have a child leave the function by an exception; wait for it."""
        if self._forked():
            self.raises(code)

    def child_exits(self, code: int) -> None:
        """Have a child end; wait for it."""
        if self._forked():
            os._exit(code)

    def child_reports(self) -> None:
        """Have a child send a report of its own, in the name of its parent; wait for it."""
        if self._forked():
            self.reports(os.getppid())
            os._exit(0)

    def child_tears(self, piece: str) -> None:
        """Have a child send an invalid or incomplete frame; wait for it."""
        if self._forked():
            os.write(self._connection.fileno(), bytes.fromhex(piece))
            os._exit(0)

    def child_kills(self) -> None:
        """Have a child kill this process."""
        if os.fork() == 0:
            self.note("dies", os.getppid())
            os.kill(os.getppid(), signal.SIGKILL)
            os._exit(0)
        time.sleep(60)

    def child_remains(self) -> None:
        """Leave a child, which prints and reports when its parent has ended."""
        parent = os.getpid()
        if os.fork() == 0:
            while os.getppid() == parent:
                time.sleep(0.001)
            print("late", flush=True)  # noqa: T201
            self.reports(parent)
            time.sleep(60)

    def child_continues(self) -> None:
        """Continue in a child, as a daemon does, and exit."""
        if os.fork():
            self.exits(0)

    def reports(self, pid: int | None = None) -> None:
        """Send a forged report."""
        from pytest_orchestrator.execution.supervision import framing

        self.note("says ok")
        ended = b'{"usage": {"seconds": 0, "source": {}}, "value": {"status": "ok"}}'
        end = {"op": "end", "pid": pid or os.getpid(), "exit": None, "ended": ended}
        framing.send(self._connection, end | {"threads": [], "shown": None})

    def tears(self, piece: str) -> None:
        """Send an invalid or incomplete frame."""
        self.note("tears")
        os.write(self._connection.fileno(), bytes.fromhex(piece))

    def closes(self) -> None:
        """Close the connection for the report."""
        self.note("closes")
        os.close(self._connection.fileno())

    def doubles(self) -> None:
        """Duplicate the descriptor of the connection."""
        os.dup(self._connection.fileno())

    def closes_streams(self) -> None:
        """Close stdout and stderr."""
        os.close(1)
        os.close(2)

    def is_limited(self, name: str) -> None:
        """Lower a limit of resources to about the current use."""
        least = self._connection.fileno() + 20 if name == "NOFILE" else 0
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (least, least))

    def ignores(self, name: str) -> None:
        """Ignore a signal."""
        signal.signal(getattr(signal, name), signal.SIG_IGN)

    def at_exit(self, name: str, *args: Any) -> None:
        """Take an action when the process exits."""
        atexit.register(getattr(self, name), *args)

    def at_exit_in_a_thread(self, name: str, *args: Any) -> None:
        """Take an action in a non-daemon thread when the process exits."""
        end = threading.Event()

        def act() -> None:
            end.wait()
            getattr(self, name)(*args)

        def wake() -> None:
            end.set()
            thread.join()

        thread = threading.Thread(target=act)
        thread.start()
        atexit.register(wake)

    def kills_the_lane(self) -> None:
        """Kill the lane that started this process, which then ends too."""
        if os.getpid() == self._pid:
            self.note("dies")
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)

    def _forked(self) -> bool:
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
        return pid == 0


def _connection() -> socket.socket:
    """Return the connection on which this process reports."""
    frame = inspect.currentframe()
    while frame is not None and "connections" not in frame.f_locals:
        frame = frame.f_back
    assert frame is not None
    found: socket.socket = frame.f_locals["connections"][1]
    return found


def imported(how: str) -> None:
    """Act as a module does while it is imported."""
    if how == "ignores SIGCHLD":
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    elif how == "forks":
        os.fork()
