"""Reader of the root key `inputs`, typed fields with values from outside, and their listing."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from pytest_orchestrator.core.files import path_text
from pytest_orchestrator.core.typed_fields import FIELD_NAME, InputField, field_problems, rule_of
from pytest_orchestrator.recipe.expressions.names import EARLY
from pytest_orchestrator.recipe.fields.nested import read_nested
from pytest_orchestrator.recipe.fields.readers import Reading
from pytest_orchestrator.recipe.fields.values import Templates, Values, has_template
from pytest_orchestrator.recipe.parsing.nodes import Pairs, pairs, root_mapping
from pytest_orchestrator.recipe.parsing.source import MAX_BYTES, read_file
from pytest_orchestrator.recipe.problems import Problems, Refused, quoted
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
    found: dict[str, InputField] = {}
    for name, (name_node, value) in (reading.mapping(node, "inputs") or {}).items():
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
    title, before = f"inputs.{name}", len(reading.problems.found)
    key_nodes = reading.mapping(node, title, "a mapping such as {type: string} or {default: SN7}")
    fields = read_nested(InputField, node, title, reading) if key_nodes is not None else None
    if key_nodes is None or fields is None or len(reading.problems.found) > before:
        return None
    field = checked = InputField(**fields)
    if "default" in key_nodes:
        value = reading.values.with_expressions.json(key_nodes["default"][1])
        if len(reading.problems.found) > before:
            return None
        if reading.values.templated and has_template(value):  # its value is checked in a run
            reading.templates.check(value, EARLY, reading.problems, reading.where)
            value = reading.templates.extract(value, "inputs", name, "default")
            field = msgspec.structs.replace(field, default=value)
        else:
            field = checked = msgspec.structs.replace(field, default=value)
    _check(title, checked, key_nodes, reading)
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


class RecipeInput(NamedTuple):
    """One input of a recipe.

    Attributes:
        recipe: The path of the recipe relative to the rootdir.
        line: The line of its name, from 1.
        name: Its name.
        field: Its type and rules.
    """

    recipe: str
    line: int
    name: str
    field: InputField

    @property
    def text(self) -> str:
        """The name with the rule and the default, such as ``volts: a number, 0 to 30 V (5)``."""
        field = self.field
        default = "secret" if field.secret else f"default {field.default}"
        has_none = field.default is UNSET
        extra = ("" if field.required else " (optional)") if has_none else f" ({default})"
        about = f"  {field.description}" if field.description else ""
        return f"{self.name}: {rule_of(field)}{extra}{about}"

    def as_json(self) -> dict[str, Any]:
        """Return the input as JSON data; the default of a secret input is left out."""
        field = self.field
        plain = {"recipe": self.recipe, "line": self.line, "name": self.name, "type": field.type}
        known = {} if field.default is UNSET or field.secret else {"default": field.default}
        return {
            **plain,
            "required": field.required and field.default is UNSET,
            "rule": rule_of(field),
            "unit": field.unit,
            "secret": field.secret,
            "description": field.description,
            **known,
        }


def recipe_inputs(paths: Iterable[Path], root: Path) -> Iterator[RecipeInput]:
    """Yield the inputs of recipes, in the order of the files; invalid ones are left out.

    Args:
        paths: The recipe files to read.
        root: The rootdir.
    """
    for path in paths:
        problems = Problems()
        try:
            text = read_file(path, MAX_BYTES, problems).decode("utf-8-sig")
            if "inputs" not in text:
                continue
            found = pairs(root_mapping(text, problems, MAX_BYTES, "")).get("inputs")
        except (Refused, UnicodeDecodeError):
            continue
        if found is None or not isinstance(found[1], MappingNode):
            continue
        values = Values(text, problems)
        fields = read_inputs(found[1], Reading(values, problems, "", Templates()))
        names = pairs(found[1])
        shown = path_text(path.relative_to(root) if path.is_relative_to(root) else path)
        for name, field in fields.items():
            yield RecipeInput(shown, values.place(names[name][0]).line, name, field)
