"""What a page shows of a Context: its tree, and the history of each key."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from pytest_orchestrator.reports.context_tree import Branch, tree
from pytest_orchestrator.reports.room import Room
from pytest_orchestrator.reports.safe_text import cut, told
from pytest_orchestrator.runs.record import Changes, Recorded

_MOST: Final = 4_000
_OPEN: Final = 60


class Row(NamedTuple):
    """A change of a key.

    Attributes:
        anchor: Of the step that made it; empty where none did.
    """

    ts: str
    who: str
    op: str
    old: str
    new: str
    masked: bool
    anchor: str


class Key(NamedTuple):
    """A key of a Context.

    Attributes:
        value: What it has at the end; None where it was deleted.
        rows: Its changes, the last ones.
        more: Number of changes before them.
    """

    value: str | None
    rows: tuple[Row, ...]
    more: int


class ContextView:
    """A Context for the templates.

    Attributes:
        scope: Key of the recipe that it belongs to; empty is that of the session.
        branches: Its tree.
        left_out: Number of keys that the page has no room for.
        is_small: All of the tree can be shown at once.
    """

    def __init__(
        self, changes: Changes, scope: str, anchors: Mapping[str, str], room: Room
    ) -> None:
        self.scope = scope
        self._changes, self._anchors, self._room = changes, anchors, room
        keys = changes.keys(scope)
        self.branches: tuple[Branch, ...] = tree(keys[:_MOST])
        self.left_out = max(0, len(keys) - _MOST)
        self.is_small = len(keys) <= _OPEN
        self._values = changes.values(scope)

    def key(self, name: str) -> Key:
        """Return what is shown of a key."""
        history = self._changes.history(name, self.scope)
        rows = tuple(self._rows(history[-self._room.changes :]))
        value = told(self._values[name], self._room.value) if name in self._values else None
        return Key(value, rows, max(0, len(history) - len(rows)))

    def _rows(self, history: list[Recorded]) -> Iterator[Row]:
        for one in history:
            old, new = (self._told(value) for value in (one.old, one.new))
            who, anchor = cut(one.who, 80), self._anchors.get(one.by, "")
            yield Row(one.ts, who, one.op, old, new, one.masked, anchor)

    def _told(self, value: Any) -> str:
        return "" if value is None else told(value, min(self._room.value, 200))
