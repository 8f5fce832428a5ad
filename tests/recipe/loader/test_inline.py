"""Criteria that need a separate process are refused for steps that have none."""

from collections.abc import Callable

import pytest

from pytest_orchestrator.recipe import Recipe
from pytest_orchestrator.recipe.model.options import OF_A_PROCESS, OF_SHELL

Problems = Callable[[str | bytes], list[str]]
Read = Callable[[str | bytes], Recipe]

ASKED = "success: {max_seconds: 1, max_rss_mb: 9}"


FINAL = (
    "fixtures: [bench]\nsteps:\n- {name: b, type: shell, cmd: ls}\nfinally:\n"
    f"- {{name: a, type: python, module: m, class: C, {ASKED}}}\n"
)


def python(keys: str, root: str = "") -> str:
    step = f"{{name: a, type: python, module: m, class: C, {keys}}}"
    return f"{root}\nsteps:\n  - {step}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            python(f"isolation: inline, {ASKED}"),
            (
                "3:95 'max_rss_mb' needs a process of its own, and step 'a' runs inside pytest "
                "(it says 'isolation: inline')"
            ),
        ),
        (
            python(f"fixtures: [bench], {ASKED}"),
            (
                "3:95 'max_rss_mb' needs a process of its own, and step 'a' runs inside pytest "
                "(it has 'fixtures')"
            ),
        ),
        (
            python(ASKED, root="fixtures: [bench]"),
            (
                "3:76 'max_rss_mb' needs a process of its own, and step 'a' runs inside pytest "
                "(the recipe has 'fixtures')"
            ),
        ),
        (
            FINAL,
            (
                "5:74 'max_rss_mb' needs a process of its own, and step 'a' runs inside pytest "
                "(the recipe has 'fixtures')"
            ),
        ),
    ],
)
def test_process_criteria_are_refused_for_a_step_inside_pytest(
    text: str, message: str, problems: Problems
) -> None:
    assert problems(text) == [message]


@pytest.mark.parametrize("name", sorted(OF_A_PROCESS - OF_SHELL))
def test_every_process_criterion_needs_a_process(name: str, problems: Problems, read: Read) -> None:
    value = "a" if name.startswith("std") else 1
    (message,) = problems(python(f"isolation: inline, success: {{{name}: {value}}}"))
    assert message.startswith(f"3:79 '{name}' needs a process of its own")
    assert read(python(f"success: {{{name}: {value}}}")).steps[0].success[0].name == name


def test_a_command_has_a_process_even_if_the_recipe_has_fixtures(read: Read) -> None:
    text = f"fixtures: [bench]\nsteps:\n- {{name: a, type: shell, cmd: ls, {ASKED}}}\n"
    assert len(read(text).steps[0].success) == 2


TWICE = "in step 'a' (call one of them by another name)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            python("fixtures: [rig], params: {rig: 1, volts: 2}"),
            f"3:76 'rig' is a fixture and a key of params {TWICE}",
        ),
        (
            python("params: {rig: 1}", root="fixtures: [bench, rig]"),
            f"3:59 'rig' is a fixture and a key of params {TWICE}",
        ),
    ],
)
def test_a_key_of_params_with_the_name_of_a_fixture_is_an_error(
    text: str, message: str, problems: Problems
) -> None:
    assert problems(text) == [message]


def test_the_step_keeps_the_place_of_each_key_of_params(read: Read) -> None:
    step = read(python("params: {volts: 1, load: {ohm: 2}}")).steps[0]

    assert (step.at["params.volts"].column, step.at["params.load"].column) == (59, 69)
    assert "params.ohm" not in step.at
