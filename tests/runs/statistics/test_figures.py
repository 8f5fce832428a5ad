"""Yields, failures and measurements over runs."""

import math
import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.runs.history.model import PastRun
from pytest_orchestrator.runs.statistics.figures import (
    Capability,
    Statistics,
    Yield,
    capability,
    statistics_of,
)
from pytest_orchestrator.runs.statistics.units import counted
from tests.runs.statistics.past import RECIPE, measured, recipe, run, step


def of(*runs: PastRun) -> Statistics:
    """Return the statistics of runs, the oldest first."""
    return statistics_of(counted(runs[::-1]))


def bad(reason: str, **more: Any) -> Any:
    steps = (
        step("rail"),
        step("load", "failed", reason=reason, kind="criterion"),
        step("off", "blocked", reason="load has failed"),
    )
    return recipe(*steps, verdict="failed", **more)


FLEET = of(
    run(1, recipe(dut="A1"), station="bench_1"),
    run(2, bad("ripple = 61 mV, max 50 mV", dut="A2"), station="bench_1"),
    run(3, recipe(dut="A2"), station="bench_2"),
    run(4, bad("ripple = 72 mV, max 50 mV", dut="A3"), station="bench_2"),
    run(5, bad("no answer", dut="A3"), station="bench_2"),
)


def test_first_pass_and_final_yield_are_of_units() -> None:
    assert FLEET.total == Yield("", units=3, runs=5, first=3, first_passed=1, last=3, last_passed=2)
    assert FLEET.total.first_pass_yield == pytest.approx(1 / 3)
    assert FLEET.total.final_yield == pytest.approx(2 / 3)
    assert FLEET.recipes == (Yield(RECIPE, 3, 5, 3, 1, 3, 2),)


def test_a_first_run_counts_for_its_station_and_a_retest_elsewhere_for_the_final_yield() -> None:
    one, two = FLEET.stations

    assert one == Yield("bench_1", units=2, runs=2, first=2, first_passed=1, last=1, last_passed=1)
    assert two == Yield("bench_2", units=2, runs=3, first=1, first_passed=0, last=2, last_passed=1)


def test_failures_are_grouped_by_step_and_reason_without_its_numbers() -> None:
    first, second = FLEET.failures

    assert (first.step, first.reason, first.number) == ("load", "ripple = 72 mV, max 50 mV", 2)
    assert (first.units, [one[-1] for one in first.runs]) == (("A2", "A3"), ["2", "4"])
    assert (first.share, first.cumulative) == pytest.approx((2 / 3, 2 / 3))
    assert (second.reason, second.number, second.cumulative) == ("no answer", 1, 1.0)


def test_no_run_gives_no_yield() -> None:
    found = of()

    assert (found.total.first_pass_yield, found.total.final_yield) == (None, None)
    assert (found.recipes, found.failures, found.measurements) == ((), (), ())


def test_a_measurement_has_the_limits_of_its_newest_run() -> None:
    values = [5.0, 5.02, 4.98, 5.01]
    runs = [
        run(at, recipe(step("rail", "passed", measured("out", one, high=6.0 if at == 0 else 5.1))))
        for at, one in enumerate(values)
    ]
    (found,) = of(*runs).measurements

    assert (found.recipe, found.step, found.name, found.unit) == (RECIPE, "rail", "out", "V")
    assert (found.low, found.high, found.has_other_limits) == (4.9, 5.1, True)
    assert (found.capability.n, found.capability.sigma) == (4, statistics.stdev(values))
    assert [one.value for one in found.values] == values
    assert [one.serial for one in found.values] == ["A17"] * 4


def test_values_that_are_no_numbers_are_counted_apart() -> None:
    odd = [
        measured("out", None, verdict="unset"),
        measured("out", "inf", verdict="fail"),
        measured("out", True),
        measured("out", 10**400, verdict="fail"),
        measured("out", float("inf"), verdict="fail"),
        measured("out", 5.2, verdict="fail"),
    ]
    (found,) = of(
        *(run(at, recipe(step("rail", "passed", one))) for at, one in enumerate(odd))
    ).measurements

    assert (found.capability.n, found.failed, found.unset) == (1, 1, 5)


def test_a_measurement_without_any_number_is_left_out() -> None:
    assert of(run(1, recipe(step("id", "passed", measured("idn", "ACME"))))).measurements == ()


def test_a_value_that_a_resumed_run_restored_counts_once() -> None:
    first = run(1, recipe(step("rail", "passed", measured("out", 5.0)), verdict="failed"))
    again = recipe(step("rail", "restored", measured("out", 5.0)))
    (found,) = of(first, run(2, again, resumed_from=first.id)).measurements
    (alone,) = of(run(2, again, resumed_from="an interrupted run")).measurements

    assert (found.capability.n, alone.capability.n) == (1, 1)


def test_values_with_two_units_are_two_measurements() -> None:
    volts = recipe(step("rail", "passed", measured("out", 5.0)))
    millivolts = recipe(step("rail", "passed", measured("out", 5000.0, unit="mV", high=5100)))
    found = of(run(1, volts), run(2, millivolts)).measurements

    assert [(one.unit, one.capability.mean) for one in found] == [("V", 5.0), ("mV", 5000.0)]


def test_a_last_value_far_from_the_earlier_ones_has_drifted() -> None:
    runs = [
        run(at, recipe(step("rail", "passed", measured("ripple", one))))
        for at, one in enumerate([*[10.0, 10.2, 9.9] * 3, 31.0])
    ]
    drift = of(*runs).measurements[0].drift

    assert drift is not None
    assert (drift.value, drift.baseline.median) == (31.0, 10.0)


def test_a_resumed_run_counts_once_with_the_measurements_of_its_restored_steps() -> None:
    first = recipe(step("rail", "passed", measured("out", 5.0)), verdict="interrupted")
    again = recipe(step("rail", "restored", measured("out", 5.0)), step("load", "passed"))
    found = of(run(1, first), run(2, again))

    assert found.total == Yield("", units=1, runs=1, first=1, first_passed=1, last=1, last_passed=1)
    assert found.measurements[0].capability.n == 1


VALUES = [4.98, 5.01, 5.02, 4.97, 5.05, 5.0, 4.99, 5.03]
FINITE = st.floats(min_value=-1e150, max_value=1e150)


def test_the_figures_are_those_of_numpy_and_scipy() -> None:
    # numpy 2.4: mean, std(ddof=1), min, max; scipy.stats.tstd(VALUES) is the same sigma
    found = capability(VALUES, 4.9, 5.1)

    assert found.n == 8
    assert math.isclose(found.mean or 0, 5.00625, rel_tol=1e-15)
    assert math.isclose(found.sigma or 0, 0.026692695630078204, rel_tol=1e-12)
    assert (found.least, found.most) == (4.97, 5.05)
    assert math.isclose(found.pp or 0, 1.2487810821089242, rel_tol=1e-12)
    assert math.isclose(found.ppk or 0, 1.1707322644771208, rel_tol=1e-12)


def test_one_limit_gives_no_pp_and_the_ppk_of_its_side() -> None:
    low, high = capability(VALUES, low=4.9), capability(VALUES, high=5.1)

    assert (low.pp, high.pp, low.cp, high.cp) == (None,) * 4
    assert math.isclose(low.ppk or 0, 1.326829899740728, rel_tol=1e-12)
    assert math.isclose(high.ppk or 0, 1.1707322644771208, rel_tol=1e-12)


def test_cp_and_cpk_are_of_the_moving_range() -> None:
    found = capability(VALUES, 4.9, 5.1)
    # ranges 0.03, 0.01, 0.05, 0.08, 0.05, 0.01, 0.04: their mean is 0.27 / 7
    within = 0.27 / 7 / 1.128

    assert math.isclose(found.within or 0, within, rel_tol=1e-12)
    assert math.isclose(found.cp or 0, 0.2 / (6 * within), rel_tol=1e-12)
    assert math.isclose(found.cpk or 0, (5.1 - 5.00625) / (3 * within), rel_tol=1e-12)


def test_without_a_limit_there_is_neither_cp_nor_cpk() -> None:
    assert (capability(VALUES).cp, capability(VALUES).cpk) == (None, None)


def test_one_value_has_no_sigma_and_no_capability() -> None:
    assert capability([5.0], 4.0, 6.0) == Capability(1, 5.0, None, 5.0, 5.0, None, None)


def test_no_value_has_only_a_number() -> None:
    assert capability([], 4.0, 6.0) == Capability(0)


def test_a_mean_outside_the_limits_has_a_negative_cpk() -> None:
    assert (capability([7.0, 7.2], 4.0, 6.0).cpk or 0) < 0


@given(FINITE, st.integers(2, 9), FINITE, FINITE)
def test_equal_values_have_no_capability(value: float, n: int, low: float, high: float) -> None:
    found = capability([value] * n, low, high)

    assert (found.sigma, found.cp, found.cpk) == (0.0, None, None)


@given(st.lists(FINITE, min_size=2, max_size=20), FINITE, FINITE)
def test_cpk_is_at_most_cp(values: list[float], one: float, other: float) -> None:
    low, high = sorted((one, other))
    found = capability(values, low, high)

    assert found.sigma == statistics.stdev(values)
    if found.cp is not None and found.cpk is not None:
        assert found.cpk <= found.cp * (1 + 1e-6) + 1e-6
