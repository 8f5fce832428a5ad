"""What an expression reads: each name in it, with what is looked up from there."""

from jinja2 import nodes


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
