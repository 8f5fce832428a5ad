"""`pytest-orchestrator validate`."""

import json
import subprocess
import sys

import pytest

from tests.cli.conftest import Project

GOOD = "steps: [{name: a, type: shell, cmd: 'true', parse: text}]\n"
BAD = "steps:\n  - name: a\n    type: shell\n    cmdd: ls\n"


def test_good_recipes_are_counted(project: Project) -> None:
    project.write("recipes/a.yaml", GOOD)
    assert project.call("validate") == (0, "1 recipe, no problem\n", "")
    project.write("more/b.recipe.yaml", GOOD)
    assert project.call("validate").out == "2 recipes, no problem\n"


def test_problems_are_told_with_their_lines(project: Project) -> None:
    project.write("recipes/a.yaml", GOOD)
    project.write("recipes/b.yaml", BAD)
    told = project.call("validate")
    assert (told.code, told.err) == (1, "")
    assert told.out == (
        "recipes/b.yaml:4:5: unknown key 'cmdd' in shell step 'a' (did you mean 'cmd'?)\n"
        "\n"
        "   2 |   - name: a\n"
        "   3 |     type: shell\n"
        "   4 |     cmdd: ls\n"
        "     |     ^^^^\n"
        "\n"
        "2 recipes, 1 problem\n"
    )


def test_the_same_as_json(project: Project) -> None:
    project.write("recipes/a.yaml", GOOD)
    project.write("recipes/b.yaml", BAD)
    told = project.call("validate", "--json")
    assert (told.code, told.err) == (1, "")
    message = "unknown key 'cmdd' in shell step 'a' (did you mean 'cmd'?)"
    assert json.loads(told.out) == {
        "rootdir": str(project.path),
        "recipes": [
            {"path": "recipes/a.yaml", "problems": []},
            {
                "path": "recipes/b.yaml",
                "problems": [
                    {
                        "severity": "error",
                        "line": 4,
                        "column": 5,
                        "length": 4,
                        "message": message,
                    }
                ],
            },
        ],
    }


def test_what_pytest_would_pass_by_is_passed_by(project: Project) -> None:
    project.write("recipes/a.yaml", GOOD)
    project.write("recipes/_part.yaml", BAD)
    project.write("recipes/values.yaml", "volts: 12\n")
    project.write("venv/recipes/b.yaml", BAD)
    project.write("docker-compose.yaml", "services: {}\n")
    assert project.call("validate").out == "1 recipe, no problem\n"


def test_a_file_that_is_asked_for_must_be_a_recipe(project: Project) -> None:
    project.write("recipes/values.yaml", "volts: 12\n")
    for path in ("recipes", "recipes/values.yaml"):
        assert "missing 'steps'" in project.call("validate", path).out
    project.write("pytest.ini", "[pytest]\ntestpaths = recipes\n")
    assert "missing 'steps'" in project.call("validate").out


def test_any_folder_of_the_project_will_do(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("recipes/b.yaml", BAD)
    project.write("deep/er/x.txt")
    monkeypatch.chdir(project.path / "deep" / "er")
    assert project.call("validate").out.startswith("recipes/b.yaml:4:5: ")
    assert project.call("validate", "../../recipes").out.startswith("recipes/b.yaml:4:5: ")


def test_settings_of_the_project_hold(project: Project) -> None:
    project.write("pytest.ini", "[pytest]\nrecipe_files = bench/*.yml\nrecipe_max_size = 20\n")
    project.write("recipes/a.yaml", BAD)
    project.write("bench/c.yml", GOOD)
    told = project.call("validate")
    assert told.out.startswith("bench/c.yml:1:1: the file has 58 bytes, above the limit of 20")
    assert told.out.endswith("1 recipe, 1 problem\n")


def test_a_path_that_is_not_there_gets_the_nearest_one(project: Project) -> None:
    project.write("recipes/flash.yaml", GOOD)
    told = project.call("validate", "recipes/flahs.yaml")
    assert (told.code, told.out) == (2, "")
    assert told.err.endswith(
        "error: argument PATH: there is no recipes/flahs.yaml "
        "(did you mean 'recipes/flash.yaml'?)\n"
    )
    assert project.call("validate", "nowhere/x.yaml").err.endswith(": nowhere is no folder\n")


def test_no_recipe_at_all_is_a_mistake(project: Project) -> None:
    told = project.call("validate")
    assert (told.code, told.out) == (2, "")
    cure = "pytest-orchestrator new recipe NAME makes one"
    assert told.err.endswith(f"error: there is no recipe in {project.path}; {cure}\n")


def test_a_setting_that_is_none_is_a_mistake(project: Project) -> None:
    project.write("recipes/a.yaml", GOOD)
    project.write("pytest.ini", "[pytest]\nrecipe_max_size = large\n")
    told = project.call("validate")
    assert (told.code, told.out) == (2, "")
    assert told.err.endswith("error: ini key recipe_max_size: 'large' is no size or time\n")


STEPS = """
def write(ctx, params):
    ctx.set("psu.volts_v1", 12)
    return {"status": "ok"}
"""
FLOW = """
steps:
  - {name: a, type: python, module: psu, function: write}
  - {name: b, type: shell, cmd: 'true', parse: text, if: ctx.psu.vlts_v1 > 3}
  - {name: c, type: shell, cmd: there_is_no_such}
"""


def test_what_flows_through_the_steps_is_checked_too(project: Project) -> None:
    project.write("psu.py", STEPS)
    project.write("recipes/a.yaml", FLOW)
    told = project.call("validate")
    assert (told.code, told.err) == (1, "")
    assert [line for line in told.out.splitlines() if not line.startswith(" ")] == [
        (
            "recipes/a.yaml:3:58: step 'b' reads ctx.psu.vlts_v1, which nothing writes "
            "(did you mean 'psu.volts_v1'?)"
        ),
        "",
        "",
        "recipes/a.yaml:4:33: warning: there is no program 'there_is_no_such' on this machine",
        "",
        "",
        "1 recipe, 1 problem, 1 warning",
    ]


def test_a_warning_alone_is_no_failure(project: Project) -> None:
    project.write("recipes/a.yaml", FLOW.replace("if: ctx.psu.vlts_v1 > 3", "tags: [x]"))
    project.write("psu.py", STEPS)
    told = project.call("validate")
    assert (told.code, told.out.splitlines()[-1]) == (0, "1 recipe, no problem, 1 warning")
    (found,) = json.loads(project.call("validate", "--json").out)["recipes"][0]["problems"]
    assert (found["severity"], found["line"]) == ("warning", 4)


def test_imports_are_tried_where_that_is_asked_for(project: Project) -> None:
    project.write("psu.py", "print('hello')\nimport there_is_none\n\ndef power(params): pass\n")
    project.write("late.py", "globals()['made'] = print\nfrom sys import *\n")
    project.write(
        "recipes/a.yaml",
        """
        steps:
          - {name: a, type: python, module: psu, function: power}
          - {name: b, type: python, module: late, function: made}
          - {name: c, type: python, module: late, function: amde}
        """,
    )
    assert project.call("validate").out == "1 recipe, no problem\n"
    told = project.call("validate", "--imports")
    assert (told.code, [line for line in told.out.splitlines() if line.startswith("recipes")]) == (
        1,
        [
            (
                "recipes/a.yaml:2:37: module 'psu' cannot be imported: ModuleNotFoundError: "
                "No module named 'there_is_none' (psu.py:2)"
            ),
            "recipes/a.yaml:4:53: module 'late' has no function 'amde'",
        ],
    )


def test_a_module_that_ends_the_process_is_told(project: Project) -> None:
    project.write("psu.py", "import os\nos._exit(0)\n\ndef power(params): pass\n")
    project.write(
        "recipes/a.yaml", "steps: [{name: a, type: python, module: psu, function: power}]"
    )
    told = project.call("validate", "--imports")
    assert told.out.startswith(
        "recipes/a.yaml:1:41: module 'psu' cannot be imported: it ended the process\n"
    )


def test_modules_are_found_where_the_settings_say(project: Project) -> None:
    project.write("src/psu.py", STEPS)
    project.write("recipes/a.yaml", FLOW)
    assert "there is no module 'psu'" in project.call("validate").out
    project.write("pytest.ini", "[pytest]\npythonpath = src\n")
    assert "there is no module" not in project.call("validate", "--imports").out


CONFTEST = """
import msgspec
from typing import Annotated
from pytest_orchestrator.extending import StepType


class Visa(StepType):
    \"\"\"Asks an instrument.\"\"\"

    name = "visa"

    class Keys(msgspec.Struct):
        query: Annotated[str, msgspec.Meta(description="What is asked.", examples=["*IDN?"])]

    def run(self, keys, ctx, env):
        return {"status": "ok"}


def pytest_recipe_step_types():
    return [Visa]
"""


def test_types_of_steps_that_a_plugin_brings_are_known(project: Project) -> None:
    project.write("recipes/a.yaml", "steps: [{name: a, type: visa, query: '*IDN?'}]\n")
    assert "unknown type 'visa'" in subprocess_call(project, "validate")
    project.write("conftest.py", CONFTEST)
    assert subprocess_call(project, "validate") == "1 recipe, no problem\n"
    types = json.loads(subprocess_call(project, "schema", "--plugins"))["definitions"]["Step"]
    assert types["properties"]["type"]["enum"] == ["python", "shell", "ssh", "visa"]


def subprocess_call(project: Project, *words: str) -> str:
    """Call the command line in a process of its own: pytest does not come twice into one."""
    command = [sys.executable, "-m", "pytest_orchestrator", *words]
    done = subprocess.run(command, cwd=project.path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout
