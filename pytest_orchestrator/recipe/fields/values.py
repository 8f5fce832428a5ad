"""JSON values of nodes, and the expressions in them.

A field keeps the text of an expression as it is written; `resolve` replaces it by the value.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Any, Final, Self, cast

import msgspec

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
from pytest_orchestrator.recipe.pyyaml import MappingNode, Node, ScalarNode

_NOWHERE = "an expression cannot stand here"
_CURE = "write the value itself; $${{ is plain text"


class Failed:
    """Type of the placeholder for a value whose problem is already reported."""


FAILED: Final = Failed()


class Values:
    """Reader of the values of one file.

    Args:
        text: The complete text, without a byte order mark.
        problems: Receives the problems.
        expressions: True if the values may contain expressions.

    Attributes:
        with_expressions: Reader of values that may contain expressions.
        templated: True if the text contains `${{` anywhere.
    """

    def __init__(self, text: str, problems: Problems, *, expressions: bool = False) -> None:
        self._text = text
        self._problems = problems
        self._expressions = expressions
        self.templated = OPENING in text
        self.with_expressions: Values | Self = (
            Values(text, problems, expressions=True) if self.templated and not expressions else self
        )

    def quiet(self) -> "Values":
        """Return a reader of the same file that accepts expressions and reports no problems."""
        return Values(self._text, Problems(), expressions=True)

    def place(self, node: Node) -> Place:
        """Return the place of a node in the file."""
        return place_of(node, self._text)

    def json(self, node: Node) -> Json:
        """Convert a node and all nodes below it to JSON.

        Args:
            node: A node that was checked.

        Returns:
            A new value; it is invalid if a problem was reported.
        """
        if type(node) is ScalarNode:
            return cast("Json", self.scalar(node))
        if type(node) is MappingNode:
            values = {}
            for name, (key, value) in pairs(node).items():
                self.is_name(name, key)
                values[name] = self.json(value)
            return values
        return [self.json(item) for item in node.value]

    def is_name(self, name: str, node: Node) -> bool:
        """Return True if a key contains no expression; else report a problem."""
        if OPENING in name:
            self._problems.add(self.place(node), _NOWHERE, hint="it can in values")
        return OPENING not in name

    def scalar(self, node: ScalarNode) -> None | bool | int | float | str | Template | Failed:
        """Return the value of a scalar node, or `FAILED` after its problem was reported."""
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
            parsed = template(text, self.place(node))
        except ExpressionError as error:
            if self._expressions:
                return self._fail(node, str(error), self.comment_hint(node))
            return self._fail(node, _NOWHERE, _CURE)
        is_text = isinstance(parsed, str)
        return parsed if is_text or self._expressions else self._fail(node, _NOWHERE, _CURE)

    def comment_hint(self, node: ScalarNode) -> str:
        """Return a hint if YAML read the end of a text as a comment; else an empty text."""
        rest = self._text[node.end_mark.index :].partition("\n")[0]
        if node.tag == PLAIN and rest.lstrip(" ").startswith("#"):
            return "` #` begins a comment in YAML: quote the text"
        return ""

    def _fail(self, node: ScalarNode, head: str, hint: str = "") -> Failed:
        self._problems.add(self.place(node), head, hint=hint)
        return FAILED


class Templates:
    """Collection of the expressions in values.

    Attributes:
        found: The templates that were replaced by their text, each with its path.
        expressions: All expressions, including bare ones.
    """

    def __init__(self) -> None:
        self.found: list[Template] = []
        self.expressions: list[Expression] = []

    def extract(self, value: Any, *path: str | int) -> Any:
        """Collect the templates in a value, and return the value with their texts instead."""
        if type(value) is Template:
            self.found.append(msgspec.structs.replace(value, path=path))
            return value.text
        if isinstance(value, dict):
            return {name: self.extract(each, *path, name) for name, each in value.items()}
        if isinstance(value, list | tuple):
            kind = type(value)
            return kind([self.extract(each, *path, at) for at, each in enumerate(value)])
        return value

    def move(
        self, other: "Templates", moved: Callable[[tuple[str | int, ...]], tuple[str | int, ...]]
    ) -> None:
        """Add the templates of another collection, with the paths that `moved` returns."""
        self.found += [msgspec.structs.replace(one, path=moved(one.path)) for one in other.found]
        self.expressions += other.expressions

    def check(
        self,
        value: Any,
        names: Collection[str],
        problems: Problems,
        where: str,
        *,
        is_once: bool = False,
    ) -> None:
        """Collect the expressions in a value, and report each that reads a name not in `names`.

        Args:
            value: The value.
            names: The names that exist at its place.
            problems: Receives the problems.
            where: The step of the value, as in `Reading`.
            is_once: As in `names.unknown`.
        """
        for expression in expressions(value):
            self.expressions.append(expression)
            reads, text, known = expression.reads, expression.text, problems.variables
            wrong = unknown(reads, text, names, known, is_once=is_once)
            if wrong:
                head, tail = wrong
                problems.add(expression.place, head, where, tail)


def expressions(value: object) -> Iterator[Expression]:
    """Yield all expressions in a value, including those in nested values."""
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
    """Return True if a value or a value nested in it is a `Template`."""
    if isinstance(value, dict):
        return any(map(has_template, value.values()))
    if isinstance(value, list | tuple):
        return any(map(has_template, value))
    return type(value) is Template
