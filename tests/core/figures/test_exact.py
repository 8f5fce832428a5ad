"""Exact comparison of numbers with limits."""

import copy
import math
import operator
from decimal import Context
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_orchestrator.core.figures.exact import decimal, exact, margins, rounded, violated

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


OPERATORS = (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne)


@given(middle=NUMBERS, exponent=st.integers(-30, 30), digits=st.integers(-3, 3), other=NUMBERS)
def test_a_decimal_of_a_file_is_compared_as_it_is_written(
    middle: float, exponent: int, digits: int, other: float
) -> None:
    number = fraction(middle) + digits * Fraction(10) ** exponent
    text = str(Context(2_000).divide(*number.as_integer_ratio()))
    text = text if "." in text or "E" in text else f"{text}.0"
    assume(0 < abs(float(text)) < math.inf)
    value = decimal(text)

    assert float(value) == float(text)
    assert exact(value) == number
    for compare in OPERATORS:
        for one in (other, middle):
            assert compare(value, one) == compare(number, fraction(one)), (text, one)
            assert compare(one, value) == compare(fraction(one), number), (text, one)


def test_a_decimal_that_a_float_keeps_is_a_float() -> None:
    for text in ("3.35", "0.10", "1e3", "3.350000000000000000000", "0.0", "-0.0", "1e-400"):
        assert type(decimal(text)) is float, text


def test_a_long_decimal_calculates_as_a_float_and_can_be_copied() -> None:
    value = decimal("3.35000000000000000000001")

    assert type(value + 1) is float
    assert copy.deepcopy(value) == value
    assert {value: 1}[decimal("3.35000000000000000000001")] == 1
    assert value > 3.35
    assert value < math.inf
    assert value not in (math.nan, "3.35", None)


def test_a_decimal_without_a_float_or_with_too_many_digits_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^Number out of range$"):
        decimal("1e400000000")
    with pytest.raises(ValueError, match="4300 digits"):
        decimal(f"1.{'0' * 4300}1")
