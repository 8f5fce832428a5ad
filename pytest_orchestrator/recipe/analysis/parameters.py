"""Static check of the keys of `params` against the class or function that receives them.

Only certain mismatches are reported. The check stops at a decorator that may change the signature,
at a base class of another module, and where the mapping is passed to unknown code.
"""

import ast
import builtins
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from pytest_orchestrator.core.keys import RESERVED
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.recipe.analysis.python_source import Function
from pytest_orchestrator.recipe.analysis.source_files import Module
from pytest_orchestrator.recipe.model.step import PythonStep

PARAMS = "params"
_TRANSPARENT = frozenset({"track_resources", "staticmethod", "classmethod", "override", "final"})
"""Decorators that do not change a signature."""
_BASES = frozenset({"BaseScriptlet", "object", "ABC"})
_ALWAYS_GIVEN = frozenset({"ctx", "context", PARAMS})
"""Parameters that receive a value at each call; other reserved ones receive only a fixture."""
_SCOPES = frozenset({"locals", "vars", "eval", "exec"})


class Mismatch(NamedTuple):
    """A key of `params` that is missing, unknown or never read.

    Attributes:
        is_sure: True if the mismatch makes the step fail.
        place: The place in the recipe that a message marks.
        head: The message.
        hint: The proposed correction; may be empty.
    """

    is_sure: bool
    place: Place
    head: str
    hint: str = ""


class AcceptedKeys(NamedTuple):
    """The keys of `params` that a function accepts.

    Attributes:
        names: Names of parameters that receive the key of the same name.
        required: The names of these parameters that have no default.
        takes_all: True if one parameter receives the whole mapping.
        has_rest: True if the function has a parameter such as `**kwargs`.
        without_value: Names of parameters without a default that get neither a key nor a fixture.
    """

    names: tuple[str, ...]
    required: tuple[str, ...]
    takes_all: bool
    has_rest: bool
    without_value: tuple[str, ...]


def accepted_keys(
    node: Function, *, is_method: bool = False, fixtures: Collection[str] = ()
) -> AcceptedKeys:
    """Return the keys of `params` that the signature of a function accepts.

    Args:
        node: The function.
        is_method: True for a method: its first parameter is the object, unless it is static.
        fixtures: Names of parameters that receive a fixture.
    """
    args = node.args
    by_place = [*args.posonlyargs, *args.args]
    needed = by_place[: len(by_place) - len(args.defaults)]
    needed += [
        one for one, default in zip(args.kwonlyargs, args.kw_defaults, strict=True) if not default
    ]
    if is_method and "staticmethod" not in _decorators(node):
        by_place = by_place[1:]
    every = [*by_place, *args.kwonlyargs]
    own = [one.arg for one in every if one.arg not in RESERVED and one.arg not in fixtures]
    required = {one.arg for one in needed}
    return AcceptedKeys(
        names=tuple(own),
        required=tuple(name for name in own if name in required),
        takes_all=any(one.arg == PARAMS for one in every) or bool(args.vararg and not by_place),
        has_rest=args.kwarg is not None,
        without_value=tuple(sorted(required & RESERVED - _ALWAYS_GIVEN - {*fixtures})),
    )


def _decorators(node: Function | ast.ClassDef) -> set[str]:
    """Return the names of the decorators of a function or class, without module names."""
    found = (one.func if isinstance(one, ast.Call) else one for one in node.decorator_list)
    return {ast.unparse(one).rpartition(".")[2] for one in found}


def mismatches(step: PythonStep, module: Module, fixtures: Collection[str]) -> Iterator[Mismatch]:
    """Yield the keys of `params` that are certainly missing, unknown or never read.

    Args:
        step: The step.
        module: Its module.
        fixtures: The fixtures of the step and of its recipe.
    """
    name = step.class_ or step.function or ""
    node = module.names.get(name)
    is_expression = any(one.path[0] == PARAMS and len(one.path) == 1 for one in step.templates)
    if is_expression or module.tree is None or node not in module.tree.body:
        return
    if step.class_ and isinstance(node, ast.ClassDef):
        methods = _methods(node, module)
        if methods is not None:
            called = [one for one in ("validate", "run") if one in methods]
            functions: dict[str, Function] = {one: methods[one] for one in called}
            yield from _Check(step, module, functions, methods, fixtures, f"class '{name}'").all()
    elif isinstance(node, Function) and not step.class_:
        yield from _Check(step, module, {"": node}, {}, fixtures, f"function '{name}'").all()


def _methods(node: ast.ClassDef, module: Module) -> dict[str, Function] | None:
    """Return the methods of a class by name; None if the module may not show all of them."""
    found: dict[str, Function] = {}
    if node.decorator_list or node.keywords:
        return None
    for base in reversed(node.bases):
        name = ast.unparse(base).rpartition(".")[2]
        parent = module.names.get(name)
        if isinstance(parent, ast.ClassDef) and parent is not node:
            inherited = _methods(parent, module)
            if inherited is None:
                return None
            found |= inherited
        elif name not in _BASES:
            return None
    return found | {one.name: one for one in node.body if isinstance(one, Function)}


class _Check:
    """Check of `params` against one class or function."""

    def __init__(
        self,
        step: PythonStep,
        module: Module,
        functions: Mapping[str, Function],
        methods: Mapping[str, Function],
        fixtures: Collection[str],
        target: str,
    ) -> None:
        self._step = step
        self._module = module
        self._functions = functions
        self._target = target
        self._methods = methods
        self._accepted = {
            name: accepted_keys(node, is_method=bool(methods), fixtures=fixtures)
            for name, node in functions.items()
        }

    def all(self) -> Iterator[Mismatch]:
        """Yield the certain mismatches between `params` and the class or function."""
        if not self._accepted or any(
            _decorators(one) - _TRANSPARENT for one in self._functions.values()
        ):
            return
        keys = self._step.params
        missing = {
            name: "needs"
            for accepted in self._accepted.values()
            for name in accepted.required
            if name not in keys
        }
        unknown = [*self._unknown()]
        free = [one for each in self._accepted.values() for one in each.names if one not in keys]
        hints = {key: nearest(key, free) for key in unknown}
        for key, hint in hints.items():
            head = f"params has '{key}', which {self._target} does not take"
            yield Mismatch(True, self._step.at[f"params.{key}"], head, hint)
        if not unknown:
            yield from self._unread()
            missing |= {key: "reads" for key in self._always_read() if key not in keys}
        at = self._step.at
        called = at.get("class") or at.get("function") or at[""]
        for name, verb in missing.items():
            if f" (did you mean '{name}'?)" not in hints.values():
                head = f"params has no '{name}', which {self._target} {verb}"
                near = nearest(name, [key for key in keys if key not in hints])
                yield Mismatch(True, at.get(PARAMS, called), head, near if verb == "reads" else "")
        for name in dict.fromkeys(
            n for each in self._accepted.values() for n in each.without_value
        ):
            head = f"{self._target} needs '{name}', which receives no key of params"
            yield Mismatch(True, called, head, f"name a fixture '{name}' in the step's fixtures")

    def _unknown(self) -> Iterator[str]:
        """Yield the keys of `params` that the class or function does not accept."""
        names = {name for accepted in self._accepted.values() for name in accepted.names}
        strict = [each for each in self._accepted.values() if each.names and not each.takes_all]
        last = list(self._accepted.values())[-1]
        is_open = last.takes_all or last.has_rest or any(each.has_rest for each in strict)
        if strict and not is_open:
            yield from (key for key in self._step.params if key not in names)

    def _unread(self) -> Iterator[Mismatch]:
        """Yield a warning for each key of `params` that is accepted but never read."""
        reads = _Reads(self._module, self._methods)
        for name, node in self._functions.items():
            accepted = self._accepted[name]
            if accepted.has_rest or node.args.vararg:
                return
            if accepted.takes_all:
                reads.follow(node, PARAMS)
        if reads.is_open:
            return
        known = {*reads.keys, *(name for each in self._accepted.values() for name in each.names)}
        for key in self._step.params:
            if key not in known:
                head = f"{self._target} does not read '{key}' of params"
                yield Mismatch(False, self._step.at[f"params.{key}"], head, nearest(key, known))

    def _always_read(self) -> Iterator[str]:
        """Yield the keys of `params` that the code looks up in every run."""
        for name, node in self._functions.items():
            if self._accepted[name].takes_all and not node.args.vararg:
                yield from _first_lookups(node, self._module)


class _Reads(ast.NodeVisitor):
    """Visitor of the functions that receive the mapping `params`.

    Attributes:
        keys: The keys that are looked up in the mapping.
        is_open: True if the mapping is passed to code that cannot be analysed.
    """

    def __init__(self, module: Module, methods: Mapping[str, Function]) -> None:
        self.keys: dict[str, None] = {}
        self.is_open = False
        self._module = module
        self._methods = methods
        self._name = PARAMS
        self._seen: set[tuple[int, str]] = set()

    def follow(self, node: Function, name: str) -> None:
        """Visit a function whose parameter of this name receives the mapping."""
        if (id(node), name) in self._seen:
            return
        self._seen.add((id(node), name))
        before, self._name = self._name, name
        for each in node.body:
            self.visit(each)
        self._name = before

    def _is_mapping(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id == self._name

    def visit_Name(self, node: ast.Name) -> None:
        """Record a use of the mapping that cannot be analysed."""
        self.is_open |= self._is_mapping(node) or node.id in _SCOPES

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """Record the key of `params["x"]`."""
        if self._is_mapping(node.value):
            self._record_key(node.slice)
        else:
            self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        """Record the key of `"x" in params`."""
        is_in = len(node.ops) == 1 and isinstance(node.ops[0], ast.In | ast.NotIn)
        if is_in and self._is_mapping(node.comparators[0]):
            self._record_key(node.left)
        else:
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Record the key of `params.get("x")`, or follow a call that receives the mapping."""
        callee = node.func
        arguments = [*node.args, *(each.value for each in node.keywords)]
        if isinstance(callee, ast.Attribute) and self._is_mapping(callee.value):
            if callee.attr in ("get", "pop", "setdefault") and node.args:
                self._record_key(node.args[0])
                arguments = arguments[1:]
            else:
                self.is_open = True
        elif any(map(self._is_mapping, arguments)):
            self._follow_call(node)
            self.visit(callee)
            arguments = [each for each in arguments if not self._is_mapping(each)]
        else:
            self.visit(callee)
        for each in arguments:
            self.visit(each)

    def _record_key(self, key: ast.expr) -> None:
        text = _text(key)
        self.is_open |= text is None
        if text is not None:
            self.keys[text] = None

    def _follow_call(self, node: ast.Call) -> None:
        callee = node.func
        if isinstance(callee, ast.Name) and callee.id == "isinstance":
            return
        target, bound = None, 0
        if isinstance(callee, ast.Name):
            target = self._module.names.get(callee.id)
        elif isinstance(callee, ast.Attribute) and isinstance(callee.value, ast.Name):
            target = self._methods.get(callee.attr) if callee.value.id == "self" else None
            bound = 1
        if not isinstance(target, Function) or _decorators(target) - _TRANSPARENT - {
            "staticmethod"
        }:
            self.is_open = True
            return
        names = [each.arg for each in (*target.args.posonlyargs, *target.args.args)][bound:]
        places = {place: each for place, each in enumerate(node.args) if self._is_mapping(each)}
        keywords = [each.arg for each in node.keywords if self._is_mapping(each.value)]
        if len(places) + len(keywords) != 1 or any(place >= len(names) for place in places):
            self.is_open = True
            return
        name = next(iter(keywords), None) or names[next(iter(places))]
        self.follow(target, name)


def _text(node: ast.AST) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _first_lookups(node: Function, module: Module) -> Iterator[str]:
    """Yield the keys that a function looks up before it can end, branch or call unknown code."""
    for each in node.body:
        expression = _evaluated(each)
        if expression is None:
            return
        found, is_plain = _looked_up(expression, module)
        yield from found
        if not is_plain or not isinstance(each, ast.Assign | ast.AnnAssign | ast.Expr):
            return


def _evaluated(node: ast.stmt) -> ast.expr | None:
    """Return the expression that a statement evaluates first; None for an unsupported statement."""
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr | ast.Return):
        return node.value or ast.Constant(None)
    return node.test if isinstance(node, ast.If | ast.Assert | ast.While) else None


def _looked_up(node: ast.expr, module: Module) -> tuple[list[str], bool]:
    """Return the keys that an expression always looks up, and True if no part of it is unknown.

    Args:
        node: The expression.
        module: The module of the expression, which may redefine built-in functions.
    """
    if isinstance(node, ast.Constant | ast.Name):
        return [], True
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        key = _text(node.slice) if node.value.id == PARAMS else None
        return ([key], True) if key is not None else ([], False)
    if isinstance(node, ast.Call):
        callee = node.func
        is_known = isinstance(callee, ast.Name) and callee.id not in module.names
        if not (is_known and callee.id in dir(builtins)):  # type: ignore[attr-defined]
            return [], False
        return _looked_up_in_all([*node.args, *(each.value for each in node.keywords)], module)
    if isinstance(node, ast.BinOp):
        return _looked_up_in_all([node.left, node.right], module)
    if isinstance(node, ast.UnaryOp):
        return _looked_up(node.operand, module)
    if isinstance(node, ast.Compare):
        return _looked_up_in_all([node.left, node.comparators[0]], module)
    return [], False


def _looked_up_in_all(nodes: list[ast.expr], module: Module) -> tuple[list[str], bool]:
    found: list[str] = []
    for node in nodes:
        keys, is_plain = _looked_up(node, module)
        found += keys
        if not is_plain:
            return found, False
    return found, True
