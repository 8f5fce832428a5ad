"""Result of a step: usage, streams, process, failure, artifacts; frozen values.

Nothing later writes to it. An exception that a step raised is part of the value
(``Failure.exception``) and is raised again only at the door to pytest.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from pytest_orchestrator.core.events import Change
from pytest_orchestrator.core.location import Place

if TYPE_CHECKING:
    from pytest_orchestrator.core.json_values import Json
else:
    # msgspec cannot look into a type that contains itself.
    Json = Any


class Where(msgspec.Struct, frozen=True):
    """A worker that ran a body elsewhere.

    Attributes:
        worker: Its name.
        host: The name of its machine.
    """

    worker: str
    host: str

    def as_dict(self) -> dict[str, str]:
        """Return it as plain data."""
        return {"worker": self.worker, "host": self.host}


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was copied into the folder of the run.

    Attributes:
        path: Of the copy, absolute.
        type: What its name says it is, such as ``image/png``.
        bytes: Its size.
    """

    path: str
    type: str
    bytes: int


Outcome = Literal["passed", "failed", "skipped", "blocked"]

Kind = Literal[
    "criterion",
    "exception",
    "exit_code",
    "signal",
    "timeout",
    "protocol",
    "status",
    "not_found",
    "validation",
    "crash",
    "interrupted",
]


class Usage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a step used; a figure that was not measured is None, never zero.

    Attributes:
        seconds: Wall time of the body, process start included.
        cpu_user_seconds: CPU in user mode, of the step and all descendants it waited for.
        cpu_system_seconds: The same in the kernel.
        rss_delta: Growth in bytes of the resident memory of the process that ran the step.
        max_rss: Peak of resident memory in bytes.
        largest_rss: The same of the largest single process.
        heap_current: Bytes of Python heap held at the end (only where heap is traced).
        heap_peak: Peak bytes of Python heap (only where heap is traced).
        read_bytes: Bytes fetched from storage.
        write_bytes: Bytes sent to storage.
        processes: Number of processes that were seen.
        samples: Path of the file with memory and CPU time as they went, where there is one.
        source: For each group of figures the measurement that it comes from.
    """

    seconds: float
    cpu_user_seconds: float | None = None
    cpu_system_seconds: float | None = None
    rss_delta: int | None = None
    max_rss: int | None = None
    largest_rss: int | None = None
    heap_current: int | None = None
    heap_peak: int | None = None
    read_bytes: int | None = None
    write_bytes: int | None = None
    processes: int | None = None
    samples: str | None = None
    source: dict[str, str] = {}

    def as_dict(self) -> dict[str, Json]:
        """Return the figures that were measured, as plain data."""
        figures = msgspec.structs.asdict(self)
        return {name: value for name, value in figures.items() if value is not None}


class Verdict(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One criterion after it was checked.

    Attributes:
        name: The criterion's key (``files_exist``).
        wanted: What the recipe asks for.
        place: Where it stands in the recipe.
        measured: What was found, where there is such a value.
        unit: What that is measured in, such as ``s``; may be empty.
        distance: How far beyond its limit that is, in the same unit.
        unmet: None where it held, else one line that says what is wrong.
        is_measurement: It is a measurement against its limits.
        errs: An expression of it has no value, which is what ``unmet`` says.
    """

    name: str
    wanted: Json
    place: Place
    measured: Json = None
    unit: str = ""
    distance: float | None = None
    unmet: str | None = None
    is_measurement: bool = False
    errs: bool = False

    @property
    def told(self) -> str:
        """What is wrong, with the name of the criterion."""
        return f"{self.name}{'' if self.is_measurement else ':'} {self.unmet}"


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a step failed.

    Attributes:
        kind: One of the fixed kinds that reports and filters know.
        reason: One line, complete by itself.
        place: Where in the recipe the cause stands; None means the step itself.
        detail: Further lines for a person (bytes with a caret, the cure).
        exception: What the user's code raised, with the frames of the user alone.
    """

    kind: Kind
    reason: str
    place: Place | None = None
    detail: tuple[str, ...] = ()
    exception: BaseException | None = None


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A measurement after it was taken.

    Attributes:
        name: Its name.
        place: Where it stands in the recipe; where a limit is missed, that limit.
        value: What was measured; None where there was nothing.
        unit: The unit of value and limits.
        low: The smallest that is good, where there is such a limit.
        high: The largest that is good.
        equals: What it must be.
        margin: How far it is within its nearest limit; negative outside.
        verdict: pass, fail, or unset where there was no value.
        unmet: None where it is good, else one line that says what is wrong.
        allow_fail: It is recorded only, and fails nothing.
        errs: An expression of it has no value, which is what ``unmet`` says.
    """

    name: str
    place: Place
    value: Json = None
    unit: str | None = None
    low: float | None = None
    high: float | None = None
    equals: Json = None
    margin: float | None = None
    verdict: Literal["pass", "fail", "unset"]
    unmet: str | None = None
    allow_fail: bool = False
    errs: bool = False


class Stream(msgspec.Struct, frozen=True, gc=False):
    """One output stream of a process, bounded.

    Attributes:
        text: Head and tail, for people.
        size: Bytes that there were.
        log: Path of the file that has all of it, where there is one.
        cut: That file was cut at its limit.
        kept: Bytes of the beginning that are in that file.
        edges: The first and the last bytes, where that file does not have all.
        replaced: Where a mask stands in that file, and what was printed there.
    """

    text: str = ""
    size: int = 0
    log: str | None = None
    cut: bool = False
    kept: int = 0
    edges: tuple[bytes, bytes] = (b"", b"")
    replaced: tuple[tuple[int, bytes], ...] = ()


class Process(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The process of a step: what was started, and how it ended.

    Attributes:
        argv: Program and arguments.
        cwd: Working directory, absolute.
        alone: A line that does the same when pasted into a shell at the rootdir.
        exit_code: None where a signal ended it.
        signal: Name of the signal that ended it.
        stdout: What it printed.
        stderr: What it logged.
        leftovers: Processes that it left running; all of them were ended.
        threads: Threads that it left running in a process of Python.
        shown: What it printed was shown as it came.
        masked: Names of its ``args`` whose values are secret.
    """

    argv: tuple[str, ...]
    cwd: str
    alone: str
    exit_code: int | None = None
    signal: str | None = None
    stdout: Stream = Stream()
    stderr: Stream = Stream()
    leftovers: tuple[str, ...] = ()
    threads: tuple[str, ...] = ()
    shown: bool = False
    masked: tuple[str, ...] = ()

    @property
    def left(self) -> list[str]:
        """Return all that it left running, for people."""
        return [*self.leftovers, *(f"thread {name}" for name in self.threads)]


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How the body of a step ended: it failed, it skipped itself, or it did as wanted.

    `where` is the worker that ran it; None where it ran beside pytest.
    """

    usage: Usage
    failure: Failure | None = None
    skipped: str | None = None
    value: Json = None
    process: Process | None = None
    verdicts: tuple[Verdict, ...] = ()
    where: Where | None = None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A try of a step that failed, and after which there was another one.

    Attributes:
        number: Which one it was, from 1.
        failure: Why it failed.
        ended: The body's own end.
        started: Start of the body, seconds since the epoch.
    """

    number: int
    failure: Failure
    ended: Ended
    started: float


class StepResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a step.

    Attributes:
        step: The step's name.
        outcome: passed, failed, skipped, or blocked by a step that it needs.
        failure: Present where the step failed.
        reason: Why it was skipped or blocked.
        blocked_by: Name of the step that blocks it.
        meets: Steps that need it may run: it did not fail, or says ``continue_on_error``.
        verdicts: All criteria that were checked.
        measurements: What was measured.
        changes: What the step wrote to the Context, in order.
        missed: Context paths that the step asked for and that were not there.
        ended: The body's own end; None where no body ran.
        started: Start of the body, seconds since the epoch.
        attempt: Number of the try that this tells of, the last one.
        attempts: The tries before it.
        waited: Seconds that the step waited for its locks, in all its tries.
        artifacts: Files of it that were copied into the folder of the run.
        warnings: What a person should know, and what fails nothing.
        restored: Id of the run that it comes from, where it did not run in this one.
        given: The ``params`` or ``args`` of its body, with values where expressions were.
    """

    step: str
    outcome: Outcome
    failure: Failure | None = None
    reason: str = ""
    blocked_by: str | None = None
    meets: bool = False
    verdicts: tuple[Verdict, ...] = ()
    measurements: tuple[Measured, ...] = ()
    changes: tuple[Change, ...] = ()
    missed: tuple[str, ...] = ()
    ended: Ended | None = None
    started: float = 0.0
    attempt: int = 1
    attempts: tuple[Attempt, ...] = ()
    waited: float = 0.0
    artifacts: tuple[Artifact, ...] = ()
    warnings: tuple[str, ...] = ()
    restored: str | None = None
    given: dict[str, Json] = {}

    @property
    def unmet(self) -> tuple[Verdict, ...]:
        """Return the criteria that do not hold."""
        return tuple(verdict for verdict in self.verdicts if verdict.unmet)


_MOST = 5


class LeftoverWarning(UserWarning):
    """A step ended and left processes running; they were ended."""

    # Filters and other processes look it up by this name.
    __module__ = "pytest_orchestrator"


def named(left: Sequence[str]) -> str:
    """Return what was left running as part of a sentence: of a fork bomb the first few."""
    shown = ", ".join(left[:_MOST])
    return shown if len(left) <= _MOST else f"{shown} and {len(left) - _MOST} more"
