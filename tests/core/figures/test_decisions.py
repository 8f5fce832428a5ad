"""Decision rules of ILAC-G8:09/2019: the example of the contract, laws, and simulated lots."""

import math
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from random import Random
from typing import get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_orchestrator.core.figures.decisions import (
    MEETS,
    Decision,
    Rule,
    can_pass,
    decide,
    expanded,
    standard_squared,
    uncertainty_ratio,
)

FIGURES = st.decimals(-1000, 1000, places=4).map(float)
POSITIVE = st.decimals("0.0001", 100, places=4).map(float)
NOT_ACCEPTED: Decision = "not accepted (inside the limit)"


@pytest.mark.parametrize(
    ("rule", "value", "decision"),
    [
        ("simple", 2.549, "pass"),
        ("guarded", 2.549, NOT_ACCEPTED),
        ("nonbinary", 2.549, "conditional pass"),
        ("guarded", 2.546, "pass"),
        ("nonbinary", 2.546, "pass"),
        ("nonbinary", 2.55, "conditional pass"),
        ("simple", 2.551, "fail"),
        ("guarded", 2.551, "fail"),
        ("nonbinary", 2.551, "conditional fail"),
        ("nonbinary", 2.554, "conditional fail"),
        ("nonbinary", 2.5541, "fail"),
    ],
)
def test_a_value_near_2_55_v_with_an_uncertainty_of_4_mv(
    rule: Rule, value: float, decision: Decision
) -> None:
    assert decide(value, None, 2.55, rule, 0.004) == decision
    assert decide(-value, -2.55, None, rule, 0.004) == decision
    assert decide(value, 0, 2.55, rule, 0.004) == decision


@given(value=FIGURES, low=st.none() | FIGURES, high=st.none() | FIGURES, u=POSITIVE)
def test_the_side_with_the_worse_answer_decides(
    value: float, low: float | None, high: float | None, u: float
) -> None:
    worst = ["fail", "conditional fail", NOT_ACCEPTED, "conditional pass", "pass"]
    for rule in get_args(Rule):
        sides = [decide(value, low, None, rule, u), decide(value, None, high, rule, u)]
        assert decide(value, low, high, rule, u) == min(sides, key=worst.index)


@given(value=FIGURES, high=FIGURES, u=POSITIVE)
def test_the_rules_differ_only_within_u_of_a_limit(value: float, high: float, u: float) -> None:
    simple, guarded, nonbinary = (decide(value, None, high, rule, u) for rule in get_args(Rule))
    away = Fraction(repr(high)) - Fraction(repr(value))
    band = Fraction(repr(u))
    assert (simple in MEETS) == (nonbinary in MEETS) == (away >= 0)
    assert (guarded == "pass") == (nonbinary == "pass") == (away >= band)
    assert (nonbinary == "fail") == (away < -band)
    assert (guarded == NOT_ACCEPTED) == (nonbinary == "conditional pass") == (0 <= away < band)


@given(low=FIGURES, high=FIGURES, u=POSITIVE, share=st.fractions(0, 1))
def test_no_value_passes_between_limits_nearer_than_two_uncertainties(
    low: float, high: float, u: float, share: Fraction
) -> None:
    assume(low < high)
    ends = Fraction(repr(low)), Fraction(repr(high))
    value = ends[0] + share * (ends[1] - ends[0])
    middle = sum(ends) / 2
    for rule in get_args(Rule):
        passes = can_pass(low, high, rule, u)
        assert (decide(middle, low, high, rule, u) == "pass") == passes
        assert passes or decide(value, low, high, rule, u) != "pass"


def test_uncertainties_are_added_in_quadrature_at_k_2() -> None:
    of_value = standard_squared(10.0, value=0.003, k=3)
    of_reading = standard_squared(-10.0, percent=0.02, k=2)

    assert (of_value, of_reading) == (Fraction(1, 10**6), Fraction(1, 10**6))
    assert expanded([of_value]) == 0.002
    assert expanded([of_value, of_reading]) == pytest.approx(0.002 * math.sqrt(2), rel=1e-15)
    assert standard_squared(-10.0, 0.003, 0.02, 2) == Fraction(25, 4 * 10**6) / 2 * Fraction(26, 25)


@given(value=st.decimals("0.000001", 1000, places=6).map(float))
def test_an_uncertainty_at_k_2_is_the_number_that_is_written(value: float) -> None:
    assert expanded([standard_squared(0, value=value)]) == value


@pytest.mark.parametrize(
    ("low", "high", "found"), [(1, 2, 5), (None, 2, None), (1.0, 1.4, 2), ("1", 2, None)]
)
def test_a_ratio_needs_two_limits(low: object, high: object, found: float | None) -> None:
    assert uncertainty_ratio(low, high, 0.1) == found


T, SPREAD = 1.0, 0.5
"""Limits at -T and T, and the standard deviation of the process: 4.6 % of the units are bad."""


def _phi(z: float) -> float:
    return math.erfc(-z / math.sqrt(2)) / 2


def _false_accepts(accepted: float, error: float) -> float:
    """Return the probability that a unit is beyond T and its reading within the given limits."""

    def density(x: float) -> float:
        taken = _phi((accepted - x) / error) - _phi((-accepted - x) / error)
        return math.exp(-((x / SPREAD) ** 2) / 2) / SPREAD / math.sqrt(2 * math.pi) * taken

    parts, end = 4_000, T + 12 * error  # the rule of Simpson
    width = (end - T) / parts
    inner = sum(density(T + at * width) * (4 if at % 2 else 2) for at in range(1, parts))
    return 2 * (density(T) + inner + density(end)) * width / 3


def _edge(judge: Callable[[float], Decision]) -> float:
    """Return the largest reading that a rule accepts, within 1e-12."""
    inside, outside = 0.0, 2 * T
    while outside - inside > 1e-12:
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if judge(middle) == "pass" else (inside, middle)
    return inside


def _counted(units: int, error: float, edges: list[float], seed: int) -> list[int]:
    """Return how many bad units of a lot have a reading within each of some limits."""
    gauss, found = Random(seed).gauss, [0] * len(edges)
    for _ in range(units):
        unit = gauss(0, SPREAD)
        reading = abs(unit + gauss(0, error))
        if not -T <= unit <= T:
            for at, edge in enumerate(edges):
                found[at] += reading <= edge
    return found


@pytest.mark.parametrize(
    ("units", "over_u"),
    [
        (200_000, 4),
        *(pytest.param(10_000_000, one, marks=pytest.mark.nightly) for one in (2, 4, 10)),
    ],
)
def test_simulated_false_accepts_are_those_of_the_integral(units: int, over_u: int) -> None:
    u = T / over_u
    rules: tuple[Rule, ...] = ("simple", "guarded")
    edges = [_edge(partial(decide, low=-T, high=T, rule=rule, uncertainty=u)) for rule in rules]
    expected = [_false_accepts(edge, u / 2) for edge in (T, T - u)]

    counts = _counted(units, u / 2, [*edges, T - u / 2], seed=over_u)

    errors = [math.sqrt(units * p * (1 - p)) for p in expected]
    for count, p, error in zip(counts, expected, errors, strict=False):
        assert abs(count - units * p) < 3 * error
    # A guard band of half the width would be seen.
    assert counts[2] - units * expected[1] > 3 * errors[1]
