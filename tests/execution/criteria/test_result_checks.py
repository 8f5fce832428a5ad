"""Criterion `result_schema`: errors of a result with their path, value and rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Ended, Verdict, lasted
from pytest_orchestrator.execution.criteria import check
from pytest_orchestrator.execution.criteria.simple import CheckInputs

if TYPE_CHECKING:
    from tests.execution.conftest import Bench


def checked(bench: Bench, schema: dict[str, Any], value: Any) -> Verdict:
    step = bench.step(type="shell", cmd="true", success={"result_schema": schema})
    ended = Ended(usage=lasted(1.0), value=value)
    inputs = CheckInputs(step, bench.context, ended, 0.0, bench.root, {})
    (verdict,) = check.checked(inputs)
    return verdict


@pytest.mark.parametrize(
    ("schema", "value", "reason"),
    [
        ({"type": "object"}, {"status": "ok"}, None),
        ({"type": "array"}, {}, 'result is {}, expected type "array"'),
        (
            {"properties": {"v": {"maximum": 50}}},
            {"v": 61.4},
            "result.v is 61.4, maximum 50.0 (11.4 above, 22.8 %)",
        ),
        (
            {"properties": {"v": {"exclusiveMinimum": 0}}},
            {"v": 0},
            "result.v is 0, expected exclusiveMinimum 0",
        ),
        ({"required": ["a"]}, {}, "result: 'a' is a required property"),
        (
            {"properties": {"a": {"additionalProperties": False}}},
            {"a": {"b": 1}},
            "result.a: Additional properties are not allowed ('b' was unexpected)",
        ),
        ({"properties": {"a": False}}, {"a": 1}, "result: False schema does not allow 1"),
        (
            {"properties": {"my unit": {"enum": ["V", "mV"]}}},
            {"my unit": "A"},
            'result[\'my unit\'] is "A", expected enum ["V", "mV"]',
        ),
        (
            {"items": {"items": {"type": "integer"}}},
            [[1], [2, "x"]],
            'result[1][1] is "x", expected type "integer"',
        ),
        (
            {"anyOf": [{"type": "number", "maximum": 5}, {"type": "string"}]},
            7,
            "result is 7, maximum 5 (2 above, 40 %)",
        ),
        (
            {"anyOf": [{"type": "array"}, {"type": "string"}]},
            7,
            'result is 7, expected anyOf [{"type": "array"}, {"type": "string"}]',
        ),
        (
            {"pattern": "^a"},
            "b\x1b" + "c" * 99,
            f'result is "b\\u001b{"c" * 51}…, expected pattern "^a"',
        ),
        (
            {"items": {"type": "string"}},
            [1, 2, 3, 4, 5],
            (
                'result[0] is 1, expected type "string"; result[1] is 2, expected type "string"; '
                'result[2] is 3, expected type "string"; and 2 more'
            ),
        ),
        (
            {"items": {"type": "string"}},
            [1] * 5_000,
            (
                'result[0] is 1, expected type "string"; result[1] is 1, expected type "string"; '
                'result[2] is 1, expected type "string"; and at least 997 more'
            ),
        ),
    ],
)
def test_a_schema_error_names_path_value_and_rule(
    bench: Bench, schema: dict[str, Any], value: Any, reason: str | None
) -> None:
    assert checked(bench, schema, value).unmet == reason


@pytest.mark.parametrize("slow", [{}, {"$defs": {"a": {"pattern": "a"}}, "pattern": "a"}])
def test_a_schema_compares_the_decimals_that_a_program_prints(
    bench: Bench, slow: dict[str, Any]
) -> None:
    bench.write("out", '{"status": "ok", "v": 3.35000000000000000000001, "w": 3.35}')
    limit = {"maximum": 3.35}
    schema = slow | {"properties": {"v": limit, "w": limit}}
    result = bench.result(bench.shell_step("cat out", success={"result_schema": schema}))

    (unmet,) = [one for one in result.verdicts if one.unmet]
    assert unmet.unmet == (
        "result.v is 3.35000000000000000000001, maximum 3.35000000000000000000000 "
        "(0.00000000000000000000001 above, 2.99e-22 %)"
    )
    assert unmet.measured == 3.35


def test_a_false_assertion_shows_the_decimals_that_a_program_prints(bench: Bench) -> None:
    bench.write("out", "[3.35000000000000000000001, 2.5]")
    step = bench.shell_step("cat out", parse="data", success={"assert": ["result[0] < result[1]"]})

    (unmet,) = [one for one in bench.result(step).verdicts if one.unmet]
    assert unmet.unmet == (
        "`result[0] < result[1]` is false: result[0] = 3.35000000000000000000001, result[1] = 2.5"
    )


def test_an_endless_reference_cannot_be_checked(bench: Bench) -> None:
    reason = checked(bench, {"$ref": "#"}, 1).unmet or ""
    assert reason.startswith("cannot be checked: RecursionError: maximum recursion depth exceeded")


def test_the_place_of_a_schema_error_is_the_rule(bench: Bench) -> None:
    schema: dict[str, Any] = {
        "$defs": {"mv": {"maximum": 50}},
        "properties": {"a": {"minimum": 5}},
    }
    assert checked(bench, schema, {"a": 3}) == Verdict(
        name="result_schema",
        expected=schema,
        place=Place(5, 99, 1),
        measured=3,
        unmet="result.a is 3, minimum 5 (2 below, 40 %)",
    )


def test_the_place_of_an_error_behind_a_reference_is_the_reference(bench: Bench) -> None:
    schema = {"$defs": {"mv": {"maximum": 50}}, "properties": {"a": {"$ref": "#/$defs/mv"}}}
    assert checked(bench, schema, {"a": 60}).place == Place(5, 96, 12)


def test_results_of_shell_and_python_steps_are_checked_alike(bench: Bench) -> None:
    schema = {"required": ["v"]}
    shell = bench.shell_step('echo \'{"status": "ok"}\'', success={"result_schema": schema})
    python = bench.python_step(
        'def step(params): return {"status": "ok", "v": 1}', success={"result_schema": schema}
    )
    assert [one.unmet for one in bench.result(shell).verdicts] == [
        "result: 'v' is a required property"
    ]
    assert [one.unmet for one in bench.result(python).verdicts] == [None]


def test_a_schema_may_have_expressions(bench: Bench) -> None:
    schema = {"properties": {"v": {"maximum": "${{ ctx.limit }}"}}}
    step = bench.shell_step('echo \'{"status": "ok", "v": 7}\'', success={"result_schema": schema})
    bench.context.set("limit", 5)
    (verdict,) = bench.result(step).verdicts
    assert (verdict.unmet, verdict.place.column) == (
        "result.v is 7, maximum 5 (2 above, 40 %)",
        65,
    )
    bench.context.set("limit", "five")
    (verdict,) = bench.result(step).verdicts
    assert verdict.unmet == "no JSON Schema in properties.v.maximum: 'five' is not of type 'number'"


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"required": "${{ '' }}"}, "no JSON Schema in required: '' is not of type 'array'"),
        ({"allOf": "${{ {} }}"}, "no JSON Schema in allOf: {} is not of type 'array'"),
        (
            {"uniqueItems": "${{ '' }}"},
            "no JSON Schema in uniqueItems: '' is not of type 'boolean'",
        ),
        (
            {"properties": {"none": {"minimum": "${{ '5' }}"}}},
            "no JSON Schema in properties.none.minimum: '5' is not of type 'number'",
        ),
    ],
)
def test_a_schema_that_an_expression_makes_invalid_never_holds(
    bench: Bench, schema: dict[str, Any], reason: str
) -> None:
    step = bench.shell_step('echo \'{"status": "ok"}\'', success={"result_schema": schema})

    result = bench.result(step)

    assert result.failure is not None
    assert (result.failure.kind, result.verdicts[-1].unmet) == ("validation", reason)
