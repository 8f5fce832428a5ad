"""Result files for Allure 2 and 3: a JSON file for each test, with copies of logs and artifacts.

The names of the files are computed from the run, so a second export replaces the first one. A
failed attempt has a result of its own with the same history id, which Allure shows as a retry.
"""

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from pytest_orchestrator.addons.exports.cases import Case, CaseAttempt, cases
from pytest_orchestrator.reading import STATES, UNKNOWN, RunFile, RunFiles, RunRecord
from pytest_orchestrator.rendering import Notation, cut, is_number, notation, replacing, safe

TITLE: Final = "Allure"
MOST_BYTES: Final = 10_000_000
"""Size in bytes above which a log or artifact is not copied whole: its last bytes are."""

_CHUNK: Final = 1 << 20
_STATUS: Final = {"good": "passed", "bad": "failed", "cut": "broken", "left out": "skipped"}
"""Status of Allure by the sense of a state; all others are ``unknown``."""
_STATES: Final = {
    "xpassed": "passed",
    "error": "broken",
    **dict.fromkeys(("xfailed", "restored"), "skipped"),
}
"""Status of Allure of states that have another one than their sense."""
_BROKEN: Final = ("timeout", "crash", "interrupted")
"""Kinds of failure that say nothing about the unit under test."""


def export(run: RunRecord, folder: Path, target: str) -> str:
    """Write the results of a run to a folder.

    Args:
        run: The run.
        folder: Its folder.
        target: The folder to write to; it is created.

    Returns:
        The path of the folder.

    Raises:
        OSError: A file cannot be written.
    """
    out = Path(target)
    out.mkdir(parents=True, exist_ok=True)
    writer = _Writer(run, folder, out)
    for case in cases(run, folder):
        writer.write(case)
    _write(out / "environment.properties", _environment(run).encode())
    return os.path.relpath(out)


class _Writer:
    """Writer of the results and attachments of one run."""

    def __init__(self, run: RunRecord, folder: Path, out: Path) -> None:
        self._run = run
        self._id = uuid.uuid5(uuid.NAMESPACE_URL, run.id or folder.name)
        self._files, self._out = RunFiles(folder), out

    def write(self, case: Case) -> None:
        """Write the results of a case: its failed attempts, and its last one."""
        last = case.attempts[-1] if case.attempts else None
        for attempt in case.attempts[:-1]:
            self._write(case, attempt, f"{case.node} {attempt.number}")
        self._write(case, last, case.node, is_last=True)

    def _write(
        self, case: Case, attempt: CaseAttempt | None, key: str, *, is_last: bool = False
    ) -> None:
        name = uuid.uuid5(self._id, key)
        logs = attempt.logs if attempt else case.logs
        files = [(stream, "text/plain", log.file) for stream, log in logs.items()]
        if is_last:
            files += [
                (one.file.recorded_path.rpartition("/")[2], one.type, one.file)
                for one in case.artifacts
            ]
        attached = [
            one
            for at, (title, kind, file) in enumerate(files)
            if (one := self._attach(title, kind, file, f"{key} {at}"))
        ]
        result = _result(case, attempt, self._run) | {"uuid": str(name), "attachments": attached}
        if not is_last:
            result["steps"] = []
        data = msgspec.json.format(msgspec.json.encode(result), indent=1)
        _write(self._out / f"{name}-result.json", data)

    def _attach(self, title: str, kind: str, file: RunFile, key: str) -> dict[str, Any] | None:
        """Copy a file of the run; return its description, or None if it is missing."""
        path = self._files.at(file)
        if path is None or not path.is_file():
            return None
        suffix = ".txt" if kind == "text/plain" else path.suffix
        name = f"{uuid.uuid5(self._id, key)}-attachment{suffix}"
        skipped = max(path.stat().st_size - MOST_BYTES, 0)
        with path.open("rb") as source, replacing(self._out / name) as copy:
            source.seek(skipped)
            shutil.copyfileobj(source, copy, _CHUNK)
        title = f"{title} (the last {MOST_BYTES // 1_000_000} MB)" if skipped else title
        return {"name": safe(title), "source": name, "type": kind}


def _result(case: Case, attempt: CaseAttempt | None, run: RunRecord) -> dict[str, Any]:
    state = attempt.state if attempt else case.state
    kind, reason = (attempt.kind, attempt.reason) if attempt else (case.kind, case.reason)
    start = attempt.start if attempt and attempt.start else case.start
    stop = attempt.stop if attempt and attempt.stop else case.stop
    identity = uuid.uuid5(uuid.NAMESPACE_URL, case.node).hex
    result: dict[str, Any] = {
        "name": case.name,
        "fullName": case.node,
        "historyId": identity,
        "testCaseId": identity,
        "status": "broken" if kind in _BROKEN else _status(state),
        "stage": "finished",
        "labels": [*_labels(case, run)],
        "parameters": [
            {"name": name, "value": cut(str(value), 200)} for name, value in case.parameters.items()
        ],
        "steps": [*_steps(case)],
    }
    if case.description:
        result["description"] = case.description
    if start is not None and stop is not None:
        result |= {"start": round(start * 1000), "stop": round(max(stop, start) * 1000)}
    details: dict[str, Any] = {}
    if reason or state not in ("passed", "xpassed"):
        details["message"] = reason if state == "failed" else f"{state}: {reason}".rstrip(": ")
    if case.text and (attempt is None or attempt is case.attempts[-1]):
        details["trace"] = case.text
    if case.is_flaky:
        details["flaky"] = True
    return result | ({"statusDetails": details} if details else {})


def _status(state: str) -> str:
    sense = STATES.get(state, UNKNOWN).sense
    return _STATES.get(state) or _STATUS.get(sense, "unknown")


def _labels(case: Case, run: RunRecord) -> Iterator[dict[str, str]]:
    host = str(safe(run.started.host)) if run.started else ""
    pairs = [("framework", "pytest"), ("language", "python"), ("suite", case.suite)]
    pairs += [("host", host), ("thread", case.worker)]
    pairs += [("tag", tag) for tag in case.tags]
    pairs += [*case.meta.items()]
    for name, value in pairs:
        if value:
            yield {"name": name, "value": value}


def _steps(case: Case) -> Iterator[dict[str, Any]]:
    """Yield the elements of ``foreach`` and the measurements as steps of a result."""
    for part in case.parts:
        yield {
            "name": part.name,
            "status": _status(part.state),
            "stage": "finished",
            **({"statusDetails": {"message": part.reason}} if part.reason else {}),
        }
    for one in case.measurements:
        status = {"pass": "passed", "fail": "failed"}.get(one["verdict"], "broken")
        made = notation(
            [one.get("value")],
            low=one.get("low"),
            high=one.get("high"),
            equals=one.get("equals"),
            unit=one.get("unit", ""),
            precision=one.get("precision"),
        )
        limits = [
            {"name": key, "value": _text(one[key], made)}
            for key in ("value", "low", "high", "equals", "matches", "margin", "rule", "decided")
            if key in one
        ]
        if band := one.get("uncertainty"):
            limits.append({"name": "uncertainty", "value": _text(band, made.finer(band))})
        name = f"{one['name']} = {_text(one['value'], made)}" if "value" in one else one["name"]
        yield {"name": name, "status": status, "stage": "finished", "parameters": limits}


def _text(value: Any, made: Notation) -> str:
    return made.with_unit(value) if is_number(value) else cut(str(value), 200)


def _environment(run: RunRecord) -> str:
    """Return the Java properties that Allure shows as the environment."""
    begun = run.started
    if begun is None:
        return ""
    known: dict[str, Any] = {"host": begun.host}
    known |= {name: begun.environment.get(name) for name in ("python", "platform", "pytest")}
    known["revision"] = (begun.environment.get("git") or {}).get("revision")
    lines = [f"{name}={_escaped(str(one))}" for name, one in known.items() if one]
    return "\n".join([f"run={run.id}", *lines, ""])


def _escaped(value: str) -> str:
    """Return a value of a properties file of Java: on one line, in ASCII, escaped as in JSON."""
    return json.dumps(safe(value))[1:-1]


def _write(path: Path, data: bytes) -> None:
    with replacing(path) as file:
        file.write(data)
