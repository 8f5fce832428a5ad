"""Sequential run of a recipe: order, blockers, reruns, stop_on_failure, finally."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.core.result import Failure
from pytest_orchestrator.execution.scheduling.run import RecipeRun
from tests.execution.conftest import outcomes

if TYPE_CHECKING:
    from tests.execution.conftest import Bench

RECIPE = """
steps:
  - {name: a, type: shell, parse: text, cmd: "echo a >> ran; exit $(cat code)"}
  - {name: b, type: shell, parse: text, cmd: echo b >> ran}
  - {name: c, type: shell, parse: text, cmd: echo c >> ran, needs: [b]}
  - {name: free, type: shell, parse: text, cmd: echo free >> ran, needs: []}
  - {name: interrupted, type: python, module: interrupted_step, function: step, needs: []}
finally:
  - {name: off, type: shell, parse: text, cmd: echo off >> ran}
"""


@pytest.fixture
def run(bench: Bench) -> RecipeRun:
    bench.write("code", "0")
    bench.write("interrupted_step.py", "def step(): raise KeyboardInterrupt\n")
    return RecipeRun(bench.recipe(RECIPE), bench.context, bench.attempt)


def ran(run: RecipeRun) -> str:
    path = run.config.root / "ran"
    return path.read_text().replace("\n", " ").strip() if path.exists() else ""


def test_steps_run_once_each_in_their_order(run: RecipeRun) -> None:
    assert outcomes(run, "a", "b", "c") == ["passed"] * 3
    first = run.results["a"]
    assert run.result(run.recipe.step("a")) is first
    assert ran(run) == "a b c"


def test_a_step_runs_again_with_again(run: RecipeRun) -> None:
    first = run.result(run.recipe.step("a"))
    second = run.result(run.recipe.step("a"), again=True)
    assert first is not second
    assert run.results["a"] is second
    assert ran(run) == "a a"


def test_dependants_of_a_failed_step_name_it_as_their_blocker(bench: Bench, run: RecipeRun) -> None:
    bench.write("code", "3")
    assert outcomes(run, "a", "b", "c", "free", "off") == [
        "failed",
        "blocked",
        "blocked",
        "passed",
        "passed",
    ]
    assert [run.results[name].blocked_by for name in ("b", "c", "free")] == ["a", "a", None]
    assert run.results["c"].reason == "blocked by recipes/x.yaml::a"
    assert ran(run) == "a free off"


def test_a_step_is_blocked_by_a_need_that_has_not_run(run: RecipeRun) -> None:
    assert run.blocker(run.recipe.step("b")) == "a"
    assert run.blocker(run.recipe.step("b"), needs=[]) is None
    assert run.blocker(run.recipe.step("free")) is None


def test_a_rerun_that_passes_unblocks_its_dependants(bench: Bench, run: RecipeRun) -> None:
    bench.write("code", "3")
    run.result(run.recipe.step("a"))
    bench.write("code", "0")
    run.result(run.recipe.step("a"), again=True)
    assert run.blocker(run.recipe.step("b")) is None


def test_finally_steps_are_pending_once_a_step_has_run(run: RecipeRun) -> None:
    run.block(run.recipe.step("b"), "a")
    run.note(run.recipe.step("a"), "failed", "no bench")
    assert not run.begun
    run.result(run.recipe.step("free"))
    assert run.begun


def test_an_interrupted_step_has_an_interrupted_result(run: RecipeRun) -> None:
    with pytest.raises(KeyboardInterrupt):
        run.result(run.recipe.step("interrupted"))
    result = run.results["interrupted"]
    assert (result.outcome, result.meets) == ("failed", False)
    assert result.failure is not None
    assert result.failure.kind == "interrupted"
    assert re.fullmatch(r"interrupted after \d\.\d s: Ctrl-C", result.failure.reason)
    assert result.ended is not None
    assert result.started > 0


def test_dependants_run_after_a_failure_with_continue_on_error(bench: Bench) -> None:
    recipe = bench.recipe(
        """
        steps:
          - {name: a, type: shell, parse: text, cmd: exit 3, continue_on_error: true}
          - {name: b, type: shell, parse: text, cmd: echo b >> ran, locks: [x]}
        """
    )
    run = RecipeRun(recipe, bench.context, bench.attempt)
    assert outcomes(run, "a", "b") == ["failed", "passed"]
    assert run.note(recipe.step("a"), "failed", "no bench").meets
    assert not run.note(recipe.step("a"), "skipped", "no bench").meets


STOPPING = """
stop_on_failure: true
steps:
  - {name: odd, type: shell, parse: text, cmd: exit 3, continue_on_error: true}
  - {name: expected, type: shell, parse: text, cmd: exit 3, xfail: BUG-7, needs: []}
  - {name: bad, type: shell, parse: text, cmd: "exit $(cat code)", needs: []}
  - {name: free, type: shell, parse: text, cmd: echo free >> ran, needs: []}
  - {name: next, type: shell, parse: text, cmd: echo next >> ran}
finally:
  - {name: wrong, type: shell, parse: text, cmd: exit 3}
  - {name: off, type: shell, parse: text, cmd: echo off >> ran}
"""


def test_stop_on_failure_blocks_all_steps_but_finally(bench: Bench) -> None:
    bench.write("code", "3")
    run = RecipeRun(bench.recipe(STOPPING), bench.context, bench.attempt)
    assert outcomes(run, "odd", "expected", "bad", "free", "next", "wrong", "off") == [
        *["failed"] * 3,
        *["blocked"] * 2,
        "failed",
        "passed",
    ]
    assert [run.results[name].blocked_by for name in ("free", "next")] == ["bad", "bad"]
    assert ran(run) == "off"


def test_stop_on_failure_includes_a_failed_setup(bench: Bench) -> None:
    run = RecipeRun(bench.recipe(STOPPING), bench.context, bench.attempt)
    run.note(run.recipe.step("bad"), "skipped", "no bench")
    assert run.stopper is None
    run.note(run.recipe.step("bad"), "failed", "no bench")
    assert outcomes(run, "free") == ["blocked"]


def test_a_rerun_that_passes_lets_a_stopped_recipe_continue(bench: Bench) -> None:
    bench.write("code", "3")
    run = RecipeRun(bench.recipe(STOPPING), bench.context, bench.attempt)
    assert outcomes(run, "bad") == ["failed"]
    bench.write("code", "0")
    assert run.blocker(run.recipe.step("bad")) is None
    run.result(run.recipe.step("bad"), again=True)
    assert outcomes(run, "free", "next") == ["passed", "passed"]


@pytest.mark.parametrize(
    ("outcome", "failure", "reason"),
    [
        ("failed", Failure(kind="exception", reason="no bench"), ""),
        ("skipped", None, "no bench"),
    ],
)
def test_a_step_whose_setup_failed_or_skipped_has_a_result(
    run: RecipeRun, outcome: str, failure: Failure | None, reason: str
) -> None:
    result = run.note(run.recipe.step("a"), outcome, "no bench")
    assert (result.outcome, result.failure, result.reason) == (outcome, failure, reason)
    assert (result.meets, result.ended) == (False, None)
    assert run.blocker(run.recipe.step("b")) == "a"


def test_the_fixtures_of_a_step_reach_its_step_code(bench: Bench, run: RecipeRun) -> None:
    source = "def step(psu): return {'status': 'ok', 'psu': psu}\n"
    ended = run.result(bench.python_step(source, fixtures=["psu"]), {"psu": "P"}).ended
    assert ended is not None
    assert ended.value == {"status": "ok", "psu": "P"}


def test_shorten_keeps_the_fields_that_other_steps_may_use(bench: Bench) -> None:
    recipe = bench.recipe(
        """\
        steps:
          - {name: a, type: shell, cmd: "echo hi; exit 3", parse: text, success: {exit_code: 3}}
          - {name: b, type: shell, cmd: "echo ${{ steps.a.exit_code }}", parse: text}
        """
    )
    run = RecipeRun(recipe, bench.context, bench.attempt)
    whole = run.result(recipe.step("a"))
    before = run.scope.before(recipe.step("b"), bench.context, 1, {})["steps"]["a"]

    run.trim_result(recipe.step("a"))

    short = run.results["a"]
    assert whole.verdicts
    assert (short.verdicts, short.measurements, short.changes) == ((), (), ())
    assert run.scope.before(recipe.step("b"), bench.context, 1, {})["steps"]["a"] == before
    assert before["exit_code"] == 3
    assert run.result(recipe.step("b")).outcome == "passed"


def test_a_run_keeps_only_the_outcomes_after_its_end(run: RecipeRun) -> None:
    run.result(run.recipe.step("free"))
    run.note(run.recipe.step("a"), "failed", "no bench")
    before = {name: (one.outcome, one.meets) for name, one in run.results.items()}

    run.drop_values()

    assert {name: (one.outcome, one.meets) for name, one in run.results.items()} == before
    assert not any(one.ended for one in run.results.values())
