"""Trends of figures over the runs of the history store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_orchestrator.runs.compare.trends import trends
from pytest_orchestrator.runs.index.past_runs import read_all

if TYPE_CHECKING:
    from tests.runs.built import Runs


def test_a_trend_has_all_runs_and_a_drift_if_the_last_one_deviates(runs: Runs) -> None:
    runs.history(1.0, 1.1, 0.9, 1.0, 3.5)
    past = [*read_all(runs.base)]
    (trend,) = trends(past)

    assert (trend.step, trend.figure, trend.unit) == ("burn_in", "seconds", "s")
    assert [point.value for point in trend.points] == [1.0, 1.1, 0.9, 1.0, 3.5]
    assert trend.drift is not None
    assert trend.drift.factor == 3.5
    assert [one.figure for one in trends(past, "burn_in")] == [
        "seconds",
        "cpu_seconds",
        "max_rss",
    ]


def test_a_measurement_has_the_unit_and_the_digits_of_the_newest_run(runs: Runs) -> None:
    for value, limits in ((1.0, {"precision": 3}), (2.0, {"precision": 4}), (3.0, {})):
        runs.new().begin("a").step("a", measured={"mv": value}, limits=limits).seal()
    runs.new().begin("a").step("a", "failed", measured={"mv": 9.0}).seal(1)

    (trend,) = trends(read_all(runs.base), "mv")

    assert (trend.unit, trend.precision) == ("mV", 4)
    assert [(one.value, one.passed) for one in trend.points] == [
        (1.0, True),
        (2.0, True),
        (3.0, True),
        (9.0, False),
    ]


def test_a_measurement_drifts_from_the_passed_runs_alone(runs: Runs) -> None:
    limits = {"low": 0.0, "high": 10.0}
    for value in (5.0, 5.1, 4.9, 5.0, 5.1, 4.9, 5.0, 6.2):
        runs.new().begin("a").step("a", measured={"mv": value}, limits=limits).seal()
        runs.new().begin("a").step("a", "failed", measured={"mv": 9.0}, limits=limits).seal(1)
    runs.new().begin("a").step("a", measured={"mv": 9.0}, limits=limits).seal()

    (trend,) = trends(read_all(runs.base), "mv")

    assert trend.drift is not None
    assert (trend.drift.baseline.median, trend.drift.baseline.runs) == (5.0, 8)
