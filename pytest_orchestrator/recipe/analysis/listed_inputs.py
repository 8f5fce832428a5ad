"""Inputs of the recipes of a project, for its listing."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import UNSET

from pytest_orchestrator.core.files import path_text
from pytest_orchestrator.core.typed_fields import InputField, rule_of
from pytest_orchestrator.recipe.fields.readers import Reading
from pytest_orchestrator.recipe.fields.values import Templates, Values
from pytest_orchestrator.recipe.loader.inputs import read_inputs
from pytest_orchestrator.recipe.parsing.nodes import pairs, root_mapping
from pytest_orchestrator.recipe.parsing.source import MAX_BYTES, read_file
from pytest_orchestrator.recipe.problems import Problems, Refused
from pytest_orchestrator.recipe.pyyaml import MappingNode


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
