"""Outputs in the loader: expressions without braces, and defaults of another type."""

from collections.abc import Callable

import pytest

from pytest_orchestrator.recipe import Recipe

Problems = Callable[[str | bytes], list[str]]
Read = Callable[[str | bytes], Recipe]

HEAD = "steps:\n- name: a\n  type: shell\n  cmd: x\n  outputs:\n    k: "
STEP = "in shell step 'a'"


def reads_as(text: str, cure: str, column: int = 8) -> str:
    is_text = f"is the text '{text}', which reads as an expression"
    return f"6:{column} 'outputs.k' {STEP} {is_text} ({cure})"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "result.serial",
            reads_as(
                "result.serial",
                "write ${{ result.serial }}, or ${{ 'result.serial' }} for this text",
            ),
        ),
        (
            "ctx.dut.serial_v1",
            reads_as(
                "ctx.dut.serial_v1",
                "write ${{ ctx.dut.serial_v1 }}, or ${{ 'ctx.dut.serial_v1' }} for this text",
            ),
        ),
        (
            "stdout | trim",
            reads_as(
                "stdout | trim",
                "write ${{ stdout | trim }}, or ${{ 'stdout | trim' }} for this text",
            ),
        ),
        (
            "exit_code",
            reads_as("exit_code", "write ${{ exit_code }}, or ${{ 'exit_code' }} for this text"),
        ),
        (
            "\"result['serial']\"",
            (
                f"6:8 'outputs.k' {STEP} is the text \"result['serial']\", "
                "which reads as an expression (write ${{ result['serial'] }})"
            ),
        ),
        (
            "{b: [1, result.x]}",
            reads_as("result.x", "write ${{ result.x }}, or ${{ 'result.x' }} for this text", 16),
        ),
        (
            "{from: stdout, regex: x, default: result.x}",
            (
                f"6:42 'outputs.k.default' {STEP} is the text 'result.x', which reads as an "
                "expression (write ${{ result.x }}, or ${{ 'result.x' }} for this text)"
            ),
        ),
        (
            "{from: stdout, regex: x, type: integer, default: none}",
            f"6:57 'outputs.k.default' {STEP} should be a whole number, not text",
        ),
        (
            "{from: stdout, regex: x, type: float}",
            (
                f"6:39 'outputs.k.type' {STEP} is 'float', "
                "should be 'text', 'integer', 'number', 'boolean' or 'json' "
                "(did you mean 'number'?)"
            ),
        ),
    ],
)
def test_an_output_that_is_wrong_is_refused(value: str, message: str, problems: Problems) -> None:
    assert problems(f"{HEAD}{value}\n") == [message]


@pytest.mark.parametrize(
    "value",
    [
        "vars",
        "env and more",
        "vars.x is a variable",
        "item",
        "index",
        "index.html",
        "steps to take",
        "results.csv",
        "stdout of the program",
        "result. Then more",
        "context.x",
        "${{ result.x }}",
        "${{ 'result.csv' }}",
        "see result.x",
        "stdout_file",
        "{from: stdout, regex: x, type: integer, default: null}",
        "{from: stdout, regex: x, type: number, default: 5}",
        "{from: stdout, regex: x, type: boolean, default: '${{ vars.x }}'}",
    ],
)
def test_other_texts_are_accepted(value: str, read: Read) -> None:
    assert read(f"vars: {{x: 1}}\n{HEAD}{value}\n").steps[0].outputs[0].key == "k"


@pytest.mark.parametrize(
    "name",
    ["result", "ctx", "steps.x.result", "vars.q", "env.X", "matrix.x", "item", "index", "item.sn"],
)
def test_a_bare_name_of_an_expression_is_refused(name: str, problems: Problems) -> None:
    cure = f"write ${{{{ {name} }}}}, or ${{{{ '{name}' }}}} for this text"
    loop = HEAD.replace("cmd: x", "cmd: x\n  foreach: [{sn: 1}]")
    assert problems(f"{loop}{name}\n") == [reads_as(name, cure).replace("6:", "7:", 1)]
