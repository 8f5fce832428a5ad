"""JSON values of nodes, and the expressions that are taken out of them.

What stays in the field is the text as it is written; `resolve` puts the values in its place.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Any, Final, Self, cast

import msgspec
from yaml import MappingNode, Node, ScalarNode

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.expressions.expression import (
    OPENING,
    Expression,
    ExpressionError,
    Template,
    template,
)
from pytest_orchestrator.recipe.expressions.names import unknown
from pytest_orchestrator.recipe.parsing.nodes import (
    BROKEN,
    NotJsonScalar,
    pairs,
    place_of,
    plain,
    tagged,
)
from pytest_orchestrator.recipe.parsing.source import PLAIN, QUOTED
from pytest_orchestrator.recipe.problems import Problems

_NOWHERE = "an expression cannot stand here"
_CURE = "write the value itself; $${{ is plain text"


class Failed:
    """Stands for a value that has its problem already."""


FAILED: Final = Failed()


class Values:
    """Reads values of one file.

    Args:
        text: The whole text, without a byte order mark.
        problems: Takes what cannot be read.
        expressions: Expressions may stand in the values.

    Attributes:
        with_expressions: Reads the values in which expressions may stand.
        templated: There are expressions, or what looks like one, somewhere in the text.
    """

    def __init__(self, text: str, problems: Problems, *, expressions: bool = False) -> None:
        self._text = text
        self._problems = problems
        self._expressions = expressions
        self.templated = OPENING in text
        self.with_expressions: Values | Self = (
            Values(text, problems, expressions=True) if self.templated and not expressions else self
        )

    def place(self, node: Node) -> Place:
        """Where a node stands."""
        return place_of(node, self._text)

    def json(self, node: Node) -> Json:
        """The value of a node and all below it.

        Args:
            node: A node that was checked.

        Returns:
            The value, shared with no one. Where there was a problem it is noted, and the
            value is of no use.
        """
        if type(node) is ScalarNode:
            return cast("Json", self.scalar(node))
        if type(node) is MappingNode:
            found = {}
            for name, (key, value) in pairs(node).items():
                self.is_name(name, key)
                found[name] = self.json(value)
            return found
        return [self.json(item) for item in node.value]

    def is_name(self, name: str, node: Node) -> bool:
        """Tell whether a key has no expression in it; note that where it has one."""
        if OPENING in name:
            self._problems.add(self.place(node), _NOWHERE, hint="it can in values")
        return OPENING not in name

    def scalar(self, node: ScalarNode) -> None | bool | int | float | str | Template | Failed:
        """The value of a scalar node, or `FAILED` where it has a problem."""
        text: str = node.value
        if OPENING in text:
            return self._template(node, text)
        try:
            if node.tag == PLAIN:
                return plain(text)
            if node.tag == QUOTED:
                return text
            if node.tag == BROKEN:
                return FAILED
            return tagged(text, node.tag.rpartition(":")[2])
        except NotJsonScalar as error:
            return self._fail(node, str(error))

    def _template(self, node: ScalarNode, text: str) -> Template | str | Failed:
        try:
            found = template(text, self.place(node))
        except ExpressionError as error:
            if self._expressions:
                return self._fail(node, str(error), self.trap(node))
            return self._fail(node, _NOWHERE, _CURE)
        is_text = isinstance(found, str)
        return found if is_text or self._expressions else self._fail(node, _NOWHERE, _CURE)

    def trap(self, node: ScalarNode) -> str:
        """The cure where YAML took the end of a text for a comment."""
        rest = self._text[node.end_mark.index :].partition("\n")[0]
        if node.tag == PLAIN and rest.lstrip(" ").startswith("#"):
            return "` #` begins a comment in YAML: quote the text"
        return ""

    def _fail(self, node: ScalarNode, head: str, hint: str = "") -> Failed:
        self._problems.add(self.place(node), head, hint=hint)
        return FAILED


class Templates:
    """Takes expressions out of values that were read.

    Attributes:
        found: Those that were taken out, each with its path.
        expressions: All expressions that were met, bare ones too.
    """

    def __init__(self) -> None:
        self.found: list[Template] = []
        self.expressions: list[Expression] = []

    def taken(self, value: Any, *path: str | int) -> Any:
        """Return a value with the text of each expression in its place."""
        if type(value) is Template:
            self.found.append(msgspec.structs.replace(value, path=path))
            return value.text
        if isinstance(value, dict):
            return {name: self.taken(each, *path, name) for name, each in value.items()}
        if isinstance(value, list | tuple):
            kind = type(value)
            return kind([self.taken(each, *path, at) for at, each in enumerate(value)])
        return value

    def move(
        self, other: "Templates", moved: Callable[[tuple[str | int, ...]], tuple[str | int, ...]]
    ) -> None:
        """Take those of another, whose paths become others."""
        self.found += [msgspec.structs.replace(one, path=moved(one.path)) for one in other.found]
        self.expressions += other.expressions

    def check(self, value: Any, names: Collection[str], problems: Problems, where: str) -> None:
        """Note the names in the expressions of a value that mean nothing there."""
        for expression in expressions(value):
            self.expressions.append(expression)
            wrong = unknown(expression, names, problems.variables)
            if wrong:
                problems.add(expression.place, wrong, where)


def expressions(value: object) -> Iterator[Expression]:
    """Return all expressions in a value that was read."""
    if isinstance(value, Expression):
        yield value
    elif isinstance(value, Template):
        yield from value.expressions
    elif isinstance(value, dict):
        for each in value.values():
            yield from expressions(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from expressions(each)


def has_template(value: object) -> bool:
    """Tell whether an expression stands within a value that was read."""
    if isinstance(value, dict):
        return any(map(has_template, value.values()))
    if isinstance(value, list | tuple):
        return any(map(has_template, value))
    return type(value) is Template
