"""Drift detection: slower steps and deviating measurements against noise."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pytest_orchestrator.runs.history.drift import (
    BaselineRange,
    Drift,
    Limits,
    Value,
    baseline_range,
    drift_of,
    find_drift,
)

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
    assert find_drift(9_000_000, [1_000_000] * 5, what="max_rss") is None


def test_a_faster_step_is_no_drift() -> None:
    assert find_drift(1.0, [10.0] * 5, what="seconds") is None


def test_two_earlier_runs_are_too_few_for_a_drift() -> None:
    assert find_drift(30.0, [1.0, 1.0]) is None


def test_a_median_of_zero_allows_no_drift() -> None:
    assert find_drift(0.4, [0.0] * 5) is None


def measured(
    number: float, past: list[float], limits: Limits = (None, None), **more: Any
) -> Drift | None:
    """Return the drift of a measurement from its values in passed runs, the oldest first."""
    values = [Value(one, "V", limits) for one in reversed(past)]
    return drift_of(Value(number, "V", limits), values, "measurements.v", **more)


REFERENCE: Limits = (2.45, 2.55)


def test_a_reference_of_2_5_volts_is_flagged_at_its_first_shifted_value() -> None:
    chance = random.Random(3)
    steady = [round(2.5 + chance.uniform(-0.0005, 0.0005), 5) for _ in range(15)]

    drift = measured(2.518, steady, REFERENCE)
    assert drift is not None
    assert drift.limit - drift.baseline.median == pytest.approx(0.01)
    assert drift.baseline.runs == 15
    assert drift.text.endswith("% of the range")
    assert all(measured(one, steady[:at], REFERENCE) is None for at, one in enumerate(steady))


def test_8_mv_a_run_are_flagged_at_the_first_crossing_of_a_tenth_of_the_range() -> None:
    limits, values = (3.06, 3.54), [3.3] * 20
    for run in range(1, 30):
        value = 3.3 + 0.008 * run
        if measured(value, values, limits):
            break
        values.append(value)
    assert 0.008 * run <= 0.048 + 0.008


def test_a_slow_drift_is_flagged_by_the_first_runs() -> None:
    limits, chance = (0.0, 10.0), random.Random(5)
    values: list[float] = []
    drift: Drift | None = None
    for run in range(400):
        value = 5 + 0.005 * run + chance.gauss(0, 0.05)
        drift = measured(value, values, limits)
        if drift:
            break
        values.append(value)
    assert drift is not None
    assert (drift.is_first, drift.baseline.runs) == (True, 20)
    assert 1.0 <= 0.005 * run <= 1.1


def test_other_limits_or_instruments_begin_a_new_series() -> None:
    old = [Value(5.0 + at / 100, "V", (0.0, 10.0), ("psu: A",)) for at in range(25)]
    new = [Value(7.0 + at / 100, "V", (0.0, 10.0), ("psu: B",)) for at in range(25)]
    past = [*reversed(old + new)]

    assert drift_of(Value(7.1, "V", (0.0, 10.0)), past, "") is None
    drift = drift_of(Value(7.1, "V", (0.0, 10.0)), [*reversed(old)], "")
    assert drift is not None
    assert (drift.is_first, drift.baseline.runs) == (False, 20)
    assert drift_of(Value(99.0, "mV", (0.0, 10.0)), past, "") is None


@pytest.mark.parametrize(
    ("limits", "number", "few"),
    [((4.0, 6.0), 5.3, 7), ((None, 6.0), 5.2, 7), ((None, None), 5.1, 20)],
)
def test_a_measurement_needs_seven_runs_and_without_limits_twenty(
    limits: Limits, number: float, few: int
) -> None:
    past = [5.0 + 0.001 * (at % 3) for at in range(few)]

    assert measured(number, past, limits) is not None
    assert measured(number, past[:-1], limits) is None


def test_equal_values_leave_the_range_alone_and_without_limits_nothing() -> None:
    assert measured(5.21, [5.0] * 30, (4.0, 6.0)) is not None
    assert measured(5.19, [5.0] * 30, (4.0, 6.0)) is None
    assert measured(5.11, [5.0] * 30, (None, 6.0)) is not None
    assert measured(5.09, [5.0] * 30, (None, 6.0)) is None
    assert measured(99.0, [5.0] * 30) is None


def test_the_deviation_is_at_least_half_the_smallest_step() -> None:
    coarse = [5.0] * 28 + [5.1, 5.1]

    assert measured(5.19, coarse) is None
    drift = measured(5.21, coarse)
    assert drift is not None
    assert drift.deviations == pytest.approx(0.21 / 0.05)
    assert drift.text == "4.2 deviations"


def test_an_offset_of_zero_can_drift() -> None:
    past = [0.001 * (at % 5 - 2) for at in range(20)]
    assert measured(-0.4, past, (-1.0, 1.0)) is not None


@pytest.mark.nightly
def test_false_alarms_in_control_are_below_one_percent() -> None:
    chance, alarms, series = random.Random(11), 0, 100_000
    for _ in range(series):
        *past, last = (chance.gauss(0, 1) for _ in range(41))
        alarms += measured(last, past, (-4.0, 4.0)) is not None
    assert alarms <= series / 100
