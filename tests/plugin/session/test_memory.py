"""A session keeps little memory per reported step, because a night has a hundred thousand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

pytestmark = [pytest.mark.nightly, pytest.mark.own_interpreters]

STEPS = 120

COUNTING = """
import gc, json

ends, grown = [], {}

def pytest_runtest_logfinish(nodeid):
    if len(ends) % 60 == 59:
        gc.collect()
        grown.setdefault("recipes" if ".yaml" in nodeid else "tests", []).append(
            len(gc.get_objects())
        )
    ends.append(nodeid)

def pytest_unconfigure():
    with open("grown.json", "w") as file:
        json.dump(grown, file)
"""


def test_a_step_leaves_no_more_than_a_test_does(project: Project) -> None:
    names = [f"s{number:03}" for number in range(STEPS)]
    inline = "type: python, module: bench, function: measure, isolation: inline"
    lines = "".join(f"  - {{name: {name}, {inline}}}\n" for name in names)
    project.write("recipes/long.yaml", f"steps:\n{lines}")
    project.write("bench.py", "def measure(): return {'status': 'ok', 'volts': [1, 2, 3]}\n")
    tests = "".join(f"def test_{name}(): pass\n" for name in names)
    project.write("test_long.py", tests)
    project.write("conftest.py", COUNTING)

    # In a process of its own, because other tests may free memory in this one.
    project.spawn("recipes", "test_long.py").assert_outcomes(passed=2 * STEPS)

    grown = json.loads((project.path / "grown.json").read_text())
    first, last = grown["recipes"]
    ours = (last - first) / 60
    theirs = (grown["tests"][1] - grown["tests"][0]) / 60
    assert ours - theirs < 7, (ours, theirs)


@pytest.mark.parametrize("arguments", [(), ("--keep-duplicates",)])
def test_a_step_named_twice_is_reported_as_often_as_pytest_runs_it(
    project: Project, arguments: tuple[str, ...]
) -> None:
    project.recipe("x", {"one": "", "two": ""})

    result = project.run("recipes/x.yaml", "recipes/x.yaml", *arguments)

    assert result.ret == 0
    assert project.ran == ["one", "two"]
