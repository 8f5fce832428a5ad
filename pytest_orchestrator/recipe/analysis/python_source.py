"""Static analysis of Python scriptlets: uses of the Context and of `params`.

No key is guessed: a computed key is a pattern or unknown. After the Context is passed to code
that cannot be analysed, further reads and writes are possible.
"""

import ast
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from pytest_orchestrator.recipe.analysis.source_files import Module

Function = ast.FunctionDef | ast.AsyncFunctionDef

_WRITES = frozenset({"set", "append", "increment"})
_READS = frozenset({"get", "pop"})
_OTHERS = frozenset(
    {"delete", "keys", "to_dict", "get_history", "last_modified", "snapshot", "missed"}
)


def arguments(node: Function) -> list[tuple[ast.arg, ast.expr | None]]:
    """Return the parameters of a function that have a name, each with its default or None."""
    args = node.args
    by_place = [*args.posonlyargs, *args.args]
    defaults = [None] * (len(by_place) - len(args.defaults)) + args.defaults
    pairs = zip([*by_place, *args.kwonlyargs], [*defaults, *args.kw_defaults], strict=True)
    return list(pairs)


def parameters(node: Function) -> list[str]:
    """Return the names of the parameters of a function."""
    return [each.arg for each, _ in arguments(node)]


class Recorder:
    """Receiver of the uses of the Context, or of `params`, in the functions of a module.

    It follows the value from a function to the functions that receive it as an argument.

    Attributes:
        is_open: True if the value is passed to code that cannot be analysed.
    """

    def __init__(self, module: Module) -> None:
        self.is_open = False
        self._module = module
        self._seen: set[tuple[int, str]] = set()

    def follow(self, node: Function, name: str | None, methods: Mapping[str, Function]) -> None:
        """Analyse a function once.

        Args:
            node: The function.
            name: Its parameter that receives the value; with None nothing is done.
            methods: The methods of its class, by name.
        """
        if name is not None and (id(node), name) not in self._seen:
            self._seen.add((id(node), name))
            Body(self, node, name, methods).visit_all()

    def key_of(self, node: ast.expr) -> str | None:
        """Return the key that a node denotes, with `ANY` for computed parts; None if unknown."""
        return key_in(self._module, node)

    def function(self, name: str) -> Function | None:
        """Return a function of the module by its name; None if there is none to follow."""
        node = self._module.names.get(name)
        return node if isinstance(node, Function) else None

    def record_escape(self) -> None:
        """Record that the value is passed to code that cannot be analysed."""
        self.is_open = True

    def read(self, key: str | None, line: int) -> None:
        """Record a read of a key that must exist."""
        raise NotImplementedError

    def read_optional(self, key: str | None) -> None:
        """Record a read of a key that may be missing."""
        raise NotImplementedError

    def called(self, method: str, key: str | None, node: ast.Call, *, is_tested: bool) -> None:
        """Record a call of a method of the value.

        Args:
            method: The method.
            key: The key that its first argument denotes; None if unknown.
            node: The call.
            is_tested: True if the code tests the value that the method returns.
        """
        raise NotImplementedError


class Body(ast.NodeVisitor):
    """Visitor of one function whose parameter `name` receives the Context or `params`."""

    def __init__(
        self, recorder: Recorder, node: Function, name: str, methods: Mapping[str, Function]
    ) -> None:
        self._recorder = recorder
        self._node = node
        self._name = name
        self._methods = methods
        self._tested = _tested(node)
        self._local_texts = _local_texts(node)

    def visit_all(self) -> None:
        """Visit all statements of the function."""
        for each in self._node.body:
            self.visit(each)

    def _key(self, node: ast.expr) -> str | None:
        """Return the key that a node or its local variable denotes; None if unknown."""
        if isinstance(node, ast.Name) and node.id in self._local_texts:
            return self._local_texts[node.id]
        return self._recorder.key_of(node)

    def _is_followed(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id == self._name

    def visit_Name(self, node: ast.Name) -> None:
        """Record a use of the value that cannot be analysed."""
        if self._is_followed(node):
            self._recorder.record_escape()

    def visit_Compare(self, node: ast.Compare) -> None:
        """Record `key in ctx` as an optional read; `ctx is None` reads nothing."""
        sides = [node.left, *node.comparators]
        for place, (left, right) in enumerate(pairwise(sides)):
            operator = node.ops[place]
            if isinstance(operator, ast.In | ast.NotIn) and self._is_followed(right):
                self._recorder.read_optional(self._key(left))
            elif not isinstance(operator, ast.Is | ast.IsNot):
                for side in filter(self._is_followed, (left, right)):
                    self.visit(side)
        for side in sides:
            if not self._is_followed(side):
                self.visit(side)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """Record `ctx[key]` as a read."""
        if not self._is_followed(node.value):
            self.generic_visit(node)
            return
        self._recorder.read(self._key(node.slice), node.lineno)
        self.visit(node.slice)

    def visit_Call(self, node: ast.Call) -> None:
        """Record `ctx.method(key, ...)`, or a call that receives the value."""
        callee = node.func
        if isinstance(callee, ast.Attribute) and self._is_followed(callee.value):
            self._method(callee.attr, node)
        else:
            self.visit(callee)
            self._hand_on(callee, node)
        for each in [*node.args, *(keyword.value for keyword in node.keywords)]:
            if not self._is_followed(each):
                self.visit(each)

    def _method(self, name: str, node: ast.Call) -> None:
        arguments = [*node.args, *(each.value for each in node.keywords if each.arg == "key")]
        key = self._key(arguments[0]) if arguments else None
        self._recorder.called(name, key, node, is_tested=id(node) in self._tested)

    def _hand_on(self, callee: ast.expr, node: ast.Call) -> None:
        """Follow the value from a call into a function of the module or a method of the class."""
        if isinstance(callee, ast.Name) and callee.id == "isinstance":
            return
        target, bound = None, 0
        if isinstance(callee, ast.Name):
            target = self._recorder.function(callee.id)
        elif isinstance(callee, ast.Attribute) and _is_self(callee.value):
            target, bound = self._methods.get(callee.attr), 1
        names = parameters(target)[bound:] if target else []
        for place, each in enumerate(node.args):
            if self._is_followed(each):
                self._enter(target, names[place] if place < len(names) else None)
        for keyword in node.keywords:
            if self._is_followed(keyword.value):
                self._enter(target, keyword.arg if keyword.arg in names else None)

    def _enter(self, target: Function | None, name: str | None) -> None:
        if target is None or name is None:
            self._recorder.record_escape()
        else:
            self._recorder.follow(target, name, self._methods)


def _local_texts(function: Function) -> dict[str, str | None]:
    """Return the text of each local variable of a function; None if the value is not certain."""
    names: dict[str, str | None] = dict.fromkeys(parameters(function))
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names[node.id] = None if node.id in names else ""
    values = [
        (target.id, node.value.value)
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, str)
    ]
    once = {name for name, text in names.items() if text == ""}
    known: dict[str, str | None] = {name: text for name, text in values if name in once}
    return dict.fromkeys(names) | known


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _tested(function: ast.AST) -> set[int]:
    """Return the ids of the nodes whose values a function tests; such a value may be None."""
    tested: set[int] = set()
    names: set[str] = set()
    for node in ast.walk(function):
        for each in _conditions(node):
            tested.add(id(each))
            if isinstance(each, ast.Name):
                names.add(each.id)
    for node in ast.walk(function):
        if isinstance(node, ast.Assign | ast.NamedExpr) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(each, ast.Name) and each.id in names for each in targets):
                tested.add(id(node.value))
    return tested


def _conditions(node: ast.AST) -> Sequence[ast.AST]:
    """Return the parts of a syntax node that are tested for truth or compared."""
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


ANY = "*"
"""Placeholder for the computed part of a key."""

_NAMES = ("ctx", "context")


class Read(NamedTuple):
    """A read of a key that must exist.

    Attributes:
        key: The key.
        line: The line of the read, from 1.
    """

    key: str
    line: int


class Flow(NamedTuple):
    """Context keys that code reads and writes.

    Attributes:
        reads: Reads of keys that must exist.
        optional: Keys that may be missing, because the code tests for them.
        writes: Keys that are written, each with ``set``, ``append`` or ``increment``.
        is_open: True if the code may read and write further keys.
    """

    reads: tuple[Read, ...] = ()
    optional: frozenset[str] = frozenset()
    writes: frozenset[tuple[str, str]] = frozenset()
    is_open: bool = False


UNKNOWN = Flow(is_open=True)


def flow_of(module: Module, name: str, fixtures: Collection[str] = ()) -> Flow:
    """Return the Context keys that a class or function of a module reads and writes.

    Args:
        module: The module.
        name: The class or function.
        fixtures: Names of parameters that receive fixtures.
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
    """Return the Context keys that all functions of a module read and write together."""
    reader = _Reader(module)
    for node in module.names.values():
        if isinstance(node, Function):
            names = parameters(node)
            contexts = [name for name in names if name in (*_NAMES, "orchestrator_context")]
            reader.follow(node, next(iter(contexts), None), {})
    return reader.flow


class _Reader(Recorder):
    """Recorder of the Context keys that are read and written."""

    def __init__(self, module: Module, fixtures: Collection[str] = ()) -> None:
        super().__init__(module)
        self._fixtures = fixtures
        self._reads: list[Read] = []
        self._optional: set[str] = set()
        self._writes: set[tuple[str, str]] = set()

    @property
    def flow(self) -> Flow:
        """The reads and writes that were found so far."""
        return Flow(
            tuple(self._reads), frozenset(self._optional), frozenset(self._writes), self.is_open
        )

    def follow_class(self, node: ast.ClassDef) -> None:
        """Analyse the methods of a class that a step calls, including inherited ones."""
        methods = self._methods(node)
        for name in ("__init__", "validate", "run"):
            if name in methods:
                self.follow(methods[name], self.context_of(methods[name], bound=1), methods)
        self.is_open |= "run" not in methods

    def context_of(self, node: Function, bound: int = 0) -> str | None:
        """Return the name of the parameter that receives the Context from a step, or None."""
        names = parameters(node)[bound:]
        candidates = [name for name in names if name not in self._fixtures]
        return next((name for name in candidates if name in _NAMES), None)

    def _methods(self, node: ast.ClassDef) -> dict[str, Function]:
        inherited: dict[str, Function] = {}
        for base in node.bases:
            parent = self._module.names.get(base.id) if isinstance(base, ast.Name) else None
            if isinstance(parent, ast.ClassDef) and parent is not node:
                inherited |= self._methods(parent)
        own = (each for each in node.body if isinstance(each, ast.FunctionDef))
        return inherited | {each.name: each for each in own}

    def read(self, key: str | None, line: int) -> None:
        """Record a read of a key that must exist."""
        if key is not None and ANY not in key:
            self._reads.append(Read(key, line))

    def read_optional(self, key: str | None) -> None:
        """Record a read of a key that may be missing."""
        if key is not None:
            self._optional.add(key)

    def called(self, method: str, key: str | None, node: ast.Call, *, is_tested: bool) -> None:
        """Record a read or write by a method of the Context."""
        if method in _WRITES:
            if key is None or key.startswith(ANY):
                self.is_open = True
            else:
                self._writes.add((key, method))
        elif method in _READS:
            has_default = method == "get" and len(node.args) + len(node.keywords) > 1
            if has_default or is_tested:
                self.read_optional(key)
            else:
                self.read(key, node.lineno)
        elif method not in _OTHERS:
            self.record_escape()


def key_in(module: Module, node: ast.expr) -> str | None:
    """Return the Context key of a node, with `ANY` for computed parts; None if unknown."""
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
