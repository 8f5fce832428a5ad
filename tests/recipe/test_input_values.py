"""Values of inputs: conversion of texts, defaults with expressions, names read at collection."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.typed_fields import InputField
from pytest_orchestrator.recipe import Recipe
from pytest_orchestrator.recipe.expressions.expression import ExpressionError, Template, template
from pytest_orchestrator.recipe.variables import (
    ExternalValue,
    converted,
    input_values,
    missing_inputs,
    read_at_collection,
    wrong_input,
)


def _field(**keys: object) -> InputField:
    return msgspec.convert(keys, InputField)


def _option(value: Json, text: str) -> ExternalValue:
    return ExternalValue(value, "--recipe-var", text)


@pytest.mark.parametrize(
    ("keys", "given", "value"),
    [
        ({}, _option("00123", "00123"), "00123"),
        ({}, _option(123, "123"), "123"),
        ({}, _option("123", '"123"'), "123"),
        ({}, _option(1.5, "1.50"), "1.50"),
        ({}, _option(None, "null"), "null"),
        ({"type": "integer"}, _option(123, "123"), 123),
        ({"type": "number", "unit": "V"}, _option("3 V", "3 V"), 3),
        ({"type": "boolean"}, _option("yes", "yes"), True),
        ({"type": "json"}, _option([1], "[1]"), [1]),
        ({"type": "integer"}, ExternalValue(5, "station.yaml"), 5),
    ],
)
def test_a_value_from_outside_is_converted_to_the_type_of_the_input(
    keys: dict[str, object], given: ExternalValue, value: object
) -> None:
    found = converted(_field(**keys), given)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("keys", "given", "sentence"),
    [
        (
            {"type": "integer"},
            _option("1x", "1x"),
            "input 'n' is '1x', should be a whole number",
        ),
        (
            {},
            ExternalValue(5, "a.yaml"),
            "input 'n' is 5, should be text, not a number: put the value in quotes",
        ),
        ({"pattern": "SN.*"}, _option(1, "1"), "input 'n' is '1', should match SN.*"),
        (
            {"pattern": "SN.*", "secret": True},
            _option(1, "1"),
            "input 'n' is ***, should match SN.*",
        ),
    ],
)
def test_a_wrong_value_is_a_sentence_with_the_rule(
    keys: dict[str, object], given: ExternalValue, sentence: str
) -> None:
    assert wrong_input("n", _field(**keys), given) == sentence


def _template(text: str, *path: str) -> Template:
    made = template(text, Place(1, 1))
    assert isinstance(made, Template)
    return msgspec.structs.replace(made, path=path)


def test_a_default_may_read_the_inputs_above_it() -> None:
    inputs = {
        "a": _field(type="integer"),
        "b": _field(type="integer", default="${{ vars.a * 2 }}"),
        "c": _field(required=False),
        "d": _field(),
        "e": _field(default="${{ env.X }}"),
    }
    templates = [
        _template("${{ vars.a * 2 }}", "inputs", "b", "default"),
        _template("${{ env.X }}", "inputs", "e", "default"),
    ]
    given = {"a": _option(3, "3")}
    names = {"env": {"X": "x"}}
    assert input_values(inputs, given, templates, names, {}) == {
        "a": 3,
        "b": 6,
        "c": None,
        "e": "x",
    }
    assert input_values(inputs, given, templates, names, {}, ["e"]) == {"a": 3, "b": 6, "c": None}
    assert list(missing_inputs(inputs, given)) == ["d"]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"a": _option("x", "x")}, "input 'a' is 'x', should be a whole number"),
        ({}, "the default of input 'a' is 'x', should be a whole number, not text"),
    ],
)
def test_a_value_that_violates_a_rule_at_run_time_is_an_error_at_the_input(
    given: dict[str, ExternalValue], reason: str
) -> None:
    inputs = {"a": _field(type="integer", default="${{ env.X }}")}
    templates = [_template("${{ env.X }}", "inputs", "a", "default")]
    with pytest.raises(ExpressionError) as caught:
        input_values(inputs, given, templates, {"env": {"X": "x"}}, {"inputs.a": Place(3, 5)})
    assert (str(caught.value), caught.value.place) == (reason, Place(3, 5))


ROOT = """
inputs: {a: {}, b: {}, c: {}}
vars: {v: "${{ vars.a }}", w: "${{ vars.v }}"}
"""
STEP = "type: shell, cmd: x"


@pytest.mark.parametrize(
    ("rest", "names"),
    [
        (f"steps: [{{name: s, {STEP}, env: {{A: '${{{{ vars.a }}}}'}}}}]", set()),
        (f"matrix: {{g: ['${{{{ env.X }}}}']}}\nsteps: [{{name: s, {STEP}}}]", set()),
        (f"matrix: {{g: ['${{{{ vars.b }}}}']}}\nsteps: [{{name: s, {STEP}}}]", {"b"}),
        (f"matrix: {{g: ['${{{{ vars[env.X] }}}}']}}\nsteps: [{{name: s, {STEP}}}]", None),
        (f"steps: [{{name: s, {STEP}, matrix: {{g: ['${{{{ vars.w }}}}']}}}}]", {"w", "v", "a"}),
        (f"steps: [{{name: s, {STEP}, outputs: {{'k.v${{{{ vars.b }}}}': 1}}}}]", {"b"}),
        ("steps: [{name: u, use: recipes/_p.yaml, with: {q: '${{ vars.c }}'}}]", {"c"}),
        (
            (
                f"steps: [{{name: s, {STEP}}}]\n"
                f"finally: [{{name: f, {STEP}, matrix: {{g: '${{{{ [vars.c] }}}}'}}}}]"
            ),
            {"c"},
        ),
    ],
)
def test_the_vars_that_are_read_at_collection_are_known(
    rest: str, names: set[str] | None, read: Callable[[str], Recipe], tmp_path: Path
) -> None:
    used = tmp_path / "recipes" / "_p.yaml"
    used.parent.mkdir()
    inner = f"{{name: i, {STEP}, outputs: {{'k.v${{{{ vars.q }}}}': 1}}}}"
    used.write_text(f"inputs: {{q: {{}}}}\nsteps: [{inner}]")
    assert read_at_collection(read(ROOT + rest)) == names
