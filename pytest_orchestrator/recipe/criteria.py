"""From the node of `success` to the criteria of a step."""

from collections.abc import Iterator
from functools import partial
from math import inf
from typing import Any

from yaml import MappingNode, Node, SequenceNode

from pytest_orchestrator.recipe import planned
from pytest_orchestrator.recipe.expressions import Expression
from pytest_orchestrator.recipe.model import Criterion, PythonStep, Step
from pytest_orchestrator.recipe.nodes import BROKEN, Pairs, pairs
from pytest_orchestrator.recipe.readers import Reading
from pytest_orchestrator.recipe.success import OF_SHELL, FileRules, Success
from pytest_orchestrator.recipe.templates import Templates
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
        own = Templates()
        reading = self._reading._replace(templates=own)
        wanted = fields_of(Success, self._found, reading, self._unknown, "success.")
        number, starts = 0, {}
        for name, (key, node) in self._found.items():
            if name in OF_SHELL and self._model is PythonStep:
                self._foreign(name, key)
            field = keys_of(Success)[name].field if name in keys_of(Success) else ""
            if field in wanted:
                starts[field] = (number, isinstance(wanted[field], tuple))
                found = self._plain(name, wanted[field], node)
            else:
                found = self._files(node) if name == "files" else iter(())
            for each in found:
                number += 1
                yield each
        for one in own.found:
            if str(one.path[0]) not in starts:
                head = "a list is wanted here, with an expression for each item"
                reading.problems.add(one.place, head, reading.where)
        self._reading.templates.move(own, lambda path: _moved(path, starts))

    def _plain(self, name: str, value: Any, node: Node) -> Iterator[Criterion]:
        place = self._reading.values.place
        if not isinstance(value, tuple):
            yield Criterion(name, value, place(node))
            return
        for each, item in zip(value, node.value, strict=True):
            if isinstance(each, Expression):
                yield Criterion(name, each.text, place(item), expression=each)
            else:
                yield Criterion(name, each, place(item))

    def _files(self, node: Node) -> Iterator[Criterion]:
        if type(node) is not SequenceNode:
            self._reading.mismatch(node, "success.files", "a list")
            return
        for number, entry in enumerate(node.value):
            found = self._file(entry, f"files[{number}]")
            if found:
                yield found

    def _file(self, node: Node, title: str) -> Criterion | None:
        reading = self._reading
        if type(node) is not MappingNode or node.tag == BROKEN:
            return reading.mismatch(node, f"success.{title}", "a mapping") and None
        unknown = partial(self._unknown_of_file, title)
        found = pairs(node)
        rules = fields_of(FileRules, found, reading, unknown, f"success.{title}.")
        if "path" not in found:
            place = reading.values.place(node)
            reading.problems.add(place, f"'{title}' is missing 'path'", reading.where)
        if rules.get("min_bytes", 0) > rules.get("max_bytes", inf):
            reading.wrong(
                found["min_bytes"][1], f"success.{title}.min_bytes", " is above 'max_bytes'"
            )
        if "path" not in rules:
            return None
        at = {key: reading.values.place(value) for key, (_, value) in found.items()}
        for key, value in rules.items():
            if isinstance(value, tuple):
                items = enumerate(found[key][1].value)
                at |= {f"{key}/{n}": reading.values.place(item) for n, item in items}
        wanted = {key: list(one) if isinstance(one, tuple) else one for key, one in rules.items()}
        return Criterion("files", wanted, at["path"], at)

    def _unknown_of_file(self, title: str, name: str, node: Node) -> None:
        hint = self._reading.problems.meant(name, keys_of(FileRules))
        head = f"unknown key {quoted(name)} in '{title}'"
        place = self._reading.values.place(node)
        self._reading.problems.add(place, head, self._reading.where, hint=hint)

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


def _moved(
    path: tuple[str | int, ...], starts: dict[str, tuple[int, bool]]
) -> tuple[str | int, ...]:
    """Return where in the criteria of a step a value of ``success`` is."""
    number, is_list = starts.get(str(path[0]), (0, False))
    rest = path[1:]
    if is_list:  # a list of things makes as many criteria
        number, rest = number + int(rest[0]), rest[1:]
    return ("success", number, "wanted", *rest)
