"""The block of one step: plain data that every machine-readable report carries.

What was not measured is absent, never zero; paths are relative to the rootdir; seconds
and bytes throughout.
"""

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from pytest_orchestrator.core.context import Change
from pytest_orchestrator.core.result import Process, StepResult, Verdict
from pytest_orchestrator.core.values import Json
from pytest_orchestrator.recipe.model import Recipe, Step

SCHEMA_VERSION = "1.0"

_LARGEST = 64 * 1024


def block(
    recipe: Recipe,
    step: Step,
    result: StepResult,
    *,
    root: Path,
    worker: str = "main",
    state: str | None = None,
) -> dict[str, Json]:
    """Return all that a report tells of one step.

    Args:
        recipe: The recipe of the step.
        step: The step.
        result: What became of it.
        root: The folder that paths are told relative to.
        worker: Name of the pytest process that ran it.
        state: What pytest made of the outcome, where that is another word (``xfailed``).

    Returns:
        Plain data: text, numbers, booleans, lists and mappings with text keys.
    """
    told: dict[str, Json] = {
        "schema_version": SCHEMA_VERSION,
        "run": {"worker": worker},
        "recipe": _recipe(recipe),
        "step": _step(step, result, state),
        "criteria": [_criterion(verdict) for verdict in result.verdicts],
        "context": {"writes": [_change(change) for change in result.changes]},
    }
    if result.ended is not None:
        usage = result.ended.usage
        told["time"] = {
            "start": _moment(result.started),
            "stop": _moment(result.started + usage.seconds),
            "seconds": usage.seconds,
        }
        told["resources"] = usage.as_dict()
        if result.ended.process is not None:
            told["process"] = _process(result.ended.process, root)
    return told


def _recipe(recipe: Recipe) -> dict[str, Json]:
    told: dict[str, Json] = {
        "name": recipe.name or recipe.path.stem,
        "path": recipe.id,
        "sha256": recipe.sha256,
        "test_meta": recipe.test_meta,
    }
    if recipe.description:
        told["description"] = recipe.description
    return told


def _step(step: Step, result: StepResult, state: str | None) -> dict[str, Json]:
    told: dict[str, Json] = {
        "name": step.name,
        "index": step.index,
        "type": step.type,
        "line": step.line,
        "needs": list(step.needs),
        "tags": list(step.tags),
        "state": state or result.outcome,
    }
    if step.description:
        told["description"] = step.description
    if result.failure:
        told |= {"kind": result.failure.kind, "reason": result.failure.reason}
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
    if verdict.unmet:
        told["reason"] = verdict.unmet
    return told


def _change(change: Change) -> dict[str, Json]:
    told: dict[str, Json] = {"key": change.key, **change.as_dict()}
    for name in ("old", "new"):
        size = len(msgspec.json.encode(told.get(name)))
        if size > _LARGEST:
            told[name] = f"… {size} bytes of JSON are left out here …"
    return told


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
    if process.leftovers:
        told["leftovers"] = list(process.leftovers)
    return told


def _relative(path: str, root: Path) -> str:
    try:
        return Path(path).relative_to(root).as_posix()
    except ValueError:
        return path


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
