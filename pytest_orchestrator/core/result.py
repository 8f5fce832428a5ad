"""Immutable result of a step: usage, streams, process, failure, artifacts.

Parts of the report block are as the journal, the JSON report and all views have them: a figure that
was not measured and a limit that does not exist are absent. A field may be added without a new
major version of the format.

A result is never changed after it is made. An exception that a step raised is part of the value
(``Failure.exception``); only the plugin raises it again, for pytest.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias, TypeVar, cast

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from pytest_orchestrator.core import json_values
from pytest_orchestrator.core.events import Change, epoch_seconds
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.text import element_label, some_of

if TYPE_CHECKING:
    from pytest_orchestrator.core.json_values import Json
else:
    # msgspec cannot look into a type that contains itself.
    Json = Any

T = TypeVar("T")

Moment: TypeAlias = Annotated[
    str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$", description="ISO 8601, UTC")
]
Line: TypeAlias = Annotated[int, Meta(ge=1, description="line of the recipe, from 1")]
Count: TypeAlias = Annotated[int, Meta(ge=0)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0, description="seconds")]
Bytes: TypeAlias = Annotated[int, Meta(ge=0, description="bytes")]


def known(value: T | None) -> T | UnsetType:
    """Return a value of a field, or UNSET so that a field without a value is absent."""
    return UNSET if value is None else value


class Part(Struct, frozen=True, kw_only=True):
    """Base class of the mappings in a block; fields that a later version has added are ignored."""


class Criterion(Part, frozen=True):
    """A criterion that was checked."""

    name: str
    line: Line
    held: bool
    wanted: Any
    measured: Any | UnsetType = UNSET
    unit: str | UnsetType = UNSET
    distance: float | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class Measurement(Part, frozen=True, kw_only=True):
    """A measurement with its limits; a limit or value that does not exist is absent.

    A value that passes is `marginal` if it is below `marginal_low` or above `marginal_high`. The
    `margin` is the distance to the nearest limit, negative beyond it. `line` is that of a violated
    limit. One with `allow_fail` is only recorded and cannot fail the step.

    `uncertainty` is U with k = 2, `rule` the decision rule if it is not ``simple``, and `decided`
    its word for a value within U of a limit; a conditional pass has the verdict ``pass``. An
    ``unset`` one with a value could not be decided. `instrument` measured the value; `ambient` is
    as in the recipe.
    """

    name: str
    value: Any | UnsetType = UNSET
    unit: str | UnsetType = UNSET
    low: float | UnsetType = UNSET
    high: float | UnsetType = UNSET
    equals: Any | UnsetType = UNSET
    matches: str | UnsetType = UNSET
    margin: float | UnsetType = UNSET
    marginal_low: float | UnsetType = UNSET
    marginal_high: float | UnsetType = UNSET
    verdict: Literal["pass", "fail", "unset"]
    marginal: Literal[True] | UnsetType = UNSET
    precision: Annotated[int, Meta(ge=1, le=17)] | UnsetType = UNSET
    line: Line
    allow_fail: Literal[True] | UnsetType = UNSET
    uncertainty: float | UnsetType = UNSET
    rule: Literal["guarded", "nonbinary"] | UnsetType = UNSET
    decided: (
        Literal["conditional pass", "conditional fail", "not accepted (inside the limit)"]
        | UnsetType
    ) = UNSET
    instrument: str | UnsetType = UNSET
    ambient: Literal[True] | UnsetType = UNSET


def is_conditional(measured: Iterable[Measurement]) -> bool:
    """Return True if a measurement that can fail its step has a conditional pass."""
    return any(one.decided == "conditional pass" and not one.allow_fail for one in measured)


class Curve(Part, frozen=True, kw_only=True):
    """Samples of a value that a recipe watches while its steps run.

    `points` are pairs of the seconds since the start of the sampling and the value. If there are
    many samples, only the lowest and the highest of neighbouring ones are points. `segment` is the
    number of the run in a series of resumed runs.
    """

    every: Seconds
    samples: Count
    late: Count | UnsetType = UNSET
    failed: Count | UnsetType = UNSET
    segment: Count | UnsetType = UNSET
    points: list[tuple[float, float]]


class Resources(Part, frozen=True, kw_only=True, gc=False):
    """Resource usage of the last attempt; a figure that was not measured is absent, never zero.

    `seconds` is the wall time of the step code, including the start of its process. CPU seconds are
    those of the step and all descendants that were waited for. `max_rss` is the peak of resident
    memory of all processes together, `largest_rss` that of the largest one, `rss_delta` the growth
    of the process that ran the step. `source` is the method of measurement, for each group.
    """

    seconds: Seconds
    cpu_user_seconds: Seconds | UnsetType = UNSET
    cpu_system_seconds: Seconds | UnsetType = UNSET
    rss_delta: Annotated[int, Meta(description="bytes")] | UnsetType = UNSET
    max_rss: Bytes | UnsetType = UNSET
    largest_rss: Bytes | UnsetType = UNSET
    heap_current: Bytes | UnsetType = UNSET
    heap_peak: Bytes | UnsetType = UNSET
    read_bytes: Bytes | UnsetType = UNSET
    write_bytes: Bytes | UnsetType = UNSET
    processes: Count | UnsetType = UNSET
    samples: str | UnsetType = UNSET
    source: dict[str, str]


def lasted(seconds: float) -> Resources:
    """Return the usage of step code of which only the duration is known."""
    return Resources(seconds=seconds, source={})


class Answered(Part, frozen=True):
    """A question of the step that was answered; values but those of the DUT are in the journal."""

    button: str
    who: str
    where: Literal["terminal", "answers", "page"]
    when: str
    dut: dict[str, str] | UnsetType = UNSET


class Where(Part, frozen=True):
    """Name and machine of the worker that ran the step code; absent if it ran beside pytest."""

    worker: str
    host: str


MOST_PREVIEWED: Final = 256 * 1024
"""Bytes of the largest artifact that has a preview on a page."""


class Artifact(Part, frozen=True):
    """A file that was copied into the run folder; `has_secret` if a masked secret is in it."""

    path: str
    type: str
    bytes: Bytes
    has_secret: bool | UnsetType = UNSET


class CopiedArtifacts(msgspec.Struct, frozen=True):
    """Artifacts that were copied for a step, and warnings about those that were left out.

    Attributes:
        artifacts: The copies.
        warnings: The files that were left out, with the reasons.
    """

    artifacts: tuple[Artifact, ...] = ()
    warnings: tuple[str, ...] = ()


Outcome = Literal["passed", "failed", "skipped", "blocked"]

_STEP_OUTCOMES: dict[str, Outcome] = {
    "interrupted": "failed",
    "not run": "blocked",
    "restored": "passed",
}


def outcome_of(word: str) -> Outcome:
    """Convert an outcome in the journal, or a state of an element, to the outcome of a result."""
    return _STEP_OUTCOMES.get(word) or cast("Outcome", word)


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


_BOUND = "an upper bound"
"""End of the source of a figure that is only an upper bound."""


def is_memory_bound(source: object) -> bool:
    """Return True if the ``source`` of usage figures says that memory peaks are upper bounds."""
    return isinstance(source, (dict, Mapping)) and str(source.get("memory")).endswith(_BOUND)


class Verdict(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Result of the check of one criterion of a step.

    Attributes:
        name: Key of the criterion (``files_exist``).
        expected: The value that the recipe requires; None for a measurement, which has limits.
        place: Position of the criterion in the recipe.
        measured: The actual value, or None if the check has no such value.
        unit: Unit of `measured`, such as ``s``; may be empty.
        distance: Distance of `measured` beyond its limit, in the same unit.
        unmet: None if the criterion holds, else one line that says what is wrong.
        is_measurement: True if the criterion is the check of a measurement against its limits.
        errs: True if an expression of the criterion has no value; ``unmet`` says which.
    """

    name: str
    expected: Json
    place: Place
    measured: Json = None
    unit: str = ""
    distance: float | None = None
    unmet: str | None = None
    is_measurement: bool = False
    errs: bool = False

    @property
    def description(self) -> str:
        """Name of the criterion, followed by the text of `unmet`."""
        return f"{self.name}{'' if self.is_measurement else ':'} {self.unmet}"


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Failure of a step.

    Attributes:
        kind: The class of the failure, which reports and filters use.
        reason: One line that is understandable without the rest.
        place: Position of the cause in the recipe; None means the step itself.
        detail: Further lines for a person, such as an excerpt of the output with a caret under the
            wrong byte, and how to correct the cause.
        notes: Lines that stand below the reason in every view of the failure.
        exception: The exception of the user's code, with the frames of that code only.
        is_of_recipe: True if the `timeout` of the recipe ended the step, or kept it from starting;
            `place` is then in the recipe, also for a step of a file that it uses.
        is_late: True if it came after the step had passed: a service died, or a sample violated a
            limit. pytest and all reports have it as an error.
    """

    kind: Kind
    reason: str
    place: Place | None = None
    is_of_recipe: bool = False
    is_late: bool = False
    detail: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    exception: BaseException | None = None


class Stream(msgspec.Struct, frozen=True, gc=False):
    """One output stream of a process, with bounded excerpts.

    Attributes:
        text: First and last part, as text for people.
        size: Number of bytes that the process wrote.
        log: Path of the file with the whole stream, or None.
        cut: True if that file was cut at its limit.
        kept: Number of bytes from the beginning of the stream that are in that file.
        edges: The first and the last bytes of the stream, if that file does not have all bytes.
        replaced: Offset of each mask in that file, and the bytes that it replaces.
    """

    text: str = ""
    size: int = 0
    log: str | None = None
    cut: bool = False
    kept: int = 0
    edges: tuple[bytes, bytes] = (b"", b"")
    replaced: tuple[tuple[int, bytes], ...] = ()


class Process(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Process of a step: its command, output and exit.

    Attributes:
        argv: Program and arguments.
        cwd: Working directory, absolute.
        alone: A shell command that runs the step without pytest, when pasted at the rootdir.
        exit_code: Exit code; None if a signal ended the process.
        signal: Name of the signal that ended the process, or None.
        stdout: The standard output stream.
        stderr: The standard error stream.
        leftovers: Processes that were still running after its exit; all of them were ended.
        threads: Threads that were still running when the code of a Python step had ended.
        rss_bound: Bytes of resident memory that no process exceeded, if the measured peak may be
            lower than the peak, or is this bound; None if it is the peak.
        shown: True if its output was shown while it ran.
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
    rss_bound: int | None = None
    shown: bool = False
    masked: tuple[str, ...] = ()

    @property
    def left(self) -> list[str]:
        """Return descriptions of the processes and threads that were left running."""
        return [*self.leftovers, *(f"thread {name}" for name in self.threads)]


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """End of the step code: failure, skip or success, with the data of its process.

    `where` is the Dask worker that ran the step code; None if it ran on pytest's machine. `log` is
    the file of its log records; None if it logged nothing. `began` is the start of its process, in
    seconds since the epoch; 0 if it had no process of its own. `asked` is the time in seconds
    that the step code waited for answers of people, and `answers` are these answers, in order,
    without their values. `exact` is the JSON of `value` if floats do not keep all of its decimals.
    """

    usage: Resources = lasted(0.0)
    failure: Failure | None = None
    skipped: str | None = None
    value: Json = None
    exact: str = ""
    process: Process | None = None
    verdicts: tuple[Verdict, ...] = ()
    where: Where | None = None
    log: Stream | None = None
    began: float = 0.0
    asked: float = 0.0
    answers: tuple[Answered, ...] = ()

    @property
    def exact_value(self) -> Json:
        """The value with the decimals as they are written, for comparisons."""
        return json_values.decode_exactly(self.exact) if self.exact else self.value


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """Failed attempt of a step that another attempt followed.

    Attributes:
        number: Number of the attempt, from 1.
        failure: The failure of the attempt.
        ended: End of the step code.
        started: Start of the step code, in seconds since the epoch.
        stopped: Time of the check of its last criterion, in seconds since the epoch.
    """

    number: int
    failure: Failure
    ended: Ended
    started: float
    stopped: float = 0.0


ElementState = Literal["passed", "failed", "skipped", "interrupted", "not run", "restored"]


class Element(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of the step code for one element of the list of ``foreach``.

    Attributes:
        index: Index of the element in the list, from 0.
        item: The element.
        result: The result for this element; ``blocked`` if its step code did not run.
    """

    index: int
    item: Json
    result: "StepResult"

    @property
    def label(self) -> str:
        """The index and the start of the element in one line, such as ``[6] 12.5``."""
        return element_label(self.index, self.item)

    @property
    def state(self) -> ElementState:
        """The outcome of the element as reports show it."""
        if self.result.is_interrupted:
            return "interrupted"
        if self.result.restored is not None:
            return "restored"
        return "not run" if self.result.outcome == "blocked" else self.result.outcome


ByHand = Literal["set", "skip", "redo"]
"""What a person did at a prompt before a step: set the Context, skip the step, or redo it."""


def prevents_pass(acts: Iterable[ByHand]) -> bool:
    """Return True if the Context was set, or a step skipped, by hand: no recipe passes with it."""
    return not {"set", "skip"}.isdisjoint(acts)


class StepResult(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of a step, with everything that reports show of it.

    Attributes:
        step: Name of the step.
        outcome: passed, failed, skipped, or blocked by a step that it needs.
        failure: The failure, if the step failed.
        reason: The reason why the step was skipped or blocked.
        blocked_by: Name of the step that blocks it.
        meets: True if steps that need it may run: it did not fail, or has
            ``continue_on_error``.
        verdicts: All criteria that were checked.
        measurements: All measurements of the step.
        changes: Changes of the Context that the step made, in order.
        missed: Context paths that the step read and that did not exist.
        ended: End of the step code; None if no step code ran.
        started: Start of the step code in the last attempt, in seconds since the epoch.
        stopped: Time of the check of the last criterion; of a service, the time of its end.
        attempt: Number of the attempt that this result describes, the last one.
        attempts: The earlier attempts.
        reruns: Number of times that a pytest plugin ran the step again after a failure.
        waited: Seconds that the step waited for its locks, in all its attempts.
        artifacts: Files of the step that were copied into the run folder.
        warnings: Texts for a person; they fail nothing.
        restored: Id of the run that the result was restored from, if the step did not run in
            this one.
        inputs: The ``params`` or ``args`` of the step code, with expressions replaced by values.
        elements: The elements of the list of a step with ``foreach``, in order; None for a step
            without it, and if the list has no value.
        curve: The samples, for the result of a sampled value; else None.
        by_hand: What a person did at a prompt before the step, see `ByHand`.
    """

    step: str
    outcome: Outcome
    failure: Failure | None = None
    reason: str = ""
    blocked_by: str | None = None
    meets: bool = False
    verdicts: tuple[Verdict, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    changes: tuple[Change, ...] = ()
    missed: tuple[str, ...] = ()
    ended: Ended | None = None
    started: float = 0.0
    stopped: float = 0.0
    attempt: int = 1
    attempts: tuple[Attempt, ...] = ()
    reruns: int = 0
    waited: float = 0.0
    artifacts: tuple[Artifact, ...] = ()
    warnings: tuple[str, ...] = ()
    restored: str | None = None
    inputs: dict[str, Json] = {}
    elements: tuple[Element, ...] | None = None
    curve: Curve | None = None
    by_hand: tuple[ByHand, ...] = ()

    @property
    def is_by_hand(self) -> bool:
        """True if the step was skipped, or the Context set, by hand; see `prevents_pass`."""
        return prevents_pass(self.by_hand)

    @property
    def is_interrupted(self) -> bool:
        """True if the step was ended from outside: by a person, a signal or a dead worker."""
        return self.failure is not None and self.failure.kind == "interrupted"

    @property
    def is_conditional(self) -> bool:
        """True if the step passed with a conditional pass of a measurement, or of an element."""
        if self.outcome != "passed":
            return False
        results = [self, *(one.result for one in self.elements or ())]
        return any(is_conditional(one.measurements) for one in results)

    @property
    def is_cut_off(self) -> bool:
        """True if the step was interrupted or the time of its recipe was over.

        This is no failure of the step itself, so `xfail` does not excuse it.
        """
        return self.failure is not None and (self.is_interrupted or self.failure.is_of_recipe)

    @property
    def failed_element(self) -> Element | None:
        """The element of ``foreach`` whose failure is that of the step; None if there is none."""
        if not self.elements:
            return None
        reason = self.failure.reason if self.failure else ""
        failed = (one for one in self.elements if one.result.failure is not None)
        return next((one for one in failed if reason.startswith(f"{one.label}: ")), None)

    @property
    def window(self) -> tuple[float, float]:
        """Return the start and the stop of the step, in seconds since the epoch.

        The step starts when the step code of the first attempt starts, and stops when the last
        criterion of the last attempt is checked. Each change of the Context lies in between, even
        if two clocks disagree.
        """
        seconds = self.ended.usage.seconds if self.ended else 0.0
        start = self.attempts[0].started if self.attempts else self.started
        stop = max(self.stopped, self.started + seconds)
        if self.changes:
            start = min(start, epoch_seconds(self.changes[0].ts))
            stop = max(stop, epoch_seconds(self.changes[-1].ts))
        return start, stop

    @property
    def unmet(self) -> tuple[Verdict, ...]:
        """Return the verdicts of the criteria that do not hold."""
        return tuple(verdict for verdict in self.verdicts if verdict.unmet)


class LeftoverWarning(UserWarning):
    """Warning: a step left processes running, and they were ended."""

    # Warning filters and other processes look the class up by this name.
    __module__ = "pytest_orchestrator"


def named(left: Sequence[str]) -> str:
    """Return names of leftover processes as part of a sentence: at most five, and a count."""
    return some_of(left)
