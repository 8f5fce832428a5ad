"""Reader of the root key `inputs`: typed fields whose values come from outside the recipe."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from pytest_orchestrator.core.typed_fields import FIELD_NAME, InputField, field_problems
from pytest_orchestrator.recipe.expressions.names import EARLY
from pytest_orchestrator.recipe.fields.hints import unknown_key
from pytest_orchestrator.recipe.fields.readers import Reading
from pytest_orchestrator.recipe.fields.struct_fields import fields_of, keys_of
from pytest_orchestrator.recipe.fields.values import Values, has_template
from pytest_orchestrator.recipe.parsing.nodes import BROKEN, Pairs, pairs
from pytest_orchestrator.recipe.problems import Problems, quoted
from pytest_orchestrator.recipe.pyyaml import MappingNode, Node

_SHOULD = "should be letters, digits and _, beginning with a letter or _"


def read_inputs(node: Node, reading: Reading) -> dict[str, InputField]:
    """Read the inputs of a recipe.

    Args:
        node: The value of ``inputs``.
        reading: Receives the problems, and the expressions in the defaults.

    Returns:
        The inputs without a problem, by name.
    """
    if type(node) is not MappingNode or node.tag == BROKEN:
        reading.report_kind(node, "inputs", "a mapping")
        return {}
    found: dict[str, InputField] = {}
    for name, (name_node, value) in pairs(node).items():
        if not reading.values.is_name(name, name_node):
            continue
        if not re.fullmatch(FIELD_NAME, name):
            reading.report(name_node, "inputs", f" has the key {quoted(name)}, {_SHOULD}")
            continue
        field = _field(name, value, reading)
        if field is not None:
            found[name] = field
    return found


def _field(name: str, node: Node, reading: Reading) -> InputField | None:
    title = f"inputs.{name}"
    if type(node) is not MappingNode or node.tag == BROKEN:
        reading.report_kind(node, title, "a mapping such as {type: string} or {default: SN7}")
        return None
    key_nodes, before = dict(pairs(node)), len(reading.problems.found)

    def unknown(key: str, key_node: Node) -> None:
        hint = unknown_key(key, keys_of(InputField), reading.problems, exclude=key_nodes)
        head = f"unknown key {quoted(key)} in '{title}'"
        reading.problems.add(reading.values.place(key_node), head, hint=hint)

    default = key_nodes.pop("default", None)
    keys: dict[str, Any] = fields_of(InputField, key_nodes, reading, unknown, f"{title}.")
    if len(reading.problems.found) > before:
        return None
    field = InputField(**keys)
    if default is None:
        _check(title, field, key_nodes, reading)
        return field
    value = reading.values.with_expressions.json(default[1])
    if len(reading.problems.found) > before:
        return None
    has_expression = reading.values.templated and has_template(value)
    if has_expression:
        reading.templates.check(value, EARLY, reading.problems, reading.where)
        value = reading.templates.extract(value, "inputs", name, "default")
        _check(title, field, key_nodes, reading)
        return msgspec.structs.replace(field, default=value)
    field = msgspec.structs.replace(field, default=value)
    _check(title, field, {**key_nodes, "default": default}, reading)
    return field


def _check(title: str, field: InputField, key_nodes: Pairs, reading: Reading) -> None:
    """Report the keys of a field that contradict each other."""
    for key, fault in field_problems(field):
        name, _, index = key.partition("[")
        node = key_nodes[name][1]
        if index:
            node = node.value[int(index.rstrip("]"))]
        reading.report(node, f"{title}.{key}", f" {fault}")


def check_names(key_nodes: Pairs, values: Values, problems: Problems) -> None:
    """Report each input whose name is also in ``vars`` or ``required``.

    Args:
        key_nodes: The root keys of the file.
        values: Returns the places of nodes.
        problems: Receives the problems.
    """
    inputs = _mapping(key_nodes, "inputs")
    for name, (node, _) in _mapping(key_nodes, "vars").items():
        if name in inputs:
            head = f"{quoted(name)} is in 'inputs' and in 'vars'"
            problems.add(values.place(node), head, hint="an input is read as vars." + name)
    required = key_nodes["required"][1].value if "required" in key_nodes else ()
    for node in required if isinstance(required, list) else ():
        if node.value in inputs if isinstance(node.value, str) else False:
            head = f"{quoted(node.value)} is in 'inputs' and in 'required'"
            cure = "an input without a default is required"
            problems.add(values.place(node), head, hint=cure)


def _mapping(key_nodes: Pairs, key: str) -> Mapping[str, tuple[Node, Node]]:
    node = key_nodes[key][1] if key in key_nodes else None
    return pairs(node) if type(node) is MappingNode else {}
