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


def check(
    recipe: "Recipe", there: Mapping[str, int], *, elsewhere: bool = False
) -> "Iterator[Problem]":
    """Give what no machine can do: steps that ask for more than there is, or for another machine.

    Args:
        recipe: The recipe.
        there: Number of pieces of each resource.
        elsewhere: Workers elsewhere run what need not be run beside pytest, and what nobody
            says that there is of is what these have.
    """
    from pytest_orchestrator.core.suggestions import nearest
    from pytest_orchestrator.execution.scheduling import placement
    from pytest_orchestrator.recipe import Problem

    steps = (*recipe.steps, *recipe.final)
    yield from placement.misplaced(steps, recipe.fixtures, elsewhere=elsewhere)
    for step in steps:
        is_elsewhere = elsewhere and not placement.beside(step, recipe.fixtures)
        for name, wanted in step.resources.items():
            if there.get(name, 0) >= wanted or (is_elsewhere and name not in there):
                continue
            has = f"there is {there[name]}" if name in there else "nobody says that there is any"
            near = "" if name in there else nearest(name, there)
            cure = near.strip(" ()") or f"{_OPTION} {name}={wanted}"
            head = f"step '{step.name}' needs {wanted} of '{name}', and {has}"
            yield placement.placed(step, Problem(step.at["resources"], head, hint=cure))
