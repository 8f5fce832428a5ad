"""`pytest-orchestrator new`."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Project

ROOT = Path(__file__).parents[2]


def alone(project: Project, *command: str, **env: str) -> dict[str, object]:
    done = subprocess.run(
        command, cwd=project.path, env=os.environ | env, capture_output=True, check=True
    )
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("params", [[], ["volts"], ["volts", "amps"]])
def test_a_python_step_runs_alone_keeps_the_conventions_and_compiles(
    project: Project, params: list[str]
) -> None:
    told = project.call(
        "new", "step", "read_psu", "--type", "python", *(f"--param={one}" for one in params)
    )
    path, test = "scriptlets/python/steps/read_psu.py", "tests/test_read_psu.py"
    assert told == (
        0,
        (
            f"created {path}\ncreated {test}\n"
            f"next:  pytest {test}\n"
            f"       pytest-orchestrator new recipe read_psu --step {path}\n"
        ),
        "",
    )
    given: dict[str, object] = dict.fromkeys(params, "value")
    answer = alone(project, sys.executable, path, "--params", json.dumps(given))
    assert answer == {"status": "ok", "result": given or {"done": True}}
    compile((project.path / test).read_text(), test, "exec")
    listed = json.loads(project.call("steps", "--json").out)
    assert listed["problems"] == []
    assert [(one["name"], one["writes"]) for one in listed["scriptlets"]] == [
        ("ReadPsu", ["read_psu.result_v1"])
    ]
    assert [one["name"] for one in listed["scriptlets"][0]["params"]] == params


@pytest.mark.parametrize("params", [[], ["INPUT"], ["INPUT", "UNIT"]])
def test_a_script_runs_alone_and_keeps_the_conventions(project: Project, params: list[str]) -> None:
    words = ["--type", "shell", *(f"--param={one}" for one in params)]
    told = project.call("new", "step", "count-lines", *words)
    path = "scriptlets/shell/count-lines.sh"
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith(f"created {path}\ncreated tests/test_count_lines.py\n")
    answer = alone(project, path, **dict.fromkeys(params, 'a "b"\n'))
    assert answer == {"status": "ok"} | {one.lower(): 'a "b"\n' for one in params}
    listed = json.loads(project.call("steps", "--json").out)
    assert listed["problems"] == []
    assert [one["name"] for one in listed["scriptlets"][0]["params"]] == params
    if params:
        done = subprocess.run([project.path / path], capture_output=True, check=False)
        assert done.returncode == 1
        assert json.loads(done.stdout) == {"status": "error", "reason": "INPUT is empty"}


def test_a_recipe_calls_scriptlets_by_any_of_their_names(project: Project) -> None:
    for name in ("scriptlets", "recipes"):
        shutil.copytree(ROOT / name, project.path / name)
    project.write("recipe.schema.json")
    names = ["SampleStep", "sample_step", "scriptlets.python.steps.sample_step", "count-lines.sh"]
    names += ["scriptlets/shell/count-lines.sh", "cdu_report"]
    told = project.call("new", "recipe", "words", *(f"--step={name}" for name in names))
    assert told == (0, "created recipes/words.yaml\nnext:  pytest recipes/words.yaml\n", "")
    text = (project.path / "recipes/words.yaml").read_text()
    steps = [line.split()[-1] for line in text.splitlines() if "- name:" in line]
    assert steps == [
        "sample_step",
        "sample_step_2",
        "sample_step_3",
        "count-lines",
        "count-lines_2",
        "write_report",
    ]
    assert text.startswith("# yaml-language-server: $schema=../recipe.schema.json\n")
    assert (
        "    module: scriptlets.python.steps.sample_step\n"
        "    class: SampleStep\n"
        "    params:\n"
        "      message: value\n"
        "    success:\n"
        "      ctx_has_keys: [sample.message_v1]\n"
    ) in text
    validated = project.call("validate", "recipes/words.yaml")
    assert (validated.code, validated.out) == (0, "1 recipe, no problem\n")


def test_a_recipe_without_a_step_has_one(project: Project) -> None:
    project.call("new", "recipe", "plain.yaml")
    assert project.call("validate").out == "1 recipe, no problem\n"


def test_what_is_there_is_not_touched(project: Project) -> None:
    mine = project.write("tests/test_a.py", "mine\n")
    told = project.call("new", "step", "a", "--type", "python")
    assert told.code == 2
    assert told.err.endswith("error: there is a tests/test_a.py already; nothing was written\n")
    assert mine.read_text() == "mine\n"
    assert not (project.path / "scriptlets").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "step count-lines --type python",
            (
                "'count-lines' is no name of a module: it has small letters, digits and _ "
                "(such as 'count_lines')"
            ),
        ),
        (
            "step class --type python",
            "'class' is no name of a module: it has small letters, digits and _",
        ),
        (
            "step test_psu --type python",
            "'test_psu' is the name of a test for pytest; call it check_… or so",
        ),
        (
            "step json --type python",
            "'json' is a module of Python, which nobody beside it could import any more",
        ),
        (
            "step a --type shell --param input",
            "'input' is no name of a variable: it has capitals, digits and _ (such as 'INPUT')",
        ),
        ("step a --type pyton", "argument --type: no type 'pyton' (did you mean 'python'?)"),
        ("step a --type python --param 2", "'2' is no name of a parameter: it has letters, digits"),
        (
            "recipe a/b",
            "'a/b' is no name of a recipe: it has letters, digits, _ and - (such as 'a_b')",
        ),
        (
            "recipe a --step measur",
            "there is no scriptlet 'measur' (did you mean 'measure'?)",
        ),
        ("recipe a --step xyz", "there is no scriptlet 'xyz'; pytest-orchestrator steps lists"),
        (
            "recipe a --step measure",
            "'measure' may be scriptlets.one.measure, scriptlets.two.measure",
        ),
        ("recipe a --step broken", "scriptlets/broken.py cannot be read: invalid syntax"),
        ("recipe a --stp b", "no option '--stp' (did you mean '--step'?)"),
    ],
)
def test_a_mistake_is_told_with_the_nearest(words: str, said: str, project: Project) -> None:
    for name in ("one", "two"):
        project.write(f"scriptlets/{name}.py", "def measure(ctx, params): pass\n")
    project.write("scriptlets/broken.py", "def\n")
    told = project.call("new", *words.split())
    assert (told.code, told.out) == (2, "")
    assert f"error: {said}" in told.err


def test_it_works_from_a_folder_of_the_project_and_tests_go_where_tests_are(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("pytest.ini", "[pytest]\ntestpaths = recipes checks\n")
    for name in ("recipes", "checks", "deep/er"):
        (project.path / name).mkdir(parents=True)
    monkeypatch.chdir(project.path / "deep/er")
    told = project.call("new", "step", "a", "--type", "python")
    assert "created checks/test_a.py\n" in told.out
    assert (project.path / "scriptlets/python/steps/a.py").is_file()
