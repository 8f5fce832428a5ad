"""Mappings within a step: `retry`, `measurements`, `outputs`, each by the Struct it becomes."""

from typing import Any

from msgspec import Struct
from yaml import MappingNode, Node

from pytest_orchestrator.core.errors import ContextKeyError
from pytest_orchestrator.core.keys import checked_key
from pytest_orchestrator.recipe.measurement import Measurement, Within
from pytest_orchestrator.recipe.names import AFTER
from pytest_orchestrator.recipe.nodes import BROKEN, pairs
from pytest_orchestrator.recipe.output import Output, Search
from pytest_orchestrator.recipe.reading import Reading
from pytest_orchestrator.recipe.values import FAILED
from pytest_orchestrator.recipe.walk import fields_of, keys_of
from pytest_orchestrator.recipe.words import quoted


def nested(model: type[Struct], node: Node, key: str, reading: Reading) -> dict[str, Any] | None:
    """Read a mapping within a step.

    Args:
        model: The Struct that it becomes.
        node: Its node.
        key: How messages call it, such as ``retry``.
        reading: Takes the problems; its path is where the mapping stands.

    Returns:
        The fields that were given, or None where some that are required are not.
    """
    if type(node) is not MappingNode or node.tag == BROKEN:
        reading.mismatch(node, key, "a mapping")
        return None
    found, hints, known = pairs(node), set(), keys_of(model)

    def unknown(name: str, name_node: Node) -> None:
        hint = reading.problems.meant(name, known, but=found)
        hints.add(hint)
        head = f"unknown key {quoted(name)} in '{key}'"
        reading.problems.add(reading.values.place(name_node), head, reading.where, hint=hint)

    fields = fields_of(model, found, reading, unknown, f"{key}.")
    for name, each in known.items():
        if each.is_required and name not in found and f"did you mean '{name}'?" not in hints:
            head = f"'{key}' is missing '{name}'"
            reading.problems.add(reading.values.place(node), head, reading.where)
    if "at" in model.__struct_fields__:
        fields["at"] = {name: reading.values.place(value) for name, (_, value) in found.items()}
        fields["at"][""] = reading.values.place(node)
    required = [each.field for each in known.values() if each.is_required]
    return fields if all(name in fields for name in required) else None


def measurements(node: Node, reading: Reading) -> dict[str, Measurement]:
    """Read the ``measurements`` of a step."""
    if type(node) is not MappingNode:
        reading.mismatch(node, "measurements", "a mapping")
        return {}
    told: dict[str, Measurement] = {}
    for name, (name_node, value) in pairs(node).items():
        title = f"measurements.{name}"
        if not reading.values.is_name(name, name_node):
            continue
        if not name.strip():
            reading.wrong(name_node, "measurements", " has an empty name")
            continue
        inner = reading._replace(path=("measurements", name))
        fields = nested(Measurement, value, title, inner)
        if fields is None:
            continue
        if "within" in fields["at"]:
            within = nested(
                Within,
                pairs(value)["within"][1],
                f"{title}.within",
                inner._replace(path=(*inner.path, "within")),
            )
            fields["within"] = within and Within(**within)
        told[name] = Measurement(**fields)
    return told


def outputs(node: Node, reading: Reading) -> tuple[Output, ...]:
    """Read the ``outputs`` of a step."""
    if type(node) is not MappingNode:
        reading.mismatch(node, "outputs", "a mapping")
        return ()
    told: list[Output] = []
    for name, (name_node, value) in pairs(node).items():
        if not reading.values.is_name(name, name_node):
            continue
        try:
            checked_key(name)
        except ContextKeyError:
            should = "should be a key of the Context such as dut.serial_v1"
            reading.wrong(name_node, "outputs", f" has the key {quoted(name)}, {should}")
            continue
        inner = reading._replace(path=("outputs", len(told), "value"))
        read = _searched(name, value, inner) if _is_search(value) else _valued(value, inner)
        if read is not FAILED:
            told.append(Output(key=name, value=read, place=reading.values.place(value)))
    return tuple(told)


def _is_search(node: Node) -> bool:
    return type(node) is MappingNode and node.tag != BROKEN and "from" in pairs(node)


def _searched(name: str, node: Node, reading: Reading) -> Any:
    fields = nested(Search, node, f"outputs.{name}", reading)
    return FAILED if fields is None else Search(**fields)


def _valued(node: Node, reading: Reading) -> Any:
    value = reading.values.with_expressions.json(node)
    if reading.values.templated:
        reading.templates.check(value, AFTER, reading.problems, reading.where)
        value = reading.templates.taken(value, *reading.path)
    return value
