"""Code of a step that does what its parameters say to its process, and writes down what it did.

It is copied into the projects that `test_verdict_law` makes. Each process writes to a named pipe
of the test, which no limit and no closed descriptor keeps from it, before it does a thing.
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
    """Do one action after the other; return what the last one says."""
    play = Play(os.open(params["diary"], os.O_WRONLY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    play.note("began")
    try:
        says = play.acts(params["actions"]) or params["returns"]
    except BaseException:
        play.note("says off")
        raise
    play.note(f"says {says}")
    return RETURNS[says]


class Play:
    """What a process can do to itself and to its children.

    An action returns what its process is to return from the step's function now, or None.
    """

    def __init__(self, diary: int) -> None:
        self._diary = diary
        self._pid = os.getpid()
        self._connection = _connection()

    def acts(self, actions: Sequence[Sequence[Any]]) -> str | None:
        """Do one action after the other, up to the first that returns something."""
        for name, *given in actions:
            says: str | None = getattr(self, name)(*given)
            if says is not None:
                return says
        return None

    def note(self, word: str, pid: int | None = None) -> None:
        """Write down what a process does next."""
        os.write(self._diary, f"{pid or os.getpid()} {word}\n".encode())

    def prints(self) -> None:
        """Print something."""
        print("noise")  # noqa: T201

    def exits(self, code: int) -> None:
        """End without any end of Python."""
        self.note(f"leaves {code}")
        os._exit(code)

    def is_killed(self, name: str) -> None:
        """End by a signal."""
        self.note("dies")
        os.kill(os.getpid(), getattr(signal, name))
        time.sleep(60)

    def executes(self, code: int) -> None:
        """Become another program."""
        self.note(f"leaves {code}")
        os.execv("/bin/sh", ["sh", "-c", f"exit {code}"])

    def raises(self, code: int | None) -> None:
        """Raise something, SystemExit where there is a code."""
        raise ValueError("raised") if code is None else SystemExit(code)

    def stops_the_run(self) -> None:
        """Ask pytest to end."""
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
        """Have a child send what is no frame, or half of one; wait for it."""
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

    def child_stays(self) -> None:
        """Leave a child, which says something and reports once its parent is gone."""
        parent = os.getpid()
        if os.fork() == 0:
            while os.getppid() == parent:
                time.sleep(0.001)
            print("late", flush=True)  # noqa: T201
            self.reports(parent)
            time.sleep(60)

    def child_goes_on(self) -> None:
        """Go on in a child, as a daemon does, and end."""
        if os.fork():
            self.exits(0)

    def reports(self, pid: int | None = None) -> None:
        """Send a report of one's own."""
        from pytest_orchestrator.execution.supervision import framing

        self.note("says ok")
        ended = b'{"usage": {"seconds": 0}, "value": {"status": "ok"}}'
        end = {"op": "end", "pid": pid or os.getpid(), "exit": None, "ended": ended}
        framing.send(self._connection, end | {"threads": [], "shown": None})

    def tears(self, piece: str) -> None:
        """Send what is no frame, or half of one."""
        self.note("tears")
        os.write(self._connection.fileno(), bytes.fromhex(piece))

    def closes(self) -> None:
        """Close the connection by which it is to report."""
        self.note("closes")
        os.close(self._connection.fileno())

    def doubles(self) -> None:
        """Have the connection a second time."""
        os.dup(self._connection.fileno())

    def closes_streams(self) -> None:
        """Close what it prints to."""
        os.close(1)
        os.close(2)

    def is_limited(self, name: str) -> None:
        """Be given as little of something as it has by now."""
        least = self._connection.fileno() + 20 if name == "NOFILE" else 0
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (least, least))

    def ignores(self, name: str) -> None:
        """Ignore a signal."""
        signal.signal(getattr(signal, name), signal.SIG_IGN)

    def at_exit(self, name: str, *given: Any) -> None:
        """Do something when the process ends."""
        atexit.register(getattr(self, name), *given)

    def at_exit_in_a_thread(self, name: str, *given: Any) -> None:
        """Have a thread that is no daemon do something when the process ends."""
        end = threading.Event()

        def act() -> None:
            end.wait()
            getattr(self, name)(*given)

        def wake() -> None:
            end.set()
            thread.join()

        thread = threading.Thread(target=act)
        thread.start()
        atexit.register(wake)

    def kills_the_lane(self) -> None:
        """Kill the process that has started this one, which then ends too."""
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
    """Return the connection by which this process is to report."""
    frame = inspect.currentframe()
    while frame is not None and "connections" not in frame.f_locals:
        frame = frame.f_back
    assert frame is not None
    found: socket.socket = frame.f_locals["connections"][1]
    return found


def imported(how: str) -> None:
    """Do what a module does while it is imported."""
    if how == "ignores SIGCHLD":
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    elif how == "forks":
        os.fork()
