"""Functions on the outcome of the recipe, such as `failed()`: the places where they may stand."""

from collections.abc import Callable

import pytest

from pytest_orchestrator.recipe import Recipe

Problems = Callable[[str], list[str]]
Read = Callable[[str], Recipe]


def text(keys: str, final: str = "if: passed()") -> str:
    return (
        "steps:\n"
        "  - {name: a, type: shell, cmd: x}\n"
        f"  - {{name: b, type: shell, cmd: x, {keys}}}\n"
        f"finally: [{{name: off, type: shell, cmd: x, {final}}}]\n"
    )


@pytest.mark.parametrize(
    ("keys", "final"),
    [
        ("if: passed()", "if: failed() or interrupted()"),
        ("if: not failed(), after: [a]", 'args: {A: "${{ recipe.outcome }}"}'),
        ("if: failed(), needs: [a]", 'args: {A: "${{ failed() }}"}'),
        ("if: interrupted(), needs: [], after: [a]", "success: {assert: [passed()]}"),
    ],
)
def test_outcomes_may_be_read_in_if_and_in_finally(read: Read, keys: str, final: str) -> None:
    assert read(text(keys, final)).final


NO = "'if' in shell step 'b' is no expression:"
CALLED = "is known only in 'if' and in 'finally' in step 'b'"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            "if: failed()",
            "3:40 step 'b' reads failed(), and runs only if 'a' has passed (after: [a])",
        ),
        (
            "if: not interrupted()",
            "3:40 step 'b' reads interrupted(), and runs only if 'a' has passed (after: [a])",
        ),
        (
            "if: failed(), needs: []",
            "3:40 step 'b' reads failed(), and waits for no step (after: [x])",
        ),
        (
            "if: failed(), needs: [], after: []",
            "3:40 step 'b' reads failed(), and waits for no step (after: [x])",
        ),
        (
            "if: not passed()",
            "3:40 step 'b' reads passed(), and runs only if 'a' has passed (after: [a])",
        ),
        (
            "if: 'matrix.v or not(passed())', matrix: {v: [1]}, needs: []",
            "3:40 step 'b' reads passed(), and waits for no step (after: [x])",
        ),
        (
            "if: failed, after: [a]",
            f"3:40 {NO} 'failed' is a function (write `failed()`)",
        ),
        (
            "if: failed('a'), after: [a]",
            f"3:40 {NO} failed() takes no arguments",
        ),
        ('args: {A: "${{ failed() }}"}', f"3:46 failed() {CALLED}"),
        ("success: {assert: [passed()]}", f"3:55 passed() {CALLED}"),
        (
            "if: recipe.outcome == 'failed'",
            "3:40 recipe.outcome is known only in 'finally' in step 'b' (write steps.x.outcome)",
        ),
    ],
)
def test_outcomes_that_cannot_be_known_are_reported(
    problems: Problems, keys: str, message: str
) -> None:
    assert problems(text(keys)) == [message]


def test_outcomes_cannot_be_read_at_the_root_or_by_the_first_step(problems: Problems) -> None:
    steps = "steps: [{name: a, type: shell, cmd: x, if: failed()}]\n"
    assert problems(f"vars: {{a: '${{{{ failed() }}}}'}}\n{steps}") == [
        (
            "1:11 'failed' cannot be used here "
            "(there is env, matrix, recipe, run, vars; an input is vars.NAME)"
        ),
        "2:44 step 'a' reads failed(), and waits for no step (after: [x])",
    ]
    assert problems(f"test_meta: {{a: '${{{{ recipe.outcome }}}}'}}\n{text('')}") == [
        "1:16 no 'outcome' in 'recipe'; there is name, path, dir"
    ]
