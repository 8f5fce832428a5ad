"""Drift detection: slower steps and deviating measurements against noise."""

from __future__ import annotations

import random

import pytest

from pytest_orchestrator.runs.compare.drift import BaselineRange, baseline_range, find_drift

NOISE = 0.2


def noisy(seed: int, count: int = 11) -> list[float]:
    chance = random.Random(seed)
    return [max(0.1, chance.gauss(10, 10 * NOISE)) for _ in range(count)]


def test_a_figure_of_three_times_the_median_is_a_drift() -> None:
    drift = find_drift(3.0, [1.0, 1.02, 0.98, 1.01], what="seconds")

    assert drift is not None
    assert (drift.value, drift.baseline.median, drift.baseline.runs) == (3.0, 1.005, 4)
    assert drift.factor == pytest.approx(2.985, abs=0.001)
    assert drift.limit == pytest.approx(2.01)


@pytest.mark.parametrize("seed", range(10))
def test_noise_of_a_fifth_is_no_drift_and_three_times_as_slow_is_one(seed: int) -> None:
    *before, last = noisy(seed)

    assert find_drift(last, before, what="seconds") is None
    assert find_drift(last, before) is None
    assert find_drift(30.0, before, what="seconds") is not None


def test_a_narrow_factor_does_not_report_noise_as_drift() -> None:
    drifts = sum(
        find_drift(last, before, 1.2, "seconds") is not None
        for *before, last in (noisy(seed) for seed in range(200))
    )
    assert drifts <= 4


def test_one_outlier_does_not_move_the_range() -> None:
    assert baseline_range([1.0, 1.0, 1.0, 1.0, 90.0]) == BaselineRange(1.0, 0.0, 5)


def test_a_deviation_below_the_floor_is_no_drift() -> None:
    assert find_drift(0.09, [0.01] * 5, what="seconds") is None
    assert find_drift(0.09, [0.01] * 5) is not None
    assert find_drift(9_000_000, [1_000_000] * 5, what="max_rss") is None


def test_a_faster_step_is_no_drift_and_a_smaller_measurement_is_one() -> None:
    assert find_drift(1.0, [10.0] * 5, what="seconds") is None
    drift = find_drift(4.9, [10.0] * 5)
    assert drift is not None
    assert (round(drift.factor, 3), drift.limit) == (0.49, 5.0)
    assert find_drift(-21.0, [-10.0] * 5) is not None


def test_two_earlier_runs_are_too_few_for_a_drift() -> None:
    assert find_drift(30.0, [1.0, 1.0]) is None


def test_a_median_of_zero_allows_no_drift() -> None:
    assert find_drift(0.4, [0.0] * 5) is None
