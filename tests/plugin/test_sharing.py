"""pytest-xdist: the workers of a session have one Context."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.run.runs import found, load

if TYPE_CHECKING:
    from pytest_orchestrator.run.record import RunRecord
    from tests.plugin.conftest import Project

_CONFTEST = """
import json
from pathlib import Path

from pytest_orchestrator.plugin.state import state_of


def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):
        context = state_of(session.config).context
        told = {"values": context.to_dict(), "count": len(context.get_history("count"))}
        Path("context.json").write_text(json.dumps(told))
"""
_TESTS = """
import pytest


@pytest.mark.parametrize("number", range(4))
def test_count(ctx, number):
    for _ in range(100):
        ctx.increment("count")
    ctx.append("tests", number)
"""
_STEP = """
def step(ctx, params):
    for _ in range(50):
        ctx.increment("count")
    ctx.append("steps", params["name"], who=params["name"])
    return {"status": "ok"}
"""


@pytest.fixture
def counting(project: Project) -> Project:
    """Four tests and two recipes that count in one Context."""
    project.write("conftest.py", _CONFTEST)
    project.write("test_x.py", _TESTS)
    project.write("counts.py", _STEP)
    for name in ("a", "b"):
        own = "context: recipe\n" if name == "b" else ""
        call = f"type: python, module: counts, function: step, params: {{name: {name}}}"
        shell = "type: shell, parse: text, cmd: 'echo $TOKEN_OF_IT', needs: [one]"
        text = f"steps:\n  - {{name: one, {call}}}\n  - {{name: two, {shell}}}\n"
        project.write(f"recipes/{name}.yaml", own + text)
    return project


def test_all_workers_write_to_one_context(counting: Project) -> None:
    result = counting.spawn("-n", "3")
    told = (counting.path / "context.json").read_text()

    assert result.parseoutcomes() == {"passed": 8}
    assert '"count": 450' in told
    assert '"count": 450}' in told
    assert sorted(told.partition('"tests": [')[2].partition("]")[0].split(", ")) == list("0123")
    assert '"steps": ["a"]' in told
    assert "ResourceWarning" not in result.stderr.str()
    _check(load(found(counting.path / ".orchestrator/runs")))


def _check(record: RunRecord) -> None:
    """All that happened in three processes is in one journal."""
    assert record.state == "finished"
    assert {step.name: step.state for step in record.steps} == {"one": "passed", "two": "passed"}
    assert {recipe.about["name"] for recipe in record.recipes.values()} == {"a", "b"}
    assert record.changes.values()["count"] == 450
    assert record.changes.values("recipes/b.yaml")["count"] >= 50
    assert {one.by for one in record.changes.history("steps")} == {"recipes/a.yaml::one"}
    assert len(record.tests) == 8
    workers = {test.worker for test in record.tests.values()}
    assert workers <= {"gw0", "gw1", "gw2"}
    assert len(workers) > 1


def test_workers_that_run_everything_each_share_nothing(counting: Project) -> None:
    result = counting.spawn("-n", "2", "--dist", "each")

    assert result.parseoutcomes() == {"passed": 16}
    assert '"values": {}' in (counting.path / "context.json").read_text()
