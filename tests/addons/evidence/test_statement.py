"""The in-toto Statement of a run: its subjects and its result."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.addons.evidence.bundle import statement
from pytest_orchestrator.core.events import TestReported
from pytest_orchestrator.runs.lookup import load_record

if TYPE_CHECKING:
    from pathlib import Path

    from tests.runs.built import Runs


def made(folder: Path, files: dict[str, tuple[int, str]] | None = None) -> dict[str, Any]:
    """Return the Statement of a run with an empty manifest."""
    data = statement(load_record(folder), ("manifest.json", b""), files or {}, "run/")
    document: dict[str, Any] = json.loads(data)
    return document


def test_the_subjects_are_the_manifest_the_recipes_and_the_code(runs: Runs) -> None:
    built = runs.new(sha256="1" * 64).begin("a", digests={"b.sh": "3" * 64, "a.sh": "2" * 64})
    document = made(built.step("a").seal())

    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert document["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert [(one["name"], one["digest"]["sha256"]) for one in document["subject"]] == [
        ("manifest.json", hashlib.sha256(b"").hexdigest()),
        ("recipes/psu.yaml", "1" * 64),
        ("a.sh", "2" * 64),
        ("b.sh", "3" * 64),
    ]
    assert document["predicate"] == {
        "result": "PASSED",
        "configuration": [{"name": "recipes/psu.yaml", "digest": {"sha256": "1" * 64}}],
        "passedTests": ["recipes/psu.yaml::a"],
        "warnedTests": [],
        "failedTests": [],
    }


@pytest.mark.parametrize(
    ("outcome", "figures", "result", "where"),
    [
        ("failed", {}, "FAILED", "failedTests"),
        ("passed", {"measured": {"u": 1.0}, "limits": {"marginal": True}}, "WARNED", "warnedTests"),
        ("skipped", {}, "FAILED", ""),
    ],
)
def test_the_result_is_that_of_the_run(
    runs: Runs, outcome: str, figures: dict[str, Any], result: str, where: str
) -> None:
    built = runs.new().begin("a").step("a", outcome, **figures)
    predicate = made(built.seal(exit_status=int(outcome != "passed")))["predicate"]

    assert predicate["result"] == result
    names = {name: predicate[name] for name in ("passedTests", "warnedTests", "failedTests")}
    assert {name for name, tests in names.items() if tests} == ({where} if where else set())


def test_an_expected_failure_is_a_warning(runs: Runs) -> None:
    built = runs.new().begin("a", "b").step("a")
    built.step("b", "failed", kind="status", reason="status is failed")
    recipe = built.recipe
    built.add(TestReported(node=f"{recipe}::b", outcome="xfailed", recipe=recipe, step="b"))
    built.add(TestReported(node="t.py::t", outcome="passed"))
    predicate = made(built.seal())["predicate"]

    assert predicate["result"] == "WARNED"
    assert predicate["passedTests"] == ["recipes/psu.yaml::a", "t.py::t"]
    assert predicate["warnedTests"] == ["recipes/psu.yaml::b"]


def test_a_killed_run_has_failed(runs: Runs) -> None:
    built = runs.new().begin("a", "b").step("a")
    built.start("b")
    predicate = made(built.cut())["predicate"]

    assert (predicate["result"], predicate["failedTests"]) == ("FAILED", ["recipes/psu.yaml::b"])
