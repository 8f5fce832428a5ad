"""Control charts: the Western Electric rules, limits from reference runs, eras, stations."""

from __future__ import annotations

import random

import pytest

from pytest_orchestrator.runs.history.drift import Value
from pytest_orchestrator.runs.statistics.charts import (
    Judged,
    Mark,
    control_chart,
    moving_ranges,
    violated_rules,
)
from pytest_orchestrator.runs.statistics.figures import statistics_of
from pytest_orchestrator.runs.statistics.units import counted
from tests.runs.statistics.past import measured, recipe, run, step


@pytest.mark.parametrize(
    ("points", "rules"),
    [
        ([0.1, 3.1], [0, 1]),
        ([0.1, -3.1], [0, 1]),
        ([0.1, 3.0], [0, 0]),
        ([2.1, 0.0, 2.1], [0, 0, 2]),
        ([2.1, 0.0, 0.0, 2.1], [0, 0, 0, 0]),
        ([2.1, -2.1], [0, 0]),
        ([-2.1, -2.1], [0, 2]),
        ([1.1, 1.1, -0.5, 1.1, 1.1], [0, 0, 0, 0, 3]),
        ([1.1, 1.1, -0.5, -0.5, 1.1, 1.1], [0] * 6),
        ([0.1] * 9, [0] * 7 + [4, 4]),
        ([0.1] * 7 + [-0.1] + [0.1] * 7, [0] * 15),
        ([0.0] * 9, [0] * 9),
    ],
)
def test_each_rule_marks_the_point_that_violates_it(points: list[float], rules: list[int]) -> None:
    assert [*violated_rules((5 + 2 * one for one in points), 5.0, 2.0)] == rules


def test_the_average_run_length_is_that_of_champ_and_woodall() -> None:
    # Champ and Woodall, Technometrics 29 (1987): 91.75 for the four rules, in control
    chance, lengths, series = random.Random(1987), [], 6_000
    for _ in range(series):
        points = iter(lambda: chance.gauss(0, 1), None)
        rules = violated_rules(points, 0.0, 1.0)
        lengths.append(next(at for at, rule in enumerate(rules, 1) if rule))
    assert sum(lengths) / series == pytest.approx(91.75, rel=0.05)


VISCOSITY = [33.75, 33.05, 34.0, 33.81, 33.46, 34.02, 33.68, 33.27, 33.49, 33.20]
VISCOSITY += [33.62, 33.00, 33.54, 33.12, 33.84]


def test_limits_are_those_of_the_viscosity_of_montgomery() -> None:
    # Montgomery, Introduction to Statistical Quality Control, 6th ed., example 6.5:
    # mean 33.52, mean range 0.48, limits 34.80 and 32.24, upper limit of the range 1.57
    numbers = [*VISCOSITY, *VISCOSITY[:5]]
    ranges = moving_ranges(VISCOSITY)
    mean, mean_range = sum(VISCOSITY) / 15, sum(ranges) / 14

    assert (round(mean, 2), round(mean_range, 2)) == (33.52, 0.48)
    found = control_chart("", [judged(one) for one in numbers])
    assert found is not None
    assert found.centre == pytest.approx(sum(numbers) / 20)
    sigma = mean_range / 1.128
    assert (round(mean + 3 * sigma, 2), round(mean - 3 * sigma, 2)) == (34.80, 32.24)
    assert round(found.range_limit / found.sigma, 3) == round(3.267 * 1.128, 3)
    assert round(3.267 * mean_range, 2) == 1.57


def judged(number: float, run_id: str = "", *, passed: bool = True, psu: str = "A") -> Judged:
    value = Value(number, "V", (0.0, 10.0), (psu,))
    return Judged(run_id or f"{number:g}", value, is_reference=passed)


QUIET = [judged(5.0 + 0.1 * (-1) ** at) for at in range(20)]


def test_a_judged_point_does_not_move_its_limits() -> None:
    found = control_chart("bench", [*QUIET, judged(9.0, "far"), judged(5.0, "back")])

    assert found is not None
    assert (round(found.centre, 9), round(found.sigma * 1.128, 9)) == (5.0, 0.2)
    assert (found.station, found.judged) == ("bench", 2)
    assert found.marks == (Mark("far", 1), Mark("far", 0), Mark("back", 0))
    later = control_chart("bench", [*QUIET, *[judged(9.0)] * 50])
    assert later is not None
    assert (later.centre, later.sigma) == (found.centre, found.sigma)


def test_runs_that_did_not_pass_are_judged_but_are_no_reference() -> None:
    bad = [judged(20.0, "bad", passed=False)] * 5
    assert control_chart("", [*QUIET[:19], *bad]) is None
    found = control_chart("", [*QUIET, *bad])
    assert found is not None
    assert len([one for one in found.marks if one.rule == 1]) == 5


def test_another_calibration_begins_a_new_chart() -> None:
    other = [judged(7.0 + 0.1 * (-1) ** at, psu="B") for at in range(30)]
    found = control_chart("", [*QUIET, judged(5.0), *other])

    assert found is not None
    assert (round(found.centre, 9), found.judged, found.marks) == (7.0, 11, ())


def test_without_a_spread_there_is_no_chart() -> None:
    assert control_chart("", [judged(5.0)] * 40) is None


def test_each_station_has_a_chart_and_ranges_of_its_own() -> None:
    runs = [
        run(at, recipe(step("rail", "passed", measured("v", value))), station=f"bench_{at % 2}")
        for at, value in enumerate(4.95 + 0.1 * (at % 2) + 0.01 * (at // 2 % 2) for at in range(50))
    ]
    (found,) = statistics_of(counted(runs[::-1])).measurements

    assert [(one.station, one.judged, one.marks) for one in found.charts] == [
        ("bench_0", 5, ()),
        ("bench_1", 5, ()),
    ]
    assert found.capability.within == pytest.approx(0.01 / 1.128)
    assert found.drift is None
