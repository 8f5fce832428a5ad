"""Root keys `if` and `timeout`: skipped recipes, and the end of a recipe's time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from benchmarks.faults import PATIENCE
from pytest_orchestrator.execution.locks import locks
from pytest_orchestrator.execution.scheduling.run import RecipeRun
from pytest_orchestrator.execution.scheduling.tasks import StepDependencies
from pytest_orchestrator.recipe.variables import ExternalValue
from pytest_orchestrator.reports.failure import text
from tests.execution.conftest import outcomes

if TYPE_CHECKING:
    from pytest_orchestrator.core.result import StepResult
    from pytest_orchestrator.execution.lanes.lane import Slot
    from tests.execution.conftest import Bench

SKIPPED = """
vars: {full: false}
if: vars.full
steps:
  - {name: a, type: shell, parse: text, cmd: echo a >> ran}
  - {name: b, type: shell, parse: text, cmd: echo b >> ran}
finally:
  - {name: off, type: shell, parse: text, cmd: echo off >> ran}
"""


def run_of(bench: Bench, text: str) -> RecipeRun:
    bench.configure(timeout=PATIENCE)
    return RecipeRun(bench.recipe(text), bench.context, bench.attempt)


def failure_of(result: StepResult) -> tuple[str, str]:
    assert result.failure is not None
    return result.failure.kind, result.failure.reason


def test_a_false_if_skips_all_steps_and_meets_needs(bench: Bench) -> None:
    run = run_of(bench, SKIPPED)
    assert outcomes(run, "a", "b", "off") == ["skipped"] * 3
    assert {(result.reason, result.meets) for result in run.results.values()} == {
        ("if of the recipe: vars.full", True)
    }
    assert not run.begun
    assert not (bench.root / "ran").exists()


def test_a_true_if_lets_all_steps_run(bench: Bench) -> None:
    bench.configure(var_values={"full": ExternalValue(value=True, origin="--recipe-var")})
    run = run_of(bench, SKIPPED)
    assert outcomes(run, "a", "b", "off") == ["passed"] * 3


def test_a_pending_finally_step_runs_although_if_is_false(bench: Bench) -> None:
    run = run_of(bench, SKIPPED)
    run.has_pending_finally = True
    assert outcomes(run, "a", "off") == ["skipped", "passed"]


def test_needs_of_a_recipe_that_is_skipped_do_not_count(bench: Bench) -> None:
    skipped = run_of(bench, SKIPPED)
    failing = run_of(bench, "steps: [{name: a, type: shell, parse: text, cmd: exit 3}]")
    first = run_of(bench, "steps: [{name: a, type: shell, parse: text, cmd: 'true'}]")
    skipped.needed, first.needed = (failing,), (skipped,)
    assert outcomes(failing, "a") == ["failed"]
    assert outcomes(skipped, "a", "b") == ["skipped"] * 2
    assert outcomes(first, "a") == ["passed"]


def test_an_if_without_a_value_fails_all_steps(bench: Bench) -> None:
    run = run_of(bench, SKIPPED.replace("if: vars.full", "if: vars.full / 0 > 1"))
    assert outcomes(run, "a", "b") == ["failed"] * 2
    assert failure_of(run.results["b"]) == (
        "validation",
        "`vars.full / 0 > 1`: ZeroDivisionError: division by zero",
    )


TIMED = """
vars: {most: 300ms}
timeout: "${{ vars.most }}"
steps:
  - {name: slow, type: shell, parse: text, cmd: sleep 60, KEYS}
  - {name: free, type: shell, parse: text, cmd: echo free >> ran, needs: []}
finally:
  - {name: off, type: shell, parse: text, cmd: "sleep 0.31; echo off >> ran"}
"""
OVER = "timeout of the recipe: its {} s are over; "


def check_timed_out(run: RecipeRun, state: str, seconds: str = "0.3") -> None:
    """Check that the slow step ended at the deadline, and the step after it did not run."""
    assert outcomes(run, "slow", "free", "off") == ["failed", "blocked", "passed"]
    kind, reason = failure_of(run.results["slow"])
    assert (kind, reason.startswith(OVER.format(seconds) + state)) == ("timeout", True), reason
    assert run.results["free"].blocked_by == "slow"
    failure = run.results["slow"].failure
    assert failure is not None
    assert failure.place == run.recipe.at["timeout"]
    assert (run.config.root / "ran").read_text() == "off\n"


@pytest.mark.parametrize(
    ("keys", "state"),
    [
        ("timeout: 1h", "still running after 0."),
        ("continue_on_error: true, xfail: BUG-7", "still running after 0."),
        ("retry: {attempts: 3, delay: 1h}", "still running after 0."),
        ("background: true, ready: {file: x}", "not ready after 0."),
    ],
)
def test_a_step_that_runs_ends_at_the_deadline_of_its_recipe(
    bench: Bench, keys: str, state: str
) -> None:
    run = run_of(bench, TIMED.replace("KEYS", keys))
    check_timed_out(run, state)
    run.finish()


def test_a_deadline_in_a_step_of_a_used_file_points_at_the_timeout_of_the_recipe(
    bench: Bench,
) -> None:
    bench.write("recipes/_u.yaml", "steps: [{name: slow, type: shell, cmd: sleep 60}]")
    run = run_of(bench, "timeout: 300ms\nsteps: [{name: u, use: recipes/_u.yaml}]\n")
    assert outcomes(run, "u.slow") == ["failed"]
    step, result, root = run.recipe.step("u.slow"), run.results["u.slow"], run.config.root
    (first, _, line, *_) = text(run.recipe, step, result, root, root).splitlines()
    assert first.startswith("recipes/x.yaml:1:10: step 'u.slow': timeout of the recipe: ")
    assert line == "   1 | timeout: 300ms"


def test_a_wait_between_attempts_ends_at_the_deadline(bench: Bench) -> None:
    text = TIMED.replace("KEYS", "retry: {attempts: 3, delay: 1h}").replace("sleep 60", "exit 3")
    run = run_of(bench, text.replace("300ms", "1s"))
    check_timed_out(run, "attempt 2 had not begun", "1")
    assert [one.failure.kind for one in run.results["slow"].attempts] == ["exit_code"]


@pytest.mark.parametrize("keys", ["locks: [psu_of_test_gate]", "resources: {scope_of_gate: 1}"])
def test_a_wait_for_a_lock_ends_at_the_deadline(bench: Bench, keys: str) -> None:
    bench.configure(resource_units={"scope_of_gate": 1})
    run = run_of(bench, TIMED.replace("KEYS", keys))
    held = locks.acquire(["psu_of_test_gate"], run="", step="x::y")
    units = locks.acquire_resources({"scope_of_gate": 1}, {"scope_of_gate": 1}, run="", step="x::y")
    assert held is not None
    assert units is not None
    with held, units:
        check_timed_out(run, "it waited for its locks")


def test_a_first_step_after_the_deadline_is_the_timeout(bench: Bench) -> None:
    run = run_of(bench, TIMED.replace("sleep 60, KEYS", "'true'"))
    assert outcomes(run, "slow") == ["passed"]
    assert run.gate.deadline is not None
    time.sleep(run.gate.deadline.left)
    assert outcomes(run, "free", "off") == ["failed", "passed"]
    assert failure_of(run.results["free"]) == (
        "timeout",
        f"{OVER.format(0.3)}this step had not begun",
    )


@pytest.mark.parametrize("most", ["[]", "0", "soon"])
def test_a_wrong_value_of_timeout_fails_the_steps(bench: Bench, most: str) -> None:
    run = run_of(bench, TIMED.replace("300ms", most).replace("sleep 60, KEYS", "'true'"))
    assert outcomes(run, "slow", "off") == ["failed", "passed"]
    kind, reason = failure_of(run.results["slow"])
    assert (kind, reason) == (
        "validation",
        {
            "[]": "'timeout' is [], should be a number or text",
            "0": "'timeout' is 0, should be more than 0 seconds",
            "soon": "'timeout' is 'soon', should be seconds, or a text such as 500ms, 30s, 2m "
            "or 1h",
        }[most],
    )


def test_the_factor_of_timeouts_stretches_the_deadline(bench: Bench) -> None:
    bench.configure(timeout_factor=4.0)
    run = run_of(bench, TIMED.replace("sleep 60, KEYS", "'true'"))
    assert outcomes(run, "slow") == ["passed"]
    assert run.gate.deadline is not None
    assert run.gate.deadline.left > 1.0
    bench.configure(timeout_factor=0.0)
    run = run_of(bench, TIMED.replace("sleep 60, KEYS", "'true'"))
    assert outcomes(run, "slow") == ["passed"]
    assert run.gate.deadline is None


def test_all_parallel_steps_that_run_at_the_deadline_end_as_timeout(
    bench: Bench, slot: Slot
) -> None:
    bench.configure(timeout=PATIENCE)
    recipe = bench.recipe(
        """
        timeout: 1s
        steps:
          - {name: a, type: shell, parse: text, cmd: sleep 60}
          - {name: b, type: shell, parse: text, cmd: sleep 60, needs: []}
          - {name: again, type: shell, parse: text, cmd: exit 3, needs: [], RETRY}
          - {name: waits, type: shell, parse: text, cmd: "true", needs: [again]}
        """.replace("RETRY", "retry: {attempts: 2, delay: 1h}")
    )
    slots = [slot, slot.new_slot(), slot.new_slot()]
    run = RecipeRun(recipe, bench.context, bench.attempt, slots=slots)
    run.workers.plan({step.name: StepDependencies(step.needs, step.after) for step in recipe.steps})
    assert outcomes(run, "a", "b", "again", "waits") == [*["failed"] * 3, "blocked"]
    for name in ("a", "b", "again"):
        assert failure_of(run.results[name])[0] == "timeout"
    run.cancel("the test is over")
