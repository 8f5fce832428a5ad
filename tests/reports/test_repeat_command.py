"""Commands that run a step again."""

import shlex
from typing import Any

import pytest

from pytest_orchestrator.plugin.options.variables import OPTION
from pytest_orchestrator.reports import failure


def test_a_repeat_command_passes_vars_from_outside_again() -> None:
    step_vars: dict[str, dict[str, Any]] = {
        "volts": {"value": 5, "origin": "--recipe-var"},
        "gain": {"value": 2, "origin": "recipe"},
        "name": {"value": "unit 7", "origin": "--recipe-var"},
        "site": {"value": "a", "origin": "my lab.yaml"},
        "room": {"value": "b", "origin": "my lab.yaml"},
    }

    assert failure.command("recipes/x.yaml::a[g:1]", failure.options(step_vars)) == (
        "pytest '--recipe-vars-file=my lab.yaml' --recipe-var=volts=5 "
        "'--recipe-var=name=unit 7' 'recipes/x.yaml::a[g:1]'"
    )


@pytest.mark.parametrize(
    ("value", "json_text"),
    [("5", '"5"'), ("true", '"true"'), ("a b", "a b"), (None, "null"), ([1, "é"], '[1, "é"]')],
)
def test_an_option_value_is_read_back_with_its_type(value: Any, json_text: str) -> None:
    (option,) = failure.options({"x": {"value": value, "origin": OPTION}})

    assert shlex.split(shlex.quote(option)) == [f"{OPTION}=x={json_text}"]
