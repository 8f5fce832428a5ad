"""What is slower than usual is told from noise."""

from __future__ import annotations

import random

import pytest

from pytest_orchestrator.runs.compare.drift import drifted, baseline_range

NOISE = 0.2


def noisy(seed: int, count: int = 11) -> list[float]:
    chance = random.Random(seed)
    return [max(0.1, chance.gauss(10, 10 * NOISE)) for _ in range(count)]


def test_three_times_as_slow_is_told() -> None:
    found = drifted(3.0, [1.0, 1.02, 0.98, 1.01], what="seconds")

    assert found is not None
    assert (found.value, found.baseline.median, found.baseline.runs) == (3.0, 1.005, 4)
    assert found.factor == pytest.approx(2.985, abs=0.001)
    assert found.limit == pytest.approx(2.01)


@pytest.mark.parametrize("seed", range(10))
def test_noise_of_a_fifth_is_not_told_and_three_times_as_slow_is(seed: int) -> None:
    *before, last = noisy(seed)

    assert drifted(last, before, what="seconds") is None
    assert drifted(last, before) is None
    assert drifted(30.0, before, what="seconds") is not None


def test_a_narrow_factor_does_not_take_noise_for_drift() -> None:
    told = sum(
        drifted(last, before, 1.2, "seconds") is not None
        for *before, last in (noisy(seed) for seed in range(200))
    )
    assert told <= 4


def test_one_odd_run_moves_nothing() -> None:
    assert baseline_range([1.0, 1.0, 1.0, 1.0, 90.0]) == (1.0, 0.0, 5)


def test_what_nobody_would_notice_is_not_told() -> None:
    assert drifted(0.09, [0.01] * 5, what="seconds") is None
    assert drifted(0.09, [0.01] * 5) is not None
    assert drifted(9_000_000, [1_000_000] * 5, what="max_rss") is None


def test_faster_is_no_drift_and_a_smaller_measurement_is() -> None:
    assert drifted(1.0, [10.0] * 5, what="seconds") is None
    found = drifted(4.9, [10.0] * 5)
    assert found is not None
    assert (round(found.factor, 3), found.limit) == (0.49, 5.0)
    assert drifted(-21.0, [-10.0] * 5) is not None


def test_of_two_runs_nothing_can_be_said() -> None:
    assert drifted(30.0, [1.0, 1.0]) is None


def test_around_zero_there_is_no_factor() -> None:
    assert drifted(0.4, [0.0] * 5) is None
