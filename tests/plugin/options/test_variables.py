"""Vars from recipes, files and options; options override files, files override recipes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

RECIPE = """
vars: {gain: 1, twice: "${{ vars.gain * 2 }}", label: plain}
steps:
  - name: show
    type: shell
    parse: text
    cmd: [echo, "${{ vars.gain }}", "${{ vars.twice }}", "${{ vars.label }}"]
"""


@pytest.fixture
def shown(project: Project) -> Project:
    project.write("recipes/v.yaml", RECIPE)
    return project


def printed(project: Project, *options: str) -> str:
    project.run("-rP", *options).assert_outcomes(passed=1)
    path = project.path / ".orchestrator/runs/latest/logs/v/show.1.stdout"
    return path.read_text().strip()


def test_a_var_without_an_option_has_the_value_of_the_recipe(shown: Project) -> None:
    assert printed(shown) == "1 2 plain"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("3", "3 6 plain"), ("2.5", "2.5 5.0 plain")],
)
def test_an_option_overrides_the_value_of_the_recipe(
    shown: Project, value: str, expected: str
) -> None:
    assert printed(shown, "--recipe-var", f"gain={value}") == expected


@pytest.mark.counted
def test_an_option_value_that_is_no_json_is_text(shown: Project) -> None:
    assert printed(shown, "--recipe-var", "label=NaN is [no] JSON") == "1 2 NaN is [no] JSON"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("vars.yaml", "gain: 4\nlabel: on\n"),
        ("vars.json", '{"gain": 4, "label": "on"}'),
        ("vars.env", "# a comment\nexport label='on'\n"),
    ],
)
def test_a_vars_file_overrides_the_value_of_the_recipe(
    shown: Project, name: str, text: str
) -> None:
    shown.write(name, text)
    gain = "1 2" if name.endswith(".env") else "4 8"

    assert printed(shown, "--recipe-vars-file", name) == f"{gain} on"


def test_later_files_override_earlier_ones_and_options_override_files(shown: Project) -> None:
    shown.write("a.yaml", "{gain: 4, label: a}")
    shown.write("b.yaml", "{gain: 5}")
    files = ("--recipe-vars-file", "a.yaml", "--recipe-vars-file", "b.yaml")

    assert printed(shown, *files) == "5 10 a"
    assert printed(shown, *files, "--recipe-var", "gain=6") == "6 12 a"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--recipe-var", "gain"], "ERROR: --recipe-var: 'gain' is no NAME=VALUE"),
        (
            ["--recipe-var", "gian=1"],
            "ERROR: --recipe-var: no collected recipe has a var 'gian' (did you mean 'gain'?)",
        ),
        (
            ["--recipe-vars-file", "none.yaml"],
            "ERROR: --recipe-vars-file: there is no file none.yaml",
        ),
    ],
)
def test_an_invalid_var_option_is_a_usage_error(
    shown: Project, options: list[str], expected: str
) -> None:
    result = shown.run(*options)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert expected in result.errlines + result.outlines


def test_an_invalid_vars_file_is_reported_with_its_line(shown: Project) -> None:
    shown.write("bad.yaml", "gain: 1\ngain: 2\n")
    result = shown.run("--recipe-vars-file", "bad.yaml")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = "\n".join(result.errlines + result.outlines)
    assert "bad.yaml:2:1: " in text


def test_an_empty_vars_file_is_a_warning(shown: Project) -> None:
    shown.write("none.yaml", "")
    result = shown.run("--recipe-vars-file", "none.yaml")

    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*EmptyVarsWarning: --recipe-vars-file: none.yaml has no vars*"])


def test_a_vars_file_may_contain_undeclared_vars(shown: Project) -> None:
    shown.write("station.yaml", "{gain: 4, slot: 7}")

    assert printed(shown, "--recipe-vars-file", "station.yaml") == "4 8 plain"


@pytest.mark.parametrize(("name", "hint"), [("serial", "serial=..."), ("a b", "'a b=...'")])
def test_a_required_var_without_a_value_is_an_error_with_a_hint_for_the_shell(
    project: Project, name: str, hint: str
) -> None:
    project.write("recipes/v.yaml", RECIPE.replace("vars:", f"required: [{name}]\nvars:", 1))

    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [f"recipes/v.yaml:1:12: no value is given for '{name}' (--recipe-var {hint})"]
    )
    project.run("--recipe-var", f"{name}=null").assert_outcomes(passed=1)


def test_reports_contain_the_origin_of_a_var(shown: Project) -> None:
    block = shown.blocks("--recipe-var", "gain=3")["show"]

    assert block["recipe"]["vars"] == {
        "gain": {"value": 3, "origin": "--recipe-var"},
        "twice": {"value": 6, "origin": "recipe"},
        "label": {"value": "plain", "origin": "recipe"},
    }


def test_a_recipe_that_cannot_be_read_may_have_any_var(shown: Project) -> None:
    shown.write("recipes/bad.yaml", "vars: {other: 1}\nsteps: []\n")
    result = shown.run("--recipe-var", "other=1")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["recipes/bad.yaml:2:8: 'steps' has no step in it"])
    assert not [line for line in result.errlines if line.startswith("ERROR: ")]


_PORTS = """
vars: {port: "${{ run.port('web') }}"}
test_meta: {at: "${{ run.port('web') }}"}
matrix: {gain: [1, 2]}
steps:
  - name: show
    type: shell
    parse: text
    cmd: 'echo "$PORT"'
    args: {PORT: "${{ vars.port }}"}
    success: {assert: ["vars.port == run.port('web')"]}
"""


@pytest.mark.parametrize("options", [[], ["-n", "2"], ["--recipe-jobs", "2"]])
def test_a_port_in_vars_and_test_meta_is_the_same_in_all_recipes_of_a_run(
    project: Project, options: list[str]
) -> None:
    project.write("recipes/a.yaml", _PORTS)
    project.write("recipes/b.yaml", _PORTS)

    project.blocks(*options)

    tests = json.loads((project.path / "report.json").read_text())["tests"]
    recipes = [test["metadata"]["orchestrator"]["recipe"] for test in tests]
    logs = (project.path / ".orchestrator/runs/latest/logs").rglob("show.1.stdout")
    printed = [path.read_text() for path in logs]
    assert len(recipes) == len(printed) == 4
    port = int(printed[0])
    assert printed == [f"{port}\n"] * 4
    assert [recipe["test_meta"] for recipe in recipes] == [{"at": port}] * 4
    assert [recipe["vars"]["port"]["value"] for recipe in recipes] == [port] * 4


def test_no_step_passes_while_test_meta_has_no_value(project: Project) -> None:
    project.write(
        "recipes/a.yaml",
        'test_meta: {dut: "${{ env.HOME }}", operator: "${{ env.NO_SUCH }}"}\n'
        "steps:\n  - {name: one, type: shell, cmd: 'true', parse: text}\n",
    )

    result = project.run()

    result.assert_outcomes(failed=1)
    first = result.outlines.index(
        "recipes/a.yaml:1:47: step 'one': `env.NO_SUCH`: there is no 'NO_SUCH'"
    )
    assert result.outlines[first + 1 : first + 5] == [
        "",
        '   1 | test_meta: {dut: "${{ env.HOME }}", operator: "${{ env.NO_SUCH }}"}',
        "     |                                               ^^^^^^^^^^^^^^^^^^^^",
        "E   `env.NO_SUCH`: there is no 'NO_SUCH'",
    ]


def test_collecting_evaluates_no_vars_and_writes_nothing(project: Project) -> None:
    project.write("recipes/a.yaml", _PORTS)

    project.run("--collect-only").assert_outcomes()

    assert not (project.path / ".orchestrator").exists()
