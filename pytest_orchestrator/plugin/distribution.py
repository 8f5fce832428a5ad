"""pytest-xdist: a recipe stays on one worker, whatever ``--dist`` says.

Tests that ask for a recipe by a marker go where its steps go. Workers know which tests
these are and the scheduler does not, so the first worker that has collected writes them
to a file that the controller named.
"""

import json
import os
import tempfile
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.plugin import sharing, tables
from pytest_orchestrator.plugin.claims import SUFFIXES
from pytest_orchestrator.plugin.interrupts import interrupt_on_sigterm
from pytest_orchestrator.plugin.late_reports import LateReports
from pytest_orchestrator.plugin.state import RUN, state_of

if TYPE_CHECKING:
    from pytest_orchestrator.plugin.state import State

_INPUT = "orchestrator_groups"


def join(config: pytest.Config) -> None:
    """Take part in a session that xdist may distribute."""
    if not hasattr(config, "workerinput"):
        tables.show_tables(config)
        late = LateReports(config)
        config.pluginmanager.register(late, "orchestrator-late-reports")
        config.pluginmanager.register(Controller(late), "orchestrator-distribution")
        config.pluginmanager.register(sharing.Sharing(config), "orchestrator-sharing")


def tell_groups(session: pytest.Session) -> None:
    """On a worker: write down which recipes there are, and which items are kept together."""
    from pytest_orchestrator.plugin import upstream
    from pytest_orchestrator.plugin.needs import NEEDS, Needs

    target = getattr(session.config, "workerinput", {}).get(_INPUT)
    if target is None:
        return
    runs = state_of(session.config).runs.values()
    together = upstream.together(runs)
    groups = {}
    for item in session.items:
        needs = item.stash.get(NEEDS, None)
        group = needs.run.recipe.id if isinstance(needs, Needs) else _group_of(item)
        group = group or recipe_of(item.nodeid)
        if group and (group in together or group != recipe_of(item.nodeid)):
            groups[item.nodeid] = together.get(group, group)
    if (groups or runs) and Path(target).parent.is_dir():
        partial = Path(f"{target}.{os.getpid()}")
        told = {"groups": groups, "recipes": list(dict.fromkeys(run.recipe.id for run in runs))}
        partial.write_text(json.dumps(told), encoding="utf-8")
        partial.replace(target)


def _group_of(item: pytest.Item) -> str:
    """Return the group of a test where ``--dist loadgroup`` is on, else nothing.

    xdist writes it into node ids, which pytest 9.2 does not let it do (pytest-xdist#1386).
    """
    if not getattr(item.config.option, "loadgroup", False):
        return ""
    marks = item.iter_markers("xdist_group")
    names = {str(next(iter((*mark.args, *mark.kwargs.values())), "default")) for mark in marks}
    return f"group {'_'.join(sorted(names))}" if names else ""


class Controller:
    """The side that hands out the items."""

    def __init__(self, late: LateReports) -> None:
        self._late = late
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._session: pytest.Session | None = None
        self._restore: Callable[[], object] = lambda: None

    @property
    def _file(self) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="orchestrator-")
        return Path(self._folder.name, "groups.json")

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Name the file that a worker writes to."""
        node.workerinput[_INPUT] = str(self._file)
        state = state_of(node.config)
        node.workerinput[RUN] = state.folder.path.name
        if state.resuming is not None:
            state.resuming.tell(node.workerinput)

    @pytest.hookimpl(optionalhook=True, wrapper=True)
    def pytest_xdist_make_scheduler(
        self, config: pytest.Config, log: Any
    ) -> Generator[None, Any, Any]:
        """Put a scheduler that knows recipes around the one that xdist would use."""
        usual = yield
        dist = config.getvalue("dist")
        if dist == "each":
            return usual
        from pytest_orchestrator.plugin import grouping

        return Whole(usual, grouping.Grouping(config, log, dist, self._file), self._with_recipes)

    def _with_recipes(self) -> None:
        self._late.expected = True
        self._restore = interrupt_on_sigterm()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: Sequence[str]) -> None:
        """Begin the journal before any worker runs a step."""
        state = state_of(node.config)
        if self._file.exists() or any(map(recipe_of, ids)):
            from pytest_orchestrator.plugin import journaling

            self._take_up(state)
            assert self._session is not None  # noqa: S101  # it has begun
            journaling.begin(self._session, state)
        else:
            state.drop_early()

    def _take_up(self, state: "State") -> None:
        """Restore here, where the Contexts are, what workers will not run again."""
        if state.resuming is None or state.runs:
            return
        from pytest_orchestrator.plugin import upstream

        for path in told(self._file)["recipes"]:
            for cell in state.cells(state.config.rootpath / path):
                upstream.link(state.run(cell), state)
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


def told(file: Path) -> Any:
    """Return what a worker has written down; nothing where it has nothing to do with recipes."""
    return json.loads(file.read_text("utf-8")) if file.exists() else {"groups": {}, "recipes": []}


def recipe_of(nodeid: str) -> str:
    """Return the path of the recipe that an item stands in; empty where it is no step."""
    file = nodeid.partition("::")[0]
    return file if file.endswith(SUFFIXES) else ""
