"""Context on a page: tree of its keys with their histories."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from pytest_orchestrator.reports.html.budget import ContentBudget
from pytest_orchestrator.reports.text import cut, json_text
from pytest_orchestrator.runs.changes import Changes, RecordedChange

_MAX_KEYS: Final = 4_000
_MAX_OPEN_KEYS: Final = 60


class Row(msgspec.Struct, frozen=True):
    """One change of a key.

    Attributes:
        anchor: Anchor of the step that made the change; empty if no step made it.
    """

    ts: str
    who: str
    op: str
    old: str
    new: str
    masked: bool
    anchor: str


class Key(msgspec.Struct, frozen=True):
    """A key of a Context.

    Attributes:
        value: Final value of the key; None if the key was deleted.
        rows: Its last changes.
        more: Number of earlier changes.
    """

    value: str | None
    rows: tuple[Row, ...]
    more: int


class ContextView:
    """View of a Context for the templates; that of a recipe has the keys that it changed.

    Attributes:
        scope: Key of the recipe that has the Context; empty for the Context of the session.
        branches: The branches at the root of the key tree.
        left_out: Number of keys that the page does not list.
        is_small: True if the whole tree can be shown open.
    """

    def __init__(
        self, changes: Changes, scope: str, anchors: Mapping[str, str], budget: ContentBudget
    ) -> None:
        self.scope = scope
        self._changes, self._anchors, self._budget = changes, anchors, budget
        keys = changes.own_keys(scope)
        self.branches: tuple[Branch, ...] = tree(keys[:_MAX_KEYS])
        self.left_out = max(0, len(keys) - _MAX_KEYS)
        self.is_small = len(keys) <= _MAX_OPEN_KEYS
        self._values = changes.values(scope)

    def key(self, name: str) -> Key:
        """Return the value and the history of a key."""
        history = self._changes.history(name, self.scope)
        rows = tuple(self._rows(history[-self._budget.changes :]))
        value = json_text(self._values[name], self._budget.value) if name in self._values else None
        return Key(value, rows, max(0, len(history) - len(rows)))

    def _rows(self, history: list[RecordedChange]) -> Iterator[Row]:
        for change in history:
            old, new = (self._value_text(value) for value in (change.old, change.new))
            who, anchor = cut(change.who, 80), self._anchors.get(change.by, "")
            yield Row(change.ts, who, change.op, old, new, change.masked, anchor)

    def _value_text(self, value: Any) -> str:
        return "" if value is None else json_text(value, min(self._budget.value, 200))


_MAX_DEPTH = 20


class Branch(msgspec.Struct, frozen=True):
    """Node of the key tree: a key, the common beginning of several keys, or both.

    Attributes:
        name: The part of the dotted key at this node; parts without a branch are joined.
        key: The whole key; None if no key ends here.
        branches: The nodes below it, by name.
        keys: Number of keys at this node and below.
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
    """Return the branches at the root of the key tree.

    Args:
        keys: Flat dotted keys; the branches keep their order.
    """
    root = _Node()
    for key in keys:
        node = root
        for part in key.split(".", _MAX_DEPTH):
            node = node.below.setdefault(part, _Node())
        node.key = key
    return _branches(root)


def _branches(node: _Node) -> tuple[Branch, ...]:
    branches = []
    for name, below in node.below.items():
        # A chain of names without a branch is one name.
        while below.key is None and len(below.below) == 1:
            ((more, below),) = below.below.items()  # noqa: PLW2901
            name = f"{name}.{more}"  # noqa: PLW2901
        children = _branches(below)
        keys = (below.key is not None) + sum(child.keys for child in children)
        branches.append(Branch(name, below.key, children, keys))
    return tuple(branches)
