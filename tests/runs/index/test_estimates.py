"""Estimates of durations from earlier runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.runs.index.estimates import (
    StepEstimates,
    recent_runs,
    remaining,
    usual_seconds,
)
from pytest_orchestrator.runs.index.past_runs import read_all
from tests.runs.built import RECIPE

if TYPE_CHECKING:
    from tests.runs.built import Runs

FLASH, MEASURE, RELEASE = ((RECIPE, name) for name in ("flash", "measure", "release"))


def test_earlier_durations_are_read_once(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds in (2.0, 4.0, 3.0):
        runs.new().begin("flash", "measure").step("flash", seconds=seconds).step("measure").seal()
    running = runs.new().begin("flash")
    estimates = StepEstimates()

    assert estimates.of(running.folder, [FLASH]) == {FLASH: 3.0}
    monkeypatch.setattr("pytest_orchestrator.runs.lookup.run_folders", None)
    assert estimates.of(running.folder, [FLASH, MEASURE, RELEASE]) == {FLASH: 3.0, MEASURE: 1.0}
    running.cut()


def test_usual_seconds_are_medians_of_runs_in_which_the_recipe_passed(runs: Runs) -> None:
    for seconds in (2.0, 3.0, 40.0):
        runs.new().begin("flash", "measure").step("flash", seconds=seconds).seal()
    runs.new().begin("flash", "measure").step("flash", seconds=99.0).step("measure", "failed").seal(
        1
    )
    last = runs.new().begin("flash").step("flash", seconds=500.0).seal()

    assert usual_seconds(recent_runs(last)) == {FLASH: 3.0}
    assert usual_seconds([]) == {}


@pytest.mark.parametrize(
    ("parallel", "waits_for", "seconds"),
    [
        (1, {"a": (), "b": (), "c": ()}, 12.0),
        (2, {"a": (), "b": (), "c": ()}, 6.0),
        (12, {"a": (), "b": (), "c": ()}, 5.0),
        (12, {"a": (), "b": ("a",), "c": ()}, 9.0),
        (12, {"a": (), "ended": ("a",), "c": ("ended",)}, 8.0),
    ],
)
def test_remaining_time_is_shared_by_parallel_steps_and_as_long_as_the_longest_chain(
    parallel: int, waits_for: dict[str, tuple[str, ...]], seconds: float
) -> None:
    assert remaining({"a": 5.0, "b": 4.0, "c": 3.0}, waits_for, parallel) == seconds
    assert remaining({}, {}, parallel) == 0.0


def test_a_run_of_a_gauge_study_is_no_estimate(runs: Runs) -> None:
    runs.new(test_meta={"study": "grr"}).begin("a").step("a", seconds=9.0).seal()
    assert usual_seconds(read_all(runs.base)) == {}
    runs.new().begin("a").step("a", seconds=1.0).seal()
    assert [*usual_seconds(read_all(runs.base)).values()] == [1.0]
