"""Types of the report block of a step, and conversion of a block from and to plain data.

The tests of this project validate all blocks against these types. A field may be added without a
new major version of the format.
"""

from collections.abc import Mapping
from itertools import chain, repeat
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from pytest_orchestrator.core import location, result
from pytest_orchestrator.core.events import ElementFinished, Op, StepFinished
from pytest_orchestrator.core.result import (
    Answered,
    Artifact,
    ByHand,
    Bytes,
    Count,
    Criterion,
    Curve,
    ElementState,
    Kind,
    Line,
    Measurement,
    Moment,
    Part,
    Resources,
    Seconds,
    Where,
    prevents_pass,
)
from pytest_orchestrator.runs.verdicts import word_of

# Views import these with the rest of a block.
__all__ = ["Answered", "Count", "Criterion", "Measurement", "Part", "Resources"]

SCHEMA_VERSION: Final = "1.0"
"""Version of the format of blocks, and of the summary of a run."""

Sha256: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="SHA-256, hex")]
_OfPytest: TypeAlias = Literal["passed", "failed", "skipped", "xfailed", "xpassed", "error"]
_OfRecipe: TypeAlias = Literal["blocked", "restored", "interrupted", "not run"]
State: TypeAlias = Literal[_OfPytest, _OfRecipe, "conditional pass", "by hand"]


class Run(Part, frozen=True):
    """The run: the name of its folder and the pytest process that ran the step.

    `replay` is the run whose exchanges answered for the instruments.
    """

    id: str
    worker: str
    resumed_from: str | None | UnsetType = UNSET
    replay: str | UnsetType = UNSET


class Var(Part, frozen=True):
    """The value of a var and its origin."""

    value: Any
    origin: str


class Recipe(Part, frozen=True):
    """The recipe of the step.

    `units` has the serial number of each unit by its name: null without serial numbers, and an
    empty text for an empty socket. In the block of a step of a unit, the `dut` in `test_meta` is
    that unit.
    """

    name: str
    path: str
    sha256: Sha256
    test_meta: dict[str, Any]
    vars: dict[str, Var] | UnsetType = UNSET
    cell: str | UnsetType = UNSET
    matrix: dict[str, Any] | UnsetType = UNSET
    description: str | UnsetType = UNSET
    units: dict[str, str | None] | UnsetType = UNSET


def meta_of_unit(
    test_meta: dict[str, Any], units: Mapping[str, str | None], unit: str
) -> dict[str, Any]:
    """Return `test_meta` with a unit as the unit under test.

    Args:
        test_meta: The `test_meta` of the recipe.
        units: The serial number of each unit by its name.
        unit: The name of the unit.
    """
    serial = units.get(unit)
    if not serial:
        return test_meta
    dut = test_meta.get("dut")
    own = {**dut, "serial_number": serial} if isinstance(dut, Mapping) else serial
    return {**test_meta, "dut": own}


class Place(Part, frozen=True):
    """Position of the cause of a failure."""

    path: str
    line: Line
    column: Count


class StepDescription(Part, frozen=True, kw_only=True):
    """The step as its recipe describes it.

    `checked_loop` is true for a step with ``foreach`` that has criteria or measurements.
    """

    name: str
    node: str
    index: Count
    type: str
    line: Line
    needs: list[str]
    tags: list[str]
    description: str | UnsetType = UNSET
    after: list[str] | UnsetType = UNSET
    background: Literal[True] | UnsetType = UNSET
    continue_on_error: Literal[True] | UnsetType = UNSET
    final: Literal[True] | UnsetType = UNSET
    idempotent: Literal[True] | UnsetType = UNSET
    matrix: dict[str, Any] | UnsetType = UNSET
    sampled: Literal[True] | UnsetType = UNSET
    checked_loop: Literal[True] | UnsetType = UNSET
    unit: str | UnsetType = UNSET


class Step(StepDescription, frozen=True, kw_only=True):
    """The step and its outcome; `by_hand` is what a person did at a prompt before it."""

    state: State
    attempt: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    reruns: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    kind: Kind | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    place: Place | UnsetType = UNSET
    blocked_by: str | UnsetType = UNSET
    by_hand: list[ByHand] | UnsetType = UNSET

    @property
    def is_by_hand(self) -> bool:
        """True if it was skipped, or the Context set, at a prompt; see `prevents_pass`."""
        return prevents_pass(self.by_hand or ())

    @property
    def word(self) -> str:
        """The word that reports show for its state, see `word_of`."""
        return word_of(self.state, self.kind or "")


class Write(Part, frozen=True):
    """A change of the Context; only append and pop have an `index`."""

    key: str
    ts: Moment
    who: str
    op: Op
    old: Any
    new: Any
    index: Count | UnsetType = UNSET
    masked: Literal[True] | UnsetType = UNSET


class Context(Part, frozen=True):
    """The changes that the step made, in order."""

    writes: list[Write]


class Time(Part, frozen=True):
    """Times of the step: from the start of its step code to its last criterion.

    The window contains all attempts and all changes of the Context by the step. `seconds` is the
    duration of the step code in the last attempt, `last_start` the start of that attempt if there
    were several, and `waited_seconds` the total time that all attempts waited for locks.
    """

    start: Moment
    stop: Moment
    seconds: Seconds
    waited_seconds: Seconds
    last_start: Moment | UnsetType = UNSET


class Process(Part, frozen=True):
    """The process of the step."""

    argv: list[str]
    cwd: str
    stdout_bytes: Bytes
    stderr_bytes: Bytes
    exit_code: int | UnsetType = UNSET
    signal: str | UnsetType = UNSET
    leftovers: list[str] | UnsetType = UNSET
    masked: list[str] | UnsetType = UNSET


class Log(Part, frozen=True):
    """The log file of a stream: the whole stream, or its beginning if `cut` is true."""

    path: str
    bytes: Bytes
    cut: bool


class Logs(Part, frozen=True):
    """The streams that are not empty, and the log records of a Python step."""

    stdout: Log | UnsetType = UNSET
    stderr: Log | UnsetType = UNSET
    log: Log | UnsetType = UNSET


class Attempt(Part, frozen=True, kw_only=True):
    """A failed attempt that was followed by another one."""

    attempt: Annotated[int, Meta(ge=1)]
    kind: Kind
    reason: str
    start: Moment
    stop: Moment | UnsetType = UNSET
    seconds: Seconds
    resources: Resources
    where: Where | UnsetType = UNSET
    logs: Logs | UnsetType = UNSET


class Element(Part, frozen=True, kw_only=True):
    """The outcome of one element of the list of a step with ``foreach``.

    The parts are those of a block, for the element; `restored` is the id of the run that ran it.
    """

    index: Count
    item: Any
    state: ElementState
    attempt: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    kind: Kind | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    place: Place | UnsetType = UNSET
    time: Time | UnsetType = UNSET
    resources: Resources | UnsetType = UNSET
    where: Where | UnsetType = UNSET
    process: Process | UnsetType = UNSET
    logs: Logs | UnsetType = UNSET
    given: dict[str, Any] | UnsetType = UNSET
    criteria: list[Criterion] | UnsetType = UNSET
    measurements: list[Measurement] | UnsetType = UNSET
    attempts: list[Attempt] | UnsetType = UNSET
    artifacts: list[Artifact] | UnsetType = UNSET
    restored: str | UnsetType = UNSET

    @property
    def word(self) -> str:
        """The word that reports show for its state, see `word_of`."""
        return word_of(self.state, self.kind or "")


class Block(Part, frozen=True):
    """The report of one step. Times are in seconds, sizes in bytes."""

    schema_version: Annotated[str, Meta(pattern=r"^1\.\d+$")]
    run: Run
    recipe: Recipe
    step: Step
    criteria: list[Criterion]
    context: Context
    time: Time | UnsetType = UNSET
    resources: Resources | UnsetType = UNSET
    where: Where | UnsetType = UNSET
    process: Process | UnsetType = UNSET
    logs: Logs | UnsetType = UNSET
    given: dict[str, Any] | UnsetType = UNSET
    measurements: list[Measurement] | UnsetType = UNSET
    attempts: list[Attempt] | UnsetType = UNSET
    artifacts: list[Artifact] | UnsetType = UNSET
    warnings: list[str] | UnsetType = UNSET
    answers: list[Answered] | UnsetType = UNSET
    elements: list[Element] | UnsetType = UNSET
    curve: Curve | UnsetType = UNSET


def measurements_of(block: Block | None) -> list[Measurement]:
    """Return all measurements of a step.

    With ``foreach`` a measurement has the element as its dimension: its name is followed by the
    index of the element, as in ``ripple[3]``.
    """
    if block is None:
        return []
    if not block.elements:
        return block.measurements or []
    return [*(block.measurements or ())] + [
        msgspec.structs.replace(one, name=f"{one.name}[{element.index}]")
        for element in block.elements
        for one in element.measurements or ()
    ]


def marginal_count(block: Block | None) -> int:
    """Return the number of measurements of a step that pass but are near a limit."""
    measured = measurements_of(block)
    return sum(bool(one.marginal) for one in measured) if measured else 0


def plain(part: Part) -> dict[str, Any]:
    """Return a block or a part of one as plain data, as in the journal and in the JSON report."""
    data: dict[str, Any] = msgspec.to_builtins(part)
    return data


def from_block(data: object) -> Block | None:
    """Return the block that plain data describes.

    Fields that a later version has added are ignored.

    Args:
        data: A block as in the journal and in the JSON report, or its JSON text; it may come from
            another machine.

    Returns:
        None if the data is not a block of this major version.
    """
    try:
        return _decode(data) if isinstance(data, msgspec.Raw) else msgspec.convert(data, Block)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


_decode: Final = msgspec.json.Decoder(Block).decode


class _Line(Struct, tag_field="event", tag="step_finished"):
    block: Block


def block_in_line(line: bytes) -> Block | None:
    """Return the block in a line of a journal; None if the line has no valid block.

    Args:
        line: A line with the end of a step, which is not verified.
    """
    try:
        return _decode_line(line).block
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


_decode_line: Final = msgspec.json.Decoder(_Line).decode


def result_of(event: StepFinished) -> result.StepResult:
    """Return the recorded result of a step, with what other steps can refer to.

    Args:
        event: The event with the outcome of the step.
    """
    block, outcome = from_block(event.block), result.outcome_of(event.outcome)
    failure = _failure(block) if outcome == "failed" else None
    ended = None
    if block and (block.time or event.restored):
        ended = _ended(block.process, seconds_in(block, event), event.result, failure)
    return result.StepResult(
        step=event.step,
        outcome=outcome,
        failure=failure,
        reason=(block and block.step.reason) or "",
        blocked_by=(block and block.step.blocked_by) or None,
        meets=event.meets,
        ended=ended,
        attempt=1 if block is None or block.step.attempt is UNSET else block.step.attempt,
        measurements=tuple((block and block.measurements) or ()),
        elements=_elements(event, block.elements) if block else None,
    )


def _elements(
    event: StepFinished, elements: list[Element] | UnsetType
) -> tuple[result.Element, ...] | None:
    """Return the elements of a recorded step with ``foreach``; None for a step without it."""
    if elements is UNSET:
        return None
    values = event.result if isinstance(event.result, list) else []
    return tuple(
        result.Element(
            index=one.index,
            item=one.item,
            result=_of_element(event.step, one, value, event.restored),
        )
        for one, value in zip(elements, chain(values, repeat(None)), strict=False)
    )


def element_result(event: ElementFinished) -> result.StepResult:
    """Return the recorded result of an element, with what reports and other steps use of it."""
    element = msgspec.convert(event.block, Element)
    return _of_element(event.step, element, event.result, event.restored)


def _of_element(step: str, element: Element, value: Any, restored: str | None) -> result.StepResult:
    outcome = result.outcome_of(element.state)
    seconds = element.time.seconds if element.time else 0.0
    return result.StepResult(
        step=step,
        outcome=outcome,
        reason=element.reason or "",
        meets=outcome in ("passed", "skipped"),
        measurements=tuple(element.measurements or ()),
        ended=_ended(element.process, seconds, value),
        restored=restored,
    )


def seconds_in(block: Block | None, event: StepFinished) -> float:
    """Return the duration of the step code in seconds, in the run that executed the step.

    Args:
        block: The block of the event; None if it is not valid.
        event: The event with the outcome of the step.
    """
    if block is None:
        return 0.0
    # `run.seconds` is a note for later resumed runs: restored blocks have no times.
    return block.time.seconds if block.time else float(event.block["run"].get("seconds", 0.0))


def _ended(
    process: Process | UnsetType, seconds: float, value: Any, failure: result.Failure | None = None
) -> result.Ended:
    ended = result.Ended(usage=result.lasted(seconds), value=value, failure=failure)
    if not process:
        return ended
    recorded = result.Process(
        argv=tuple(process.argv),
        cwd=process.cwd,
        alone="",
        exit_code=None if process.exit_code is UNSET else process.exit_code,
        stdout=result.Stream(size=process.stdout_bytes),
        stderr=result.Stream(size=process.stderr_bytes),
    )
    return msgspec.structs.replace(ended, process=recorded)


def _failure(block: Block | None) -> result.Failure:
    step = block.step if block else None
    at = step.place if step else None
    return result.Failure(
        kind=(step and step.kind) or "crash",
        reason=(step and step.reason) or "",
        place=location.Place(at.line, at.column) if at else None,
    )
