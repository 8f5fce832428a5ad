"""The hooks that plugins and conftest files may implement.

An implementation names the arguments that it wants, in any order. All values are plain:
text, numbers, mappings and lists, so none of them is tied to a version of the engine.
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_orchestrator.extending import Criterion, StepType


@pytest.hookspec
def pytest_recipe_step_types(config: pytest.Config) -> "Iterable[type[StepType]]":
    """Bring types of steps.

    Called at the start of a session, before anything is collected, and again where a
    `conftest.py` that has this hook is met later; under xdist in the controller and in each
    worker. The types belong to that session.

    Args:
        config: The configuration of the session.

    Returns:
        Classes derived from `pytest_orchestrator.extending.StepType`, each at the top level
        of a module: other processes import it.

    Raises:
        Exception: Whatever it raises is a usage error that names the plugin, and so is a type
            with a name that is taken, with keys that steps of all types have, or with keys
            that have no description.
    """
    raise NotImplementedError


@pytest.hookspec
def pytest_recipe_criteria(config: pytest.Config) -> "Iterable[Criterion]":
    """Bring criteria for `success`.

    Called when `pytest_recipe_step_types` is.

    Args:
        config: The configuration of the session.

    Returns:
        Instances of `pytest_orchestrator.extending.Criterion`.

    Raises:
        Exception: Whatever it raises is a usage error that names the plugin, and so is a
            criterion with a name that is taken, without a description, or with an example
            that is none of its type.
    """
    raise NotImplementedError
