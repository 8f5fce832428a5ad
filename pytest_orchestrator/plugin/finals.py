"""The ``finally`` steps of recipes: when they are due, and how they run then.

They run once: as items where they were selected, else after the last item that uses the
recipe, and at once where the session ends early. The last item runs with the first of
them as its next item, so that the fixtures both use stay up in between.
"""

from typing import TYPE_CHECKING, Literal

import pytest

from pytest_orchestrator.plugin import reporting
from pytest_orchestrator.plugin.needs import NEEDS, Needs
from pytest_orchestrator.plugin.nodes import RecipeFile, StepItem
from pytest_orchestrator.plugin.state import state_of

if TYPE_CHECKING:
    from pytest_orchestrator.execution.runner import Serial

_INTERRUPTS = (KeyboardInterrupt, pytest.exit.Exception)


class Finals:
    """Knows for a session which ``finally`` steps are owed."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._worker = hasattr(session.config, "workerinput")
        self._files: dict[str, RecipeFile] = {}
        self._due = self._last_users()

    def owed_after(self, item: pytest.Item) -> list[StepItem]:
        """Return the steps that were not selected and have to run after an item."""
        runs = [run for run in self._due.get(item.nodeid, []) if run.begun or run is _run_of(item)]
        return [step for run in runs for step in self._owed(run) if not self._selected(step)]

    def play(self, items: list[StepItem], nextitem: pytest.Item | None, at: pytest.Item) -> None:
        """Run steps as items, but count only those that fail: as an error each."""
        following = [*items[1:], nextitem]
        for item, after in zip(items, following, strict=True):
            if self._is_owed(item):
                for report in _reports(item, after):
                    self._tell(item, report, at)

    def all_now(self, interrupted: pytest.Item | None, at: pytest.Item | None) -> None:
        """Run everything that is owed, because the session ends early.

        Args:
            interrupted: The item that was cut off and is not torn down yet.
            at: The item that ran last.
        """
        items = [item for run in self._runs() for item in self._owed(run)]
        if interrupted is not None:
            if isinstance(interrupted, StepItem) and interrupted.result and not self._worker:
                for report in reporting.made_by_hand(interrupted)[1:]:
                    interrupted.ihook.pytest_runtest_logreport(report=report)
            _torn_down(interrupted, items[0] if items else None)
        for item, after in zip(items, [*items[1:], None], strict=True):
            if self._selected(item) and not self._worker:
                item.ihook.pytest_runtest_protocol(item=item, nextitem=after)
            elif at is not None:
                self.play([item], after, at)
        self.by_hand(at)

    def by_hand(self, at: pytest.Item | None = None) -> None:
        """Run what is still owed where pytest can set up no item any more.

        pytest may have closed its capture by now, so the reports are made here. A step
        that asks for fixtures cannot have them and is an error that says so.
        """
        for run in self._runs():
            for item in self._owed(run):
                names = [*run.recipe.fixtures, *item.step.fixtures]
                if names:
                    why = f"the session ended early; no fixture can be set up: {', '.join(names)}"
                    item.result = run.note(item.step, "failed", why)
                else:
                    item.result = run.result(item.step)
                for report in reporting.made_by_hand(item):
                    if self._selected(item) and not self._worker:
                        item.ihook.pytest_runtest_logreport(report=report)
                    else:
                        self._tell(item, report, at or item)

    def _tell(self, item: StepItem, report: pytest.TestReport, at: pytest.Item) -> None:
        if report.failed:
            report.when = "teardown"
            if self._worker:
                # xdist takes reports for the item that it sent and for no other.
                report.nodeid = at.nodeid
            item.ihook.pytest_runtest_logreport(report=report)
        else:
            reporting.keep(item.config, report)

    def _last_users(self) -> "dict[str, list[Serial]]":
        """Return for the node id of an item the runs that nobody uses after it."""
        items, last = self._session.items, {}
        for index, item in enumerate(items):
            run = _run_of(item)
            if run is not None:
                last[run.recipe.id] = (index, run)
        due: dict[str, list[Serial]] = {}
        for index, run in last.values():
            due.setdefault(items[self._settled(index)].nodeid, []).append(run)
        return due

    def _settled(self, index: int) -> int:
        """Put off what a test is last to use to the end of its file: its fixtures are up."""
        items = self._session.items
        if self._worker or isinstance(items[index], StepItem):
            return index
        while index + 1 < len(items) and items[index + 1].path == items[index].path:
            index += 1
        return index

    def _runs(self) -> "list[Serial]":
        return [run for run in state_of(self._session.config).runs.values() if run.begun]

    def _owed(self, run: "Serial") -> list[StepItem]:
        steps = [step for step in run.recipe.final if step.name not in run.results]
        return [self._file(run).item(step) for step in steps] if steps else []

    def _is_owed(self, item: StepItem) -> bool:
        return item.run.begun and item.step.name not in item.run.results

    def _selected(self, item: StepItem) -> bool:
        return item.name in state_of(item.config).selected.get(item.recipe.id, set())

    def _file(self, run: "Serial") -> RecipeFile:
        """Return the node of a recipe; a recipe that only a marker named has none yet."""
        if run.recipe.id not in self._files:
            for item in self._session.items:
                if isinstance(item, StepItem):
                    self._files[item.recipe.id] = item.parent
        if run.recipe.id not in self._files:
            file: RecipeFile = RecipeFile.from_parent(self._session, path=run.recipe.path)
            list(file.collect())
            self._files[run.recipe.id] = file
        return self._files[run.recipe.id]


def _run_of(item: pytest.Item) -> "Serial | None":
    if isinstance(item, StepItem):
        return item.run
    needs = item.stash.get(NEEDS, None)
    return needs.run if isinstance(needs, Needs) else None


def _reports(item: StepItem, nextitem: pytest.Item | None) -> list[pytest.TestReport]:
    """Set up, call and tear down an item; return what is to be told of it."""
    hook = item.ihook

    def stage(when: Literal["setup", "call", "teardown"], **more: object) -> pytest.TestReport:
        function = getattr(hook, f"pytest_runtest_{when}")
        call: pytest.CallInfo[None] = pytest.CallInfo.from_call(
            lambda: function(item=item, **more),
            when=when,
            reraise=_INTERRUPTS,
        )
        report: pytest.TestReport = hook.pytest_runtest_makereport(item=item, call=call)
        return report

    reports = [stage("setup")]
    if reports[0].passed:
        reports.append(stage("call"))
    reports.append(stage("teardown", nextitem=nextitem))
    return reports


def _torn_down(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Tear an interrupted item down; what its fixtures raise then changes nothing any more."""
    pytest.CallInfo.from_call(
        lambda: item.ihook.pytest_runtest_teardown(item=item, nextitem=nextitem),
        when="teardown",
        reraise=_INTERRUPTS,
    )
