"""Construction of the report block of a step.

A figure that was not measured is absent, never zero. Paths are relative to the rootdir, those of
logs and samples to the run folder. Times are in seconds, sizes in bytes.

`block` returns plain data of the types in `runs.block`.
"""

import math
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import msgspec

from pytest_orchestrator.core.events import Change
from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.result import Attempt as FailedAttempt
from pytest_orchestrator.core.result import Ended, Measured, StepResult, Usage, Verdict
from pytest_orchestrator.core.result import Process as StepProcess
from pytest_orchestrator.recipe.model.recipe import Recipe as LoadedRecipe
from pytest_orchestrator.recipe.model.step import Step as RecipeStep
from pytest_orchestrator.reports.block_schema import SCHEMA_VERSION
from pytest_orchestrator.reports.failure import place_of

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
        result: Result of the step.
        root: The folder to which paths are relative.
        folder: The run folder, to which paths of logs and samples are relative.
        worker: Name of the pytest process that ran it.
        state: The outcome that pytest reports, if it differs from the result (``xfailed``).

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
    if result.inputs:
        block["given"] = {name: _bounded(value) for name, value in result.inputs.items()}
    if result.measurements:
        block["measurements"] = [_measured(each) for each in result.measurements]
    if result.attempts:
        block["attempts"] = [_attempt(each, folder) for each in result.attempts]
    return block | _artifacts_and_warnings(result, folder)


def _time(result: StepResult, seconds: float) -> dict[str, Json]:
    """Return the fields with the start and stop of a step and the duration of its code."""
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
    """Return the fields with the paths of the log files; an empty stream has no log file."""
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
        "wanted": verdict.expected,
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
    """Return a time as ISO 8601 with milliseconds, rounded up if `up` is True, else down."""
    whole, rest = divmod(math.ceil(seconds * 1000) if up else int(seconds * 1000), 1000)
    return f"{_second(whole)}.{rest:03}Z"


@lru_cache(maxsize=16)  # most times share the second of the previous step
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:-6]
