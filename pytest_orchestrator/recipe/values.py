"""From checked nodes to JSON values: an own copy for each reader, aliases or not."""

from typing import Final, Self, cast

from yaml import MappingNode, Node, ScalarNode

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.expressions import OPENING, ExpressionError, Template, template
from pytest_orchestrator.recipe.nodes import BROKEN, pairs, place_of
from pytest_orchestrator.recipe.problems import Problems
from pytest_orchestrator.recipe.scalars import NotJsonScalar, plain, tagged
from pytest_orchestrator.recipe.source import PLAIN, QUOTED

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
