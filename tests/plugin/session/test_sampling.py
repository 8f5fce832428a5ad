"""A sampled value outside its limits is an error of the session; reports show its curve."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

RECIPE = """
sampling:
  case: {module: bench, function: temperature, every: 10ms, high: 85, unit: °C}
  good: {cmd: echo 5, every: 10ms}
steps:
- {name: first, type: shell, parse: text, cmd: 'until [ -e cool ]; do sleep 0.005; done'}
- name: burn
  type: shell
  parse: text
  cmd: |
    rm cool
    until [ -e cool ]; do sleep 0.005; done  # the next sample begins while this step runs
    echo 90 > temp
    until [ -e seen ]; do sleep 0.005; done
- {name: last, type: shell, parse: text, cmd: rm -f temp}
"""
BENCH = """
from pathlib import Path

def temperature():
    temp = Path("temp")
    value = float(temp.read_text() or 20) if temp.exists() else 20
    Path("seen" if value > 85 else "cool").touch()
    return value
"""


@pytest.fixture
def hot(project: Project) -> Project:
    project.write("bench.py", BENCH)
    project.write("recipes/s.yaml", RECIPE)
    project.write(
        "recipes/next.yaml", "needs: [recipes/s.yaml]\nsteps: [{name: n, type: shell, cmd: x}]"
    )
    return project


@pytest.mark.counted
def test_a_violation_is_an_error_that_all_reports_show(hot: Project) -> None:
    options = ("--json-report", "--json-report-file=r.json", "--junit-xml=j.xml")
    result = hot.run("-o", "recipe_html=true", "--recipe-table=all", *options)

    assert result.ret == 1
    result.assert_outcomes(passed=3, errors=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "recipes/s.yaml:2:*: sampling 'case': 90 °C is above the limit 85 °C, while burn ran",
            "samples    * in * s, every 0.01 s, 20 to 90 °C*",
            "rerun      pytest recipes/s.yaml",
            " case * error *",
            "sampled    case: 20 to 90 °C, * samples*",
            "sampled    good: 5 to 5, * sample*",
        ]
    )
    tests = json.loads((hot.path / "r.json").read_text())["tests"]
    by_id = {test["nodeid"]: test for test in tests}
    assert [*by_id] == [
        *(f"recipes/s.yaml::{name}" for name in ("first", "burn", "last", "case")),
        "recipes/next.yaml::n",
    ]
    case = by_id["recipes/s.yaml::case"]
    block = case["metadata"]["orchestrator"]
    assert case["outcome"] == "error"
    assert block["step"]["sampled"] is True
    assert block["curve"]["samples"] == len(block["curve"]["points"])
    assert {one["name"]: one["verdict"] for one in block["measurements"]} == {
        "min": "pass",
        "mean": "pass",
        "max": "fail",
    }
    suite = ET.parse(hot.path / "j.xml").getroot()[0]
    assert "case" in [one.get("name") for one in suite.iter("testcase")]
    properties = {one.get("name"): one.get("value") for one in suite.iter("property")}
    assert properties["measurement.max.value"] == "90.0"
    assert properties["recipes/s.yaml::good.measurement.max.value"] == "5"
    (page,) = hot.path.glob(".orchestrator/runs/2*/report.html")
    assert len(re.findall(r'<span class="quiet">\d+ samples?, every', page.read_text())) == 2
    journal = (page.parent / "journal.jsonl").read_text().splitlines()
    samples = [one for one in map(json.loads, journal) if one["event"] == "sample_taken"]
    values = [one["value"] for one in samples if one["name"] == "case"]
    assert values == [value for _, value in block["curve"]["points"]]
    assert any(one.get("is_outside") for one in samples)

    # A step that ran while the limit was violated runs again, and a new segment begins.
    (hot.path / "seen").unlink()
    resumed = hot.run("--recipe-resume=latest", "recipes/s.yaml", "-rs")
    resumed.assert_outcomes(errors=1, passed=3)
    resumed.stdout.fnmatch_lines(["*(sampling 'case' was outside its limits there)*"])
    journals = hot.path.glob(".orchestrator/runs/2*/journal.jsonl")  # perhaps of one second
    assert sum('"segment":2' in one.read_text() for one in journals) == 1


@pytest.mark.parametrize("options", [["-n", "2"], ["--recipe-jobs", "2"]])
def test_values_are_sampled_in_workers_and_beside_parallel_steps(
    hot: Project, options: list[str]
) -> None:
    result = hot.run("recipes/s.yaml", *options)

    assert result.ret == 1
    result.assert_outcomes(passed=3, errors=1)


VIOLATED = """
sampling:
  t: {cmd: echo 99, every: 100ms, high: 10}
  u: {cmd: echo 99, every: 100ms, high: 10}
steps:
- name: db
  type: shell
  cmd: 'echo $$ > pid; until [ -e go ]; do sleep 0.01; done; exit 3'
  background: true
  ready: {file: pid}
- {name: a, type: shell, parse: text, cmd: 'touch go; while kill -0 "$(cat pid)"; do :; done'}
finally: [{name: f, type: shell, parse: text, cmd: ':'}]
"""


@pytest.mark.parametrize("options", [[], ["-n", "2"]])
def test_a_violation_and_a_dead_service_are_reported_with_their_own_ids(
    project: Project, options: list[str]
) -> None:
    project.write("recipes/v.yaml", VIOLATED)

    result = project.run(*options, "-rE", "--junit-xml=j.xml", "--json-report")

    result.assert_outcomes(passed=3, errors=3)
    output = result.stdout.str()
    shown = {line.split()[1] for line in output.splitlines() if line.startswith("ERROR recipes")}
    assert shown == {f"recipes/v.yaml::{name}" for name in ("t", "u", "db")}
    failed = project.path / ".pytest_cache" / "v" / "cache" / "lastfailed"
    assert json.loads(failed.read_text()).keys() == shown
    cases = [str(one.get("name")) for one in ET.parse(project.path / "j.xml").iter("testcase")]
    assert {*cases} == {"a", "db", "f", "t", "u"}
    tests = json.loads((project.path / ".report.json").read_text())["tests"]
    blocks = [test["metadata"]["orchestrator"]["step"]["name"] for test in tests]
    assert sorted(blocks) == ["a", "db", "f", "t", "u"]
    percents = [int(one) for one in re.findall(r"\[ *(\d+)%\]", output)]
    assert max(percents) == 100


def test_last_failed_runs_the_recipe_of_a_violated_limit_until_it_is_kept(hot: Project) -> None:
    assert hot.run("recipes/s.yaml").ret == 1
    hot.write("recipes/s.yaml", RECIPE.replace("high: 85", "high: 99"))

    hot.run("--lf", "recipes/s.yaml").assert_outcomes(passed=3)
    cache = hot.path / ".pytest_cache" / "v" / "cache" / "lastfailed"
    assert not cache.exists() or json.loads(cache.read_text()) == {}


def test_each_cell_of_a_matrix_samples_for_itself(project: Project) -> None:
    project.write(
        "recipes/m.yaml",
        """
        matrix: {n: [1, 2]}
        sampling: {v: {cmd: 'echo ${{ matrix.n }}', high: 1}}
        steps: [{name: s, type: shell, parse: text, cmd: ':'}]
        """,
    )
    result = project.run("-rE")

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["ERROR recipes/m.yaml::v?n:2? - 2 is above the limit 1*"])


def test_a_value_whose_steps_are_not_selected_is_not_sampled(hot: Project) -> None:
    text = RECIPE.replace("every: 10ms", "from: burn, to: burn")
    hot.write("recipes/s.yaml", text.replace("[ -e cool ]", "true"))

    result = hot.run("recipes/s.yaml::first")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("sampled*")
