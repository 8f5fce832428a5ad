"""Bench of a session: its events in the journal, warnings, and reports of failed safe states."""

import contextlib
import warnings
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.core.errors import JournalError
from pytest_orchestrator.core.events import InstrumentSafe
from pytest_orchestrator.execution.instruments.bench import Bench, Kept
from pytest_orchestrator.execution.instruments.process import InstrumentProcess, server_program
from pytest_orchestrator.execution.scheduling.recipe_locks import named_instruments
from pytest_orchestrator.instrument import InstrumentError
from pytest_orchestrator.plugin.instruments.exchanges import record_of
from pytest_orchestrator.plugin.interrupts import interrupts_deferred
from pytest_orchestrator.plugin.reporting.progress import print_line
from pytest_orchestrator.plugin.reporting.worker_reports import OWNER, count_report, report_later
from pytest_orchestrator.recipe.expressions.expression import ExpressionError
from pytest_orchestrator.runs.owed_safe import masked_result, use_of

if TYPE_CHECKING:
    from pytest_orchestrator.execution.lanes.lane import Lanes
    from pytest_orchestrator.execution.scheduling.serial import RecipeRun
    from pytest_orchestrator.plugin.session_state import SessionState
    from pytest_orchestrator.recipe.station.model import InstrumentSettings, Station


class CalibrationWarning(pytest.PytestWarning):
    """The calibration of an instrument is overdue."""


class SafeStates:
    """Plugin that records the ends of uses, and reports safe states that were not reached.

    Args:
        state: The state of the session.
        place: Path of the station file, for reports; empty without one.

    Attributes:
        item: The item that runs, or ran last; None before the first one.
    """

    def __init__(self, state: "SessionState", place: str) -> None:
        self.item: pytest.Item | None = None
        self._state, self._place = state, place
        self._unsafe: list[str] = []
        self._early: list[InstrumentSafe] = []

    def made_safe(self, result: InstrumentSafe) -> None:
        """Record the end of the use of an instrument; report it if it could not be made safe."""
        masked = self._state.masked
        recorder = self._state.recorder
        if recorder is not None:
            with contextlib.suppress(JournalError):  # the session ends with that error
                recorder.append(masked_result(result, masked))
        if result.reason:
            why = result.reason.removeprefix(f"{result.instrument}: ")
            self._unsafe.append(masked(f"{result.instrument} is not in its safe state: {why}"))
            self._report(result)

    def _report(self, result: InstrumentSafe) -> None:
        """Report a failed safe state as an error, as an unselected ``finally`` step that fails.

        The first item reports what came before it: pytest takes an error before its loop for one
        of the collection, and runs nothing. A worker of xdist may get no item.
        """
        config, masked = self._state.config, self._state.masked
        is_worker = hasattr(config, "workerinput")
        if self.item is None and not is_worker:
            self._early.append(result)
            return
        name = f"{result.instrument} (safe state)"
        node = f"{result.recipe}::{name}"
        lines = [": ".join(filter(None, (self._place, result.reason))), *result.transcript]
        report = pytest.TestReport(
            nodeid=node,
            location=(result.recipe, 0, name),
            keywords={},
            outcome="failed",
            longrepr="\n".join(map(masked, lines)),
            when="teardown",
        )
        if self.item is None:
            report_later(config, report)
            return
        if is_worker:  # xdist accepts reports only for the item that it sent
            setattr(report, OWNER, [node, False])
            report.nodeid = self.item.nodeid
        else:
            count_report(self.item.session, is_item=False)
        config.hook.pytest_runtest_logreport(report=report)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Note the item that runs; report what came before the first one."""
        self.item = item
        while self._early:
            self._report(self._early.pop(0))
        return (yield)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Say at the very end which instruments are not in their safe state."""
        for line in self._unsafe:
            print_line(self._state.config, line)


class BenchPlugin(SafeStates):
    """Plugin that records the use of the instruments of a station, and ends it when it is due.

    Args:
        state: The state of the session.
        lanes: The lanes of the session, which start the instrument process.
        station: The station file.
        begin_journal: Makes the run folder and begins its journal.

    Attributes:
        bench: The bench.
        run_id: Id of the run, for the records of lock owners.
        pending: Recipe runs that later items use.
        has_begun: True once the safe states that earlier runs owe are handled.
    """

    def __init__(
        self,
        state: "SessionState",
        lanes: "Lanes",
        station: "Station",
        begin_journal: Callable[[pytest.Session], None],
    ) -> None:
        super().__init__(state, station.id)
        self.begin_journal = begin_journal
        self.pending: dict[str, RecipeRun] = {}
        self.has_begun = False
        self._station = station
        self.run_id = state.folder.path.name
        self.exchanged = record_of(state).append

        def start() -> InstrumentProcess:
            return InstrumentProcess(lambda: lanes.connect(**server_program()), lanes.drop)

        self.bench = Bench(station, start, self)
        state.config.add_cleanup(self.bench.close)

    def opened(self, recipe: str, settings: "InstrumentSettings", idn: str, overdue: str) -> None:
        """Record that the use of an instrument begins, and warn if its calibration is overdue."""
        if overdue:
            self._warn(settings, overdue)
        masked = self._state.masked
        recorder = self._state.recorder
        if recorder is not None:
            recorder.append(
                use_of(
                    settings,
                    recipe,
                    masked,
                    idn=masked(idn),
                    calibrated=settings.calibrated.isoformat() if settings.calibrated else "",
                    due=settings.due.isoformat() if settings.due else "",
                    overdue=overdue,
                )
            )
            recorder.sync()  # a debt has to survive a power cut as well

    def _warn(self, settings: "InstrumentSettings", overdue: str) -> None:
        """Warn of an overdue calibration; it is an error where warnings are errors."""
        place = settings.at.get("due")
        line = place.line if place else 1
        try:
            warnings.warn_explicit(CalibrationWarning(overdue), None, str(self._station.path), line)
        except CalibrationWarning as warning:
            message = f"{warning}, and this session makes warnings errors"
            raise InstrumentError(message, instrument=settings.name, kind="refused") from None

    def release(self, user: str) -> None:
        """End the use of the instruments that nothing needs after a recipe run has ended.

        Ctrl-C is deferred until their safe commands are sent, which takes a bounded time.

        Args:
            user: Key of the recipe, or the path of a test module.
        """
        self.pending.pop(user, None)
        with interrupts_deferred():
            self.bench.release(user, self._kept())

    def release_idle(self) -> None:
        """End the use of the instruments that are kept only because later recipes use them too."""
        with interrupts_deferred():
            self.bench.release_idle(Kept(recipes=self._needed()))

    def _needed(self) -> set[str]:
        """Return the keys of the recipes that later recipes need."""
        return {one.recipe.key for run in self.pending.values() for one in _upstream(run)}

    def _kept(self) -> Kept:
        """Return the instruments and recipes that later runs of this process need.

        A worker of xdist does not know which of the other recipes it will run; recipes that need
        each other stay on one worker.
        """
        runs = self.pending.values()
        needed = self._needed()
        if hasattr(self._state.config, "workerinput"):
            return Kept(recipes=needed)
        names: set[str] = set()
        for run in runs:
            with contextlib.suppress(ExpressionError):  # its steps will raise the error
                names |= named_instruments(run.recipe, run.scope.early())
        return Kept(names, needed)

    def pytest_sessionfinish(self) -> None:
        """End the use by tests whose teardown was interrupted; that of recipes has ended before."""
        self.pending.clear()
        for user in self.bench.users:
            self.release(user)


def _upstream(run: "RecipeRun") -> "Iterable[RecipeRun]":
    """Yield the runs that a run needs directly or indirectly."""
    for one in run.needed:
        yield one
        yield from _upstream(one)


_KEY = pytest.StashKey[BenchPlugin]()


def bench_of(
    state: "SessionState",
    lanes: "Lanes",
    station: "Station",
    begin_journal: Callable[[pytest.Session], None],
) -> Bench:
    """Return the bench of a session, and register its plugin.

    Args:
        state: The state of the session.
        lanes: The lanes of the session.
        station: The station file.
        begin_journal: Makes the run folder and begins its journal, in a session without recipes.
    """
    plugin = BenchPlugin(state, lanes, station, begin_journal)
    state.config.stash[_KEY] = plugin
    state.config.pluginmanager.register(plugin, "orchestrator-bench")
    return plugin.bench


def bench_plugin(config: pytest.Config) -> BenchPlugin | None:
    """Return the plugin of the bench; None without a station file."""
    return config.stash.get(_KEY, None)
