"""Report block of a step: its types, its JSON Schema, and how it is built.

What was not measured is absent, never zero; paths are relative to the rootdir, those of logs
and samples to the folder of the run; seconds and bytes throughout.

`block` makes blocks as plain data; all blocks of this project's own tests are held
against these types. A field may be added while the major version of the format stays.
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

_LARGEST = 64 * 1024

_FLAGS = {
    "background": "background",
    "continue_on_error": "continue_on_error",
    "final": "is_final",
    "idempotent": "idempotent",
}
"""What a block says of a step only where it is true, and the field that tells it."""


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
    """Return all that a report tells of one step.

    Args:
        recipe: The recipe of the step.
        step: The step.
        result: What became of it.
        root: The folder that paths are told relative to.
        folder: The folder of the run, which logs and samples are told relative to.
        worker: Name of the pytest process that ran it.
        state: What pytest made of the outcome, where that is another word (``xfailed``).

    Returns:
        Plain data: text, numbers, booleans, lists and mappings with text keys.
    """
    told: dict[str, Json] = {
        "schema_version": SCHEMA_VERSION,
        "run": {"id": folder.name, "worker": worker},
        "recipe": of_recipe(recipe),
        "step": of_step(recipe, step) | _became(recipe, step, result, state),
        "criteria": [_criterion(one) for one in result.verdicts if not one.is_measurement],
        "context": {"writes": [_change(change) for change in result.changes]},
    }
    if result.ended is not None:
        usage = result.ended.usage
        told["time"] = _time(result, usage.seconds)
        told["resources"] = _resources(usage, folder)
        if result.ended.where is not None:
            told["where"] = {**result.ended.where.as_dict()}
        if result.ended.process is not None:
            told["process"] = _process(result.ended.process, root)
        told |= _logs(result.ended, folder)
    if result.given:
        told["given"] = {name: _bounded(value) for name, value in result.given.items()}
    if result.measurements:
        told["measurements"] = [_measured(one) for one in result.measurements]
    if result.attempts:
        told["attempts"] = [_attempt(one, folder) for one in result.attempts]
    return told | _left(result, folder)


def _time(result: StepResult, seconds: float) -> dict[str, Json]:
    """Return the window of a step and the seconds of its step code."""
    start, stop = result.window
    times: dict[str, Json] = {
        "start": _moment(start),
        "stop": _moment(stop, up=True),
        "seconds": seconds,
        "waited_seconds": round(result.waited, 3),
    }
    return times | ({"last_start": _moment(result.started)} if result.attempts else {})


def _left(result: StepResult, folder: Path) -> dict[str, Json]:
    """Return what there is of files that a step left, and of warnings."""
    told: dict[str, Json] = {}
    if result.artifacts:
        told["artifacts"] = [
            {"path": _relative(one.path, folder), "type": one.type, "bytes": one.bytes}
            for one in result.artifacts
        ]
    if result.warnings:
        told["warnings"] = list(result.warnings)
    return told


def _attempt(attempt: FailedAttempt, folder: Path) -> dict[str, Json]:
    seconds = attempt.ended.usage.seconds
    told: dict[str, Json] = {
        "attempt": attempt.number,
        "kind": attempt.failure.kind,
        "reason": attempt.failure.reason,
        "start": _moment(attempt.started),
        "stop": _moment(max(attempt.stopped, attempt.started + seconds), up=True),
        "seconds": seconds,
        "resources": _resources(attempt.ended.usage, folder),
    }
    if attempt.ended.where is not None:
        told["where"] = {**attempt.ended.where.as_dict()}
    return told | _logs(attempt.ended, folder)


def _resources(usage: Usage, folder: Path) -> dict[str, Json]:
    told = usage.as_dict()
    return told | ({"samples": _relative(usage.samples, folder)} if usage.samples else {})


def _logs(ended: Ended, folder: Path) -> dict[str, Json]:
    """Return the files of the whole output; a stream without output has no log."""
    process = ended.process or StepProcess(argv=(), cwd="", alone="")
    streams = {"stdout": process.stdout, "stderr": process.stderr, "log": ended.log}
    logs: dict[str, Json] = {
        name: {"path": _relative(stream.log, folder), "bytes": stream.size, "cut": stream.cut}
        for name, stream in streams.items()
        if stream is not None and stream.log is not None
    }
    return {"logs": logs} if logs else {}


def of_recipe(recipe: LoadedRecipe) -> dict[str, Json]:
    """Return what a report tells of a recipe."""
    told: dict[str, Json] = {
        "name": recipe.name or recipe.path.stem,
        "path": recipe.id,
        "sha256": recipe.sha256,
        "test_meta": recipe.test_meta,
    }
    if recipe.origins:
        told["vars"] = {
            name: {"value": recipe.vars.get(name), "origin": origin}
            for name, origin in recipe.origins.items()
        }
    if recipe.cell:
        told |= {"cell": recipe.cell.id, "matrix": recipe.cell.values}
    if recipe.description:
        told["description"] = recipe.description
    return told


def of_step(recipe: LoadedRecipe, step: RecipeStep) -> dict[str, Json]:
    """Return what a report tells of a step whatever becomes of it."""
    told: dict[str, Json] = {
        "name": step.name,
        "node": recipe.node(step.name),
        "index": step.index,
        "type": step.type,
        "line": step.line,
        "needs": list(step.needs),
        "tags": list(step.tags),
    }
    if step.description:
        told["description"] = step.description
    if step.after:
        told["after"] = list(step.after)
    told |= {name: True for name, field in _FLAGS.items() if getattr(step, field)}
    return told


def _became(
    recipe: LoadedRecipe, step: RecipeStep, result: StepResult, state: str | None
) -> dict[str, Json]:
    """Return what a report tells of a step once it is known what became of it."""
    interrupted = "interrupted" if result.is_interrupted else None
    told: dict[str, Json] = {"state": interrupted or state or result.outcome}
    if result.ended is not None:
        told["attempt"] = result.attempt
        if result.reruns:
            told["reruns"] = result.reruns
    if result.failure:
        told |= {"kind": result.failure.kind, "reason": result.failure.reason}
        place = place_of(step, result)
        told["place"] = {
            "path": recipe.source(step).id,
            "line": place.line,
            "column": place.column,
        }
    elif result.reason:
        told["reason"] = result.reason
    if result.blocked_by:
        told["blocked_by"] = result.blocked_by
    return told


def _criterion(verdict: Verdict) -> dict[str, Json]:
    told: dict[str, Json] = {
        "name": verdict.name,
        "line": verdict.place.line,
        "held": verdict.unmet is None,
        "wanted": verdict.wanted,
    }
    if verdict.measured is not None:
        told["measured"] = _bounded(verdict.measured)
    if verdict.unit:
        told["unit"] = verdict.unit
    if verdict.distance is not None:
        told["distance"] = verdict.distance
    if verdict.unmet:
        told["reason"] = verdict.unmet
    return told


def _measured(one: Measured) -> dict[str, Json]:
    figures = msgspec.structs.asdict(one)
    told = {
        name: _bounded(value) if name == "value" else value
        for name, value in figures.items()
        if value is not None and name not in ("place", "unmet", "allow_fail", "errs")
    }
    told["line"] = one.place.line
    return told | ({"allow_fail": True} if one.allow_fail else {})


def _change(change: Change) -> dict[str, Json]:
    told: dict[str, Json] = {"key": change.key, **change.as_dict()}
    told |= {name: _bounded(told[name]) for name in ("old", "new") if name in told}
    return told | ({"masked": True} if change.masked else {})


def _bounded(value: Json) -> Json:
    if not isinstance(value, str | list | dict):
        return value
    try:
        size = len(msgspec.json.encode(value))
    except UnicodeEncodeError:  # a file name that is not UTF-8
        size = len(repr(value))
    return value if size <= _LARGEST else f"… {size} bytes of JSON are left out here …"


def _process(process: StepProcess, root: Path) -> dict[str, Json]:
    told: dict[str, Json] = {
        "argv": [_relative(process.argv[0], root), *process.argv[1:]],
        "cwd": _relative(process.cwd, root),
        "stdout_bytes": process.stdout.size,
        "stderr_bytes": process.stderr.size,
    }
    if process.exit_code is not None:
        told["exit_code"] = process.exit_code
    if process.signal:
        told["signal"] = process.signal
    if process.left:
        told["leftovers"] = [*process.left]
    if process.masked:
        told["masked"] = list(process.masked)
    return told


def _relative(path: str, root: Path) -> str:
    # Thrice in each step: a Path costs twenty times as much.
    above = f"{root}/"
    if path.startswith(above):
        return path.removeprefix(above)
    return "." if path == str(root) else path


def _moment(seconds: float, *, up: bool = False) -> str:
    """Return a time in ISO 8601 UTC, rounded down to milliseconds, or with `up` rounded up."""
    whole, rest = divmod(math.ceil(seconds * 1000) if up else int(seconds * 1000), 1000)
    return f"{_second(whole)}.{rest:03}Z"


@lru_cache(maxsize=16)  # mostly it is the second of the last step
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
    """A mapping that has these fields and no other."""


class Run(_Part, frozen=True):
    """The run: name of its folder, and the pytest process that ran the step."""

    id: str
    worker: str
    resumed_from: Maybe[str | None] = UNSET


class Var(_Part, frozen=True):
    """The value of a var, and where it came from."""

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
    """Where the cause of a failure stands."""

    path: str
    line: Line
    column: Count


class Step(_Part, frozen=True):
    """The step, and what became of it."""

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
    """A measurement with its limits; what is absent was not asked or not measured."""

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
    """A change of the Context; `index` of append and pop alone."""

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
    """The window of the step: from the start of its step code to the check of its last criterion.

    The window contains all attempts and all changes of the Context. `seconds` is the duration of
    the step code in the last attempt. `last_start` is the start of that attempt, if it had
    several. `waited_seconds` is the wait for locks in all attempts.
    """

    start: Moment
    stop: Moment
    seconds: Seconds
    waited_seconds: Seconds
    last_start: Maybe[Moment] = UNSET


class Resources(_Part, frozen=True):
    """What the last try used; a figure that was not measured is absent."""

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
    """The worker that ran the body, where that was not beside pytest: its name and its machine."""

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
    """The file that has all of a stream, or its beginning where it was cut."""

    path: str
    bytes: Bytes
    cut: bool


class Logs(_Part, frozen=True):
    """Output streams that are not empty, and the log records of a Python step."""

    stdout: Maybe[Log] = UNSET
    stderr: Maybe[Log] = UNSET
    log: Maybe[Log] = UNSET


class Artifact(_Part, frozen=True):
    """A file that was copied into the folder of the run."""

    path: str
    type: str
    bytes: Bytes


class Attempt(_Part, frozen=True):
    """A try that failed, and after which there was another one."""

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
    """All that reports tell of one step. Seconds and bytes throughout."""

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
    """The run: name of its folder, and the run that it goes on from."""

    id: str
    resumed_from: Maybe[str] = UNSET


class OfRecipe(_Part, frozen=True):
    """What became of a recipe: its verdict, and the number of its steps by their state."""

    recipe: str
    verdict: Literal["passed", "failed", "skipped", "interrupted", "not run"]
    steps: dict[str, Count]


class Summary(_Part, frozen=True):
    """What a JSON report tells of the whole run."""

    schema_version: Annotated[str, Meta(pattern=r"^1\.\d+$")]
    recipes: list[OfRecipe]
    steps: dict[str, Count]
    run: Maybe[WholeRun] = UNSET
    flaky: Maybe[list[str]] = UNSET


SHIPPED: Final = Path(__file__).parents[1] / "schema" / "report.json"
"""The schema of blocks as the wheel has it."""

SHIPPED_SUMMARY: Final = SHIPPED.with_name("run.json")
"""The schema of summaries as the wheel has it."""

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"


def text() -> str:
    """Return the schema of blocks as the text of a file."""
    return json.dumps(block_schema(), indent=2, ensure_ascii=False) + "\n"


def summary_text() -> str:
    """Return the schema of summaries as the text of a file."""
    return json.dumps(summary_schema(), indent=2, ensure_ascii=False) + "\n"


def block_schema(*, strict: bool = False) -> dict[str, Any]:
    """Return the schema of a block.

    Args:
        strict: A field that today's version does not have is an error. Readers of reports
            take what a later version adds.
    """
    return _schema(Block, "Block of a step", strict=strict)


def summary_schema(*, strict: bool = False) -> dict[str, Any]:
    """Return the schema of the summary of a run.

    Args:
        strict: As `block_schema` has it.
    """
    return _schema(Summary, "Summary of a run", strict=strict)


def _schema(kind: type, title: str, *, strict: bool) -> dict[str, Any]:
    (found,), components = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    told = {"$schema": _DRAFT, "title": title, **found, "$defs": components}
    for definition in components.values():
        definition.pop("title", None)
        if not strict:
            definition.pop("additionalProperties", None)
    return told
