"""Lookup of runs by id, and reading of complete, interrupted and running ones."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.core.events import (
    AttemptFailed,
    ElementFinished,
    QuestionAnswered,
    QuestionAsked,
    StepStarted,
    StepWaits,
    TestReported,
)
from pytest_orchestrator.runs.lookup import (
    FollowedRun,
    NoRun,
    find_run,
    load_record,
    run_folders,
)
from pytest_orchestrator.runs.record import Progress

if TYPE_CHECKING:
    from pathlib import Path

    from tests.runs.conftest import WrittenRun

RECIPE = "recipes/x.yaml"


def test_a_run_is_read_back(past: WrittenRun) -> None:
    past.recipe("a", "b", "c", name="X")
    past.step("a", result={"volts": 12})
    past.change("psu.state", "on")
    past.step("b", "failed")
    past.add(
        TestReported(node=f"{RECIPE}::a", outcome="passed", recipe=RECIPE, step="a"),
        TestReported(node=f"{RECIPE}::b", outcome="xfailed", recipe=RECIPE, step="b", text="no"),
    )
    record = load_record(past.seal(1))

    assert (record.state, record.id) == ("finished", "20261125T101502Z-7f3a")
    assert [(step.name, step.state, step.text) for step in record.steps] == [
        ("a", "passed", ""),
        ("b", "xfailed", "no"),
        ("c", "not selected", ""),
    ]
    assert record.recipes[RECIPE].steps["a"].result == {"volts": 12}
    assert record.changes.values() == {"psu.state": "on"}
    assert record.finished is not None
    assert record.finished.exit_status == 1


def test_the_text_of_a_block_is_released_when_it_was_decoded(past: WrittenRun) -> None:
    past.recipe("a")
    past.step("a")
    step = load_record(past.seal(0), raw_blocks=True).recipes[RECIPE].steps["a"]

    assert (step.may_have(b'"name":"a"'), step.may_have(b'"marginal"')) == (True, False)
    assert step.block is step.block is not None
    assert len(bytes(step.ended.block)) < 10  # type: ignore[union-attr,arg-type]
    assert step.may_have(b'"marginal"')


def test_steps_that_ran_when_a_run_was_killed_are_interrupted(past: WrittenRun) -> None:
    past.recipe("a", "b", "c", "e", "d")
    past.add(StepStarted(recipe=RECIPE, step="e"), QuestionAsked(recipe=RECIPE, step="e"))
    past.add(StepStarted(recipe=RECIPE, step="a"), StepWaits(recipe=RECIPE, step="b", lock="psu"))
    past.add(StepStarted(recipe=RECIPE, step="c"))
    past.add(AttemptFailed(recipe=RECIPE, step="c", attempt=1, kind="timeout", reason="late"))
    states = [step.state for step in load_record(past.folder).steps]
    record = load_record(past.killed())

    assert states == ["running", "locked", "retrying", "asks", "waiting"]
    assert [step.state for step in record.steps] == ["interrupted"] * 4 + ["not run"]
    assert record.state == "interrupted"


@pytest.mark.parametrize("waits", ["before the first step", "after the last step"])
def test_a_recipe_that_waits_for_its_locks_has_no_further_step(
    waits: str, past: WrittenRun
) -> None:
    past.recipe("a", "b")
    if waits == "before the first step":
        past.add(StepWaits(recipe=RECIPE, step="", lock="psu"))
        shown = [(step.state, step.locked is not None) for step in load_record(past.folder).steps]
        assert shown == [("waiting", True), ("waiting", False)]
    past.step("a")
    past.step("b")
    if waits == "after the last step":
        past.add(StepWaits(recipe=RECIPE, step="", lock="psu"))
    record = load_record(past.seal())

    assert [(step.name, step.state) for step in record.steps] == [("a", "passed"), ("b", "passed")]
    assert all(step.locked is None for step in record.steps)


def test_a_recipe_that_was_killed_while_it_waited_for_its_locks_has_run_no_step(
    past: WrittenRun,
) -> None:
    past.recipe("a", "b")
    past.add(StepWaits(recipe=RECIPE, step="", lock="psu"))
    record = load_record(past.killed())

    assert [(step.name, step.state) for step in record.steps] == [
        ("a", "not run"),
        ("b", "not run"),
    ]


def test_a_step_asks_until_its_question_has_an_answer(past: WrittenRun) -> None:
    past.recipe("a")
    past.add(StepStarted(recipe=RECIPE, step="a"))
    past.add(QuestionAsked(recipe=RECIPE, step="a", message="Is the LED green?"))
    (asking,) = load_record(past.folder).steps
    past.add(QuestionAnswered(recipe=RECIPE, step="a", who="ann", where="terminal"))
    (answered,) = load_record(past.folder).steps

    assert (asking.state, asking.asked and asking.asked.message) == ("asks", "Is the LED green?")
    assert (answered.state, answered.asked) == ("running", None)


def test_progress_of_a_loop_begins_anew_with_each_start_of_its_step(past: WrittenRun) -> None:
    past.recipe("a")
    shown = []
    for outcomes in (["passed", "failed"], ["passed"]):
        past.add(StepStarted(recipe=RECIPE, step="a", elements=3))
        for index, outcome in enumerate(outcomes):
            past.add(StepStarted(recipe=RECIPE, step="a", element=index))
            element: Any = {"element": index, "outcome": outcome}
            past.add(ElementFinished(recipe=RECIPE, step="a", **element))
        (step,) = load_record(past.folder).steps
        shown.append(step.progress)

    assert shown == [Progress(2, 1, 3), Progress(1, 0, 3)]


def test_a_step_records_the_line_that_touched_it_last(past: WrittenRun) -> None:
    followed = FollowedRun(past.folder)
    past.recipe("a", "b")
    past.add(StepWaits(recipe=RECIPE, step="a", lock="psu"))
    followed.read_new_lines()
    a, b = followed.record.steps

    assert (a.touched, b.touched) == (followed.record.lines, 0)
    past.step("b")
    followed.read_new_lines()
    assert a.touched < b.touched == followed.record.lines


def test_a_running_run_is_read_incrementally(past: WrittenRun) -> None:
    followed = FollowedRun(past.folder)

    assert followed.read_new_lines()
    assert not followed.read_new_lines()
    past.recipe("a")
    past.step("a")
    assert followed.read_new_lines()
    assert followed.record.steps[0].state == "passed"
    states = [followed.record.state]
    past.seal()
    followed.read_new_lines()
    assert [*states, followed.record.state] == ["running", "finished"]


def test_a_run_is_found_by_its_id_or_a_prefix_of_it(tmp_path: Path) -> None:
    names = ["20261125T101502Z-7f3a", "20261125T101502Z-8000", "20261126T101502Z-0001"]
    for name in [*names, "other"]:
        (tmp_path / name).mkdir()

    assert [path.name for path in run_folders(tmp_path)] == names[::-1]
    assert find_run(tmp_path).name == names[2]
    assert find_run(tmp_path, "20261126").name == names[2]
    assert find_run(tmp_path, names[0]).name == names[0]
    with pytest.raises(NoRun, match="several runs begin with '20261125T': 20261125T101502Z-8000, "):
        find_run(tmp_path, "20261125T")
    with pytest.raises(NoRun) as caught:
        find_run(tmp_path, "20261126T101502Z-0002")
    assert str(caught.value) == (
        "no run '20261126T101502Z-0002' (did you mean '20261126T101502Z-0001'?)"
    )


def test_ids_with_and_without_a_station_are_sorted_and_found(tmp_path: Path) -> None:
    names = [
        "20261125T101502Z-7f3a",
        "20261125T101502Z-7f3a91c0d2e4",
        "20261126T101502Z-bench-3-00aa91c0d2e4",
        "20261126T101503Z-0001",
        "20261127T101502Z-00aa91c0d2e5",
    ]
    for moment, name in enumerate(names):
        (tmp_path / name).mkdir()
        (tmp_path / name / "journal.jsonl").touch()
        os.utime(tmp_path / name / "journal.jsonl", ns=(moment, moment))

    assert [path.name for path in run_folders(tmp_path)] == names[::-1]
    assert [find_run(tmp_path, name).name for name in names] == names  # one begins another
    assert find_run(tmp_path, "20261126T101502Z-bench").name == names[2]
    assert find_run(tmp_path, "20261125T101502Z-7f3a9").name == names[1]


def test_a_missing_run_or_journal_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NoRun, match="there is no run in"):
        find_run(tmp_path / "no")
    (tmp_path / "20261125T101502Z-7f3a").mkdir()
    (tmp_path / "20261125T101502Z-7f3a" / "journal.jsonl").touch()
    with pytest.raises(NoRun, match=r"^no run 'LAST' \(did you mean 'latest'\?\)$"):
        find_run(tmp_path, "LAST")
    with pytest.raises(NoRun, match="has no journal: No such file"):
        load_record(tmp_path)


def test_the_newest_run_of_one_second_is_the_one_written_last(tmp_path: Path) -> None:
    names = [f"20261125T101502Z-{end}" for end in ("0001", "ffff", "7f3a")]
    for moment, name in enumerate(names):
        (tmp_path / name).mkdir()
        (tmp_path / name / "journal.jsonl").touch()
        os.utime(tmp_path / name / "journal.jsonl", ns=(moment, moment))
    (tmp_path / "20261125T101503Z-0000").mkdir()

    assert [path.name for path in run_folders(tmp_path)] == ["20261125T101503Z-0000", *names[::-1]]
