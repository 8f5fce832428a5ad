"""The workers that run steps of a session elsewhere: reached before its first step."""

import os
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.plugin import lanes, runners
from pytest_orchestrator.plugin.state import state_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_orchestrator.execution.dask_runner import DaskRunner
    from pytest_orchestrator.execution.desk import Desk
    from pytest_orchestrator.execution.errands import Terms

MANY = 64
"""Steps that are handed to a cluster at the same time; those that no worker has yet wait there."""


def runner(config: pytest.Config) -> "DaskRunner | None":
    """Return what runs steps elsewhere; it is left with the session. None where they run here."""
    scheduler = runners.wanted(config)
    if scheduler is None:
        return None
    from pytest_orchestrator.execution.dask_runner import DaskRunner

    made = DaskRunner(partial(_desk, config), scheduler)
    config.add_cleanup(made.close)
    return made


def start(session: pytest.Session) -> None:
    """Reach the workers, where steps of the session run on some."""
    slot = state_of(session.config).environment.slot
    made = None if slot is None else slot.runner
    if made is None or session.config.getoption("setuponly", False):
        return
    from pytest_orchestrator.execution.dask_runner import DaskError

    try:
        made.start()
    except DaskError as error:
        pytest.exit(f"--recipe-dask: {error}", pytest.ExitCode.USAGE_ERROR)


def jobs(config: pytest.Config) -> int:
    """Return the number of steps of a recipe that are handed to workers at the same time."""
    scheduler = runners.wanted(config)
    return 1 if scheduler is None else scheduler.workers or MANY


def _desk(config: pytest.Config, host: str, cut_off: "Callable[[], str]") -> "Desk":
    """Open where workers claim the steps of a session."""
    from pytest_orchestrator.execution.desk import Desk
    from pytest_orchestrator.remote.server import Server

    state = state_of(config)
    server = Server(state.context, host=host)
    desk = Desk(server, _terms(config), cut_off)
    state.secrets.add(desk.word)
    server.start()
    config.add_cleanup(server.close)
    return desk


def _terms(config: pytest.Config) -> "Terms":
    from pytest_orchestrator.execution.environment import Manner
    from pytest_orchestrator.execution.errands import Terms

    env = state_of(config).environment
    program = lanes.program(config)
    here = Manner.here(env.root)
    root = str(env.root)
    below = [one for one in here.sys_path if one == root or one.startswith(f"{root}/")]
    hello = {name: value for name, value in program.hello.items() if name != "sys_path"}
    return Terms(
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
