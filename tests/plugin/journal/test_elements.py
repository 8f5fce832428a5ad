"""Steps with `foreach` in a session: one item, an event for each element, and their resume."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.runs.lookup import find_run

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

RECIPE = """\
steps:
  - name: points
    type: shell
    cmd: cat points.json
    parse: data
    outputs: {psu.points_v1: "${{ result }}"}
  - name: sweep
    type: python
    module: bench
    function: measure
    KEYS
    foreach: ctx.psu.points_v1
    params: {volts: "${{ item }}"}
    measurements: {volts: {value: result.volts, unit: V, low: 0, high: "${{ item + 1 }}"}}
    outputs: {psu.volts_v1: "${{ result.volts }}"}
"""
MODULE = """\
from pathlib import Path

def measure(ctx, volts):
    ctx.append("order", volts)
    print("at", volts, "V")
    with open("ran.txt", "a") as ran:
        print(volts, file=ran)
    assert volts != 3 or Path("good").exists()
    return {"status": "ok", "volts": volts}
"""


class Loop:
    """Project with a sweep over ten points, of which the one at index 3 fails."""

    def __init__(self, project: Project, keys: str = "idempotent: true") -> None:
        self.project = project
        project.write("points.json", json.dumps(list(range(10))))
        project.write("bench.py", MODULE)
        project.write("recipes/x.yaml", RECIPE.replace("KEYS", keys))

    def run(self, *args: str) -> pytest.RunResult:
        return self.project.run("recipes", *args)

    @property
    def ran(self) -> list[int]:
        """The points whose step code ran since the last call, in order."""
        path = self.project.path / "ran.txt"
        ran = [int(line) for line in path.read_text().split()] if path.exists() else []
        path.unlink(missing_ok=True)
        return ran

    @property
    def journal(self) -> list[dict[str, Any]]:
        path = find_run(self.project.path / ".orchestrator" / "runs") / "journal.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    @property
    def elements(self) -> list[str]:
        """The state of each element in the block of the last run."""
        return [element["state"] for element in self.blocks]

    @property
    def blocks(self) -> list[dict[str, Any]]:
        """The part of each element in the block of the last run."""
        (block,) = (
            event["block"]
            for event in self.journal
            if (event["event"], event.get("step")) == ("step_finished", "sweep")
        )
        elements: list[dict[str, Any]] = block["elements"]
        return elements

    def cut(self, element: int) -> None:
        """Truncate the journal of the last run as if pytest was killed at an element."""
        path = find_run(self.project.path / ".orchestrator" / "runs") / "journal.jsonl"
        start = next(
            event["n"]
            for event in self.journal
            if (event["event"], event.get("element")) == ("step_started", element)
        )
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:start]))
        assert self.ran


def test_a_run_killed_at_element_7_resumes_with_the_elements_that_have_not_passed(
    project: Project,
) -> None:
    loop = Loop(project)
    assert loop.run().parseoutcomes() == {"passed": 1, "failed": 1}
    loop.cut(7)
    # The element at index 3 fails again: it runs, and the run is red.
    assert loop.run("--recipe-resume").parseoutcomes() == {"skipped": 1, "failed": 1}
    assert loop.ran == [3, 7, 8, 9]
    kept = ["restored"] * 3 + ["failed"] + ["restored"] * 3 + ["passed"] * 3
    assert loop.elements == kept
    project.write("good", "")
    assert loop.run("--recipe-resume").parseoutcomes() == {"skipped": 1, "passed": 1}
    assert loop.ran == [3]
    context = {event["key"]: event for event in loop.journal if event["event"] == "context_changed"}
    assert context["psu.volts_v1"]["new"] == list(range(10))
    # The changes of kept elements are made again, in order; those of element 3 only once.
    order = [
        event["new"]
        for event in loop.journal
        if event["event"] == "context_changed" and event["key"] == "order"
    ]
    assert order == list(range(10))
    # A run whose step passed is restored as a whole.
    assert loop.run("--recipe-resume").parseoutcomes() == {"skipped": 2}
    assert (loop.ran, loop.elements) == ([], ["restored"] * 10)


def test_the_measurements_of_a_kept_element_are_recorded_as_they_were(project: Project) -> None:
    loop = Loop(project)
    recipe = project.path / "recipes/x.yaml"
    recipe.write_text(recipe.read_text().replace("low: 0,", "low: 0, marginal: {low: 1},"))
    loop.run()
    first = loop.blocks[0]["measurements"]
    assert first[0]["marginal"]

    loop.run("--recipe-resume")

    assert loop.blocks[0]["state"] == "restored"
    assert loop.blocks[0]["measurements"] == first


def test_all_elements_run_again_if_the_list_or_the_step_has_changed(project: Project) -> None:
    loop = Loop(project)
    loop.run()
    project.write("points.json", "[0, 1, 3]")
    loop.cut(7)
    # Another list, because the step before it runs again.
    loop.run("--recipe-resume", "--recipe-rerun=points")
    assert loop.ran == [0, 1, 3]
    project.write("bench.py", f"{MODULE}\n")
    loop.run("--recipe-resume")
    assert loop.ran == [0, 1, 3]


@pytest.mark.counted
def test_an_interrupted_element_runs_again_only_after_confirmation(project: Project) -> None:
    loop = Loop(project, "idempotent: false")
    loop.run()
    loop.cut(7)
    project.write("good", "")
    refused = loop.run("--recipe-resume", "-o", "recipe_html=true")
    assert refused.parseoutcomes() == {"skipped": 1, "errors": 1}
    assert loop.ran == []
    page = find_run(project.path / ".orchestrator" / "runs") / "report.html"
    assert page.read_text().count("restored") >= 6
    # The refused run has the elements of the run before it.
    outcomes = loop.run("--recipe-resume", "--recipe-rerun=sweep").parseoutcomes()
    assert outcomes == {"skipped": 1, "passed": 1}
    assert loop.ran == [3, 7, 8, 9]


@pytest.mark.parametrize("args", [("--recipe-jobs=2",), ("-n2",), ("-p", "no:cacheprovider")])
def test_a_loop_is_one_item_however_its_session_runs(project: Project, args: Any) -> None:
    loop = Loop(project)
    result = loop.run(*args)
    assert result.parseoutcomes() == {"passed": 1, "failed": 1}
    assert loop.ran == list(range(10))
    assert loop.elements == ["passed"] * 3 + ["failed"] + ["passed"] * 6
    counted = [event["element"] for event in loop.journal if event["event"] == "element_finished"]
    assert counted == list(range(10))
    assert [event["elements"] for event in loop.journal if "elements" in event] == [10]
    # The captured output is that of the element that failed.
    assert "at 3 V" in result.stdout.str()
    assert "at 2 V" not in result.stdout.str()
    result.stdout.fnmatch_lines(
        [
            "elements   1 of 10 failed",
            "  [[]3[]] 3: AssertionError: assert (3 != 3 or False)",
            "FAILED recipes/x.yaml::sweep - [[]3[]] 3: AssertionError: assert *",
        ]
    )


MEASURE = """\
def measure(ctx, item):
    assert item < 499
    return {"status": "ok"}
"""


def test_a_failing_500th_element_is_shown_by_its_element(project: Project) -> None:
    project.write("bench.py", MEASURE)
    project.write(
        "recipes/x.yaml",
        f"""
        steps:
          - {{name: sweep, type: python, module: bench, function: measure, isolation: inline,
             foreach: {list(range(500))}, params: {{item: "${{{{ item }}}}"}}}}
        """,
    )
    result = project.run("recipes", "--junitxml=junit.xml")
    assert result.parseoutcomes() == {"failed": 1}
    result.stdout.fnmatch_lines(
        [
            "elements   1 of 500 failed",
            "  [[]499[]] 499: AssertionError: assert 499 < 499",
            "FAILED recipes/x.yaml::sweep - [[]499[]] 499: AssertionError: assert 499 < 499",
        ]
    )
    written = (project.path / "junit.xml").read_text()
    assert '<failure message="[499] 499: AssertionError: assert 499 &lt; 499' in written
