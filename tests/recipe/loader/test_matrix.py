"""Cells of a matrix: their values, order and ids."""

from collections.abc import Callable
from typing import Any

import pytest

from pytest_orchestrator.recipe import Recipe, cells
from pytest_orchestrator.recipe.expressions.expression import ExpressionError
from pytest_orchestrator.recipe.model.recipe import node_of

Read = Callable[[str], Recipe]
Problems = Callable[[str], list[str]]

SHOULD = "should be letters, digits and _, beginning with a letter or _"
STEPS = "\nsteps: [{name: a, type: shell, cmd: x}]\n"


def names(read: Read, matrix: str, **values: Any) -> list[str]:
    required = f"required: [{', '.join(values)}]\n" if values else ""
    found = cells(read(f"{required}matrix: {matrix}{STEPS}"), {"vars": values, "env": {}})
    return [recipe.cell.id for recipe in found if recipe.cell]


def test_a_recipe_without_a_matrix_is_its_only_cell(read: Read) -> None:
    recipe = read(STEPS)
    assert cells(recipe, {}) == [recipe]


@pytest.mark.parametrize(
    ("matrix", "ids"),
    [
        ("{g: [1, 2], l: [a, b]}", ["g:1,l:a", "g:1,l:b", "g:2,l:a", "g:2,l:b"]),
        ("{g: [1.5, true, null, 'a b/c']}", ["g:1.5", "g:true", "g:null", "g:a_b_c"]),
        ("{g: [{a: 1}, [2], x]}", ["g:0", "g:1", "g:x"]),
        ("{g: ['a b', a_b, c]}", ["g:0", "g:1", "g:c"]),
        ("{g: [1, 1]}", ["g:0", "g:1"]),
        ("{l: [x, y, x]}", ["l:0", "l:y", "l:2"]),
        ("{l: [x, 2, x, x]}", ["l:0", "l:2", "l:2-2", "l:3"]),
        ("{l: [[1], y, [1]]}", ["l:0", "l:y", "l:2"]),
        ("{g: [1, 2], l: [x, x]}", ["g:1,l:0", "g:1,l:1", "g:2,l:0", "g:2,l:1"]),
        ("{l: [x, y, x], exclude: [{l: y}]}", ["l:0", "l:2"]),
        ("{l: [x, y, x], include: [{l: x, z: 1}]}", ["l:0,z:1", "l:y", "l:2,z:1"]),
        ("{include: [{g: 1}, {g: 1}, {g: '1-2'}]}", ["g:1", "g:1-2", "g:1-2-2"]),
        ("{include: [{g: '1-2'}, {g: 1}, {g: 1}]}", ["g:1-2", "g:1", "g:1-3"]),
        ("{g: [1, 2], exclude: [{g: 1}]}", ["g:2"]),
        ("{g: [1, 2], l: [a], exclude: [{g: 1, l: a}]}", ["g:2,l:a"]),
        ("{include: [{g: 1}, {g: 2, l: x}]}", ["g:1", "g:2,l:x"]),
        ("{g: [1, 2], include: [{l: x}]}", ["g:1,l:x", "g:2,l:x"]),
        ("{g: [1, 2], include: [{g: 2, l: x}]}", ["g:1", "g:2,l:x"]),
        ("{g: [1], include: [{g: 3}]}", ["g:1", "g:3"]),
        ("{g: '${{ vars.all }}'}", ["g:7", "g:8"]),
        ("{g: [1, '${{ vars.all[0] }}']}", ["g:1", "g:7"]),
        ("{g: [é]}", ["g:é"]),
    ],
)
def test_the_id_of_a_cell_has_its_values(read: Read, matrix: str, ids: list[str]) -> None:
    assert names(read, matrix, all=[7, 8]) == ids


def test_a_cell_is_a_recipe_with_its_own_context(read: Read) -> None:
    recipe = cells(read("matrix: {g: [1, 2]}" + STEPS), {"vars": {}, "env": {}})[1]

    assert recipe.cell is not None
    assert recipe.cell.values == {"g": 2}
    assert (recipe.key, recipe.node("a")) == ("recipes/x.yaml[g:2]", "recipes/x.yaml::a[g:2]")
    assert node_of(recipe.key, "a") == recipe.node("a")
    assert recipe.context == "recipe"


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ("{}", "1:9 'matrix' is empty: no step would run"),
        ("{g: []}", "1:13 'matrix.g' is empty: no step would run"),
        ("{g: 1}", "1:13 'matrix.g' is a number, should be a list (write [1])"),
        (
            "{g-h: [1]}",
            f"1:10 'matrix' has the key 'g-h', {SHOULD}",
        ),
        ("{g: [1], include: [x]}", "1:28 'matrix.include[0]' is text, should be a mapping"),
        ("[1]", "1:9 'matrix' is a list, should be a mapping (write matrix: {gain: [1, 2]})"),
        (
            "{g: ['${{ matrix.g }}']}",
            ("1:14 'matrix' cannot be used here (there is env, vars; an input is vars.NAME)"),
        ),
        (
            "{g: ['${{ ctx.x }}']}",
            ("1:14 'ctx' cannot be used here (there is env, vars; an input is vars.NAME)"),
        ),
    ],
)
def test_problems_of_a_matrix_are_reported(problems: Problems, matrix: str, message: str) -> None:
    assert problems(f"matrix: {matrix}{STEPS}") == [message]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ("{g: '${{ vars.one }}'}", "matrix.g is no list"),
        ("{g: '${{ vars.none }}'}", "matrix.g is empty: no step would run"),
        (
            "{g: '${{ vars.many }}', h: '${{ vars.many }}'}",
            "the matrix has 10,000 cells; 1,000 are the most",
        ),
        ("{g: [1], exclude: [{g: 1}]}", "the matrix has no cell: no step would run"),
        ("{g: [1], exclude: [{h: 1}]}", "matrix.exclude names 'h', which the matrix does not have"),
    ],
)
def test_problems_of_matrix_values_are_reported(read: Read, matrix: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        names(read, matrix, one=1, none=[], many=list(range(100)))

    assert str(caught.value) == message
    assert caught.value.place is not None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "[range(100000) | map('center', 100000000) | map('length') | sum]",
            "still evaluating after 2 s",
        ),
        (
            "['%3000000000s' | format(1)]",
            "it needs too much memory",
        ),
        ("range(100000) | reject('in', vars.many) | list", "still evaluating after 2 s"),
    ],
)
def test_a_matrix_has_a_time_limit_of_two_seconds_and_a_memory_limit(
    read: Read, value: str, message: str
) -> None:
    many = list(range(100_000))
    with pytest.raises(ExpressionError) as caught:
        names(read, f'{{g: "${{{{ {value} }}}}"}}', many=many)

    assert str(caught.value).endswith(f"`: {message}")
    assert caught.value.place is not None
    assert caught.value.place.column == 13
