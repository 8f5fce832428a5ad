"""Dask runner of a session, and its connection to the workers ahead of the first step."""

import os
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.core.extras import addon
from pytest_orchestrator.core.files import is_utf8, path_text
from pytest_orchestrator.plugin.options import runner as runner_option
from pytest_orchestrator.plugin.python_lane import launch
from pytest_orchestrator.plugin.reporting.progress import print_line
from pytest_orchestrator.plugin.session_state import state_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from pytest_orchestrator.execution.remote.attempt import SessionConfig, Workers
    from pytest_orchestrator.execution.remote.submission import RemoteRunner
    from pytest_orchestrator.recipe import Recipe
    from pytest_orchestrator.recipe.analysis.dependencies import Dependencies
    from pytest_orchestrator.recipe.model.step import Step

_RUNNER = pytest.StashKey["Workers | None"]()


def runner(config: pytest.Config) -> "Workers | None":
    """Return the Dask runner of the session; None if steps do not use Dask."""
    if _RUNNER not in config.stash:
        config.stash[_RUNNER] = _new_runner(config)
    return config.stash[_RUNNER]


def remote_runner(config: pytest.Config) -> "RemoteRunner | None":
    """Return the runner of steps on the workers of the session; None if steps do not use Dask."""
    from pytest_orchestrator.execution.remote.submission import RemoteRunner

    workers = runner(config)
    return None if workers is None else RemoteRunner(workers)


def _new_runner(config: pytest.Config) -> "Workers | None":
    """Return a new Dask runner that closes with the session; None if steps do not use Dask."""
    scheduler = runner_option.dask_scheduler(config)
    if scheduler is None:
        return None
    there = state_of(config).resource_counts
    workers: Workers = addon("dask.runner").DaskRunner(
        partial(_session_config, config), scheduler, there, partial(print_line, config)
    )
    config.add_cleanup(workers.close)
    return workers


def start(session: pytest.Session) -> None:
    """Connect to the Dask workers; do nothing if steps do not run on Dask.

    Raises:
        pytest.UsageError: The cluster cannot be used, or one of the steps fits no worker.
    """
    workers = runner(session.config)
    if workers is None or session.config.getoption("setuponly", False):
        return
    from pytest_orchestrator.execution.remote.attempt import WorkersError

    config = session.config
    recipes = _steps(session)
    if not is_utf8(str(config.rootpath)):
        raise pytest.UsageError(
            "--recipe-dask: workers need paths in UTF-8, and that of this project is not: "
            f"{path_text(config.rootpath)}"
        )
    try:
        workers.start(str(config.rootpath), *_needs(config, recipes))
    except WorkersError as error:
        raise pytest.UsageError(f"--recipe-dask: {error}") from None
    text = _unrunnable_steps(workers, recipes, state_of(config).resource_counts)
    if text:
        raise pytest.UsageError(text)


def _steps(session: pytest.Session) -> "list[tuple[Recipe, list[Step]]]":
    """Return the recipes of a session, each with its steps that may run in this session."""
    from pytest_orchestrator.plugin.collection.needs import NEEDS, Needs
    from pytest_orchestrator.plugin.collection.nodes import StepItem

    by_key: dict[str, tuple[Recipe, dict[str, Step]]] = {}
    for item in session.items:
        needs = item.stash.get(NEEDS, None)
        of_item: list[tuple[Recipe, tuple[Step, ...]]] = []
        if isinstance(item, StepItem):
            of_item.append((item.recipe, (item.step,)))
        if isinstance(needs, Needs):
            of_item += [(run.recipe, steps) for run, steps in needs.asked]
        for recipe, steps in of_item:
            by_name = by_key.setdefault(recipe.key, (recipe, {}))[1]
            by_name.update((step.name, step) for step in (*steps, *recipe.final))
    return [(recipe, list(steps.values())) for recipe, steps in by_key.values()]


def _needs(config: pytest.Config, recipes: "list[tuple[Recipe, list[Step]]]") -> "Dependencies":
    from pytest_orchestrator.recipe.analysis.dependencies import dependencies_of
    from pytest_orchestrator.recipe.analysis.source_files import Sources

    return dependencies_of(recipes, Sources(config.rootpath))


def _unrunnable_steps(
    workers: "Workers",
    recipes: "list[tuple[Recipe, list[Step]]]",
    counted: "Collection[str]",
) -> str:
    """Return an error message about the steps that no Dask worker can run, or empty text."""
    from pytest_orchestrator.execution.scheduling.placement import beside, refusals
    from pytest_orchestrator.recipe import RecipeError

    if workers.unused:
        return workers.unused
    texts = []
    for recipe, steps in recipes:
        away = [step for step in steps if not beside(step)]
        if problems := refusals(away, workers.offers, counted):
            texts.append(str(RecipeError(problems, recipe.id, recipe.text)))
    return "\n\n".join(texts)


def _session_config(config: pytest.Config) -> "SessionConfig":
    from pytest_orchestrator.execution.remote.attempt import SessionConfig
    from pytest_orchestrator.execution.run_config import PythonSettings

    run_config = state_of(config).run_config
    program = launch.lane_program(config)
    here = PythonSettings.here(run_config.root)
    root = str(run_config.root)
    below = [path for path in here.sys_path if path == root or path.startswith(f"{root}/")]
    hello = {name: value for name, value in program.hello.items() if name != "sys_path"}
    return SessionConfig(
        session=os.urandom(8).hex(),
        run=run_config.run_id,
        root=root,
        python_settings=PythonSettings(cwd=here.cwd, sys_path=below, log_level=here.log_level),
        flags=tuple(program.argv[1:-1]),
        hello=hello,
        timeout=run_config.timeout,
        timeout_factor=run_config.timeout_factor,
        max_log=run_config.max_log,
        record_style=run_config.record_style,
        max_artifact=run_config.max_artifact,
        max_result=run_config.max_result,
        secret_names=run_config.secrets.names,
    )
