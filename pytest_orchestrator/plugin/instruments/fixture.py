"""Fixture `instrument` for hand-written tests."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.execution.instruments.use import RecipeInstruments
from pytest_orchestrator.execution.locks import locks
from pytest_orchestrator.execution.locks.locks import LockWait
from pytest_orchestrator.execution.scheduling.recipe_locks import refuse_own_session
from pytest_orchestrator.instrument import Instrument
from pytest_orchestrator.plugin.collection.needs import runs_of
from pytest_orchestrator.plugin.instruments import owed
from pytest_orchestrator.plugin.instruments.bench import BenchPlugin, bench_plugin
from pytest_orchestrator.plugin.reporting.progress import wait_printer
from pytest_orchestrator.plugin.session_state import SessionState, state_of

if TYPE_CHECKING:
    from pytest_orchestrator.execution.locks.lock_file import Owner


def opener_for(
    request: pytest.FixtureRequest, begin_journal: Callable[[pytest.Session, SessionState], None]
) -> Callable[[str], Instrument]:
    """Return the function that gives a test the instruments of the station.

    A test with a ``recipe`` marker uses them as a step of that recipe does. The use by other tests
    ends with the last test of their module.

    Args:
        request: The request of the fixture.
        begin_journal: Makes the run folder and begins its journal, if no recipe is selected.

    Raises:
        Failed: The project has no station file.
    """
    config = request.config
    state = state_of(config)
    _ = state.run_config  # makes the bench
    plugin = bench_plugin(config)
    if plugin is None:
        pytest.fail(
            "fixture 'instrument' needs a station file: station.yaml at the rootdir, or "
            "--recipe-station",
            pytrace=False,
        )
    runs = runs_of(request.node)
    if not plugin.has_begun:  # no recipe is selected
        plugin.has_begun = True
        begin_journal(request.session, state)
        owed.send_owed(config)
    if runs:
        run = runs[-1]
        access = RecipeInstruments(plugin.bench, run.recipe.key, run.locks.lock_instrument)
    else:
        user = user_of(request.node)
        access = RecipeInstruments(plugin.bench, user, _locked(plugin, config, user))
    return access.used_by(request.node.name).opener


def user_of(node: pytest.Item) -> str:
    """Return the name under which the tests of a module use instruments: the path of the module."""
    return node.nodeid.partition("::")[0]


def _locked(
    plugin: BenchPlugin, config: pytest.Config, user: str
) -> Callable[[str, threading.Event | None], bool]:
    def lock(name: str, stop: threading.Event | None) -> bool:
        if name not in plugin.bench.held:
            acquired = locks.acquire(
                [name], run=plugin.run_id, step=user, waiting=waiting, stop=stop
            )
            if acquired is None:
                return False
            plugin.bench.claim(user, [name], acquired)
        plugin.bench.claim(user, [name])
        return True

    def waiting(name: str, owner: "Owner | None", seconds: float) -> None:
        refuse_own_session(name, owner, plugin.run_id)
        wait_printer(config)(LockWait(who=user, lock=name, owner=owner, seconds=seconds))

    return lock
