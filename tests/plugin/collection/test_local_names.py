"""Names of expressions as local names of a step's function, under `--trace` and `--pdb`."""

import re
import subprocess

import pytest

from tests.plugin.conftest import PYTEST, Project

_STEPS = """
    def note(ctx, params):
        ctx.set("volts", 5)
        return {"status": "ok", "v": 3.25}

    def boom(ctx, params):
        raise ValueError("the bench is off")
    """
_NOTE = "type: python, module: steps, function: note"


def _typed(project: Project, option: str, *lines: str) -> list[str]:
    """Return the answers of the debugger to lines that are typed at it."""
    typed = "".join(f"{line}\n" for line in lines)
    argv = [*PYTEST, option, "-o", "recipe_journal=false", "recipes"]
    done = subprocess.run(
        argv, cwd=project.path, input=typed, capture_output=True, text=True, check=False, timeout=60
    )
    return re.findall(r"^\(Pdb\) (\S.*)$", done.stdout, re.MULTILINE)


@pytest.fixture(name="steps")
def _steps(project: Project) -> Project:
    project.write("steps.py", _STEPS)
    return project


def test_trace_stops_before_a_step_with_context_vars_and_earlier_steps(steps: Project) -> None:
    steps.recipe("x", {"one": _NOTE, "two": _NOTE}, head="vars: {gain: 2.5}")

    found = _typed(
        steps, "--trace", "p ctx.keys(), vars", "c", "p ctx.get('volts'), steps['one']['result']"
    )

    assert found == ["([], {'gain': 2.5})", "(5, {'status': 'ok', 'v': 3.25})"]


def test_pdb_stops_after_a_failure_with_the_result_of_the_step_code(steps: Project) -> None:
    limit = "measurements: {v: {value: '${{ result.v }}', high: 3}}"
    steps.recipe("x", {"one": f"{_NOTE}, {limit}"})

    assert _typed(steps, "--pdb", "p result, ctx.get('volts')") == [
        "({'status': 'ok', 'v': 3.25}, 5)"
    ]


def test_a_step_with_fixtures_has_the_same_names(steps: Project) -> None:
    steps.write("conftest.py", "import pytest\n@pytest.fixture\ndef psu():\n    return 7\n")
    steps.recipe("x", {"one": f"{_NOTE}, fixtures: [psu]"}, head="vars: {gain: 2.5}")

    assert _typed(steps, "--trace", "p vars, result") == ["({'gain': 2.5}, None)"]


def test_a_var_without_a_value_leaves_the_names_empty_and_fails_the_step(steps: Project) -> None:
    steps.recipe("x", {"one": _NOTE}, head="vars: {gain: '${{ 1 / 0 }}'}")

    assert _typed(steps, "--trace", "p vars, result") == ["({}, None)"]


def test_without_a_debugger_a_traceback_shows_no_such_names(steps: Project) -> None:
    steps.recipe("x", {"one": "type: python, module: steps, function: boom, fixtures: [tmp_path]"})

    result = steps.run("--showlocals")

    result.stdout.no_fnmatch_line("steps *= *")
    result.stdout.fnmatch_lines(["*the bench is off*"])
