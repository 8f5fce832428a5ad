"""States of steps whose measurements are judged by their uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.reading import load_run

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
