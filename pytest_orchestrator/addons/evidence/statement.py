"""in-toto Statement of a run: its test results, bound to the manifest of its bundle.

The Statement has version 1 and the predicate test-result version 0.1. It is computed from the
journal and the manifest alone, so a verification computes it again and compares the bytes.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from pytest_orchestrator.reading import (
    NOT_GOOD,
    NOT_REACHED,
    RecipeRecord,
    RunRecord,
    flaky,
    is_good,
    marginal_count,
    verdict,
)

STATEMENT: Final = "statement.json"
"""Name of the Statement in a bundle."""
TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://in-toto.io/attestation/test-result/v0.1"

_FAILED: Final = NOT_GOOD | {"not run"}
_EXPECTED: Final = frozenset({"xfailed", "xpassed"})
_PASSED: Final = frozenset({"passed", "restored"})

Files = Mapping[str, tuple[int, str]]


def statement(run: RunRecord, manifest: tuple[str, bytes], files: Files, folder: str) -> bytes:
    """Return the Statement of a run as JSON.

    Args:
        run: The run.
        manifest: Name and content of the manifest, the first subject.
        files: Size in bytes and SHA-256 of each file in the manifest, by path.
        folder: Path of the run folder in the bundle, with a slash at its end.
    """
    name, data = manifest
    subjects = dict.fromkeys([(name, hashlib.sha256(data).hexdigest()), *_subjects(run)])
    for path in _artifacts(run):
        if folder + path in files:
            subjects[folder + path, files[folder + path][1]] = None
    document = {
        "_type": TYPE,
        "subject": [_described(one, digest) for one, digest in subjects],
        "predicateType": PREDICATE,
        "predicate": _predicate(run),
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def _predicate(run: RunRecord) -> dict[str, Any]:
    shaky = {f"{step.recipe}::{step.name}" for step in flaky(run.steps)}
    names: dict[str, list[str]] = {"passedTests": [], "warnedTests": [], "failedTests": []}
    for step in run.steps:
        name = f"{step.recipe}::{step.name}"
        if step.state in _FAILED:
            names["failedTests"].append(name)
        elif step.state in _EXPECTED or name in shaky or marginal_count(step.block):
            names["warnedTests"].append(name)
        elif step.state in _PASSED:
            names["passedTests"].append(name)
    for test in run.tests.values():
        for field, states in zip(names, (_PASSED, _EXPECTED, _FAILED), strict=True):
            if test.step is None and test.outcome in states:
                names[field].append(test.node)
    names["failedTests"] += [one.path for one in run.uncollected]
    result = "FAILED"
    if is_good(verdict(run)):
        result = "WARNED" if names["warnedTests"] else "PASSED"
    configuration = [_described(*one) for one in dict.fromkeys(_configuration(run))]
    return {"result": result, "configuration": configuration, **names}


def _subjects(run: RunRecord) -> Iterator[tuple[str, str]]:
    """Yield path and SHA-256 of the recipes that ran, and of the files that their steps ran."""
    for recipe in run.recipes.values():
        if any(step.state not in NOT_REACHED for step in recipe.steps.values()):
            yield from _recipe(recipe)
            yield from sorted(recipe.digests.items())


def _configuration(run: RunRecord) -> Iterator[tuple[str, str]]:
    for recipe in run.recipes.values():
        yield from _recipe(recipe)
    station = run.started.environment.get("station_file") if run.started else None
    if station:
        yield str(station["path"]), str(station["sha256"])


def _recipe(recipe: RecipeRecord) -> Iterator[tuple[str, str]]:
    if digest := recipe.about.get("sha256"):
        yield str(recipe.about.get("path", recipe.key)), str(digest)


def _artifacts(run: RunRecord) -> Iterator[str]:
    for step in run.steps:
        yield from (one.file.recorded_path for one in step.artifacts)


def _described(name: str, digest: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": digest}}
