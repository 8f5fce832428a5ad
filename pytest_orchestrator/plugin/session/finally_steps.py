"""Pending ``finally`` steps of recipes, and the runtest protocol that runs them.

Each ``finally`` step runs once: as an item if it was selected, otherwise after the last item
that uses the recipe, and immediately if the session ends early.

The last item that uses a recipe runs with the first ``finally`` step as its next item, so that
fixtures which both items use are not torn down in between. Unselected steps run inside the same
hooks as items, but only failed steps are reported, each as an error.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import pytest

from pytest_orchestrator.plugin.collection.needs import NEEDS, Needs, runs_of
from pytest_orchestrator.plugin.collection.nodes import RecipeFile, StepItem
from pytest_orchestrator.plugin.registered import Plugin
from pytest_orchestrator.plugin.reporting import tables
from pytest_orchestrator.plugin.reporting.worker_reports import (
    OWNER,
    REPORTED,
    count_report,
    report_later,
)
from pytest_orchestrator.plugin.session_state import state_of

if TYPE_CHECKING:
    from pytest_orchestrator.execution.scheduling.run import RecipeRun


class FinallySteps:
    """Pending ``finally`` steps of a session."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._worker = hasattr(session.config, "workerinput")
        self._files: dict[str, RecipeFile] = {}
        self._ending = self._last_users()
        # No item has run in this process yet: a run that has begun did so in another worker.
        runs = state_of(session.config).runs.values()
        self._elsewhere = {run.recipe.key for run in runs if run.begun}

    def begin(self, item: pytest.Item) -> None:
        """Record that this process runs an item, and so must run its recipe's finally steps."""
        for run in runs_of(item):
            self._elsewhere.discard(run.recipe.key)

    def before(self, item: pytest.Item) -> list[StepItem]:
        """Return the due unselected finally steps before a finally step; empty for other items."""
        if not isinstance(item, StepItem) or not item.step.is_final:
            return []
        due = [step for step in self._due(item.run) if not self.selected(step)]
        return [step for step in due if step.step.index < item.step.index]

    def due_after(self, item: pytest.Item) -> list[StepItem]:
        """Return the unselected finally steps to run directly after an item."""
        ending = self._ending.get(item.nodeid, [])
        needs = item.stash.get(NEEDS, None)
        # A refused item begins no recipe: with a step that then does not run as its next item,
        # the file of the recipe would stay set up.
        begun = () if isinstance(needs, Needs) and needs.refused else runs_of(item)
        runs = [run for run in ending if _must_run_finally(run) or run in begun]
        return [step for run in runs for step in self._due(run) if not self.selected(step)]

    def over_after(self, item: pytest.Item) -> "list[RecipeRun]":
        """Return the recipe runs that no item after this one uses."""
        return self._ending.get(item.nodeid, [])

    @property
    def used_runs(self) -> "list[RecipeRun]":
        """The recipe runs that the items of the session use."""
        return [run for runs in self._ending.values() for run in runs]

    def all_due(self) -> list[StepItem]:
        """Return all finally steps that this process must still run, selected or not."""
        state = state_of(self._session.config)
        runs = [run for run in state.runs.values() if _must_run_finally(run)]
        own = [run for run in runs if run.recipe.key not in self._elsewhere]
        return [step for run in own for step in self._due(run)]

    def is_due(self, item: StepItem) -> bool:
        """Return True if steps of the recipe ran and this finally step has no result yet."""
        return _must_run_finally(item.run) and item.step.name not in item.run.results

    def selected(self, item: StepItem) -> bool:
        """Return True if pytest selected this finally step as an item."""
        return item.step.name in state_of(item.config).selected.get(item.recipe.key, set())

    def item(self, run: "RecipeRun", name: str) -> StepItem:
        """Return a new item for the named step of a recipe run."""
        return self._file(run).item(run.recipe, run.recipe.step(name))

    def _last_users(self) -> "dict[str, list[RecipeRun]]":
        """Return the recipe runs by the node id of the item after which they end."""
        items, last = self._session.items, {}
        for index, item in enumerate(items):
            for run in runs_of(item):
                last[run.recipe.key] = (index, run)
        ending: dict[str, list[RecipeRun]] = {}
        for index, run in last.values():
            ending.setdefault(items[self._end_of_use(index)].nodeid, []).append(run)
        return ending

    def _end_of_use(self, index: int) -> int:
        """Return the index of the item after which a run ends, given its last user.

        A step is itself that item. For a test, it is the last consecutive item of the test's file,
        because fixtures of the file may still use the run; in an xdist worker, it is the test.
        """
        items = self._session.items
        if self._worker or isinstance(items[index], StepItem):
            return index
        while index + 1 < len(items) and items[index + 1].path == items[index].path:
            index += 1
        return index

    def _due(self, run: "RecipeRun") -> list[StepItem]:
        steps = [step for step in run.recipe.final if step.name not in run.results]
        return [self._file(run).item(run.recipe, step) for step in steps] if steps else []

    def _file(self, run: "RecipeRun") -> RecipeFile:
        """Return the collector of a recipe; make it if no step of the recipe is an item."""
        if run.recipe.key not in self._files:
            for item in self._session.items:
                if isinstance(item, StepItem):
                    self._files[item.recipe.key] = item.parent
        if run.recipe.key not in self._files:
            file: RecipeFile = RecipeFile.from_parent(self._session, path=run.recipe.path)
            list(file.collect())
            self._files[run.recipe.key] = file
        return self._files[run.recipe.key]


def _must_run_finally(run: "RecipeRun") -> bool:
    """Return True if the finally steps of a recipe must run, because steps of the recipe ran.

    Steps that ran in the earlier run that this session resumes count too.
    """
    return run.begun or run.has_pending_finally


INTERRUPTS = (KeyboardInterrupt, pytest.exit.Exception)


class FinallyProtocol(Plugin):
    """Plugin that runs the due ``finally`` steps after the last item that uses a recipe."""

    def __init__(self, config: pytest.Config, finals: FinallySteps) -> None:
        self._finals = finals
        self._worker = hasattr(config, "workerinput")
        self._reported = frozenset(getattr(config, "workerinput", {}).get(REPORTED, ()))
        self._unselected: StepItem | None = None
        self._at: pytest.Item | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        """Run an unselected finally step, or an item with the finally steps around it.

        An item that xdist has reported does not run: its first worker died while it ran.
        """
        if item is self._unselected:
            for report in _reports(self._unselected, nextitem):
                self.report(self._unselected, report)
            return True
        self._at = item
        self.run_unselected(self._finals.before(item), item)
        due = self._finals.due_after(item)
        if item.nodeid in self._reported:
            tear_down(item, due[0] if due else nextitem)
        elif due:
            self._pass_on(item, due[0])
        else:
            return None
        self.run_unselected([step for step in due if self._finals.is_due(step)], nextitem)
        return True

    def run_unselected(self, steps: list[StepItem], nextitem: pytest.Item | None) -> None:
        """Run unselected finally steps one after another through the hooks of pytest."""
        for step, after in with_next(steps, nextitem):
            self._unselected = step
            step.ihook.pytest_runtest_protocol(item=step, nextitem=after)
            self._unselected = None

    def report(self, item: StepItem, report: pytest.TestReport) -> None:
        """Report a selected step as an item; report another step only if it failed."""
        if not self._finals.selected(item):
            self.report_failure(item, report)
        elif self._worker:
            report_later(item.config, report)
        else:
            item.ihook.pytest_runtest_logreport(report=report)

    def report_failure(self, item: StepItem, report: pytest.TestReport) -> None:
        """Report an unselected step as a teardown error if it failed; else only store its block."""
        if not report.failed:
            tables.keep(item.config, report)
            return
        report.when = "teardown"
        is_item = self._finals.selected(item)
        if not self._worker:
            count_report(item.session, is_item=is_item)
        elif self._at is not None:
            # xdist accepts reports only for the item that it sent.
            setattr(report, OWNER, [report.nodeid, is_item])
            report.nodeid = self._at.nodeid
        item.ihook.pytest_runtest_logreport(report=report)

    def _pass_on(self, item: pytest.Item, nextitem: pytest.Item) -> None:
        """Run an item by the other implementations of the protocol, with a changed next item."""
        arguments = {"item": item, "nextitem": nextitem}
        for impl in reversed(item.ihook.pytest_runtest_protocol.get_hookimpls()):
            wraps = impl.wrapper or impl.hookwrapper
            if impl.plugin is not self and not wraps:
                done = impl.function(*(arguments[name] for name in impl.argnames))
                if done is not None:
                    return


def with_next(
    steps: list[StepItem], last: pytest.Item | None
) -> Iterator[tuple[StepItem, pytest.Item | None]]:
    """Return pairs of a step and the item after it; the last step is paired with `last`."""
    return zip(steps, [*steps[1:], last], strict=False)


def tear_down(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Run the teardown of an item; ignore exceptions except interrupts."""
    pytest.CallInfo.from_call(
        lambda: item.ihook.pytest_runtest_teardown(item=item, nextitem=nextitem),
        when="teardown",
        reraise=INTERRUPTS,
    )


def _reports(item: StepItem, nextitem: pytest.Item | None) -> list[pytest.TestReport]:
    """Set up, call and tear down an item; return a report for each stage that ran."""
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
