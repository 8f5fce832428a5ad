"""Client of a lane, the lanes of a session, and the worker slot that a step runs in.

Each worker slot has its own lanes; all lanes share the supervisor. A lane or supervisor that was
lost is started again at the next request.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from pytest_orchestrator.execution.interruptible import InterruptibleEvent
from pytest_orchestrator.execution.lanes.messages import (
    CommandResult,
    LaneLost,
    LaneRequest,
    command_result,
    reply_timeout,
)
from pytest_orchestrator.execution.lanes.supervisor_client import ANSWER, SupervisorClient, ending
from pytest_orchestrator.execution.supervision import framing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_orchestrator.execution.lanes.ssh_connections import SshConnections
    from pytest_orchestrator.execution.supervision.deadlines import HeartbeatFile


class Lane:
    """Client of a lane: a process that runs one program at a time and ends its process tree.

    Args:
        lanes: The lanes of the session, which start the process.

    Attributes:
        pid: The pid of the process; None if it is not running.
        on_start: Called when a program has started; None asks the lane for no such message.
    """

    def __init__(self, lanes: Lanes) -> None:
        self.pid: int | None = None
        self.on_start: Callable[[], None] | None = None
        self._lanes = lanes
        self._socket: socket.socket | None = None
        self._sending = threading.Lock()
        self._number, self._running, self._is_cancellable = 0, False, True

    def run(
        self,
        request: LaneRequest,
        *,
        live: tuple[int, int] | None = None,
        handed: Sequence[int] = (),
        kept: Sequence[int] = (),
        is_cancellable: bool = True,
        meanwhile: Callable[[socket.socket, float | None], None] | None = None,
    ) -> CommandResult:
        """Run a program until it ends, and then end all processes that it has left running.

        Args:
            request: The program.
            live: Descriptors to which its stdout and stderr are copied live.
            handed: Descriptors that the program itself receives.
            kept: Descriptors that the lane keeps open until the process tree has ended.
            is_cancellable: False to ignore `cancel` and `end` while this program runs.
            meanwhile: Called with the lane's socket and a deadline of ``time.monotonic``; waits
                until the socket is readable, or raises TimeoutError at the deadline.

        Returns:
            The end of the program, its output and its resource usage.

        Raises:
            OSError: The program cannot be started; ``filename`` is the missing path.
            ValueError: A text contains a null byte, or the name of a variable contains ``=``.
            LaneLost: The lane or the supervisor died, or did not answer in time.
        """
        fds = (*kept, *(live or ()), *handed)
        connection, pid = self._connected()
        try:
            self._is_cancellable = is_cancellable
            try:
                self._send(connection, request, fds, len(kept))
            except ConnectionError:  # the lane died while it was idle
                self.close()
                connection, pid = self._connected()
                self._send(connection, request, fds, len(kept))
            reply = self._reply(connection, request, meanwhile)
        except TimeoutError:
            raise self._lost(connection, pid, timed_out=True) from None
        except (EOFError, ConnectionError):
            raise self._lost(connection, pid, timed_out=False) from None
        except BaseException:
            self._disconnect(connection, pid)
            raise
        finally:
            self._running = False
        for fd, unsent in zip(live or (), reply.pop("unsent"), strict=True):
            rest = unsent
            while rest:
                rest = rest[os.write(fd, rest) :]
        return command_result(request, reply)

    def cancel(self, *, at_once: bool = False) -> None:
        """End the program that is running, if any. Thread-safe.

        Args:
            at_once: Send KILL directly after TERM, without a grace period. A grace period that an
                earlier call has started is cut short.
        """
        with self._sending, contextlib.suppress(OSError):
            if self._running and self._socket is not None:
                framing.send(self._socket, {"cancel": self._number, "at_once": at_once})

    def end(self) -> None:
        """Kill the process of the lane if it runs a program. Thread-safe.

        `run` then raises LaneLost in the thread that called it; the next `run` starts another
        process.
        """
        pid = self.pid
        if self._running and pid is not None:
            with contextlib.suppress(LaneLost):
                self._lanes.drop(pid, grace=0.0)

    def close(self) -> None:
        """End the process of the lane, and the program that it runs."""
        with self._sending:
            connection, self._socket, self.pid = self._socket, None, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # even if a fork of pytest has it open
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
        fields = {name: getattr(request, name) for name in request.__struct_fields__}
        with self._sending:
            self._number += 1
            fields |= {"id": self._number, "kept": kept, "announces": self.on_start is not None}
            connection.settimeout(None)
            framing.send(connection, fields, fds)
            self._running = self._is_cancellable

    def _reply(
        self,
        connection: socket.socket,
        request: LaneRequest,
        meanwhile: Callable[[socket.socket, float | None], None] | None,
    ) -> dict[str, Any]:
        timeout = reply_timeout(request)
        if meanwhile is not None:
            meanwhile(connection, None if timeout is None else time.monotonic() + timeout)
        connection.settimeout(timeout)
        reply: dict[str, Any]
        if self.on_start is None:
            reply = framing.answer(connection)
        else:
            reply, _ = framing.receive(connection)
            if "started" in reply:
                self.on_start()
                return self._reply(connection, request, meanwhile)
        return reply

    def _lost(self, connection: socket.socket, pid: int, *, timed_out: bool) -> LaneLost:
        """End a lost lane and its process tree; return the exception that describes its end."""
        self.close()
        connection.close()
        try:
            status, leftovers = self._lanes.drop(pid, grace=0.0 if timed_out else 1.0)
        except LaneLost as lost:
            lost.timed_out = timed_out
            return lost
        end = "did not answer" if timed_out else ending(status)
        return LaneLost(_process(pid, end), timed_out=timed_out, leftovers=leftovers)

    def _disconnect(self, connection: socket.socket, pid: int) -> None:
        """Have the lane end its program, and wait; kill the lane on an error or a second Ctrl-C.

        The program gets its grace period, as at a timeout: the end of the connection would mean
        that pytest was lost, for which the lane waits half as long.
        """
        with self._sending:
            self._socket, self.pid = None, None
        try:
            connection.settimeout(ANSWER)
            if self._running:
                framing.send(connection, {"cancel": self._number, "at_once": False})
                connection.recv(1 << 16)  # the reply: the program has ended
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass
        except BaseException as error:  # includes a second Ctrl-C
            with contextlib.suppress(LaneLost):
                self._lanes.drop(pid, grace=0.0)
            if not isinstance(error, OSError):
                raise
        finally:
            connection.close()


def _process(pid: int, end: str) -> str:
    return f"the process that runs this step (pid {pid}) {end}"


_L = TypeVar("_L", bound=Lane)


class Lanes:
    """The lanes of one pytest process, and their supervisor.

    Args:
        limited: True to use neither /proc nor subreaper nor pidfd, as on systems that lack them.
        heartbeat: The heartbeat file of this process; the supervisor ends all lanes and itself
            when the heartbeat stops.
    """

    def __init__(self, *, limited: bool = False, heartbeat: HeartbeatFile | None = None) -> None:
        self._limited, self._heartbeat = limited, heartbeat
        self._lock = threading.Lock()
        self._supervisor: SupervisorClient | None = None
        self._lanes: list[Lane] = []
        self._end = "the supervisor was not started"

    def start(self) -> int:
        """Start the supervisor if it is not running, and return its pid."""
        with self._lock:
            return self._running().pid

    def shell(self) -> Lane:
        """Return a new lane for programs; its process starts at the first call of `Lane.run`."""
        return self.add(Lane(self))

    def add(self, lane: _L) -> _L:
        """Add a lane to the lanes that `close` ends, and return the lane."""
        self._lanes.append(lane)
        return lane

    def connect(self, **program: object) -> tuple[socket.socket, int]:
        """Start the process of a lane.

        Args:
            program: ``argv`` and ``env``, for a lane that is a separate program. The program
                gets its end of the socket as descriptor 3. Its descriptor 4 is a pipe that reaches
                end of file when the supervisor ends.

        Returns:
            pytest's end of the socket, and the pid of the process.

        Raises:
            LaneLost: The supervisor has ended.
            OSError: The limit of processes or of open files is reached, or the program is missing.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                reply = self._ask(program, (theirs.fileno(),))
        except BaseException:
            ours.close()
            raise
        if "pid" in reply:
            return ours, reply["pid"]
        ours.close()
        raise OSError(reply["errno"], reply["strerror"], reply["filename"])

    def drop(self, pid: int, grace: float) -> tuple[int | None, tuple[str, ...]]:
        """Kill a lane, and end the processes that it has started.

        Args:
            pid: The pid of the lane.
            grace: Seconds between TERM and KILL for these processes.

        Returns:
            The wait status of the lane, and the processes that the supervisor had to end.

        Raises:
            LaneLost: The supervisor has ended too.
        """
        reply = self._ask({"drop": pid, "grace": grace})
        return reply["status"], tuple(reply["leftovers"])

    def guard(self, file: int, terminal: int, patience: float) -> None:
        """Have the supervisor end this process after the deadline in a file; see `Watchdog`.

        Args:
            file: The descriptor of the file with the deadline.
            terminal: The descriptor for the message to the user.
            patience: The grace period after the deadline, in seconds.

        Raises:
            LaneLost: The supervisor has ended.
        """
        self._ask({"guard": patience}, (file, terminal))

    def close(self) -> None:
        """End all lanes and the supervisor, and wait until they have ended."""
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
            self._supervisor = SupervisorClient(limited=self._limited, heartbeat=self._heartbeat)
        return self._supervisor

    def _ask(self, request: dict[str, Any], fds: Sequence[int] = ()) -> dict[str, Any]:
        with self._lock:
            lane = request.get("drop")
            supervisor = self._supervisor if lane else self._running()
            # A new supervisor does not know the lanes of an earlier one.
            if supervisor is None or (lane and lane not in supervisor.lanes):
                raise LaneLost(self._end)
            try:
                framing.send(supervisor.socket, request, fds)
                reply: dict[str, Any] = framing.answer(supervisor.socket)
            except (EOFError, OSError) as error:
                raise LaneLost(self._post_mortem(supervisor)) from error
            except BaseException:
                # The reply is still to come: the next request would receive it.
                self._post_mortem(supervisor)
                raise
            if "pid" in reply:
                supervisor.lanes.add(reply["pid"])
            return reply

    def _post_mortem(self, supervisor: SupervisorClient) -> str:
        self._supervisor = None
        self._end = f"the supervisor {supervisor.close()}"
        return self._end


_START = 60.0  # seconds for the imports of pytest on a loaded machine


class Program:
    """The program of a lane for Python steps, and the first message to it.

    Attributes:
        argv: The program with its arguments.
        env: The environment of the program.
        hello: The message that the program reads from its socket before any request.
    """

    def __init__(self, argv: list[str], env: dict[str, str], hello: dict[str, Any]) -> None:
        self.argv = argv
        self.env = env
        self.hello = hello


class PythonLane(Lane):
    """Client of a lane that is a separate program and forks itself for each step."""

    def __init__(self, lanes: Lanes, program: Program) -> None:
        super().__init__(lanes)
        self._program = program
        self._ready: int | None = None
        self._early: int | None = None
        self._is_outdated = False

    def read_again(self) -> None:
        """Have the next step import its modules anew: it gets a new process. Thread-safe."""
        self._is_outdated = True

    def start(self) -> None:
        """Start the process before the first step, without waiting until it is ready."""
        if self.pid is None:
            with contextlib.suppress(LaneLost, OSError):  # the first step reports the error
                self._early = super()._connected()[1]

    def prepare(self) -> None:
        """Start the process, and wait until it is ready.

        Raises:
            LaneLost: The process ended before it was ready.
        """
        self._connected()

    def _connected(self) -> tuple[Any, int]:
        """Wait until the process is ready to run steps; return its socket and its pid.

        The start of the process therefore does not count as time of a step.
        """
        if self._is_outdated:
            self._is_outdated = False
            self.close()
        connection, pid = super()._connected()
        if self._ready == pid:
            return connection, pid
        try:
            connection.settimeout(_START)
            ready = framing.answer(connection)
        except (EOFError, OSError):
            lost = self._lost(connection, pid, timed_out=False)
            if pid != self._early:
                raise lost from None
            return self._connected()  # the process died before the first step
        except BaseException:
            self._disconnect(connection, pid)
            raise
        if "failed" in ready:
            self.close()
            raise LaneLost(_process(pid, f"cannot start: {ready['failed']}"))
        self._ready = pid
        return connection, pid

    def _connect(self) -> tuple[Any, int]:
        connection, pid = self._lanes.connect(argv=self._program.argv, env=self._program.env)
        with contextlib.suppress(ConnectionError):  # the wait for the reply reports how it died
            framing.send(connection, self._program.hello)
        return connection, pid


class Cancellable(Protocol):
    """Attempt on another machine."""

    def cancel(self, *, at_once: bool, late: bool) -> None:
        """End the step code; see `RemoteSubmission.cancel`."""

    def release(self) -> None:
        """Release a worker that waits for the next element; see `RemoteSubmission.release`."""

    @property
    def is_lost(self) -> bool:
        """True if the worker is lost."""


class Slot:
    """A worker slot: a place in which one step can run at a time.

    Attributes:
        shell: The lane for programs.
        python: The lane for Python steps.
        ssh_connections: The connections to other machines; all slots share them.
        remote: The attempt on another machine that this slot waits for, or waited for last.
    """

    def __init__(self, lanes: Lanes, program: Program, ssh_connections: SshConnections) -> None:
        self.ssh_connections = ssh_connections
        self.remote: Cancellable | None = None
        self._cancelled = InterruptibleEvent()
        self.shell = lanes.shell()
        self.python = lanes.add(PythonLane(lanes, program))
        self._lanes = lanes
        self._program = program

    def new_slot(self) -> Slot:
        """Return a new slot with its own lanes and the same connections."""
        return Slot(self._lanes, self._program, self.ssh_connections)

    @property
    def is_cancelled(self) -> bool:
        """True if the work in this slot is to end."""
        return self._cancelled.is_set()

    def rest(self, seconds: float) -> None:
        """Wait between two attempts; the cancellation of the slot ends the wait."""
        self._cancelled.wait(seconds)

    def end_programs(self, *, late: bool, at_once: bool = False) -> None:
        """Cancel the work in this slot and its programs. Thread-safe; may be called repeatedly.

        Args:
            late: An earlier call had no effect: end the lanes too.
            at_once: Send KILL directly after TERM, without a grace period.
        """
        self._cancelled.set()
        if self.remote is not None:
            self.remote.cancel(at_once=at_once, late=late)
        for lane in (self.shell, self.python):
            lane.cancel(at_once=at_once)
            if late:
                lane.end()

    def detach(self, other: Slot) -> None:
        """Do nothing; `SlotLease` overrides this to detach a slot whose service continues."""

    def close(self) -> None:
        """End both lanes of this slot, and the programs that they run."""
        self.shell.close()
        self.python.close()
