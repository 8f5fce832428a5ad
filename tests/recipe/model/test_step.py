"""Facts about a step that are known before it runs."""

from collections.abc import Callable

import pytest

from pytest_orchestrator.recipe import Recipe

Read = Callable[[str], Recipe]

STEP = "steps:\n  - {name: a, type: shell, cmd: x, %s}\n"


@pytest.mark.parametrize(
    "keys",
    [
        'args: {V: "${{ ctx.v }}"}',
        'stdin: "${{ ctx.v }}"',
        'locks: ["${{ ctx.v }}"]',
        'artifacts: ["${{ ctx.v }}.csv"]',
        "if: ctx.v",
        "foreach: ctx.v",
        "foreach: [1]",
        "retry: {attempts: 2, until: ctx.v}",
        "retry: {attempts: 2, abort_if: ctx.v}",
        "outputs: {k_v1: 1}",
        "measurements: {m: {value: result.v, high: 1}}",
        "success: {assert: [result.v]}",
        "success: {ctx_has_keys: [k_v1]}",
        "success: {exit_code: 1}",
        "success: {max_seconds: 1}",
    ],
)
def test_a_step_with_a_check_or_an_expression_reads_variables(read: Read, keys: str) -> None:
    assert read(STEP % keys).step("a").reads_variables


def test_a_command_line_with_an_expression_reads_variables(read: Read) -> None:
    recipe = read('steps:\n  - {name: a, type: shell, cmd: "echo ${{ ctx.v }}"}\n')
    assert recipe.step("a").reads_variables


@pytest.mark.parametrize(
    "keys",
    [
        "timeout: 1s",
        "args: {V: 1}, stdin: text, cwd: d",
        "locks: [l], tags: [t], continue_on_error: true",
        "artifacts: ['*.csv']",
    ],
)
def test_a_step_without_checks_and_expressions_reads_no_variables(read: Read, keys: str) -> None:
    assert not read(STEP % keys).step("a").reads_variables
