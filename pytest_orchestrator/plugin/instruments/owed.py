"""Safe states that killed runs owe: header lines, and commands before the first step."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import pytest

from pytest_orchestrator.core.errors import LockError
from pytest_orchestrator.core.text import counted
from pytest_orchestrator.execution.instruments.bench import SafeResult
from pytest_orchestrator.execution.locks import locks
from pytest_orchestrator.execution.locks.locks import LockWait
from pytest_orchestrator.plugin.options import settings
from pytest_orchestrator.plugin.reporting.progress import print_line, wait_printer
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.owed_safe import OwedSafe, owed_by, owed_safe_states

if TYPE_CHECKING:
    from pytest_orchestrator.execution.locks.lock_file import Owner
    from pytest_orchestrator.plugin.instruments.bench import BenchPlugin
    from pytest_orchestrator.recipe.station.model import Station


def owed(config: pytest.Config) -> list[OwedSafe]:
    """Return the safe states that earlier runs owe."""
    return owed_safe_states(settings.run_dir(config))


class OwedSafeStates:
    """Source of header lines about instruments that killed runs have left in use.

    Args:
        config: The configuration of the session.
        station: The station file.
    """

    def __init__(self, config: pytest.Config, station: "Station") -> None:
        self._config, self._station = config, station

    def header_lines(self) -> list[str]:
        """Return a line for each earlier run whose safe states this session can reach."""
        runs: dict[str, list[str]] = {}
        for each in owed(self._config):
            if obstacle_of(each, self._station) is None:
                runs.setdefault(each.run, []).append(each.instrument)
        is_only_listed = self._config.option.collectonly
        when = "not sent with --collect-only" if is_only_listed else "sent now"
        return [
            f"run {run} was ended while it used {' and '.join(names)}: "
            f"{counted(len(names), 'safe state')} owed, {when}"
            for run, names in runs.items()
        ]


def send_owed(plugin: "BenchPlugin", config: pytest.Config) -> None:
    """Send the safe commands that earlier runs owe, before the first step of this session.

    A debt is dropped with a line if a later run has used the instrument and made it safe, and if
    the station file has no such instrument or no commands for it any more. A debt of another
    station file stays, with a line.

    Args:
        plugin: The plugin of the bench.
        config: The configuration of the session.
    """
    if getattr(config, "workerinput", {}).get("workerid", "gw0") != "gw0":
        return
    for each in owed(config):
        obstacle = obstacle_of(each, plugin.bench.station)
        if obstacle is None:
            lock = plugin.bench.station.instruments[each.instrument].lock_name
            _send(plugin, config, each, lock)
            continue
        _say(config, f"{_debt(each)} is {obstacle.verdict}: {obstacle.why}")
        if obstacle.verdict == "dropped":
            plugin.made_safe(SafeResult(each.recipe, each.instrument, "", run=each.run))


def say_left_by_dead_workers(config: pytest.Config, folder: Path) -> None:
    """Say which instruments were used by workers of xdist that have died.

    Args:
        config: The configuration of the session.
        folder: The folder of the run.
    """
    for each in owed_by(lookup.load_record(folder)):
        why = "the worker that used it has died; the next session sends its commands"
        print_line(config, f"{each.instrument} is not in its safe state: {why}")


class Obstacle(NamedTuple):
    """Reason why a session does not send the safe commands that an earlier run owes."""

    verdict: Literal["dropped", "not reached"]
    why: str


def obstacle_of(debt: OwedSafe, station: "Station") -> Obstacle | None:
    """Return why the safe commands of an instrument are not sent; None if they are."""
    if debt.settled_by:
        return Obstacle("dropped", f"run {debt.settled_by} has made it safe since")
    if debt.station not in ("", station.id):
        here = f"{debt.instrument} is in {debt.station}, and this session uses {station.id}"
        return Obstacle("not reached", here)
    known = station.instruments.get(debt.instrument)
    if known is None or known.resource != debt.resource:
        what = f"instrument '{debt.instrument}' at {debt.resource}"
    elif not known.safe:
        what = f"'safe' of {debt.instrument}"
    else:
        return None
    return Obstacle("dropped", f"{station.id} has no {what} any more")


def _send(plugin: "BenchPlugin", config: pytest.Config, debt: OwedSafe, lock: str) -> None:
    who = f"safe state of {debt.instrument}"

    def waiting(name: str, owner: "Owner | None", seconds: float) -> None:
        wait_printer(config)(LockWait(who=who, lock=name, owner=owner, seconds=seconds))

    run = plugin.run_id
    try:
        held = locks.acquire([lock], run=run, step=who, waiting=waiting)
    except LockError as error:
        plugin.made_safe(SafeResult(debt.recipe, debt.instrument, str(error), run=debt.run))
        return
    assert held is not None  # noqa: S101 - nothing ends the wait
    with held:
        # Another session may have sent the commands while this one waited for the lock.
        if debt in owed(config):
            result = plugin.bench.make_safe(debt.instrument, debt.recipe, debt.run)
            if not result.reason:
                _say(config, f"{_debt(debt)} was reached")


def _debt(debt: OwedSafe) -> str:
    return f"the safe state of {debt.instrument} that run {debt.run} owed"


def _say(config: pytest.Config, text: str) -> None:
    if hasattr(config, "workerinput"):
        print(f"orchestrator: {text}", file=sys.stderr)  # noqa: T201 - a worker has no terminal
    else:
        print_line(config, text)
