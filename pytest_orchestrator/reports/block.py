"""Construction of the report block of a step.

A figure that was not measured is absent, never zero. Paths are relative to the rootdir, those of
logs and samples to the run folder. Times are in seconds, sizes in bytes.
"""

import math
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from pytest_orchestrator.core.events import Change
from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.result import Artifact, Element, Ended, StepResult, Verdict, known
from pytest_orchestrator.core.result import Attempt as FailedAttempt
from pytest_orchestrator.core.result import Process as StepProcess
from pytest_orchestrator.recipe.model.recipe import Recipe as LoadedRecipe
from pytest_orchestrator.recipe.model.root_mappings import serial_of
from pytest_orchestrator.recipe.model.step import Step as RecipeStep
from pytest_orchestrator.runs import block as parts

D = TypeVar("D", bound=parts.StepDescription)

_MAX_VALUE_BYTES = 64 * 1024
"""Size of a value in a block; the block is in the journal, in memory and in each report."""


def block(
    recipe: LoadedRecipe,
    step: RecipeStep,
    result: StepResult,
    *,
    root: Path,
    folder: Path,
    run: parts.Run | None = None,
    state: str | None = None,
) -> dict[str, Json]:
    """Return the report block of one step.

    Args:
        recipe: The recipe of the step.
        step: The step.
        result: Result of the step.
        root: The folder to which paths are relative.
        folder: The run folder, to which paths of logs and samples are relative.
        run: The run and the pytest process that ran it; None for the main one of the run folder.
        state: The outcome that pytest reports, if it differs from the result (``xfailed``).

    Returns:
        A `runs.block.Block` as plain data.
    """
    ended = result.ended
    return parts.plain(
        parts.Block(
            schema_version=parts.SCHEMA_VERSION,
            run=run or parts.Run(id=folder.name, worker="main"),
            recipe=_recipe(recipe, step.unit),
            step=_step(recipe, step, result, state),
            criteria=_criteria(result),
            context=parts.Context(writes=[*map(_write, result.changes)]),
            time=_time(result, ended) if ended else UNSET,
            resources=_resources(ended.usage, folder) if ended else UNSET,
            where=known(ended.where) if ended else UNSET,
            process=_process(ended.process, root) if ended and ended.process else UNSET,
            logs=_logs(ended, folder) if ended and (ended.process or ended.log) else UNSET,
            given=_given(result),
            measurements=[*map(_measurement, result.measurements)] or UNSET,
            attempts=_attempts(result, folder),
            artifacts=_artifacts(result, folder) if result.artifacts else UNSET,
            warnings=list(result.warnings) or UNSET,
            answers=[*ended.answers] if ended and ended.answers else UNSET,
            elements=[_element(recipe, step, one, root, folder) for one in result.elements]
            if result.elements is not None
            else UNSET,
            curve=known(result.curve),
        )
    )


def of_element(
    recipe: LoadedRecipe, step: RecipeStep, element: Element, root: Path, folder: Path
) -> dict[str, Json]:
    """Return the part of a block that describes one element of a step with ``foreach``.

    Args:
        recipe: The recipe of the step.
        step: The step.
        element: The element.
        root: The folder to which paths are relative.
        folder: The run folder, to which paths of logs and samples are relative.
    """
    return parts.plain(_element(recipe, step, element, root, folder))


def of_recipe(recipe: LoadedRecipe) -> dict[str, Json]:
    """Return the part of a block that describes the recipe."""
    return parts.plain(_recipe(recipe))


def of_step(recipe: LoadedRecipe, step: RecipeStep) -> dict[str, Json]:
    """Return the part of a block that describes the step itself, without its outcome."""
    return parts.plain(_description(recipe, step))


def _recipe(recipe: LoadedRecipe, unit: str = "") -> parts.Recipe:
    """Return the part that describes the recipe; the steps of a unit share one object."""
    global _last_recipe  # noqa: PLW0603 - recipes cannot be hashed, and run one after another
    known = _last_recipe
    if known is None or known[0] is not recipe:
        known = _last_recipe = recipe, {"": _new_recipe(recipe)}
    if unit not in known[1]:
        whole = known[1][""]
        known[1][unit] = msgspec.structs.replace(
            whole, test_meta=parts.meta_of_unit(whole.test_meta, whole.units or {}, unit)
        )
    return known[1][unit]


_last_recipe: tuple[LoadedRecipe, dict[str, parts.Recipe]] | None = None


def _new_recipe(recipe: LoadedRecipe) -> parts.Recipe:
    return parts.Recipe(
        name=recipe.name or recipe.path.stem,
        path=recipe.id,
        sha256=recipe.sha256,
        test_meta=recipe.test_meta,
        vars={
            name: parts.Var(value=recipe.vars.get(name), origin=origin)
            for name, origin in recipe.origins.items()
        }
        or UNSET,
        cell=recipe.cell.id if recipe.cell else UNSET,
        matrix=recipe.cell.values if recipe.cell else UNSET,
        description=recipe.description or UNSET,
        units={one: recipe.vars.get(serial_of(one)) for one in recipe.units.all}  # type: ignore[misc]
        if recipe.units is not None
        else UNSET,
    )


def _description(
    recipe: LoadedRecipe,
    step: RecipeStep,
    part: type[D] = parts.StepDescription,  # type: ignore[assignment]
    /,
    **outcome: Any,
) -> D:
    """Return the part that describes a step, with the fields of its outcome if `part` has them."""
    return part(
        name=step.name,
        node=recipe.node(step.name),
        index=step.index,
        type=step.type,
        line=step.line,
        needs=list(step.needs),
        tags=[*dict.fromkeys((*recipe.tags, *step.tags))],
        description=step.description or UNSET,
        after=list(step.after) or UNSET,
        background=_flag(step.background),
        continue_on_error=_flag(step.continue_on_error),
        final=_flag(step.is_final),
        idempotent=_flag(step.idempotent),
        matrix=(step.cell.values if step.cell else None) or UNSET,
        unit=step.unit or UNSET,
        sampled=_flag(step.is_sampler),
        checked_loop=_flag(step.foreach is not None and (step.success or step.measurements)),
        **outcome,
    )


def _flag(value: object) -> Literal[True] | UnsetType:
    return True if value else UNSET


def _step(recipe: LoadedRecipe, step: RecipeStep, result: StepResult, state: Any) -> parts.Step:
    """Return the part of a block that describes the step and its outcome."""
    failure = result.failure
    outcome = "error" if failure and failure.is_late else result.outcome
    if result.is_conditional and state in (None, "passed"):
        state = "conditional pass"
    if "skip" in result.by_hand:
        state = "not run"
    return _description(
        recipe,
        step,
        parts.Step,
        state="interrupted" if result.is_interrupted else state or outcome,
        attempt=result.attempt if result.ended else UNSET,
        reruns=(result.ended and result.reruns) or UNSET,
        kind=failure.kind if failure else UNSET,
        reason=failure.reason if failure else result.reason or UNSET,
        place=_place(recipe, step, result),
        blocked_by=result.blocked_by or UNSET,
        by_hand=[*result.by_hand] or UNSET,
    )


def _element(
    recipe: LoadedRecipe, step: RecipeStep, element: Element, root: Path, folder: Path
) -> parts.Element:
    result = element.result
    ended, failure = result.ended, result.failure
    return parts.Element(
        index=element.index,
        item=_bounded(element.item),
        state=element.state,
        attempt=result.attempt if ended else UNSET,
        kind=failure.kind if failure else UNSET,
        reason=failure.reason if failure else result.reason or UNSET,
        place=_place(recipe, step, result),
        time=_time(result, ended) if ended and not result.restored else UNSET,
        resources=_resources(ended.usage, folder) if ended and not result.restored else UNSET,
        where=known(ended.where) if ended else UNSET,
        process=_process(ended.process, root) if ended and ended.process else UNSET,
        logs=_logs(ended, folder) if ended else UNSET,
        given=_given(result),
        criteria=_criteria(result) or UNSET,
        measurements=[*map(_measurement, result.measurements)] or UNSET,
        attempts=_attempts(result, folder),
        artifacts=_artifacts(result, folder),
        restored=result.restored or UNSET,
    )


def _artifacts(result: StepResult, folder: Path) -> list[Artifact] | UnsetType:
    return [
        msgspec.structs.replace(one, path=_relative(one.path, folder)) for one in result.artifacts
    ] or UNSET


def _place(recipe: LoadedRecipe, step: RecipeStep, result: StepResult) -> parts.Place | UnsetType:
    """Return the position of the failure of a step or element; UNSET if it did not fail."""
    if not result.failure:
        return UNSET
    from pytest_orchestrator.reports.failure import place_of, source_of

    at = place_of(step, result)
    return parts.Place(path=source_of(recipe, step, result).id, line=at.line, column=at.column)


# Most steps have none of these: a comprehension of nothing still is a call of a function.
def _given(result: StepResult) -> dict[str, Json] | UnsetType:
    if not result.inputs:
        return UNSET
    return {name: _bounded(value) for name, value in result.inputs.items()}


def _attempts(result: StepResult, folder: Path) -> list[parts.Attempt] | UnsetType:
    if not result.attempts:
        return UNSET
    return [_attempt(each, folder) for each in result.attempts]


def _criteria(result: StepResult) -> list[parts.Criterion]:
    if not result.verdicts:
        return []
    return [_criterion(each) for each in result.verdicts if not each.is_measurement]


def _criterion(verdict: Verdict) -> parts.Criterion:
    return parts.Criterion(
        name=verdict.name,
        line=verdict.place.line,
        held=verdict.unmet is None,
        wanted=verdict.expected,
        measured=known(_bounded(verdict.measured)),
        unit=verdict.unit or UNSET,
        distance=known(verdict.distance),
        reason=verdict.unmet or UNSET,
    )


def _measurement(measured: parts.Measurement) -> parts.Measurement:
    value: Any = _bounded(measured.value)
    return measured if value is measured.value else msgspec.structs.replace(measured, value=value)


def _write(change: Change) -> parts.Write:
    return parts.Write(
        key=change.key,
        ts=change.ts,
        who=change.who,
        op=change.op,
        old=_bounded(change.old),
        new=_bounded(change.new),
        index=known(change.index),
        masked=_flag(change.masked),
    )


def _time(result: StepResult, ended: Ended) -> parts.Time:
    """Return the start and stop of a step and the duration of its code."""
    start, stop = result.window
    return parts.Time(
        start=_moment(start),
        stop=_moment(stop, up=True),
        seconds=ended.usage.seconds,
        waited_seconds=round(result.waited, 3),
        last_start=_moment(result.started) if result.attempts else UNSET,
    )


def _resources(usage: parts.Resources, folder: Path) -> parts.Resources:
    if not usage.samples:
        return usage
    return msgspec.structs.replace(usage, samples=_relative(usage.samples, folder))


def _process(process: StepProcess, root: Path) -> parts.Process:
    return parts.Process(
        argv=[_relative(process.argv[0], root), *process.argv[1:]],
        cwd=_relative(process.cwd, root),
        stdout_bytes=process.stdout.size,
        stderr_bytes=process.stderr.size,
        exit_code=known(process.exit_code),
        signal=process.signal or UNSET,
        leftovers=process.left or UNSET,
        masked=list(process.masked) or UNSET,
    )


def _logs(ended: Ended, folder: Path) -> parts.Logs | UnsetType:
    """Return the paths of the log files; an empty stream has no log file."""
    process = ended.process
    streams = {"stdout": process.stdout, "stderr": process.stderr} if process else {}
    logs = {
        name: parts.Log(path=_relative(stream.log, folder), bytes=stream.size, cut=stream.cut)
        for name, stream in {**streams, "log": ended.log}.items()
        if stream is not None and stream.log is not None
    }
    return parts.Logs(**logs) if logs else UNSET


def _attempt(attempt: FailedAttempt, folder: Path) -> parts.Attempt:
    ended = attempt.ended
    seconds = ended.usage.seconds
    return parts.Attempt(
        attempt=attempt.number,
        kind=attempt.failure.kind,
        reason=attempt.failure.reason,
        start=_moment(attempt.started),
        stop=_moment(max(attempt.stopped, attempt.started + seconds), up=True),
        seconds=seconds,
        resources=_resources(ended.usage, folder),
        where=known(ended.where),
        logs=_logs(ended, folder),
    )


def _bounded(value: Any) -> Any:
    if not isinstance(value, str | list | dict):
        return value
    try:
        size = len(msgspec.json.encode(value))
    except UnicodeEncodeError:  # a file name that is not valid UTF-8
        size = len(repr(value))
    return value if size <= _MAX_VALUE_BYTES else f"… {size} bytes of JSON are left out here …"


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
