"""How items that need more than pytest's own protocol are run: in public hooks alone.

The last item that uses a recipe runs with the first ``finally`` step as its next item, so
that the fixtures both use stay up in between. Steps that nobody selected run as items do,
within the same hooks, but only those that fail are told: as an error each.
"""

from collections.abc import Iterator
from typing import Literal

import pytest

from pytest_orchestrator.plugin import tables
from pytest_orchestrator.plugin.finals import Finals
from pytest_orchestrator.plugin.late_reports import later
from pytest_orchestrator.plugin.nodes import StepItem

INTERRUPTS = (KeyboardInterrupt, pytest.exit.Exception)


class LastItems:
    """Follows the last item that uses a recipe by the ``finally`` steps that are owed."""

    def __init__(self, config: pytest.Config, finals: Finals) -> None:
        self._finals = finals
        self._worker = hasattr(config, "workerinput")
        self._quiet: StepItem | None = None
        self._at: pytest.Item | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        """Run a step that is not told, or an item after which steps are owed."""
        if item is self._quiet:
            for report in _reports(self._quiet, nextitem):
                self.report(self._quiet, report)
            return True
        self._at = item
        self.play(self._finals.before(item), item)
        owed = self._finals.owed_after(item)
        if not owed:
            return None
        self._pass_on(item, owed[0])
        self.play([step for step in owed if self._finals.is_owed(step)], nextitem)
        return True

    def play(self, steps: list[StepItem], nextitem: pytest.Item | None) -> None:
        """Run steps that nobody selected, one after the other."""
        for step, after in followed(steps, nextitem):
            self._quiet = step
            step.ihook.pytest_runtest_protocol(item=step, nextitem=after)
            self._quiet = None

    def report(self, item: StepItem, report: pytest.TestReport) -> None:
        """Report a step that runs at the session's end: as an item if it was selected."""
        if not self._finals.selected(item):
            self.tell(item, report)
        elif self._worker:
            later(item.config, report)
        else:
            item.ihook.pytest_runtest_logreport(report=report)

    def tell(self, item: StepItem, report: pytest.TestReport) -> None:
        """Report a step that was not selected where it failed, as a teardown's error is."""
        if not report.failed:
            tables.keep(item.config, report)
            return
        report.when = "teardown"
        if self._worker and self._at is not None:
            # xdist takes reports for the item that it sent and for no other.
            report.nodeid = self._at.nodeid
            getattr(report, "_json_report_extra", {}).pop("metadata", None)  # that of another
        item.ihook.pytest_runtest_logreport(report=report)

    def _pass_on(self, item: pytest.Item, nextitem: pytest.Item) -> None:
        """Let whoever else runs items run this one, with another next item."""
        given = {"item": item, "nextitem": nextitem}
        for impl in reversed(item.ihook.pytest_runtest_protocol.get_hookimpls()):
            wraps = impl.wrapper or impl.hookwrapper
            if impl.plugin is not self and not wraps:
                done = impl.function(*(given[name] for name in impl.argnames))
                if done is not None:
                    return


def followed(
    steps: list[StepItem], last: pytest.Item | None
) -> Iterator[tuple[StepItem, pytest.Item | None]]:
    """Return each step with the item that comes after it."""
    return zip(steps, [*steps[1:], last], strict=False)


def torn_down(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Tear an interrupted item down; what its fixtures raise then changes nothing any more."""
    pytest.CallInfo.from_call(
        lambda: item.ihook.pytest_runtest_teardown(item=item, nextitem=nextitem),
        when="teardown",
        reraise=INTERRUPTS,
    )


def _reports(item: StepItem, nextitem: pytest.Item | None) -> list[pytest.TestReport]:
    """Set up, call and tear down an item; return what is to be told of it."""
    hook = item.ihook

    def stage(when: Literal["setup", "call", "teardown"], **more: object) -> pytest.TestReport:
        function = getattr(hook, f"pytest_runtest_{when}")
        call: pytest.CallInfo[None] = pytest.CallInfo.from_call(
            lambda: function(item=item, **more), when=when, reraise=INTERRUPTS
        )
        report: pytest.TestReport = hook.pytest_runtest_makereport(item=item, call=call)
        return report

    reports = [stage("setup")]
    if reports[0].passed:
        reports.append(stage("call"))
    reports.append(stage("teardown", nextitem=nextitem))
    return reports
