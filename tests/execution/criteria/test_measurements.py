"""Measurements of a step, with their values, limits and verdicts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import UNSET

from pytest_orchestrator.core.json_values import json_copy
from pytest_orchestrator.execution.criteria import measurements

if TYPE_CHECKING:
    from tests.execution.conftest import Bench

ABSENT = "was not measured: `result.nope`: there is no 'nope' (did you mean 'none'?)"
BELOW = (
    "= 3.35000000000000000000000, min 3.35000000000000000000001 "
    "(0.00000000000000000000001 below, 2.99e-22 %)"
)
OBJECT = """printf '{"status": "ok", "volts": 12.5, "none": null}'"""


@pytest.mark.parametrize(
    ("measurement", "verdict", "unmet"),
    [
        ({"value": "50", "high": 50}, "pass", None),
        ({"value": "1", "equals": 1.0}, "pass", None),
        ({"value": "12.5", "within": {"of": 12, "percent": 5}}, "pass", None),
        ({"value": "-12.5", "within": {"of": -12, "percent": 5}}, "pass", None),
        ({"value": "12.5", "nominal": 12, "tolerance": "5%"}, "pass", None),
        ({"value": "-12.5", "nominal": -12, "tolerance": "5 %"}, "pass", None),
        ({"value": "12.5", "nominal": 12, "tolerance": 0.5}, "pass", None),
        ({"value": "'SN-12'", "matches": r"^SN-\d+$"}, "pass", None),
        ({"value": "'SN-12'", "equals": "SN-12", "matches": "SN"}, "pass", None),
        (
            {"value": "'SN-x'", "matches": r"^SN-\d+$"},
            "fail",
            r"= 'SN-x', which '^SN-\\d+$' does not match",
        ),
        (
            {"value": "12", "matches": "12"},
            "fail",
            "is a number, and a text is needed for 'matches'",
        ),
        ({"value": "result.nope", "matches": "x"}, "unset", ABSENT),
        (
            {"value": "12.75", "nominal": 12.0, "tolerance": "5%", "unit": "V", "precision": 3},
            "fail",
            "= 12.8 V, max 12.6 V (0.2 V above, 1.19 %)",
        ),
        (
            {"value": "1234567", "high": 1},
            "fail",
            "= 1234567, max 1 (1234566 above, 1.23e8 %)",
        ),
        (
            {"value": "61.4", "high": 50, "unit": "mV"},
            "fail",
            "= 61.4 mV, max 50.0 mV (11.4 mV above, 22.8 %)",
        ),
        ({"value": "141.8", "high": 140}, "fail", "= 141.8, max 140.0 (1.8 above, 1.29 %)"),
        ({"value": "-1", "low": 0}, "fail", "= -1, min 0 (1 below)"),
        ({"value": "false", "equals": 0}, "fail", "= false, expected 0"),
        (
            {"value": "stdout", "high": 1},
            "fail",
            "is text, and a number is needed for its limit (write `stdout | float`)",
        ),
        (
            {"value": "result", "high": 1},
            "fail",
            (
                "is a mapping, and a number is needed for its limit (write `result.NAME`; "
                "if the step prints only a number, `stdout | float` or `parse: data`)"
            ),
        ),
        ({"value": "'x'", "high": 1}, "fail", "is text, and a number is needed for its limit"),
        ({"value": "result.nope"}, "unset", ABSENT),
        ({"value": "result.none"}, "unset", "was not measured: there is no value"),
        ({"value": "1e308 * 10", "low": 0}, "unset", "was not measured: its value is infinite"),
        ({"value": "-1e308 * 10"}, "unset", "was not measured: its value is infinite"),
        (
            {"value": "'-inf' | float", "high": 5},
            "unset",
            "was not measured: its value is infinite",
        ),
        (
            {"value": "'ERROR' | int", "high": 50},
            "unset",
            (
                "was not measured: `'ERROR' | int`: 'ERROR' is no number that `int` can read "
                "(`int(0)` gives 0 instead)"
            ),
        ),
        ({"value": "'ERROR' | int(7)", "high": 50}, "pass", None),
        ({"value": "3.35", "nominal": 3.3, "tolerance": 0.05}, "pass", None),
        ({"value": "3.25", "nominal": 3.3, "tolerance": 0.05}, "pass", None),
        ({"value": "0.3", "within": {"of": 0.1, "percent": 200}}, "pass", None),
        ({"value": "0.3", "nominal": 0.1, "tolerance": "200%"}, "pass", None),
        (
            {"value": repr(math.nextafter(3.35, 4)), "nominal": 3.3, "tolerance": 0.05},
            "fail",
            "= 3.3500000000000005, max 3.3500000000000000 (0.0000000000000005 above, 1.49e-14 %)",
        ),
        (
            {"value": "9007199254740993", "high": 9007199254740992},
            "fail",
            "= 9007199254740993, max 9007199254740992 (1 above, 1.11e-14 %)",
        ),
        (
            {"value": "9007199254740993", "nominal": 9007199254740992, "tolerance": 0},
            "fail",
            "= 9007199254740993, max 9007199254740992 (1 above, 1.11e-14 %)",
        ),
        ({"value": "9007199254740993", "low": 9007199254740993}, "pass", None),
    ],
)
def test_a_measurement_has_a_verdict(
    bench: Bench, measurement: dict[str, Any], verdict: str, unmet: str | None
) -> None:
    result = bench.result(bench.shell_step(OBJECT, measurements={"ripple": measurement}))

    assert [one.verdict for one in result.measurements] == [verdict]
    assert [one.unmet for one in result.verdicts if one.is_measurement] == [unmet]
    assert result.outcome == ("passed" if verdict == "pass" else "failed")


@pytest.mark.parametrize(
    "limits",
    [
        {"low": "${{ result.volts }}", "high": 2},
        {"low": 12.5, "high": "${{ result.volts - 10.5 }}"},
        {"low": 12.5, "within": {"of": "${{ 2 }}", "percent": 0}},
        {"low": 12.5, "nominal": 2, "tolerance": "${{ 0 }}"},
    ],
)
def test_a_measurement_whose_limits_cross_fails_as_validation(
    bench: Bench, limits: dict[str, Any]
) -> None:
    measurement = {"value": "5", **limits}
    result = bench.result(bench.shell_step(OBJECT, measurements={"ripple": measurement}))

    assert result.failure is not None
    assert (result.failure.kind, result.failure.reason) == (
        "validation",
        "ripple was not measured: its limits cross: low 12.5, high 2.0",
    )
    assert result.failure.place is not None


SPAN = {"low": 0, "high": 100}


@pytest.mark.parametrize(
    ("value", "keys", "marginal", "verdict"),
    [
        (10, {**SPAN, "marginal": {"percent": 10}}, False, "pass"),
        (9.99, {**SPAN, "marginal": {"percent": 10}}, True, "pass"),
        (90, {**SPAN, "marginal": {"percent": 10}}, False, "pass"),
        (90.1, {**SPAN, "marginal": {"percent": 10}}, True, "pass"),
        (100, {**SPAN, "marginal": {"percent": 10}}, True, "pass"),
        (100.1, {**SPAN, "marginal": {"percent": 10}}, False, "fail"),
        (46, {"high": 50, "marginal": {"percent": 10}}, True, "pass"),
        (44, {"high": 50, "marginal": {"percent": 10}}, False, "pass"),
        (-46, {"low": -50, "marginal": {"percent": 10}}, True, "pass"),
        (-44, {"low": -50, "marginal": {"percent": 10}}, False, "pass"),
        (46, {**SPAN, "marginal": {"high": 45}}, True, "pass"),
        (1, {**SPAN, "marginal": {"high": 45}}, False, "pass"),
        (1, {**SPAN, "marginal": {"low": "${{ 2 }}", "high": 45}}, True, "pass"),
        (12.55, {"nominal": 12, "tolerance": "5%", "marginal": {"percent": 10}}, True, "pass"),
        (12.4, {"within": {"of": 12, "percent": 5}, "marginal": {"percent": 10}}, False, "pass"),
    ],
)
def test_a_value_near_a_limit_passes_and_is_marginal(
    bench: Bench, value: float, keys: dict[str, Any], marginal: bool, verdict: str
) -> None:
    measured = {"m": {"value": str(value), **keys}}
    result = bench.result(bench.shell_step("true", parse="text", measurements=measured))
    (one,) = result.measurements

    assert (bool(one.marginal), one.verdict) == (marginal, verdict)
    assert result.outcome == ("passed" if verdict == "pass" else "failed")


@pytest.mark.parametrize(
    ("marginal", "reason"),
    [
        ({"low": "${{ 60 }}", "high": 50}, "its marginal limits cross: low 60, high 50"),
        ({"low": "${{ -1 }}"}, "its marginal low -1 is not above its low 0"),
    ],
)
def test_a_marginal_range_that_cannot_hold_fails_as_validation(
    bench: Bench, marginal: dict[str, Any], reason: str
) -> None:
    measured = {"m": {"value": "5", "low": 0, "high": 100, "marginal": marginal}}
    step = bench.shell_step("true", parse="text", measurements=measured)
    result = bench.result(step)

    assert result.failure is not None
    assert (result.failure.kind, result.failure.reason) == (
        "validation",
        f"m was not measured: {reason}",
    )
    assert result.failure.place == step.measurements["m"].at["marginal"]


@pytest.mark.unmeasured
def test_a_pattern_that_backtracks_ends_at_the_timeout(bench: Bench) -> None:
    measured = {"m": {"value": "'a' * 80", "matches": "^(a|aa)+$b"}}
    step = bench.shell_step("true", parse="text", timeout=0.1, measurements=measured)
    result = bench.result(step)

    assert result.failure is not None
    assert (result.failure.kind, result.failure.reason) == (
        "timeout",
        "timeout: `matches` was still searching after 0.1 s (its pattern backtracks: '^(a|aa)+$b')",
    )


def test_nan_counts_as_not_measured(bench: Bench) -> None:
    step = bench.shell_step(
        "true", fixtures=["x"], measurements={"ripple": {"value": "fixtures.x", "high": 1}}
    )
    taken = measurements.take_measurements(step, {"fixtures": {"x": float("nan")}}, {})

    assert [one.verdict for one, _ in taken] == ["unset"]


@pytest.mark.parametrize("infinite", [float("inf"), float("-inf")])
def test_infinity_is_not_recorded_as_a_value(bench: Bench, infinite: float) -> None:
    step = bench.shell_step(
        "true", fixtures=["x"], measurements={"ripple": {"value": "fixtures.x", "low": 1}}
    )
    ((measured, _),) = measurements.take_measurements(step, {"fixtures": {"x": infinite}}, {})

    assert (measured.value, measured.verdict, measured.margin) == (UNSET, "unset", UNSET)


def test_a_margin_that_no_float_represents_is_none(bench: Bench) -> None:
    step = bench.shell_step(
        "true", fixtures=["x"], measurements={"ripple": {"value": "fixtures.x", "low": 1}}
    )
    ((measured, _),) = measurements.take_measurements(step, {"fixtures": {"x": 10**400}}, {})

    assert (measured.verdict, measured.margin) == ("pass", UNSET)


@pytest.mark.parametrize(
    ("limits", "verdict"),
    [
        ("high: 3.35000000000000000001", "pass"),
        ("high: 3.34999999999999999999", "fail"),
        ("low: 3.35000000000000000001", "fail"),
        ("equals: 3.35000000000000000001", "fail"),
        ("nominal: 3.30000000000000000001, tolerance: 0.05", "pass"),
        ("nominal: 3.29999999999999999999, tolerance: 0.05", "fail"),
        ("nominal: 3.3, tolerance: 0.04999999999999999999", "fail"),
        ("within: {of: 3.34999999999999999999, percent: 0}", "fail"),
        ("within: {of: 3.3, percent: 1.51515151515151515151}", "fail"),
        ("within: {of: 3.3, percent: 1.51515151515151515152}", "pass"),
        ("high: 0e400000000, low: -5", "fail"),
    ],
)
def test_a_limit_is_the_decimal_that_is_written(bench: Bench, limits: str, verdict: str) -> None:
    step = bench.recipe(
        "steps:\n  - {name: s, type: shell, cmd: 'true', parse: text, "
        f"measurements: {{m: {{value: 3.35, {limits}}}}}}}\n"
    ).step("s")
    (measured,) = bench.result(step).measurements
    assert measured.verdict == verdict


def test_a_decimal_of_a_program_is_the_one_that_it_prints(bench: Bench) -> None:
    printed = '{"status": "ok", "v": 3.35000000000000000000001, "n": 9007199254740993.0}'
    limits = {"high": 3.35, "unit": "V"}
    of = {
        "beyond": {"value": "result.v", **limits},
        "other": {"value": "result.v", "equals": 3.35},
        "large": {"value": "result.n", "low": 9007199254740992, "high": 9007199254740992},
        "listed": {"value": "[result.v]"},
        "calculated": {"value": "result.v + 0", **limits},
        "limit": {"value": "3.35", "low": "${{ result.v }}"},
        "within": {"value": "3.35", "within": {"of": "${{ result.v }}", "percent": 0}},
    }
    bench.write("out", printed)
    step = bench.shell_step("cat out", measurements=of, outputs={"k": "${{ result }}"})

    result = bench.result(step)

    unmet = {one.name: one.unmet for one in result.verdicts}
    assert {one.name: (one.value, unmet[one.name]) for one in result.measurements} == {
        "beyond": (
            3.35,
            (
                "= 3.35000000000000000000001 V, max 3.35000000000000000000000 V "
                "(0.00000000000000000000001 V above, 2.99e-22 %)"
            ),
        ),
        "other": (3.35, "= 3.35000000000000000000001, expected 3.35000000000000000000000"),
        "large": (
            9007199254740992.0,
            (
                "= 9.007199254740993e15, max 9.007199254740992e15 "
                "(0.000000000000001e15 above, 1.11e-14 %)"
            ),
        ),
        "listed": ([3.35], None),
        "calculated": (3.35, None),
        "limit": (3.35, BELOW),
        "within": (3.35, BELOW),
    }
    stored = {"status": "ok", "v": 3.35, "n": 9007199254740992.0}
    assert json_copy(bench.context.get("k")) == stored
    assert {*map(type, bench.context.get("k").values())} == {str, float}


def test_limits_and_margins_are_recorded_without_binary_digits(bench: Bench) -> None:
    measured = {"m": {"value": "3.32", "nominal": 3.3, "tolerance": 0.05}}
    (one,) = bench.result(
        bench.shell_step("true", parse="text", measurements=measured)
    ).measurements
    assert (repr(one.low), repr(one.high), repr(one.margin)) == ("3.25", "3.35", "0.03")


def test_limits_that_no_number_reaches_are_an_error(bench: Bench) -> None:
    measured = {"m": {"value": "1", "nominal": 1e308, "tolerance": "${{ '200%' }}"}}
    result = bench.result(bench.shell_step("true", parse="text", measurements=measured))

    assert [one.verdict for one in result.measurements] == ["unset"]
    assert [one.unmet for one in result.verdicts] == [
        "was not measured: its limits are too large for a number"
    ]


def test_an_integer_that_no_float_represents_is_recorded_as_text(bench: Bench) -> None:
    step = bench.shell_step(
        "true", fixtures=["x"], measurements={"ripple": {"value": "fixtures.x", "high": 1}}
    )
    ((measured, _),) = measurements.take_measurements(step, {"fixtures": {"x": 10**400}}, {})

    assert (measured.value, measured.verdict) == ("1" + "0" * 400, "fail")


def test_an_unmet_measurement_with_allow_fail_fails_no_step(bench: Bench) -> None:
    measured = {"ripple": {"value": "61", "high": 50, "allow_fail": True}}
    result = bench.result(bench.shell_step("true", parse="text", measurements=measured))

    assert (result.outcome, result.measurements[0].verdict) == ("passed", "fail")
    assert [one.name for one in result.verdicts] == []


def test_all_measurements_are_recorded_if_one_raises(bench: Bench) -> None:
    measured: dict[str, Any] = {
        "a": {"value": "1", "high": 2},
        "b": {"value": "1 / 0", "high": 2, "unit": "V"},
        "c": {"value": "1", "high": "${{ ctx.nope }}"},
        "d": {"value": "1 / 0", "allow_fail": True},
        "e": {"value": "3", "high": 2},
    }
    result = bench.result(bench.shell_step("true", parse="text", measurements=measured))

    reason = "was not measured: `1 / 0`: ZeroDivisionError: division by zero"
    assert [(one.name, one.verdict) for one in result.measurements] == [
        ("a", "pass"),
        ("b", "unset"),
        ("c", "unset"),
        ("d", "unset"),
        ("e", "fail"),
    ]
    assert result.failure is not None
    assert (result.failure.kind, result.failure.reason) == (
        "validation",
        f"b {reason} (and 2 more)",
    )
    assert [one.name for one in result.verdicts] == ["a", "b", "c", "e"]
    assert result.failure.place == result.verdicts[1].place
    assert result.verdicts[1].place.line == result.measurements[1].line


@pytest.mark.parametrize(("percent", "verdict"), [(5, "pass"), (4, "fail")])
def test_within_may_have_expressions(bench: Bench, percent: int, verdict: str) -> None:
    bench.context.set("wanted", {"volts": 12, "percent": percent})
    within = {"of": "${{ ctx.wanted.volts }}", "percent": "${{ ctx.wanted.percent }}"}
    step = bench.shell_step(
        OBJECT, measurements={"volts": {"value": "result.volts", "within": within}}
    )

    assert [each.verdict for each in bench.result(step).measurements] == [verdict]
