"""Values, limits, margins, durations and times of certificates."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.reports.quantities import (
    duration,
    local_time,
    margin_percent,
    quantity,
    utc_time,
)
from pytest_orchestrator.runs.block import Measurement


def measured(**fields: Any) -> Measurement:
    given_fields: dict[str, Any] = {"name": "u", "verdict": "pass", "line": 1} | fields
    return Measurement(**given_fields)


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"value": 0.1 + 0.2, "unit": "V", "high": 0.5}, ("0.3", "V", "", "0.5")),
        ({"value": 1e-06, "unit": "A", "high": 2e-06}, ("1", "µA", "", "2")),
        ({"value": 0.0331234567, "unit": "V", "low": 0.03}, ("33.1235", "mV", "30", "")),
        ({"value": 12_300_000.0, "unit": "Hz"}, ("12.3", "MHz", "", "")),
        ({"value": 1e15, "unit": "Hz"}, ("1000", "THz", "", "")),
        ({"value": 3e-14, "unit": "F"}, ("0.03", "pF", "", "")),
        ({"value": 208_375_808, "unit": "B"}, ("208.376", "MB", "", "")),
        ({"value": 0.001, "unit": "B"}, ("0.001", "B", "", "")),
        ({"value": 0.0001, "unit": "mV"}, ("0.0001", "mV", "", "")),
        ({"value": 0.05, "unit": "m"}, ("0.05", "m", "", "")),
        ({"value": 1234567, "unit": "V", "precision": 3}, ("1.23", "MV", "", "")),
        ({"value": 12.0163, "unit": "V", "precision": 3, "low": 11.88}, ("12", "V", "11.9", "")),
        ({"value": 12345678}, ("12345678", "", "", "")),
        ({"value": 0.0, "unit": "A", "high": 0.0}, ("0", "A", "", "0")),
        ({"value": True, "equals": True}, ("true", "", "", "")),
        ({"value": {"a": [1]}}, ('{"a": [1]}', "", "", "")),
        ({"verdict": "unset", "unit": "V", "high": 1.0}, ("-", "V", "", "1")),
        ({"value": float("inf"), "unit": "V"}, ("Infinity", "V", "", "")),
    ],
)
def test_value_and_limits_have_one_unit_and_six_digits(
    fields: dict[str, Any], shown: tuple[str, ...]
) -> None:
    made = quantity(measured(**fields))

    assert (made.value, made.unit, made.low, made.high) == shown


def test_a_measurement_without_a_range_has_its_condition() -> None:
    equal = quantity(measured(value=5, equals=5, unit="V"))
    pattern = quantity(measured(value="2.4.1", matches=r"2\.4\.\d+"))

    assert (equal.condition, equal.low, equal.high, equal.margin) == ("= 5", "", "", "")
    assert (pattern.condition, pattern.is_text, pattern.exact) == (
        r"matches 2\.4\.\d+",
        True,
        "2.4.1",
    )


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"value": 12.0, "low": 11.0, "high": 13.0, "margin": 1.0}, "50.0"),
        ({"value": 61.4, "high": 50.0, "margin": -11.4}, "-22.8"),
        ({"value": 5.0, "low": -20.0, "margin": 25.0}, "125"),
        ({"value": 1.0, "high": 1e9, "margin": 1e-3}, "<0.01"),
        ({"value": -1.0, "low": 0.0, "margin": -1.0}, ""),
        ({"value": 1.0, "low": 1.0, "high": 1.0, "margin": 0.0}, ""),
        ({"value": 1e12, "high": 1e-3, "margin": -1e12}, "-1.0e17"),
        ({"value": 1.0}, ""),
        ({"high": 1.0, "verdict": "unset"}, ""),
    ],
)
def test_a_margin_is_in_percent_of_the_range_or_of_the_only_limit(
    fields: dict[str, Any], shown: str
) -> None:
    assert margin_percent(measured(**fields)) == shown


_NUMBERS = st.integers(-(10**400), 10**400) | st.floats()


@given(
    value=_NUMBERS | st.text() | st.none(),
    limits=st.tuples(st.floats() | st.none(), st.floats() | st.none()),
    unit=st.sampled_from(["V", "B", "mV", "", "%"]),
    precision=st.integers(1, 17),
)
def test_every_measurement_has_a_text(
    value: Any, limits: tuple[float | None, float | None], unit: str, precision: int
) -> None:
    fields = {"value": value, "low": limits[0], "high": limits[1], "margin": limits[0]}
    given_fields = {key: one for key, one in fields.items() if one is not None}

    made = quantity(measured(unit=unit, precision=precision, **given_fields))

    assert len(made.value) <= 400
    assert made.unit.endswith(unit)
    if isinstance(value, float) and 1 <= abs(value) < 1000 and limits == (None, None):
        assert float(made.value) == pytest.approx(value, rel=1.5 * 10.0 ** (1 - precision))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (0.0001, "< 1 ms"),
        (0.0032, "3 ms"),
        (0.9994, "999 ms"),
        (0.9999, "1.0 s"),
        (1.24, "1.2 s"),
        (59.96, "1 min"),
        (130, "2 min 10 s"),
        (3600, "1 h"),
        (3725, "1 h 2 min"),
        (93_784, "1 d 2 h 3 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_duration_has_its_usual_units(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the local time to that of Berlin in winter and in summer."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_a_time_is_local_with_its_offset() -> None:
    assert local_time("2026-11-25T10:15:02.000Z") == "2026-11-25 11:15:02 UTC+01:00"
    assert local_time("2026-07-25T22:15:02.000Z") == "2026-07-26 00:15:02 UTC+02:00"
    assert utc_time("2026-11-25T10:15:02.000Z") == "2026-11-25 10:15:02 UTC"
    assert (local_time(""), utc_time("")) == ("-", "")
