"""Typed outputs: texts from the output of a step, converted to the type of the output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.recipe.model.options import Search

if TYPE_CHECKING:
    from tests.execution.conftest import Bench


def search(kind: str, **keys: Any) -> dict[str, Any]:
    return {"from": "stdout", "regex": "v=(.*)", "type": kind, **keys}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("text", "007", "007"),
        ("integer", "-007", -7),
        ("number", "1.5e3", 1500.0),
        ("number", "12", 12),
        ("boolean", "True", True),
        ("json", '{"a": [1, null]}', {"a": [1, None]}),
    ],
)
def test_an_output_has_its_type(bench: Bench, kind: str, text: str, value: object) -> None:
    step = bench.shell_step(f"echo 'v={text} '", parse="text", outputs={"o": search(kind)})
    result = bench.result(step)

    assert result.outcome == "passed"
    found = bench.context.get("o")
    assert (found, type(found)) == (value if kind != "text" else f"{value} ", type(value))


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        ("integer", "1.5", "outputs.o: '1.5' in stdout should be a whole number"),
        ("number", "nan", "outputs.o: 'nan' in stdout should be a number"),
        ("number", "1,5", "outputs.o: '1,5' in stdout should be a number"),
        ("boolean", "x", "outputs.o: 'x' in stdout should be true or false, or yes or no"),
        (
            "json",
            "{a}",
            (
                "outputs.o: '{a}' in stdout should be a JSON value: Expecting property name "
                "enclosed in double quotes (line 1, character 2)"
            ),
        ),
    ],
)
def test_a_text_that_is_not_of_the_type_fails_the_step(
    bench: Bench, kind: str, text: str, reason: str
) -> None:
    outputs = {"early": 1, "o": search(kind, default=None)}
    step = bench.shell_step(f"echo 'v={text}'", parse="text", outputs=outputs)
    result = bench.result(step)

    assert result.failure is not None
    assert (result.failure.kind, result.failure.reason) == ("criterion", reason)
    output = step.outputs[1].value
    assert isinstance(output, Search)
    assert result.failure.place == output.at["type"]
    assert "early" not in bench.context


def test_the_default_stands_for_no_match_and_for_an_empty_group(bench: Bench) -> None:
    bench.context.set("five", 5)
    outputs = {
        "none": search("integer", default=None),
        "five": search("integer", default="${{ ctx.five }}"),
        "group": {"from": "stdout", "regex": "x(y)?", "type": "integer", "default": 7},
        "text": {"from": "stdout", "regex": "x(y)?"},
    }
    result = bench.result(bench.shell_step("echo x", parse="text", outputs=outputs))

    assert result.outcome == "passed"
    values = {key: bench.context.get(key) for key in outputs}
    assert values == {"none": None, "five": 5, "group": 7, "text": None}


def test_a_group_without_text_and_without_default_fails_a_typed_output(bench: Bench) -> None:
    outputs = {"o": {"from": "stdout", "regex": "x(y)?", "type": "integer"}}
    result = bench.result(bench.shell_step("echo x", parse="text", outputs=outputs))

    assert result.failure is not None
    assert result.failure.reason == "outputs.o: no text in the group of 'x(y)?'"


def test_the_default_of_an_expression_is_checked_when_it_is_known(bench: Bench) -> None:
    bench.context.set("five", "5")
    outputs = {"o": search("integer", default="${{ ctx.five }}")}
    result = bench.result(bench.shell_step("echo x", parse="text", outputs=outputs))

    assert result.failure is not None
    assert (result.failure.kind, result.failure.reason) == (
        "validation",
        "'outputs.o.default' should be a whole number, not text",
    )
