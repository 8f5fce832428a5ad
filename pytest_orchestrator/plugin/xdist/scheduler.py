"""xdist scheduler that hands out whole recipes, the longest first."""

from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from pytest_orchestrator.plugin.collection.needs import read_groups, recipe_of
from pytest_orchestrator.plugin.journal import baseline


class RecipeScheduler(LoadScopeScheduling):
    """Recipes and those who use them together; other tests as ``--dist`` groups them.

    Args:
        config: The configuration of the controller.
        log: As xdist gives it to its schedulers.
        dist: How other tests are grouped.
        groups: The file in which a worker writes which items are kept together.
    """

    def __init__(self, config: pytest.Config, log: Any, dist: str, groups: Path) -> None:
        super().__init__(config, log)
        self._dist, self._groups = dist, groups
        self._users: dict[str, str] | None = None
        self._places: dict[str, int] | None = None
        self._closed: dict[str, frozenset[Any]] = {}

    def has_recipes(self) -> bool:
        """Tell whether a collected item belongs to a recipe."""
        items: list[str] = next(iter(self.registered_collections.values()), [])
        return bool(self._marked()) or any(map(recipe_of, items))

    def remove_node(self, node: Any) -> str | None:
        """Hand on what a worker has left; return what it died of.

        What it had begun is for the worker that takes its place: only one that starts later
        knows what was done of it, and does not do that again.
        """
        left, died_of = _left(self.assigned_work[node])
        self.assigned_work[node] = {}
        super().remove_node(node)
        self.workqueue.update(left)
        if died_of is not None:
            begun = [scope for scope, unit in left.items() if died_of in unit or any(unit.values())]
            self._closed.update(dict.fromkeys(begun, frozenset(self.assigned_work)))
            for other in self.assigned_work:
                self._reschedule(other)
        return died_of

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        """Take note of the end of an item; of units that are done nobody looks at any item."""
        super().mark_test_complete(node, item_index, duration)
        work = self.assigned_work.get(node, {})
        scope = self._split_scope(self.registered_collections[node][item_index])
        if scope in work and all(work[scope].values()):
            del work[scope]

    def _assign_work_unit(self, node: Any) -> None:
        """Hand out the unit that takes longest of those that are left."""
        if self._places is None:
            # All workers have collected the same. A list would be searched for each item.
            self._places = {item: place for place, item in enumerate(self.collection)}
            if self.config.getoption("loadscopereorder", True):
                for scope in baseline.longest_first(
                    baseline.known_durations(self.config), self.workqueue
                ):
                    self.workqueue.move_to_end(scope)
        free = (one for one in self.workqueue if node not in self._closed.get(one, ()))
        scope = next(free, "")
        if not scope:  # a worker begins its last item only once it knows that
            node.shutdown()
            return
        unit = self.workqueue.pop(scope)
        self.assigned_work.setdefault(node, {})[scope] = unit
        node.send_runtest_some([self._places[item] for item, done in unit.items() if not done])

    def _reschedule(self, node: Any) -> None:
        """Give a worker more; one begins an item only when it knows the next."""
        super()._reschedule(node)
        work = self.assigned_work
        while self.workqueue and not node.shutting_down and self._pending_of(work[node]) < 2:
            self._assign_work_unit(node)

    def _marked(self) -> dict[str, str]:
        if self._users is None:
            self._users = read_groups(self._groups)["groups"]
        return self._users

    def _split_scope(self, nodeid: str) -> str:
        return self._marked().get(nodeid) or recipe_of(nodeid) or _scope(nodeid, self._dist)


def _left(work: dict[str, dict[str, bool]]) -> tuple[dict[str, dict[str, bool]], str | None]:
    """Return what of the work of a worker others have to do, and the item that it died of.

    What is done is not handed on: a worker that is given nothing to do waits for ever. Nor is
    a test that it died of; of a step, those who need it wait to be told what became of it.
    """
    items = ((unit, item) for unit in work.values() for item, done in unit.items() if not done)
    unit, died_of = next(items, ({}, None))
    if died_of is not None:
        unit[died_of] = not recipe_of(died_of)
    return {scope: unit for scope, unit in work.items() if not all(unit.values())}, died_of


def _scope(nodeid: str, dist: str) -> str:
    """Return what xdist keeps together by itself."""
    if dist == "loadfile":
        return nodeid.partition("::")[0]
    if dist == "loadscope":
        return nodeid.rpartition("::")[0]
    if dist == "loadgroup" and "@" in nodeid.rpartition("]")[2]:
        return nodeid.rpartition("@")[2]
    return nodeid
