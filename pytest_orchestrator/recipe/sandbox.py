"""Jinja2 as the language of expressions: sandboxed, strict, data before methods.

Imported with the first expression only. `ctx.a.b` is compiled as a call that looks the path
``a.b`` up at once, since keys of the Context are flat and their dots mean nothing to Jinja.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jinja2 import Environment, StrictUndefined, TemplateSyntaxError, nodes
from jinja2.parser import Parser
from jinja2.runtime import Undefined
from jinja2.sandbox import SandboxedEnvironment
from jinja2.visitor import NodeTransformer

from pytest_orchestrator.core.nearest import nearest
from pytest_orchestrator.recipe.names import FUNCTIONS

CONTEXT = "ctx"
_VALUE = "value"


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


class _Language(SandboxedEnvironment):
    """The environment of all expressions."""

    def __init__(self) -> None:
        super().__init__(undefined=Missing, cache_size=0)
        functions = {name: self.globals[name] for name in FUNCTIONS}
        self.globals.clear()
        self.globals.update(functions)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look data up before methods: `result.items` is the key."""
        if isinstance(obj, Mapping):
            if attribute in obj:
                return obj[attribute]
            found = super().getattr(obj, attribute)
            return self._absent(obj, attribute) if isinstance(found, Undefined) else found
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Look an item up; a key that is not there gets the nearest ones."""
        found = super().getitem(obj, argument)
        if isinstance(found, Undefined) and isinstance(obj, Mapping):
            return self._absent(obj, argument)
        return found

    def _absent(self, obj: Mapping[Any, Any], key: object) -> Undefined:
        return self.undefined(
            hint=f"there is no {key!r}{near(str(key), obj)}", obj=obj, name=str(key)
        )


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
    try:
        parser = Parser(LANGUAGE, text, state="variable")
        found = parser.parse_expression()
        if not parser.stream.eos:
            raise ValueError(f"unexpected '{parser.stream.current.value}'")
    except TemplateSyntaxError as error:
        raise ValueError(_words(error)) from None
    _check_names(found)
    return found


def _words(error: TemplateSyntaxError) -> str:
    message = (error.message or "it cannot be read").rstrip(".")
    return message.replace("end of template", "end")


def _check_names(found: nodes.Node) -> None:
    """Refuse filters and tests that there are none of."""
    for kind, known in ((nodes.Filter, LANGUAGE.filters), (nodes.Test, LANGUAGE.tests)):
        for one in _all(found, kind):
            if one.name not in known:
                word = kind.__name__.lower()
                raise ValueError(f"no {word} '{one.name}'{nearest(one.name, known)}")


def _all(found: nodes.Node, kind: Any) -> Iterator[Any]:
    if isinstance(found, kind):
        yield found
    yield from found.find_all(kind)


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
    def text(self) -> str | None:
        """The same as an expression, None where a part of it is computed."""
        if None in self.parts:
            return None
        steps = (f".{one}" if _is_name(one) else f"[{one!r}]" for one in self.parts)
        return self.root + "".join(steps)


def chains(found: nodes.Node) -> list[Chain]:
    """Return all that an expression reads."""
    told: list[Chain] = []
    _walk(found, told, frozenset(), asked=False)
    return told


def _walk(node: nodes.Node, told: list[Chain], own: frozenset[str], *, asked: bool) -> None:
    base, parts = _unrolled(node)
    if isinstance(base, nodes.Name):
        if base.name not in own:
            told.append(Chain(base.name, tuple(_constant(one) for one in parts), asked=asked))
        for part in parts:
            _walk(part, told, own, asked=False)
        return
    if isinstance(node, nodes.Filter | nodes.Test):
        guards = node.name in ("default", "d", "defined", "undefined")
        if node.node is not None:
            _walk(node.node, told, own, asked=guards)
        for child in node.iter_child_nodes(exclude=("node",)):
            _walk(child, told, own, asked=False)
        return
    for child in node.iter_child_nodes():
        _walk(child, told, own, asked=asked and not isinstance(node, nodes.Expr))


def _unrolled(node: nodes.Node) -> tuple[nodes.Node, list[nodes.Expr]]:
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


class _Paths(NodeTransformer):
    """Makes one call of each way into the Context."""

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802
        """Leave the last name of what is called: a method of the value."""
        callee = node.node
        if isinstance(callee, nodes.Getattr) and _of_context(callee):
            callee.node = self.visit(callee.node)
        else:
            node.node = self.visit(callee)
        node.args = [self.visit(one) for one in node.args]
        for one in node.kwargs:
            one.value = self.visit(one.value)
        return node

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802
        """Look the whole path up at once."""
        return self._looked_up(node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        """Look the whole path up at once."""
        return self._looked_up(node)

    def _looked_up(self, node: nodes.Getattr | nodes.Getitem) -> nodes.Node:
        if not _of_context(node):
            return self.generic_visit(node)
        base, parts = _unrolled(node)
        parts = [self.visit(part) for part in parts]
        taken = next((at for at, one in enumerate(parts) if _ends_path(one)), len(parts))
        found: nodes.Expr = nodes.Call(base, parts[:taken], [], None, None) if taken else base  # type: ignore[assignment]
        for part in parts[taken:]:
            found = nodes.Getitem(found, part, "load")
        return found


def _of_context(node: nodes.Node) -> bool:
    base, _ = _unrolled(node)
    return isinstance(base, nodes.Name) and base.name == CONTEXT


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
