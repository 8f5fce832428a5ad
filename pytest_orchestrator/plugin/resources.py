"""How much there is of each counted resource, and steps that ask for more."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_orchestrator.recipe import Problem, Recipe

_OPTION, _INI = "--recipe-resource", "recipe_resources"


def add(group: pytest.OptionGroup, parser: pytest.Parser) -> None:
    """Declare the option and the ini key."""
    group.addoption(
        _OPTION,
        action="append",
        default=[],
        metavar="NAME=N",
        help="how many there are of what steps ask for in 'resources'; several times",
    )
    parser.addini(
        _INI, "how many there are of each resource of steps, such as scope=2", "args", default=[]
    )


def there(config: pytest.Config) -> dict[str, int]:
    """Return the number of pieces of each resource.

    Raises:
        pytest.UsageError: A setting is none.
    """
    found: dict[str, int] = {}
    for where, words in (
        (f"ini key {_INI}", config.getini(_INI)),
        (_OPTION, config.getoption("recipe_resource")),
    ):
        for word in words:
            name, equals, number = word.partition("=")
            if not (name and equals and number.isascii() and number.isdecimal()):
                raise pytest.UsageError(f"{where}: '{word}' should be like scope=2")
            found[name] = int(number)
    return found


def check(recipe: "Recipe", there: Mapping[str, int]) -> "Iterator[Problem]":
    """Give what no machine can do: steps that ask for more than there is.

    Args:
        recipe: The recipe.
        there: Number of pieces of each resource.
    """
    from pytest_orchestrator.core.nearest import nearest
    from pytest_orchestrator.recipe import Problem

    for step in (*recipe.steps, *recipe.final):
        for name, wanted in step.resources.items():
            if there.get(name, 0) >= wanted:
                continue
            place = step.at.get(f"resources.{name}") or step.at["resources"]
            has = f"there is {there[name]}" if name in there else "nobody says that there is any"
            near = "" if name in there else nearest(name, there)
            cure = near.strip(" ()") or f"{_OPTION} {name}={wanted}"
            yield Problem(
                place, f"step '{step.name}' needs {wanted} of '{name}', and {has}", hint=cure
            )
