"""Reports of steps that a worker of xdist makes when the session is at its end.

xdist takes reports of the item that it has sent and of no other, and none once its own
session was interrupted. What a worker says last, with its exit status, gets through all the
same, if the worker has the time: xdist ends those that take more than ten seconds.
"""

import contextlib
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from pytest_orchestrator.plugin.interrupts import interrupts_wait

_REPORTS = "orchestrator_reports"


def later(config: pytest.Config, report: pytest.TestReport) -> None:
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
