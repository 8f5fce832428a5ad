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


def run_alone(project: Project, *command: str, **env: str) -> dict[str, object]:
    done = subprocess.run(
        command, cwd=project.path, env=os.environ | env, capture_output=True, check=True
    )
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("params", [[], ["volts"], ["volts", "amps"]])
def test_full_python_step_runs_alone_and_follows_the_conventions(
    project: Project, params: list[str]
) -> None:
    done = project.call("new", "step", "read_psu", "--full", *(f"--param={one}" for one in params))
    path, test = "scriptlets/python/steps/read_psu.py", "tests/test_read_psu.py"
    assert done == (
        0,
        (
            f"created {path}\ncreated {test}\n"
            f"next:  pytest {test}\n"
            f"       pytest-orchestrator new recipe read_psu --step {path}\n"
        ),
        "",
    )
    values: dict[str, object] = dict.fromkeys(params, "value")
    answer = run_alone(project, sys.executable, path, "--params", json.dumps(values))
    assert answer == {"status": "ok", "result": values or {"done": True}}
    compile((project.path / test).read_text(), test, "exec")
    listed = json.loads(project.call("steps", "--json").out)
    assert listed["problems"] == []
    assert [(one["name"], one["writes"]) for one in listed["scriptlets"]] == [
        ("ReadPsu", ["read_psu.result_v1"])
    ]
    assert [one["name"] for one in listed["scriptlets"][0]["params"]] == params


@pytest.mark.parametrize("params", [[], ["INPUT"], ["INPUT", "UNIT"]])
def test_full_script_runs_alone_and_follows_the_conventions(
    project: Project, params: list[str]
) -> None:
    words = ["--type", "shell", "--full", *(f"--param={one}" for one in params)]
    done = project.call("new", "step", "count-lines", *words)
    path = "scriptlets/shell/count-lines.sh"
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"created {path}\ncreated tests/test_count_lines.py\n")
    answer = run_alone(project, path, **dict.fromkeys(params, 'a "b"\n'))
    assert answer == {"status": "ok"} | {one.lower(): 'a "b"\n' for one in params}
    listed = json.loads(project.call("steps", "--json").out)
    assert listed["problems"] == []
    assert [one["name"] for one in listed["scriptlets"][0]["params"]] == params
    if params:
        process = subprocess.run([project.path / path], capture_output=True, check=False)
        assert process.returncode == 1
        assert json.loads(process.stdout) == {"status": "error", "reason": "INPUT is empty"}


def test_new_python_step_is_a_function_with_its_test(project: Project) -> None:
    done = project.call("new", "step", "read_psu", "--param", "volts", "--param", "amps")
    assert done.code == 0
    files = [project.path / name for name in ("scriptlets/python/steps/read_psu.py", "tests")]
    assert files[0].read_text() == (
        "def read_psu(ctx, volts, amps):\n"
        '    """One line that says what it does."""\n'
        '    return {"status": "ok"}\n'
    )
    assert (files[1] / "test_read_psu.py").read_text() == (
        "from pytest_orchestrator import Context\n"
        "from scriptlets.python.steps.read_psu import read_psu\n\n\n"
        "def test_read_psu_reports_success():\n"
        '    assert read_psu(Context(), volts="value", amps="value") == {"status": "ok"}\n'
    )
    listed = json.loads(project.call("steps", "--json").out)["scriptlets"]
    assert [(one["name"], one["kind"]) for one in listed] == [("read_psu", "function")]
    assert project.call("new", "recipe", "psu", "--step", "read_psu").code == 0
    assert project.call("validate").out == "1 recipe, no problem\n"


def test_new_script_is_short_and_requires_its_variables(project: Project) -> None:
    assert project.call("new", "step", "count", "--type=shell", "--param=INPUT").code == 0
    path = "scriptlets/shell/count.sh"
    assert run_alone(project, path, INPUT="a") == {"status": "ok"}
    process = subprocess.run([path], capture_output=True, check=False)
    assert process.returncode != 0
    assert process.stderr.endswith(b"INPUT: is empty\n")
    listed = json.loads(project.call("steps", "--json").out)["scriptlets"][0]
    assert [one["name"] for one in listed["params"]] == ["INPUT"]
    assert '== {"status": "ok"}\n' in (project.path / "tests/test_count.py").read_text()


def test_new_recipe_accepts_every_name_of_a_scriptlet(project: Project) -> None:
    for name in ("scriptlets", "recipes"):
        shutil.copytree(ROOT / name, project.path / name)
    shutil.copy(ROOT / "station.yaml", project.path)
    project.write("recipe.schema.json")
    names = ["SampleStep", "sample_step", "scriptlets.python.steps.sample_step", "count-lines.sh"]
    names += ["scriptlets/shell/count-lines.sh", "cdu_report"]
    done = project.call("new", "recipe", "words", *(f"--step={name}" for name in names))
    assert done == (0, "created recipes/words.yaml\nnext:  pytest recipes/words.yaml\n", "")
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
    assert (validated.code, validated.out) == (0, "1 recipe, 1 station file, no problem\n")


def test_new_recipe_without_a_scriptlet_has_one_step(project: Project) -> None:
    project.call("new", "recipe", "plain.yaml")
    assert project.call("validate").out == "1 recipe, no problem\n"


def test_a_script_and_a_recipe_may_have_the_name_of_a_keyword(project: Project) -> None:
    assert project.call("new", "step", "if", "--type", "shell").code == 0
    assert project.call("new", "recipe", "class", "--step", "if.sh").code == 0
    assert project.call("validate").out == "1 recipe, no problem\n"


def test_existing_file_is_not_replaced(project: Project) -> None:
    mine = project.write("tests/test_a.py", "mine\n")
    done = project.call("new", "step", "a", "--type", "python")
    assert done.code == 2
    assert done.err.endswith("error: tests/test_a.py already exists; nothing was written\n")
    assert mine.read_text() == "mine\n"
    assert not (project.path / "scriptlets").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "step count-lines --type python",
            (
                "'count-lines' is not a valid name of a module: use only lower-case letters, "
                "digits and _ (such as 'count_lines')"
            ),
        ),
        (
            "step class --type python",
            (
                "'class' is a keyword of Python and cannot name a module; use another name, such "
                "as 'class_'"
            ),
        ),
        (
            "step a --type python --param None",
            (
                "'None' is a keyword of Python and cannot name a parameter; use another name, "
                "such as 'none_'"
            ),
        ),
        (
            "step test_psu --type python",
            "pytest collects 'test_psu' as a test; use another name, such as check_…",
        ),
        (
            "step json --type python",
            "'json' is a module of Python; scriptlets beside it could not import that any more",
        ),
        (
            "step a --type shell --param input",
            (
                "'input' is not a valid name of a variable: use only upper-case letters, digits "
                "and _ (such as 'INPUT')"
            ),
        ),
        (
            "step a --param ctx",
            "'ctx' is the Context; use another name for a parameter",
        ),
        ("step a --type pyton", "argument --type: no type 'pyton' (did you mean 'python'?)"),
        (
            "step a --type python --param 2",
            "'2' is not a valid name of a parameter: use only letters, digits",
        ),
        (
            "recipe a/b",
            (
                "'a/b' is not a valid name of a recipe: use only letters, digits, _ and - "
                "(such as 'a_b')"
            ),
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
def test_wrong_argument_of_new_is_an_error(words: str, message: str, project: Project) -> None:
    for name in ("one", "two"):
        project.write(f"scriptlets/{name}.py", "def measure(ctx, params): pass\n")
    project.write("scriptlets/broken.py", "def\n")
    done = project.call("new", *words.split())
    assert (done.code, done.out) == (2, "")
    assert f"error: {message}" in done.err


def test_new_works_in_any_folder_and_writes_the_test_to_testpaths(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("pytest.ini", "[pytest]\ntestpaths = recipes checks\n")
    for name in ("recipes", "checks", "deep/er"):
        (project.path / name).mkdir(parents=True)
    monkeypatch.chdir(project.path / "deep/er")
    done = project.call("new", "step", "a", "--type", "python")
    assert "created checks/test_a.py\n" in done.out
    assert (project.path / "scriptlets/python/steps/a.py").is_file()
