"""Options for the values of recipe vars and for counted resources."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.plugin.options.values import list_of

if TYPE_CHECKING:
    from pytest_orchestrator.recipe import Problem, Recipe
    from pytest_orchestrator.recipe.variables import ExternalValue
    from pytest_orchestrator.runs.operator.batch import Batch

OPTION = "--recipe-var"
ASK = "--recipe-ask"
INPUTS = "orchestrator_inputs"
"""Key of `workerinput` of xdist: the texts of the inputs for which the controller has asked."""


class EmptyVarsWarning(UserWarning):
    """Warning that a file of ``--recipe-vars-file`` contains no vars."""

    __module__ = "pytest_orchestrator"


def given_vars(config: pytest.Config) -> "dict[str, ExternalValue]":
    """Return the values of vars from files and options, by name.

    Raises:
        pytest.UsageError: An option is no ``NAME=VALUE``, or a file cannot be read.
    """
    files, options = config.getoption("recipe_vars_file"), config.getoption("recipe_var")
    asked = getattr(config, "workerinput", {}).get(INPUTS)
    batch = batch_of(config)
    if not (files or options or asked or batch):
        return {}
    from pytest_orchestrator.recipe.variables import ExternalValue

    values: dict[str, ExternalValue] = {}
    for name in files:
        values |= _of_file(config, name)
    for text in options:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise pytest.UsageError(f"{OPTION}: {text!r} is no NAME=VALUE")
        values[name.strip()] = ExternalValue(_value(value), OPTION, value)
    for name, value in (batch.values if batch else {}).items():
        values[name] = ExternalValue(value, ASK)
    for name, value in (asked or {}).items():
        values[name] = ExternalValue(_value(value), ASK, value)
    return values


def batch_of(config: pytest.Config) -> "Batch | None":
    """Return the values from the page of a station; None for a session that no station started.

    Raises:
        pytest.UsageError: They cannot be read.
    """
    path = config.getoption("recipe_batch")
    if path is None:
        return None
    from pytest_orchestrator.runs.operator.batch import read_batch

    try:
        return read_batch(Path(path))
    except ValueError as error:
        raise pytest.UsageError(f"--recipe-batch: {error}") from None


def _value(text: str) -> Any:
    def refuse(_text: str) -> None:
        raise ValueError

    try:
        return json.loads(text, parse_constant=refuse)
    except ValueError:
        return text


def _of_file(config: pytest.Config, name: str) -> "dict[str, ExternalValue]":
    from pytest_orchestrator.recipe import RecipeError
    from pytest_orchestrator.recipe.variables import ExternalValue, vars_of

    path = Path(config.invocation_params.dir, name)
    if not path.is_file():
        raise pytest.UsageError(f"--recipe-vars-file: there is no file {name}")
    try:
        values = vars_of(path)
    except RecipeError as error:
        raise pytest.UsageError(f"--recipe-vars-file: {error}") from None
    if not values:
        warning = EmptyVarsWarning(f"--recipe-vars-file: {name} has no vars")
        config.issue_config_time_warning(warning, stacklevel=2)
    serials = values.get("serial")  # of the units of a panel, see `units` of a recipe
    if isinstance(serials, dict):
        values |= {f"serial.{unit}": serial for unit, serial in serials.items()}
    is_text = path.suffix == ".env" or path.name == ".env"
    return {
        key: ExternalValue(value, name, str(value) if is_text else None)
        for key, value in values.items()
    }


_OPTION, _INI = "--recipe-resource", "recipe_resources"


def resource_counts(config: pytest.Config) -> dict[str, int]:
    """Return the number of units of each counted resource, by the name of the resource.

    Raises:
        pytest.UsageError: A setting is no ``NAME=N``.
    """
    counts: dict[str, int] = {}
    for where, settings in (
        (f"ini key {_INI}", list_of(config, _INI) or []),
        (_OPTION, config.getoption("recipe_resource")),
    ):
        for setting in settings:
            name, equals, number = setting.partition("=")
            if not (name and equals and number.isascii() and number.isdecimal()):
                raise pytest.UsageError(f"{where}: '{setting}' should be like scope=2")
            counts[name] = int(number)
    return counts


def resource_problems(
    recipe: "Recipe", counts: Mapping[str, int], *, elsewhere: bool = False
) -> "Iterator[Problem]":
    """Yield a problem for each step that needs too many units or cannot run on its machine.

    Args:
        recipe: The recipe.
        counts: Number of units of each resource.
        elsewhere: True if Dask workers run the steps that can leave this machine. For these
            steps a resource without a setting is no problem, because workers may offer it.
    """
    steps = [
        step for step in (*recipe.steps, *recipe.final) if step.resources or step.host is not None
    ]
    if not steps:
        return
    from pytest_orchestrator.core.suggestions import nearest
    from pytest_orchestrator.execution.scheduling import placement
    from pytest_orchestrator.recipe import Problem

    yield from placement.misplaced(steps, recipe.fixtures, elsewhere=elsewhere)
    for step in steps:
        is_elsewhere = elsewhere and not placement.beside(step, recipe.fixtures)
        for name, wanted in step.resources.items():
            if counts.get(name, 0) >= wanted or (is_elsewhere and name not in counts):
                continue
            has = (
                f"the configured number is {counts[name]}"
                if name in counts
                else "no number is configured"
            )
            near = "" if name in counts else nearest(name, counts)
            cure = near.strip(" ()") or f"{_OPTION} {name}={wanted}"
            head = f"step '{step.name}' needs {wanted} of '{name}', and {has}"
            yield placement.placed(step, Problem(step.at["resources"], head, hint=cure))
