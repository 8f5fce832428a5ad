"""Plugin of a running session: start of Python lanes and Dask, end of recipe runs."""

import os
import warnings
from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.plugin.collection import needs
from pytest_orchestrator.plugin.collection.nodes import StepItem
from pytest_orchestrator.plugin.interrupts import (
    EarlyEnds,
    interrupt_on_sigterm,
    interrupt_text,
    keep_exit_statuses,
)
from pytest_orchestrator.plugin.options import runner, settings
from pytest_orchestrator.plugin.python_lane import launch
from pytest_orchestrator.plugin.registered import Plugin
from pytest_orchestrator.plugin.reporting import not_run, tables, worker_reports
from pytest_orchestrator.plugin.reporting import reports as step_reports
from pytest_orchestrator.plugin.reporting.progress import print_line
from pytest_orchestrator.plugin.session import finally_steps, journal
from pytest_orchestrator.plugin.session.finally_steps import FinallySteps
from pytest_orchestrator.plugin.session_state import CAUSE, CONTROLLER, state_of
from pytest_orchestrator.runs.journal.debt_marks import may_have_debts

if TYPE_CHECKING:
    from pytest_orchestrator.execution.scheduling.run import RecipeRun
    from pytest_orchestrator.plugin.instruments.bench import BenchPlugin

_EARLY_ENDS = "orchestrator-early-ends"


def start(session: pytest.Session) -> None:
    """Register the plugins of a session that runs recipes."""
    # A failure is shown also if no file can be opened by then, so its modules are loaded here.
    from pytest_orchestrator.reports import failure, failure_view  # noqa: F401

    _end_with_controller(session.config)
    finals = FinallySteps(session)
    last_items = finally_steps.FinallyProtocol(session.config, finals)
    register = session.config.pluginmanager.register
    register(last_items, "orchestrator-last-items")
    register(RunningSession(session, finals, last_items), "orchestrator-running")
    register(step_reports.Blocks(), "orchestrator-blocks")
    if not hasattr(session.config, "workerinput"):
        register(not_run.NotRun(session.config), not_run.NAME)
    tables.show_tables(session.config)


def _end_with_controller(config: pytest.Config) -> None:
    """Make the kernel kill this xdist worker when its controller dies; do nothing elsewhere.

    A worker that waits for a step would not notice the death. A worker that the controller did
    not start itself, for example one via ssh, is not changed. A worker whose controller has
    died already ends by itself, because it receives no items.
    """
    if os.getppid() == getattr(config, "workerinput", {}).get(CONTROLLER):
        from pytest_orchestrator.execution.supervision import os_support

        os_support.end_with_parent()


class RunningSession(Plugin):
    """Plugin that ends recipe runs, and runs the ``finally`` steps that are due at an early end."""

    def __init__(
        self,
        session: pytest.Session,
        finals: FinallySteps,
        last_items: finally_steps.FinallyProtocol,
    ) -> None:
        self._session = session
        self._finals = finals
        self._last_items = last_items
        self._worker = hasattr(session.config, "workerinput")
        self._ending = False
        self._bench: BenchPlugin | None = None
        if state_of(session.config).station is not None:
            self._bench = _joined_bench(session.config, finals)
        controller = getattr(session.config, "workerinput", {}).get(CAUSE)
        session.config.add_cleanup(interrupt_on_sigterm(controller))
        session.config.add_cleanup(keep_exit_statuses())

    @pytest.hookimpl(wrapper=True, trylast=True, specname="pytest_runtest_protocol")
    def pytest_runtest_protocol_within(self, item: pytest.Item) -> Generator[None, object, object]:
        """Report and tear down an interrupted item, before the wrappers of other plugins end."""
        try:
            return (yield)
        except finally_steps.INTERRUPTS:
            self._report_interrupted(item)
            if not self._ending:
                finally_steps.tear_down(item, next(iter(self._finals.all_due()), None))
            raise

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """After each item, end the recipe runs that no later item uses.

        If the session must stop, run all finally steps that are due.
        """
        self._finals.begin(item)
        try:
            done = yield
        except finally_steps.INTERRUPTS as end:
            self._note_interrupt(interrupt_text(end))
            self._end()
            raise
        if self._session.shouldfail or self._session.shouldstop:
            self._end()
        step_reports.forget(item)
        for run in self._finals.over_after(item):
            self._over(run)
            run.drop_values()
        return done

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> None:
        """Start Dask and the Python lanes; create the run folder meanwhile."""
        config = self._session.config
        if not self._worker and not config.pluginmanager.has_plugin(_EARLY_ENDS):
            ends = EarlyEnds(self._session, launch.terminal(config))
            config.pluginmanager.register(ends, _EARLY_ENDS)
        if runner.dask_scheduler(config) is not None:
            from pytest_orchestrator.plugin import dask

            dask.start(self._session)
        if not self._session.testsfailed and not self._worker:
            start_python_lanes(self._session)
        journal.begin(self._session, state_of(config))
        if self._bench is not None:
            self._bench.has_begun = True
        if may_have_debts(settings.run_dir(config)):
            from pytest_orchestrator.plugin.instruments import owed

            owed.send_owed(config)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, exitstatus: int) -> Generator[None, object, object]:
        """Run the finally steps that are due and end all recipe runs."""
        if exitstatus == pytest.ExitCode.INTERRUPTED:
            self._note_interrupt("the session was interrupted")
        self._is_ending()
        self._run_without_items()
        for run in state_of(self._session.config).runs.values():
            self._over(run)
        return (yield)

    def _is_ending(self) -> None:
        """Note that no further item runs, so that nothing keeps an instrument in use."""
        self._ending = True
        if self._bench is not None:
            self._bench.pending.clear()

    def _note_interrupt(self, cause: str) -> None:
        """Note for finally steps that the session was interrupted: they ask no question any more.

        Args:
            cause: The cause, which is not replaced by a later one.
        """
        state = state_of(self._session.config)
        state.interrupted = state.interrupted or cause
        for run in state.runs.values():
            run.scope.is_cut_off = True

    def _over(self, run: "RecipeRun") -> None:
        """End a recipe run; report each of its services with its resource usage and failure."""
        for result in run.finish():
            item = self._finals.item(run, result.step)
            item.result = result
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                with step_reports.logged() as log:
                    run.replay_late_events(result.step)
                item.warn_of(result)
            for one in caught:
                arguments = {"warning_message": one, "when": "runtest", "location": None}
                recorded = item.ihook.pytest_warning_recorded
                recorded.call_historic(kwargs=arguments | {"nodeid": item.nodeid})
            report = step_reports.manual_reports(item)[1]
            if log:
                report.sections.append(("Captured log call", "\n".join(log)))
            self._last_items.report_failure(item, report)

    def _end(self) -> None:
        if self._ending:
            return
        self._is_ending()
        due = self._finals.all_due()
        for step, after in finally_steps.with_next(due, None):
            if self._finals.selected(step) and not self._worker:
                step.ihook.pytest_runtest_protocol(item=step, nextitem=after)
            else:
                self._last_items.run_unselected([step], after)
        self._run_without_items()

    def _report_interrupted(self, item: pytest.Item) -> None:
        """Report an item whose step or needed step was interrupted, because pytest does not."""
        setup = needs.cut_off(item)
        if setup is not None and isinstance(item, StepItem):
            why = str(setup.longrepr).partition("\n")[0]
            block = not_run.record_not_run(item.config, item.recipe, item.step, why)
            not_run.describe(item.config, setup, block)
        if setup is not None and self._worker:
            worker_reports.report_later(item.config, setup)
        elif setup is not None:
            item.ihook.pytest_runtest_logreport(report=setup)
        if not isinstance(item, StepItem) or item.result is None:
            return
        failure = item.result.failure
        if failure is None or failure.kind != "interrupted":
            return
        self._report(item, step_reports.manual_reports(item)[1:])
        if item.step.is_final:
            left = [step.name for step in self._finals.all_due()]
            follow = f"; {' and '.join(left)} still to run" if left else ""
            text = f"finally step '{item.name}' was {failure.reason}{follow}"
            print_line(self._session.config, text, after_signal=True)

    def _run_without_items(self) -> None:
        """Run the finally steps that are due without pytest's protocol, at the end of the session.

        pytest may have closed its capture, so the reports are made here. A step that requests
        fixtures is reported as an error, because they cannot be set up.
        """
        for item in self._finals.all_due():
            names = [*item.recipe.fixtures, *item.step.fixtures]
            if names:
                why = f"the session ended early; no fixture can be set up: {', '.join(names)}"
                item.result = item.run.note(item.step, "failed", why)
            else:
                try:
                    item.result = item.run.result(item.step)
                except finally_steps.INTERRUPTS:
                    item.result = item.run.results[item.step.name]
                    self._report_interrupted(item)
                    continue
            self._report(item, step_reports.manual_reports(item))

    def _report(self, item: StepItem, reports: list[pytest.TestReport]) -> None:
        for report in reports:
            self._last_items.report(item, report)


def _joined_bench(config: pytest.Config, finals: FinallySteps) -> "BenchPlugin | None":
    """Pass the recipe runs that the items use to the bench; return its plugin."""
    from pytest_orchestrator.plugin.instruments.bench import bench_plugin

    plugin = bench_plugin(config)
    if plugin is not None:
        plugin.pending = {run.recipe.key: run for run in finals.used_runs}
    return plugin


def start_python_lanes(session: pytest.Session) -> None:
    """Start the lanes for Python steps before the first item, because their start takes time."""
    state = state_of(session.config)
    idle = state.run_config.runs_inline or session.config.getoption("setuponly", False)
    if (
        idle
        or runner.dask_scheduler(session.config) is not None
        or not any(map(_needs_python, session.items))
    ):
        return
    state.slots[0].python.start()
    for run in state.runs.values():
        run.workers.start_early()


def _needs_python(item: pytest.Item) -> bool:
    """Return True if an item runs a Python step in a process of its own."""
    from pytest_orchestrator.plugin.collection.needs import NEEDS, Needs
    from pytest_orchestrator.recipe.model.step import CodeStep

    needs = item.stash.get(NEEDS, None)
    asked = needs.asked if isinstance(needs, Needs) else []
    steps = [step for _, steps in asked for step in steps]
    if isinstance(item, StepItem):
        steps += [item.step] * (not item.recipe.fixtures)
    return any(
        isinstance(step, CodeStep) and step.isolation != "inline" and not step.fixtures
        for step in steps
    )
