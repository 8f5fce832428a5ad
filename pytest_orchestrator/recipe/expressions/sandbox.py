"""Jinja2 sandbox of expressions, and the lookups that an expression makes.

This module is imported only when the first expression is parsed. `ctx.a.b` is compiled to one call
with the complete path ``a.b``, because keys of the Context are flat and may contain dots, which
Jinja would read as attributes.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any, Final, cast

from jinja2 import Environment, StrictUndefined, TemplateSyntaxError, UndefinedError, nodes
from jinja2.parser import Parser
from jinja2.runtime import Context, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from pytest_orchestrator.core.figures.exact import exact
from pytest_orchestrator.core.json_values import kind
from pytest_orchestrator.core.suggestions import nearest, there_is
from pytest_orchestrator.core.text import lazy_pattern, quoted
from pytest_orchestrator.recipe.expressions import bounds
from pytest_orchestrator.recipe.expressions.names import (
    FUNCTIONS,
    OUTCOMES,
    Chain,
    PytestVariables,
)

CONTEXT = "ctx"
_VALUE = "value"
_LONGEST = 10_000
"""Most characters of one expression."""

_DEEPEST = 50
"""Most levels of one expression; Python parses at most 200 brackets, and a level may need two."""

_WHOLE: Final = 2**53
"""Least float that is not the only one for its integer."""

_TOO_DEEP = "it is nested too deep"
_DATA = (str, int, float, list, tuple, dict, type(None))
# A text without a closing quote extends to the end. Possessive quantifiers prevent backtracking.
_STRING = lazy_pattern(
    r"""(?s)'[^'\\]*+(?:\\.[^'\\]*+)*+(?:'|\\?\Z)|"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)"""
)
_ESCAPE = lazy_pattern(r"\\(?![\\'\"abfnrtvxuUN0-7\n])")
_SLIPS = {
    "char '&'": "write `and`",
    "char '!'": "write `not`",
    "'='": "write `==`",
    "'name', got '|'": "write `or`",
}


class Missing(StrictUndefined):
    """Placeholder for a missing value: it may be tested (`is defined`, `default`), but not used."""

    @property
    def _undefined_message(self) -> str:
        return self._undefined_hint or f"unknown name '{self._undefined_name}'"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, _key: object) -> "Missing":  # type: ignore[override]
        return self


def within_deadline(call: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a filter or test of Jinja: the deadline is checked before it and between its items."""

    @wraps(call)
    def within(*args: Any, **named: Any) -> Any:
        bounds.check()
        result = call(*args, **named)
        return _checked(result) if isinstance(result, Iterator) else result

    return within


def _checked(items: Iterator[Any]) -> Iterator[Any]:
    for one in items:
        bounds.check()
        yield one


def number(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter like `int` or `float` that without a default fails on what is no number.

    Jinja makes 0 of it, and a limit would accept that as a measured value.
    """

    def read(value: Any, **named: Any) -> Any:
        """Return the number; None for infinity, NaN and what is no number."""
        try:
            result = call(value, default=None, **named)
        except OverflowError:
            return None
        return None if result != result else result  # noqa: PLR0124 - NaN

    @wraps(call)
    def converted(value: Any, *rest: Any, **named: Any) -> Any:
        if rest or "default" in named:
            return call(value, *rest, **named)
        result = read(value, **named)
        if result is None:
            shown = quoted(value) if isinstance(value, str) else kind(value)
            shown = str(value) if isinstance(value, float) else shown  # infinity and NaN
            cure = f"`{name}(0)` gives 0 instead"
            words = value.split() if isinstance(value, str) else []
            if len(words) == 2 and read(words[0], **named) is not None:  # such as 12.05 V
                cure = f"`.split()[0] | {name}` reads its first word"
            raise UndefinedError(f"{shown} is no number that `{name}` can read ({cure})")
        return result

    return converted


class _Language(ImmutableSandboxedEnvironment):
    """Jinja environment of all expressions."""

    intercepted_binops = frozenset({"*", "**"})

    def __init__(self) -> None:
        # Not optimized: Jinja writes constants that it folds as Python code, which has no infinity.
        super().__init__(undefined=Missing, cache_size=0, optimized=False)
        allowed = {name: self.globals[name] for name in FUNCTIONS}
        self.globals.clear()
        self.globals.update(allowed)
        for name in ("int", "float"):
            self.filters[name] = number(name, self.filters[name])
        tables: tuple[dict[str, Any], ...] = (self.filters, self.tests)
        for table in tables:
            for name, call in table.items():
                table[name] = within_deadline(call)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look up the attribute that an expression calls: a key of a mapping, or else a method."""
        if isinstance(obj, Undefined):
            return obj
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return self._found(obj, attribute, super().getattr(obj, attribute))

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Look up a key or index; `result.items` is a key of the data, never a method."""
        if isinstance(obj, Undefined):
            return obj
        if not isinstance(obj, (*_DATA, Mapping)):
            return self._found(obj, argument, super().getitem(obj, argument))
        try:
            return cast("Any", obj)[argument]
        except (LookupError, TypeError):
            return self._absent(obj, argument)

    def call(self, context: Context, called: Any, *args: Any, **named: Any) -> Any:
        """Call a function; raise TimeUp if the deadline has passed."""
        bounds.check()
        return super().call(context, called, *args, **named)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Check the size of the result of ``*`` or ``**``, and evaluate the operator."""
        bounds.check_product(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def compared(self, value: Any) -> Any:
        """Return the value for a comparison.

        From 2**53 on, where a float is no longer each integer, it is the decimal that is written.
        """
        is_large = type(value) is float and _WHOLE <= abs(value) < math.inf
        return int(exact(value)) if is_large else value

    def _found(self, obj: Any, key: Any, value: Any) -> Any:
        # An attribute that exists and is forbidden keeps its own error, raised when it is used.
        is_absent = isinstance(value, Undefined) and not hasattr(obj, str(key))
        return self._absent(obj, key) if is_absent else value

    def _absent(self, obj: Any, key: object) -> Undefined:
        return self.undefined(hint=_lacks(obj, key), obj=obj, name=str(key))


def _lacks(obj: object, key: object) -> str:
    """Return the message for a key or attribute that is missing in a value."""
    if isinstance(obj, Mapping):
        hint = obj.hint(str(key)) if isinstance(obj, PytestVariables) else ""
        return f"there is no {key!r}{hint or near(str(key), obj)}"
    if isinstance(obj, list | tuple) and isinstance(key, int):
        items = f"{len(obj)} item{'s' * (len(obj) != 1)}" if obj else "none"
        return f"there is no item {key} in a list that has {items}"
    return f"there is no {key!r} in {kind(obj)}"


def near(name: str, known: Mapping[Any, Any] | list[str]) -> str:
    """Return a hint with the most similar name, or else with all names if they are at most 8."""
    names = [str(one) for one in known]
    hint = nearest(name, names)
    if hint:
        return hint
    return there_is(sorted(names)) if 0 < len(names) <= 8 else ""


LANGUAGE: Environment = _Language()


def parsed(text: str) -> nodes.Expr:
    """Parse one expression to a Jinja syntax tree.

    Raises:
        ValueError: The text is no expression; the message says why.
    """
    if not text.strip():
        raise ValueError("it is empty")
    if len(text) > _LONGEST:
        raise ValueError(f"it has {len(text):,} characters; {_LONGEST:,} are the most")
    try:
        parser = Parser(LANGUAGE, _STRING.sub(_exact, text), state="variable")
        tree = parser.parse_expression()
        if not parser.stream.eos:
            raise ValueError(_words(f"unexpected '{parser.stream.current.value}'"))
    except TemplateSyntaxError as error:
        raise ValueError(_words(error.message or "it cannot be read")) from None
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _check_depth(tree)
    _check_names(tree)
    return tree


def _check_depth(tree: nodes.Node) -> None:
    """Raise ValueError if a syntax tree is too deep for recursion: `1 + 1 + 1` has three levels."""
    level = [tree]
    for _ in range(_DEEPEST):
        level = [child for one in level for child in one.iter_child_nodes()]
        if not level:
            return
    raise ValueError(_TOO_DEEP)


def _exact(match: re.Match[str]) -> str:
    """Escape a quoted text so that Jinja keeps each carriage return and backslash in it."""
    return _ESCAPE.sub(r"\\\\", match[0]).replace("\r", r"\r")


def _words(message: str) -> str:
    text = message.rstrip(".").replace("end of template", "end").replace("token ", "")
    cure = next((cure for slip, cure in _SLIPS.items() if slip in text), "")
    return f"{text} ({cure})" if cure else text


def _check_names(tree: nodes.Node) -> None:
    """Raise ValueError for unknown filters and tests, and for infinite numbers."""
    if any(one.value in (math.inf, -math.inf) for one in _all(tree, nodes.Const)):
        raise ValueError("a number that is too large")
    for called, known in ((nodes.Filter, LANGUAGE.filters), (nodes.Test, LANGUAGE.tests)):
        for one in _all(tree, called):
            if one.name not in known:
                word = called.__name__.lower()
                raise ValueError(f"no {word} '{one.name}'{nearest(one.name, known)}")
    _check_outcomes(tree)


def _check_outcomes(tree: nodes.Node) -> None:
    """Raise ValueError if a function such as `failed` is not called, or is given an argument."""
    named = [one for one in _all(tree, nodes.Name) if one.name in OUTCOMES]
    calls = [one for one in _all(tree, nodes.Call) if one.node in named] if named else []
    for call in calls:
        if call.args or call.kwargs or call.dyn_args or call.dyn_kwargs:
            raise ValueError(f"{call.node.name}() takes no arguments")
    called = {id(call.node) for call in calls}
    for one in named:
        if id(one) not in called:
            raise ValueError(f"'{one.name}' is a function (write `{one.name}()`)")


def _all(tree: nodes.Node, kind: Any) -> Iterator[Any]:
    if isinstance(tree, kind):
        yield tree
    yield from tree.find_all(kind)


class _Paths(NodeTransformer):
    """Transformer of syntax trees: a Context path becomes one call, an attribute an item."""

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802
        """Keep the last attribute of a called name, because it is a method of the value."""
        callee = node.node
        if isinstance(callee, nodes.Getattr):
            callee.node = self.visit(callee.node)
        else:
            node.node = self.visit(callee)
        node.args = [self.visit(one) for one in node.args]
        for one in node.kwargs:
            one.value = self.visit(one.value)
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        """Pass the operands of a comparison through `compared`."""
        self.generic_visit(node)
        node.expr = _compared(node.expr)
        for one in node.ops:
            one.expr = _compared(one.expr)
        return node

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802
        """Replace a chain of attributes and items by a call for a Context path, or by items."""
        return self._looked_up(node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        """Replace a chain of attributes and items by a call for a Context path, or by items."""
        return self._looked_up(node)

    def _looked_up(self, node: nodes.Getattr | nodes.Getitem) -> nodes.Node:
        base, parts = unrolled(node)
        result: nodes.Node = self.visit(base)
        parts = [self.visit(part) for part in parts]
        if isinstance(base, nodes.Name) and base.name == CONTEXT:
            length = next((at for at, one in enumerate(parts) if _ends_path(one)), len(parts))
            if length:
                result = nodes.Call(base, parts[:length], [], None, None)
            parts = parts[length:]
        for part in parts:
            result = nodes.Getitem(result, part, "load")
        return result


def _compared(node: nodes.Expr) -> nodes.Expr:
    if isinstance(node, nodes.Const) and not isinstance(node.value, float):
        return node
    return nodes.Call(nodes.EnvironmentAttribute("compared"), [node], [], None, None)


def _ends_path(part: nodes.Expr) -> bool:
    """Return True if a lookup is no part of a Context path, such as a slice or a negative index."""
    if isinstance(part, nodes.Slice | nodes.Neg):
        return True
    return isinstance(part, nodes.Const) and not isinstance(part.value, str | int)


def compiled(text: str) -> Callable[[Mapping[str, Any]], Any]:
    """Compile an expression to a function of the values of the names."""
    tree = _Paths().visit(parsed(text))
    body: list[nodes.Node] = [nodes.Assign(nodes.Name(_VALUE, "store"), tree, lineno=1)]
    template = LANGUAGE.from_string(nodes.Template(body, lineno=1))

    def value(names: Mapping[str, Any]) -> Any:
        return getattr(template.make_module(dict(names)), _VALUE)

    return value


def chains(tree: nodes.Node) -> list[Chain]:
    """Return all chains of lookups in the syntax tree of an expression."""
    result: list[Chain] = []
    _walk(tree, result)
    optional = {one.head for one in result if one.is_optional}
    # In `vars.x is defined and vars.x > 1` one test makes all lookups of `vars.x` optional.
    return [Chain(one.root, one.parts, is_optional=one.head in optional) for one in result]


def whole_chain(tree: nodes.Node) -> Chain | None:
    """Return the lookup that is the complete expression; None if the expression is more."""
    base, parts = unrolled(tree)
    if not isinstance(base, nodes.Name):
        return None
    return Chain(base.name, tuple(_constant(one) for one in parts), is_optional=False)


def _walk(node: nodes.Node, result: list[Chain], *, is_optional: bool = False) -> None:
    base, parts = unrolled(node)
    if isinstance(base, nodes.Name):
        result.append(
            Chain(base.name, tuple(_constant(one) for one in parts), is_optional=is_optional)
        )
        for part in parts:
            _walk(part, result)
        return
    if isinstance(node, nodes.Filter | nodes.Test):
        if node.node is not None:
            _walk(
                node.node, result, is_optional=node.name in ("default", "d", "defined", "undefined")
            )
        for child in node.iter_child_nodes(exclude=("node",)):
            _walk(child, result)
        return
    for child in node.iter_child_nodes():
        _walk(child, result)


def is_plain(tree: nodes.Node) -> bool:
    """Return True if an expression is a name with constant keys, or a literal."""
    return isinstance(tree, _PLAIN) and all(map(is_plain, tree.iter_child_nodes()))


_PLAIN = (nodes.Literal, nodes.Pair, nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Neg)


def unrolled(node: nodes.Node) -> tuple[nodes.Node, list[nodes.Expr]]:
    """Split a chain of lookups into the node at its start and the nodes of its keys."""
    parts: list[nodes.Expr] = []
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        if isinstance(node, nodes.Getattr):
            parts.insert(0, nodes.Const(node.attr))
        else:
            parts.insert(0, node.arg)
        node = node.node
    return node, parts


def _constant(node: nodes.Expr) -> str | int | None:
    value = node.value if isinstance(node, nodes.Const) else None
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None
