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


_SAMPLED = """
decision: {rule}
sampling:
  rail: {{cmd: echo {volts}, every: 1s, high: 2.55, unit: V, uncertainty: {band}}}
steps: [{{name: a, type: shell, cmd: "true", parse: text}}]
"""


@pytest.mark.parametrize(
    ("rule", "volts", "band", "word", "said"),
    [
        ("simple", 2.549, "0.004", "passed", ""),
        ("nonbinary", 2.546, "0.004", "passed", ""),
        ("nonbinary", 2.549, "0.004", "conditional pass", ""),
        ("nonbinary", 2.549, "{percent: 0.01, k: 1}", "passed", ""),
        (
            "nonbinary",
            2.552,
            "0.004",
            "error",
            (
                "a sample = 2.552 V, max 2.550 V (0.002 V above, 0.0784 %), U = 0.004 V: "
                "conditional fail, while a ran"
            ),
        ),
        (
            "guarded",
            2.549,
            "0.004",
            "error",
            (
                "a sample = 2.549 V, max 2.550 V, U = 0.004 V: not accepted (inside the limit), "
                "while a ran"
            ),
        ),
        (
            "guarded",
            0,
            "{percent: 1}",
            "error",
            "a sample was not decided: its uncertainty is no positive number, while a ran",
        ),
    ],
)
def test_each_sample_is_judged_by_the_rule_and_its_uncertainty(
    project: Project, rule: str, volts: float, band: str, word: str, said: str
) -> None:
    project.write("recipes/x.yaml", _SAMPLED.format(rule=rule, volts=volts, band=band))

    result = project.run("recipes")

    run = load_run(project.path / ".orchestrator/runs/latest").record
    assert verdict(run) == word
    assert (result.ret == 0) == (not said)
    (sampled,) = (step for step in run.steps if step.sampled)
    assert sampled.reason == said
    if word == "conditional pass":
        assert sampled.block is not None
        assert [one.decided for one in sampled.block.measurements or ()] == [word] * 3
