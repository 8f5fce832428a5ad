"""Hook specifications that plugins and conftest files may implement.

An implementation names the arguments that it wants, in any order. All values are plain:
text, numbers, mappings and lists, so none of them is tied to a version of the engine.
"""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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


@pytest.hookspec
def pytest_recipe_step_start(
    config: pytest.Config, recipe: str, node: str, step: str, step_type: str
) -> None:
    """Learn that the body of a step begins.

    Called once for each step that runs, when its `if` holds and its locks are held; not for
    each of its tries, and again where a plugin reruns it. Under xdist it is called in the
    worker that runs the step. It is called in the main thread and the step waits for it,
    but for steps that run beside others (`--recipe-jobs`): they have begun.

    Args:
        config: The configuration of the session.
        recipe: The path of the recipe, relative to the rootdir.
        node: The node id of the step.
        step: The name of the step.
        step_type: Its type.

    Raises:
        Exception: What it raises is told once, as a `HookWarning`, and changes nothing for
            the step; later implementations are left out of this call. `pytest.exit` ends the
            session.
    """


@pytest.hookspec
def pytest_recipe_step_finish(
    config: pytest.Config, recipe: str, node: str, step: str, result: "Mapping[str, Any]"
) -> None:
    """Learn what became of a step.

    Called in the main thread when that is known, for steps that were skipped or blocked,
    too, in the order of the recipe; of a service when it is ready, and once more when it has
    ended. Under xdist it is called in the worker that ran the step.

    Args:
        config: The configuration of the session.
        recipe: The path of the recipe, relative to the rootdir.
        node: The node id of the step.
        step: The name of the step.
        result: The block of the step as the JSON report has it, with its `schema_version`;
            it has no secrets in it. What pytest makes of an expected failure is not known
            yet.

    Raises:
        Exception: As for `pytest_recipe_step_start`.
    """


@pytest.hookspec
def pytest_recipe_context_change(
    config: pytest.Config,
    recipe: str | None,
    node: str | None,
    step: str | None,
    change: "Mapping[str, Any]",
) -> None:
    """Learn of a change of the Context.

    Called in the main thread after each change, those of tests among them. A step in a
    process of its own waits for it, but for services and steps that run beside others. Under
    xdist it is called in the process that has made the change. To change the Context here
    calls it again.

    Args:
        config: The configuration of the session.
        recipe: The path of the recipe of the step; None where no step has made the change.
        node: The node id of the step, likewise.
        step: The name of the step, likewise.
        change: `key`, `ts`, `who`, `op`, `old`, `new`, for `append` and `pop` also `index`;
            `masked` where a secret was replaced.

    Raises:
        Exception: As for `pytest_recipe_step_start`.
    """
