"""Options for values of vars and for counted resources."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.plugin.options.values import list_of

if TYPE_CHECKING:
    from pytest_orchestrator.recipe import Problem, Recipe
    from pytest_orchestrator.recipe.variables import Given

OPTION = "--recipe-var"


class EmptyVarsWarning(UserWarning):
    """A file of vars has none in it."""

    __module__ = "pytest_orchestrator"


def add_var_options(group: pytest.OptionGroup) -> None:
    """Declare the options."""
    group.addoption(
        OPTION,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="value of a var of the recipes that declare it: JSON where it parses as such, "
        "else text; may be given again",
    )
    group.addoption(
        "--recipe-vars-file",
        action="append",
        default=[],
        metavar="PATH",
        help="file with values of vars: YAML, JSON or dotenv by its ending; may be given again, "
        "the later wins",
    )


def given_vars(config: pytest.Config) -> "dict[str, Given]":
    """Return the values that are given, by the names of the vars.

    Raises:
        pytest.UsageError: An option is no ``NAME=VALUE``, or a file cannot be read.
    """
    files, options = config.getoption("recipe_vars_file"), config.getoption("recipe_var")
    if not files and not options:
        return {}
    from pytest_orchestrator.recipe.variables import Given

    found: dict[str, Given] = {}
    for name in files:
        found |= _of_file(config, name)
    for text in options:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise pytest.UsageError(f"{OPTION}: {text!r} is no NAME=VALUE")
        found[name.strip()] = Given(_value(value), OPTION)
    return found


def _value(text: str) -> Any:
    def refuse(_text: str) -> None:
        raise ValueError

    try:
        return json.loads(text, parse_constant=refuse)
    except ValueError:
        return text


def _of_file(config: pytest.Config, name: str) -> "dict[str, Given]":
    from pytest_orchestrator.recipe import RecipeError
    from pytest_orchestrator.recipe.variables import Given, vars_of

    path = Path(config.invocation_params.dir, name)
    if not path.is_file():
        raise pytest.UsageError(f"--recipe-vars-file: there is no file {name}")
    try:
        found = vars_of(path)
    except RecipeError as error:
        raise pytest.UsageError(f"--recipe-vars-file: {error}") from None
    if not found:
        warning = EmptyVarsWarning(f"--recipe-vars-file: {name} has no vars")
        config.issue_config_time_warning(warning, stacklevel=2)
    return {key: Given(value, name) for key, value in found.items()}


_OPTION, _INI = "--recipe-resource", "recipe_resources"


def add_resource_options(group: pytest.OptionGroup, parser: pytest.Parser) -> None:
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


def resource_counts(config: pytest.Config) -> dict[str, int]:
    """Return the number of pieces of each resource.

    Raises:
        pytest.UsageError: A setting is none.
    """
    found: dict[str, int] = {}
    for where, words in (
        (f"ini key {_INI}", list_of(config, _INI) or []),
        (_OPTION, config.getoption("recipe_resource")),
    ):
        for word in words:
            name, equals, number = word.partition("=")
            if not (name and equals and number.isascii() and number.isdecimal()):
                raise pytest.UsageError(f"{where}: '{word}' should be like scope=2")
            found[name] = int(number)
    return found


def resource_problems(
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
