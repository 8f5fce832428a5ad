"""Report block of a step: its construction, its types and its JSON Schema.

A figure that was not measured is absent, never zero. Paths are relative to the rootdir, those of
logs and samples to the run folder. Times are in seconds, sizes in bytes.

`block` returns plain data; the tests of this project validate all their blocks against these
types. A field may be added without a new major version of the format.
"""

import json
import math
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from pytest_orchestrator.core.events import Change, Op
from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.result import Attempt as FailedAttempt
from pytest_orchestrator.core.result import Ended, Kind, Measured, StepResult, Usage, Verdict
from pytest_orchestrator.core.result import Process as StepProcess
from pytest_orchestrator.recipe.model.recipe import Recipe as LoadedRecipe
from pytest_orchestrator.recipe.model.step import Step as RecipeStep
from pytest_orchestrator.reports.failure import place_of

SCHEMA_VERSION = "1.0"

_MAX_VALUE_BYTES = 64 * 1024

_FLAGS = {
    "background": "background",
    "continue_on_error": "continue_on_error",
    "final": "is_final",
    "idempotent": "idempotent",
}
"""Keys of a block that are present only if true, and the fields of the step that hold them."""


def block(
    recipe: LoadedRecipe,
    step: RecipeStep,
    result: StepResult,
    *,
    root: Path,
    folder: Path,
    worker: str = "main",
    state: str | None = None,
) -> dict[str, Json]:
    """Return the report block of one step.

    Args:
        recipe: The recipe of the step.
        step: The step.
        result: Its result.
        root: The folder to which paths are relative.
        folder: The run folder, to which paths of logs and samples are relative.
        worker: Name of the pytest process that ran it.
        state: The outcome of pytest, if it differs from that of the result (``xfailed``).

    Returns:
        Plain data: text, numbers, booleans, lists and mappings with text keys.
    """
    block: dict[str, Json] = {
        "schema_version": SCHEMA_VERSION,
        "run": {"id": folder.name, "worker": worker},
        "recipe": of_recipe(recipe),
        "step": of_step(recipe, step) | _outcome(recipe, step, result, state),
        "criteria": [_criterion(each) for each in result.verdicts if not each.is_measurement],
        "context": {"writes": [_change(change) for change in result.changes]},
    }
    if result.ended is not None:
        usage = result.ended.usage
        block["time"] = _time(result, usage.seconds)
        block["resources"] = _resources(usage, folder)
        if result.ended.where is not None:
            block["where"] = {**result.ended.where.as_dict()}
        if result.ended.process is not None:
            block["process"] = _process(result.ended.process, root)
        block |= _logs(result.ended, folder)
    if result.given:
        block["given"] = {name: _bounded(value) for name, value in result.given.items()}
    if result.measurements:
        block["measurements"] = [_measured(each) for each in result.measurements]
    if result.attempts:
        block["attempts"] = [_attempt(each, folder) for each in result.attempts]
    return block | _artifacts_and_warnings(result, folder)


def _time(result: StepResult, seconds: float) -> dict[str, Json]:
    """Return the start and stop of a step, and the duration of its step code."""
    start, stop = result.window
    time: dict[str, Json] = {
        "start": _moment(start),
        "stop": _moment(stop, up=True),
        "seconds": seconds,
        "waited_seconds": round(result.waited, 3),
    }
    return time | ({"last_start": _moment(result.started)} if result.attempts else {})


def _artifacts_and_warnings(result: StepResult, folder: Path) -> dict[str, Json]:
    fields: dict[str, Json] = {}
    if result.artifacts:
        fields["artifacts"] = [
            {"path": _relative(file.path, folder), "type": file.type, "bytes": file.bytes}
            for file in result.artifacts
        ]
    if result.warnings:
        fields["warnings"] = list(result.warnings)
    return fields


def _attempt(attempt: FailedAttempt, folder: Path) -> dict[str, Json]:
    seconds = attempt.ended.usage.seconds
    fields: dict[str, Json] = {
        "attempt": attempt.number,
        "kind": attempt.failure.kind,
        "reason": attempt.failure.reason,
        "start": _moment(attempt.started),
        "stop": _moment(max(attempt.stopped, attempt.started + seconds), up=True),
        "seconds": seconds,
        "resources": _resources(attempt.ended.usage, folder),
    }
    if attempt.ended.where is not None:
        fields["where"] = {**attempt.ended.where.as_dict()}
    return fields | _logs(attempt.ended, folder)


def _resources(usage: Usage, folder: Path) -> dict[str, Json]:
    figures = usage.as_dict()
    return figures | ({"samples": _relative(usage.samples, folder)} if usage.samples else {})


def _logs(ended: Ended, folder: Path) -> dict[str, Json]:
    """Return the paths of the log files; an empty stream has none."""
    process = ended.process or StepProcess(argv=(), cwd="", alone="")
    streams = {"stdout": process.stdout, "stderr": process.stderr, "log": ended.log}
    logs: dict[str, Json] = {
        name: {"path": _relative(stream.log, folder), "bytes": stream.size, "cut": stream.cut}
        for name, stream in streams.items()
        if stream is not None and stream.log is not None
    }
    return {"logs": logs} if logs else {}


def of_recipe(recipe: LoadedRecipe) -> dict[str, Json]:
    """Return the part of a block that describes the recipe."""
    fields: dict[str, Json] = {
        "name": recipe.name or recipe.path.stem,
        "path": recipe.id,
        "sha256": recipe.sha256,
        "test_meta": recipe.test_meta,
    }
    if recipe.origins:
        fields["vars"] = {
            name: {"value": recipe.vars.get(name), "origin": origin}
            for name, origin in recipe.origins.items()
        }
    if recipe.cell:
        fields |= {"cell": recipe.cell.id, "matrix": recipe.cell.values}
    if recipe.description:
        fields["description"] = recipe.description
    return fields


def of_step(recipe: LoadedRecipe, step: RecipeStep) -> dict[str, Json]:
    """Return the part of a block that describes the step itself, without its outcome."""
    fields: dict[str, Json] = {
        "name": step.name,
        "node": recipe.node(step.name),
        "index": step.index,
        "type": step.type,
        "line": step.line,
        "needs": list(step.needs),
        "tags": list(step.tags),
    }
    if step.description:
        fields["description"] = step.description
    if step.after:
        fields["after"] = list(step.after)
    fields |= {name: True for name, field in _FLAGS.items() if getattr(step, field)}
    return fields


def _outcome(
    recipe: LoadedRecipe, step: RecipeStep, result: StepResult, state: str | None
) -> dict[str, Json]:
    """Return the part of a block that describes the outcome of the step."""
    interrupted = "interrupted" if result.is_interrupted else None
    fields: dict[str, Json] = {"state": interrupted or state or result.outcome}
    if result.ended is not None:
        fields["attempt"] = result.attempt
        if result.reruns:
            fields["reruns"] = result.reruns
    if result.failure:
        fields |= {"kind": result.failure.kind, "reason": result.failure.reason}
        place = place_of(step, result)
        fields["place"] = {
            "path": recipe.source(step).id,
            "line": place.line,
            "column": place.column,
        }
    elif result.reason:
        fields["reason"] = result.reason
    if result.blocked_by:
        fields["blocked_by"] = result.blocked_by
    return fields


def _criterion(verdict: Verdict) -> dict[str, Json]:
    fields: dict[str, Json] = {
        "name": verdict.name,
        "line": verdict.place.line,
        "held": verdict.unmet is None,
        "wanted": verdict.wanted,
    }
    if verdict.measured is not None:
        fields["measured"] = _bounded(verdict.measured)
    if verdict.unit:
        fields["unit"] = verdict.unit
    if verdict.distance is not None:
        fields["distance"] = verdict.distance
    if verdict.unmet:
        fields["reason"] = verdict.unmet
    return fields


def _measured(measurement: Measured) -> dict[str, Json]:
    figures = msgspec.structs.asdict(measurement)
    fields = {
        name: _bounded(value) if name == "value" else value
        for name, value in figures.items()
        if value is not None and name not in ("place", "unmet", "allow_fail", "errs")
    }
    fields["line"] = measurement.place.line
    return fields | ({"allow_fail": True} if measurement.allow_fail else {})


def _change(change: Change) -> dict[str, Json]:
    fields: dict[str, Json] = {"key": change.key, **change.as_dict()}
    fields |= {name: _bounded(fields[name]) for name in ("old", "new") if name in fields}
    return fields | ({"masked": True} if change.masked else {})


def _bounded(value: Json) -> Json:
    if not isinstance(value, str | list | dict):
        return value
    try:
        size = len(msgspec.json.encode(value))
    except UnicodeEncodeError:  # a file name that is not valid UTF-8
        size = len(repr(value))
    return value if size <= _MAX_VALUE_BYTES else f"… {size} bytes of JSON are left out here …"


def _process(process: StepProcess, root: Path) -> dict[str, Json]:
    fields: dict[str, Json] = {
        "argv": [_relative(process.argv[0], root), *process.argv[1:]],
        "cwd": _relative(process.cwd, root),
        "stdout_bytes": process.stdout.size,
        "stderr_bytes": process.stderr.size,
    }
    if process.exit_code is not None:
        fields["exit_code"] = process.exit_code
    if process.signal:
        fields["signal"] = process.signal
    if process.left:
        fields["leftovers"] = [*process.left]
    if process.masked:
        fields["masked"] = list(process.masked)
    return fields


def _relative(path: str, root: Path) -> str:
    # Called three times for each step; a Path costs twenty times as much.
    above = f"{root}/"
    if path.startswith(above):
        return path.removeprefix(above)
    return "." if path == str(root) else path


def _moment(seconds: float, *, up: bool = False) -> str:
    """Return a time as ISO 8601 with milliseconds, rounded down; rounded up if `up`."""
    whole, rest = divmod(math.ceil(seconds * 1000) if up else int(seconds * 1000), 1000)
    return f"{_second(whole)}.{rest:03}Z"


@lru_cache(maxsize=16)  # most times share the second of the previous step
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:-6]


T = TypeVar("T")
Maybe: TypeAlias = T | UnsetType

Sha256: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="SHA-256, hex")]
Moment: TypeAlias = Annotated[
    str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$", description="ISO 8601, UTC")
]
Line: TypeAlias = Annotated[int, Meta(ge=1, description="line of the recipe, from 1")]
Count: TypeAlias = Annotated[int, Meta(ge=0)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0, description="seconds")]
Bytes: TypeAlias = Annotated[int, Meta(ge=0, description="bytes")]
_OfPytest: TypeAlias = Literal["passed", "failed", "skipped", "xfailed", "xpassed", "error"]
State: TypeAlias = Literal[_OfPytest, "blocked", "restored", "interrupted", "not run"]


class _Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping with exactly these fields."""


class Run(_Part, frozen=True):
    """The run: the name of its folder and the pytest process that ran the step."""

    id: str
    worker: str
    resumed_from: Maybe[str | None] = UNSET


class Var(_Part, frozen=True):
    """The value of a var and its origin."""

    value: Any
    origin: str


class Recipe(_Part, frozen=True):
    """The recipe of the step."""

    name: str
    path: str
    sha256: Sha256
    test_meta: dict[str, Any]
    vars: Maybe[dict[str, Var]] = UNSET
    cell: Maybe[str] = UNSET
    matrix: Maybe[dict[str, Any]] = UNSET
    description: Maybe[str] = UNSET


class Place(_Part, frozen=True):
    """Position of the cause of a failure."""

    path: str
    line: Line
    column: Count


class Step(_Part, frozen=True):
    """The step and its outcome."""

    name: str
    node: str
    index: Count
    type: str
    line: Line
    needs: list[str]
    tags: list[str]
    state: State
    attempt: Maybe[Annotated[int, Meta(ge=1)]] = UNSET
    reruns: Maybe[Annotated[int, Meta(ge=1)]] = UNSET
    after: Maybe[list[str]] = UNSET
    description: Maybe[str] = UNSET
    background: Maybe[Literal[True]] = UNSET
    continue_on_error: Maybe[Literal[True]] = UNSET
    final: Maybe[Literal[True]] = UNSET
    idempotent: Maybe[Literal[True]] = UNSET
    kind: Maybe[Kind] = UNSET
    reason: Maybe[str] = UNSET
    blocked_by: Maybe[str] = UNSET
    place: Maybe[Place] = UNSET


class Criterion(_Part, frozen=True):
    """A criterion that was checked."""

    name: str
    line: Line
    held: bool
    wanted: Any
    measured: Maybe[Any] = UNSET
    unit: Maybe[str] = UNSET
    distance: Maybe[float] = UNSET
    reason: Maybe[str] = UNSET


class Measurement(_Part, frozen=True):
    """A measurement with its limits; a limit or value that does not exist is absent."""

    name: str
    line: Line
    verdict: Literal["pass", "fail", "unset"]
    value: Maybe[Any] = UNSET
    unit: Maybe[str] = UNSET
    low: Maybe[float] = UNSET
    high: Maybe[float] = UNSET
    equals: Maybe[Any] = UNSET
    margin: Maybe[float] = UNSET
    allow_fail: Maybe[Literal[True]] = UNSET


class Write(_Part, frozen=True):
    """A change of the Context; only append and pop have an `index`."""

    key: str
    ts: Moment
    who: str
    op: Op
    old: Any
    new: Any
    index: Maybe[Count] = UNSET
    masked: Maybe[Literal[True]] = UNSET


class Context(_Part, frozen=True):
    """The changes that the step made, in order."""

    writes: list[Write]


class Time(_Part, frozen=True):
    """Times of the step: from the start of its step code to its last criterion.

    The window contains all attempts and all changes of the Context by the step. `seconds` is the
    duration of the step code in the last attempt, `last_start` the start of that attempt if there
    were several, and `waited_seconds` the total time that all attempts waited for locks.
    """

    start: Moment
    stop: Moment
    seconds: Seconds
    waited_seconds: Seconds
    last_start: Maybe[Moment] = UNSET


class Resources(_Part, frozen=True):
    """Resource usage of the last attempt; a figure that was not measured is absent."""

    seconds: Seconds
    source: dict[str, str]
    cpu_user_seconds: Maybe[Seconds] = UNSET
    cpu_system_seconds: Maybe[Seconds] = UNSET
    rss_delta: Maybe[Annotated[int, Meta(description="bytes")]] = UNSET
    max_rss: Maybe[Bytes] = UNSET
    largest_rss: Maybe[Bytes] = UNSET
    heap_current: Maybe[Bytes] = UNSET
    heap_peak: Maybe[Bytes] = UNSET
    read_bytes: Maybe[Bytes] = UNSET
    write_bytes: Maybe[Bytes] = UNSET
    processes: Maybe[Count] = UNSET
    samples: Maybe[str] = UNSET


class Where(_Part, frozen=True):
    """Name and machine of the worker that ran the step code; absent if it ran beside pytest."""

    worker: str
    host: str


class Process(_Part, frozen=True):
    """The process of the step."""

    argv: list[str]
    cwd: str
    stdout_bytes: Bytes
    stderr_bytes: Bytes
    exit_code: Maybe[int] = UNSET
    signal: Maybe[str] = UNSET
    leftovers: Maybe[list[str]] = UNSET
    masked: Maybe[list[str]] = UNSET


class Log(_Part, frozen=True):
    """The log file of a stream: the whole stream, or its beginning if `cut` is true."""

    path: str
    bytes: Bytes
    cut: bool


class Logs(_Part, frozen=True):
    """The streams that are not empty, and the log records of a Python step."""

    stdout: Maybe[Log] = UNSET
    stderr: Maybe[Log] = UNSET
    log: Maybe[Log] = UNSET


class Artifact(_Part, frozen=True):
    """A file that was copied into the run folder."""

    path: str
    type: str
    bytes: Bytes


class Attempt(_Part, frozen=True):
    """A failed attempt that was followed by another one."""

    attempt: Annotated[int, Meta(ge=1)]
    kind: Kind
    reason: str
    start: Moment
    seconds: Seconds
    resources: Resources
    stop: Maybe[Moment] = UNSET
    where: Maybe[Where] = UNSET
    logs: Maybe[Logs] = UNSET


class Block(_Part, frozen=True):
    """The report of one step. Times are in seconds, sizes in bytes."""

    schema_version: Annotated[str, Meta(pattern=r"^1\.\d+$")]
    run: Run
    recipe: Recipe
    step: Step
    criteria: list[Criterion]
    context: Context
    time: Maybe[Time] = UNSET
    resources: Maybe[Resources] = UNSET
    where: Maybe[Where] = UNSET
    process: Maybe[Process] = UNSET
    logs: Maybe[Logs] = UNSET
    given: Maybe[dict[str, Any]] = UNSET
    measurements: Maybe[list[Measurement]] = UNSET
    attempts: Maybe[list[Attempt]] = UNSET
    artifacts: Maybe[list[Artifact]] = UNSET
    warnings: Maybe[list[str]] = UNSET


class WholeRun(_Part, frozen=True):
    """The run: the name of its folder and the run that it resumes."""

    id: str
    resumed_from: Maybe[str] = UNSET


class OfRecipe(_Part, frozen=True):
    """The verdict of a recipe and the number of its steps by state."""

    recipe: str
    verdict: Literal["passed", "failed", "skipped", "interrupted", "not run"]
    steps: dict[str, Count]


class Summary(_Part, frozen=True):
    """The summary of a run in the JSON report."""

    schema_version: Annotated[str, Meta(pattern=r"^1\.\d+$")]
    recipes: list[OfRecipe]
    steps: dict[str, Count]
    run: Maybe[WholeRun] = UNSET
    flaky: Maybe[list[str]] = UNSET


SHIPPED: Final = Path(__file__).parents[1] / "schema" / "report.json"
"""File of the schema of blocks in the package."""

SHIPPED_SUMMARY: Final = SHIPPED.with_name("run.json")
"""File of the schema of summaries in the package."""

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"


def text() -> str:
    """Return the text of the file with the schema of blocks."""
    return json.dumps(block_schema(), indent=2, ensure_ascii=False) + "\n"


def summary_text() -> str:
    """Return the text of the file with the schema of summaries."""
    return json.dumps(summary_schema(), indent=2, ensure_ascii=False) + "\n"


def block_schema(*, strict: bool = False) -> dict[str, Any]:
    """Return the schema of a block.

    Args:
        strict: True if an unknown field is an error. Readers of reports must accept fields that
            a later version adds.
    """
    return _schema(Block, "Block of a step", strict=strict)


def summary_schema(*, strict: bool = False) -> dict[str, Any]:
    """Return the schema of the summary of a run.

    Args:
        strict: As for `block_schema`.
    """
    return _schema(Summary, "Summary of a run", strict=strict)


def _schema(kind: type, title: str, *, strict: bool) -> dict[str, Any]:
    (root,), components = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    schema = {"$schema": _DRAFT, "title": title, **root, "$defs": components}
    for definition in components.values():
        definition.pop("title", None)
        if not strict:
            definition.pop("additionalProperties", None)
    return schema
