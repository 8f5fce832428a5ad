import itertools
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pytest_orchestrator.context.history import stamp
from pytest_orchestrator.core.events import AttemptFailed, StepStarted, StepWaits
from pytest_orchestrator.reports.html.timeline import Timeline, lanes_of, timeline_of
from pytest_orchestrator.runs import lookup
from tests.reports.sample_run import RECIPE, SampleRun, psu_run
from tests.runs.built import Runs


def drawn(run: SampleRun) -> Timeline:
    run.journal.close()
    record = lookup.load_record(run.folder)
    shown = timeline_of(record.recipes[RECIPE].steps.values(), record.last)
    assert shown
    return shown


def test_a_bar_shows_lock_waits_attempts_and_retry_delays(tmp_path: Path) -> None:
    shown = drawn(psu_run(tmp_path / "run"))

    spans = {
        bar.step.name: [
            (span.kind, *(round(value, 3) for value in (span.start, span.stop)))
            for span in bar.spans
        ]
        for bar in shown.bars
    }
    assert spans == {
        "flash": [("locked", 0, 0.3), ("running", 0.3, 3.5)],
        "measure_ripple": [("failed", 3.6, 4.9), ("retrying", 4.9, 5.9), ("running", 5.9, 8.0)],
        "burn_in": [("running", 3.6, 9.1)],
        "thermal": [("running", 3.7, 6.9)],
        "power_off": [("running", 9.2, 9.4)],
    }
    assert shown.seconds == pytest.approx(9.4)
    assert shown.ticks == (2, 4, 6, 8)


@given(st.lists(st.floats(0, 0.01), min_size=2))
def test_steps_one_after_another_share_a_lane_whatever_their_rounded_times(
    durations: list[float],
) -> None:
    ends = [*itertools.accumulate(durations, initial=1.7e9)]
    windows = itertools.pairwise(ends)
    rounded = [(math.floor(a * 1000) / 1000, math.ceil(b * 1000) / 1000) for a, b in windows]

    assert set(lanes_of(rounded)) == {0}


def test_steps_that_overlap_by_more_than_their_rounding_have_their_own_lanes() -> None:
    assert lanes_of([(0.0, 0.010), (0.007, 0.020), (0.012, 0.030)]) == [0, 1, 0]


def test_simultaneous_steps_are_on_separate_lanes(tmp_path: Path) -> None:
    shown = drawn(psu_run(tmp_path / "run"))

    assert shown.lanes == 3
    assert {bar.step.name: bar.lane for bar in shown.bars} == {
        "flash": 0,
        "measure_ripple": 0,
        "burn_in": 1,
        "thermal": 2,
        "power_off": 0,
    }


def test_context_changes_are_marked_on_the_bar(tmp_path: Path) -> None:
    flash = drawn(psu_run(tmp_path / "run")).bars[0]

    assert [(round(mark.at, 3), mark.op, mark.key) for mark in flash.marks] == [
        (3.5, "set", "dut.firmware_v1"),
        (3.5, "set", "dut.on"),
    ]


def test_a_change_after_the_last_step_is_marked_at_the_end(tmp_path: Path) -> None:
    run = SampleRun(tmp_path / "run")
    run.begin({"a": []})
    write = {"key": "k", "op": "set", "who": "a", "new": 1}
    run.step("a", "passed", (1, 2), context={"writes": [write]})
    run.journal.close()
    record = lookup.load_record(run.folder)
    block = record.recipes[RECIPE].steps["a"].block
    assert block
    (change,) = block.context.writes
    block.context.writes[:] = [replace(change, ts="2026-11-25T10:15:04.500Z")]

    shown = timeline_of(record.recipes[RECIPE].steps.values(), record.last)

    assert shown
    assert shown.bars[0].marks[0].at == shown.seconds == pytest.approx(1.5)


def test_a_bar_of_an_unfinished_step_ends_with_the_journal(tmp_path: Path) -> None:
    run = SampleRun(tmp_path / "run")
    run.begin({"a": [], "b": ["a"], "c": ["b"]})
    run.step("a", "passed", (1, 2))
    run.start("b", 2)
    run.start("b", 5, attempt=2)

    shown = drawn(run)

    assert [(bar.step.name, bar.start, bar.stop) for bar in shown.bars] == [
        ("a", 0, 1),
        ("b", 4, 4),
    ]


def test_a_recipe_without_any_run_step_has_no_timeline(tmp_path: Path) -> None:
    run = SampleRun(tmp_path / "run")
    run.begin({"a": []})
    run.journal.close()
    record = lookup.load_record(run.folder)

    assert timeline_of(record.recipes[RECIPE].steps.values(), record.last) is None


@pytest.mark.parametrize(
    ("seconds", "ticks"),
    [(0.009, [0.002, 0.004, 0.006, 0.008]), (400, [120, 240, 360]), (7e6, None)],
)
def test_ticks_are_few_round_numbers(
    tmp_path: Path, seconds: float, ticks: list[float] | None
) -> None:
    run = SampleRun(tmp_path / "run")
    run.begin({"a": []})
    run.step("a", "passed", (0, seconds))

    shown = drawn(run).ticks

    assert 1 <= len(shown) <= 6
    assert ticks is None or list(shown) == ticks


def test_bar_of_a_running_step_shows_its_waits_and_failed_attempts(tmp_path: Path) -> None:
    built = Runs(tmp_path).new().begin("wait", "again", "delayed")
    step: dict[str, Any] = {"recipe": built.recipe, "step": "again"}
    built.add(StepWaits(**step, lock="psu"))  # at 2 s
    built.add(StepStarted(**step))
    built.add(AttemptFailed(**step, attempt=1, kind="exit_code", reason="no"))
    built.add(StepStarted(**step, attempt=2))
    late = {**step, "step": "delayed"}
    built.add(StepStarted(**late))
    built.add(AttemptFailed(**late, attempt=1, kind="exit_code", reason="no"))
    built.add(StepWaits(recipe=built.recipe, step="wait", lock="psu"))
    record = lookup.load_record(built.cut())
    shown = timeline_of(record.recipes[built.recipe].steps.values(), stamp(built.moment))
    assert shown

    assert {
        bar.step.name: [(one.kind, one.start, one.stop) for one in bar.spans] for bar in shown.bars
    } == {
        "wait": [("locked", 6, 7)],
        "again": [("locked", 0, 1), ("failed", 1, 2), ("retrying", 2, 3), ("running", 3, 7)],
        "delayed": [("failed", 4, 5), ("retrying", 5, 7)],
    }
