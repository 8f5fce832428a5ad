"""`pytest-orchestrator validate`."""

import json
import subprocess
import sys

import pytest

from pytest_orchestrator.cli.verbs.validate import CODES
from pytest_orchestrator.core.extras import EXTRAS
from tests.cli.conftest import Project

GOOD = "steps: [{name: a, type: shell, cmd: 'true', parse: text}]\n"
BAD = "steps:\n  - name: a\n    type: shell\n    cmdd: ls\n"


def test_validate_counts_valid_recipes(project: Project) -> None:
    project.write("recipes/a.yaml", GOOD)
    assert project.call("validate") == (0, "1 recipe, no problem\n", "")
    project.write("more/b.recipe.yaml", GOOD)
    assert project.call("validate").out == "2 recipes, no problem\n"


def test_problems_are_printed_with_their_lines(project: Project) -> None:
    project.write("recipes/a.yaml", GOOD)
    project.write("recipes/b.yaml", BAD)
    done = project.call("validate")
    assert (done.code, done.err) == (1, "")
    assert done.out == (
        "recipes/b.yaml:4:5: unknown key 'cmdd' in shell step 'a' (did you mean 'cmd'?)\n"
        "\n"
        "   2 |   - name: a\n"
        "   3 |     type: shell\n"
        "   4 |     cmdd: ls\n"
        "     |     ^^^^\n"
        "\n"
        "2 recipes, 1 problem\n"
    )


def test_without_the_extra_it_says_that_scripts_are_not_checked(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXTRAS, "validate", ("no_such_module",))
    project.write("recipes/a.yaml", GOOD)
    assert project.call("validate") == (0, "1 recipe, no problem\n", "")

    step = "{name: %s, type: shell, cmd: 'no_such | sort', parse: text}"
    project.write("recipes/b.yaml", f"steps: [{step % 'a'}, {step % 'b'}]\n")

    assert project.call("validate") == (
        0,
        "2 recipes, no problem\n",
        (
            "the commands of 2 scripts are not checked: python -m pip install "
            "'pytest-orchestrator[validate]'\n"
        ),
    )


def test_the_braces_and_variables_of_other_tools_are_shown(project: Project) -> None:
    step = "steps:\n  - {name: a, type: shell, parse: text, cmd: 'echo %s'}\n"
    project.write("recipes/a.yaml", "vars: {volts: 5}\n" + step % "{{ vars.volts }}")
    assert project.call("validate") == (
        1,
        (
            "recipes/a.yaml:3:52: '{{ vars.volts }}' is plain text, no expression (write "
            "${{ vars.volts }}; where the text itself is meant, say 'literal_braces: true')\n"
            "\n"
            "   1 | vars: {volts: 5}\n"
            "   2 | steps:\n"
            "   3 |   - {name: a, type: shell, parse: text, cmd: 'echo {{ vars.volts }}'}\n"
            "     |                                                    ^^^^^^^^^^^^^^^^\n"
            "\n"
            "1 recipe, 1 problem\n"
        ),
        "",
    )
    project.write("recipes/a.yaml", "vars: {volts: 5}\n" + step % "$vars.volts")
    assert project.call("validate") == (
        0,
        (
            "recipes/a.yaml:3:46: warning: '$vars.volts' is no expression "
            "(write ${{ vars.volts }}; for the shell's ${vars}.volts)\n"
            "\n"
            "   1 | vars: {volts: 5}\n"
            "   2 | steps:\n"
            "   3 |   - {name: a, type: shell, parse: text, cmd: 'echo $vars.volts'}\n"
            "     |                                              ^^^^^^^^^^^^^^^^^^\n"
            "\n"
            "1 recipe, no problem, 1 warning\n"
        ),
        "",
    )


@pytest.mark.parametrize(
    ("columns", "row", "carets"),
    [
        ("60", "…hell, cmd: ls, parse: text, needs: [one_of_no_step]}", 37),
        ("200", "  - {name: a, type: shell, cmd: ls, parse: text, needs: [one_of_no_step]}", 57),
    ],
)
def test_problems_are_cut_to_the_width_of_the_terminal(
    project: Project, monkeypatch: pytest.MonkeyPatch, columns: str, row: str, carets: int
) -> None:
    step = "{name: a, type: shell, cmd: ls, parse: text, needs: [one_of_no_step]}"
    project.write("recipes/a.yaml", f"steps:\n  - {step}\n")
    monkeypatch.setenv("COLUMNS", columns)

    shown = project.call("validate").out.splitlines()

    assert shown[2:5] == [
        "   1 | steps:",
        f"   2 | {row}",
        f"     | {' ' * carets}^^^^^^^^^^^^^^",
    ]


def test_problems_are_broken_between_words_at_a_terminal(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("recipes/a.yaml", BAD)
    monkeypatch.setenv("COLUMNS", "60")
    whole = project.call("validate").out.splitlines()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    shown = project.call("validate").out.splitlines()

    assert shown[:2] == [
        "recipes/a.yaml:4:5: unknown key 'cmdd' in shell step 'a'",
        "  (did you mean 'cmd'?)",
    ]
    assert [" ".join(line.strip() for line in shown[:2]), *shown[2:]] == whole


def test_problems_are_printed_as_json(project: Project) -> None:
    project.write("recipes/a.yaml", GOOD)
    project.write("recipes/b.yaml", BAD)
    done = project.call("validate", "--json")
    assert (done.code, done.err) == (1, "")
    message = "unknown key 'cmdd' in shell step 'a' (did you mean 'cmd'?)"
    assert json.loads(done.out) == {
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
                        "code": "unknown-key",
                        "message": message,
                        "cure": "did you mean 'cmd'?",
                    }
                ],
            },
        ],
    }


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("cmd: [", "yaml"),
        ("cmd: ls\n    cmd: ls", "yaml"),
        ("cmdd: ls", "unknown-key"),
        ("parse: text", "missing-key"),
        ("cmd: ls\n    env: {A: 1}\n    args: {A: 1}", "conflict"),
        ("cmd: ls\n    needs: [nothing]", "unknown-name"),
        ("cmd: ls\n    measurements: {x: {value: result, low: 2, high: 1}}", "limits"),
        ("cmd: ls\n    if: 1 +", "expression"),
        ("cmd: ls\n    parse: jsn", "value"),
        ("cmd: ls\n    needs: [a]", "order"),
    ],
)
def test_each_kind_of_problem_has_its_code(project: Project, line: str, code: str) -> None:
    project.write("recipes/a.yaml", f"steps:\n  - name: a\n    type: shell\n    {line}\n")

    (recipe,) = json.loads(project.call("validate", "--json").out)["recipes"]

    assert {one["code"] for one in recipe["problems"]} == {code}


def test_the_reference_lists_the_codes(pytestconfig: pytest.Config) -> None:
    page = pytestconfig.rootpath / "docs/reference/command-line.md"
    section = page.read_text(encoding="utf-8").partition("## `validate`")[2].partition("\n## ")[0]

    assert [code for code in [*CODES, "other"] if f"| `{code}` |" not in section] == []


def test_files_that_pytest_does_not_collect_are_skipped(project: Project) -> None:
    project.write("recipes/a.yaml", GOOD)
    project.write("recipes/_part.yaml", BAD)
    project.write("recipes/values.yaml", "volts: 12\n")
    project.write("venv/recipes/b.yaml", BAD)
    project.write("docker-compose.yaml", "services: {}\n")
    assert project.call("validate").out == "1 recipe, no problem\n"


def test_named_file_must_be_a_recipe(project: Project) -> None:
    project.write("recipes/values.yaml", "volts: 12\n")
    for path in ("recipes", "recipes/values.yaml"):
        assert "missing 'steps'" in project.call("validate", path).out
    project.write("pytest.ini", "[pytest]\ntestpaths = recipes\n")
    assert "missing 'steps'" in project.call("validate").out


def test_validate_works_in_any_folder_of_the_project(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("recipes/b.yaml", BAD)
    project.write("deep/er/x.txt")
    monkeypatch.chdir(project.path / "deep" / "er")
    assert project.call("validate").out.startswith("recipes/b.yaml:4:5: ")
    assert project.call("validate", "../../recipes").out.startswith("recipes/b.yaml:4:5: ")


def test_validate_uses_the_settings_of_the_project(project: Project) -> None:
    project.write("pytest.ini", "[pytest]\nrecipe_files = bench/*.yml\nrecipe_max_size = 20\n")
    project.write("recipes/a.yaml", BAD)
    project.write("bench/c.yml", GOOD)
    done = project.call("validate")
    assert done.out.startswith("bench/c.yml:1:1: the file has 58 bytes, above the limit of 20")
    assert done.out.endswith("1 recipe, 1 problem\n")


def test_missing_path_suggests_the_nearest(project: Project) -> None:
    project.write("recipes/flash.yaml", GOOD)
    done = project.call("validate", "recipes/flahs.yaml")
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(
        "error: argument PATH: there is no recipes/flahs.yaml "
        "(did you mean 'recipes/flash.yaml'?)\n"
    )
    assert project.call("validate", "nowhere/x.yaml").err.endswith(": nowhere is no folder\n")


def test_project_without_recipes_is_an_error(project: Project) -> None:
    done = project.call("validate")
    assert (done.code, done.out) == (2, "")
    cure = "pytest-orchestrator new recipe NAME creates one"
    assert done.err.endswith(f"error: there is no recipe in {project.path}; {cure}\n")
    project.write("recipes/e.yaml", "")
    assert project.call("validate").err.endswith(
        f"error: there is no recipe in {project.path}: recipes/e.yaml is empty; {cure}\n"
    )


def test_invalid_setting_is_an_error(project: Project) -> None:
    project.write("recipes/a.yaml", GOOD)
    project.write("pytest.ini", "[pytest]\nrecipe_max_size = large\n")
    done = project.call("validate")
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(
        "error: ini key recipe_max_size: 'large' is no size or time; write 1MiB, 500kB or a number "
        "of bytes\n"
    )


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        (
            "pytest.ini",
            "[pytest]\naddopts = -q\naddopts = -v\n",
            "line 3: duplicate name 'addopts'",
        ),
        (
            "pytest.toml",
            "[pytest\n",
            "Expected ']' at the end of a table declaration (at line 1, column 8)",
        ),
    ],
)
def test_a_broken_file_of_settings_is_an_error(
    project: Project, file: str, text: str, why: str
) -> None:
    project.write(file, text)
    done = project.call("validate")

    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(f"error: {project.path / file} cannot be read: {why}\n")


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


def test_validate_checks_the_data_flow(project: Project) -> None:
    project.write("psu.py", STEPS)
    project.write("recipes/a.yaml", FLOW)
    done = project.call("validate")
    assert (done.code, done.err) == (1, "")
    assert [line for line in done.out.splitlines() if not line.startswith(" ")] == [
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


def test_warning_alone_is_no_failure(project: Project) -> None:
    project.write("recipes/a.yaml", FLOW.replace("if: ctx.psu.vlts_v1 > 3", "tags: [x]"))
    project.write("psu.py", STEPS)
    done = project.call("validate")
    assert (done.code, done.out.splitlines()[-1]) == (0, "1 recipe, no problem, 1 warning")
    (finding,) = json.loads(project.call("validate", "--json").out)["recipes"][0]["problems"]
    assert (finding["severity"], finding["line"]) == ("warning", 4)


def test_modules_are_found_on_the_configured_pythonpath(project: Project) -> None:
    project.write("src/psu.py", STEPS)
    project.write("recipes/a.yaml", FLOW)
    assert "there is no module 'psu'" in project.call("validate").out
    project.write("pytest.ini", "[pytest]\npythonpath = src\n")
    assert "there is no module" not in project.call("validate").out


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


def test_step_types_of_plugins_are_known(project: Project) -> None:
    project.write("recipes/a.yaml", "steps: [{name: a, type: visa, query: '*IDN?'}]\n")
    assert "unknown type 'visa'" in subprocess_call(project, "validate")
    project.write("conftest.py", CONFTEST)
    assert subprocess_call(project, "validate") == "1 recipe, no problem\n"
    types = json.loads(subprocess_call(project, "schema", "--plugins"))["definitions"]["Step"]
    enum = types["properties"]["type"]["enum"]
    assert enum == ["python", "shell", "ssh", "http", "prompt", "scpi", "serial", "visa"]


def subprocess_call(project: Project, *words: str) -> str:
    """Run a command in a process of its own, since pytest cannot start twice in one process."""
    command = [sys.executable, "-m", "pytest_orchestrator", *words]
    done = subprocess.run(command, cwd=project.path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout


_PROMPT = """
matrix: {gain: [1, 2]}
steps:
  - name: look
    type: prompt
    message: Look
    fields: {serial: {}, note: {default: ''}}
    buttons: [pass, fail]
  - {name: go, type: prompt, needs: [], message: Go}
"""


def test_prompts_without_an_answer_are_reported_where_ci_is_set(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("recipes/a.yaml", _PROMPT)
    monkeypatch.delenv("CI", raising=False)
    assert project.call("validate").out == "1 recipe, no problem\n"

    monkeypatch.setenv("CI", "true")
    done = project.call("validate")
    assert done.code == 0
    lines = [line for line in done.out.splitlines() if "warning" in line]
    assert lines == [
        (
            "recipes/a.yaml:5:14: warning: CI is set, and no answer is given to look.serial, "
            "look.button (--recipe-answers FILE)"
        ),
        (
            "recipes/a.yaml:8:50: warning: CI is set, and no answer is given to go.button "
            "(--recipe-answers FILE)"
        ),
        "1 recipe, no problem, 2 warnings",
    ]

    project.write("pytest.ini", "[pytest]\naddopts = -q --recipe-answers=ci.yaml\n")
    project.write("ci.yaml", "look[gain:1]: {serial: a}\nrecipes/a.yaml::look: {button: pass}\n")
    monkeypatch.setenv("ORCHESTRATOR_ANSWER_GO_BUTTON", "continue")
    assert project.call("validate").out == "1 recipe, no problem\n"
    done = project.call("validate", "--recipe-answer", "look")
    assert done.code == 2
    assert done.err.endswith("--recipe-answer: 'look' is no [recipe.yaml::]STEP.FIELD=VALUE\n")


STEP = "steps: [{name: a, type: shell, cmd: 'true', parse: text, matrix: {c: MATRIX}}]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "vars: {s: 3}\n" + STEP.replace("MATRIX", "'${{ vars.s }}'"),
            "recipes/a.yaml:2:70: step 'a': matrix.c is no list",
        ),
        (
            "matrix: {c: '${{ vars.s }}'}\nvars: {s: 3}\n" + GOOD,
            "recipes/a.yaml:1:13: matrix.c is no list",
        ),
        (
            "matrix: {c: '${{ range(101) | list }}', d: '${{ range(10) | list }}'}\n" + GOOD,
            "recipes/a.yaml:1:9: the matrix has 1,010 cells; 1,000 are the most",
        ),
        (
            STEP.replace("MATRIX", "'${{ range(1001) | list }}'"),
            "recipes/a.yaml:1:66: step 'a': the matrix has 1,001 cells; 1,000 are the most",
        ),
        ("inputs: {s: {}}\n" + STEP.replace("MATRIX", "'${{ [vars.s] }}'"), ""),
        ("required: [s]\n" + STEP.replace("MATRIX", "'${{ vars.s }}'"), ""),
        (STEP.replace("MATRIX", "'${{ env.NO_SUCH_VARIABLE }}'"), ""),
        ("vars: {s: [3, 4]}\n" + STEP.replace("MATRIX", "'${{ vars.s }}'"), ""),
    ],
)
def test_errors_of_the_cells_of_a_matrix_are_reported(
    text: str, message: str, project: Project
) -> None:
    project.write("recipes/a.yaml", text)
    done = project.call("validate")
    assert (done.code, done.out.partition("\n")[0]) == (
        (1, message) if message else (0, "1 recipe, no problem")
    )


_SAMPLED = """
sampling: {current: {instrument: psi, query: "MEAS:CURR?"}}
steps: [{name: a, type: shell, cmd: 'true', parse: text}]
"""
_STATION = "instruments:\n  psu: {resource: A}\n"
_UNKNOWN = (
    "recipes/a.yaml:1:34: 'sampling.current.instrument' is 'psi', which is no instrument of the "
    "station (did you mean 'psu'?)"
)


def test_recipes_are_checked_against_the_station_file(project: Project) -> None:
    project.write("pytest.ini", "[pytest]\nrecipe_files = *.yaml recipes/*.yaml\n")
    project.write("recipes/a.yaml", _SAMPLED)
    project.write("station.yaml", _STATION)

    done = project.call("validate")
    assert (done.code, done.out.splitlines()[0]) == (1, _UNKNOWN)
    assert done.out.splitlines()[-1] == "1 recipe, 1 station file, 1 problem"
    project.write("station.yaml", _STATION.replace("psu", "psi"))
    assert project.call("validate").out == "1 recipe, 1 station file, no problem\n"


def test_problems_of_the_station_file_are_reported_instead_of_unknown_names(
    project: Project,
) -> None:
    project.write("recipes/a.yaml", _SAMPLED)
    project.write("station.yaml", _STATION.replace("A}", "A, safe: OUTP OFF}"))

    assert project.call("validate", "recipes") == (
        1,
        (
            "station.yaml:2:28: 'instruments.psu.safe' is text, should be a list "
            "(write [OUTP OFF])\n"
            "\n"
            "   1 | instruments:\n"
            "   2 |   psu: {resource: A, safe: OUTP OFF}\n"
            "     |                            ^^^^^^^^\n"
            "\n"
            "1 recipe, 1 station file, 1 problem\n"
        ),
        "",
    )
    printed = json.loads(project.call("validate", "--json").out)["recipes"]
    assert [(one["path"], len(one["problems"])) for one in printed] == [
        ("station.yaml", 1),
        ("recipes/a.yaml", 0),
    ]


def test_a_station_file_may_be_an_argument(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("lab/bench.yaml", _STATION)
    assert project.call("validate", "lab/bench.yaml").out == "1 station file, no problem\n"
    project.write("lab/bench.yaml", _STATION + "resource: 3\n")
    done = project.call("validate", "lab/bench.yaml")
    assert done.out.splitlines()[0] == (
        "lab/bench.yaml:3:1: unknown key 'resource' in the station file (did you mean 'resources'?)"
    )
    monkeypatch.setenv("ORCHESTRATOR_STATION", "lab/bench.yml")
    project.write("recipes/a.yaml", _SAMPLED)
    assert project.call("validate").out == (
        "lab/bench.yml:1:1: environment variable ORCHESTRATOR_STATION: there is no file "
        "'lab/bench.yml' (did you mean 'bench.yaml'?)\n"
        "\n"
        "1 recipe, 1 station file, 1 problem\n"
    )


def test_recipes_in_needs_are_checked_as_pytest_checks_them(project: Project) -> None:
    project.write("recipes/a.yaml", f"needs: [recipes/b.yaml]\n{GOOD}")
    project.write("recipes/b.yaml", f"needs: [recipes/a.yaml]\n{GOOD}")
    project.write("recipes/c.yaml", f"needs: [recipes/powr.yaml, recipes/d.yaml]\n{GOOD}")
    project.write("recipes/d.yaml", BAD)
    project.write("recipes/power.yaml", GOOD)
    done = project.call("validate")

    assert done.code == 1
    assert [line for line in done.out.splitlines() if line.startswith("recipes/")] == [
        (
            "recipes/a.yaml:1:9: recipes need each other in a circle: "
            "recipes/a.yaml -> recipes/b.yaml -> recipes/a.yaml"
        ),
        (
            "recipes/b.yaml:1:9: recipes need each other in a circle: "
            "recipes/b.yaml -> recipes/a.yaml -> recipes/b.yaml"
        ),
        (
            "recipes/c.yaml:1:9: the recipe needs 'recipes/powr.yaml', which is not there "
            "(did you mean 'recipes/power.yaml'?)"
        ),
        (
            "recipes/c.yaml:1:28: the recipe needs 'recipes/d.yaml', which is no good recipe "
            "(4:5 unknown key 'cmdd' (did you mean 'cmd'?))"
        ),
        "recipes/d.yaml:4:5: unknown key 'cmdd' in shell step 'a' (did you mean 'cmd'?)",
    ]
