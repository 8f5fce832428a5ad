"""Environment variables and working directories in the loader: `env`, `args`, `cwd`."""

from collections.abc import Callable
from typing import Any

import pytest

from pytest_orchestrator.recipe import Recipe
from pytest_orchestrator.recipe.model.step import PythonStep, ShellStep

Problems = Callable[[str | bytes], list[str]]
Read = Callable[[str | bytes], Recipe]

PYTHON = "type: python, module: m, function: f"
SHELL = "type: shell, cmd: x"


def variables(read: Read, step: str, head: str = "") -> dict[str, Any]:
    one = read(f"{head}\nsteps:\n- {{name: a, {step}}}\n").steps[0]
    if isinstance(one, PythonStep):
        return one.env
    assert isinstance(one, ShellStep)
    assert one.env == {}
    return one.args


ROOT = "env: {A: root, B: root, C: root}"
DEFAULTS = "defaults: {env: {B: default, C: default}}"


@pytest.mark.parametrize("step", [PYTHON, SHELL, "type: ssh, host: h, cmd: x"])
def test_variables_of_a_step_override_those_of_defaults_and_of_the_root(
    step: str, read: Read
) -> None:
    found = variables(read, f"{step}, env: {{C: step, D: step}}", f"{ROOT}\n{DEFAULTS}")

    assert found == {"A": "root", "B": "default", "C": "step", "D": "step"}
    assert variables(read, step, ROOT) == {"A": "root", "B": "root", "C": "root"}
    assert variables(read, step, DEFAULTS) == {"B": "default", "C": "default"}


def test_args_are_variables_of_steps_that_run_a_command(read: Read) -> None:
    head = "env: {A: root}\ndefaults: {args: {A: default, B: default}}"

    assert variables(read, f"{SHELL}, args: {{B: step}}", head) == {"A": "default", "B": "step"}
    assert variables(read, f"{SHELL}, env: {{B: step}}", head) == {"A": "default", "B": "step"}
    assert variables(read, PYTHON, head) == {"A": "root"}


def test_expressions_of_all_layers_belong_to_the_step(read: Read) -> None:
    head = "vars: {x: 1}\nenv: {A: '${{ vars.x }}'}\ndefaults: {env: {B: '${{ vars.x }}'}}"
    recipe = read(f"{head}\nsteps:\n- {{name: a, {SHELL}}}\n- {{name: b, {PYTHON}}}\n")

    paths = [sorted(one.path for one in step.templates) for step in recipe.steps]
    assert paths == [[("args", "A"), ("args", "B")], [("env", "A"), ("env", "B")]]


def test_the_directory_of_defaults_is_that_of_commands_only(read: Read) -> None:
    steps = f"- {{name: a, {SHELL}}}\n- {{name: b, {PYTHON}}}\n- {{name: c, {PYTHON}, cwd: x}}"
    one, two, three = read(f"defaults: {{cwd: d}}\nsteps:\n{steps}\n").steps

    assert isinstance(one, ShellStep)
    assert isinstance(two, PythonStep)
    assert isinstance(three, PythonStep)
    assert (one.cwd, two.cwd, three.cwd) == ("d", None, "x")


INSIDE = "needs a process of its own, and step 'a' runs inside pytest"
START = "has no effect in a Python step, whose interpreter has started"
CURE = "(set it where pytest is started, or in the env of shell steps)"


@pytest.mark.parametrize(
    ("head", "step", "message"),
    [
        (
            "",
            f"{SHELL}, env: {{A: 1}}, args: {{B: 2}}",
            (
                "3:47 'args' beside 'env' in shell step 'a' "
                "(they are the same: put all variables into 'env')"
            ),
        ),
        (
            "defaults: {env: {A: 1}, args: {B: 2}}",
            SHELL,
            (
                "1:25 'args' beside 'env' in 'defaults' "
                "(they are the same: put all variables into 'env')"
            ),
        ),
        (
            "",
            f"{PYTHON}, args: {{A: 1}}",
            (
                "3:51 'args' belongs to shell steps, and this is python step 'a' "
                "(its values go into 'params')"
            ),
        ),
        (
            "",
            f"{PYTHON}, isolation: inline, env: {{A: 1}}",
            f"3:75 'env' {INSIDE} (it says 'isolation: inline')",
        ),
        (
            "",
            f"{PYTHON}, fixtures: [bench], cwd: x",
            f"3:75 'cwd' {INSIDE} (it has 'fixtures')",
        ),
        (
            "fixtures: [bench]\nenv: {A: 1}",
            PYTHON,
            f"2:6 'env' {INSIDE} (the recipe has 'fixtures')",
        ),
        (
            "",
            f"{PYTHON}, env: {{PYTHONPATH: x}}",
            f"3:57 'env.PYTHONPATH' {START} {CURE}",
        ),
        (
            "env: {LD_PRELOAD: x}",
            f"{PYTHON}}}\n- {{name: b, {PYTHON}",
            f"1:7 'env.LD_PRELOAD' {START} {CURE}",
        ),
        (
            "env: {A B: x}",
            SHELL,
            (
                "1:7 'env' has the key 'A B', should be the name of an environment variable: "
                "letters, digits and _"
            ),
        ),
        (
            "env: [A=1]",
            SHELL,
            "1:6 'env' is a list, should be a mapping (write env: {MESSAGE: Hi})",
        ),
        (
            "env: {A: '${{ result.x }}'}",
            SHELL,
            "1:10 'result' is known only after the step code has run",
        ),
        (
            "env: {A: 1}\nvars: {e: {}}",
            f"{SHELL}, env: '${{{{ vars.e }}}}'",
            (
                "4:39 'env' in shell step 'a' is an expression, and other variables are set in the "
                "same file (write the variables one by one)"
            ),
        ),
        (
            "",
            "use: _x.yaml, env: {A: 1}",
            "3:27 'env' belongs to the steps of the file that is used, in use step 'a'",
        ),
    ],
)
def test_an_environment_that_is_wrong_is_refused(
    head: str, step: str, message: str, problems: Problems
) -> None:
    assert message in problems(f"{head}\nsteps:\n- {{name: a, {step}}}\n")


def test_a_shell_step_may_set_the_path_of_libraries(read: Read) -> None:
    assert variables(read, f"{SHELL}, env: {{LD_LIBRARY_PATH: x, PYTHONPATH: y}}") == {
        "LD_LIBRARY_PATH": "x",
        "PYTHONPATH": "y",
    }


def test_a_command_with_a_directory_and_without_type_is_a_shell_step(problems: Problems) -> None:
    assert problems("steps:\n- {name: a, cmd: x, cwd: y, env: {A: 1}}\n") == [
        "2:3 missing 'type' in step 'a' (its 'cmd' says: type: shell)"
    ]
