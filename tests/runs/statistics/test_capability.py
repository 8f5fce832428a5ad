"""Process capability, against the standard library and values that NumPy and SciPy gave."""

import math
import statistics

from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.runs.statistics.capability import Capability, capability

VALUES = [4.98, 5.01, 5.02, 4.97, 5.05, 5.0, 4.99, 5.03]
FINITE = st.floats(min_value=-1e150, max_value=1e150)


def test_the_figures_are_those_of_numpy_and_scipy() -> None:
    # numpy 2.4: mean, std(ddof=1), min, max; scipy.stats.tstd(VALUES) is the same sigma
    found = capability(VALUES, 4.9, 5.1)

    assert found.n == 8
    assert math.isclose(found.mean or 0, 5.00625, rel_tol=1e-15)
    assert math.isclose(found.sigma or 0, 0.026692695630078204, rel_tol=1e-12)
    assert (found.least, found.most) == (4.97, 5.05)
    assert math.isclose(found.cp or 0, 1.2487810821089242, rel_tol=1e-12)
    assert math.isclose(found.cpk or 0, 1.1707322644771208, rel_tol=1e-12)


def test_one_limit_gives_no_cp_and_the_cpk_of_its_side() -> None:
    low, high = capability(VALUES, low=4.9), capability(VALUES, high=5.1)

    assert (low.cp, high.cp) == (None, None)
    assert math.isclose(low.cpk or 0, 1.326829899740728, rel_tol=1e-12)
    assert math.isclose(high.cpk or 0, 1.1707322644771208, rel_tol=1e-12)


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
