import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_orchestrator.reports.html.step_view import Limits, limits
from pytest_orchestrator.runs.block import Measurement


def bar_of(**measured: Any) -> Limits | None:
    return limits(Measurement(name="x", verdict="pass", line=1, **measured))


NUMBERS = st.one_of(st.none(), st.integers(), st.floats())


@example(value=5e-324, low=None, high=None, equals=5e-324)
@given(value=NUMBERS, low=NUMBERS, high=NUMBERS, equals=NUMBERS)
def test_positions_on_a_limits_bar_are_fractions(**measured: Any) -> None:
    bar = bar_of(**measured)

    assert bar is None or all(0 <= place <= 1 for place in (bar.value, bar.low, bar.high))


def test_a_value_within_its_limits_lies_between_them() -> None:
    bar = bar_of(value=3, low=1, high=10)

    assert bar
    assert 0 < bar.low < bar.value < bar.high < 1


@given(
    low=st.floats(-1e9, 1e9), width=st.floats(1e-6, 1e9), values=st.tuples(st.floats(), st.floats())
)
def test_bars_with_the_same_limits_have_one_scale(
    low: float, width: float, values: tuple[float, float]
) -> None:
    high = low + width
    bars = [one for value in values if (one := bar_of(value=value, low=low, high=high))]

    assert low == high or len({(one.low, one.high) for one in bars}) < 2
    for bar, value in zip(bars, filter(math.isfinite, values), strict=True):
        assert bar.value <= bar.low or value > low
        assert bar.value >= bar.high or value < high


def test_a_value_far_beyond_its_limits_is_at_the_end_of_the_bar() -> None:
    bars = [bar_of(value=value, low=11.76, high=12.24) for value in (9.8, 11.75, 12.25, 1e300)]
    places = [bar.value for bar in bars if bar]

    assert places[0] == 0 < places[1] < 0.15
    assert 0.85 < places[2] < 1 == places[3]


@pytest.mark.parametrize("measured", [{"value": 55, "high": 50}, {"value": 51, "high": 50}])
def test_a_value_above_its_limit_lies_right_of_it(measured: dict[str, float]) -> None:
    bar = bar_of(**measured)

    assert bar
    assert bar.low == 0
    assert bar.high < bar.value < 1


def test_an_exact_expected_value_is_a_point() -> None:
    bar = bar_of(value=5, equals=5)

    assert bar
    assert bar.value == bar.low == bar.high


def test_a_bar_shows_the_range_that_is_not_marginal() -> None:
    bar = bar_of(value=46, low=0, high=50, marginal_high=45)
    without = bar_of(value=46, low=0, high=50)

    assert bar
    assert without
    assert bar.clear is not None
    assert bar.clear[0] == bar.low < bar.clear[1] < bar.value < bar.high
    assert without.clear is None


@pytest.mark.parametrize(
    "measured",
    [
        {"value": 3},
        {"value": "red", "equals": "red"},
        {"value": True, "high": 3},
        {"low": 3},
        {"value": math.nan, "high": 3},
        {"value": 10**400, "high": 3},
    ],
)
def test_a_measurement_without_number_or_limit_has_no_bar(measured: dict[str, Any]) -> None:
    assert bar_of(**measured) is None
