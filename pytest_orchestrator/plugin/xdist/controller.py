"""xdist controller: registers scheduler and worker bookkeeping.

Workers know what belongs together, and write it to a file that the controller has named.
"""

import os
import tempfile
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.plugin.collection import needs
from pytest_orchestrator.plugin.interrupts import interrupt_on_sigterm
from pytest_orchestrator.plugin.reporting import not_run, tables
from pytest_orchestrator.plugin.reporting.worker_reports import DeadWorkers, LateReports
from pytest_orchestrator.plugin.session_state import CONTROLLER, GUARD, RUN, state_of
from pytest_orchestrator.plugin.xdist import controller_context

if TYPE_CHECKING:
    from pytest_orchestrator.plugin.session_state import SessionState


def join(config: pytest.Config) -> None:
    """Take part in a session that xdist may distribute."""
    if not hasattr(config, "workerinput"):
        tables.show_tables(config)
        config.pluginmanager.register(not_run.NotRun(config), not_run.NAME)
        late = LateReports(config)
        config.pluginmanager.register(late, "orchestrator-late-reports")
        controller = Controller(late)
        config.pluginmanager.register(controller, "orchestrator-distribution")
        if config.getoption("dist", "no") != "each":
            dead = DeadWorkers(config, controller.guard_of)
            config.pluginmanager.register(dead, "orchestrator-dead-workers")
        config.pluginmanager.register(
            controller_context.ControllerContext(config), "orchestrator-sharing"
        )


class Controller:
    """The side that hands out the items."""

    def __init__(self, late: LateReports) -> None:
        self._late = late
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._session: pytest.Session | None = None
        self._restore: Callable[[], None] = lambda: None

    @property
    def _file(self) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="orchestrator-")
        return Path(self._folder.name, "groups.json")

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Name the file that a worker writes to, and who it works for."""
        node.workerinput[needs.INPUT] = str(self._file)
        state = state_of(node.config)
        node.workerinput[CONTROLLER] = os.getpid()
        node.workerinput[GUARD] = str(self.guard_of(node))
        node.workerinput[RUN] = state.folder.path.name
        if state.resuming is not None:
            state.resuming.tell(node.workerinput)

    def guard_of(self, node: Any) -> Path:
        """Return the path of a worker's watchdog file."""
        return self._file.with_name(f"{node.gateway.id}.guard")

    @pytest.hookimpl(optionalhook=True, wrapper=True)
    def pytest_xdist_make_scheduler(
        self, config: pytest.Config, log: Any
    ) -> Generator[None, Any, Any]:
        """Put a scheduler that knows recipes around the one that xdist would use."""
        usual = yield
        dist = config.getvalue("dist")
        if dist == "each":
            return usual
        from pytest_orchestrator.plugin.xdist import scheduler as xdist_scheduler

        return Whole(
            usual,
            xdist_scheduler.RecipeScheduler(config, log, dist, self._file),
            self._with_recipes,
        )

    def _with_recipes(self) -> None:
        self._late.expected = True
        self._restore = interrupt_on_sigterm()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: Sequence[str]) -> None:
        """Begin the journal before any worker runs a step."""
        state = state_of(node.config)
        if self._file.exists() or any(map(needs.recipe_of, ids)):
            from pytest_orchestrator.plugin.session import journal

            self._take_up(state)
            assert self._session is not None  # noqa: S101  # it has begun
            journal.begin(self._session, state)
        else:
            state.drop_early()

    def _take_up(self, state: "SessionState") -> None:
        """Restore here, where the Contexts are, what workers will not run again."""
        if state.resuming is None or state.runs:
            return
        from pytest_orchestrator.plugin.collection import recipe_needs

        for path in needs.read_groups(self._file)["recipes"]:
            for cell in state.cells(state.config.rootpath / path):
                recipe_needs.link(state.run(cell), state)
        state.resuming.take_up(list(state.runs.values()))

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Take note of the session."""
        self._session = session

    def pytest_unconfigure(self) -> None:
        """Take the file away."""
        self._restore()
        if self._folder is not None:
            self._folder.cleanup()


class Whole:
    """A scheduler that leaves sessions without recipes to xdist's own, and groups the others."""

    def __init__(self, usual: Any, grouping: Any, with_recipes: Callable[[], None]) -> None:
        self._usual = usual
        self._grouping = grouping
        self._with_recipes = with_recipes
        self._chosen: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chosen or self._usual, name)

    def add_node(self, node: Any) -> None:
        """Take a worker in."""
        for scheduler in self._active():
            scheduler.add_node(node)

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """Take what a worker has collected."""
        for scheduler in self._active():
            scheduler.add_node_collection(node, collection)

    def remove_node(self, node: Any) -> Any:
        """Let a worker go; return the item that it was running."""
        first, *others = self._active()
        for scheduler in others:
            scheduler.remove_node(node)
        return first.remove_node(node)

    def schedule(self) -> None:
        """Hand out items; the first time, decide by what was collected who does so."""
        if self._chosen is None:
            has_recipes = self._grouping.has_recipes()
            self._chosen = self._grouping if has_recipes else self._usual
            if has_recipes:
                self._with_recipes()
        self._chosen.schedule()

    def _active(self) -> list[Any]:
        return [self._chosen] if self._chosen else [self._usual, self._grouping]
