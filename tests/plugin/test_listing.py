"""`pytest --list-steps`."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugin.conftest import Project

PLUGIN = '''
from typing import Annotated
import msgspec
from msgspec import Meta
from pytest_orchestrator.extending import StepType

class Measure(StepType):
    """Measures a channel."""

    name = "measure"

    class Keys(msgspec.Struct):
        channel: Annotated[int, Meta(description="The channel.", examples=[1])]
        text: Annotated[str, Meta(description="What to say.", examples=["hi"])] = "hi"

    def run(self, keys, ctx, env):
        return {"status": "ok"}

def pytest_recipe_step_types(config):
    return [Measure]
'''


_WITHOUT_DEV = """
import sys
from importlib.machinery import PathFinder

class Find:
    found = PathFinder.find_spec

    def __call__(self, name, path=None, target=None):
        return None if name in ("sybil", "hypothesis") else self.found(name, path, target)

PathFinder.find_spec = Find()  # unlike a function it is bound to no object
import pytest
sys.exit(pytest.main(["--list-steps", "-p", "no:hypothesispytest"]))
"""


@pytest.mark.own_interpreters
def test_a_clone_without_the_tools_of_development_lists_its_steps() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_DEV],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "sample_step" in done.stdout


@pytest.mark.counted
def test_scriptlets_and_step_types_are_listed_and_nothing_runs(project: Project) -> None:
    project.write("conftest.py", PLUGIN)
    project.write("scriptlets/ends.py", "import os\nos._exit(3)\ndef last(params): pass\n")
    project.write("test_a.py", "raise SystemExit('collected')\n")
    project.recipe("one", {"a": "module: scriptlets.ends, function: last, type: python"})
    result = project.run("--list-steps")
    assert result.ret == 0
    assert result.outlines[:13] == [
        "last()  function",
        "    scriptlets/ends.py:3",
        "    used by recipes/one.yaml",
        "",
        "measure(channel, text=…)  type",
        "    Measures a channel.",
        "    conftest.py:6",
        "",
        (
            "scriptlets/ends.py:1: warning: the docstring with NAME, DESCRIPTION, USAGE, "
            "RETURNS, LIMITATIONS is missing [sections]"
        ),
        "",
        "1 scriptlet, 1 type, 1 warning",
    ]


def test_a_file_that_cannot_be_read_makes_the_listing_fail(project: Project) -> None:
    project.write("scriptlets/broken.py", "def last(:\n")
    result = project.run("--list-steps")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*cannot be read: invalid syntax*"])
