"""Texts of measurements, margins, durations and times."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.reports.quantities import (
    duration,
    local_time,
    margin_number,
    margin_text,
    quantities,
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
        (
            {"value": 12.1, "unit": "V", "low": 11.76, "high": 12.24},
            ("12.10", "V", "11.76", "12.24"),
        ),
        ({"value": 0.0331234567, "unit": "V", "low": 0.03}, ("33.123", "mV", "30.000", "")),
        ({"value": 208_375_808, "unit": "B"}, ("208375808", "B", "", "")),
        ({"value": 12.0163, "unit": "V", "precision": 3, "low": 11.88}, ("12.0", "V", "11.9", "")),
        ({"value": True, "equals": True}, ("true", "", "", "")),
        ({"value": {"a": [1]}}, ('{"a": [1]}', "", "", "")),
        ({"verdict": "unset", "unit": "V", "high": 1.0}, ("-", "V", "", "1")),
        ({"value": float("inf"), "unit": "V"}, ("Infinity", "V", "", "")),
    ],
)
def test_value_and_limits_share_a_notation(fields: dict[str, Any], shown: tuple[str, ...]) -> None:
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
        ({"value": 12.0, "low": 11.0, "high": 13.0, "margin": 1.0}, "100"),
        ({"value": 12.12, "low": 11.76, "high": 12.24, "margin": 0.12}, "50.0"),
        ({"value": 3.33, "low": 3.3, "high": 3.6, "margin": 0.03}, "20.0"),
        ({"value": 61.4, "high": 50.0, "margin": -11.4}, "-22.8"),
        ({"value": 5.0, "low": -20.0, "margin": 25.0}, "125"),
        ({"value": 999_999_999.0, "high": 1e9, "margin": 1.0}, "<0.01"),
        ({"value": -1.0, "low": 0.0, "margin": -1.0}, "-"),
        ({"value": 1.0, "low": 1.0, "high": 1.0, "margin": 0.0}, "-"),
        ({"value": 1e12, "high": 1e-3, "margin": -1e12}, "-1.0e17"),
        ({"value": 1.0}, ""),
        ({"high": 1.0, "verdict": "unset"}, ""),
    ],
)
def test_a_margin_is_in_percent_of_half_the_range_or_of_the_only_limit(
    fields: dict[str, Any], shown: str
) -> None:
    assert margin_text(measured(**fields)) == shown


def test_margins_are_sorted_by_what_is_shown() -> None:
    volts = measured(value=0.0121, high=0.0115, margin=-0.0006)
    amperes = measured(value=5.0, low=0.0, margin=5.0)
    ohms = measured(value=1.5, low=1.0, high=2.0, margin=0.5)
    free = measured(value=1.0)

    shown = {margin_text(one): margin_number(one) for one in (volts, amperes, ohms, free)}

    assert shown == {
        "-5.2": pytest.approx(-5.217, abs=1e-3),
        "-": 5.0,
        "100": 100.0,
        "": None,
    }


def test_elements_share_a_notation_unless_they_have_a_precision() -> None:
    limits = {"unit": "V", "high": 12.24}
    given_values = (9.9, 12.125, 12.3)

    plain = quantities([measured(value=one, **limits) for one in given_values])
    exact = quantities([measured(value=one, precision=3, **limits) for one in given_values])

    assert [one.value for one in plain] == ["9.900", "12.125", "12.300"]
    assert {one.high for one in plain} == {"12.240"}
    assert [(one.value, one.high) for one in exact] == [
        ("9.90", "12.24"),
        ("12.1", "12.2"),
        ("12.3", "12.2"),
    ]


def test_a_quantity_has_its_distance_to_the_nearest_limit() -> None:
    made = quantity(measured(value=12.240126, high=12.24, margin=-0.000126, unit="V", precision=5))

    assert (made.value, made.high, made.distance, made.margin) == (
        "12.2401",
        "12.2400",
        "0.0001",
        "-<0.01",
    )


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
