"""Start, stop and seconds of a step: the same in all reports."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from pytest_orchestrator.runs.block import from_block
from pytest_orchestrator.runs.lookup import find_run, load_record

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_TIMES = """
def write(ctx, params):
    ctx.set(f"{params['name']}.first", True)
    ctx.set(f"{params['name']}.last", True)
    return {"status": "ok"}

def fail_once(ctx, params):
    assert ctx.increment("tries.count") > 1
    return {"status": "ok"}
"""
_CALL = "type: python, module: times, function: write, needs: [], params: {name: %s}"
_STEPS = {
    "python": f"{_CALL % 'python'}, outputs: {{python.output: 5}}",
    "shell": "type: shell, cmd: 'sleep 0.01', parse: text, needs: [], outputs: {shell.output: 5}",
    "again": "type: python, module: times, function: fail_once, needs: [], "
    "retry: {attempts: 2, delay: 20ms}",
    "late": f"{_CALL % 'late'}, retry: {{attempts: 2, until: attempt > 1}}, outputs: {{late.o: 5}}",
}
_INLINE = {"inline": f"{_CALL % 'inline'}, isolation: inline"}


@pytest.fixture(params=["one by one", "--recipe-jobs=2", "-n1"])
def ran(request: pytest.FixtureRequest, project: Project) -> pytest.RunResult:
    """A run of steps of each type; with --recipe-jobs none of them is inline."""
    project.write("times.py", _TIMES)
    options = [request.param] if request.param.startswith("-") else []
    project.recipe("x", _STEPS if "--recipe-jobs=2" in options else _STEPS | _INLINE)
    reports = ("--json-report", "--json-report-file=report.json", "--junitxml=junit.xml")
    result = project.spawn(*options, *reports, "-vv", "--durations=0")
    assert result.ret == 0
    return result


def _tests(project: Project) -> dict[str, dict[str, Any]]:
    tests = json.loads((project.path / "report.json").read_text())["tests"]
    return {test["nodeid"].partition("::")[2]: test for test in tests}


def _block(test: dict[str, Any]) -> dict[str, Any]:
    block: dict[str, Any] = test["metadata"]["orchestrator"]
    return block


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.usefixtures("ran")
def test_the_window_of_a_step_contains_its_step_code_and_its_changes(project: Project) -> None:
    for name, test in _tests(project).items():
        block = _block(test)
        time = block["time"]
        start, stop = _seconds(time["start"]), _seconds(time["stop"])
        changes = [_seconds(one["ts"]) for one in block["context"]["writes"]]
        assert changes, name
        assert [one for one in changes if not start <= one <= stop] == []
        assert _seconds(time.get("last_start", time["start"])) + time["seconds"] <= stop + 0.001


def test_seconds_are_those_of_the_step_code_in_all_reports(
    project: Project, ran: pytest.RunResult
) -> None:
    cases = ElementTree.parse(project.path / "junit.xml").getroot().iter("testcase")
    junit = {str(one.get("name")): float(str(one.get("time"))) for one in cases}
    durations = {
        match[2]: match[1]
        for line in ran.outlines
        if (match := re.match(r"(\d+\.\d\d)s call +recipes/x\.yaml::(\w+)$", line))
    }
    table = {line.split()[0]: line.split() for line in ran.outlines if re.match(r" \w+ ", line)}
    record = load_record(find_run(project.path / ".orchestrator/runs"))
    for name, test in _tests(project).items():
        block = _block(test)
        seconds = block["resources"]["seconds"]
        assert block["time"]["seconds"] == seconds
        assert test["call"]["duration"] == seconds
        assert durations[name] == f"{seconds:.2f}"
        assert f"{seconds:.2f}" in table[name]
        others = sum(test[when]["duration"] for when in ("setup", "teardown"))
        assert junit[name] == pytest.approx(seconds + others, abs=0.002)
        step = record.recipes["recipes/x.yaml"].steps[name]
        assert (step.start, step.block) == (block["time"]["start"], from_block(block))
