"""Comparison of two runs."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.core.events import InstrumentSafe
from pytest_orchestrator.runs.compare.comparison import compare_runs
from pytest_orchestrator.runs.compare.history import History
from pytest_orchestrator.runs.lookup import load_record, run_folders
from tests.reports import sample_run
from tests.runs.built import RECIPE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.runs.built import Runs


def of_last(runs: Runs) -> dict[str, Any]:
    """Compare the last run with the one before it, and its figures with all earlier runs."""
    last, before, *_ = run_folders(runs.base)
    history = History(runs.base, last.name)
    return compare_runs(
        load_record(before),
        load_record(last),
        lambda recipe, step: history.figures(recipe, step, 10),
    )


def test_outcomes_keys_and_files_that_differ_are_listed(runs: Runs) -> None:
    one = runs.new(sha256="1" * 64, vars={"gain": {"value": 1, "origin": "x"}}).begin(
        "a", "b", digests={"a.sh": "1", "b.sh": "1"}
    )
    one.change("a", "x", 1)
    one.change("a", "gone", True)
    one.step("a").step("b").seal()
    two = runs.new(sha256="2" * 64, vars={"gain": {"value": 2, "origin": "y"}}).begin(
        "a", "b", digests={"a.sh": "1", "b.sh": "2"}
    )
    two.change("a", "x", True)
    two.change("a", "own", [1], scope=RECIPE)
    two.step("a").step("b", "failed", reason="the bench is off").seal(1)
    difference = of_last(runs)

    assert difference["outcomes"] == [
        {"recipe": RECIPE, "step": "b", "a": "passed", "b": "failed", "reason": "the bench is off"}
    ]
    assert difference["context"] == [
        {"key": "x", "a": 1, "b": True},
        {"key": "gone", "a": True},
        {"key": "own", "scope": RECIPE, "b": [1]},
    ]
    assert difference["code"] == [
        {"path": RECIPE, "a": "1" * 64, "b": "2" * 64},
        {"path": "b.sh", "a": "1", "b": "2"},
    ]
    assert difference["vars"] == [{"recipe": RECIPE, "var": "gain", "a": 1, "b": 2}]
    assert difference["worse"] is True


@pytest.mark.parametrize("seed", range(10))
def test_noise_of_a_fifth_is_no_difference(runs: Runs, seed: int) -> None:
    chance = random.Random(seed)
    runs.history(*(max(0.1, chance.gauss(10, 2)) for _ in range(11)))
    difference = of_last(runs)

    assert (difference["worse"], difference["outcomes"], difference["context"]) == (False, [], [])
    assert not any(one["drifted"] for one in difference["figures"])


@pytest.mark.parametrize("earlier", [1, 10])
def test_a_step_that_takes_three_times_as_long_is_a_drift(runs: Runs, earlier: int) -> None:
    chance = random.Random(7)
    runs.history(*(chance.uniform(8, 12) for _ in range(earlier)), 30.0)
    difference = of_last(runs)

    assert difference["worse"] is True
    assert {one["figure"] for one in difference["figures"] if one["drifted"]} == {
        "seconds",
        "cpu_seconds",
    }


def test_a_measurement_that_drifts_is_listed_with_its_unit(runs: Runs) -> None:
    limits = {"low": 0.0, "high": 200.0}
    for value in (40.0, 41.0, 40.5, 40.0, 41.0, 40.5, 40.5, 95.0):
        runs.new().begin("a").step("a", measured={"ripple": value}, limits=limits).seal()
    (one,) = of_last(runs)["measurements"]

    assert (one["a"], one["b"], one["unit"], one["usual"]) == (40.5, 95.0, "mV", 40.5)
    assert (one["drifted"], one["share"], one["limit"]) == (True, 0.2725, 60.5)
    assert one["size"] == "73.5 deviations, 27.3 % of the range"


def test_with_few_runs_a_measurement_is_compared_with_the_other_run(runs: Runs) -> None:
    for value in (40.0, 61.0):
        limits = {"low": 0.0, "high": 200.0}
        run = runs.new().begin("a", "b")
        run.step("a", measured={"ripple": value}, limits=limits)
        run.step("b", measured={"free": value}).seal()
    ripple, free = of_last(runs)["measurements"]

    assert (ripple["drifted"], ripple["size"]) == (True, "10.5 % of the range")
    assert free["drifted"] is False


def test_a_safe_state_that_was_not_reached_makes_a_run_worse(tmp_path: Path) -> None:
    records = []
    for name, reason in (("1", ""), ("2", "no answer")):
        run = sample_run.SampleRun(tmp_path / name)
        run.begin({"a": []})
        run.step("a", "passed", (0, 0.5))
        run.add(1, InstrumentSafe(recipe=sample_run.RECIPE, instrument="psu", reason=reason))
        records.append(load_record(run.seal(0)))

    difference = compare_runs(records[0], records[1])

    assert difference["worse"]
    [state] = difference["outcomes"]
    assert state | {"recipe": ""} == {
        "recipe": "",
        "step": "psu (safe state)",
        "a": None,
        "b": "error",
        "reason": "no answer",
    }
