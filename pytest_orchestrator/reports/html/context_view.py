"""Context view of the page: key tree and history."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from pytest_orchestrator.reports.html.budget import Room
from pytest_orchestrator.reports.text import cut, told
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


_DEEPEST = 20


class Branch(NamedTuple):
    """A key, or what several keys begin with.

    Attributes:
        name: What stands between two dots; several of them where nothing branches off between.
        key: The whole key; None where it is none itself.
        branches: What is below it, by name.
        keys: Number of keys, this one and all below it.
    """

    name: str
    key: str | None
    branches: tuple["Branch", ...]
    keys: int


class _Node:
    def __init__(self) -> None:
        self.key: str | None = None
        self.below: dict[str, _Node] = {}


def tree(keys: Iterable[str]) -> tuple[Branch, ...]:
    """Return the branches at the root.

    Args:
        keys: Flat dotted keys; their order stays.
    """
    root = _Node()
    for key in keys:
        node = root
        for part in key.split(".", _DEEPEST):
            node = node.below.setdefault(part, _Node())
        node.key = key
    return _branches(root)


def _branches(node: _Node) -> tuple[Branch, ...]:
    found = []
    for name, below in node.below.items():
        # A chain of names without a branch is one name.
        while below.key is None and len(below.below) == 1:
            ((more, below),) = below.below.items()  # noqa: PLW2901
            name = f"{name}.{more}"  # noqa: PLW2901
        branches = _branches(below)
        own = below.key is not None
        found.append(Branch(name, below.key, branches, own + sum(one.keys for one in branches)))
    return tuple(found)
