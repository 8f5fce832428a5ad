"""The ``finally`` steps of recipes: which are owed, and when.

They run once: as items where they were selected, else after the last item that uses the
recipe, and at once where the session ends early.
"""

from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.plugin.needs import NEEDS, Needs
from pytest_orchestrator.plugin.nodes import RecipeFile, StepItem
from pytest_orchestrator.plugin.state import state_of

if TYPE_CHECKING:
    from pytest_orchestrator.execution.scheduling.serial import RecipeRun


class Finals:
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
        for run in _runs_of(item):
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
        runs = [run for run in due if _owes(run) or run in _runs_of(item)]
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
            for run in _runs_of(item):
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


def is_used(run: "RecipeRun", session: pytest.Session) -> bool:
    """Tell whether an item uses a run, and so brings it to its end."""
    return any(run in _runs_of(item) for item in session.items)


def _runs_of(item: pytest.Item) -> "tuple[RecipeRun, ...]":
    if isinstance(item, StepItem):
        return (item.run,)
    needs = item.stash.get(NEEDS, None)
    return needs.used if isinstance(needs, Needs) else ()
