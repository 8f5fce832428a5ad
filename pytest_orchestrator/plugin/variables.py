"""Values of vars that come from outside the recipes: options, and files that they name."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_orchestrator.recipe.variables import Given

OPTION = "--recipe-var"


class EmptyVarsWarning(UserWarning):
    """A file of vars has none in it."""

    __module__ = "pytest_orchestrator"


def add(group: pytest.OptionGroup) -> None:
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


def given(config: pytest.Config) -> "dict[str, Given]":
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


def check(config: pytest.Config) -> None:
    """Refuse a value for a var that no recipe declares.

    Raises:
        pytest.UsageError: There is one.
    """
    from pytest_orchestrator.core.suggestions import nearest
    from pytest_orchestrator.plugin.state import state_of
    from pytest_orchestrator.recipe import RecipeError

    found = state_of(config).recipes.values()
    recipes = [each for each in found if not isinstance(each, RecipeError)]
    if len(recipes) < len(found):
        return  # nobody knows what those that cannot be read declare
    declared = {name for recipe in recipes for name in (*recipe.vars, *recipe.required)}
    for name, one in state_of(config).given.items():
        if one.origin == OPTION and name not in declared:
            near = nearest(name, sorted(declared))
            raise pytest.UsageError(f"{OPTION}: no collected recipe has a var '{name}'{near}")


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
