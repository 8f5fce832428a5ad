"""Expressions of a step are replaced by their values, and the values are checked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.recipe.expressions.expression import ExpressionError
from pytest_orchestrator.recipe.fields.readers import keys_of
from pytest_orchestrator.recipe.fields.resolve import (
    LATE,
    evaluate_step,
    vars_unknown_at_collection,
)
from pytest_orchestrator.recipe.model.step import CodeStep, ShellStep, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_orchestrator.recipe import Recipe

    Read = Callable[[str], Recipe]


def read_step(read: Read, keys: dict[str, Any], root: str = "required: [x]") -> Step:
    given = {"name": "s", "type": "shell", "cmd": "a"} | keys
    return read(f"{root}\nsteps: [{json.dumps(given)}]\n").steps[0]


def value(read: Read, keys: dict[str, Any], x: Any, *, late: bool = False) -> Any:
    step = evaluate_step(read_step(read, keys), {"vars": {"x": x}}, late=late)
    return getattr(step, next(iter(keys)))


@pytest.mark.parametrize(
    ("keys", "x", "wanted"),
    [
        ({"timeout": "${{ vars.x }}"}, 3, 3.0),
        ({"timeout": "${{ vars.x }}s"}, 3, 3.0),
        ({"timeout": "${{ vars.x }}"}, "500ms", 0.5),
        ({"cwd": "out/${{ vars.x }}"}, 1, "out/1"),
        ({"locks": "${{ vars.x }}"}, ["a", "b"], ("a", "b")),
        ({"locks": ["p", "${{ vars.x }}"]}, "q", ("p", "q")),
        ({"stdin": {"a": ["${{ vars.x }}"]}}, {"b": 1}, {"a": [{"b": 1}]}),
        ({"args": {"A": "${{ vars.x }}"}}, None, {"A": None}),
        ({"args": "${{ vars.x }}"}, {"A": 1}, {"A": 1}),
        ({"cmd": "a ${{ vars.x }} b"}, "c d", ("a", "c d", "b")),
        ({"cmd": ["a", "<${{ vars.x }}>"]}, [1], ("a", "<[1]>")),
        ({"cmd": "${{ vars.x }}"}, ["a", 1], ("a", "1")),
        ({"cmd": "${{ vars.x }}\n"}, ["a"], ("a",)),
    ],
)
def test_a_value_replaces_its_expression(
    read: Read, keys: dict[str, Any], x: Any, wanted: Any
) -> None:
    found = value(read, keys, x)

    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize("order", [["cmd", "args"], ["args", "cmd"]])
@pytest.mark.parametrize("args", ["${{ vars.x }}", {"A": "${{ vars.x.A }}"}])
def test_variables_of_a_command_line_are_merged_into_args(
    read: Read, order: list[str], args: Any
) -> None:
    keys = {"cmd": 'echo "${{ vars.x.A }}"', "args": args}
    step = evaluate_step(
        read_step(read, {key: keys[key] for key in order}), {"vars": {"x": {"A": 7}}}
    )

    assert isinstance(step, ShellStep)
    assert step.args == {"A": 7, "RECIPE_VALUE_1": "7"}
    assert step.cmd == 'echo "${RECIPE_VALUE_1}"'
    assert step.templates == ()


LIST = "'cmd' is a list, which "
WHOLE = "the whole command line is an expression that gives no list"


@pytest.mark.parametrize(
    ("keys", "x", "message"),
    [
        ({"timeout": "${{ vars.x }}"}, "soon", "'timeout' is 'soon', should be seconds, or a text"),
        ({"timeout": "${{ vars.x }}"}, [1], "'timeout' is a list, should be "),
        ({"timeout": "${{ vars.x }}"}, 0, "'timeout' is 0, should be more than 0 seconds"),
        ({"locks": "${{ vars.x }}"}, "a", "'locks' is 'a', should be a list"),
        ({"locks": ["${{ vars.x }}"]}, "", "'locks[0]' is '', should not be empty"),
        ({"args": {"A": "${{ vars.x }}"}}, "\0", "'args.A' is '\\x00', which has a NUL in it"),
        ({"args": "${{ vars.x }}"}, {"a b": 1}, "'args' has the key 'a b', should be the name of"),
        ({"args": "${{ vars.x }}", "cmd": 'echo "${{ vars.x }}"'}, [1], "'args' is a list, should"),
        ({"cwd": "${{ vars.x }}"}, 1, "'cwd' is 1, should be text"),
        ({"cmd": "${{ vars.x }}"}, "rm -rf", WHOLE),
        ({"cmd": "${{ vars.x }}\n"}, "rm -rf", WHOLE),
        ({"cmd": "${{ vars.x }}"}, [], f"{LIST}should begin with a program"),
        ({"cmd": "${{ vars.x }} a"}, " ", f"{LIST}should begin with a program"),
        ({"cmd": ["a", "${{ vars.x }}"]}, "\0", "`vars.x`: a value with a NUL in it"),
    ],
)
def test_a_value_that_its_key_does_not_accept_is_reported_with_its_place(
    read: Read, keys: dict[str, Any], x: Any, message: str
) -> None:
    with pytest.raises(ExpressionError) as caught:
        value(read, keys, x)

    assert str(caught.value).startswith(message)
    assert caught.value.place is not None


_TEXTS = sorted(
    name
    for model in (Step, ShellStep, CodeStep)
    for name, key in keys_of(model).items()
    if key.names and key.reader and key.reader.item and key.reader.item.expected == "text"
)
"""The keys that are lists of texts and allow expressions in them."""


@pytest.mark.parametrize("key", sorted({*_TEXTS} - {"cmd"}))
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (["b"], "is a list, should be text (write the expression in the place of the list)"),
        ({"b": 1}, "is a mapping, should be text"),
        (5, "is 5, should be text"),
        (None, "is null, should be text"),
        ("", "is '', should not be empty"),
    ],
)
def test_an_item_of_a_list_of_texts_must_be_text(
    read: Read, key: str, x: Any, message: str
) -> None:
    keys = {key: ["${{ 'a' }}", "${{ vars.x }}"]}
    with pytest.raises(ExpressionError) as caught:
        value(read, keys, x, late=key in LATE)

    assert str(caught.value) == f"'{key}[1]' {message}"
    assert caught.value.place is not None
    line = json.dumps({"name": "s", "type": "shell", "cmd": "a"} | keys)
    column = len("steps: [") + line.index('"${{ vars.x')
    assert (caught.value.place.line, caught.value.place.column) == (2, column + 1)


def test_the_tested_lists_of_texts_are_all_that_exist() -> None:
    assert {*_TEXTS} == {"artifacts", "cmd", "locks"}


def test_late_expressions_are_evaluated_after_the_step_code(read: Read) -> None:
    keys = {"outputs": {"a": "${{ result.y }}"}, "stdin": "${{ vars.x }}"}
    before = evaluate_step(read_step(read, keys), {"vars": {"x": 1}})
    after = evaluate_step(before, {"result": {"y": [2]}}, late=True)

    assert (before.stdin, before.outputs[0].value) == (1, "${{ result.y }}")  # type: ignore[attr-defined]
    assert (after.outputs[0].value, after.templates) == ([2], ())


def test_resolving_does_not_change_the_original_step(read: Read) -> None:
    step = read_step(read, {"stdin": {"a": "${{ vars.x }}"}})
    evaluate_step(step, {"vars": {"x": 1}})

    assert step.stdin == {"a": "${{ vars.x }}"}  # type: ignore[attr-defined]


def test_vars_without_a_value_at_collection_are_found(read: Read) -> None:
    recipe = read(
        "vars: {a: 1, b: '${{ matrix.g }}', c: ['${{ vars.b }}'], d: '${{ run.id }}', "
        "e: '${{ vars.a }}'}\nmatrix: {g: [1]}\nsteps: [{name: a, type: shell, cmd: x}]\n"
    )

    assert vars_unknown_at_collection(recipe.templates) == {
        "b": "matrix",
        "c": "matrix",
        "d": "run",
    }
