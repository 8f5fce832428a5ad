"""Where one step at a time runs: a lane for programs and one for Python, started when needed."""

import contextlib
from typing import TYPE_CHECKING, Any

from pytest_orchestrator.execution import wire
from pytest_orchestrator.execution.exited import LaneLost
from pytest_orchestrator.execution.lane_client import Lane
from pytest_orchestrator.execution.lanes import Lanes
from pytest_orchestrator.execution.links import Links

if TYPE_CHECKING:
    from pytest_orchestrator.execution.environment import Environment
    from pytest_orchestrator.execution.guard import Guard
    from pytest_orchestrator.execution.runners import Away, Runner

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

    def _connected(self) -> "tuple[Any, int]":
        """Wait for it to be ready: what that takes is no step's time."""
        connection, pid = super()._connected()
        if self._ready == pid:
            return connection, pid
        try:
            connection.settimeout(_START)
            told = wire.answer(connection)
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

    def _connect(self) -> "tuple[Any, int]":
        connection, pid = self._lanes.connect(argv=self._program.argv, env=self._program.env)
        with contextlib.suppress(ConnectionError):  # who waits for its answer is told how it died
            wire.send(connection, self._program.hello)
        return connection, pid


def slot_of(env: "Environment") -> "Slot":
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
        links: Links | None = None,
        runner: "Runner | None" = None,
        guard: "Guard | None" = None,
    ) -> None:
        self.links = Links() if links is None else links
        self.runner = runner
        self.guard = guard
        self.away: Away | None = None
        self.shell = lanes.shell()
        self.python = lanes.add(PythonLane(lanes, program))
        self._lanes = lanes
        self._program = program

    def another(self) -> "Slot":
        """Return one more slot beside this one."""
        return Slot(self._lanes, self._program, self.links, self.runner, self.guard)

    def let_go(self, other: "Slot") -> None:
        """Take note that what runs in another slot of this one goes on by itself."""

    def close(self) -> None:
        """End the processes of both lanes, and what they run."""
        self.shell.close()
        self.python.close()
