"""Success criteria of Python steps, in their own process and inline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_STEP = """
import subprocess
import sys


def measure(ctx, params):
    print("ripple: 61 mV")
    print("oops", file=sys.stderr)
    subprocess.Popen(["sleep", "60"], start_new_session=True)
    return {"status": "ok", "ripple": 61}
"""
_RECIPE = """
steps:
  - name: measure
    type: python
    module: bench
    function: measure
    success:
      stdout_contains: '61 mV'
      stderr_not_contains: oops
      max_rss_mb: 1
      max_cpu_seconds: 60
      leftover_processes: 0
      max_seconds: 60
      result_schema: {properties: {ripple: {maximum: 50}}}
"""


@pytest.fixture
def bench(project: Project) -> Project:
    """A project with a Python step with many criteria."""
    project.write("bench.py", _STEP)
    project.write("recipes/x.yaml", _RECIPE)
    return project


def test_all_process_criteria_apply_to_a_python_step(bench: Project) -> None:
    criteria = bench.blocks("-W", "ignore")["measure"]["criteria"]

    assert {one["name"]: one["held"] for one in criteria} == {
        "stdout_contains": True,
        "stderr_not_contains": False,
        "max_rss_mb": False,
        "max_cpu_seconds": True,
        "leftover_processes": False,
        "max_seconds": True,
        "result_schema": False,
    }
    actual = {one["name"]: one.get("reason", "") for one in criteria}
    assert actual["stderr_not_contains"] == "'oops' is in line 1 of stderr"
    assert actual["leftover_processes"].startswith("left 1 running, limit 0 (1 above): sleep (pid ")
    assert actual["result_schema"] == "result.ripple is 61, maximum 50 (11 above, 22 %)"


def test_process_criteria_are_skipped_under_a_debugger(bench: Project) -> None:
    bench.write("bench.py", _STEP.replace('"60"', '"0"'))
    bench.write("recipes/x.yaml", _RECIPE.replace("maximum: 50", "maximum: 70"))

    criteria = bench.blocks("--pdb")["measure"]["criteria"]

    assert [one["name"] for one in criteria] == ["max_seconds", "result_schema"]


def test_process_criteria_are_refused_for_inline_steps(bench: Project) -> None:
    text = _RECIPE.replace("function: measure", "function: measure\n    isolation: inline")
    bench.write("recipes/x.yaml", text)

    bench.run().stdout.fnmatch_lines(
        [
            "recipes/x.yaml:8:7: 'stdout_contains' needs a process of its own, and step 'measure'*",
            "*",
            "   8 |       stdout_contains: '61 mV'",
            "     |       ^^^^^^^^^^^^^^^",
            "*5 problems*",
        ]
    )
