"""Jinja2 sandbox of expressions, and the lookups that an expression makes.

Imported with the first expression only. `ctx.a.b` is compiled as a call that looks the path
``a.b`` up at once, since keys of the Context are flat and their dots mean nothing to Jinja.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from jinja2 import Environment, StrictUndefined, TemplateSyntaxError, nodes
from jinja2.parser import Parser
from jinja2.runtime import Context, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from pytest_orchestrator.core.json_values import kind
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.recipe.expressions import budget, functions
from pytest_orchestrator.recipe.expressions.names import FUNCTIONS

CONTEXT = "ctx"
_VALUE = "value"
_LONGEST = 10_000
"""Characters of one expression."""

_DEEPEST = 50
"""Levels of one: Python reads no more than 200 brackets, of which a level may take two."""

_TOO_DEEP = "it is nested too deep"
_DATA = (str, int, float, list, tuple, dict, type(None))
# A text that is not closed goes on to the end; possessive, so that nothing is read twice.
_STRING = re.compile(
    r"""(?s)'[^'\\]*+(?:\\.[^'\\]*+)*+(?:'|\\?\Z)|"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)"""
)
_ESCAPE = re.compile(r"\\(?![\\'\"abfnrtvxuUN0-7\n])")
_SLIPS = {
    "char '&'": "write `and`",
    "char '!'": "write `not`",
    "'='": "write `==`",
    "'name', got '|'": "write `or`",
}


class Missing(StrictUndefined):
    """What is not there: may be asked for (`is defined`, `default`), never used."""

    @property
    def _undefined_message(self) -> str:
        return self._undefined_hint or f"unknown name '{self._undefined_name}'"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, _key: object) -> "Missing":  # type: ignore[override]
        return self


class _Language(ImmutableSandboxedEnvironment):
    """The environment of all expressions."""

    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)

    def __init__(self) -> None:
        # What Jinja works out ahead it writes as Python, and infinity cannot be written so.
        super().__init__(undefined=Missing, cache_size=0, optimized=False)
        known = {name: self.globals[name] for name in FUNCTIONS}
        self.globals.clear()
        self.globals.update(known)
        for name, call in self.filters.items():
            self.filters[name] = functions.bounded(name, call)
        tests: dict[str, Any] = self.tests
        for name, test in tests.items():
            tests[name] = functions.checked(name, test)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look up what is called: a function among data, else a method."""
        if isinstance(obj, Undefined):
            return obj
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        found = self._found(obj, attribute, super().getattr(obj, attribute))
        if isinstance(found, Undefined) or not functions.is_data(obj, attribute):
            return found
        method = functions.method(self, obj, attribute, getattr(obj, attribute))
        return self._refused(obj, attribute) if method is None else method

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Look an item up; data have no methods here, so `result.items` is the key or nothing."""
        if isinstance(obj, Undefined):
            return obj
        budget.check()
        if isinstance(argument, slice) and isinstance(obj, str | list | tuple):
            budget.take("[:]", len(obj), each=1 if isinstance(obj, str) else budget.ITEM)
        if not isinstance(obj, (*_DATA, Mapping)):
            return self._found(obj, argument, super().getitem(obj, argument))
        try:
            return cast("Any", obj)[argument]
        except (LookupError, TypeError):
            return self._absent(obj, argument)

    def call(self, context: Context, called: Any, *args: Any, **named: Any) -> Any:
        """Call a function, as long as there is time."""
        budget.check()
        found = super().call(context, called, *args, **named)
        if isinstance(called, Mapping):  # the Context gives copies
            budget.hold(CONTEXT, found)
        return found

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Refuse what would fill the memory of the whole run."""
        budget.arithmetic(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def compared(self, value: Any) -> Any:
        """Return a value that is about to be compared, once it is known not to be too large."""
        if isinstance(value, budget.LONG):
            budget.deep("==", value)
        return value

    def told(self, value: Any) -> Any:
        """Return a value that is about to become a part of a text, likewise."""
        budget.take("~", budget.deep("~", value))
        return value

    def _refused(self, obj: Any, name: str) -> Undefined:
        cure = functions.CURES.get(name, "")
        hint = f"`{name}` of {kind(obj)} cannot be called here{cure and f': write {cure}'}"
        return self.undefined(hint=hint, obj=obj, name=name)

    def _found(self, obj: Any, key: Any, found: Any) -> Any:
        # What is there and may not be had says so when it is used.
        is_absent = isinstance(found, Undefined) and not hasattr(obj, str(key))
        return self._absent(obj, key) if is_absent else found

    def _absent(self, obj: Any, key: object) -> Undefined:
        return self.undefined(hint=_lacks(obj, key), obj=obj, name=str(key))


def _lacks(obj: object, key: object) -> str:
    """Say that something is not in a value."""
    if isinstance(obj, Mapping):
        return f"there is no {key!r}{near(str(key), obj)}"
    if isinstance(obj, list | tuple) and isinstance(key, int):
        items = f"{len(obj)} item{'s' * (len(obj) != 1)}" if obj else "none"
        return f"there is no item {key} in a list that has {items}"
    return f"there is no {key!r} in {kind(obj)}"


def near(name: str, known: Mapping[Any, Any] | list[str]) -> str:
    """Return the nearest of the known names, or all where they are few."""
    names = [str(one) for one in known]
    found = nearest(name, names)
    if found:
        return found
    return f"; there is {', '.join(sorted(names)[:8])}" if 0 < len(names) <= 8 else ""


LANGUAGE: Environment = _Language()


def parsed(text: str) -> nodes.Expr:
    """Parse one expression.

    Raises:
        ValueError: It is none; the text says why.
    """
    if not text.strip():
        raise ValueError("it is empty")
    if len(text) > _LONGEST:
        raise ValueError(f"it has {len(text):,} characters; {_LONGEST:,} are the most")
    try:
        parser = Parser(LANGUAGE, _STRING.sub(_exact, text), state="variable")
        found = parser.parse_expression()
        if not parser.stream.eos:
            raise ValueError(_words(f"unexpected '{parser.stream.current.value}'"))
    except TemplateSyntaxError as error:
        raise ValueError(_words(error.message or "it cannot be read")) from None
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _check_depth(found)
    _check_names(found)
    return found


def _check_depth(found: nodes.Node) -> None:
    """Refuse what is too deep for those that walk over it: `1 + 1 + 1` has three levels."""
    level = [found]
    for _ in range(_DEEPEST):
        level = [child for one in level for child in one.iter_child_nodes()]
        if not level:
            return
    raise ValueError(_TOO_DEEP)


def _exact(found: re.Match[str]) -> str:
    """Return a quoted text such that Jinja reads what stands there: a CR, any backslash."""
    return _ESCAPE.sub(r"\\\\", found[0]).replace("\r", r"\r")


def _words(message: str) -> str:
    told = message.rstrip(".").replace("end of template", "end").replace("token ", "")
    cure = next((cure for slip, cure in _SLIPS.items() if slip in told), "")
    return f"{told} ({cure})" if cure else told


def _check_names(found: nodes.Node) -> None:
    """Refuse filters and tests that there are none of, and numbers that there are none of."""
    if any(one.value in (math.inf, -math.inf) for one in _all(found, nodes.Const)):
        raise ValueError("a number that is too large")
    for called, known in ((nodes.Filter, LANGUAGE.filters), (nodes.Test, LANGUAGE.tests)):
        for one in _all(found, called):
            if one.name not in known:
                word = called.__name__.lower()
                raise ValueError(f"no {word} '{one.name}'{nearest(one.name, known)}")


def _all(found: nodes.Node, kind: Any) -> Iterator[Any]:
    if isinstance(found, kind):
        yield found
    yield from found.find_all(kind)


class _Paths(NodeTransformer):
    """Makes one call of each way into the Context, and items of all attributes but methods."""

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802
        """Leave the last name of what is called: a method of the value."""
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
        """Look at the size of what is compared."""
        self.generic_visit(node)
        node.expr = _through("compared", node.expr)
        for one in node.ops:
            one.expr = _through("compared", one.expr)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        """Look at the size of what becomes text."""
        self.generic_visit(node)
        node.nodes = [_through("told", one) for one in node.nodes]
        return node

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802
        """Look the whole path up at once."""
        return self._looked_up(node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        """Look the whole path up at once."""
        return self._looked_up(node)

    def _looked_up(self, node: nodes.Getattr | nodes.Getitem) -> nodes.Node:
        base, parts = unrolled(node)
        found: nodes.Node = self.visit(base)
        parts = [self.visit(part) for part in parts]
        if isinstance(base, nodes.Name) and base.name == CONTEXT:
            taken = next((at for at, one in enumerate(parts) if _ends_path(one)), len(parts))
            if taken:
                found = nodes.Call(base, parts[:taken], [], None, None)
            parts = parts[taken:]
        for part in parts:
            found = nodes.Getitem(found, part, "load")
        return found


def _through(name: str, node: nodes.Expr) -> nodes.Expr:
    """Return the call of a method of the environment with a value."""
    if isinstance(node, nodes.Const):
        return node
    return nodes.Call(nodes.EnvironmentAttribute(name), [node], [], None, None)


def _ends_path(part: nodes.Expr) -> bool:
    """Tell whether a look-up belongs to the value: a slice, an item from the end."""
    if isinstance(part, nodes.Slice | nodes.Neg):
        return True
    return isinstance(part, nodes.Const) and not isinstance(part.value, str | int)


def compiled(text: str) -> Callable[[Mapping[str, Any]], Any]:
    """Return a function that gives the value of an expression for some names."""
    found = _Paths().visit(parsed(text))
    body: list[nodes.Node] = [nodes.Assign(nodes.Name(_VALUE, "store"), found, lineno=1)]
    template = LANGUAGE.from_string(nodes.Template(body, lineno=1))

    def value(names: Mapping[str, Any]) -> Any:
        return getattr(template.make_module(dict(names)), _VALUE)

    return value


class Chain:
    """A name with what is looked up from it: `vars.gain`, `ctx['a'].b`.

    Attributes:
        root: The name.
        parts: What is looked up, as far as that is written down; None where it is computed.
        asked: It may be missing: `is defined` or `default` asks for it.
    """

    __slots__ = ("asked", "parts", "root")

    def __init__(self, root: str, parts: tuple[str | int | None, ...], *, asked: bool) -> None:
        self.root, self.parts, self.asked = root, parts, asked

    @property
    def head(self) -> tuple[str | int | None, ...]:
        """The name, and what is looked up in it first."""
        return (self.root, *self.parts[:1])

    @property
    def text(self) -> str | None:
        """The same as an expression, None where a part of it is computed."""
        if None in self.parts:
            return None
        steps = (f".{one}" if _is_name(one) else f"[{one!r}]" for one in self.parts)
        return self.root + "".join(steps)


def chains(found: nodes.Node) -> list[Chain]:
    """Return all that an expression reads."""
    told: list[Chain] = []
    _walk(found, told)
    asked = {one.head for one in told if one.asked}
    # `vars.x is defined and vars.x > 1` asks once and for all.
    return [Chain(one.root, one.parts, asked=one.head in asked) for one in told]


def _walk(node: nodes.Node, told: list[Chain], *, asked: bool = False) -> None:
    base, parts = unrolled(node)
    if isinstance(base, nodes.Name):
        told.append(Chain(base.name, tuple(_constant(one) for one in parts), asked=asked))
        for part in parts:
            _walk(part, told)
        return
    if isinstance(node, nodes.Filter | nodes.Test):
        if node.node is not None:
            _walk(node.node, told, asked=node.name in ("default", "d", "defined", "undefined"))
        for child in node.iter_child_nodes(exclude=("node",)):
            _walk(child, told)
        return
    for child in node.iter_child_nodes():
        _walk(child, told)


def unrolled(node: nodes.Node) -> tuple[nodes.Node, list[nodes.Expr]]:
    """Return what a chain of look-ups begins with, and what is looked up."""
    parts: list[nodes.Expr] = []
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        if isinstance(node, nodes.Getattr):
            parts.insert(0, nodes.Const(node.attr))
        else:
            parts.insert(0, node.arg)
        node = node.node
    return node, parts


def _is_name(part: str | int | None) -> bool:
    return isinstance(part, str) and part.isidentifier()


def _constant(node: nodes.Expr) -> str | int | None:
    value = node.value if isinstance(node, nodes.Const) else None
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None
