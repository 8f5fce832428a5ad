"""Sampled values of a recipe: their keys, and the steps that they watch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.recipe import PythonStep, ShellStep

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_orchestrator.recipe import Recipe

    Read = Callable[[str], Recipe]
    Problems = Callable[[str], list[str]]

STEPS = """
steps:
  - {name: a, type: shell, cmd: x}
  - {name: b, type: shell, cmd: x, matrix: {n: [1]}}
  - {name: c, type: shell, cmd: x}
finally:
  - {name: off, type: shell, cmd: x}
"""


def test_a_sampled_value_is_a_command_or_a_function(read: Read) -> None:
    recipe = read(
        "vars: {most: 9}\nsampling:\n"
        "  t: {cmd: 'psu ${{ vars.most }}', every: 500ms, high: '${{ vars.most }}', unit: K}\n"
        "  f: {module: m, function: g, low: -1, high: 2, abort: true, from: a, to: b}" + STEPS
    )

    one, other = recipe.samplers
    assert isinstance(one.step, ShellStep)
    assert (one.name, one.step.parse, one.step.index) == ("t", "data", 5)
    assert (one.sampling.every, one.sampling.high, one.sampling.unit) == (0.5, None, "K")
    assert [template.path for template in one.step.templates] == [("cmd",)]
    assert [template.path for template in one.sampling.templates] == [("high",)]
    assert isinstance(other.step, PythonStep)
    assert (other.step.module, other.step.function) == ("m", "g")
    assert (other.sampling.every, other.sampling.low, other.sampling.high) == (1.0, -1, 2)
    assert recipe.step("f") is other.step


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ("", ["a", "b", "c"]),
        ("from: b", ["b", "c"]),
        ("to: b", ["a", "b"]),
        ("from: b, to: b", ["b"]),
    ],
)
def test_a_value_watches_the_steps_between_from_and_to(
    read: Read, keys: str, names: list[str]
) -> None:
    recipe = read(f"sampling: {{t: {{cmd: x, {keys}}}}}{STEPS}")

    assert [step.name for step in recipe.samplers[0].watched(recipe.steps)] == names


ENTRY = "sampling: {{t: {{{}}}}}"


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (
            "sampling: 7",
            [
                (
                    "1:11 'sampling' is a number, should be a mapping (write sampling: "
                    '{case: {cmd: "psu measure --temperature", every: 1s, high: 85}})'
                )
            ],
        ),
        (
            "sampling: {t: psu temperature}",
            [
                (
                    "1:15 'sampling.t' is text, should be a mapping (write t: "
                    '{cmd: "psu measure --temperature", every: 1s, high: 85})'
                )
            ],
        ),
        (
            "sampling: {1st: {cmd: x}}",
            [
                (
                    "1:12 'sampling' has the key '1st', should be letters, digits, _ and -, "
                    "beginning with a letter or _"
                )
            ],
        ),
        (
            "sampling: {off: {cmd: x}}",
            [
                (
                    "1:12 'sampling' has the key 'off', and a step has that name, too (call one of "
                    "them by another name)"
                )
            ],
        ),
        (
            ENTRY.format("cmd: x, evry: 1s"),
            ["1:24 unknown key 'evry' in 'sampling.t' (did you mean 'every'?)"],
        ),
        (
            ENTRY.format("every: 1s"),
            [
                (
                    "1:15 'sampling.t' is missing 'cmd' (or 'module' and 'function', or "
                    "'instrument' and 'query')"
                )
            ],
        ),
        (ENTRY.format("module: m"), ["1:15 'sampling.t' is missing 'function'"]),
        (ENTRY.format("function: m"), ["1:15 'sampling.t' is missing 'module'"]),
        (
            ENTRY.format("cmd: x, module: m"),
            ["1:24 'sampling.t.module' beside 'cmd' (give one of them)"],
        ),
        (
            ENTRY.format("cmd: x, every: 1ms"),
            ["1:31 'sampling.t.every' is '1ms', should be 10 ms to a day"],
        ),
        (
            ENTRY.format("cmd: x, every: -1"),
            ["1:31 'sampling.t.every' is -1, should be 10 ms to a day"],
        ),
        (
            ENTRY.format("every: 0s, low: 3, high: 1, from: zz"),
            [
                (
                    "1:15 'sampling.t' is missing 'cmd' (or 'module' and 'function', or "
                    "'instrument' and 'query')"
                ),
                "1:23 'sampling.t.every' is '0s', should be 10 ms to a day",
                "1:32 'sampling.t.low' is above 'high'",
                "1:50 'sampling.t.from' is 'zz', which is no step of this recipe",
            ],
        ),
        (
            ENTRY.format("cmd: x, every: often"),
            [
                (
                    "1:31 'sampling.t.every' is 'often', should be seconds, or a text such as "
                    "500ms, 30s, 2m or 1h"
                )
            ],
        ),
        (
            ENTRY.format("cmd: x, low: 3, high: 2"),
            ["1:29 'sampling.t.low' is above 'high'"],
        ),
        (
            ENTRY.format("cmd: x, abort: true"),
            ["1:31 'sampling.t.abort' needs a limit (low: or high:)"],
        ),
        (
            ENTRY.format("cmd: x, from: aa"),
            [
                (
                    "1:30 'sampling.t.from' is 'aa', which is no step of this recipe (did you mean "
                    "'a'?)"
                )
            ],
        ),
        (
            ENTRY.format("cmd: x, to: off"),
            [
                (
                    "1:28 'sampling.t.to' is 'off', which stands in 'finally' (only ordinary steps "
                    "are watched)"
                )
            ],
        ),
        (
            ENTRY.format("cmd: x, from: c, to: a"),
            ["1:30 'sampling.t.from' runs after 'to', so no step is watched"],
        ),
        (
            ENTRY.format("cmd: 'x ${{ ctx.a }}'"),
            [
                (
                    "1:21 'ctx' cannot be used here "
                    "(there is env, matrix, recipe, run, vars; an input is vars.NAME)"
                )
            ],
        ),
        (
            ENTRY.format("cmd: 'x ${{ vars.a }}'"),
            ["1:21 no var 'a' (the file declares no vars; write vars: {a: VALUE})"],
        ),
        (
            "vars: {a: 1}\nsampling: {t: {cmd: \"x '${{ vars.a }}'\"}}",
            [
                (
                    "2:21 an expression in 'sampling.t' is within single quotes, where the shell "
                    'replaces nothing: use double quotes: "${{ vars.a }}"'
                )
            ],
        ),
        (
            ENTRY.format("cmd: x, unit: '${{ vars.a }}'"),
            ["1:30 an expression cannot stand here (write the value itself; $${{ is plain text)"],
        ),
    ],
)
def test_a_wrong_sampled_value_is_an_error_with_its_place(
    problems: Problems, text: str, messages: list[str]
) -> None:
    assert problems(text + STEPS) == messages


def test_a_used_file_has_no_sampling(problems: Problems, read: Read) -> None:
    path = read(STEPS).path.parent / "_u.yaml"
    path.write_text("sampling: {t: {cmd: x}}\nsteps: [{name: i, type: shell, cmd: x}]")

    assert problems("steps: [{name: u, use: recipes/_u.yaml}]") == [
        "1:24 recipes/_u.yaml has 'sampling', which a file that is used cannot have"
    ]
