"""Commands that repeat a step."""

import shlex
from typing import Any

import pytest

from pytest_orchestrator.plugin.options.variables import OPTION
from pytest_orchestrator.reports import failure


def test_vars_from_outside_are_given_again() -> None:
    told: dict[str, dict[str, Any]] = {
        "volts": {"value": 5, "origin": "--recipe-var"},
        "gain": {"value": 2, "origin": "recipe"},
        "name": {"value": "unit 7", "origin": "--recipe-var"},
        "site": {"value": "a", "origin": "my lab.yaml"},
        "room": {"value": "b", "origin": "my lab.yaml"},
    }

    assert failure.command("recipes/x.yaml::a[g:1]", failure.options(told)) == (
        "pytest '--recipe-vars-file=my lab.yaml' --recipe-var=volts=5 "
        "'--recipe-var=name=unit 7' 'recipes/x.yaml::a[g:1]'"
    )


@pytest.mark.parametrize(
    ("value", "written"),
    [("5", '"5"'), ("true", '"true"'), ("a b", "a b"), (None, "null"), ([1, "é"], '[1, "é"]')],
)
def test_a_value_is_read_as_what_it_was(value: Any, written: str) -> None:
    (found,) = failure.options({"x": {"value": value, "origin": OPTION}})

    assert shlex.split(shlex.quote(found)) == [f"{OPTION}=x={written}"]
