"""xdist scheduler that assigns whole recipes to workers, the longest first."""

from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from pytest_orchestrator.plugin.collection.needs import read_groups, recipe_of
from pytest_orchestrator.plugin.journal import baseline


class RecipeScheduler(LoadScopeScheduling):
    """Scheduler that keeps a recipe and its tests together; ``--dist`` groups all other tests.

    Args:
        config: The configuration of the controller.
        log: The logger that xdist passes to its schedulers.
        dist: The value of ``--dist``, which groups all other tests.
        groups: The file to which workers write the groups of items.
        started: All workers started so far, including those that are not ready yet.
    """

    def __init__(
        self, config: pytest.Config, log: Any, dist: str, groups: Path, started: list[Any]
    ) -> None:
        super().__init__(config, log)
        self._dist, self._groups, self._started = dist, groups, started
        self._group_names: dict[str, str] | None = None
        self._indexes: dict[str, int] | None = None
        self._excluded: dict[str, frozenset[Any]] = {}
        self._crashed: set[str] = set()

    def has_recipes(self) -> bool:
        """Return True if a collected item belongs to a recipe or uses one."""
        items: list[str] = next(iter(self.registered_collections.values()), [])
        return bool(self._read_groups()) or any(map(recipe_of, items))

    def remove_node(self, node: Any) -> str | None:
        """Requeue the unfinished units of a worker; return its running item.

        The result is None if no item was running or that item was returned before. A unit that
        the worker had begun goes to a worker that starts later. That worker does not run steps
        again, because it reads at its start which steps have run.
        """
        unfinished, died_of = _unfinished(self.assigned_work[node])
        self.assigned_work[node] = {}
        super().remove_node(node)
        self.workqueue.update(unfinished)
        if died_of is not None:
            begun = [
                scope for scope, unit in unfinished.items() if died_of in unit or any(unit.values())
            ]
            self._excluded.update(dict.fromkeys(begun, frozenset(self._started)))
            for other in self.assigned_work:
                self._reschedule(other)
        if died_of in self._crashed:  # xdist reports each item that is returned here
            return None
        if died_of is not None:
            self._crashed.add(died_of)
        return died_of

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        """Mark an item as done; drop a unit whose items are all done, to save memory."""
        super().mark_test_complete(node, item_index, duration)
        work = self.assigned_work.get(node, {})
        scope = self._split_scope(self.registered_collections[node][item_index])
        if scope in work and all(work[scope].values()):
            del work[scope]

    def _assign_work_unit(self, node: Any) -> None:
        """Assign a worker the longest unit that it may run; shut it down if none is left."""
        if self._indexes is None:
            # All workers have collected the same items; `list.index` would be linear per item.
            self._indexes = {item: index for index, item in enumerate(self.collection)}
            if self.config.getoption("loadscopereorder", True):
                for scope in baseline.longest_first(
                    baseline.known_durations(self.config), self.workqueue
                ):
                    self.workqueue.move_to_end(scope)
        allowed = (one for one in self.workqueue if node not in self._excluded.get(one, ()))
        scope = next(allowed, "")
        if not scope:  # a worker runs its last item only after the shutdown message
            node.shutdown()
            return
        unit = self.workqueue.pop(scope)
        self.assigned_work.setdefault(node, {})[scope] = unit
        node.send_runtest_some([self._indexes[item] for item, done in unit.items() if not done])

    def _reschedule(self, node: Any) -> None:
        """Assign work until a worker has two items: xdist workers hold their last item back."""
        super()._reschedule(node)
        work = self.assigned_work
        while self.workqueue and not node.shutting_down and self._pending_of(work[node]) < 2:
            self._assign_work_unit(node)

    def _read_groups(self) -> dict[str, str]:
        if self._group_names is None:
            self._group_names = read_groups(self._groups)["groups"]
        return self._group_names

    def _split_scope(self, nodeid: str) -> str:
        return self._read_groups().get(nodeid) or recipe_of(nodeid) or _scope(nodeid, self._dist)


def _unfinished(work: dict[str, dict[str, bool]]) -> tuple[dict[str, dict[str, bool]], str | None]:
    """Return the units of a dead worker that have items left, and the item that was running.

    Units without items left are dropped: a worker that is assigned no item waits forever. The
    running item counts as done if it is a test. A step stays in its unit, because the steps
    that need it wait for its result.
    """
    items = ((unit, item) for unit in work.values() for item, done in unit.items() if not done)
    unit, died_of = next(items, ({}, None))
    if died_of is not None:
        unit[died_of] = not recipe_of(died_of)
    return {scope: unit for scope, unit in work.items() if not all(unit.values())}, died_of


def _scope(nodeid: str, dist: str) -> str:
    """Return the group that xdist's own scheduler of a ``--dist`` mode gives a test."""
    if dist == "loadfile":
        return nodeid.partition("::")[0]
    if dist == "loadscope":
        return nodeid.rpartition("::")[0]
    if dist == "loadgroup" and "@" in nodeid.rpartition("]")[2]:
        return nodeid.rpartition("@")[2]
    return nodeid
