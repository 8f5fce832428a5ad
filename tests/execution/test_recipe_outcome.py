"""Outcome of a recipe so far in expressions: failed(), passed(), interrupted(), recipe.outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from pytest_orchestrator.core.result import Failure, Kind, StepResult
from pytest_orchestrator.execution.recipe_outcome import is_expected
from pytest_orchestrator.execution.scheduling.run import RecipeRun
from pytest_orchestrator.recipe import cells
from tests.execution.conftest import outcomes

if TYPE_CHECKING:
    from tests.execution.conftest import Bench

RECIPE = """
steps:
  - {name: good, type: shell, parse: text, cmd: "true"}
  - {name: bad, type: shell, parse: text, cmd: CMD, needs: [], KEYS}
  - {name: far, type: shell, parse: text, cmd: "true", after: [good], if: failed()}
  - {name: dump, type: shell, parse: text, cmd: "true", after: [bad], if: failed()}
  - {name: late, type: shell, parse: text, cmd: "true", after: [dump], if: failed()}
  - {name: all_well, type: shell, parse: text, cmd: "true", after: [bad], if: passed()}
  - {name: cut, type: shell, parse: text, cmd: "true", after: [bad], if: interrupted()}
finally:
  - name: off
    type: shell
    parse: text
    cmd: echo "${{ recipe.outcome }} ${{ failed() }} ${{ passed() }} ${{ interrupted() }}" > said
"""
NAMES = ("good", "bad", "far", "dump", "late", "all_well", "cut")


def run_of(bench: Bench, cmd: str = "exit 3", keys: str = "timeout: 1h") -> RecipeRun:
    text = RECIPE.replace("CMD", cmd).replace("KEYS", keys)
    return RecipeRun(bench.recipe(text), bench.context, bench.attempt)


def ran(run: RecipeRun) -> set[str]:
    """Run all steps, and return the names of the steps that passed."""
    found = dict(zip(NAMES, outcomes(run, *NAMES), strict=True))
    assert outcomes(run, "off") == ["passed"]
    return {name for name, outcome in found.items() if outcome == "passed"} - {"good", "bad"}


@pytest.mark.parametrize(
    ("cmd", "keys", "steps", "said"),
    [
        ("exit 3", "timeout: 1h", {"dump", "late"}, "failed true false false"),
        ("exit 3", "continue_on_error: true", {"dump", "late"}, "failed true false false"),
        ("exit 3", "xfail: BUG-7", {"all_well"}, "passed false true false"),
        ("test -e x || { touch x; exit 3; }", "retry: {attempts: 2}", {"all_well"}, "passed "),
        ("'true'", "if: false", {"all_well"}, "passed false true false"),
        ("'true'", "timeout: 1h", {"all_well"}, "passed false true false"),
    ],
)
def test_functions_return_the_outcome_of_the_steps_before_a_step(
    bench: Bench, cmd: str, keys: str, steps: set[str], said: str
) -> None:
    assert ran(run_of(bench, cmd if "'" in cmd else f'"{cmd}"', keys)) == steps
    assert (bench.root / "said").read_text().startswith(said)


def test_an_interrupted_step_counts_as_interrupted_and_not_as_failed(bench: Bench) -> None:
    run = run_of(bench)
    failure = Failure(kind="interrupted", reason="interrupted after 1.0 s: Ctrl-C")
    run.results["bad"] = StepResult(step="bad", outcome="failed", failure=failure)
    assert ran(run) == {"cut"}
    assert (bench.root / "said").read_text() == "interrupted false false true\n"


@pytest.mark.parametrize("kind", ["timeout", "interrupted"])
def test_xfail_does_not_excuse_a_step_that_was_cut_off(bench: Bench, kind: Kind) -> None:
    run = run_of(bench, keys="xfail: BUG-7")
    failure = Failure(kind=kind, reason="cut off", is_of_recipe=kind == "timeout")
    result = StepResult(step="bad", outcome="failed", failure=failure)
    assert not is_expected(run.recipe.step("bad"), result, ())
    own = msgspec.structs.replace(failure, kind="timeout", is_of_recipe=False)
    result = msgspec.structs.replace(result, failure=own)
    assert is_expected(run.recipe.step("bad"), result, ())


def test_a_restored_outcome_counts(bench: Bench) -> None:
    run = run_of(bench, "'true'")
    failure = Failure(kind="exit_code", reason="exit code 3")
    run.results["bad"] = StepResult(step="bad", outcome="failed", failure=failure, restored="run-1")
    assert ran(run) == {"dump", "late"}


def test_an_interrupted_session_counts_for_finally_steps(bench: Bench) -> None:
    run = run_of(bench, "'true'")
    assert outcomes(run, "good") == ["passed"]
    run.scope.is_cut_off = True
    assert outcomes(run, "off") == ["passed"]
    assert (bench.root / "said").read_text() == "interrupted false false true\n"


def test_steps_that_were_not_selected_do_not_count(bench: Bench) -> None:
    run = run_of(bench)
    assert outcomes(run, "dump", "all_well") == ["skipped", "passed"]


PART = """
steps:
  - {name: s, type: shell, parse: text, cmd: "exit $(cat code)"}
  - {name: dump, type: shell, parse: text, cmd: echo part >> ran, after: [s], if: failed()}
finally:
  - {name: off, type: shell, parse: text, cmd: "echo ${{ recipe.outcome }} >> ran"}
"""


def test_a_used_file_sees_its_own_steps_in_finally_and_its_use_those_before(bench: Bench) -> None:
    bench.write("recipes/_part.yaml", PART)
    bench.write("code", "0")
    recipe = bench.recipe(
        """
        steps:
          - {name: bad, type: shell, parse: text, cmd: exit 3}
          - {name: used, use: recipes/_part.yaml, after: [bad], if: failed()}
          - {name: other, use: recipes/_part.yaml, after: [bad], if: passed()}
        """
    )
    run = RecipeRun(recipe, bench.context, bench.attempt)
    names = ["bad", "used.s", "used.dump", "other.s", "other.dump", "used.off", "other.off"]
    assert dict(zip(names, outcomes(run, *names), strict=True)) == {
        "bad": "failed",
        "used.s": "passed",
        "used.dump": "passed",
        "other.s": "skipped",
        "other.dump": "skipped",
        "used.off": "passed",
        "other.off": "skipped",
    }
    assert (bench.root / "ran").read_text() == "part\npassed\n"


CELLS = """
steps:
  - name: ch
    use: recipes/_ch.yaml
    matrix: {n: [1, 2]}
    with: {n: "${{ matrix.n }}"}
"""
OF_A_CELL = """
vars: {n: 0}
steps:
  - {name: set, type: shell, parse: text, cmd: [test, "${{ vars.n }}", "=", "2"]}
finally:
  - {name: off, type: shell, parse: text, cmd: "true", if: failed()}
"""


def test_a_finally_step_of_a_cell_reads_the_outcome_of_that_cell(bench: Bench) -> None:
    bench.write("recipes/_ch.yaml", OF_A_CELL)
    (recipe,) = cells(bench.recipe(CELLS), {"vars": {}, "env": {}})
    run = RecipeRun(recipe, bench.context, bench.attempt)

    names = ["ch.set[n:1]", "ch.set[n:2]", "ch.off[n:1]", "ch.off[n:2]"]
    assert outcomes(run, *names) == ["failed", "passed", "passed", "skipped"]


SERVICE = """
steps:
  - name: svc
    type: shell
    background: true
    ready: {stdout_matches: up}
    cmd: |
      mkfifo go; echo up; read x < go; exit 3
    KEYS
  - {name: kill, type: shell, parse: text, cmd: echo > go, needs: [svc]}
  - {name: late, type: shell, parse: text, cmd: "true", needs: [], after: [svc], if: failed()}
  - {name: far, type: shell, parse: text, cmd: "true", needs: [], after: [kill], if: failed()}
  - {name: apart, type: shell, parse: text, cmd: "true", needs: [], after: [], if: passed()}
finally:
  - {name: lamp, type: shell, parse: text, cmd: "true", if: passed()}
  - name: off
    type: shell
    parse: text
    cmd: echo "${{ recipe.outcome }} ${{ failed() }} ${{ passed() }} ${{ interrupted() }}" > said
"""


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("timeout: 1h", "failed true false false"),
        ("continue_on_error: true", "failed true false false"),
        ("xfail: BUG-7", "passed false true false"),
    ],
)
def test_a_service_that_has_died_counts_up_to_the_moment(
    bench: Bench, keys: str, said: str
) -> None:
    run = RecipeRun(bench.recipe(SERVICE.replace("KEYS", keys)), bench.context, bench.attempt)
    is_excused = "xfail" in keys
    assert outcomes(run, "svc", "kill") == ["passed", "passed"]
    assert run.services._services["svc"]._end_event.wait(60)  # noqa: SLF001

    names = ("late", "far", "apart", "lamp", "off")
    ran = dict(zip(names, outcomes(run, *names), strict=True))

    seen = "skipped" if is_excused else "passed"
    assert ran == {
        "late": seen,
        "far": seen,
        "apart": "passed",
        "lamp": "passed" if is_excused else "skipped",
        "off": "passed",
    }
    assert (bench.root / "said").read_text() == f"{said}\n"
