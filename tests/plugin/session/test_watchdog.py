"""Watchdog: an inline step that cannot be ended is killed with pytest and recorded."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.core.events import StepFinished
from pytest_orchestrator.runs.block import plain
from pytest_orchestrator.runs.journal.reader import read_journal
from pytest_orchestrator.runs.lookup import find_run, load_record

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_BODIES = """
import signal
import time

def holds(ctx, params):
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    time.sleep(60)
"""
# Blocked at import, because the deadline may pass before the first line of the step.
_IMPATIENT = """
import signal
from pytest_orchestrator.execution.lanes import watchdog

watchdog.GRACE = 0.2
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
"""
_RECIPE = """
steps:
  - name: hold
    type: python
    module: bodies
    function: holds
    isolation: inline
    timeout: 0.2
finally:
  - {name: clean, type: shell, cmd: "true", parse: text}
"""
_REASON = "timeout: still running after 0.2 s; pytest had to be ended for it"


@pytest.fixture
def held(project: Project) -> Project:
    """A project with a step that cannot be ended, and a short grace period."""
    project.write("bodies.py", _BODIES)
    project.write("recipes/x.yaml", _RECIPE)
    project.write("impatient.py", _IMPATIENT)
    return project


@pytest.mark.parametrize("capture", ["fd", "no"])
def test_a_killed_pytest_prints_the_step_and_the_journal_contains_it(
    held: Project, capture: str
) -> None:
    ended = held.spawn("-p", "impatient", f"--capture={capture}")

    assert ended.ret == -signal.SIGKILL
    assert ended.errlines[-1] == f"orchestrator: recipes/x.yaml:7:14: step 'hold': {_REASON}"
    journal = held.path / ".orchestrator/runs/latest/journal.jsonl"
    until = time.monotonic() + 60
    while not isinstance(event := read_journal(journal).entries[-1].event, StepFinished):
        assert time.monotonic() < until
        time.sleep(0.05)
    step = event.block["step"]
    assert (step["name"], step["state"], step["kind"]) == ("hold", "failed", "timeout")
    assert step["reason"] == _REASON
    result = held.spawn("--collect-only").stdout
    result.fnmatch_lines(["*was ended before `finally` of recipes/x.yaml (clean) had run*"])


@pytest.mark.parametrize("restarts", ["0", "1"])
def test_a_timeout_that_kills_an_xdist_worker_is_reported_like_others(
    held: Project, restarts: str
) -> None:
    held.recipe("y", {"one": "", "two": ""})
    reports = ("--json-report", "--junitxml=junit.xml")

    ended = held.spawn("-p", "impatient", "-n1", f"--max-worker-restart={restarts}", *reports)

    failure = f"recipes/x.yaml:7:14: step 'hold': {_REASON}"
    assert [line for line in ended.outlines if line.startswith("recipes/x.yaml:7:")] == [failure]
    assert f"FAILED recipes/x.yaml::hold - {_REASON}" in ended.outlines
    assert "has died" not in ended.stdout.str()
    ended.stdout.fnmatch_lines(["  hold * timeout *"])
    tests = json.loads((held.path / ".report.json").read_text())["tests"]
    blocks = {one["nodeid"]: one["metadata"]["orchestrator"] for one in tests}
    step = blocks["recipes/x.yaml::hold"]["step"]
    place = {"path": "recipes/x.yaml", "line": 7, "column": 14}
    assert (step["kind"], step["reason"], step["place"]) == ("timeout", _REASON, place)
    junit = (held.path / "junit.xml").read_text()
    assert 'name="kind" value="timeout"' in junit
    assert junit.count(f'message="{_REASON}"') == 1
    assert junit.count('name="hold"') == 1
    record = load_record(find_run(held.path / ".orchestrator/runs"))
    block = record.recipes["recipes/x.yaml"].steps["hold"].block
    assert block is not None
    assert (block.step.kind, plain(block)["step"]["place"]) == ("timeout", place)
    if restarts == "1":
        assert ended.parseoutcomes() == {"failed": 1, "passed": 3}
        assert held.ran == ["one", "two"]


_HANGS = """
steps:
  - name: hang
    type: shell
    cmd: "true"
    parse: text
    timeout: 0.2s
    {key}
"""


_SLOW_CHECK = """
import time
from pytest_orchestrator.extending import Criterion

def check(wanted, evidence):
    time.sleep(1)

def pytest_recipe_criteria():
    return [
        Criterion(name="settles", type=str, description="It waits.", example="ok", check=check)
    ]
"""
_ENDLESS = "(1 | round(10**9, 'ceil')) > 0"


@pytest.mark.parametrize(
    ("key", "options"),
    [
        (f"if: {_ENDLESS}", ()),
        (f'success: {{assert: ["{_ENDLESS}"]}}', ()),
        (f'success: {{assert: ["{_ENDLESS}"]}}', ("--recipe-jobs=2",)),
    ],
)
def test_an_expression_whose_call_does_not_return_ends_pytest_after_the_timeout(
    held: Project, key: str, options: tuple[str, ...]
) -> None:
    held.write("recipes/x.yaml", _HANGS.replace("{key}", key))
    ended = held.spawn("-p", "impatient", *options)

    assert ended.ret == -signal.SIGKILL
    assert ended.errlines[-1] == f"orchestrator: recipes/x.yaml:6:14: step 'hang': {_REASON}"


def test_a_check_without_an_expression_may_take_longer_than_the_timeout(held: Project) -> None:
    held.write("recipes/x.yaml", _HANGS.replace("{key}", "success: {settles: well}"))
    held.write("conftest.py", _SLOW_CHECK)
    ended = held.spawn("-p", "impatient")

    assert ended.parseoutcomes() == {"passed": 1}
