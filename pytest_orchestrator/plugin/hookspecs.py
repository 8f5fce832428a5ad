"""Hook specifications that plugins and conftest files may implement. PYTEST_DONT_REWRITE.

An implementation names the arguments that it wants, in any order. Apart from `config` all values
are plain: text, numbers, mappings and lists. So none of them depends on a version of this plugin.
"""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_orchestrator.extending import Criterion, StepType


@pytest.hookspec
def pytest_recipe_step_types(config: pytest.Config) -> "Iterable[type[StepType]]":
    """Return the step types that this plugin adds.

    Called at the start of a session, before anything is collected, and again when a
    `conftest.py` that implements this hook is loaded later; under xdist in the controller and
    in each worker. The types are valid in that session only.

    Args:
        config: The configuration of the session.

    Returns:
        Classes derived from `pytest_orchestrator.extending.StepType`, each defined at the top
        level of a module, because other processes import the class.

    Raises:
        Exception: Every exception becomes a usage error that names the plugin. So does a type
            whose name exists already, a type with a key that steps of all types have, and a
            type with a key that has no description.
    """
    raise NotImplementedError


@pytest.hookspec
def pytest_recipe_criteria(config: pytest.Config) -> "Iterable[Criterion]":
    """Return the criteria for `success` that this plugin adds.

    Called at the same times as `pytest_recipe_step_types`.

    Args:
        config: The configuration of the session.

    Returns:
        Instances of `pytest_orchestrator.extending.Criterion`.

    Raises:
        Exception: Every exception becomes a usage error that names the plugin. So does a
            criterion whose name exists already, a criterion without a description, and a
            criterion whose example has another type than its value.
    """
    raise NotImplementedError


@pytest.hookspec
def pytest_recipe_step_start(
    config: pytest.Config, recipe: str, node: str, step: str, step_type: str
) -> None:
    """Receive the start of a step.

    Called once for each step that runs, after its `if` was true and its locks were acquired;
    not for each attempt of `retry`, but again if a plugin reruns the step. Under xdist it is
    called in the worker that runs the step. It is called in the main thread, and the step waits
    until it returns. Parallel steps (`--recipe-jobs`) do not wait: they have already started.

    Args:
        config: The configuration of the session.
        recipe: The path of the recipe, relative to the rootdir.
        node: The node id of the step.
        step: The name of the step.
        step_type: The type of the step.

    Raises:
        Exception: An exception is reported once, as a `HookWarning`, and does not change the
            step; the implementations after this one are not called for this event.
            `pytest.exit` ends the session.
    """


@pytest.hookspec
def pytest_recipe_step_finish(
    config: pytest.Config, recipe: str, node: str, step: str, result: "Mapping[str, Any]"
) -> None:
    """Receive the outcome of a step.

    Called in the main thread when the outcome is known, also for skipped and blocked steps,
    in the order of the recipe. For a service it is called when the service is ready, and
    again when it has ended. Under xdist it is called in the worker that ran the step.

    Args:
        config: The configuration of the session.
        recipe: The path of the recipe, relative to the rootdir.
        node: The node id of the step.
        step: The name of the step.
        result: The report block of the step as in the JSON report, with its
            `schema_version`; secrets are masked. An expected failure is still `failed` here,
            because pytest applies `xfail` later.

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
    """Receive a change of the Context.

    Called in the main thread after each change, also for changes made by tests. A step in a
    process of its own waits until it returns; services and parallel steps do not. Under xdist
    it is called in the process that made the change. If an implementation changes the Context,
    the hook is called again.

    Args:
        config: The configuration of the session.
        recipe: The path of the recipe of the step; None if no step made the change.
        node: The node id of the step, or None.
        step: The name of the step, or None.
        change: `key`, `ts`, `who`, `op`, `old`, `new`; also `index` for `append` and `pop`,
            and `masked` if a secret was replaced.

    Raises:
        Exception: As for `pytest_recipe_step_start`.
    """


@pytest.hookspec
def pytest_recipe_report_info(
    config: pytest.Config, recipe: str, cell: str | None, test_meta: "Mapping[str, Any]"
) -> "Mapping[str, Mapping[str, Any]] | None":
    """Return rows and links for the reports of a recipe, such as its certificate.

    Called at the end of the session, in the main thread, once for each recipe and each cell of
    its matrix that has run; under xdist in the controller. The result is stored in the journal of
    the run, before its seal. A killed session does not call it.

    Args:
        config: The configuration of the session.
        recipe: The path of the recipe, relative to the rootdir.
        cell: The id of the cell of its matrix; None without a matrix.
        test_meta: The `test_meta` of the recipe, with expressions evaluated and secrets masked.

    Returns:
        A mapping with ``rows``, values by their labels, and ``links``, addresses that begin with
        ``https:``, ``http:`` or ``mailto:``, by their labels. Both are optional, and so is the
        result. Of the same label in several plugins, the plugin that was registered last wins.

    Raises:
        Exception: An exception is reported as a `HookWarning` and does not change the session; so
            is a result of another form. Secrets in the result are masked.
    """


@pytest.hookspec
def pytest_recipe_run_finish(config: pytest.Config, summary: "Mapping[str, Any]") -> None:
    """Receive the summary of a run.

    Called once after the end of the session, in the main thread, when the journal is sealed and
    the reports are written; under xdist in the controller. Not called if the session ran no
    recipe, or was killed.

    Args:
        config: The configuration of the session.
        summary: The run: `schema_version`, `id`, `verdict`, `start`, `seconds`, `exit_status`,
            `host`, `recipes`, `steps`, `tests`, `failures` (the first 20) and `failure_count`;
            also `report` (path from the rootdir), `dut`, `flaky`, `marginal`, `uncollected`,
            `interruption` and `resumed_from` if the run has them. Secrets are masked.

    Raises:
        Exception: An exception is printed as one line and does not change the session or its exit
            status; so is that of `pytest.exit` and of `sys.exit`.
    """
