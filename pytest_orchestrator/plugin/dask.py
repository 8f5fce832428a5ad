"""Dask workers of a session: started before its first step."""

import os
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.core.files import is_utf8, path_text
from pytest_orchestrator.plugin.options import runner as runner_option
from pytest_orchestrator.plugin.options import variables
from pytest_orchestrator.plugin.python_lane import launch
from pytest_orchestrator.plugin.reporting.progress import print_line
from pytest_orchestrator.plugin.session_state import state_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Collection

    from pytest_orchestrator.execution.dask.broker import AttemptBroker
    from pytest_orchestrator.execution.dask.messages import SessionConfig
    from pytest_orchestrator.execution.dask.registry import WorkerRegistry
    from pytest_orchestrator.execution.dask.runner import DaskRunner
    from pytest_orchestrator.execution.steps.dispatch import Runner
    from pytest_orchestrator.recipe import Recipe
    from pytest_orchestrator.recipe.analysis.dependencies import Dependencies
    from pytest_orchestrator.recipe.model.step import Step


def runner(config: pytest.Config) -> "DaskRunner | None":
    """Return what runs steps elsewhere; it is left with the session. None where they run here."""
    scheduler = runner_option.wanted(config)
    if scheduler is None:
        return None
    from pytest_orchestrator.execution.dask.runner import DaskRunner

    there = variables.resource_counts(config)
    made = DaskRunner(partial(_desk, config), scheduler, there, partial(print_line, config))
    config.add_cleanup(made.close)
    return made


def start(session: pytest.Session) -> None:
    """Reach the workers, where steps of the session run on some."""
    slot = state_of(session.config).environment.slot
    made = None if slot is None else slot.runner
    if made is None or session.config.getoption("setuponly", False):
        return
    from pytest_orchestrator.execution.dask.runner import DaskError

    config = session.config
    recipes = _steps(session)
    if not is_utf8(str(config.rootpath)):
        raise pytest.UsageError(
            "--recipe-dask: workers are told paths in UTF-8, and that of this project is not: "
            f"{path_text(config.rootpath)}"
        )
    try:
        force = made.start(str(config.rootpath), *_needs(config, recipes))
    except DaskError as error:
        raise pytest.UsageError(f"--recipe-dask: {error}") from None
    words = _refused(made, force, recipes, variables.resource_counts(config))
    if words:
        raise pytest.UsageError(words)


def _steps(session: pytest.Session) -> "list[tuple[Recipe, list[Step]]]":
    """Return the recipes of a session, with the steps of each that may run."""
    from pytest_orchestrator.plugin.collection.needs import NEEDS, Needs
    from pytest_orchestrator.plugin.collection.nodes import StepItem

    found: dict[str, tuple[Recipe, dict[str, Step]]] = {}
    for item in session.items:
        needs = item.stash.get(NEEDS, None)
        asked: list[tuple[Recipe, tuple[Step, ...]]] = []
        if isinstance(item, StepItem):
            asked.append((item.recipe, (item.step,)))
        if isinstance(needs, Needs):
            asked += [(run.recipe, steps) for run, steps in needs.asked]
        for recipe, steps in asked:
            kept = found.setdefault(recipe.key, (recipe, {}))[1]
            kept.update((step.name, step) for step in (*steps, *recipe.final))
    return [(recipe, list(steps.values())) for recipe, steps in found.values()]


def _needs(config: pytest.Config, recipes: "list[tuple[Recipe, list[Step]]]") -> "Dependencies":
    from pytest_orchestrator.recipe.analysis.dependencies import dependencies_of
    from pytest_orchestrator.recipe.analysis.source_files import Sources

    return dependencies_of(recipes, Sources(config.rootpath))


def _refused(
    made: "Runner",
    force: "WorkerRegistry",
    recipes: "list[tuple[Recipe, list[Step]]]",
    counted: "Collection[str]",
) -> str:
    """Return what no worker can take, for people; empty where there is nothing."""
    from pytest_orchestrator.execution.dask.registry import unused_workers
    from pytest_orchestrator.execution.scheduling.placement import refusals
    from pytest_orchestrator.recipe import RecipeError

    if force.unlike:
        return "\n".join(unused_workers(force.unlike))
    texts = []
    for recipe, steps in recipes:
        away = [step for step in steps if made.takes(step)]
        if problems := refusals(away, force.offers, counted):
            texts.append(str(RecipeError(problems, recipe.id, recipe.text)))
    return "\n\n".join(texts)


def _desk(
    config: pytest.Config,
    host: str,
    cut_off: "Callable[[], str]",
    encrypted: "ssl.SSLContext | None",
) -> "AttemptBroker":
    """Open where workers claim the steps of a session."""
    from pytest_orchestrator.context.rpc.handshake import Limits
    from pytest_orchestrator.context.rpc.server import Server
    from pytest_orchestrator.execution.dask.broker import AttemptBroker
    from pytest_orchestrator.execution.dask.messages import LONGEST

    state = state_of(config)
    server = Server(
        state.context, host=host if encrypted is None else "127.0.0.1", limits=Limits(line=LONGEST)
    )
    server.start()
    config.add_cleanup(server.close)
    relay = None
    if encrypted is not None:
        from pytest_orchestrator.execution.dask.tls_proxy import TlsProxy

        port = int(server.address.rpartition(":")[2])
        relay = TlsProxy(("127.0.0.1", port), host=host, listens=encrypted).start()
        config.add_cleanup(relay.close)
    desk = AttemptBroker(server, _terms(config), cut_off, relay)
    state.secrets.add(desk.word)
    config.add_cleanup(desk.close)  # first, so that workers are told
    return desk


def _terms(config: pytest.Config) -> "SessionConfig":
    from pytest_orchestrator.execution.dask.messages import SessionConfig
    from pytest_orchestrator.execution.environment import Manner

    env = state_of(config).environment
    program = launch.lane_program(config)
    here = Manner.here(env.root)
    root = str(env.root)
    below = [one for one in here.sys_path if one == root or one.startswith(f"{root}/")]
    hello = {name: value for name, value in program.hello.items() if name != "sys_path"}
    return SessionConfig(
        session=os.urandom(8).hex(),
        run=env.run,
        root=root,
        manner=Manner(cwd=here.cwd, sys_path=below, log_level=here.log_level),
        flags=tuple(program.argv[1:-1]),
        hello=hello,
        timeout=env.timeout,
        stretch=env.stretch,
        max_log=env.max_log,
        max_artifact=env.max_artifact,
        capacity=env.capacity,
        secret_names=env.secrets.names,
    )
