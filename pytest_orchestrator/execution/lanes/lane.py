"""Lane client, the pool of lanes of a session, and the slot that a step runs in.

Each thread has a lane of its own; the supervisor is shared. Either is started anew where lost.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pytest_orchestrator.execution.lanes.messages import (
    CommandResult,
    LaneLost,
    LaneRequest,
    command_result,
    patience_with,
)
from pytest_orchestrator.execution.lanes.supervisor_client import ANSWER, SupervisorClient, ending
from pytest_orchestrator.execution.supervision import framing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_orchestrator.execution.environment import Environment
    from pytest_orchestrator.execution.lanes.watchdog import Watchdog
    from pytest_orchestrator.execution.steps.dispatch import Away, Runner
    from pytest_orchestrator.execution.steps.ssh import Links
    from pytest_orchestrator.execution.supervision.watchdog import HeartbeatFile


class Lane:
    """A process that runs one program at a time, and ends all that it leaves behind.

    Args:
        lanes: Where its process is started.

    Attributes:
        pid: Of its process; None where there is none yet, or none any more.
    """

    def __init__(self, lanes: Lanes) -> None:
        self.pid: int | None = None
        self._lanes = lanes
        self._socket: socket.socket | None = None
        self._sending = threading.Lock()
        self._number, self._running = 0, False

    def run(
        self,
        request: LaneRequest,
        *,
        live: tuple[int, int] | None = None,
        handed: Sequence[int] = (),
        kept: Sequence[int] = (),
        meanwhile: Callable[[socket.socket, float | None], None] | None = None,
    ) -> CommandResult:
        """Run a program to its end, and end all that it started.

        Args:
            request: What to run.
            live: Descriptors that its stdout and stderr are copied to as they come.
            handed: Descriptors for the program itself.
            kept: Descriptors that the lane keeps open until nothing of the program is left.
            meanwhile: Waits until there is something to read, or raises TimeoutError at a
                moment of ``time.monotonic``.

        Returns:
            How it ended, what it printed, what it used.

        Raises:
            OSError: It cannot be started; the filename tells what is missing.
            ValueError: An argument or a variable holds what none can hold.
            LaneLost: The lane or the supervisor died, or did not answer in time.
        """
        fds = (*kept, *(live or ()), *handed)
        connection, pid = self._connected()
        try:
            try:
                self._send(connection, request, fds, len(kept))
            except ConnectionError:  # it died while it was idle
                self.close()
                connection, pid = self._connected()
                self._send(connection, request, fds, len(kept))
            told = self._told(connection, request, meanwhile)
        except TimeoutError:
            raise self._lost(connection, pid, timed_out=True) from None
        except (EOFError, ConnectionError):
            raise self._lost(connection, pid, timed_out=False) from None
        except BaseException:
            self._hang_up(connection, pid)
            raise
        for fd, unsent in zip(live or (), told.pop("unsent"), strict=True):
            rest = unsent
            while rest:
                rest = rest[os.write(fd, rest) :]
        return command_result(request, told)

    def cancel(self, *, at_once: bool = False) -> None:
        """Have the program ended that runs now, if one does; may be called from any thread.

        Args:
            at_once: No grace: KILL now, also where a first cancel has not yet ended it.
        """
        with self._sending, contextlib.suppress(OSError):
            if self._running and self._socket is not None:
                framing.send(self._socket, {"cancel": self._number, "at_once": at_once})

    def end(self) -> None:
        """End the process of the lane at once, whatever it does; from any thread.

        Who waits for its run is told that it was lost; the next run starts another one.
        """
        pid = self.pid
        if self._running and pid is not None:
            with contextlib.suppress(LaneLost):
                self._lanes.drop(pid, grace=0.0)

    def close(self) -> None:
        """End the process of the lane, and what it runs."""
        with self._sending:
            connection, self._socket, self.pid = self._socket, None, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # also where a fork of pytest has it too
            connection.close()

    def _connected(self) -> tuple[socket.socket, int]:
        if self._socket is None or self.pid is None:
            self._socket, self.pid = self._connect()
        return self._socket, self.pid

    def _connect(self) -> tuple[socket.socket, int]:
        return self._lanes.connect()

    def _send(
        self, connection: socket.socket, request: LaneRequest, fds: Sequence[int], kept: int
    ) -> None:
        asked = {name: getattr(request, name) for name in request.__struct_fields__}
        with self._sending:
            self._number += 1
            asked |= {"id": self._number, "kept": kept}
            connection.settimeout(None)
            framing.send(connection, asked, fds)
            self._running = True

    def _told(
        self,
        connection: socket.socket,
        request: LaneRequest,
        meanwhile: Callable[[socket.socket, float | None], None] | None,
    ) -> dict[str, Any]:
        try:
            patience = patience_with(request)
            if meanwhile is not None:
                meanwhile(connection, None if patience is None else time.monotonic() + patience)
            connection.settimeout(patience)
            told: dict[str, Any] = framing.answer(connection)
        finally:
            self._running = False
        return told

    def _lost(self, connection: socket.socket, pid: int, *, timed_out: bool) -> LaneLost:
        """Have everything ended that the lane has run, and tell what became of it."""
        self.close()
        connection.close()
        try:
            status, strays = self._lanes.drop(pid, grace=0.0 if timed_out else 1.0)
        except LaneLost as lost:
            lost.timed_out = timed_out
            return lost
        reason = f"the lane (pid {pid}) {'did not answer' if timed_out else ending(status)}"
        return LaneLost(reason, timed_out=timed_out, strays=strays)

    def _hang_up(self, connection: socket.socket, pid: int) -> None:
        """End what runs and wait for its end, as whoever pressed Ctrl-C does."""
        with self._sending:
            self._socket, self.pid = None, None
        try:
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(ANSWER)
            while connection.recv(1 << 16):
                pass
        except BaseException as error:  # a second Ctrl-C among them
            with contextlib.suppress(LaneLost):
                self._lanes.drop(pid, grace=0.0)
            if not isinstance(error, OSError):
                raise
        finally:
            connection.close()


_L = TypeVar("_L", bound=Lane)


class Lanes:
    """The lanes of one pytest.

    Args:
        limited: Do with what every system has: no /proc, no subreaper, no pidfd.
        pulse: Where it ceases the supervisor ends, and all lanes with it.
    """

    def __init__(self, *, limited: bool = False, pulse: HeartbeatFile | None = None) -> None:
        self._limited, self._pulse = limited, pulse
        self._lock = threading.Lock()
        self._supervisor: SupervisorClient | None = None
        self._lanes: list[Lane] = []
        self._end = "the lanes were closed"

    def start(self) -> int:
        """Start the supervisor ahead of the first lane; return its pid."""
        with self._lock:
            return self._running().pid

    def shell(self) -> Lane:
        """Return a lane for programs; its process starts with its first run."""
        return self.add(Lane(self))

    def add(self, lane: _L) -> _L:
        """Take a lane in, to be closed with the others."""
        self._lanes.append(lane)
        return lane

    def connect(self, **program: object) -> tuple[socket.socket, int]:
        """Start the process of a lane.

        Args:
            program: ``argv`` and ``env``, for a lane that is a program of its own. It has its
                end of the socket as descriptor 3, and as 4 a pipe that ends with the supervisor.

        Returns:
            pytest's end of its socket, and its pid.

        Raises:
            LaneLost: The supervisor died meanwhile.
            OSError: There are no more processes or files to be had.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                told = self._ask(program, (theirs.fileno(),))
        except BaseException:
            ours.close()
            raise
        if "pid" in told:
            return ours, told["pid"]
        ours.close()
        raise OSError(told["errno"], told["strerror"], told["filename"])

    def drop(self, pid: int, grace: float) -> tuple[int | None, tuple[str, ...]]:
        """End a lane at once, and all that it ran.

        Args:
            pid: The lane's.
            grace: Seconds between TERM and KILL for what it ran.

        Returns:
            Its wait status, and what had to be ended in its place.

        Raises:
            LaneLost: The supervisor is gone too.
        """
        told = self._ask({"drop": pid, "grace": grace})
        return told["status"], tuple(told["leftovers"])

    def guard(self, file: int, terminal: int, patience: float) -> None:
        """Let the supervisor end this process where a `Watchdog` says so; or raise LaneLost."""
        self._ask({"guard": patience}, (file, terminal))

    def close(self) -> None:
        """End all lanes and the supervisor, and wait for that."""
        for lane in self._lanes:
            lane.close()
        self._lanes.clear()
        with self._lock:
            if self._supervisor is not None:
                self._post_mortem(self._supervisor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _running(self) -> SupervisorClient:
        if self._supervisor is not None and self._supervisor.over:
            self._post_mortem(self._supervisor)
        if self._supervisor is None:
            self._supervisor = SupervisorClient(limited=self._limited, pulse=self._pulse)
        return self._supervisor

    def _ask(self, request: dict[str, Any], fds: Sequence[int] = ()) -> dict[str, Any]:
        with self._lock:
            lane = request.get("drop")
            supervisor = self._supervisor if lane else self._running()
            # One that was started since then knows nothing of a lane of the one before it.
            if supervisor is None or (lane and lane not in supervisor.lanes):
                raise LaneLost(self._end)
            try:
                framing.send(supervisor.socket, request, fds)
                told: dict[str, Any] = framing.answer(supervisor.socket)
            except (EOFError, OSError) as error:
                raise LaneLost(self._post_mortem(supervisor)) from error
            except BaseException:
                # Half an exchange: it would answer the next question with this answer.
                self._post_mortem(supervisor)
                raise
            if "pid" in told:
                supervisor.lanes.add(told["pid"])
            return told

    def _post_mortem(self, supervisor: SupervisorClient) -> str:
        self._supervisor = None
        self._end = f"the supervisor of the lanes {supervisor.close()}"
        return self._end


_START = 60.0  # seconds for the imports of pytest on a machine that has much else to do


class Program:
    """The program that a lane for Python steps is, and what it is told first.

    Attributes:
        argv: The program with its arguments.
        env: Its environment.
        hello: What it reads from its socket before any request.
    """

    def __init__(self, argv: list[str], env: dict[str, str], hello: dict[str, Any]) -> None:
        self.argv = argv
        self.env = env
        self.hello = hello


class PythonLane(Lane):
    """A lane that is a program of its own, and forks itself for each step."""

    def __init__(self, lanes: Lanes, program: Program) -> None:
        super().__init__(lanes)
        self._program = program
        self._ready: int | None = None
        self._early: int | None = None

    def start(self) -> None:
        """Start its process ahead of the first step; it gets ready by itself."""
        if self.pid is None:
            with contextlib.suppress(LaneLost, OSError):  # the first step is told of it
                self._early = super()._connected()[1]

    def prepare(self) -> None:
        """Start its process, and wait until it is ready.

        Raises:
            LaneLost: It ended instead.
        """
        self._connected()

    def _connected(self) -> tuple[Any, int]:
        """Wait for it to be ready: what that takes is no step's time."""
        connection, pid = super()._connected()
        if self._ready == pid:
            return connection, pid
        try:
            connection.settimeout(_START)
            told = framing.answer(connection)
        except (EOFError, OSError):
            lost = self._lost(connection, pid, timed_out=False)
            if pid != self._early:
                raise lost from None
            return self._connected()  # it died while it was idle
        except BaseException:
            self._hang_up(connection, pid)
            raise
        if "failed" in told:
            self.close()
            raise LaneLost(f"the lane (pid {pid}) cannot start: {told['failed']}")
        self._ready = pid
        return connection, pid

    def _connect(self) -> tuple[Any, int]:
        connection, pid = self._lanes.connect(argv=self._program.argv, env=self._program.env)
        with contextlib.suppress(ConnectionError):  # who waits for its answer is told how it died
            framing.send(connection, self._program.hello)
        return connection, pid


def slot_of(env: Environment) -> Slot:
    """Return the slot of the surroundings of a step.

    Raises:
        RuntimeError: The run was given none, and a step asks for a process.
    """
    if env.slot is None:
        raise RuntimeError("this run has no lanes; give its Environment a slot")
    return env.slot


class Slot:
    """The lanes of one worker: as many slots, as many steps at the same time.

    Attributes:
        shell: The lane for programs.
        python: The lane for Python steps.
        links: The connections to other machines; all slots share them.
        runner: What runs bodies of steps elsewhere; None where all run in these lanes.
        guard: What ends pytest where a step inside it cannot be ended; None where nothing does.
        away: The try that it runs, or ran last.
    """

    def __init__(
        self,
        lanes: Lanes,
        program: Program,
        links: Links,
        runner: Runner | None = None,
        guard: Watchdog | None = None,
    ) -> None:
        self.links = links
        self.runner = runner
        self.guard = guard
        self.away: Away | None = None
        self.shell = lanes.shell()
        self.python = lanes.add(PythonLane(lanes, program))
        self._lanes = lanes
        self._program = program

    def another(self) -> Slot:
        """Return one more slot beside this one."""
        return Slot(self._lanes, self._program, self.links, self.runner, self.guard)

    def let_go(self, other: Slot) -> None:
        """Take note that what runs in another slot of this one goes on by itself."""

    def close(self) -> None:
        """End the processes of both lanes, and what they run."""
        self.shell.close()
        self.python.close()
