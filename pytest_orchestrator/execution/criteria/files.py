"""Criteria on files: existence, contents, size, freshness.

A step has written a file if the identity, size or modification time of the file has changed since
the start of the step. File systems record times in ticks. Two writes within one tick could look
the same, so the step starts only when the tick of the last write is over.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.result import Verdict
from pytest_orchestrator.core.text import some_of
from pytest_orchestrator.execution.criteria.simple import (
    Before,
    CheckInputs,
    Stamp,
    compared,
    search_verdict,
    verdict,
)
from pytest_orchestrator.execution.file_names import matching, missing
from pytest_orchestrator.execution.text_search import file_of
from pytest_orchestrator.recipe.model.step import Criterion, Step

_TICK = 0.011
_COARSE = 2.0
_SECOND = 1_000_000_000


def noted(step: Step, root: Path) -> Before:
    """Return the stamps of the files that criteria with `fresh` match; then wait for a new tick.

    Args:
        step: The step, right before it starts.
        root: The folder to which paths are relative.
    """
    paths = [
        str(one.expected["path"])
        for one in step.success
        if one.name == "files" and isinstance(one.expected, dict) and one.expected.get("fresh")
    ]
    before = {path: _stamps(path, root) for path in paths}
    _wait_for_next_tick([stamp for stamps in before.values() for stamp in stamps.values()])
    return before


def stamp_of(path: str) -> Stamp:
    """Return the identity, size and modification time of a file.

    Raises:
        OSError: The file is missing or cannot be accessed.
    """
    status = os.stat(path)
    return Stamp(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def lag(stamp: Stamp) -> float:
    """Return the most seconds by which a file's modification time may lag behind the clock.

    The times of file systems that store only whole seconds lag by at most two seconds.
    """
    return _TICK if stamp.modified_ns % _SECOND else _COARSE


def _stamps(path: str, root: Path) -> dict[str, Stamp]:
    stamps = {}
    for name in matching(path, root):
        with contextlib.suppress(OSError):  # removed meanwhile, or a broken link
            stamps[name] = stamp_of(os.path.join(root, name))
    return stamps


def _wait_for_next_tick(stamps: list[Stamp]) -> None:
    now = time.time()
    # A time in the future comes from another clock; the step does not wait for it.
    waits = [
        stamp.modified_ns / _SECOND + lag(stamp) - now
        for stamp in stamps
        if stamp.modified_ns / _SECOND <= now
    ]
    if (longest := max(waits, default=0.0)) > 0:
        time.sleep(longest)


_SHORT = 12


def files(criterion: Criterion, inputs: CheckInputs) -> Iterator[Verdict]:
    """Yield a verdict for each rule of a `files` criterion, on all files that its path matches.

    Yield only one verdict if no file matches, or if the criterion has no rules.
    """
    path, rules = _path_and_rules(criterion)
    names = matching(path, inputs.root)
    existing = _files(names, inputs.root)
    if not existing or not rules:
        yield verdict(criterion, None if existing else _no_file(path, names, inputs.root))
        return
    for part, rule, wanted in _rules(criterion, path, rules):
        yield _worst([_CHECKS[rule](part, name, wanted, inputs) for name in sorted(existing)])


def _path_and_rules(criterion: Criterion) -> tuple[str, dict[str, Json]]:
    rules = dict(criterion.expected) if isinstance(criterion.expected, dict) else {}
    path = str(rules.pop("path", ""))
    if not rules.get("fresh"):
        rules.pop("fresh", None)
    return path, rules


def _files(names: list[str], root: Path) -> list[str]:
    return [name for name in names if os.path.isfile(os.path.join(root, name))]


def _rules(
    criterion: Criterion, path: str, rules: dict[str, Json]
) -> Iterator[tuple[Criterion, str, Json]]:
    """Yield each rule as a separate criterion, with the rule's name and its wanted value."""
    for rule, value in rules.items():
        several = enumerate(value) if isinstance(value, list) else [(None, value)]
        for number, wanted in several:
            key = rule if number is None else f"{rule}/{number}"
            place = criterion.at.get(key, criterion.place)
            yield Criterion("files", {"path": path, rule: wanted}, place), rule, wanted


def _worst(verdicts: list[Verdict]) -> Verdict:
    """Combine the verdicts on all files.

    Return the first unmet verdict, which also counts the other unmet ones; if all hold, the first.
    """
    unmet = [one for one in verdicts if one.unmet]
    if len(unmet) < 2:
        return unmet[0] if unmet else verdicts[0]
    first = unmet[0]
    more = f"{first.unmet} (and {len(unmet) - 1:,} more of {len(verdicts):,} files)"
    return msgspec.structs.replace(first, unmet=more)


def _no_file(path: str, names: list[str], root: Path) -> str:
    if not names:
        return missing(path, root)
    kind = "a folder" if os.path.isdir(os.path.join(root, names[0])) else "no regular file"
    return f"{names[0]} is {kind}"


def _searched(rule: str) -> Callable[[Criterion, str, Json, CheckInputs], Verdict]:
    def check(criterion: Criterion, name: str, wanted: Json, inputs: CheckInputs) -> Verdict:
        source = file_of(os.path.join(inputs.root, name), name)
        return search_verdict(criterion, rule, str(wanted), source, inputs.searches)

    return check


def _sha256(criterion: Criterion, name: str, wanted: Json, inputs: CheckInputs) -> Verdict:
    with open(os.path.join(inputs.root, name), "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest == str(wanted).lower():
        return verdict(criterion, measured=digest)
    shown = f"{digest[:_SHORT]}…, expected {str(wanted).lower()[:_SHORT]}…"
    return verdict(criterion, f"the sha256 of {name} is {shown}", measured=digest)


def _size(
    criterion: Criterion, name: str, limit: Json, inputs: CheckInputs, *, low: bool
) -> Verdict:
    size = os.path.getsize(os.path.join(inputs.root, name))
    if not isinstance(limit, int):
        return verdict(criterion, "the limit is no whole number", measured=size, unit="bytes")
    limits = (limit, None) if low else (None, limit)
    return compared(criterion, size, limits, "bytes", f"{name} has")


def _fresh(criterion: Criterion, name: str, _wanted: Json, inputs: CheckInputs) -> Verdict:
    path = os.path.join(inputs.root, name)
    stamp = stamp_of(path)
    written = stamp.modified_ns / 1e9
    moment = datetime.fromtimestamp(written, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
    pattern = criterion.expected["path"] if isinstance(criterion.expected, dict) else name
    before = inputs.before.get(str(pattern))
    if before is None:
        is_fresh = written >= inputs.started - lag(stamp)
    else:
        is_fresh = before.get(name) != stamp
    if is_fresh:
        return verdict(criterion, measured=moment)
    ago = inputs.started - written
    when = f"{ago:,.2f} s before it began" if ago > 0 else "in the future"
    unmet = f"{name} was not written by this step: it is from {moment}, {when}"
    return verdict(criterion, unmet, measured=moment)


_CHECKS: dict[str, Callable[[Criterion, str, Json, CheckInputs], Verdict]] = {
    "contains": _searched("contains"),
    "not_contains": _searched("not_contains"),
    "matches": _searched("matches"),
    "sha256": _sha256,
    "min_bytes": partial(_size, low=True),
    "max_bytes": partial(_size, low=False),
    "fresh": _fresh,
}

_SHOWN = 3


def exists(criterion: Criterion, inputs: CheckInputs) -> Iterator[Verdict]:
    """Yield a verdict that holds if the wanted path exists or the wanted glob matches anything."""
    name = str(criterion.expected)
    matches = matching(name, inputs.root)
    yield verdict(criterion, None if matches else missing(name, inputs.root))


def absent(criterion: Criterion, inputs: CheckInputs) -> Iterator[Verdict]:
    """Yield a verdict that holds if the unwanted path is missing or the glob matches nothing."""
    name = str(criterion.expected)
    matches = matching(name, inputs.root)
    if not matches:
        yield verdict(criterion)
    elif matches == [name]:
        yield verdict(criterion, f"{name} is there", measured=1)
    else:
        shown = some_of(sorted(matches), _SHOWN)
        yield verdict(criterion, f"{name} matches {shown}", measured=len(matches))
