"""The keys `foreach` and `fail_fast` of a step, and the names of the current element."""

from collections.abc import Callable

import pytest

from pytest_orchestrator.recipe import Recipe, RecipeError
from pytest_orchestrator.recipe.expressions.expression import Expression

Read = Callable[[str], Recipe]
Problems = Callable[[str], list[str]]

STEP = "steps:\n  - {name: a, type: shell, cmd: x, %s}\n"
LONG = ", ".join("0" for _ in range(10_001))


def test_foreach_is_an_expression_or_a_list(read: Read) -> None:
    by_expression = read(STEP % "foreach: ctx.points, fail_fast: true").step("a")
    assert isinstance(by_expression.foreach, Expression)
    assert by_expression.foreach.text == "ctx.points"
    assert by_expression.fail_fast
    in_marks = read(STEP % 'foreach: "${{ ctx.points }}"').step("a")
    assert isinstance(in_marks.foreach, Expression)
    assert in_marks.foreach.text == "ctx.points"
    literal = read("vars: {x: 1}\n" + STEP % 'foreach: [1, {a: [2]}, null, "${{ vars.x }}"]')
    assert literal.step("a").foreach == (1, {"a": [2]}, None, "${{ vars.x }}")


@pytest.mark.parametrize(
    "keys",
    [
        'args: {V: "${{ item }}"}',
        'cwd: "d${{ index }}"',
        "retry: {attempts: 2, until: item > 1, abort_if: index == 3}",
        'outputs: {k_v1: "${{ item }}", j_v1: {from: stdout, regex: "${{ index }} (.*)"}}',
        'measurements: {m: {value: item, high: "${{ index }}"}}',
        'success: {assert: [result.v == item], files: [{path: "${{ index }}.csv"}]}',
        'success: {result_schema: {maximum: "${{ item }}"}}',
        'artifacts: ["${{ index }}.csv"]',
        "stdin: '${{ item }}'",
    ],
)
def test_expressions_that_each_element_evaluates_read_the_element(read: Read, keys: str) -> None:
    assert read(STEP % f"foreach: ctx.points, {keys}").steps


ONCE = "cannot be used here: `if`, `locks` and `foreach` are evaluated once for all elements"
WRONG = {
    "foreach: 5": (
        "2:45 'foreach' in shell step 'a' is a number, "
        "should be an expression that gives a list, or a list"
    ),
    "foreach: true": (
        "2:45 'foreach' in shell step 'a' is a boolean, "
        "should be an expression that gives a list, or a list"
    ),
    **{
        f"foreach: {word}": (
            "2:45 'foreach' in shell step 'a' is null, "
            "should be an expression that gives a list, or a list"
        )
        for word in ("null", "~")
    },
    "foreach: {a: 1}": (
        "2:45 'foreach' in shell step 'a' is a mapping, should be an expression, or a list"
    ),
    'foreach: ""': "2:45 'foreach' in shell step 'a' is empty, should be an expression",
    "foreach: 'ctx.a +'": ("2:45 'foreach' in shell step 'a' is no expression: unexpected 'end'"),
    "foreach: result.x": (
        "2:45 'result' in shell step 'a' is known only after the step code has run"
    ),
    f"foreach: [{LONG}]": (
        "2:45 'foreach' in shell step 'a' is a list, "
        "should have at most 10,000 elements, and has 10,001"
    ),
    'foreach: [1, "${{ item }}"]': f"2:49 'item' in shell step 'a' {ONCE}",
    "foreach: ctx.points, if: item > 2": f"2:61 'item' in shell step 'a' {ONCE}",
    'foreach: ctx.points, locks: ["psu_${{ index }}"]': f"2:65 'index' in shell step 'a' {ONCE}",
    'args: {V: "${{ item }}"}': (
        "2:46 'item' in shell step 'a' is known only in a step with `foreach`"
    ),
    "if: index == 1": "2:40 'index' in shell step 'a' is known only in a step with `foreach`",
    "foreach: ctx.points, background: true": (
        "2:36 'foreach' in shell step 'a' stands beside 'background': a service is started once "
        "(leave one of them out)"
    ),
    "fail_fast: true": (
        "2:36 'fail_fast' in shell step 'a' stands without 'foreach' "
        "(it ends the loop over the elements of a list)"
    ),
    "foreach: [1], fail_fast: 3": (
        "2:61 'fail_fast' in shell step 'a' is a number, should be true or false"
    ),
}


@pytest.mark.parametrize("keys", WRONG, ids=lambda keys: keys[:40])
def test_a_wrong_loop_is_a_problem_with_its_place(problems: Problems, keys: str) -> None:
    assert problems(STEP % keys) == [WRONG[keys]]


def test_an_unknown_list_names_what_an_expression_may_read(problems: Problems) -> None:
    (problem,) = problems(STEP % "foreach: points")
    assert problem.startswith(
        "2:45 unknown name 'points' in shell step 'a' (there is attempt, ctx, env"
    )


def test_a_step_that_uses_a_file_has_no_loop(read: Read) -> None:
    with pytest.raises(RecipeError) as caught:
        read("steps:\n  - {name: a, use: recipes/x.yaml, foreach: [1]}\n")
    assert "'foreach' belongs to the steps of the file that is used, in use step 'a'" in [
        problem.text for problem in caught.value.problems
    ]
