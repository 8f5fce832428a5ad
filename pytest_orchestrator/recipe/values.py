"""From checked nodes to JSON values: an own copy for each reader, aliases or not."""

from typing import Final, cast

from yaml import MappingNode, Node, ScalarNode

from pytest_orchestrator.core.place import Place
from pytest_orchestrator.core.values import Json
from pytest_orchestrator.recipe.nodes import BROKEN, pairs, place_of
from pytest_orchestrator.recipe.problems import Problems
from pytest_orchestrator.recipe.scalars import NotJsonScalar, plain, tagged
from pytest_orchestrator.recipe.source import PLAIN, QUOTED

_EXPRESSION = "${{"
_NO_EXPRESSIONS = "expressions are not supported by this version"


class Failed:
    """Stands for a value that has its problem already."""


FAILED: Final = Failed()


class Values:
    """Reads values of one file.

    Args:
        text: The whole text, without a byte order mark.
        problems: Takes what cannot be read.
    """

    def __init__(self, text: str, problems: Problems) -> None:
        self._text = text
        self._problems = problems

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
            return cast(Json, self.scalar(node))
        if type(node) is MappingNode:
            found = {}
            for name, (key, value) in pairs(node).items():
                if _EXPRESSION in name:
                    self._problems.add(self.place(key), _NO_EXPRESSIONS)
                found[name] = self.json(value)
            return found
        return [self.json(item) for item in node.value]

    def scalar(self, node: ScalarNode) -> None | bool | int | float | str | Failed:
        """The value of a scalar node, or `FAILED` where it has a problem."""
        text: str = node.value
        if _EXPRESSION in text:
            return self._fail(node, _NO_EXPRESSIONS)
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

    def _fail(self, node: ScalarNode, head: str) -> Failed:
        self._problems.add(self.place(node), head)
        return FAILED
