"""The flat keys of a Context as the tree that their dots make of them."""

from collections.abc import Iterable
from typing import NamedTuple

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
