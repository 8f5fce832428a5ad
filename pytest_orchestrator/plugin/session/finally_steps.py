"""Finally steps: which are owed, and the runtest protocol that runs them.

They run once: as items where they were selected, else after the last item that uses the
recipe, and at once where the session ends early.

The last item that uses a recipe runs with the first ``finally`` step as its next item, so
that the fixtures both use stay up in between. Steps that nobody selected run as items do,
within the same hooks, but only those that fail are told: as an error each.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import pytest

from pytest_orchestrator.plugin.collection.needs import runs_of
from pytest_orchestrator.plugin.collection.nodes import RecipeFile, StepItem
from pytest_orchestrator.plugin.reporting import tables
from pytest_orchestrator.plugin.reporting.worker_reports import REPORTED, report_later
from pytest_orchestrator.plugin.session_state import state_of

if TYPE_CHECKING:
    from pytest_orchestrator.execution.scheduling.serial import RecipeRun


class FinallySteps:
    """Knows for a session which ``finally`` steps are owed."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._worker = hasattr(session.config, "workerinput")
        self._files: dict[str, RecipeFile] = {}
        self._due = self._last_users()
        # Nothing has run here yet: what has begun did so in another worker of xdist.
        runs = state_of(session.config).runs.values()
        self._elsewhere = {run.recipe.key for run in runs if run.begun}

    def begin(self, item: pytest.Item) -> None:
        """Take note that an item runs here: what its recipe owes is owed here from now on."""
        for run in runs_of(item):
            self._elsewhere.discard(run.recipe.key)

    def before(self, item: pytest.Item) -> list[StepItem]:
        """Return the steps that were not selected and come before a selected one."""
        if not isinstance(item, StepItem) or not item.step.is_final:
            return []
        owed = [step for step in self._owed(item.run) if not self.selected(step)]
        return [step for step in owed if step.step.index < item.step.index]

    def owed_after(self, item: pytest.Item) -> list[StepItem]:
        """Return the steps that were not selected and have to run after an item."""
        due = self._due.get(item.nodeid, [])
        runs = [run for run in due if _owes(run) or run in runs_of(item)]
        return [step for run in runs for step in self._owed(run) if not self.selected(step)]

    def over_after(self, item: pytest.Item) -> "list[RecipeRun]":
        """Return the runs that nobody uses any more once an item is through."""
        return self._due.get(item.nodeid, [])

    def owed_now(self) -> list[StepItem]:
        """Return all steps that are owed, because the session ends early."""
        runs = [run for run in state_of(self._session.config).runs.values() if _owes(run)]
        ours = [run for run in runs if run.recipe.key not in self._elsewhere]
        return [step for run in ours for step in self._owed(run)]

    def is_owed(self, item: StepItem) -> bool:
        """Tell whether a step still has to run: its recipe ran, and it did not."""
        return _owes(item.run) and item.step.name not in item.run.results

    def selected(self, item: StepItem) -> bool:
        """Tell whether pytest was asked for a step: then it is counted like any item."""
        return item.step.name in state_of(item.config).selected.get(item.recipe.key, set())

    def item(self, run: "RecipeRun", name: str) -> StepItem:
        """Return a new item for a step of a run."""
        return self._file(run).item(run.recipe, run.recipe.step(name))

    def _last_users(self) -> "dict[str, list[RecipeRun]]":
        """Return for the node id of an item the runs that nobody uses after it."""
        items, last = self._session.items, {}
        for index, item in enumerate(items):
            for run in runs_of(item):
                last[run.recipe.key] = (index, run)
        due: dict[str, list[RecipeRun]] = {}
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

    def _owed(self, run: "RecipeRun") -> list[StepItem]:
        steps = [step for step in run.recipe.final if step.name not in run.results]
        return [self._file(run).item(run.recipe, step) for step in steps] if steps else []

    def _file(self, run: "RecipeRun") -> RecipeFile:
        """Return the node of a recipe; a recipe that only a marker named has none yet."""
        if run.recipe.key not in self._files:
            for item in self._session.items:
                if isinstance(item, StepItem):
                    self._files[item.recipe.key] = item.parent
        if run.recipe.key not in self._files:
            file: RecipeFile = RecipeFile.from_parent(self._session, path=run.recipe.path)
            list(file.collect())
            self._files[run.recipe.key] = file
        return self._files[run.recipe.key]


def _owes(run: "RecipeRun") -> bool:
    """Tell whether steps of a recipe ran, be it in the run that this one goes on from."""
    return run.begun or run.owes_finally


INTERRUPTS = (KeyboardInterrupt, pytest.exit.Exception)


class FinallyProtocol:
    """Follows the last item that uses a recipe by the ``finally`` steps that are owed."""

    def __init__(self, config: pytest.Config, finals: FinallySteps) -> None:
        self._finals = finals
        self._worker = hasattr(config, "workerinput")
        self._reported = frozenset(getattr(config, "workerinput", {}).get(REPORTED, ()))
        self._quiet: StepItem | None = None
        self._at: pytest.Item | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        """Run a step that is not told, or an item after which steps are owed.

        An item that xdist has reported does not run: its worker died while it ran.
        """
        if item is self._quiet:
            for report in _reports(self._quiet, nextitem):
                self.report(self._quiet, report)
            return True
        self._at = item
        self.play(self._finals.before(item), item)
        owed = self._finals.owed_after(item)
        if item.nodeid in self._reported:
            torn_down(item, owed[0] if owed else nextitem)
        elif owed:
            self._pass_on(item, owed[0])
        else:
            return None
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
            report_later(item.config, report)
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
