"""Reader of `success`: the criteria of a step."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe import json_schema
from pytest_orchestrator.recipe.expressions.expression import Expression
from pytest_orchestrator.recipe.expressions.names import AFTER
from pytest_orchestrator.recipe.fields.extensions import CustomStep, Extensions, as_json
from pytest_orchestrator.recipe.fields.readers import Reading, fields_of, keys_of
from pytest_orchestrator.recipe.fields.values import Templates, has_template
from pytest_orchestrator.recipe.model.options import OF_SHELL, FileRules
from pytest_orchestrator.recipe.model.step import CodeStep, Criterion, Step
from pytest_orchestrator.recipe.parsing.nodes import Pairs, nodes_of
from pytest_orchestrator.recipe.problems import quoted, shortened, unknown_key
from pytest_orchestrator.recipe.pyyaml import Node, SequenceNode


def criteria_of(
    node: Node, reading: Reading, model: type[Step], known: Extensions
) -> tuple[Criterion, ...]:
    """Read the success criteria of a step.

    Args:
        node: The value of ``success``.
        reading: Receives the problems.
        model: The type of the step.
        known: The criteria that exist.

    Returns:
        One criterion for each condition, in the order of the file.
    """
    key_nodes = reading.mapping(node, "success")
    if key_nodes is None:
        return ()
    if not key_nodes:
        reading.report(node, "success", " is {}, should have a criterion in it", "leave it out")
    return tuple(_Criteria(key_nodes, reading, model, known).each())


def default_criteria(
    model: type[CustomStep], written: tuple[Criterion, ...], place: Place
) -> tuple[Criterion, ...]:
    """Return the criteria of a step type that a step does not name and that have a default.

    Args:
        model: The type of the step.
        written: The criteria that the step names.
        place: The place of these criteria in messages.
    """
    named = {one.name for one in written}
    return tuple(
        Criterion(one.name, one.default, place, plugin_criterion=one)
        for one in model.kind.criteria
        if one.default is not None and one.name not in named
    )


class _Criteria:
    """Reader of the criteria of one step."""

    def __init__(
        self, key_nodes: Pairs, reading: Reading, model: type[Step], known: Extensions
    ) -> None:
        self._types = known.step_types
        known = known.of_type(model)
        self._plugin_criteria = known.criteria
        self._keys = keys_of(known.success)
        self._success = known.success
        self._pairs = key_nodes
        self._reading = reading
        self._model = model

    def each(self) -> Iterator[Criterion]:
        """Yield the criteria that could be read."""
        own = Templates()
        reading = msgspec.structs.replace(self._reading, templates=own)
        wanted = fields_of(self._success, self._pairs, reading, self._unknown, "success.")
        number, starts = 0, {}
        for name, (key, node) in self._pairs.items():
            if name in OF_SHELL and issubclass(self._model, CodeStep):
                self._foreign(name, key, "shell")
            field = self._keys[name].field if name in self._keys else ""
            if field in wanted:
                starts[field] = (number, self._is_several(name, wanted[field]))
                criteria = self._plain(name, wanted[field], node)
            else:
                criteria = self._own(name, node, number)
            for each in criteria:
                number += 1
                yield each
        self._reading.templates.move(own, lambda path: _moved(path, starts))

    def _is_several(self, name: str, value: Any) -> bool:
        """Return True if each item of a list becomes a criterion of its own."""
        one = name in self._plugin_criteria or name in OF_SHELL
        return isinstance(value, tuple) and not one

    def _plain(self, name: str, value: Any, node: Node) -> Iterator[Criterion]:
        place = self._reading.values.place
        if not self._is_several(name, value):
            yield Criterion(
                name, as_json(value), place(node), plugin_criterion=self._plugin_criteria.get(name)
            )
            return
        for each, item in zip(value, node.value, strict=True):
            if isinstance(each, Expression):
                yield Criterion(name, each.text, place(item), expression=each)
            else:
                yield Criterion(name, each, place(item))

    def _own(self, name: str, node: Node, number: int) -> Iterator[Criterion]:
        """Yield the criteria of `files` or `result_schema`; their positions begin at `number`."""
        if name == "result_schema":
            yield from self._schema(node, ("success", number, "expected"))
        if name != "files":
            return
        if type(node) is not SequenceNode:
            self._reading.report_kind(node, "success.files", "a list")
            return
        if not node.value:
            self._reading.report(node, "success.files", " is [], should have an entry in it")
        for at, entry in enumerate(node.value):
            criterion = self._file(entry, f"files[{at}]", ("success", number, "expected"))
            if criterion:
                number += 1
                yield criterion

    def _file(self, node: Node, title: str, path: tuple[str | int, ...]) -> Criterion | None:
        reading = msgspec.structs.replace(self._reading, templates=Templates(), path=path)
        key_nodes = reading.mapping(node, f"success.{title}")
        if key_nodes is None:
            return None
        unknown = partial(self._unknown_of_file, title)
        rules = fields_of(FileRules, key_nodes, reading, unknown, f"success.{title}.")
        if "path" not in key_nodes:
            place = reading.values.place(node)
            reading.problems.add(place, f"'{title}' is missing 'path'", reading.where)
        # The text of an expression is a placeholder that `resolve` replaces by its value.
        rules = {str(one.path[3]): one.text for one in reading.templates.found} | rules
        self._reading.templates.move(reading.templates, lambda path: path)
        least, most = rules.get("min_bytes"), rules.get("max_bytes")
        if isinstance(least, int) and isinstance(most, int) and least > most:
            reading.report(
                key_nodes["min_bytes"][1], f"success.{title}.min_bytes", " is above 'max_bytes'"
            )
        if "path" not in rules:
            return None
        at = {key: reading.values.place(value) for key, (_, value) in key_nodes.items()}
        for key, value in rules.items():
            if isinstance(value, tuple):
                items = enumerate(key_nodes[key][1].value)
                at |= {f"{key}/{n}": reading.values.place(item) for n, item in items}
        wanted = {key: list(one) if isinstance(one, tuple) else one for key, one in rules.items()}
        return Criterion("files", wanted, at["path"], at)

    def _unknown_of_file(self, title: str, name: str, node: Node) -> None:
        hint = unknown_key(name, keys_of(FileRules), self._reading.problems)
        head = f"unknown key {quoted(name)} in '{title}'"
        place = self._reading.values.place(node)
        self._reading.problems.add(place, head, self._reading.where, hint=hint)

    def _schema(self, node: Node, path: tuple[str | int, ...]) -> Iterator[Criterion]:
        reading, problems = self._reading, self._reading.problems.found
        keys = reading.mapping(node, "success.result_schema")
        if keys is None:
            return
        if not keys:
            tail = " is {}, should have a keyword in it"
            reading.report(node, "success.result_schema", tail)
            return
        number_before = len(problems)
        written = reading.values.with_expressions.json(node)
        names = AFTER | reading.element_names | reading.unit_names
        reading.templates.check(written, names, reading.problems, reading.where)
        schema = reading.templates.extract(written, *path)
        if len(problems) > number_before:
            return
        nodes = dict(nodes_of(node))
        for way, fault in () if has_template(written) else json_schema.faults(schema):
            key = ".".join(["success.result_schema", *map(str, way)])
            reading.report(nodes[way], key, f" is no JSON Schema: {shortened(fault, 200)}")
        at = {"/".join(map(str, way)): reading.values.place(one) for way, one in nodes.items()}
        yield Criterion("result_schema", schema, at[""], at)

    def _foreign(self, name: str, node: Node, owner: str) -> None:
        typed = self._reading.where.removeprefix(" in ")
        head = f"'{name}' belongs to {owner} steps"
        self._reading.problems.add(self._reading.values.place(node), head, f", and this is {typed}")

    def _unknown(self, name: str, node: Node) -> None:
        for model in self._types.values():
            own = model.kind.criteria if issubclass(model, CustomStep) else ()
            if self._model is not Step and any(one.name == name for one in own):
                self._foreign(name, node, model.type)
                return
        problems, place = self._reading.problems, self._reading.values.place(node)
        hint = unknown_key(name, self._keys, problems)
        problems.add(place, f"unknown criterion {quoted(name)}", self._reading.where, hint=hint)


def _moved(
    path: tuple[str | int, ...], starts: dict[str, tuple[int, bool]]
) -> tuple[str | int, ...]:
    """Convert a path in the keys of ``success`` to a path in the list of criteria."""
    number, is_several = starts.get(str(path[0]), (0, False))
    rest = path[1:]
    if is_several:
        number += int(rest[0])
    return ("success", number, "expected", *rest)
