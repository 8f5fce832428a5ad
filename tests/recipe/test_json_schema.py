"""A faulty JSON Schema is reported at load, at the place of the fault."""

from collections.abc import Callable

import pytest

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe import Recipe

Problems = Callable[[str | bytes], list[str]]
Read = Callable[[str | bytes], Recipe]

TYPES = "['array', 'boolean', 'integer', 'null', 'number', 'object', 'string']"


def step(schema: str) -> str:
    return f"steps:\n- type: shell\n  name: a\n  cmd: ls\n  success:\n    result_schema: {schema}\n"


@pytest.mark.parametrize(
    ("schema", "place", "key", "message"),
    [
        ("{type: numer}", "6:27", ".type", f"'numer' is not one of {TYPES}"),
        (
            "{type: [number, nul]}",
            "6:36",
            ".type.1",
            f"'nul' is not one of {TYPES}",
        ),
        (
            "{properties: {v: {maximum: '5'}}}",
            "6:47",
            ".properties.v.maximum",
            "'5' is not of type 'number'",
        ),
        ("{pattern: '['}", "6:30", ".pattern", "'[' is not a 'regex'"),
        ("{items: [{}]}", "6:28", ".items", "[{}] is not of type 'object', 'boolean'"),
        ("{multipleOf: 0}", "6:33", ".multipleOf", "0 is less than or equal to the minimum of 0"),
        ("{$ref: '#/$defs/x'}", "6:27", ".$ref", "'#/$defs/x' leads nowhere in it"),
        (
            "{items: {$ref: 'https://there.example/x.json'}}",
            "6:35",
            ".items.$ref",
            "'https://there.example/x.json' leads nowhere in it",
        ),
        ("{$schema: draft-9}", "6:30", ".$schema", "no draft of that name is known"),
        ("{$schema: 5}", "6:30", ".$schema", "no draft of that name is known"),
        (
            "{$id: 'http://[', $ref: a}",
            "6:20",
            "",
            "an '$id' is no address: Invalid IPv6 URL",
        ),
    ],
)
def test_a_fault_is_reported_at_its_place(
    schema: str, place: str, key: str, message: str, problems: Problems
) -> None:
    assert problems(step(schema)) == [
        f"{place} 'success.result_schema{key}' in shell step 'a' is no JSON Schema: {message}"
    ]


def test_all_faults_are_reported(problems: Problems) -> None:
    found = problems(step("{type: 5, required: true}"))
    assert [each.partition(" ")[0] for each in found] == ["6:27", "6:40"]


_FORM = "should be a mapping (write result_schema: {properties: {ripple: {type: number}}})"


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("[a]", f"6:20 'success.result_schema' in shell step 'a' is a list, {_FORM}"),
        ("true", f"6:20 'success.result_schema' in shell step 'a' is a boolean, {_FORM}"),
        ("{maximum: .inf}", "6:30 .inf is no number of JSON; use null, or quote it: '.inf'"),
    ],
)
def test_a_schema_that_is_no_json_mapping_is_reported(
    schema: str, message: str, problems: Problems
) -> None:
    assert problems(step(schema)) == [message]


@pytest.mark.parametrize(
    "schema",
    [
        "{title: any}",
        "{$schema: 'http://json-schema.org/draft-07/schema#', items: [{type: string}]}",
        "{$schema: 'http://json-schema.org/draft-04/schema#'}",
        "{$ref: 'https://json-schema.org/draft/2020-12/schema'}",
        "{$anchor: a, items: {$ref: '#a'}}",
        "{properties: {$ref: {type: string}}}",
        "{$defs: {x: {type: string}}, $ref: '#/$defs/x'}",
        "{maximum: '${{ ctx.most }}'}",
    ],
)
def test_valid_schemas_are_accepted(schema: str, read: Read) -> None:
    assert read(step(schema)).steps[0].success[0].name == "result_schema"


def test_a_criterion_has_the_places_of_the_schema_parts(read: Read) -> None:
    (found,) = read(step("{properties: {v: {enum: [1, b]}}}")).steps[0].success
    assert found.place == found.at[""] == Place(6, 20, 33)
    assert found.at["properties/v/enum/1"] == Place(6, 48, 1)
