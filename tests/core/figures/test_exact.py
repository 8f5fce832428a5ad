"""Exact comparison of numbers with limits."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.core.figures.exact import exact, margins, rounded, violated

NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))


class _Float(float):
    def __repr__(self) -> str:
        return "np.float64(3.35)"


def fraction(number: float) -> Fraction:
    return Fraction(repr(number))


@given(number=NUMBERS)
def test_a_number_is_the_decimal_that_is_written(number: float) -> None:
    assert exact(number) == fraction(number)
    assert rounded(exact(number)) == pytest.approx(number)


def test_a_float_of_another_library_is_a_float() -> None:
    assert exact(_Float(3.35)) == Fraction(335, 100)


@given(value=NUMBERS, low=st.none() | NUMBERS, high=st.none() | NUMBERS)
def test_a_limit_is_violated_by_the_smallest_distance(
    value: float, low: float | None, high: float | None
) -> None:
    is_low = low is not None and fraction(value) < fraction(low)
    is_high = high is not None and fraction(value) > fraction(high)

    side = violated(value, low, high)

    assert side == ("low" if is_low else "high" if is_high else "")
    assert bool(side) == any(margin < 0 for margin in margins(value, low, high))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_infinity_and_nan_are_compared_with_no_limit(value: float) -> None:
    with pytest.raises(ValueError, match="Invalid literal for Fraction"):
        violated(value, 0, 1)


def test_a_fraction_beyond_all_floats_is_infinite_in_reports() -> None:
    assert rounded(Fraction(10) ** 400) == math.inf
    assert rounded(-(Fraction(10) ** 400)) == -math.inf
    assert rounded(10**400) == 10**400
