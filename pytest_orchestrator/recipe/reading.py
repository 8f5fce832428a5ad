"""Whose values are being read, and how it is said that one is of the wrong kind."""

from typing import Any, NamedTuple

from yaml import Node, ScalarNode, SequenceNode

from pytest_orchestrator.core.json_values import kind
from pytest_orchestrator.recipe.expressions import Template
from pytest_orchestrator.recipe.nodes import BROKEN
from pytest_orchestrator.recipe.problems import Problems
from pytest_orchestrator.recipe.templates import Templates
from pytest_orchestrator.recipe.values import FAILED, Values
from pytest_orchestrator.recipe.words import shortened

WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
_CONVENTIONAL = {"yes": "true", "on": "true", "no": "false", "off": "false"}


class Reading(NamedTuple):
    """Whose values are being read.

    Attributes:
        values: Reads scalars and JSON.
        problems: Takes what is wrong.
        where: Whose keys they are, such as `` in python step 'flash'``; may be empty.
        templates: Takes the expressions in their values.
        path: Where in the step the keys stand, for keys within keys.
    """

    values: Values
    problems: Problems
    where: str
    templates: Templates
    path: tuple[str | int, ...] = ()

    def wrong(self, node: Node, key: str, tail: str, hint: str = "") -> Any:
        """Note what is wrong with the value of a key; gives `FAILED`."""
        self.problems.add(self.values.place(node), f"'{key}'", self.where, tail, hint=hint)
        return FAILED

    def kind(self, node: Node) -> str:
        """What the value of a node is, such as ``a list``; empty where it has its problem."""
        if node.tag == BROKEN:
            return ""
        if not isinstance(node, ScalarNode):
            return "a list" if isinstance(node, SequenceNode) else "a mapping"
        value = self.values.scalar(node)
        if value is FAILED:
            return ""
        return kind(value) if node.value else "empty"

    def mismatch(self, node: Node, key: str, wanted: str) -> Any:
        """Note that a value is of another kind than it should be; gives `FAILED`.

        An expression may give what is wanted: it is returned, and its value is looked at later.
        """
        if isinstance(node, ScalarNode) and self.values.templated:
            value = self.values.scalar(node)
            if isinstance(value, Template):
                return value
        found = self.kind(node)
        if not found:
            return FAILED
        is_written = isinstance(node, ScalarNode) and node.value
        cure = _cure(node.value, wanted) if is_written else ""
        return self.wrong(node, key, f" is {found}, should be {wanted}", cure)


def _cure(text: str, wanted: str) -> str:
    if wanted.startswith("text"):
        return f"quote it: '{shortened(text)}'"
    if wanted == "a list" and text.isprintable():
        return f"write [{shortened(text)}]"
    if wanted == WORDS[bool] and text.lower() in _CONVENTIONAL:
        return f"write {_CONVENTIONAL[text.lower()]}"
    return ""
