"""States of steps whose measurements are judged by their uncertainty."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.addons.evidence.bundle import statement
from pytest_orchestrator.reading import load_run, verdict, verdict_of
from pytest_orchestrator.runs.index.past_runs import read_all

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_JUDGED = """
decision: nonbinary
steps:
  - name: rail
    type: shell
    cmd: echo 2.549
    parse: data
    measurements: {rail: {value: result, high: 2.55, unit: V, uncertainty: 0.004}}
"""
_NEXT = """
  - {name: next, type: shell, cmd: test -e go, parse: text}
"""
_EXPECTS = """
import pytest

def pytest_itemcollected(item):
    if item.name == "rail":
        item.add_marker(pytest.mark.xfail(strict=False))
"""
_SAID = """
steps:
  - name: rail
    type: shell
    cmd: "true"
    parse: text
    outputs: {unit.answer_v1: "${{ {'state': 'conditional pass'} }}"}
"""


@pytest.mark.counted
@pytest.mark.parametrize(
    ("recipe", "state"),
    [(_JUDGED, "conditional pass"), (_SAID, "passed")],
    ids=["by its measurement", "in a value of the step"],
)
def test_a_conditional_pass_is_that_of_a_measurement(
    project: Project, recipe: str, state: str
) -> None:
    project.write("recipes/x.yaml", recipe)

    project.run("recipes").assert_outcomes(passed=1)

    run = load_run(project.path / ".orchestrator/runs/latest")
    (step,) = run.record.steps
    assert step.state == state


@pytest.mark.parametrize("state", ["restored", "xpassed"])
def test_a_conditional_pass_stays_one_if_its_step_is_restored_or_xpassed(
    project: Project, state: str
) -> None:
    project.write("recipes/x.yaml", f"{_JUDGED}    idempotent: true\n{_NEXT}")
    if state == "xpassed":
        project.write("conftest.py", _EXPECTS)
        project.write("go", "")
    else:
        project.run("recipes").assert_outcomes(passed=1, failed=1)
        project.write("go", "")
        project.forget()
    given = ["--recipe-resume"] * (state == "restored")

    result = project.run("recipes", *given, "--json-report", "--json-report-file=r.json")

    assert result.ret == 0
    run = load_run(project.path / ".orchestrator/runs/latest").record
    (recipe,) = run.recipes.values()
    assert recipe.steps["rail"].state == state
    said = json.loads((project.path / "r.json").read_text())["orchestrator"]["recipes"][0]
    past = [one.verdict for one in read_all(project.path / ".orchestrator/runs")]
    words = [verdict(run), verdict_of(recipe), said["verdict"], past[0]]
    assert words == ["conditional pass"] * 4
    proof = json.loads(statement(run, ("m", b""), {}, ""))["predicate"]["result"]
    assert proof == "WARNED"
    result.stdout.re_match_lines(["recipes/x.yaml +conditional pass.*"])
