"""Summary of the whole run in the JSON report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from pytest_orchestrator.core.events import RunStarted
from pytest_orchestrator.reports import block_schema
from pytest_orchestrator.reports.summary import count_flaky, environment, summary, verdict
from tests.blocks import parsed

if TYPE_CHECKING:
    from pytest_orchestrator.runs.block import Block

STARTED = RunStarted(
    schema_version="1.0",
    run="r",
    host="bench_3",
    environment={"python": "3.13.0", "git": {"branch": "main"}},
    resumed_from="q",
)


def block(name: str, state: str, meta: dict[str, Any] | None = None, **more: Any) -> Block:
    step = {"name": name, "node": f"x.yaml::{name}", "state": state, "index": 1, **more}
    recipe = {"path": "x.yaml", "test_meta": meta or {}}
    return parsed({"run": {"id": "r"}, "recipe": recipe, "step": step})


def test_a_summary_counts_steps_by_state() -> None:
    good = [block("a", "passed", attempt=2), block("b", "passed"), block("c", "skipped")]
    run_summary = summary({"x.yaml": good, "y.yaml": [block("a", "failed")]}, STARTED)

    assert run_summary == {
        "schema_version": "1.0",
        "run": {"id": "r", "resumed_from": "q"},
        "recipes": [
            {"recipe": "x.yaml", "verdict": "passed", "steps": {"passed": 2, "skipped": 1}},
            {"recipe": "y.yaml", "verdict": "failed", "steps": {"failed": 1}},
        ],
        "steps": {"passed": 2, "skipped": 1, "failed": 1},
        "flaky": ["x.yaml::a"],
    }
    for valid in (run_summary, summary({})):
        jsonschema.validate(valid, block_schema.summary_schema(strict=True))
    wrong: dict[str, Any] = {
        **run_summary,
        "recipes": [{"recipe": "x.yaml", "verdict": "good", "steps": {}}],
    }
    with pytest.raises(jsonschema.ValidationError, match="'good' is not one of"):
        jsonschema.validate(wrong, block_schema.summary_schema())


def test_an_environment_names_host_versions_git_and_station() -> None:
    blocks = [block("a", "passed", {"station": "B3", "operator": 7}), block("b", "passed")]

    assert environment({"x.yaml": blocks}, STARTED, {"Python": "3.13.0"}) == {
        "Python": "3.13.0",
        "host": "bench_3",
        "python": "3.13.0",
        "git": {"branch": "main"},
        "station": "B3",
        "operator": "7",
    }
    assert environment({}, None, {}) == {}


def test_a_test_that_passes_at_its_rerun_counts_as_passed() -> None:
    stages = {when: {"outcome": "passed"} for when in ("setup", "call", "teardown")}
    failed = {**stages, "call": {"outcome": "failed"}}
    report = {
        "summary": {"rerun": 2, "total": 3, "failed": 1},
        "tests": [
            {"nodeid": "a", "outcome": "rerun", **stages},
            {"nodeid": "b", "outcome": "rerun", **stages},
            {"nodeid": "c", "outcome": "failed", **failed},
        ],
    }
    count_flaky(report)

    assert report["summary"] == {"passed": 2, "total": 3, "failed": 1}
    assert [(test["outcome"], test.get("flaky")) for test in report["tests"]] == [  # type: ignore[attr-defined, index]
        ("passed", True),
        ("passed", True),
        ("failed", None),
    ]


@pytest.mark.parametrize(
    ("states", "word"),
    [
        (["passed", "failed", "blocked"], "failed"),
        (["passed", "error"], "error"),
        (["passed", "skipped", "xfailed"], "passed"),
        (["xfailed", "skipped"], "passed"),
        (["xpassed"], "passed"),
        (["skipped"], "skipped"),
        (["skipped", "blocked"], "blocked"),
        ([], "empty"),
    ],
)
def test_a_recipe_has_one_verdict_for_all_its_steps(states: list[str], word: str) -> None:
    assert verdict([block("s", state) for state in states]) == word
