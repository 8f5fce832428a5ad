"""Requests to a lane and its responses, and their translation into results."""

import contextlib
import json
import os
import signal
from typing import Any, ClassVar, Protocol

import msgspec

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.mask_stream import restored
from pytest_orchestrator.core.result import Failure, Stream, Usage
from pytest_orchestrator.core.text import printable
from pytest_orchestrator.recipe.model.step import Brought, PythonStep, Step


class LaneRequest(Protocol):
    """What every request has, whatever it asks of a lane; all its fields go to the lane."""

    __struct_fields__: ClassVar[tuple[str, ...]]

    @property
    def timeout(self) -> float | None:
        """Seconds after which the tree is ended; None is for ever."""

    @property
    def grace(self) -> float:
        """Seconds between TERM and KILL."""

    @property
    def stdout_log(self) -> str | None:
        """Path of the log of stdout; None is none."""

    @property
    def stderr_log(self) -> str | None:
        """Path of the log of stderr; None is none."""


_EVER = 1e6  # seconds; a socket cannot wait much longer
_GRACE = 2.0  # that of steps
_LATE = 0.5  # after a timeout and the grace; a lane needs milliseconds, or its patience


def patience_with(request: LaneRequest) -> float | None:
    """Return the seconds after which a lane is given up; None is never.

    A step is gone three seconds after its timeout, whether its lane gets that done or not.
    """
    limit = request.timeout
    if limit is None or limit > _EVER:
        return None
    return limit + max(request.grace, _GRACE) + _LATE


class CommandRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A program to run.

    Attributes:
        argv: Program and arguments; no shell is asked.
        env: The whole environment.
        cwd: Working directory, absolute.
        timeout: Seconds after which the tree is ended; None is for ever.
        stdin: Path of the file that it reads from; None is an empty input.
        stdout_log: Absolute path of the log of its stdout, written as soon as there is some;
            None is none.
        stderr_log: The same for stderr.
        samples: Absolute path of the file for what is sampled; None is none.
        max_log: Bytes after which a log is cut, with a mark.
        secrets: What is masked in the logs and in what is copied, the longest first.
        grace: Seconds between TERM and KILL.
        end_signal: Number of the signal that is sent in the place of TERM.
    """

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    timeout: float | None = None
    stdin: str | None = None
    stdout_log: str | None = None
    stderr_log: str | None = None
    samples: str | None = None
    max_log: int = 100 * 1000 * 1000
    secrets: tuple[bytes, ...] = ()
    grace: float = 2.0
    end_signal: int = int(signal.SIGTERM)


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """One stream of a program.

    Attributes:
        size: Bytes that were printed.
        kept: How many of them, from the first, are in the log.
        head: The first bytes, 32 KiB at most.
        tail: The last of the bytes after these, 32 KiB at most.
        log: Path of the log, which holds all of it unless it is cut; None where there is none.
        cut: The log is cut.
        error: What the disk said where it did not take the whole log.
        replaced: Where a mask stands in the log, and what was printed there.
    """

    size: int
    kept: int
    head: bytes
    tail: bytes
    log: str | None
    cut: bool = False
    error: str | None = None
    replaced: list[tuple[int, bytes]] = []

    def whole(self, limit: int) -> bytes | None:
        """Return all bytes; None where there are more than the limit, or not all were kept.

        Raises:
            OSError: The log was taken away.
        """
        if self.size > limit:
            return None
        if self.size == len(self.head) + len(self.tail):
            return self.head + self.tail
        if self.log is None or self.cut or self.error:
            return None
        with open(self.log, "rb") as file:
            logged = file.read()
        return restored(logged, self.replaced) if self.replaced else logged


class CommandResult(msgspec.Struct, frozen=True, kw_only=True):
    """A program that is gone, with all that was seen of it and of what it started.

    Attributes:
        pid: Of the one process that was started, which all that is said of the end is about.
        status: As ``wait`` returns it; None where it is not known: the kernel holds on to the
            program, or something else has waited for it.
        seconds: From before its start to its end.
        user: CPU seconds in user mode, of all processes that were waited for.
        system: The same in the kernel.
        max_rss: Peak of the sum of the memory of all processes, in bytes.
        largest_rss: Peak of the largest process.
        memory_source: Where these two come from.
        read_bytes: Bytes read from storage; None where the system does not tell.
        write_bytes: Bytes written to storage.
        processes: Number of processes that were seen.
        samples: Seconds since the start, resident bytes of the tree, CPU seconds so far.
        timed_out: It was ended because its time was over.
        cancelled: It was ended because somebody asked for that.
        leftovers: What it left running; all of it was ended.
        unended: What could not be ended, for want of rights or because the kernel holds it.
        stdout: What it printed.
        stderr: What it logged.
    """

    pid: int
    status: int | None
    seconds: float
    user: float
    system: float
    max_rss: int
    largest_rss: int
    memory_source: str
    read_bytes: int | None
    write_bytes: int | None
    processes: int
    samples: list[tuple[float, int, float]]
    timed_out: bool
    cancelled: bool
    leftovers: list[str]
    unended: list[str]
    stdout: Output
    stderr: Output

    @property
    def code(self) -> int | None:
        """The exit code; None where a signal ended it."""
        if self.status is None or not os.WIFEXITED(self.status):
            return None
        return os.WEXITSTATUS(self.status)

    @property
    def signal(self) -> str | None:
        """The name of the signal that ended it."""
        return None if self.status is None else signal_of(self.status)

    @property
    def wrong(self) -> str | None:
        """Why it did not end by itself with exit code 0, in words; None where it did."""
        if self.timed_out:
            return "its process was ended at its timeout"
        if self.cancelled:
            return "its process was interrupted"
        if self.status is None:
            return "the exit status of its process is not known"
        if self.signal:
            return f"its process was ended by {self.signal}"
        return f"its process ended with exit code {self.code}" if self.code else None


def command_result(request: LaneRequest, told: dict[str, Any]) -> CommandResult:
    """Return what a lane told of a program.

    Raises:
        OSError: It was not started; the filename tells what is missing.
        ValueError: An argument or a variable holds what none can hold.
    """
    if error := told.get("error"):
        if "value" in error:
            raise ValueError(error["value"])
        raise OSError(error["errno"], error["strerror"], error["filename"])
    told["stdout"] = Output(log=request.stdout_log, **told["stdout"])
    told["stderr"] = Output(log=request.stderr_log, **told["stderr"])
    return CommandResult(**told)


class LaneLost(Exception):
    """The process that ran a program is gone, and all that it started was ended.

    Attributes:
        timed_out: It did not tell of the end of a program whose time was over.
        strays: What was ended in its place.
    """

    def __init__(
        self, reason: str, *, timed_out: bool = False, strays: tuple[str, ...] = ()
    ) -> None:
        super().__init__(reason)
        self.timed_out = timed_out
        self.strays = strays


def signal_of(status: int) -> str | None:
    """Return the name of the signal that a wait status tells of."""
    if not os.WIFSIGNALED(status):
        return None
    number = os.WTERMSIG(status)
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


_OF_A_BODY = ("name", "module", "class_", "function", "params", "heap", "timeout", "background")


class StepRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A Python step to run, as its lane takes it."""

    step: dict[str, Any]
    recipe: str
    root: str
    env: dict[str, str]
    cwd: str
    sys_path: list[str]
    log_level: int
    timeout: float | None
    grace: float = 2.0
    stdout_log: str | None = None
    stderr_log: str | None = None
    samples: str | None = None
    max_log: int = 100 * 1000 * 1000
    secrets: tuple[bytes, ...] = ()
    handed: int = 2
    end_signal: int = int(signal.SIGTERM)


def packed(step: PythonStep) -> dict[str, Any]:
    """Return what a body needs of its step, as frames carry it; all else stays on this side."""
    told = {name: getattr(step, name) for name in _OF_A_BODY}
    told["at"] = {key: msgspec.structs.astuple(place) for key, place in step.at.items()}
    told["brought"] = step.brought and msgspec.structs.asdict(step.brought)
    return told


def unpacked(told: dict[str, Any]) -> PythonStep:
    """Return the step of a body."""
    at = {key: Place(*place) for key, place in told["at"].items()}
    brought = told["brought"] and Brought(**told["brought"])
    return PythonStep(**told | {"at": at, "brought": brought})


def stream(output: Output) -> Stream:
    """Return the head and tail of an output as text for people."""
    left_out = output.size - len(output.head) - len(output.tail)
    if left_out:
        head, tail = printable(output.head), printable(output.tail)
        text = f"{head}\n… {left_out} bytes are left out here …\n{tail}"
    else:
        text = printable(output.head + output.tail)
    return Stream(
        text=text,
        size=output.size,
        log=output.log if output.size else None,
        cut=output.cut,
        kept=output.kept,
        edges=(b"", b"") if output.kept == output.size else (output.head, output.tail),
        replaced=tuple((at, raw) for at, raw in output.replaced),
    )


def usage(exited: CommandResult, samples: str | None) -> Usage:
    """Return the figures of a program that ran in a lane.

    Args:
        exited: What the lane told.
        samples: The path for what was sampled while it ran; None is nowhere.
    """
    source = {"cpu": "wait4", "memory": exited.memory_source}
    if exited.read_bytes is not None:
        source["io"] = "wait4"
    return Usage(
        seconds=exited.seconds,
        cpu_user_seconds=exited.user,
        cpu_system_seconds=exited.system,
        max_rss=exited.max_rss or None,
        largest_rss=exited.largest_rss or None,
        read_bytes=exited.read_bytes,
        write_bytes=exited.write_bytes,
        processes=exited.processes,
        samples=_written(exited.samples, samples),
        source=source,
    )


def elsewhere(exited: CommandResult) -> Usage:
    """Return the figures of a program that ran on another machine: how long it took, no more."""
    source = {"cpu": "unavailable", "memory": "unavailable"}
    return Usage(seconds=exited.seconds, source=source)


def _written(samples: list[tuple[float, int, float]], path: str | None) -> str | None:
    """Write samples as JSON lines; a program that was gone before the first has none."""
    if path is None or not samples:
        return None
    rows = [
        {"seconds": round(seconds, 6), "rss": rss, "cpu_seconds": round(cpu, 6)}
        for seconds, rss, cpu in samples
    ]
    with contextlib.suppress(OSError):  # a full disk fails no step
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(row)}\n" for row in rows)
        return path
    return None


def lost_failure(lost: LaneLost, step: Step, timeout: float | None) -> Failure:
    """Return the failure of a step whose lane was lost."""
    if lost.timed_out:
        reason = f"timeout: still running after {timeout:g} s; {lost}"
        return Failure(kind="timeout", reason=reason, place=step.at.get("timeout"))
    reason = f"its process was lost: {lost}"
    return Failure(kind="crash", reason=reason, place=step.at.get("cmd"))
