"""Reports of xdist workers: late ones, dead workers, watchdog timeouts.

xdist accepts reports only of the item that it sent to a worker, and no report after its own
session was interrupted. The `workeroutput`, which a worker sends with its exit status, arrives
in any case if the worker ends within ten seconds; xdist kills slower workers.

If a worker dies, xdist reports the item that it was running. That report is completed with the
block of the step, and the worker that takes its place does not report the item again.
"""

import contextlib
import copy
import threading
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from pytest_orchestrator.plugin.collection.needs import recipe_of
from pytest_orchestrator.plugin.interrupts import interrupts_deferred
from pytest_orchestrator.plugin.registered import Plugin
from pytest_orchestrator.plugin.session_state import state_of

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_orchestrator.core.events import StepFinished
    from pytest_orchestrator.core.result import Failure
    from pytest_orchestrator.plugin.session_state import SessionState
    from pytest_orchestrator.recipe.model.recipe import Recipe
    from pytest_orchestrator.recipe.model.step import Step
    from pytest_orchestrator.runs.journal.chain import Entry

_REPORTS = "orchestrator_reports"
REPORTED = "orchestrator_reported"
"""Key in the input of a worker: node ids of the items whose worker died, which xdist reports."""

_LONGEST_HOLD = 2.0
"""Seconds after which a locked queue of xdist is taken for one that Ctrl-C has left locked."""

OWNER = "orchestrator_owner"
"""Attribute of a report that a worker sends for the item that it runs, but which is of another step
or sampled value: the node id of that one, and true if it is an item."""


def count_report(session: pytest.Session, *, is_item: bool) -> None:
    """Count a report of a step that is no item, so that the progress stays below 100 %.

    Args:
        session: The session, which shows the progress.
        is_item: True if pytest has counted the step, because it is an item.
    """
    if not is_item:
        session.testscollected += 1


def report_later(config: pytest.Config, report: pytest.TestReport) -> None:
    """Add a report to the `workeroutput` that this xdist worker sends at its end."""
    data = config.hook.pytest_report_to_serializable(config=config, report=report)
    config.workeroutput.setdefault(_REPORTS, []).append(data)  # type: ignore[attr-defined]


@contextlib.contextmanager
def reporter_without_stops(session: pytest.Session) -> Iterator[Callable[..., object]]:
    """Yield a function that sends reports of steps which another step's failure interrupted.

    Their reports change neither the reason of ``-x`` nor the item at which ``--sw`` continues.
    """
    stops, manager = session.shouldfail, session.config.pluginmanager
    stepwise = manager.get_plugin("stepwiseplugin")
    yield manager.subset_hook_caller("pytest_runtest_logreport", [stepwise] if stepwise else [])
    if stops:
        session.shouldfail = stops


class LateReports(Plugin):
    """Plugin of the controller that receives the late reports of workers.

    Attributes:
        expected: True if the session has recipes.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.expected = False
        self._config = config
        self._session: Any = None
        self._nodes: list[Any] = []
        self._failed: set[str] = set()

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Store the session."""
        self._session = session

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Store the node of a worker."""
        self._nodes.append(node)

    @pytest.hookimpl(wrapper=True, tryfirst=True, specname="pytest_runtest_logreport")
    def pytest_runtest_logreport_whole(
        self, report: pytest.TestReport
    ) -> Generator[None, object, object]:
        """Give a report the node id of its owner, which xdist does not accept from a worker.

        Ctrl-C is deferred until all plugins have received the report, which is sent only once.
        """
        __tracebackhide__ = True
        owner = vars(report).pop(OWNER, None)
        if owner is not None:
            report.nodeid, is_item = owner
            count_report(self._session, is_item=is_item)
        with interrupts_deferred() if self.expected else contextlib.nullcontext():
            return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Store the ids of failed items, so that their late reports are dropped."""
        if report.failed:
            self._failed.add(report.nodeid)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Pass on the late reports of a worker, unless the worker was interrupted."""
        output = getattr(node, "workeroutput", None)  # a dead worker has none
        if output is not None and output["exitstatus"] != pytest.ExitCode.INTERRUPTED:
            self._report(node)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(
        self, session: pytest.Session, exitstatus: int
    ) -> Generator[None, object, object]:
        """Wait for the workers after an interrupt, while reports can still be sent."""
        if exitstatus == pytest.ExitCode.INTERRUPTED and self.expected:
            self._end_workers(session, exitstatus)
        return (yield)

    def _end_workers(self, session: pytest.Session, exitstatus: int) -> None:
        """End the workers by xdist's session-finish hook alone, and pass on their last reports."""
        manager = self._config.pluginmanager
        xdist: Any = manager.get_plugin("dsession")
        _release(xdist.queue.mutex)
        others = [plugin for plugin in manager.get_plugins() if plugin is not xdist]
        finish = manager.subset_hook_caller("pytest_sessionfinish", others)
        finish(session=session, exitstatus=exitstatus)
        while not xdist.queue.empty():  # events that arrived during the interrupt
            event, arguments = xdist.queue.get()
            if event == "testreport":
                xdist.worker_testreport(**arguments)
        for node in self._nodes:
            self._report(node)

    def _report(self, node: Any) -> None:
        hook = self._config.hook
        failed = frozenset(self._failed)
        late = getattr(node, "workeroutput", {}).pop(_REPORTS, ())
        with reporter_without_stops(self._session) as send:
            for data in late:
                report = hook.pytest_report_from_serializable(config=self._config, data=data)
                # xdist sets both on its own reports; JUnit separates items by them.
                report.node, report.worker_id = node, node.gateway.id
                if report.nodeid not in failed:
                    send(report=report)


def _release(mutex: threading.Lock) -> None:
    """Release the lock of xdist's queue if Ctrl-C has left it locked.

    Python may raise KeyboardInterrupt between the acquisition of the lock by `queue.Queue.get` and
    the `with` block that releases it. Then no report of a worker would arrive any more. The threads
    that receive these reports hold the lock for some microseconds only.
    """
    try:
        mutex.acquire(timeout=_LONGEST_HOLD)
    finally:  # also after a second Ctrl-C, which may come after the acquisition
        with contextlib.suppress(RuntimeError):
            mutex.release()


def report_pending_finally(state: "SessionState") -> int:
    """Print the ``finally`` steps that did not run, because no worker took a dead worker's place.

    Args:
        state: The session state of the controller.

    Returns:
        The number of these steps.
    """
    from pytest_orchestrator.plugin.reporting.progress import print_line
    from pytest_orchestrator.reports import failure
    from pytest_orchestrator.runs import lookup, pending_finally

    record = lookup.load_record(state.folder.path)
    pending = pending_finally.pending_in(record)
    if pending:
        listed = "; ".join(pending_finally.descriptions(pending))
        given = failure.options(pending_finally.vars_of(record, pending))
        cure = pending_finally.resume_command(state.folder.path.name, pending, given)
        text = f"no worker was left for `finally` of {listed}: {cure}"
        print_line(state.config, text, after_signal=True)
    return sum(map(len, pending.values()))


class DeadWorkers(Plugin):
    """Plugin that completes the reports of steps whose worker died while they ran.

    xdist reports the item of the step, and this plugin completes that report. xdist also sends
    the item to the worker that takes the dead one's place. That worker runs only the steps after
    the item, because this plugin sends it the node id.
    """

    def __init__(self, config: pytest.Config, guard_of: "Callable[[Any], Path]") -> None:
        self._config = config
        self._guard_of = guard_of
        self._reported: list[str] = []
        self._crash: Any = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Send a worker the node ids of the items that are reported already."""
        node.workerinput[REPORTED] = [*self._reported]

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Record in the journal that the steps of a dead worker were interrupted."""
        from pytest_orchestrator.execution.lanes import watchdog
        from pytest_orchestrator.plugin.reporting import tables
        from pytest_orchestrator.runs import unfinished_steps

        recorder, worker = state_of(self._config).recorder, node.gateway.id
        if error in (None, "keyboard-interrupt") or recorder is None or recorder.journal is None:
            return
        entries, events = self._entries(), []
        if ended := watchdog.ended_by_watchdog(self._guard_of(node)):
            report = unfinished_steps.WatchdogReport.of(ended[1][1:])
            timeout = unfinished_steps.timeout_event(entries, report, worker)
            events += [timeout] if timeout is not None else []
        reason = f"worker {worker} of pytest-xdist died while it ran"
        timed_out = {(one.recipe, one.step) for one in events}
        events += [
            one
            for one in unfinished_steps.interrupted_events(entries, worker, reason)
            if (one.recipe, one.step) not in timed_out
        ]
        for event in events:
            recorder.append_if_possible(event)
            tables.keep_block(self._config, event.block)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: Any) -> None:
        """Complete the report of an item whose worker died."""
        from pytest_orchestrator.plugin.reporting import not_run
        from pytest_orchestrator.runs.block import result_of

        plugin: not_run.NotRun | None = self._config.pluginmanager.get_plugin(not_run.NAME)
        step = plugin.step(crashitem) if plugin and recipe_of(crashitem) else None
        if step is None:
            return
        self._reported.append(crashitem)
        report.worker_id = report.node.gateway.id
        report.location = not_run.location(*step)
        end = self._recorded(*step)
        if end is None:  # the worker died in the setup, perhaps in a needed step
            why = f"worker {report.worker_id} of pytest-xdist died in its setup"
            report.when, report.longrepr = "setup", f"{crashitem}: {why}"
            block = not_run.record_not_run(self._config, *step, why)
        elif (failure := result_of(end).failure) and failure.kind in ("interrupted", "timeout"):
            report.when, self._crash = "call", report
            report.longrepr, block = self._failure_text(*step, failure), end.block
        else:
            report.when = "teardown"
            report.longrepr = f"worker {report.worker_id} of pytest-xdist died after {crashitem}"
            about = end.block["step"] | {"state": "error", "reason": report.longrepr}
            block = end.block | {"step": about}
        not_run.describe(self._config, report, block)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(self, report: Any) -> Generator[None, object, object]:
        """Add a teardown report after a completed report; plugins such as JUnit wait for one."""
        try:
            return (yield)
        finally:
            if report is self._crash:
                self._crash = None
                end = copy.copy(report)
                end.when, end.outcome, end.longrepr, end.duration = "teardown", "passed", None, 0.0
                self._config.hook.pytest_runtest_logreport(report=end)

    def _entries(self) -> "list[Entry]":
        from pytest_orchestrator.runs.journal.reader import read_journal
        from pytest_orchestrator.runs.journal.writer import NAME

        journal = state_of(self._config).folder.path / NAME
        return read_journal(journal).entries if journal.exists() else []

    def _recorded(self, recipe: "Recipe", step: "Step") -> "StepFinished | None":
        """Return the last outcome of a step in the journal, or None if the journal has none."""
        from pytest_orchestrator.core.events import StepFinished

        ends = (one.event for one in reversed(self._entries()))
        return next(
            (
                end
                for end in ends
                if isinstance(end, StepFinished)
                and (end.recipe, end.step) == (recipe.key, step.name)
            ),
            None,
        )

    def _failure_text(self, recipe: "Recipe", step: "Step", failure: "Failure") -> Any:
        from pytest_orchestrator.execution.scheduling.failures import failed
        from pytest_orchestrator.plugin.results import failures

        place = failure.place or step.at["name"]
        result = failed(step, replace(failure, place=place))
        text = failures.failure_text(self._config, recipe, step, result)
        longrepr = failures.raised(text).getrepr(style="value")
        failures.blame(longrepr, recipe.source(step).path, place.line, failure.reason)
        return longrepr
