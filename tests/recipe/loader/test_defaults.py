"""Defaults of step keys, and their problems."""

from collections.abc import Callable

import pytest

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe import PythonStep, Recipe, ShellStep
from pytest_orchestrator.recipe.model.options import Retry
from pytest_orchestrator.recipe.model.recipe import Defaults

Problems = Callable[[str | bytes], list[str]]
Read = Callable[[str | bytes], Recipe]

STEPS = """\
steps:
- {name: a, type: shell, cmd: x}
- {name: b, type: python, module: m, function: f}
finally:
- {name: c, type: shell, cmd: x}
"""


def shell(recipe: Recipe, name: str) -> ShellStep:
    step = recipe.step(name)
    assert isinstance(step, ShellStep)
    return step


def test_steps_get_defaults_for_missing_keys(read: Read) -> None:
    head = (
        "defaults: {timeout: 30s, retry: {attempts: 2}, isolation: inline, parse: text, "
        "cwd: sub, args: {A: 1}, host: bench-3}\n"
    )
    recipe = read(head + STEPS)

    for step in (*recipe.steps, *recipe.final):
        assert (step.timeout, step.retry) == (30.0, Retry(attempts=2))
        assert step.host == "bench-3"
        assert step.at["timeout"] == Place(1, 21, 3)
    for step in (shell(recipe, "a"), shell(recipe, "c")):
        assert (step.parse, step.cwd, step.args) == ("text", "sub", {"A": 1})
    python = recipe.step("b")
    assert isinstance(python, PythonStep)
    assert python.isolation == "inline"
    assert "args" not in python.at
    assert recipe.defaults == Defaults(
        timeout=30.0,
        retry=Retry(attempts=2),
        isolation="inline",
        parse="text",
        cwd="sub",
        args={"A": 1},
        host="bench-3",
    )


def test_the_keys_of_a_step_precede_defaults(read: Read) -> None:
    recipe = read(
        """\
defaults:
  {timeout: 30s, retry: {attempts: 2, delay: 1s}, parse: text, cwd: sub, args: {A: 1, B: 2}}
steps:
- {name: a, type: shell, cmd: x, timeout: 5, retry: {attempts: 3}, parse: data, cwd: top,
   args: {B: null, C: 3}}
"""
    )

    step = shell(recipe, "a")
    assert (step.timeout, step.retry, step.parse, step.cwd) == (
        5.0,
        Retry(attempts=3),
        "data",
        "top",
    )
    assert step.args == {"A": 1, "B": None, "C": 3}


def test_expressions_in_defaults_are_evaluated_for_each_step(read: Read) -> None:
    recipe = read(
        "vars: {n: 3}\ndefaults: {args: {A: '${{ vars.n }}'}, timeout: '${{ vars.n }}'}\n" + STEPS
    )

    assert [one.path for one in recipe.step("a").templates] == [("args", "A"), ("timeout",)]
    assert [one.path for one in recipe.step("b").templates] == [("timeout",)]
    assert recipe.templates == ()


def test_a_service_gets_no_default_for_isolation_and_parse(read: Read) -> None:
    recipe = read(
        "defaults: {parse: json, isolation: inline, timeout: 3}\nsteps:\n"
        "- {name: a, type: shell, cmd: x, background: true}\n"
        "- {name: b, type: python, module: m, function: f, background: true}\n"
    )

    assert (shell(recipe, "a").parse, recipe.step("b").timeout) == ("text", 3.0)


def test_an_anchor_may_hold_defaults(read: Read) -> None:
    text = "x-slow: &slow {timeout: 2m}\ndefaults: {<<: *slow, parse: text}\n" + STEPS
    assert read(text).step("b").timeout == 120.0


@pytest.mark.parametrize(
    ("given", "messages"),
    [
        ("{timeout: -3}", ["1:21 'defaults.timeout' is -3, should be more than 0 seconds"]),
        (
            "{parse: jsn}",
            [
                (
                    "1:19 'defaults.parse' is 'jsn', should be 'json', 'last-line', 'data' or "
                    "'text' (did you mean 'json'?)"
                )
            ],
        ),
        (
            "{retry: {attempt: 2}}",
            ["1:20 unknown key 'attempt' in 'defaults.retry' (did you mean 'attempts'?)"],
        ),
        (
            "{retry: 3}",
            ["1:19 'defaults.retry' is a number, should be a mapping (write retry: {attempts: 3})"],
        ),
        (
            "{args: [A]}",
            ["1:18 'defaults.args' is a list, should be a mapping (write args: {MESSAGE: Hi})"],
        ),
        (
            "{timout: 3}",
            ["1:12 unknown key 'timout' in 'defaults' (did you mean 'timeout'?)"],
        ),
        (
            "{artifacts: []}",
            [
                (
                    "1:12 unknown key 'artifacts' in 'defaults' "
                    "(it may have timeout, retry, isolation, env, args, parse, shell, cwd, host, "
                    "resources or literal_braces)"
                )
            ],
        ),
        (
            "{resources: {scope: 0}}",
            ["1:31 'defaults.resources.scope' is 0, should be 1 to 1000"],
        ),
        (
            "[timeout]",
            ["1:11 'defaults' is a list, should be a mapping (write defaults: {timeout: 30s})"],
        ),
        (
            "{args: {A: '${{ varz.n }}'}}",
            [("1:22 unknown name 'varz' (did you mean 'vars'?)")],
        ),
    ],
)
def test_a_problem_of_defaults_is_reported_once_at_its_place(
    given: str, messages: list[str], problems: Problems
) -> None:
    assert problems(f"defaults: {given}\n{STEPS}") == messages


def test_a_default_does_not_hide_a_mistake_of_a_step(problems: Problems) -> None:
    text = "defaults: {timeout: 3}\nsteps:\n- {type: shell, cmd: x, name: a, timeut: 4, args: []}"
    assert problems(text) == [
        "3:34 unknown key 'timeut' in shell step 'a' (did you mean 'timeout'?)",
        "3:51 'args' in shell step 'a' is a list, should be a mapping (write args: {MESSAGE: Hi})",
    ]
