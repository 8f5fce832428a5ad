"""The block of one step: plain data that every machine-readable report carries.

What was not measured is absent, never zero; paths are relative to the rootdir, those of logs
and samples to the folder of the run; seconds and bytes throughout.
"""

from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import msgspec

from pytest_orchestrator.core.events import Change
from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.result import Attempt, Measured, Process, StepResult, Usage, Verdict
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import Step
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
    recipe: Recipe,
    step: Step,
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
        told["time"] = {
            "start": _moment(result.started),
            "stop": _moment(result.started + usage.seconds),
            "seconds": usage.seconds,
            "waited_seconds": round(result.waited, 3),
        }
        told["resources"] = _resources(usage, folder)
        if result.ended.where is not None:
            told["where"] = {**result.ended.where.as_dict()}
        if result.ended.process is not None:
            told["process"] = _process(result.ended.process, root)
            told |= _logs(result.ended.process, folder)
    if result.given:
        told["given"] = {name: _bounded(value) for name, value in result.given.items()}
    if result.measurements:
        told["measurements"] = [_measured(one) for one in result.measurements]
    if result.attempts:
        told["attempts"] = [_attempt(one, folder) for one in result.attempts]
    return told | _left(result, folder)


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


def _attempt(attempt: Attempt, folder: Path) -> dict[str, Json]:
    told: dict[str, Json] = {
        "attempt": attempt.number,
        "kind": attempt.failure.kind,
        "reason": attempt.failure.reason,
        "start": _moment(attempt.started),
        "seconds": attempt.ended.usage.seconds,
        "resources": _resources(attempt.ended.usage, folder),
    }
    if attempt.ended.where is not None:
        told["where"] = {**attempt.ended.where.as_dict()}
    return told | (_logs(attempt.ended.process, folder) if attempt.ended.process else {})


def _resources(usage: Usage, folder: Path) -> dict[str, Json]:
    told = usage.as_dict()
    return told | ({"samples": _relative(usage.samples, folder)} if usage.samples else {})


def _logs(process: Process, folder: Path) -> dict[str, Json]:
    """Return where the whole output is; a stream on which nothing came has no log."""
    logs: dict[str, Json] = {
        name: {"path": _relative(stream.log, folder), "bytes": stream.size, "cut": stream.cut}
        for name, stream in (("stdout", process.stdout), ("stderr", process.stderr))
        if stream.log is not None
    }
    return {"logs": logs} if logs else {}


def of_recipe(recipe: Recipe) -> dict[str, Json]:
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


def of_step(recipe: Recipe, step: Step) -> dict[str, Json]:
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


def _became(recipe: Recipe, step: Step, result: StepResult, state: str | None) -> dict[str, Json]:
    """Return what a report tells of a step once it is known what became of it."""
    told: dict[str, Json] = {"state": state or result.outcome}
    if result.ended is not None:
        told["attempt"] = result.attempt
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
        told["measured"] = verdict.measured
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
        name: value
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
    size = len(msgspec.json.encode(value))
    return value if size <= _LARGEST else f"… {size} bytes of JSON are left out here …"


def _process(process: Process, root: Path) -> dict[str, Json]:
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


def _moment(seconds: float) -> str:
    whole, rest = divmod(int(seconds * 1000), 1000)
    return f"{_second(whole)}.{rest:03}Z"


@lru_cache(maxsize=16)  # mostly it is the second of the last step
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:-6]
