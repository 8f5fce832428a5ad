"""Safe states that earlier runs owe: header lines, and commands before the first step."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import pytest

from pytest_orchestrator.core.errors import LockError
from pytest_orchestrator.core.events import SENT_NOT_CONFIRMED
from pytest_orchestrator.core.text import counted
from pytest_orchestrator.execution.interruptible import InterruptibleEvent
from pytest_orchestrator.execution.locks import locks
from pytest_orchestrator.plugin.instruments.bench import SafeStates, bench_plugin
from pytest_orchestrator.plugin.options import settings
from pytest_orchestrator.plugin.reporting.progress import print_line
from pytest_orchestrator.plugin.session_state import state_of
from pytest_orchestrator.recipe.problems import RecipeError
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.owed_safe import Ledger, OwedSafe, payments

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_orchestrator.execution.instruments.bench import Bench
    from pytest_orchestrator.execution.locks.lock_file import Owner
    from pytest_orchestrator.recipe.station.model import InstrumentSettings

_HIDDEN: Final = (
    "the journal of run {0} is damaged and may hide a safe state that is owed; look at its "
    "instruments, and then drop its debts: pytest-orchestrator runs forgive {0} --reason TEXT"
)
LATER: Final = "sent before the first step of a recipe, and before a test uses an instrument"


def ledger(config: pytest.Config) -> Ledger:
    """Return the debts of earlier runs."""
    return Ledger(settings.run_dir(config))


def has_no_bench(config: pytest.Config) -> bool:
    """Return True if the user has asked for a session without a station file, or for a replay."""
    state = state_of(config)
    is_without = state.station is None and settings.may_have_station(config)
    return is_without or state.replay is not None


class OwedSafeStates:
    """Source of header lines about safe states that earlier runs owe.

    Args:
        config: The configuration of the session.
        remark: When they are sent; empty before the first step, whose lines follow the header.
    """

    def __init__(self, config: pytest.Config, remark: str = "") -> None:
        self._config, self._remark = config, remark

    def header_lines(self) -> list[str]:
        """Return lines for the safe states that are owed, and for journals that may hide one."""
        debts, lost, remark = ledger(self._config), dict[tuple[str, str], str](), self._remark
        try:
            if self._config.option.collectonly:
                remark = "not sent with --collect-only"
            elif has_no_bench(self._config):
                is_replay = state_of(self._config).replay is not None
                why = "--recipe-instruments" if is_replay else "--recipe-station=none"
                remark = f"not sent with {why}"
            else:
                station = state_of(self._config).station
                lost = {one.key: why for one in debts.owed if (why := one.obstacle(station))}
        except RecipeError as error:
            remark = f"not sent while {error.path} has errors"
        return [
            *_lines((one for one in debts.owed if one.key not in lost), remark),
            *(f"the safe state of {name} stays owed: {why}" for (_, name), why in lost.items()),
            *map(_HIDDEN.format, debts.damaged),
        ]

    def pytest_report_collectionfinish(self) -> list[str]:
        """Return the header of a session without recipes; its list of tests is left as it is."""
        is_list = self._config.option.collectonly and self._config.get_verbosity() < 0
        return [] if is_list else [f"orchestrator: {line}" for line in self.header_lines()]


def say(config: pytest.Config) -> None:
    """Say in a controller of xdist what is owed; its workers have no terminal."""
    for line in OwedSafeStates(config, LATER).header_lines():
        print_line(config, line)


def say_later(config: pytest.Config) -> None:
    """Add a header line to a session without recipes if an earlier run owes a safe state."""
    config.pluginmanager.register(OwedSafeStates(config, LATER))


def send_owed(config: pytest.Config) -> None:
    """Pay the safe states that earlier runs owe, before the first step of this session.

    A debt that cannot be paid is an error of the session and stays.

    Args:
        config: The configuration of the session.
    """
    plugin = bench_plugin(config)
    reports = plugin or SafeStates(state_of(config), "")
    bench = None if plugin is None else plugin.bench
    if plugin is None:
        config.pluginmanager.register(reports, "orchestrator-safe-states")
    payable: dict[str, list[OwedSafe]] = {}
    is_first = getattr(config, "workerinput", {}).get("workerid", "gw0") == "gw0"
    for each in [] if has_no_bench(config) else ledger(config).owed:
        now = None if bench is None else each.found_in(bench.station)
        if now is not None:
            payable.setdefault(now.name, []).append(each)
        elif is_first:
            why = each.obstacle(None if bench is None else bench.station)
            reports.made_safe(each.refused(why))
    for name, debts in payable.items():
        assert bench is not None  # noqa: S101 - its station has the name
        _pay(reports, bench, config, debts, bench.settings(name))


def say_left_by_dead_workers(config: pytest.Config, folder: "Path") -> None:
    """Say which instruments were used by workers of xdist that have died.

    Args:
        config: The configuration of the session.
        folder: The folder of the run.
    """
    for name in lookup.load_record(folder).debts.owed:
        why = "the worker that used it has died; the next session sends its commands"
        print_line(config, f"{name} is not in its safe state: {why}")


def _lines(debts: Iterable[OwedSafe], remark: str) -> list[str]:
    runs: dict[str, list[str]] = {}
    for each in debts:
        runs.setdefault(each.run, []).append(each.instrument)
    return [
        f"run {run} has not made {' and '.join(names)} safe: {counted(len(names), 'safe state')} "
        f"owed{remark and ', '}{remark}"
        for run, names in runs.items()
    ]


def _pay(
    reports: "SafeStates",
    bench: "Bench",
    config: pytest.Config,
    debts: list[OwedSafe],
    now: "InstrumentSettings",
) -> None:
    """Pay the debts of one instrument, unless a living session uses it."""
    who, run = f"safe state of {now.name}", state_of(config).folder.path.name
    busy, stop = list["Owner | None"](), InterruptibleEvent()

    def waiting(_: str, owner: "Owner | None", __: float) -> None:
        if owner is None or owner.run != run:  # else another worker pays it now
            busy.append(owner)
            stop.set()

    ways = payments(debts, now)
    names = {one.lock_name for one in ways}
    try:
        held = locks.acquire(names, run=run, step=who, waiting=waiting, stop=stop)
    except LockError as error:
        for each in debts:
            reports.made_safe(each.refused(str(error)))
        return
    if held is None:
        by = f"{busy[0].step} of run {busy[0].run}" if busy[0] else "another process"
        for each in debts:
            _say(config, f"{each.phrase} owes is not due, because {by} uses the instrument")
        return
    with held:
        # Another session, or another worker of this one, may have tried while this one waited.
        tried = _tried(config)
        due = [one for one in ledger(config).owed if one in debts and one.key not in tried]
        if due:
            result = bench.make_safe(ways)
            for each in due:
                reports.made_safe(each.paid_by(result))
                if not result.reason:
                    sent = result.confirmation == SENT_NOT_CONFIRMED
                    how = f": {SENT_NOT_CONFIRMED}" if sent else " was reached"
                    _say(config, f"{each.phrase} owed{how}")


def _tried(config: pytest.Config) -> set[tuple[str, str]]:
    """Return the keys of the debts that this session could not pay before."""
    try:
        own = lookup.load_record(state_of(config).folder.path)
    except lookup.NoRun:
        return set()
    return {(one.run, one.instrument) for one in own.made_safe if one.reason}


def _say(config: pytest.Config, text: str) -> None:
    if hasattr(config, "workerinput"):
        print(f"orchestrator: {text}", file=sys.stderr)  # noqa: T201 - a worker has no terminal
    else:
        print_line(config, text)
