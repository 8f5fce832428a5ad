"""What a class or function does with keys of the Context, as far as its source says so.

Nothing is guessed: a key that is computed is one of many, or unknown; a Context that is
handed on to what cannot be looked into makes all that follows unknown.
"""

import ast
from collections.abc import Collection, Mapping
from typing import NamedTuple

from pytest_orchestrator.recipe.python_body import Body, Function, parameters
from pytest_orchestrator.recipe.sources import Module

ANY = "*"
"""Stands for the part of a key that is computed."""

_NAMES = ("ctx", "context")


class Read(NamedTuple):
    """A key that must be there.

    Attributes:
        key: The key.
        line: Where it is read, from 1.
    """

    key: str
    line: int


class Flow(NamedTuple):
    """What is read and written.

    Attributes:
        reads: What must be there.
        asked: Keys that may be missing: it is looked whether they are there.
        writes: The keys that are written, each by ``set``, ``append`` or ``increment``.
        is_open: There may be more.
    """

    reads: tuple[Read, ...] = ()
    asked: frozenset[str] = frozenset()
    writes: frozenset[tuple[str, str]] = frozenset()
    is_open: bool = False


UNKNOWN = Flow(is_open=True)


def flow_of(module: Module, name: str, fixtures: Collection[str] = ()) -> Flow:
    """Return what a class or function of a module reads and writes.

    Args:
        module: The module.
        name: The class or function.
        fixtures: What it is given besides, by the names of its parameters.
    """
    node = module.names.get(name)
    reader = _Reader(module, fixtures)
    if isinstance(node, Function):
        reader.follow(node, reader.context_of(node), {})
    elif isinstance(node, ast.ClassDef):
        reader.follow_class(node)
    else:
        return UNKNOWN
    return reader.flow


def flow_of_all(module: Module) -> Flow:
    """Return what all functions of a module do with what they call a Context."""
    reader = _Reader(module)
    for node in module.names.values():
        if isinstance(node, Function):
            names = parameters(node)
            known = [name for name in names if name in (*_NAMES, "orchestrator_context")]
            reader.follow(node, next(iter(known), None), {})
    return reader.flow


class _Reader:
    """Follows the Context through the functions of one module."""

    def __init__(self, module: Module, fixtures: Collection[str] = ()) -> None:
        self._module = module
        self._fixtures = fixtures
        self._reads: list[Read] = []
        self._asked: set[str] = set()
        self._writes: set[tuple[str, str]] = set()
        self._open = False
        self._seen: set[tuple[int, str | None]] = set()

    @property
    def flow(self) -> Flow:
        """What was found."""
        return Flow(tuple(self._reads), frozenset(self._asked), frozenset(self._writes), self._open)

    def follow_class(self, node: ast.ClassDef) -> None:
        """Follow the methods that a step calls, and those of the classes that it derives from."""
        methods = self._methods(node)
        for name in ("__init__", "validate", "run"):
            if name in methods:
                self.follow(methods[name], self.context_of(methods[name], bound=1), methods)
        if "run" not in methods:
            self._open = True

    def context_of(self, node: Function, bound: int = 0) -> str | None:
        """Return the parameter that gets the Context, as steps are called; None for none."""
        names = parameters(node)[bound:]
        given = [name for name in names if name not in self._fixtures]
        named = [name for name in given if name in _NAMES]
        if named:
            return named[0]
        return given[0] if len(given) > 1 and given[0] != "params" else None

    def _methods(self, node: ast.ClassDef) -> dict[str, Function]:
        found: dict[str, Function] = {}
        for base in node.bases:
            parent = self._module.names.get(base.id) if isinstance(base, ast.Name) else None
            if isinstance(parent, ast.ClassDef) and parent is not node:
                found |= self._methods(parent)
        own = (each for each in node.body if isinstance(each, ast.FunctionDef))
        return found | {each.name: each for each in own}

    def follow(
        self,
        node: Function,
        context: str | None,
        methods: Mapping[str, Function],
    ) -> None:
        """Follow the Context through one function, and through what it hands it to."""
        if context is None or (id(node), context) in self._seen:
            return
        self._seen.add((id(node), context))
        Body(self, node, context, methods).visit_all()

    # What functions tell.

    def read(self, key: str | None, line: int) -> None:
        """Take a key that must be there."""
        if key is not None and ANY not in key:
            self._reads.append(Read(key, line))

    def ask(self, key: str | None) -> None:
        """Take a key that may be missing."""
        if key is not None:
            self._asked.add(key)

    def write(self, key: str | None, how: str) -> None:
        """Take a key that is written."""
        if key is None or key.startswith(ANY):
            self._open = True
        else:
            self._writes.add((key, how))

    def lose(self) -> None:
        """Take that the Context goes where nobody looks."""
        self._open = True

    def function(self, name: str) -> Function | None:
        """Return a function of the module."""
        node = self._module.names.get(name)
        return node if isinstance(node, Function) else None

    def key_of(self, node: ast.expr) -> str | None:
        """Return a key as it is written, with `ANY` for what is computed; None for no idea."""
        return key_in(self._module, node)


def key_in(module: Module, node: ast.expr) -> str | None:
    """Return a key as a module writes it, with `ANY` for what is computed; None for no idea."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.Name):
        return module.constants.get(node.id)
    if isinstance(node, ast.JoinedStr):
        return "".join(_piece(module, value) for value in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = key_in(module, node.left), key_in(module, node.right)
        return (left or ANY) + (right or ANY) if left or right else None
    return None


def _piece(module: Module, value: ast.expr) -> str:
    inner = value.value if isinstance(value, ast.FormattedValue) else value
    return key_in(module, inner) or ANY
