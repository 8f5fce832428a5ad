"""All reports of a run as plain data, without the values that differ from run to run.

Two runs of the same steps can then be compared member by member.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import msgspec

from pytest_orchestrator.runs.lookup import load_record, run_folders
from pytest_orchestrator.runs.record import RunRecord

_VARYING: Final = {
    *("where", "worker", "host", "hostname", "run", "pid", "thread", "port", "argv"),
    *(
        "time",
        "ts",
        "start",
        "stop",
        "created",
        "started",
        "finished",
        "timestamp",
        "first",
        "last",
    ),
    *("asctime", "msecs", "relativeCreated", "duration", "seconds", "measured", "resources"),
    *("lines", "touched", "n", "stderr_bytes"),  # these depend on the length of printed figures
    *("environment", "collectors"),
    "user_properties",  # compared as those of the JUnit report
}
_OPTIONAL: Final = re.compile(r"_bytes$|^(processes|samples)$")
_VARYING_TEXT: Final = re.compile(
    r'(?m)"(seconds|rss_delta|heap_\w+)": [\d.e-]+'
    r"|^(worker|resources|rerun) .*\n?| in \d+\.\d+s\b|\d+\.\d+ s\b"
)
_NAMES: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z?|\d{8}T\d{6}Z-[\w-]{4,29}|127\.0\.0\.1:\d+|0x[0-9a-f]+"
)
REPORTS: Final = ("--json-report", "--json-report-file=told.json", "--junitxml=told.xml")


def views(folder: Path) -> dict[str, Any]:
    """Return the reports of the last run of a project.

    Args:
        folder: The rootdir; the run had `REPORTS` among its arguments.

    Returns:
        The JSON report, the JUnit report, and the record read from the journal.
    """
    report = json.loads((folder / "told.json").read_text(encoding="utf-8"))
    record = load_record(run_folders(folder / ".orchestrator/runs")[0])
    return {
        "json": comparable(report),
        "junit": _junit(ElementTree.parse(folder / "told.xml").getroot()),
        "journal": {
            "state": record.state,
            "files": sorted(_files(record)),
            "recipes": _record(record.recipes),
            "tests": _record(record.tests),
            "uncollected": _record(record.uncollected),
            "context": _record(
                {scope: record.changes.values(scope) for scope in record.changes.scopes}
            ),
        },
    }


def differences(one: Any, other: Any, at: str = "") -> Iterator[str]:
    """Yield a line for each member in which two reports differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            if name in one and name in other:
                yield from differences(one[name], other[name], f"{at}/{name}")
            else:
                yield f"{at}/{name}: only in {'the first' if name in one else 'the second'}"
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (mine, theirs) in enumerate(zip(one, other, strict=True)):
            yield from differences(mine, theirs, f"{at}/{number}")
    elif one != other:
        yield f"{at}: {one!r} and {other!r}"


def comparable(data: Any) -> Any:
    """Return plain data without the values that differ from run to run."""
    if isinstance(data, dict):
        return {name: comparable(one) for name, one in _comparable_members(data)}
    if isinstance(data, list | tuple):
        return [comparable(one) for one in data]
    return _NAMES.sub("", _VARYING_TEXT.sub("", data)) if isinstance(data, str) else data


def _comparable_members(data: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the members of a mapping that are equal in two runs of the same steps."""
    for name, one in data.items():
        # `process` of a log record is a pid. The size of a log varies with the figures in it;
        # that of an artifact, which has a type, is compared.
        differs = name == "process" and not isinstance(one, dict)
        differs |= name == "bytes" and "type" not in data
        if name not in _VARYING and not differs:
            yield name, one


def _files(record: RunRecord) -> Iterator[str]:
    """Yield the sealed files, without samples and times of lines, which a short step may lack."""
    for name in record.finished.files if record.finished else ():
        if not name.startswith("resources/") and not name.endswith(".times"):
            yield name


def _record(data: Any) -> Any:
    if isinstance(data, msgspec.Struct):
        return comparable(msgspec.to_builtins(data))
    if isinstance(data, dict):
        return {name: _record(one) for name, one in _comparable_members(data)}
    if isinstance(data, list | tuple):
        return [_record(one) for one in data]
    return _record(vars(data)) if hasattr(data, "__dict__") else comparable(data)


def _junit(root: ElementTree.Element) -> Any:
    return {
        "suites": [comparable(dict(one.attrib)) for one in root.iter("testsuite")],
        "cases": {
            f"{one.get('classname')}::{one.get('name')}": {
                "attributes": comparable(dict(one.attrib)),
                "properties": dict(_properties(one)),
                "children": [
                    [child.tag, comparable(dict(child.attrib)), comparable(child.text)]
                    for child in one
                    if child.tag != "properties"
                ],
            }
            for one in root.iter("testcase")
        },
    }


def _properties(case: ElementTree.Element) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of the properties of a test; `…` as the value of a figure.

    Where the step ran and figures that a short step may lack are left out.
    """
    for one in case.iter("property"):
        name = str(one.get("name"))
        if name not in ("host", "worker") and not _OPTIONAL.search(name):
            varies = name in _VARYING or name.endswith("_seconds")
            yield name, "…" if varies else comparable(one.get("value"))
