"""All views of a run as plain data, but for who ran it where, when and at what cost.

So that two runs can be held against each other, member by member.
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

_OF_THEIR_OWN: Final = {
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
    *("lines", "touched", "n", "stderr_bytes"),  # of which a figure may take more or less
    *("environment", "collectors"),
}
_FIGURES: Final = re.compile(r"(_seconds|_bytes|_percent|_delta|_rss|_count|_switches|_faults)$")
_OURS: Final = re.compile(
    r'(?m)"(seconds|rss_delta|heap_\w+)": [\d.e-]+'
    r"|^(worker|resources|rerun) .*\n?| in \d+\.\d+s\b|\d+\.\d+ s\b"
)
_NAMES: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d|\d{8}T\d{6}Z-\w{4}|127\.0\.0\.1:\d+|0x[0-9a-f]+"
)
REPORTS: Final = ("--json-report", "--json-report-file=told.json", "--junitxml=told.xml")


def views(folder: Path) -> dict[str, Any]:
    """Return what the last run of a project says of itself.

    Args:
        folder: The rootdir; the run had `REPORTS` among its arguments.

    Returns:
        The JSON report, the JUnit report, and the record that is read from the journal.
    """
    report = json.loads((folder / "told.json").read_text(encoding="utf-8"))
    record = load_record(run_folders(folder / ".orchestrator/runs")[0])
    return {
        "json": alike(report),
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
    """Give a line for each member that two of them do not share."""
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


def alike(told: Any) -> Any:
    """Return plain data but for what is of each run alone."""
    if isinstance(told, dict):
        return {name: alike(one) for name, one in _shared(told)}
    if isinstance(told, list | tuple):
        return [alike(one) for one in told]
    return _NAMES.sub("", _OURS.sub("", told)) if isinstance(told, str) else told


def _shared(told: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give the members of a mapping that two runs of the same steps have alike."""
    for name, one in told.items():
        # Of a record of the log a process is a number, and a log may have figures in it; the
        # bytes of an artifact, which has a type, count.
        is_own = name == "process" and not isinstance(one, dict)
        is_own |= name == "bytes" and "type" not in told
        if name not in _OF_THEIR_OWN and not is_own:
            yield name, one


def _files(record: RunRecord) -> Iterator[str]:
    """Give the files that the journal has sealed, but for samples, which a short step has not."""
    for name in record.finished.files if record.finished else ():
        if not name.startswith("resources/"):
            yield name


def _record(told: Any) -> Any:
    if isinstance(told, msgspec.Struct):
        return alike(msgspec.to_builtins(told))
    if isinstance(told, dict):
        return {name: _record(one) for name, one in _shared(told)}
    if isinstance(told, list | tuple):
        return [_record(one) for one in told]
    return _record(vars(told)) if hasattr(told, "__dict__") else alike(told)


def _junit(root: ElementTree.Element) -> Any:
    return {
        "suites": [alike(dict(one.attrib)) for one in root.iter("testsuite")],
        "cases": {
            f"{one.get('classname')}::{one.get('name')}": {
                "attributes": alike(dict(one.attrib)),
                "properties": dict(map(_property, one.iter("property"))),
                "children": [
                    [child.tag, alike(dict(child.attrib)), alike(child.text)]
                    for child in one
                    if child.tag != "properties"
                ],
            }
            for one in root.iter("testcase")
        },
    }


def _property(one: ElementTree.Element) -> tuple[str, Any]:
    """Return a property; of a figure that there is one."""
    name = str(one.get("name"))
    is_own = name in _OF_THEIR_OWN or _FIGURES.search(name)
    return name, "…" if is_own else alike(one.get("value"))
