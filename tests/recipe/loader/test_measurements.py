"""Measurements in the loader: keys that need or exclude others, limits that cannot hold."""

from collections.abc import Callable

import pytest

from pytest_orchestrator.recipe import Recipe

Problems = Callable[[str | bytes], list[str]]
Read = Callable[[str | bytes], Recipe]

HEAD = "steps:\n- name: a\n  type: shell\n  cmd: x\n  measurements:\n    m: "
STEP = "in shell step 'a'"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("{value: 1, low: 5, high: 1}", f"6:24 'measurements.m.low' {STEP} is above 'high'"),
        (
            "{value: 1, low: 5, within: {of: 2, percent: 10}}",
            f"6:24 'measurements.m.low' {STEP} can never hold: its limits cross: low 5.0, high 2.2",
        ),
        (
            "{value: 1, nominal: 5, tolerance: 1%, high: 4}",
            (
                f"6:52 'measurements.m.high' {STEP} can never hold: "
                "its limits cross: low 4.95, high 4.00"
            ),
        ),
        (
            "{value: 1, nominal: 5}",
            f"6:28 'measurements.m.nominal' {STEP} needs 'tolerance' (write tolerance: 1%)",
        ),
        (
            "{value: 1, tolerance: 5}",
            f"6:30 'measurements.m.tolerance' {STEP} needs 'nominal' (write nominal: 12)",
        ),
        (
            "{value: 1, nominal: 5, tolerance: 1, within: {of: 5, percent: 1}}",
            (
                f"6:28 'measurements.m.nominal' {STEP} is a second range beside 'within' "
                "(keep one of them)"
            ),
        ),
        (
            "{value: 1, nominal: 5, tolerance: 1 V}",
            (
                f"6:42 'measurements.m.tolerance' {STEP} is '1 V', "
                "should be a number, or a percentage such as 1%"
            ),
        ),
        (
            "{value: 1, high: 12.2 V}",
            (
                f"6:25 'measurements.m.high' {STEP} is text, should be a number "
                "(write 12.2, and unit: V)"
            ),
        ),
        (
            "{value: 1, low: -40°C}",
            (
                f"6:24 'measurements.m.low' {STEP} is text, should be a number "
                "(write -40, and unit: °C)"
            ),
        ),
        (
            "{value: 1, low: about 3}",
            f"6:24 'measurements.m.low' {STEP} is text, should be a number",
        ),
        (
            "{value: 1, nominal: 5, tolerance: -1}",
            f"6:42 'measurements.m.tolerance' {STEP} is -1, should be 0 or more",
        ),
        (
            "{value: 1, matches: x, low: 1}",
            (
                f"6:28 'measurements.m.matches' {STEP} is for a text and 'low' for a number, "
                "so no value meets both"
            ),
        ),
        (
            "{value: 1, equals: on, low: 1}",
            (
                f"6:27 'measurements.m.equals' {STEP} is for a text and 'low' for a number, "
                "so no value meets both"
            ),
        ),
        (
            "{value: 1, equals: 1, low: 2}",
            f"6:27 'measurements.m.equals' {STEP} can never hold: it is below its low 2",
        ),
        (
            "{value: 1, equals: 5.5, within: {of: 4, percent: 25}}",
            f"6:27 'measurements.m.equals' {STEP} can never hold: it is above its high 5",
        ),
        (
            "{value: 1, equals: 5, matches: x}",
            (
                f"6:27 'measurements.m.equals' {STEP} is no text, and 'matches' is for a text, "
                "so no value meets both"
            ),
        ),
        (
            "{value: 1, matches: '('}",
            (
                f"6:28 'measurements.m.matches' {STEP} is '(', no regular expression: "
                "missing ), unterminated subpattern, at character 1"
            ),
        ),
        (
            "{value: 1, low: 1, marginal: {}}",
            f"6:37 'measurements.m.marginal' {STEP} has no keys, should have low, high or percent",
        ),
        (
            "{value: 1, low: 1, marginal: {percent: 5, low: 2}}",
            (
                f"6:37 'measurements.m.marginal' {STEP} has 'percent' beside other keys "
                "(keep one of them)"
            ),
        ),
        (
            "{value: 1, marginal: {percent: 5}}",
            f"6:29 'measurements.m.marginal' {STEP} needs a limit: low, high, within or nominal",
        ),
        (
            "{value: 1, low: 1, marginal: {percent: 50}}",
            (
                f"6:47 'measurements.m.marginal.percent' {STEP} is 50, "
                "should be more than 0 and less than 50"
            ),
        ),
        (
            "{value: 1, low: 1, marginal: {high: 5}}",
            (
                f"6:37 'measurements.m.marginal' {STEP} can never hold: "
                "it has a marginal high, but no high limit"
            ),
        ),
        (
            "{value: 1, low: 1, marginal: {low: 1}}",
            (
                f"6:37 'measurements.m.marginal' {STEP} can never hold: "
                "its marginal low 1 is not above its low 1"
            ),
        ),
        (
            "{value: 1, high: 1, marginal: {high: 2}}",
            (
                f"6:38 'measurements.m.marginal' {STEP} can never hold: "
                "its marginal high 2 is not below its high 1"
            ),
        ),
        (
            "{value: 1, low: 0, marginal: {percent: 5}}",
            (
                f"6:37 'measurements.m.marginal' {STEP} can never hold: "
                "its marginal low 0 is not above its low 0"
            ),
        ),
        (
            "{value: 1, low: 1, high: 9, marginal: {low: 6, high: 5}}",
            (
                f"6:46 'measurements.m.marginal' {STEP} can never hold: "
                "its marginal limits cross: low 6, high 5"
            ),
        ),
        (
            "{value: 1, low: 1, marginal: {lo: 2}}",
            f"6:38 unknown key 'lo' in 'measurements.m.marginal' {STEP} (did you mean 'low'?)",
        ),
        (
            "{value: 1, precision: 0}",
            f"6:30 'measurements.m.precision' {STEP} is 0, should be 1 to 17",
        ),
        (
            "{value: 1, precision: 2.5}",
            f"6:30 'measurements.m.precision' {STEP} is a number, should be a whole number",
        ),
    ],
)
def test_a_measurement_that_is_wrong_is_refused(
    keys: str, message: str, problems: Problems
) -> None:
    assert problems(HEAD + keys + "\n") == [message]


@pytest.mark.parametrize(
    "keys",
    [
        "{value: 1, low: 0, high: 9, marginal: {percent: 5}}",
        "{value: 1, low: '${{ vars.x }}', high: 9, marginal: {low: 1}}",
        "{value: 1, high: 9, marginal: {high: '${{ vars.x }}'}}",
        "{value: 1, nominal: 12, tolerance: '${{ vars.x }}%', marginal: {percent: 10}}",
        "{value: 1, nominal: '${{ vars.x }}', tolerance: 0.5, low: 99}",
        "{value: 1, equals: SN-1, matches: '^SN'}",
        "{value: 1, equals: '${{ vars.x }}', low: 1, high: 2}",
        "{value: 1, precision: 17}",
    ],
)
def test_a_measurement_whose_limits_may_hold_is_accepted(keys: str, read: Read) -> None:
    assert "m" in read(f"vars: {{x: 1}}\n{HEAD}{keys}\n").steps[0].measurements
