"""Common Test Report Format: one JSON file, https://ctrf.io.

A step is a test, its elements of ``foreach`` are steps of it. CTRF has five states; ``rawStatus``
has the state of this package.
"""

import os
import uuid
from collections import Counter
from pathlib import Path
from typing import Any, Final

import msgspec

import pytest_orchestrator
from pytest_orchestrator.addons.exports.cases import Case, CaseAttempt, cases
from pytest_orchestrator.reading import (
    STATES,
    UNKNOWN,
    Artifact,
    LogFile,
    RunRecord,
    epoch_seconds,
    summary,
)
from pytest_orchestrator.rendering import output, safe

TITLE: Final = "CTRF"
SPEC_VERSION: Final = "0.0.0"
"""Version of the specification that the file follows."""

_STATUS: Final = {
    "good": "passed",
    **dict.fromkeys(("bad", "cut"), "failed"),
    "left out": "skipped",
    "open": "pending",
}
"""Status of CTRF by the sense of a state; all others are ``other``."""
_STATES: Final = {"xpassed": "passed", "restored": "skipped", "not run": "pending"}
"""Status of CTRF of states that have another one than their sense."""


def export(run: RunRecord, folder: Path, target: str) -> str:
    """Write a run as a CTRF file.

    Args:
        run: The run.
        folder: Its folder.
        target: The file.

    Returns:
        The path of the file.

    Raises:
        OSError: The file cannot be written.
    """
    path = Path(target)
    base = os.path.relpath(folder, path.parent)
    with output(path) as file:
        file.write(msgspec.json.format(msgspec.json.encode(document(run, folder, base))))
    return os.path.relpath(path)


def document(run: RunRecord, folder: Path, base: str) -> dict[str, Any]:
    """Return a run as a CTRF document.

    Args:
        run: The run.
        folder: Its folder, whose name is the id of the run if the journal does not have it.
        base: Path of the run folder, as paths of attachments begin.
    """
    tests = [_test(case, base) for case in cases(run, folder)]
    count = Counter(test["status"] for test in tests)
    start, stop = (_milliseconds(epoch_seconds(ts)) if ts else 0 for ts in (run.first, run.last))
    stop = max(start, stop)  # a clock may have been set back during the run
    run_id = run.id or folder.name
    return {
        "reportFormat": "CTRF",
        "specVersion": SPEC_VERSION,
        "reportId": str(uuid.uuid5(uuid.NAMESPACE_URL, run_id)),
        **({"timestamp": run.last} if run.last else {}),
        "generatedBy": f"pytest-orchestrator {pytest_orchestrator.__version__}",
        "results": {
            "tool": _tool(run),
            "summary": {
                "tests": len(tests),
                **{name: count[name] for name in ("passed", "failed", "skipped", "pending")},
                "other": count["other"],
                "flaky": sum(test.get("flaky", False) for test in tests),
                "suites": len({test["suite"][0] for test in tests}),
                "start": start,
                "stop": stop,
                "duration": stop - start,
            },
            "tests": tests,
            "environment": _environment(run),
            "extra": {"run": safe(summary(run, folder.name))},
        },
    }


def _tool(run: RunRecord) -> dict[str, Any]:
    version = run.started.environment.get("pytest") if run.started else None
    return {"name": "pytest", **({"version": str(version)} if version else {})}


def _environment(run: RunRecord) -> dict[str, Any]:
    begun = run.started
    if begun is None:
        return {}
    git = begun.environment.get("git") or {}
    known = {
        "commit": git.get("revision"),
        "branchName": git.get("branch"),
        "osPlatform": begun.environment.get("platform"),
        "testEnvironment": (begun.environment.get("station_file") or {}).get("name"),
    }
    texts = {name: safe(str(value)) for name, value in known.items() if value}
    extra = {"host": begun.host, "python": begun.environment.get("python")}
    return texts | {"extra": {key: safe(one) for key, one in extra.items() if one}}


def _test(case: Case, base: str) -> dict[str, Any]:
    test: dict[str, Any] = {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, case.node)),
        "name": case.name,
        "status": _status(case.state),
        "rawStatus": case.state,
        "duration": _milliseconds(case.seconds),
        "suite": [case.suite],
        "filePath": case.path,
    }
    if case.start is not None and case.stop is not None:
        test |= {"start": _milliseconds(case.start), "stop": _milliseconds(case.stop)}
    if case.line:
        test["line"] = case.line
    texts = {"message": case.reason, "trace": case.text, "threadId": case.worker}
    test |= {name: text for name, text in texts.items() if text}
    if case.tags:
        test["tags"] = [*case.tags]
    if case.meta:
        test["labels"] = case.meta
    if case.parameters:
        test["parameters"] = case.parameters
    if case.attempts:
        attempts = [_attempt(one, base) for one in case.attempts]
        test |= {"retries": len(attempts) - 1, "retryAttempts": attempts}
    if case.is_flaky:
        test["flaky"] = True
    if case.parts:
        test["steps"] = [
            {
                "name": part.name,
                "status": _status(part.state),
                "extra": {"state": part.state, "reason": part.reason, "seconds": part.seconds},
            }
            for part in case.parts
        ]
    if attachments := _attachments(case.logs, case.artifacts, base):
        test["attachments"] = attachments
    extra: dict[str, Any] = {"node": case.node, "kind": case.kind}
    extra |= {"description": case.description, "measurements": [*case.measurements]}
    return test | {"extra": {name: value for name, value in extra.items() if value}}


def _attempt(attempt: CaseAttempt, base: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"attempt": attempt.number, "status": _status(attempt.state)}
    fields["duration"] = _milliseconds(attempt.seconds)
    if attempt.reason:
        fields["message"] = attempt.reason
    if attempt.start is not None and attempt.stop is not None:
        fields |= {"start": _milliseconds(attempt.start), "stop": _milliseconds(attempt.stop)}
    if attachments := _attachments(attempt.logs, (), base):
        fields["attachments"] = attachments
    return fields | ({"extra": {"kind": attempt.kind}} if attempt.kind else {})


def _attachments(
    logs: dict[str, LogFile], artifacts: tuple[Artifact, ...], base: str
) -> list[dict[str, Any]]:
    texts = [(stream, "text/plain", log.file.recorded_path) for stream, log in logs.items()]
    texts += [
        (one.file.recorded_path.rpartition("/")[2], one.type, one.file.recorded_path)
        for one in artifacts
    ]
    return [
        {"name": safe(name), "contentType": safe(kind), "path": safe(f"{base}/{path}")}
        for name, kind, path in texts
    ]


def _status(state: str) -> str:
    sense = STATES.get(state, UNKNOWN).sense
    return _STATES.get(state) or _STATUS.get(sense, "other")


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
