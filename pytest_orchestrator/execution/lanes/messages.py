"""Requests to a lane, its replies, and their conversion into results."""

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any, ClassVar, Protocol

import msgspec

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.mask_stream import unmask
from pytest_orchestrator.core.result import Failure, Process, Resources, Stream
from pytest_orchestrator.core.text import printable
from pytest_orchestrator.execution.supervision.deadlines import REPLY_SECONDS
from pytest_orchestrator.execution.supervision.framing import EDGE
from pytest_orchestrator.recipe.model.plugin_data import PluginData
from pytest_orchestrator.recipe.model.step import PythonStep, Step


class LaneRequest(Protocol):
    """The fields that every request to a lane has; all fields of a request are sent."""

    __struct_fields__: ClassVar[tuple[str, ...]]

    @property
    def timeout(self) -> float | None:
        """Seconds after which the process tree is ended; None sets no limit."""

    @property
    def grace(self) -> float:
        """Seconds between TERM and KILL."""

    @property
    def stdout_log(self) -> str | None:
        """The path of the log of stdout; None writes no log."""

    @property
    def stderr_log(self) -> str | None:
        """The path of the log of stderr; None writes no log."""


_EVER = 1e6  # seconds; a socket cannot wait much longer
_GRACE = 2.0  # seconds, the grace period of steps


def reply_timeout(request: LaneRequest) -> float | None:
    """Return the seconds after which a lane that has not replied is killed; None sets no limit."""
    limit = request.timeout
    if limit is None or limit > _EVER:
        return None
    return limit + max(request.grace, _GRACE) + REPLY_SECONDS


class CommandRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to run a program.

    Attributes:
        argv: The program and its arguments; no shell is involved.
        env: The whole environment.
        cwd: The working directory, absolute.
        timeout: Seconds after which the process tree is ended; None sets no limit.
        stdin: The path of the file for the program's standard input; None gives an empty input.
        stdout_log: The absolute path of the log of its stdout, created at the first output; None
            writes no log.
        stderr_log: The absolute path of the log of its stderr, with the same rules.
        samples: The absolute path of the file for samples of resource usage; None writes no file.
        max_log: The number of bytes after which a log is cut, with a mark.
        secrets: The texts to mask in the logs and in the live copies, the longest first.
        grace: Seconds between TERM and KILL.
        end_signal: The number of the signal that is sent instead of TERM.
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
    """The output of a program on one stream.

    Attributes:
        size: The number of bytes that were printed.
        kept: The number of bytes at the beginning of the output that are in the log.
        head: The first bytes, 32 KiB at most.
        tail: The last bytes that are not part of ``head``, 32 KiB at most.
        log: The path of the log, which has all bytes unless it is cut; None without a log.
        cut: True if the log was cut at its limit.
        error: The error of writing the log, such as a full disk; None without an error.
        replaced: The positions of masks in the log, each with the bytes that were printed there.
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
        """Return all bytes of the output; None if they exceed the limit or were not all kept.

        Raises:
            OSError: The log was removed.
        """
        if self.size > limit:
            return None
        if self.size == len(self.head) + len(self.tail):
            return self.head + self.tail
        if self.log is None or self.cut or self.error:
            return None
        with open(self.log, "rb") as file:
            logged = file.read()
        return unmask(logged, self.replaced) if self.replaced else logged


class CommandResult(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a program, its output, and the resource usage of its process tree.

    Attributes:
        pid: The pid of the process that was started, to which `status`, `code` and `signal` refer.
        status: The wait status of that process; None if it is unknown, because the process
            cannot be ended or another caller of ``wait`` has reaped it.
        began: The start of the program, in seconds since the epoch.
        usage: Its resource usage, without the file of samples.
        rss_bound: The memory that no process exceeded, in bytes; None if the peak is exact.
        samples: Tuples of seconds since the start, resident bytes of the tree, CPU seconds so far.
        timed_out: True if the program was ended at its timeout.
        cancelled: True if the program was ended by a cancel request.
        leftovers: The processes that the program left running; all of them were ended.
        unended: The processes that could not be ended, for lack of permission or because the
            kernel keeps them.
        stdout: Its standard output.
        stderr: Its standard error.
    """

    pid: int
    status: int | None
    began: float
    usage: Resources
    rss_bound: int | None
    samples: list[tuple[float, int, float]]
    timed_out: bool
    cancelled: bool
    leftovers: list[str]
    unended: list[str]
    stdout: Output
    stderr: Output

    @property
    def code(self) -> int | None:
        """The exit code; None if a signal ended the program or the status is unknown."""
        if self.status is None or not os.WIFEXITED(self.status):
            return None
        return os.WEXITSTATUS(self.status)

    @property
    def signal(self) -> str | None:
        """The name of the signal that ended the program, or None."""
        return None if self.status is None else signal_of(self.status)

    @property
    def wrong(self) -> str | None:
        """The reason why the program failed; None if it ended by itself with exit code 0."""
        if self.timed_out:
            return "its process was ended at its timeout"
        if self.cancelled:
            return "its process was interrupted"
        if self.status is None:
            return "the exit status of its process is not known"
        if self.signal:
            return f"its process was ended by {self.signal}"
        return f"its process ended with exit code {self.code}" if self.code else None


def command_result(request: LaneRequest, reply: dict[str, Any]) -> CommandResult:
    """Return the reply of a lane as a `CommandResult`.

    Raises:
        OSError: The program was not started; ``filename`` is the missing path.
        ValueError: A text contains a null byte, or the name of a variable contains ``=``.
    """
    if error := reply.get("error"):
        if "value" in error:
            raise ValueError(error["value"])
        raise OSError(error["errno"], error["strerror"], error["filename"])
    reply["usage"] = Resources(**reply["usage"])
    reply["stdout"] = Output(log=request.stdout_log, **reply["stdout"])
    reply["stderr"] = Output(log=request.stderr_log, **reply["stderr"])
    return CommandResult(**reply)


class LaneLost(Exception):
    """A lane is gone, and all processes that it had started were ended.

    Attributes:
        timed_out: True if the lane did not reply after the timeout of its program.
        leftovers: The processes that the supervisor ended.
    """

    def __init__(
        self, reason: str, *, timed_out: bool = False, leftovers: tuple[str, ...] = ()
    ) -> None:
        super().__init__(reason)
        self.timed_out = timed_out
        self.leftovers = leftovers


def signal_of(status: int) -> str | None:
    """Return the name of the signal in a wait status, or None if no signal ended the process."""
    if not os.WIFSIGNALED(status):
        return None
    number = os.WTERMSIG(status)
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


_STEP_FIELDS = (
    "name",
    "module",
    "class_",
    "function",
    "params",
    "heap",
    "timeout",
    "background",
    "cwd",
    "is_sampler",
)


class StepRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to run a Python step; `step_fields` creates the value of ``step``.

    If the step sets environment variables, no module may be imported before they are set.
    """

    step: dict[str, Any]
    sets_variables: bool = False
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


def step_fields(step: PythonStep) -> dict[str, Any]:
    """Return the fields of a step that its step code needs, as plain values for `framing`."""
    fields = {name: getattr(step, name) for name in _STEP_FIELDS}
    fields["at"] = {key: msgspec.structs.astuple(place) for key, place in step.at.items()}
    fields["plugin_data"] = step.plugin_data and msgspec.structs.asdict(step.plugin_data)
    return fields


def step_from_fields(fields: dict[str, Any]) -> PythonStep:
    """Return the step that `step_fields` has converted."""
    at = {key: Place(*place) for key, place in fields["at"].items()}
    plugin_data = fields["plugin_data"] and PluginData(**fields["plugin_data"])
    return PythonStep(**fields | {"at": at, "plugin_data": plugin_data})


def stream(output: Output) -> Stream:
    """Return an output as a `Stream`: its head and tail as readable text, and its sizes."""
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


def output_so_far(log: Path) -> Output:
    """Return the output in a log that may still grow; an empty `Output` if the log is missing."""
    try:
        with log.open("rb") as file:
            head = file.read(EDGE)
            size = file.seek(0, 2)
            file.seek(max(len(head), size - EDGE))
            tail = file.read(EDGE)
    except OSError:  # nothing was printed
        return Output(size=0, kept=0, head=b"", tail=b"", log=None)
    return Output(size=size, kept=size, head=head, tail=tail, log=str(log))


def usage(exited: CommandResult, samples: str | None) -> Resources:
    """Return the resource usage of a program that ran in a lane, and write its samples to a file.

    Args:
        exited: The result of the program.
        samples: The path of the file for the samples of the program; None writes no file.
    """
    path = _written(exited.samples, samples)
    return exited.usage if path is None else msgspec.structs.replace(exited.usage, samples=path)


def elsewhere(exited: CommandResult) -> Resources:
    """Return the usage of a program that ran on another machine: only its duration is known."""
    source = {"cpu": "unavailable", "memory": "unavailable"}
    return Resources(seconds=exited.usage.seconds, source=source)


def _written(samples: list[tuple[float, int, float]], path: str | None) -> str | None:
    """Write samples as JSON lines; return the path, or None if no file was written."""
    if path is None or not samples:
        return None
    rows = [
        {"seconds": round(seconds, 6), "rss": rss, "cpu_seconds": round(cpu, 6)}
        for seconds, rss, cpu in samples
    ]
    with contextlib.suppress(OSError):  # a full disk must not fail the step
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(row)}\n" for row in rows)
        return path
    return None


def cut_off(exited: CommandResult, step: Step, timeout: float | None) -> Failure | None:
    """Return the failure of a process that was ended at its timeout or cancelled, else None."""
    if exited.timed_out:
        reason = f"timeout: still running after {timeout:g} s; its whole process tree was ended"
        return Failure(kind="timeout", reason=reason, place=step.at.get("timeout"))
    if exited.cancelled:
        return Failure(kind="interrupted", reason=f"interrupted after {exited.usage.seconds:.1f} s")
    return None


def ended_process(
    process: Process, exited: CommandResult, stderr: Stream | None = None, **more: Any
) -> Process:
    """Return the process of a step with what is known at its end.

    Args:
        process: The record of the process before its start.
        exited: The result of the program.
        stderr: Its stderr, if that is not all of its output.
        more: Further fields of the record.
    """
    return msgspec.structs.replace(
        process,
        exit_code=exited.code,
        signal=exited.signal,
        stdout=stream(exited.stdout),
        stderr=stderr or stream(exited.stderr),
        leftovers=tuple(exited.leftovers),
        rss_bound=exited.rss_bound,
        **more,
    )


def lost_failure(lost: LaneLost, step: Step, timeout: float | None) -> Failure:
    """Return the failure of a step whose lane was lost."""
    if lost.timed_out:
        reason = f"timeout: still running after {timeout:g} s; {lost}"
        return Failure(kind="timeout", reason=reason, place=step.at.get("timeout"))
    reason = f"its process was lost: {lost}"
    return Failure(kind="crash", reason=reason, place=step.at.get("cmd"))
