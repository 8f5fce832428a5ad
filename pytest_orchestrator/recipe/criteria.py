"""From the node of `success` to the criteria of a step."""

from collections.abc import Iterator
from typing import Any

from yaml import MappingNode, Node

from pytest_orchestrator.recipe import planned
from pytest_orchestrator.recipe.model import Criterion, PythonStep, Step
from pytest_orchestrator.recipe.nodes import Pairs, pairs
from pytest_orchestrator.recipe.readers import Reading
from pytest_orchestrator.recipe.success import OF_SHELL, Success
from pytest_orchestrator.recipe.walk import fields_of, keys_of
from pytest_orchestrator.recipe.words import quoted


def criteria_of(node: Node, reading: Reading, model: type[Step]) -> tuple[Criterion, ...]:
    """Read what must hold after a step.

    Args:
        node: The value of ``success``.
        reading: Takes the problems.
        model: The type of the step.

    Returns:
        A criterion for each thing that is asked for, in the order of the file.
    """
    if type(node) is not MappingNode:
        reading.mismatch(node, "success", "a mapping")
        return ()
    return tuple(_Criteria(pairs(node), reading, model).each())


class _Criteria:
    """Reads the criteria of one step."""

    def __init__(self, found: Pairs, reading: Reading, model: type[Step]) -> None:
        self._found = found
        self._reading = reading
        self._model = model

    def each(self) -> Iterator[Criterion]:
        """The criteria that could be read."""
        wanted = fields_of(Success, self._found, self._reading, self._unknown, "success.")
        for name, (key, node) in self._found.items():
            if name in OF_SHELL and self._model is PythonStep:
                self._foreign(name, key)
            if name in wanted:
                yield from self._plain(name, wanted[name], node)

    def _plain(self, name: str, value: Any, node: Node) -> Iterator[Criterion]:
        place = self._reading.values.place
        if not isinstance(value, tuple):
            yield Criterion(name, value, place(node))
            return
        for each, item in zip(value, node.value, strict=True):
            yield Criterion(name, each, place(item))

    def _foreign(self, name: str, node: Node) -> None:
        typed = self._reading.where.removeprefix(" in ")
        head = f"'{name}' belongs to shell steps"
        self._reading.problems.add(self._reading.values.place(node), head, f", and this is {typed}")

    def _unknown(self, name: str, node: Node) -> None:
        problems, place = self._reading.problems, self._reading.values.place(node)
        if name in planned.SUCCESS:
            problems.add(place, f"'{name}' {planned.SENTENCE}")
            return
        hint = problems.meant(name, keys_of(Success))
        problems.add(place, f"unknown criterion {quoted(name)}", self._reading.where, hint=hint)
