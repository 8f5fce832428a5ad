"""Typed fields: conversion of texts, rules of values, and keys that contradict each other."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.core import json_values
from pytest_orchestrator.core.typed_fields import (
    EMPTY,
    InputField,
    checks_of,
    field_problems,
    hint_of,
    rule_of,
    sentence_of,
    value_of_json,
    value_of_line,
    value_of_text,
)

_TYPES = ("string", "integer", "number", "boolean", "json")


def _field(**keys: Any) -> InputField:
    return msgspec.convert(keys, InputField)


@pytest.mark.parametrize(
    ("keys", "text", "value"),
    [
        ({}, "00123", "00123"),
        ({}, " a ", " a "),
        ({"pattern": "SN[0-9]+"}, "SN1", "SN1"),
        ({"type": "integer"}, " -42 ", -42),
        ({"type": "integer", "unit": "V"}, "3V", 3),
        ({"type": "number"}, "3", 3),
        ({"type": "number"}, "1e-3", 0.001),
        ({"type": "number", "unit": "V", "max": 4}, "3.5 V", 3.5),
        ({"type": "boolean"}, "Yes", True),
        ({"type": "boolean"}, "0", False),
        ({"type": "json"}, '{"a": [1, null]}', {"a": [1, None]}),
        ({"type": "integer", "choices": [1, 2]}, "2", 2),
        ({"type": "number", "choices": [1, 2.5]}, "1.0", 1.0),
    ],
)
def test_a_text_is_converted_to_the_type_of_its_field(
    keys: dict[str, Any], text: str, value: object
) -> None:
    assert json_values.same_json(value_of_text(_field(**keys), text), value)


@pytest.mark.parametrize(
    ("keys", "lines"),
    [
        ({}, {"empty": "  "}),
        ({"pattern": "SN[0-9]+"}, {"empty": "", "pattern": "x"}),
        ({"pattern": "SN[0-9]+", "default": "SN1"}, {"pattern": "x"}),
        ({"type": "integer", "min": 1}, {"empty": "", "kind": "1.5", "range": "0"}),
        ({"type": "number", "max": 3, "unit": "V"}, {"empty": "", "kind": "A", "range": "4 V"}),
        ({"type": "number", "required": False}, {"kind": "x"}),
        ({"choices": ["a"]}, {"empty": ""}),
        ({"type": "boolean"}, {"empty": ""}),
        ({"type": "json", "default": None}, {}),
    ],
)
def test_a_form_checks_by_the_sentences_of_the_errors(
    keys: dict[str, Any], lines: dict[str, str]
) -> None:
    field, errors = _field(**keys), {}
    for check, line in lines.items():
        with pytest.raises(ValueError, match=r".") as caught:
            value_of_line(field, line)
        errors[check] = str(caught.value)
    assert checks_of(field) == errors


@pytest.mark.parametrize(
    ("keys", "hint"),
    [
        ({"description": "As printed."}, "As printed; text"),
        ({"required": False}, "text (may be empty)"),
        ({"type": "number", "default": 5}, "a number (empty: 5)"),
        ({"default": "é"}, "text (empty: é)"),
        ({"default": ""}, "text (may be empty)"),
        ({"pattern": "SN[0-9]+", "example": "SN12"}, "such as SN12"),
        ({"type": "number", "max": 3, "example": "2.5"}, "a number, at most 3, such as 2.5"),
        ({"default": "hunter2", "secret": True}, "text (empty: ***)"),
    ],
)
def test_the_hint_of_a_field_has_its_description_rule_and_default(
    keys: dict[str, Any], hint: str
) -> None:
    assert hint_of(_field(**keys)) == hint


def test_a_person_reads_the_label_and_the_sentence_of_a_field() -> None:
    assert sentence_of("sn", _field(), "should match SN") == "'sn' should match SN"
    field = _field(label="Serial number", error="Scan the label.")
    assert sentence_of("sn", field, "should match SN") == "Scan the label."
    assert sentence_of("sn", field, EMPTY) == "'Serial number' should not be empty"


@pytest.mark.parametrize(
    ("keys", "text", "rule"),
    [
        ({"pattern": "SN[0-9]+"}, "xSN1x", "should match SN[0-9]+"),
        ({"choices": ["red", "dark green", "blue"]}, "x", "should be red, dark green or blue"),
        ({"choices": [""]}, "x", 'should be ""'),
        ({}, "a\0b", "should have no NUL in it"),
        ({}, "\udcff", "should be text in UTF-8"),
        ({}, "x" * 100_001, "should have at most 100,000 characters"),
        ({"type": "integer"}, "3.0", "should be a whole number"),
        ({"type": "integer"}, "", "should be a whole number"),
        ({"type": "number"}, "1,5", "should be a number"),
        ({"type": "number"}, "nan", "should be a number"),
        ({"type": "number"}, "1e999", "should be a finite number"),
        ({"type": "number", "unit": "V"}, "3 A", "should be a number"),
        ({"type": "number", "min": 0, "max": 30, "unit": "V"}, "31", "should be 0 to 30 V"),
        ({"type": "integer", "min": 1}, "0", "should be at least 1"),
        ({"type": "number", "max": 2.5, "unit": "A"}, "2.6", "should be at most 2.5 A"),
        ({"type": "boolean"}, "maybe", "should be true or false, or yes or no"),
        (
            {"type": "json"},
            "[1,",
            "should be a JSON value: Expecting value (line 1, character 4)",
        ),
        ({"type": "json"}, "[NaN]", "should be a JSON value: NaN is no JSON"),
        ({"type": "json"}, "[" * 99_999, "should be a JSON value that is nested less deeply"),
    ],
)
def test_a_wrong_text_is_refused_with_the_rule(keys: dict[str, Any], text: str, rule: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        value_of_text(_field(**keys), text)
    assert str(caught.value) == rule


@pytest.mark.parametrize(
    ("keys", "value", "rule"),
    [
        ({}, 123, "should be text, not a number: put the value in quotes"),
        ({}, None, "should be text, not null"),
        ({"type": "integer"}, True, "should be a whole number, not a boolean"),
        ({"type": "integer"}, 2.5, "should be a whole number, not a number"),
        ({"type": "number"}, "3", "should be a number, not text"),
        ({"type": "number"}, float("inf"), "should be a finite number"),
        ({"type": "boolean"}, "yes", "should be true or false, not text"),
        ({"type": "boolean"}, [], "should be true or false, not a list"),
    ],
)
def test_a_json_value_of_another_type_is_refused(
    keys: dict[str, Any], value: object, rule: str
) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        value_of_json(_field(**keys), value)
    assert str(caught.value) == rule


def test_a_whole_number_may_be_written_with_a_point() -> None:
    assert json_values.same_json(value_of_json(_field(type="integer"), 3.0), 3)


def test_null_is_the_value_of_a_field_that_is_not_required() -> None:
    field = _field(type="integer", required=False)
    assert value_of_json(field, None) is None
    assert field.absent is None
    assert not field.is_required


def test_a_field_with_a_default_needs_no_value_even_if_the_default_is_null() -> None:
    field = _field(type="json", default=None)
    assert not field.is_required
    assert _field().is_required


def test_a_default_is_copied_for_each_use() -> None:
    field = _field(type="json", default=[1])
    absent: Any = field.absent
    absent.append(2)
    assert field.absent == [1]


@pytest.mark.parametrize(
    ("keys", "problems"),
    [
        ({"type": "number", "min": 0, "max": 3, "default": 2, "unit": "V"}, []),
        ({"choices": ["a", "b"], "default": "b"}, []),
        ({"min": 1}, [("min", "belongs to type integer or number, and the type is string")]),
        (
            {"type": "json", "pattern": "a"},
            [("pattern", "belongs to type string, and the type is json")],
        ),
        (
            {"type": "integer", "min": 3, "max": 1.5},
            [("max", "is less than 'min', which is 3")],
        ),
        (
            {"type": "number", "max": float("inf")},
            [("max", "should be a finite number")],
        ),
        (
            {"type": "boolean", "choices": [True]},
            [("choices", "belongs to type string, integer or number, and the type is boolean")],
        ),
        ({"choices": []}, [("choices", "should have a value in it")]),
        (
            {"type": "integer", "choices": [1, "2", 1]},
            [
                ("choices[1]", "should be a whole number, not text"),
                ("choices[2]", "1 occurs twice"),
            ],
        ),
        ({"choices": ["a"], "default": "b"}, [("default", "should be a")]),
        ({"type": "integer", "max": 3, "default": 4}, [("default", "should be at most 3")]),
    ],
)
def test_keys_of_a_field_that_contradict_each_other_are_found(
    keys: dict[str, Any], problems: list[tuple[str, str]]
) -> None:
    assert [*field_problems(_field(**keys))] == problems


@pytest.mark.parametrize(
    ("keys", "rule"),
    [
        ({}, "text"),
        ({"pattern": "A+"}, "text that matches A+"),
        ({"type": "number", "unit": "V"}, "a number in V"),
        ({"type": "number", "unit": "V", "min": 0, "max": 30}, "a number, 0 to 30 V"),
        ({"type": "boolean"}, "true or false"),
        ({"choices": ["a", "b"]}, "a or b"),
    ],
)
def test_the_rule_of_a_field_is_one_phrase(keys: dict[str, Any], rule: str) -> None:
    assert rule_of(_field(**keys)) == rule


@given(st.sampled_from(_TYPES), st.text())
def test_each_converted_text_is_a_valid_value_of_its_field(type_: str, text: str) -> None:
    field = _field(type=type_)
    try:
        value = value_of_text(field, text)
    except ValueError:
        return
    assert json_values.same_json(value_of_json(field, value), value)


@given(st.sampled_from(("integer", "number", "json")), st.integers())
def test_each_number_as_json_text_is_read_back(type_: str, number: int) -> None:
    assert value_of_text(_field(type=type_), json.dumps(number)) == number


@pytest.mark.parametrize("pattern", ["(a|aa)+b", "(a|[a])+b*", "(?:a|aa)+x?b"])
def test_a_pattern_that_backtracks_is_given_up(pattern: str) -> None:
    field = _field(pattern=pattern)

    with pytest.raises(ValueError, match="could not") as caught:
        value_of_text(field, "a" * 80 + "c")
    assert str(caught.value) == f"could not be compared with {pattern} within 2 s"
    assert value_of_text(field, "a" * 40 + "b") == "a" * 40 + "b"
    with pytest.raises(ValueError, match="should match"):
        value_of_text(field, "b" * 40)
