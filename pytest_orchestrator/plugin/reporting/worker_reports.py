"""Reports of xdist workers: late ones, dead workers, watchdog timeouts.

xdist takes reports of the item that it has sent and of no other, and none once its own
session was interrupted. What a worker says last, with its exit status, gets through all the
same, if the worker has the time: xdist ends those that take more than ten seconds.

xdist tells that a worker has crashed. Of such a one it is known that the time of its step was
over, so that this is told, and kept for the worker that takes its place.
"""

import contextlib
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.plugin.interrupts import interrupts_wait

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pytest_orchestrator.plugin.journal.recorder import JournalRecorder
    from pytest_orchestrator.plugin.session_state import SessionState

_REPORTS = "orchestrator_reports"


def report_later(config: pytest.Config, report: pytest.TestReport) -> None:
    """On a worker: have a report told when the worker is through."""
    data = config.hook.pytest_report_to_serializable(config=config, report=report)
    config.workeroutput.setdefault(_REPORTS, []).append(data)  # type: ignore[attr-defined]


@contextlib.contextmanager
def beside(session: pytest.Session) -> Iterator[Callable[..., object]]:
    """Give what reports steps that were cut off when the session stopped at another.

    It was not their failure that it stops at: not for ``-x``, nor for ``--sw``.
    """
    stops, manager = session.shouldfail, session.config.pluginmanager
    stepwise = manager.get_plugin("stepwiseplugin")
    yield manager.subset_hook_caller("pytest_runtest_logreport", [stepwise] if stepwise else [])
    if stops:
        session.shouldfail = stops


class LateReports:
    """The side that takes them.

    Attributes:
        expected: The session has recipes.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.expected = False
        self._config = config
        self._session: Any = None
        self._nodes: list[Any] = []
        self._failed: set[str] = set()

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Take note of the session."""
        self._session = session

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Take note of a worker."""
        self._nodes.append(node)

    @pytest.hookimpl(wrapper=True, tryfirst=True, specname="pytest_runtest_logreport")
    def pytest_runtest_logreport_whole(self) -> Generator[None, object, object]:
        """Let Ctrl-C wait until all have taken a report; nobody gives it twice."""
        with interrupts_wait() if self.expected else contextlib.nullcontext():
            return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take note of what xdist itself reports: of an item whose worker was ended it does."""
        if report.failed:
            self._failed.add(report.nodeid)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Tell what a worker has said last; xdist goes on to ask why it was interrupted."""
        said = getattr(node, "workeroutput", None)  # a worker that died says nothing
        if said is not None and said["exitstatus"] != pytest.ExitCode.INTERRUPTED:
            self._tell(node)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(
        self, session: pytest.Session, exitstatus: int
    ) -> Generator[None, object, object]:
        """Let the workers come to their end, while reports can still be told."""
        if exitstatus == pytest.ExitCode.INTERRUPTED and self.expected:
            self._end_workers(session, exitstatus)
        return (yield)

    def _end_workers(self, session: pytest.Session, exitstatus: int) -> None:
        """Let xdist alone finish the session; to do so twice does nothing."""
        manager = self._config.pluginmanager
        xdist: Any = manager.get_plugin("dsession")
        others = [plugin for plugin in manager.get_plugins() if plugin is not xdist]
        finish = manager.subset_hook_caller("pytest_sessionfinish", others)
        finish(session=session, exitstatus=exitstatus)
        while not xdist.queue.empty():  # what came while it was interrupted
            event, told = xdist.queue.get()
            if event == "testreport":
                xdist.worker_testreport(**told)
        for node in self._nodes:
            self._tell(node)

    def _tell(self, node: Any) -> None:
        hook = self._config.hook
        failed = frozenset(self._failed)
        late = getattr(node, "workeroutput", {}).pop(_REPORTS, ())
        with beside(self._session) as tell:
            for data in late:
                report = hook.pytest_report_from_serializable(config=self._config, data=data)
                if report.nodeid not in failed:
                    tell(report=report)


def report_abandoned(
    state: "SessionState", keeper: "JournalRecorder", workers: "Iterable[str]"
) -> int:
    """Tell that steps have failed which workers died of, and of what nobody has tidied up.

    Args:
        state: That of the controller.
        keeper: Keeps the events.
        workers: The ids of the workers that died.

    Returns:
        The number of ``finally`` steps that nobody has run.
    """
    from pytest_orchestrator.plugin.reporting import tables
    from pytest_orchestrator.plugin.reporting.progress import print_line
    from pytest_orchestrator.runs import lookup, watchdog_entry
    from pytest_orchestrator.runs.journal.reader import read_journal
    from pytest_orchestrator.runs.journal.writer import NAME
    from pytest_orchestrator.runs.pending_finally import pending_in, told

    folder = state.folder.path
    entries = read_journal(folder / NAME).entries
    for worker in workers:
        reason = f"worker {worker} of pytest-xdist has died, and none took its place"
        event = watchdog_entry.crash_event(entries, worker, reason)
        if event is not None:
            keeper.tell(event)
            tables.keep_block(state.config, event.block)
    owed = pending_in(lookup.load_record(folder))
    if owed:
        listed = "; ".join(told(owed))
        cure = f"pytest --recipe-resume={folder.name}"
        words = f"no worker was left for `finally` of {listed}: {cure}"
        print_line(state.config, words, after_signal=True)
    return sum(map(len, owed.values()))


def report_overdue(report: Any, guarded: "Path") -> None:
    """Let a report and the journal say for what a worker was ended, where it was.

    Args:
        report: What xdist is about to tell of the item that the worker was running.
        guarded: The file of the worker's guard.
    """
    from pytest_orchestrator.execution.lanes import watchdog
    from pytest_orchestrator.plugin.results import failures
    from pytest_orchestrator.plugin.results.blocks import ATTRIBUTE, NEEDED
    from pytest_orchestrator.plugin.session_state import state_of
    from pytest_orchestrator.runs import watchdog_entry
    from pytest_orchestrator.runs.journal.reader import read_journal
    from pytest_orchestrator.runs.journal.writer import NAME

    word = watchdog.ended_by_watchdog(guarded)
    if word is None:
        return
    state = state_of(report.node.config)
    text, told = word[0], watchdog_entry.WatchdogReport.of(word[1][1:])
    shown = failures.raised(text.removeprefix("orchestrator: ")).getrepr(style="value")
    failures.blame(shown, state.config.rootpath / told.path, told.line, told.reason)
    report.longrepr = shown
    journal = state.folder.path / NAME
    entries = read_journal(journal).entries if journal.exists() else []
    event = watchdog_entry.timeout_event(entries, told, report.node.gateway.id)
    if event is None or state.keeper is None:
        return
    state.keeper.tell(event)
    if event.block["step"]["node"] != report.nodeid:
        setattr(report, NEEDED, [event.block])
        return
    setattr(report, ATTRIBUTE, event.block)
    report._json_report_extra = {"metadata": {ATTRIBUTE: event.block}}  # noqa: SLF001 - its name
