"""Pending `finally` steps of a killed run, until a later run executes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.core.events import (
    ContextRestored,
    InstrumentOpened,
    RecipeStarted,
    RunStarted,
    StepFinished,
    StepStarted,
)
from pytest_orchestrator.runs.journal.writer import NAME, Journal
from pytest_orchestrator.runs.lookup import load_record
from pytest_orchestrator.runs.pending_finally import (
    PendingFinally,
    Rest,
    pending_runs,
    rest_of,
    resume_command,
)
from tests.blocks import whole
from tests.runs.conftest import RECIPE, WrittenRun

if TYPE_CHECKING:
    from pathlib import Path


def begun(base: Path, run: str) -> WrittenRun:
    """Start a run of a recipe whose `finally` step powers off."""
    past = WrittenRun(base, run)
    steps = ({"name": "on", "index": 1}, {"name": "off", "index": 2, "final": True})
    past.add(RecipeStarted(recipe=RECIPE, about={"path": RECIPE}, steps=steps))
    past.step("on")
    return past


def cut_off(past: WrittenRun, name: str, *, final: bool) -> None:
    """Interrupt a step while the session continues to its end."""
    past.add(StepStarted(recipe=RECIPE, step=name))
    fields = {
        "name": name,
        **({"final": True} if final else {}),
        "state": "failed",
        "kind": "interrupted",
    }
    block = whole({"step": fields})
    past.add(StepFinished(recipe=RECIPE, step=name, outcome="failed", meets=False, block=block))


def test_a_finally_step_is_pending_until_a_later_run_executes_it(tmp_path: Path) -> None:
    first, second, third = (f"2026112{day}T101502Z-7f3a" for day in (5, 6, 7))
    begun(tmp_path, first).killed()
    assert [*pending_runs(tmp_path)] == [PendingFinally(first, {RECIPE: ["off"]})]
    begun(tmp_path, second).seal()
    assert [*pending_runs(tmp_path)] == [PendingFinally(first, {RECIPE: ["off"]})]
    later = begun(tmp_path, third)
    later.step("off")
    later.seal()
    assert [*pending_runs(tmp_path)] == []


@pytest.mark.parametrize("is_killed", [True, False])
def test_a_finally_step_that_was_cut_off_is_pending_however_the_run_ended(
    tmp_path: Path, *, is_killed: bool
) -> None:
    first, second = (f"2026112{day}T101502Z-7f3a" for day in (5, 6))
    past = begun(tmp_path, first)
    cut_off(past, "off", final=True)
    if is_killed:
        past.killed()
    else:
        past.seal(2)
    assert [*pending_runs(tmp_path)] == [PendingFinally(first, {RECIPE: ["off"]})]
    later = begun(tmp_path, second)
    later.step("off")
    later.seal()
    assert [*pending_runs(tmp_path)] == []


def test_a_run_whose_other_steps_were_cut_off_has_no_pending_step(tmp_path: Path) -> None:
    past = begun(tmp_path, "20261125T101502Z-7f3a")
    cut_off(past, "on", final=False)
    past.step("off")
    past.seal(2)
    assert [*pending_runs(tmp_path)] == []


def test_a_finally_step_that_no_process_could_run_is_pending_after_a_sealed_run(
    tmp_path: Path,
) -> None:
    first = "20261125T101502Z-7f3a"
    begun(tmp_path, first).seal(1, pending=1)

    assert [*pending_runs(tmp_path)] == [PendingFinally(first, {RECIPE: ["off"]})]


def resumed(base: Path, run: str, of: str) -> WrittenRun:
    """Start a run that resumes another one."""
    past = WrittenRun(base, run)
    past.journal.close()
    (past.folder / NAME).unlink()
    past.journal = Journal(past.folder / NAME)
    past.add(RunStarted(schema_version="1.0", run=run, resumed_from=of))
    return past


def test_a_resumed_run_has_the_pending_steps_of_the_recipes_whose_steps_it_began(
    tmp_path: Path,
) -> None:
    first, second, third, fourth = (f"2026112{day}T101502Z-7f3a" for day in (5, 6, 7, 8))
    begun(tmp_path, first).killed()
    restored = ContextRestored(snapshot={"values": {}}, run=first)
    other = resumed(tmp_path, second, first)  # it selected another recipe
    other.add(restored)
    other.killed()
    assert [*pending_runs(tmp_path)] == [PendingFinally(first, {RECIPE: ["off"]})]
    late = resumed(tmp_path, third, second)  # it was killed before a step of the recipe
    late.recipe("on", "off")
    late.add(restored)
    late.killed()
    assert [*pending_runs(tmp_path)] == [PendingFinally(first, {RECIPE: ["off"]})]
    heir = resumed(tmp_path, fourth, third)
    steps = ({"name": "on", "index": 1}, {"name": "off", "index": 2, "final": True})
    heir.add(RecipeStarted(recipe=RECIPE, about={"path": RECIPE}, steps=steps), restored)
    heir.step("on")
    heir.killed()
    assert [*pending_runs(tmp_path)] == [PendingFinally(fourth, {RECIPE: ["off"]})]


def test_the_command_names_each_recipe_once_without_the_cells_of_its_matrix() -> None:
    keys = ["recipes/x.yaml[n:1]", "recipes/x.yaml[n:2]", "recipes/a b.yaml"]

    assert resume_command("20261125T101502Z-7f3a", keys) == (
        "pytest --recipe-resume=20261125T101502Z-7f3a recipes/x.yaml 'recipes/a b.yaml'"
    )


def test_a_killed_run_says_what_is_due_and_how_to_resume_it(tmp_path: Path) -> None:
    run = "20261125T101502Z-7f3a"
    past = begun(tmp_path, run)
    past.add(InstrumentOpened(recipe=RECIPE, instrument="psu", resource="A", has_safe_state=True))
    past.killed()

    assert rest_of(load_record(tmp_path / run)) == Rest(
        [
            "off (finally) did not run: the bench may still be on",
            "psu is not in its safe state: it is owed",
        ],
        f"pytest --recipe-resume={run} {RECIPE}",
    )


def test_a_finally_step_that_was_cut_off_did_not_run_to_its_end(tmp_path: Path) -> None:
    run = "20261125T101502Z-7f3a"
    past = begun(tmp_path, run)
    cut_off(past, "off", final=True)
    past.seal(2)

    assert rest_of(load_record(tmp_path / run)) == Rest(
        ["off (finally) did not run to its end: the bench may still be on"],
        f"pytest --recipe-resume={run} {RECIPE}",
    )


def test_a_run_that_goes_on_and_one_that_is_complete_have_nothing_left(tmp_path: Path) -> None:
    first, second = (f"2026112{day}T101502Z-7f3a" for day in (5, 6))
    begun(tmp_path, first).killed()
    later = begun(tmp_path, second)
    later.step("off")
    later.seal()
    record = load_record(tmp_path / first)
    record.state = "running"

    assert rest_of(record) == rest_of(load_record(tmp_path / second)) == Rest([], "")
