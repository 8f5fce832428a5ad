"""Hold before a step: decisions, tries without a trace, the clock of the recipe, and its end."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.faults import PATIENCE
from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.result import Failure, StepResult
from pytest_orchestrator.execution import recipe_deadline
from pytest_orchestrator.execution.notifications import RetryScheduled
from pytest_orchestrator.execution.scheduling.hold import Decision, Hold
from pytest_orchestrator.execution.scheduling.run import RecipeRun
from pytest_orchestrator.execution.scheduling.tasks import SlotLease, StepDependencies
from tests.execution.conftest import outcomes

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_orchestrator.core.events import Change
    from pytest_orchestrator.execution.lanes.lane import Slot
    from tests.execution.conftest import Bench

_SHELL = "type: shell, parse: text, cmd"
_RECIPE = f"""
timeout: 10s
steps:
  - {{name: a, {_SHELL}: echo a >> ran}}
  - {{name: b, {_SHELL}: echo b >> ran; test -e right}}
  - {{name: c, {_SHELL}: echo c >> ran}}
finally:
  - {{name: off, {_SHELL}: echo off >> ran}}
"""


def _held(bench: Bench, decide: Callable[[Hold], Decision | None], *names: str) -> RecipeRun:
    """Return a run that holds before the steps of these names."""
    bench.configure(timeout=PATIENCE, is_held=lambda step: step.name in names, hold=decide)
    return RecipeRun(bench.recipe(_RECIPE), bench.context, bench.attempt)


def _ran(bench: Bench) -> list[str]:
    return (bench.root / "ran").read_text().split()


def test_a_redone_step_is_held_until_it_does_not_fail(bench: Bench) -> None:
    failures: list[str] = []
    events: list[Any] = []

    def decide(hold: Hold) -> Decision:
        failures.append(hold.failed.failure.reason if hold.failed and hold.failed.failure else "")
        if len(failures) == 3:
            bench.write("right", "")
        return "redo"

    bench.configure(record=events.append)
    run = _held(bench, decide, "b")
    assert outcomes(run, "a", "b", "c", "off") == ["passed"] * 4
    assert _ran(bench) == ["a", "b", "b", "b", "c", "off"]
    assert [bool(one) for one in failures] == [False, True, True]
    assert sum(isinstance(one, RetryScheduled) for one in events) == 2
    result = run.results["b"]
    assert (result.by_hand, result.reason) == (("redo",), "redone at a prompt")
    assert not result.is_by_hand


def test_a_step_that_goes_on_is_not_held_again(bench: Bench) -> None:
    run = _held(bench, lambda _: "continue", "b")
    assert outcomes(run, "a", "b", "c", "off") == ["passed", "failed", "blocked", "passed"]
    assert run.results["b"].by_hand == ()


def test_a_skipped_step_meets_the_needs_of_others_and_no_recipe_passes_with_it(
    bench: Bench,
) -> None:
    run = _held(bench, lambda _: "skip", "b")
    other = RecipeRun(bench.recipe(_RECIPE), bench.context, bench.attempt)
    other.needed = (run,)
    assert outcomes(run, "a", "b", "c", "off") == ["passed", "skipped", "passed", "passed"]
    assert _ran(bench) == ["a", "c", "off"]
    assert run.results["b"].is_by_hand
    assert outcomes(other, "a") == ["blocked"]


def test_an_hour_at_the_prompt_is_no_time_of_the_recipe(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = 0.0
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + later)
    monkeypatch.setattr(recipe_deadline, "time", clock)
    left: list[float] = []

    def decide(hold: Hold) -> Decision:
        nonlocal later
        later += 3600
        left.append(hold.run.gate.deadline.left)
        assert not hold.run.gate.deadline.is_over
        bench.write("right", "")
        return "continue"

    run = _held(bench, decide, "b", "c")
    assert outcomes(run, "a", "b", "c") == ["passed"] * 3
    assert all(0 < one <= 10 for one in left)
    later += 10
    assert run.gate.deadline is not None
    assert run.gate.deadline.is_over


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupted_hold_leaves_the_step_without_a_result_and_no_other_prompt(
    bench: Bench, slot: Slot, jobs: int
) -> None:
    asked: list[str] = []

    def decide(hold: Hold) -> Decision:
        asked.append(hold.step.name)
        raise KeyboardInterrupt

    run = _held(bench, decide, "b", "c")
    if jobs == 2:
        slots = [slot, slot.new_slot()]
        run = RecipeRun(run.recipe, bench.context, bench.attempt, slots=slots)
        run.workers.plan({"b": StepDependencies(), "c": StepDependencies()})
    with pytest.raises(KeyboardInterrupt):
        run.result(run.recipe.step("b"))
    assert len(asked) == 1
    assert run.results.keys() & {"b", "c"} == set()
    run.config.main_queue.drain()
    assert len(asked) == 1


def test_a_hold_of_a_recipe_that_was_stopped_ends_and_its_step_is_blocked(
    bench: Bench, slot: Slot
) -> None:
    def decide(hold: Hold) -> None:
        with hold.run.workers.lock:
            hold.run.stopper = "a"
            hold.run.workers.stop("a failed")
        assert hold.is_over()

    run = _held(bench, decide, "b")
    slots = [slot, slot.new_slot()]
    run = RecipeRun(run.recipe, bench.context, bench.attempt, slots=slots)
    run.workers.plan({"b": StepDependencies()})
    assert run.result(run.recipe.step("b")).outcome == "blocked"


_KEYS = st.sampled_from(["a", "b", "c.d"])
_CHANGES = st.lists(
    st.tuples(_KEYS, st.sampled_from(["set", "append", "increment", "delete", "pop"])), max_size=6
)


def _change(context: Context, key: str, op: str, value: int) -> None:
    """Change a key; do nothing where the operation has no meaning."""
    try:
        match op:
            case "set":
                context.set(key, [value])
            case "append":
                context.append(key, value)
            case "increment":
                context.increment(key, value)
            case "delete":
                context.delete(key)
            case "pop":
                context.pop(key)
    except (KeyError, TypeError):
        pass


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_CHANGES, st.lists(_CHANGES, max_size=3), _CHANGES)
def test_after_failed_tries_the_context_equals_that_of_a_clean_run(
    bench: Bench,
    before: list[tuple[str, str]],
    tries: list[list[tuple[str, str]]],
    last: list[tuple[str, str]],
) -> None:
    held, clean = Context(), Context()
    for context in (held, clean):
        for value, (key, op) in enumerate(before):
            _change(context, key, op, value)
    bench.configure(is_held=lambda _: True, hold=lambda _: "redo")
    run = RecipeRun(bench.recipe(_RECIPE), held, bench.attempt)
    step = run.recipe.step("b")
    task = run.new_task(step, SlotLease())
    hold, left = Hold(run, task, bool), [*tries, last]

    def attempt() -> StepResult:
        changes: list[Change] = []
        own = held.bound("b", changes.append)
        for value, (key, op) in enumerate(left.pop(0), 10):
            _change(own, key, op, value)
        failure = Failure(kind="status", reason="off") if left else None
        outcome: Any = "failed" if failure else "passed"
        made = tuple(changes)
        return StepResult(step="b", outcome=outcome, failure=failure, changes=made)

    while hold.attempt(attempt) is None:
        pass
    for value, (key, op) in enumerate(last, 10):
        _change(clean, key, op, value)
    assert held.to_dict() == clean.to_dict()
