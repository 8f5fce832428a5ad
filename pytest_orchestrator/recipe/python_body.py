"""One function of a scriptlet, looked through for what it does with the Context."""

import ast
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Protocol

Function = ast.FunctionDef | ast.AsyncFunctionDef

_WRITES = frozenset({"set", "append", "increment"})
_READS = frozenset({"get", "pop"})
_OTHERS = frozenset(
    {"delete", "keys", "to_dict", "get_history", "last_modified", "snapshot", "missed"}
)


class Told(Protocol):
    """Is told what a function does."""

    def key_of(self, node: ast.expr) -> str | None:
        """A key as it is written; None where that says nothing."""

    def read(self, key: str | None, line: int) -> None:
        """A key that must be there."""

    def ask(self, key: str | None) -> None:
        """A key that may be missing."""

    def write(self, key: str | None, how: str) -> None:
        """A key that is written."""

    def lose(self) -> None:
        """The Context goes where nobody looks."""

    def function(self, name: str) -> Function | None:
        """A function of the same module."""

    def follow(self, node: Function, context: str | None, methods: Mapping[str, Function]) -> None:
        """A function that is given the Context."""


def parameters(node: Function) -> list[str]:
    """Return the names of the parameters of a function."""
    return [each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]


class Body(ast.NodeVisitor):
    """Looks at one function that has the Context under one name."""

    def __init__(
        self,
        told: Told,
        node: Function,
        context: str,
        methods: Mapping[str, Function],
    ) -> None:
        self._told = told
        self._node = node
        self._context = context
        self._methods = methods
        self._tested = _tested(node)

    def visit_all(self) -> None:
        """Look at its body."""
        for each in self._node.body:
            self.visit(each)

    def _is_context(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id == self._context

    def visit_Name(self, node: ast.Name) -> None:
        """A Context that stands anywhere else goes where nobody looks."""
        if self._is_context(node):
            self._told.lose()

    def visit_Compare(self, node: ast.Compare) -> None:
        """`key in ctx`: looked for."""
        sides = [node.left, *node.comparators]
        for place, (left, right) in enumerate(pairwise(sides)):
            is_in = isinstance(node.ops[place], ast.In | ast.NotIn)
            if is_in and self._is_context(right):
                self._told.ask(self._told.key_of(left))
        for side in sides:
            if not self._is_context(side):
                self.visit(side)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """`ctx[key]`: read."""
        if not self._is_context(node.value):
            self.generic_visit(node)
            return
        self._told.read(self._told.key_of(node.slice), node.lineno)
        self.visit(node.slice)

    def visit_Call(self, node: ast.Call) -> None:
        """`ctx.method(key, ...)`, or a call that is given the Context."""
        callee = node.func
        if isinstance(callee, ast.Attribute) and self._is_context(callee.value):
            self._method(callee.attr, node)
        else:
            self.visit(callee)
            self._hand_on(callee, node)
        for each in [*node.args, *(keyword.value for keyword in node.keywords)]:
            if not self._is_context(each):
                self.visit(each)

    def _method(self, name: str, node: ast.Call) -> None:
        given = [*node.args, *(each.value for each in node.keywords if each.arg == "key")]
        key = self._told.key_of(given[0]) if given else None
        if name in _WRITES:
            self._told.write(key, name)
        elif name in _READS:
            has_default = name == "get" and len(node.args) + len(node.keywords) > 1
            if has_default or id(node) in self._tested:
                self._told.ask(key)
            else:
                self._told.read(key, node.lineno)
        elif name not in _OTHERS:
            self._told.lose()

    def _hand_on(self, callee: ast.expr, node: ast.Call) -> None:
        """Follow the Context into a function of the module or a method of the class."""
        target, bound = None, 0
        if isinstance(callee, ast.Name):
            target = self._told.function(callee.id)
        elif isinstance(callee, ast.Attribute) and _is_self(callee.value):
            target, bound = self._methods.get(callee.attr), 1
        names = parameters(target)[bound:] if target else []
        for place, each in enumerate(node.args):
            if self._is_context(each):
                self._enter(target, names[place] if place < len(names) else None)
        for keyword in node.keywords:
            if self._is_context(keyword.value):
                self._enter(target, keyword.arg if keyword.arg in names else None)

    def _enter(self, target: Function | None, name: str | None) -> None:
        if target is None or name is None:
            self._told.lose()
        else:
            self._told.follow(target, name, self._methods)


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _tested(function: ast.AST) -> set[int]:
    """Return the expressions of a function whose value may be none: it is looked at first."""
    found: set[int] = set()
    names: set[str] = set()
    for node in ast.walk(function):
        for each in _conditions(node):
            found.add(id(each))
            if isinstance(each, ast.Name):
                names.add(each.id)
    for node in ast.walk(function):
        if isinstance(node, ast.Assign | ast.NamedExpr) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(each, ast.Name) and each.id in names for each in targets):
                found.add(id(node.value))
    return found


def _conditions(node: ast.AST) -> Sequence[ast.AST]:
    """Return what of a node is asked for its truth, or compared."""
    if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert):
        return [node.test]
    if isinstance(node, ast.BoolOp):
        return node.values
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return [node.operand]
    if isinstance(node, ast.Compare):
        return [node.left, *node.comparators]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.args if node.func.id in ("bool", "isinstance") else []
    return []
