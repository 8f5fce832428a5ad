"""Notation of values and limits: prefixes, digits, decimals, and the law that a text never lies."""

import math
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_orchestrator.core.figures.notation import (
    POWERS,
    PREFIXES,
    Notation,
    difference,
    exact,
    figure,
    is_number,
    notation,
)


def row(value: Any, unit: str = "", precision: int | None = None, **limits: Any) -> str:
    """Return the value, its limits and its unit in the notation that they share."""
    found = notation([value], unit=unit, precision=precision, **limits)
    return " ".join([*map(found.text, (value, *limits.values())), found.unit]).rstrip()


@pytest.mark.parametrize(
    ("value", "unit", "limits", "shown"),
    [
        (0.1 + 0.2, "V", {"high": 0.5}, "0.3 0.5 V"),
        (12.1, "V", {"low": 11.76, "high": 12.24}, "12.10 11.76 12.24 V"),
        (12.34567, "V", {"low": 11.76}, "12.346 11.760 V"),
        (0.012074, "V", {"high": 0.0115}, "12.074 11.500 mV"),
        (2.4e9, "Ω", {"low": 1e9}, "2.4 1.0 GΩ"),
        (2.4e9, "Ohm", {"low": 1e9}, "2.4 1.0 GOhm"),
        (47.3, "Ω", {"high": 1e6}, "47.3 1000000.0 Ω"),
        (12.3456e-9, "A", {"high": 1e-5}, "12.346 10000.000 nA"),
        (253.47281e9, "Ω", {"low": 1e6}, "253.473 0.001 GΩ"),
        (5.5e-17, "V", {"low": -0.001, "high": 0.001}, "0.0000 -1.0000 1.0000 mV"),
        (-5.5e-17, "V", {"low": -0.001, "high": 0.001}, "0.0000 -1.0000 1.0000 mV"),
        (9999.96, "V", {}, "10 kV"),
        (0.0999996, "V", {}, "0.1 V"),
        (1e15, "Hz", {}, "1000 THz"),
        (3e-14, "F", {}, "0.03 pF"),
        (20_000.0, "s", {}, "20000 s"),
        (0.0032, "s", {}, "3.2 ms"),
        (150_000.0, "g", {}, "150 kg"),
        (0.05, "m", {}, "50 mm"),
        (0.001, "B", {}, "0.001 B"),
        (1.5e6, "bit", {}, "1.5 Mbit"),
        (1500.0, "mV", {}, "1500 mV"),
        (0.0001, "VA", {}, "0.0001 VA"),
        (1234567.8, "1/min", {"high": 2e6}, "1.2346e6 2.0000e6 1/min"),
        (0.00001234567, "", {}, "1.2346e-5"),
        (0.0, "A", {"high": 0.0}, "0 0 A"),
        (-0.0, "V", {}, "0 V"),
        (float("5e-324"), "", {"high": 0.0}, "5e-324 0e-324"),
    ],
)
def test_a_value_has_at_most_five_digits_and_shares_prefix_and_decimals_with_its_limits(
    value: float, unit: str, limits: dict[str, Any], shown: str
) -> None:
    assert row(value, unit, **limits) == shown


@pytest.mark.parametrize(
    ("value", "unit", "limits", "shown"),
    [
        (12_345_678, "B", {"high": 2e7}, "12345678 20000000 B"),
        (50_000, "Hz", {}, "50000 Hz"),
        (5, "V", {"low": 4.75}, "5.00 4.75 V"),
        (1_234_567, "", {"low": 1_172_838.65}, "1234567 1172839"),
        (10**30, "V", {}, f"1{'0' * 30} V"),
        (0, "", {}, "0"),
    ],
)
def test_an_integer_is_whole_and_has_no_prefix(
    value: int, unit: str, limits: dict[str, Any], shown: str
) -> None:
    assert row(value, unit, **limits) == shown


@pytest.mark.parametrize(
    ("value", "unit", "precision", "limits", "shown"),
    [
        (12.1, "V", 5, {"low": 11.76, "high": 12.24}, "12.100 11.760 12.240 V"),
        (12.0163, "V", 3, {"low": 11.88}, "12.0 11.9 V"),
        (9.996, "V", 3, {}, "10.0 V"),
        (1_234_567, "V", 3, {}, "1.23 MV"),
        (1234.5, "V", 3, {"high": 2000}, "1.23 2.00 kV"),
        (123.0, "V", 2, {}, "0.12 kV"),
        (12_345, "", 3, {"high": 12_400}, "1.23e4 1.24e4"),
        (1234.5, "mV", 2, {}, "1.2e3 mV"),
        (0, "V", 4, {"low": -0.05, "high": 0.05}, "0.00 -50.00 50.00 mV"),
        (0.0, "V", 3, {}, "0.00 V"),
    ],
)
def test_a_value_with_a_precision_has_exactly_its_digits(
    value: float, unit: str, precision: int, limits: dict[str, Any], shown: str
) -> None:
    assert row(value, unit, precision, **limits) == shown


@pytest.mark.parametrize(
    ("value", "precision", "limits", "shown"),
    [
        (12.240126, 5, {"high": 12.24}, "12.2401 12.2400"),
        (12.240126, None, {"high": 12.24}, "12.2401 12.2400"),
        (11.7599999, 3, {"low": 11.76}, "11.7599999 11.7600000"),
        (math.nextafter(3.35, 4), None, {"high": 3.35}, "3.3500000000000005 3.3500000000000000"),
        (5.000001, None, {"equals": 5}, "5.000001 5.000000"),
        (-1e-9, None, {"low": 0, "high": 5}, "-0.000000001 0.000000000 5.000000000"),
        (12.239999, 4, {"high": 12.24}, "12.24 12.24"),
    ],
)
def test_a_value_beyond_a_limit_gets_digits_until_it_differs(
    value: float, precision: int | None, limits: dict[str, Any], shown: str
) -> None:
    assert row(value, "", precision, **limits) == shown


def test_a_distance_is_exact_and_has_the_decimals_of_its_value() -> None:
    assert notation([3.35], low=3.3, precision=4).distance(3.35, 3.3) == "0.050"
    assert notation([12.240126], high=12.24).distance(12.240126, 12.24) == "0.0001"
    assert [difference(3.33, 3.3), difference(10**20 + 1, 1e20)] == [0.03, 1.0]


def test_an_only_number_has_its_unit() -> None:
    assert [figure(0.0012345678, "A"), figure(1.52345, most=3), figure(2.0, "V", 3)] == [
        "1.2346 mA",
        "1.52",
        "2.00 V",
    ]


def test_only_finite_numbers_are_numbers() -> None:
    values = [1, 1.5, True, math.inf, math.nan, "1", None]

    assert [one for one in values if is_number(one)] == [1, 1.5]
    assert notation(["a", None, math.nan], low=math.inf, unit="V") == Notation("V")


_FINITE = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**20), 10**20)
_NEAR = st.floats(-100, 100).map(lambda one: round(one, 3))


@st.composite
def rows(draw: st.DrawFn) -> tuple[float, dict[str, float | None]]:
    """Return a value with limits; often near to each other, where a text could lie."""
    value = draw(_FINITE | _NEAR)
    steps = [math.nextafter(value, math.inf), math.nextafter(value, -math.inf)]
    near = st.sampled_from([*filter(math.isfinite, steps), value])
    limit = st.none() | _FINITE | _NEAR | near
    return value, {name: draw(limit) for name in ("low", "high", "equals")}


@given(
    found=rows(),
    unit=st.sampled_from([*POWERS, "", "mV", "°C", "bytes"]),
    precision=st.none() | st.integers(1, 17),
)
@example(found=(12.240126, {"low": 11.76, "high": 12.24}), unit="V", precision=5)
@example(found=(12.240051, {"high": 12.240043}), unit="V", precision=6)
@example(found=(10**20 + 1, {"high": 1e20}), unit="V", precision=3)
def test_a_text_is_never_beyond_a_limit_that_is_met_nor_within_one_that_is_violated(
    found: tuple[float, dict[str, float | None]], unit: str, precision: int | None
) -> None:
    value, given_limits = found
    limits: dict[str, Any] = {key: one for key, one in given_limits.items() if one is not None}
    made = notation([value], unit=unit, precision=precision, **limits)
    numbers = [value, *limits.values()]
    texts = [made.text(one) for one in numbers]
    read = [Decimal(text).scaleb(_prefix(made, unit)) for text in texts]

    assert len({_shape(text) for text in texts}) == 1  # decimals and exponent are shared
    step = Decimal(1).scaleb(made.power - made.decimals)
    for number, back in zip(numbers, read, strict=True):
        assert abs(Decimal(repr(number)) - back) <= step / 2
    for name, limit, back in zip(limits, limits.values(), read[1:], strict=True):
        order = _order(Decimal(repr(value)), Decimal(repr(limit)))
        if order == {"low": -1, "high": 1}.get(name, order or 2):
            assert _order(read[0], back) == order
            assert Decimal(made.distance(value, limit)) > 0
        else:
            assert _order(read[0], back) in (0, order)
    if precision is None and isinstance(value, int):
        assert texts[0].partition(".")[0] == str(value)
        assert made.unit == unit


def _prefix(made: Notation, unit: str) -> int:
    prefix = made.unit.removesuffix(unit)
    return next(power for power, sign in PREFIXES.items() if sign == prefix)


def _shape(text: str) -> tuple[int, str]:
    number, _, exponent = text.partition("e")
    return len(number.partition(".")[2]), exponent


def _order(one: Decimal, other: Decimal) -> int:
    return (one > other) - (one < other)


@given(value=_FINITE.filter(bool), unit=st.sampled_from(["V", "mV", ""]), digits=st.integers(1, 17))
def test_a_value_alone_has_its_digits(value: float, unit: str, digits: int) -> None:
    def significant(text: str) -> str:
        return text.partition("e")[0].lstrip("-0.").replace(".", "")

    assert len(significant(notation([value], unit=unit, precision=digits).text(value))) == digits
    assert len(significant(notation([float(value)], unit=unit).text(float(value)))) <= 5


@given(values=st.lists(_FINITE, min_size=2), precision=st.none() | st.integers(1, 17))
def test_values_that_share_a_notation_keep_their_order(
    values: list[float], precision: int | None
) -> None:
    made = notation(values, precision=precision)
    read = [Decimal(made.text(one)) for one in sorted(values, key=exact)]

    assert all(one <= other for one, other in pairwise(read))


@pytest.mark.parametrize(
    ("value", "limit", "unit", "text"),
    [
        (4.0193, 3, "s", "3.0000 s (1.0193 s above, 34 %)"),
        (3.0000004, 3, "s", "3.0000000 s (0.0000004 s above, 1.33e-5 %)"),
        (12, 1_000, "B", "1000 B (988 B below, 98.8 %)"),
        (2, 0, "", "0 (2 above)"),
        (-4.5, -4, "V", "-4.0 V (0.5 V below, 12.5 %)"),
        (1e308, -1e308, "V", "-1e296 TV (2e296 TV above, 200 %)"),
    ],
)
def test_a_limit_is_shown_with_the_distance_of_a_value_beyond_it(
    value: float, limit: float, unit: str, text: str
) -> None:
    assert notation([value], equals=limit, unit=unit).beyond(value, limit) == text
