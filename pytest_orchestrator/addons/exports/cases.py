"""Test cases of a run as the exporters need them: steps, other tests, files that are unreadable.

All texts are safe to show: control characters, bidirectional controls and surrogates are escaped.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from pytest_orchestrator.reading import (
    NOT_REACHED,
    Artifact,
    CollectionFailed,
    Element,
    LogFile,
    RecipeRecord,
    RunFiles,
    RunRecord,
    StepRecord,
    TestReported,
    epoch_seconds,
    logs_in,
    measurements_of,
    plain,
)
from pytest_orchestrator.rendering import cut, safe, shown

MAX_REASON: Final = 1_000
"""Maximum characters of a reason."""
MAX_TEXT: Final = 50_000
"""Maximum characters of the text of a failure."""
MAX_NAME: Final = 1_000
"""Maximum characters of a name."""


class CaseAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt of a step; an unknown time is None.

    Attributes:
        number: Number of the attempt, from 1.
        state: ``failed``, or the state of the step for its last attempt.
        kind: Kind of the failure; empty without one.
        reason: Reason of the failure; empty without one.
        start: Start in seconds since the epoch.
        stop: End in seconds since the epoch.
        seconds: Duration of the step code.
        logs: Its log files, by stream.
    """

    number: int
    state: str
    kind: str = ""
    reason: str = ""
    start: float | None = None
    stop: float | None = None
    seconds: float = 0.0
    logs: dict[str, LogFile] = {}


class CasePart(msgspec.Struct, frozen=True):
    """An element of ``foreach``: its name, state, reason and duration in seconds."""

    name: str
    state: str
    reason: str
    seconds: float


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One test case of a run; an unknown time is None, an unknown line 0.

    Attributes:
        node: Node id of pytest.
        suite: Key of the recipe, or path of the file of another test.
        name: Name of the step or test.
        path: Path of its file, relative to the rootdir.
        line: Line of the step in its recipe, from 1.
        state: State of the step, as reports show it.
        kind: Kind of the failure; empty without one.
        reason: Reason in one line; empty without one.
        text: Text of the failure.
        start: Start in seconds since the epoch.
        stop: End in seconds since the epoch.
        seconds: Duration in seconds.
        worker: Name of the pytest process, or of the worker, that ran it.
        description: Description of the step.
        tags: Tags of the step.
        is_flaky: True if it passed only after a failed attempt or a rerun.
        attempts: The attempts of the step, if there were several.
        parts: The elements of ``foreach``.
        measurements: The measurements, as in the report block.
        meta: Scalars of ``test_meta`` by name; those of a mapping as ``dut.serial_number``.
        parameters: The vars of the recipe and the values of the cell of a matrix.
        logs: Log files of the last attempt, by stream.
        artifacts: Artifacts of the step.
    """

    node: str
    suite: str
    name: str
    path: str
    line: int = 0
    state: str
    kind: str = ""
    reason: str = ""
    text: str = ""
    start: float | None = None
    stop: float | None = None
    seconds: float = 0.0
    worker: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    is_flaky: bool = False
    attempts: tuple[CaseAttempt, ...] = ()
    parts: tuple[CasePart, ...] = ()
    measurements: tuple[dict[str, Any], ...] = ()
    meta: dict[str, str] = {}
    parameters: dict[str, Any] = {}
    logs: dict[str, LogFile] = {}
    artifacts: tuple[Artifact, ...] = ()


def cases(run: RunRecord, folder: Path | None = None) -> Iterator[Case]:
    """Yield the test cases of a run: its steps by recipe, then other tests, then unreadable files.

    Steps that were not selected are left out.

    Args:
        run: The run.
        folder: Its folder. Files outside it, which only a forged journal names, are left out, and
            the logs of a killed step, which no event names, are looked for in it.
    """
    files = RunFiles(folder) if folder else None
    for recipe in run.recipes.values():
        for step in recipe.steps.values():
            if run.state == "running" or step.state not in NOT_REACHED:
                yield _of_step(run, recipe, step, files)
    for test in run.tests.values():
        if test.step is None:
            yield _of_test(test)
    yield from map(_of_file, run.uncollected)


def _of_step(
    run: RunRecord, recipe: RecipeRecord, step: StepRecord, files: RunFiles | None
) -> Case:
    block, about = step.block, recipe.about
    outcome = step.outcome_fields
    time = block.time if block and step.state != "restored" else None
    start, stop = _moment(step.start), _moment(time.stop if time else None)
    if stop is None and start is not None:
        stop = _moment(step.finished or run.last)
    node = str(step.about.get("node") or f"{step.recipe}::{step.name}")
    test = run.tests.get(node)
    reason = test.reason if test and step.state in ("xfailed", "xpassed") else step.reason
    description = str(step.about.get("description") or "")
    return Case(
        node=_name(node),
        suite=_name(step.recipe),
        name=_name(step.name),
        path=_name(str(about.get("path", step.recipe))),
        line=int(step.about.get("line") or 0),
        state=step.state,
        kind=shown(str(outcome.get("kind") or "")),
        reason=cut(reason, MAX_REASON),
        text=cut(step.text, MAX_TEXT),
        start=start,
        stop=stop,
        seconds=time.seconds if time else max((stop or 0.0) - (start or 0.0), 0.0),
        worker=_name(step.where.get("worker") or (block.run.worker if block else "")),
        description=cut(description, MAX_REASON),
        tags=tuple(map(_name, step.about.get("tags") or ())),
        is_flaky=step.state == "passed" and (step.attempt > 1 or step.reruns > 0),
        attempts=tuple(_attempts(step, stop, files)),
        parts=tuple(map(_part, step.block_elements)),
        measurements=tuple(_safe_dict(plain(one)) for one in measurements_of(block)),
        meta=dict(_scalars(about.get("test_meta") or {})),
        parameters=_safe_dict(_parameters(about)),
        logs=_inside(step.logs, files) or dict(_logs_of_killed(step, files)),
        artifacts=tuple(one for one in step.artifacts if not files or files.at(one.file)),
    )


def _logs_of_killed(step: StepRecord, files: RunFiles | None) -> Iterator[tuple[str, LogFile]]:
    if files is None or step.state != "interrupted" or step.ended is not None:
        return
    for stream in ("stdout", "stderr", "log"):
        file = step.log_file(stream, step.attempt)
        path = files.at(file)
        if path is not None and path.is_file() and (size := path.stat().st_size):
            yield stream, LogFile(file, size, cut=False)


def _inside(logs: dict[str, LogFile], files: RunFiles | None) -> dict[str, LogFile]:
    return {stream: log for stream, log in logs.items() if not files or files.at(log.file)}


def _attempts(
    step: StepRecord, stop: float | None, files: RunFiles | None
) -> Iterator[CaseAttempt]:
    """Yield the attempts of a step with several; a killed step has only those that failed."""
    block = step.block
    if not step.failed and not (block and block.attempts):
        return
    for one in (block and block.attempts) or ():
        start = _moment(one.start)
        yield CaseAttempt(
            number=one.attempt,
            state="failed",
            kind=one.kind,
            reason=cut(one.reason, MAX_REASON),
            start=start,
            stop=_moment(one.stop or None) or (start or 0.0) + one.seconds,
            seconds=one.seconds,
            logs=_inside(logs_in(one), files),
        )
    if not (block and block.attempts):
        for failed in step.failed:
            reason = cut(failed.reason, MAX_REASON)
            yield CaseAttempt(
                number=failed.attempt, state="failed", kind=shown(failed.kind), reason=reason
            )
    yield CaseAttempt(
        number=max(step.attempt, 1),
        state=step.state,
        kind=shown(str(step.outcome_fields.get("kind") or "")),
        reason=cut(step.reason, MAX_REASON),
        start=_moment(step.last_start),
        stop=stop,
        seconds=block.time.seconds if block and block.time else 0.0,
        logs=_inside(step.logs, files),
    )


def _part(element: Element) -> CasePart:
    seconds = element.time.seconds if element.time else 0.0
    name = f"[{element.index}] {element.item}" if element.item is not None else f"[{element.index}]"
    return CasePart(cut(name, 200), element.state, cut(element.reason or "", MAX_REASON), seconds)


def _of_test(test: TestReported) -> Case:
    path, _, name = test.node.partition("::")
    return Case(
        node=_name(test.node),
        suite=_name(path),
        name=_name(name or path),
        path=_name(path),
        state=test.outcome,
        reason=cut(test.reason, MAX_REASON),
        text=cut(test.text, MAX_TEXT),
        seconds=test.seconds,
        worker=_name(test.worker),
    )


def _of_file(failed: CollectionFailed) -> Case:
    path = _name(failed.path)
    return Case(
        node=path,
        suite=path,
        name=path,
        path=path,
        line=failed.line,
        state="error",
        kind="collection",
        reason=cut(failed.reason, MAX_REASON),
        text=cut(failed.text, MAX_TEXT),
    )


def _scalars(values: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, value in values.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _scalars(value, f"{key}.")
        elif isinstance(value, (str, int, float)):
            yield cut(key, MAX_NAME), cut(str(value), MAX_REASON)


def _parameters(about: dict[str, Any]) -> dict[str, Any]:
    given = about.get("vars") or {}
    values = {name: var["value"] for name, var in given.items() if "value" in var}
    return values | (about.get("matrix") or {})


def _safe_dict(value: dict[str, Any]) -> dict[str, Any]:
    return {shown(key): safe(one) for key, one in value.items()}


def _name(text: str) -> str:
    return cut(text, MAX_NAME).replace("\n", "\\n")


def _moment(ts: str | None) -> float | None:
    return epoch_seconds(ts) if ts else None
