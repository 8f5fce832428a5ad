"""Factories of a session's environment, worker slots and recipe runs."""

import functools
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from pytest_orchestrator.execution.lanes.ssh_connections import SshConnections
from pytest_orchestrator.execution.scheduling.serial import RecipeRun
from pytest_orchestrator.plugin.journal import baseline, step_hooks
from pytest_orchestrator.plugin.options import settings, variables
from pytest_orchestrator.plugin.options.settings import (
    max_artifact,
    max_log,
    record_style,
    timeout,
    timeout_factor,
)
from pytest_orchestrator.plugin.python_lane.launch import PACKAGE_FOLDER, lane_program, terminal
from pytest_orchestrator.plugin.reporting import progress
from pytest_orchestrator.plugin.session_state import GUARD
from pytest_orchestrator.recipe import Recipe

if TYPE_CHECKING:
    from pytest_orchestrator.context.context import Context
    from pytest_orchestrator.execution.environment import Environment
    from pytest_orchestrator.execution.lanes.lane import Slot
    from pytest_orchestrator.execution.notifications import Follower
    from pytest_orchestrator.plugin.session_state import SessionState


def new_run(state: "SessionState", recipe: Recipe) -> RecipeRun:
    """Return a new run of a recipe; a parallel run if the session has several worker slots.

    Args:
        state: The state of the session.
        recipe: The recipe.
    """
    context, env = _context(state, recipe), _environment(state, recipe)
    logs, resources = state.folder.logs(recipe), state.folder.resources(recipe)
    number, first = settings.slots(state.config)[0], env.slot
    if number == 1 or first is None:
        return RecipeRun(recipe, context, env, logs, resources)
    from pytest_orchestrator.execution.scheduling.parallel import ParallelRun

    return ParallelRun(
        recipe,
        context,
        env,
        slots=_slots(state, number, first),
        variables=lambda step: {"PYTEST_CURRENT_TEST": f"{recipe.node(step.name)} (call)"},
        logs=logs,
        resources=resources,
    )


def _context(state: "SessionState", recipe: Recipe) -> "Context":
    if recipe.context != "recipe":
        return state.context
    # With a shared Context, another xdist worker may have made the layer before.
    return state.followed(state.scopes.setdefault(recipe.key, state.context.layer(recipe.key)))


def _environment(state: "SessionState", recipe: Recipe) -> "Environment":
    env = msgspec.structs.replace(
        state.environment,
        artifacts=state.folder.artifacts(recipe),
        follow=_follow(state, recipe, state.folder.logs(recipe)),
        judge=baseline.baseline_of(state.config, recipe),
    )
    return env if state.recorder is None else state.recorder.connected(env, recipe)


def _follow(state: "SessionState", recipe: Recipe, logs: Path) -> "Follower | None":
    """Return one function that receives all events of a recipe's steps, or None.

    It is None if no step hook is implemented and no status line is shown.
    """
    listeners: list[Follower] = []
    if state.step_hooks is not None:
        listeners.append(partial(state.step_hooks.happened, recipe))
    status_line = progress.progress_of(state.config)
    if status_line is not None:
        is_over = partial(_is_over, state, recipe)
        listeners.append(partial(status_line.happened, recipe, logs, is_over))
    return step_hooks.combined(listeners)


def _is_over(state: "SessionState", recipe: Recipe, step: str) -> bool:
    return state.run(recipe).known(step) is not None


def _slots(state: "SessionState", number: int, first: "Slot") -> "list[Slot]":
    """Return the session's list of worker slots, extended to at least `number` slots."""
    while len(state.slots) < number:
        state.slots.append(first.another() if state.slots else first)
    return state.slots


def session_environment(config: pytest.Config) -> "Environment":
    """Return a new environment that all steps of a session share."""
    from pytest_orchestrator.execution.environment import Environment
    from pytest_orchestrator.plugin import context_access
    from pytest_orchestrator.plugin.python_lane import launch
    from pytest_orchestrator.plugin.results import failures
    from pytest_orchestrator.plugin.session_state import state_of

    secrets = state_of(config).secrets
    watched = config.getoption("usepdb", False) or config.getoption("trace", False)
    return Environment(
        root=config.rootpath,
        timeout=timeout(config),
        stretch=0.0 if watched else timeout_factor(config),
        expected=(pytest.xfail.Exception,),
        skips=(pytest.skip.Exception,),
        passes_through=(pytest.exit.Exception,),
        before_import=pytest.register_assert_rewrite,
        on_event=functools.partial(launch.replay_event, secrets),
        stop=lambda reason, status: launch.exit_session(secrets.text(reason), status),
        secrets=secrets,
        context_access=context_access.step_context_access(config),
        inline=bool(watched or "pydevd" in sys.modules),
        slot=session_slot(config),
        run=state_of(config).folder.path.name,
        folder=state_of(config).folder.path,
        given=state_of(config).var_values,
        waiting=progress.wait_printer(config),
        resource_counts=variables.resource_counts(config),
        live=failures.shown_live(config),
        max_log=max_log(config),
        record_style=record_style(config),
        max_artifact=max_artifact(config),
    )


def session_slot(config: pytest.Config) -> "Slot":
    """Return the first worker slot of a session; its lanes close at the end of the session."""
    from pytest_orchestrator.execution.lanes.lane import Lanes, Slot
    from pytest_orchestrator.execution.lanes.watchdog import Watchdog

    lanes = Lanes()
    config.add_cleanup(lanes.close)
    from pytest_orchestrator.plugin import dask

    given = getattr(config, "workerinput", {}).get(GUARD)
    file = Path(given) if given and Path(given).parent.is_dir() else None
    note = (sys.executable, "-c", _WATCHDOG_ENTRY, PACKAGE_FOLDER)
    guard = Watchdog(lanes, note, lambda: terminal(config), file)
    config.add_cleanup(guard.close)
    slot = Slot(
        lanes, lane_program(config), SshConnections(), runner=dask.runner(config), guard=guard
    )
    config.add_cleanup(slot.links.close)
    return slot


_WATCHDOG_ENTRY = """\
import sys
sys.path.append(sys.argv.pop(1))
from pytest_orchestrator.runs.watchdog_entry import main
main()"""
