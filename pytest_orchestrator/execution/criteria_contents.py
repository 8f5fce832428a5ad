"""The criterion on what is in files, how large they are, and who has written them."""

import hashlib
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from pytest_orchestrator.core.result import Verdict
from pytest_orchestrator.core.values import Json
from pytest_orchestrator.execution import distance
from pytest_orchestrator.execution.criteria_files import matching, missing
from pytest_orchestrator.execution.criteria_output import found, query_of
from pytest_orchestrator.execution.evidence import Evidence, verdict
from pytest_orchestrator.execution.freshness import lag, stamp_of
from pytest_orchestrator.execution.lanes.pattern_search import Query
from pytest_orchestrator.execution.search import file_of
from pytest_orchestrator.recipe.step_keys import Criterion

_SHORT = 12


def files(criterion: Criterion, evidence: Evidence) -> Iterator[Verdict]:
    """Each file that a path or glob leads to keeps all the rules of its entry."""
    path, rules = _asked(criterion)
    names = matching(path, evidence.root)
    there = _files(names, evidence.root)
    if not there or not rules:
        yield verdict(criterion, None if there else _no_file(path, names, evidence.root))
        return
    for one, rule, wanted in _rules(criterion, path, rules):
        yield _worst([_CHECKS[rule](one, name, wanted, evidence) for name in sorted(there)])


def queries(criterion: Criterion, evidence: Evidence) -> Iterator[Query]:
    """Return the patterns that a criterion searches in files."""
    path, rules = _asked(criterion)
    if "matches" not in rules:
        return
    there = _files(matching(path, evidence.root), evidence.root)
    for one, _, wanted in _rules(criterion, path, {"matches": rules["matches"]}):
        for name in there:
            where = file_of(os.path.join(evidence.root, name), name)
            yield query_of(one, str(wanted), where)


def _asked(criterion: Criterion) -> tuple[str, dict[str, Json]]:
    """Return the path of an entry, and its rules."""
    rules = dict(criterion.wanted) if isinstance(criterion.wanted, dict) else {}
    path = str(rules.pop("path", ""))
    if not rules.get("fresh"):
        rules.pop("fresh", None)
    return path, rules


def _files(names: list[str], root: Path) -> list[str]:
    return [name for name in names if os.path.isfile(os.path.join(root, name))]


def _rules(
    criterion: Criterion, path: str, rules: dict[str, Json]
) -> Iterator[tuple[Criterion, str, Json]]:
    """Give each rule as a criterion of its own, with its place."""
    for rule, value in rules.items():
        several = enumerate(value) if isinstance(value, list) else [(None, value)]
        for number, wanted in several:
            key = rule if number is None else f"{rule}/{number}"
            place = criterion.at.get(key, criterion.place)
            yield Criterion("files", {"path": path, rule: wanted}, place), rule, wanted


def _worst(verdicts: list[Verdict]) -> Verdict:
    """Give one verdict for all files: the first that does not hold, if there is one."""
    unmet = [one for one in verdicts if one.unmet]
    if len(unmet) < 2:
        return unmet[0] if unmet else verdicts[0]
    first = unmet[0]
    more = f"{first.unmet} (and {len(unmet) - 1:,} more of {len(verdicts):,} files)"
    return Verdict(
        name=first.name,
        wanted=first.wanted,
        place=first.place,
        measured=first.measured,
        unit=first.unit,
        distance=first.distance,
        unmet=more,
    )


def _no_file(path: str, names: list[str], root: Path) -> str:
    if not names:
        return missing(path, root)
    kind = "a folder" if os.path.isdir(os.path.join(root, names[0])) else "no regular file"
    return f"{names[0]} is {kind}"


def _searched(rule: str) -> Callable[[Criterion, str, Json, Evidence], Verdict]:
    def check(criterion: Criterion, name: str, wanted: Json, evidence: Evidence) -> Verdict:
        where = file_of(os.path.join(evidence.root, name), name)
        return found(criterion, rule, str(wanted), where, evidence.searches)

    return check


def _sha256(criterion: Criterion, name: str, wanted: Json, evidence: Evidence) -> Verdict:
    with open(os.path.join(evidence.root, name), "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest == str(wanted).lower():
        return verdict(criterion, measured=digest)
    shown = f"{digest[:_SHORT]}…, wanted {str(wanted).lower()[:_SHORT]}…"
    return verdict(criterion, f"the sha256 of {name} is {shown}", measured=digest)


def _min_bytes(criterion: Criterion, name: str, wanted: Json, evidence: Evidence) -> Verdict:
    return _size(criterion, name, wanted, evidence, sign=-1)


def _max_bytes(criterion: Criterion, name: str, wanted: Json, evidence: Evidence) -> Verdict:
    return _size(criterion, name, wanted, evidence, sign=1)


def _size(
    criterion: Criterion, name: str, limit: Json, evidence: Evidence, *, sign: int
) -> Verdict:
    size = os.path.getsize(os.path.join(evidence.root, name))
    if not isinstance(limit, int):
        return verdict(criterion, "the limit is no whole number", measured=size, unit="bytes")
    if (size - limit) * sign <= 0:
        return verdict(criterion, measured=size, unit="bytes")
    figure, rest = distance.measured(size, limit, "bytes")
    return verdict(
        criterion,
        f"{name} has {figure}, {rest}",
        measured=size,
        unit="bytes",
        distance=abs(size - limit),
    )


def _fresh(criterion: Criterion, name: str, _wanted: Json, evidence: Evidence) -> Verdict:
    path = os.path.join(evidence.root, name)
    stamp = stamp_of(path)
    written = stamp.modified_ns / 1e9
    moment = datetime.fromtimestamp(written, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
    pattern = criterion.wanted["path"] if isinstance(criterion.wanted, dict) else name
    before = evidence.before.get(str(pattern))
    if before is None:
        is_fresh = written >= evidence.started - lag(stamp)
    else:
        is_fresh = before.get(name) != stamp
    if is_fresh:
        return verdict(criterion, measured=moment)
    ago = evidence.started - written
    when = f"{ago:,.2f} s before it began" if ago > 0 else "in the future"
    unmet = f"{name} was not written by this step: it is from {moment}, {when}"
    return verdict(criterion, unmet, measured=moment)


_CHECKS: dict[str, Callable[[Criterion, str, Json, Evidence], Verdict]] = {
    "contains": _searched("contains"),
    "not_contains": _searched("not_contains"),
    "matches": _searched("matches"),
    "sha256": _sha256,
    "min_bytes": _min_bytes,
    "max_bytes": _max_bytes,
    "fresh": _fresh,
}
