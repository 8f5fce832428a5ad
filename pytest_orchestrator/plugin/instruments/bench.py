"""Bench of a session: its events and exchanges in the journal, and the fixture of tests."""

import contextlib
import hashlib
import threading
import warnings
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from msgspec.json import encode
from msgspec.structs import replace

from pytest_orchestrator.core.errors import JournalError
from pytest_orchestrator.core.events import InstrumentExchange, InstrumentSafe
from pytest_orchestrator.execution.instruments.bench import ORDERS, Bench, Kept
from pytest_orchestrator.execution.instruments.process import InstrumentProcess
from pytest_orchestrator.execution.instruments.replay import Replay, ReplayProcess
from pytest_orchestrator.execution.instruments.use import RecipeInstruments
from pytest_orchestrator.execution.locks import locks
from pytest_orchestrator.execution.locks.locks import LockWait
from pytest_orchestrator.execution.scheduling.recipe_locks import (
    named_instruments,
    refuse_own_session,
)
from pytest_orchestrator.instrument import Instrument, InstrumentError
from pytest_orchestrator.plugin.collection.needs import runs_of
from pytest_orchestrator.plugin.interrupts import interrupts_deferred
from pytest_orchestrator.plugin.reporting.progress import print_line, wait_printer
from pytest_orchestrator.plugin.reporting.worker_reports import OWNER, count_report, report_later
from pytest_orchestrator.plugin.session_state import state_of
from pytest_orchestrator.recipe.expressions.expression import ExpressionError
from pytest_orchestrator.runs.owed_safe import masked_result, use_of

if TYPE_CHECKING:
    from pytest_orchestrator.execution.lanes.lane import Lanes
    from pytest_orchestrator.execution.locks.lock_file import Owner
    from pytest_orchestrator.execution.scheduling.run import RecipeRun
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

    Attributes:
        bench: The bench.
        run_id: Id of the run, for the records of lock owners.
        replay: The recorded instruments; None if the real ones answer.
        pending: Recipe runs that later items use.
        has_begun: True once the safe states that earlier runs owe are handled.
    """

    def __init__(
        self,
        state: "SessionState",
        lanes: "Lanes",
        station: "Station",
    ) -> None:
        super().__init__(state, station.id)
        self.pending: dict[str, RecipeRun] = {}
        self.has_begun = False
        self._station = station
        self.run_id = state.folder.path.name
        self.exchanged = record_of(state).append
        self.replay = replay = _replay_of(state)
        self.bench = Bench(
            station,
            lambda: InstrumentProcess(lanes) if replay is None else ReplayProcess(replay),
            self,
            takes_locks=replay is None,
        )
        state.config.add_cleanup(self.bench.close)

    def opened(self, recipe: str, settings: "InstrumentSettings", idn: str, overdue: str) -> None:
        """Record that the use of an instrument begins, and warn if its calibration is overdue."""
        if overdue:
            self._warn(settings, overdue)
        masked = self._state.masked
        recorder = self._state.recorder
        self._state.simulated |= bool(settings.simulation)
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

    def lock_for(self, user: str) -> Callable[[str, threading.Event | None], bool]:
        """Return the function that claims a lock for the tests of a module, and waits for it.

        Args:
            user: The path of the module.
        """

        def lock(name: str, stop: threading.Event | None) -> bool:
            if name not in self.bench.held:
                acquired = locks.acquire(
                    [name], run=self.run_id, step=user, waiting=waiting, stop=stop
                )
                if acquired is None:
                    return False
                self.bench.claim(user, [name], acquired)
            self.bench.claim(user, [name])
            return True

        def waiting(name: str, owner: "Owner | None", seconds: float) -> None:
            refuse_own_session(name, owner, self.run_id)
            wait = LockWait(who=user, lock=name, owner=owner, seconds=seconds)
            wait_printer(self._state.config)(wait)

        return lock

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


def _replay_of(state: "SessionState") -> Replay | None:
    """Return the recorded instruments; None if the real ones answer."""
    known = state.replay
    return None if known is None else Replay(known.run, known.exchanges, known.data)


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
) -> Bench:
    """Return the bench of a session, and register its plugin.

    Args:
        state: The state of the session.
        lanes: The lanes of the session.
        station: The station file.
    """
    plugin = BenchPlugin(state, lanes, station)
    state.config.stash[_KEY] = plugin
    state.config.pluginmanager.register(plugin, "orchestrator-bench")
    return plugin.bench


def bench_plugin(config: pytest.Config) -> BenchPlugin | None:
    """Return the plugin of the bench; None without a station file."""
    return config.stash.get(_KEY, None)


FOLDER: Final = "artifacts/instruments"
"""Folder for the bytes of blocks, in the folder of the run."""

_MOST: Final = 64 << 20
"""Bytes of lines and blocks that one record keeps: some 200,000 short queries."""

_TEXTS: Final = ("instrument", "step", "command", "answer", "error")
"""Fields of an exchange that may contain a secret."""

_LINE: Final = 130
"""Bytes of a line in the journal besides its event: number, time, hash."""


class ExchangeRecord:
    """Record of the exchanges of one process, with instruments and with devices of step types.

    It is thread-safe.

    The lines are appended without an fsync, which follows at the next boundary of a step: a query
    must not wait for the disk.

    Args:
        state: The state of the session.
        most: Bytes that are recorded.
    """

    def __init__(self, state: "SessionState", most: int = _MOST) -> None:
        self._state, self._left, self._lock = state, most, threading.Lock()
        self._worker: str = getattr(state.config, "workerinput", {}).get("workerid", "main")

    def append(self, exchange: InstrumentExchange, data: bytes | None) -> None:
        """Append an exchange to the journal; a journal that fails is reported by the next step.

        Args:
            exchange: The exchange.
            data: The bytes that were sent or received; None if there were none.
        """
        recorder = self._state.recorder
        size = _LINE + len(encode(exchange)) + len(data or b"")
        with self._lock:
            left, self._left = self._left, self._left - size
        if recorder is None or left <= 0:
            return
        if left > size:
            known = self._masked(exchange, data)
        else:
            known = replace(exchange, command="", answer=None, error="")
            known = replace(self._masked(known, None), gap="cut")
        with contextlib.suppress(JournalError):
            recorder.append(replace(known, worker=self._worker))

    def append_of(self, recipe: str, exchange: InstrumentExchange) -> None:
        """Append an exchange of step code with a device whose connection the step itself holds.

        Args:
            recipe: Key of the recipe.
            exchange: The exchange, which has no number yet.
        """
        self.append(replace(exchange, recipe=recipe, order=next(ORDERS)), None)

    def _masked(self, exchange: InstrumentExchange, data: bytes | None) -> InstrumentExchange:
        """Return an exchange without secrets; keep its bytes if there are none."""
        masked, texts = self._state.masked, {name: getattr(exchange, name) for name in _TEXTS}
        known = replace(exchange, **masked(texts))
        text = data.decode(errors="surrogateescape") if data else ""
        if known != exchange or masked(text) != text:
            return replace(known, gap="masked")
        return replace(known, data=self._kept(data)) if data else known

    def _kept(self, data: bytes) -> str:
        """Write bytes to a file of the run, once, and return its path."""
        name = f"{FOLDER}/{hashlib.sha256(data).hexdigest()}"
        path = Path(self._state.folder.path, name)
        # A file that is there already has these bytes; one that is lost is missed by its digest.
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(data)
        return name


_RECORD = pytest.StashKey[ExchangeRecord]()


def record_of(state: "SessionState") -> ExchangeRecord:
    """Return the record of this process."""
    return state.config.stash.setdefault(_RECORD, ExchangeRecord(state))


def opener_for(
    request: pytest.FixtureRequest, begin: Callable[[pytest.Session], None]
) -> Callable[[str], Instrument]:
    """Return the function that gives a test the instruments of the station.

    A test with a ``recipe`` marker uses them as a step of that recipe does. The use by other tests
    ends with the last test of their module.

    Args:
        request: The request of the fixture.
        begin: Begins the journal and sends owed safe states, if no recipe is selected.

    Raises:
        Failed: The project has no station file.
    """
    _ = state_of(request.config).run_config  # makes the bench
    plugin = bench_plugin(request.config)
    if plugin is None:
        pytest.fail(
            "fixture 'instrument' needs a station file: station.yaml at the rootdir, or "
            "--recipe-station",
            pytrace=False,
        )
    runs = runs_of(request.node)
    if not plugin.has_begun:  # no recipe is selected
        plugin.has_begun = True
        begin(request.session)
    if runs:
        run = runs[-1]
        access = RecipeInstruments(plugin.bench, run.recipe.key, run.locks.lock_instrument)
    else:
        user = request.node.nodeid.partition("::")[0]  # the path of the module
        access = RecipeInstruments(plugin.bench, user, plugin.lock_for(user))
    return access.used_by(request.node.name).opener
