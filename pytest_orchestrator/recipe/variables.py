"""Values of vars from outside a recipe: vars files in YAML, JSON or dotenv format."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_orchestrator.core import json_values
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.fields.values import Values
from pytest_orchestrator.recipe.parsing.nodes import Check
from pytest_orchestrator.recipe.parsing.source import MAX_BYTES, compose, decoded, read_file
from pytest_orchestrator.recipe.problems import Problems, RecipeError, Refused
from pytest_orchestrator.recipe.pyyaml import MappingNode

if TYPE_CHECKING:
    from pytest_orchestrator.core.json_values import Json
else:
    # msgspec cannot resolve a recursive type.
    Json = Any


def vars_of(path: Path) -> dict[str, Json]:
    """Return the values of vars from a vars file.

    Args:
        path: A file whose name ends in ``.json`` or ``.env``, or a YAML file.

    Returns:
        The values by name; an empty mapping if the file is empty.

    Raises:
        RecipeError: The file cannot be read or is no mapping; the error has the position.
    """
    problems = Problems()
    try:
        text = decoded(read_file(path, MAX_BYTES, problems), problems)
        if not text.strip():
            return {}
        if path.suffix == ".env" or path.name == ".env":
            return _dotenv(text, problems)
        return _json(text, problems) if path.suffix == ".json" else _yaml(text, problems)
    except Refused:
        raise RecipeError(problems.found, str(path), problems.text) from None


def _yaml(text: str, problems: Problems) -> dict[str, Json]:
    root = compose(text, problems)
    if root is None or root.value == "":
        return {}
    if type(root) is not MappingNode:
        problems.add(Place(1, 1), "a file of vars is a mapping of names to values")
        raise Refused
    Check(text, problems).visit(root)
    if problems.found:
        raise Refused
    values = Values(text, problems).json(root)
    if problems.found:
        raise Refused
    return values if isinstance(values, dict) else {}


def _json(text: str, problems: Problems) -> dict[str, Json]:
    try:
        values = json_values.decode(text)
    except (ValueError, RecursionError) as error:  # msgspec raises the latter if JSON is too deep
        problems.add(Place(1, 1), f"this is no JSON: {error}")
        raise Refused from None
    if not isinstance(values, dict):
        problems.add(Place(1, 1), "a file of vars is a mapping of names to values")
        raise Refused
    return values


def _dotenv(text: str, problems: Problems) -> dict[str, Json]:
    from dotenv.parser import parse_stream

    values: dict[str, Json] = {}
    for each in parse_stream(io.StringIO(text)):
        if each.error:
            problems.add(Place(each.original.line, 1), "this is no NAME=value")
        elif each.key is not None:
            values[each.key] = each.value or ""
    if problems.found:
        raise Refused
    return values


class ExternalValue(msgspec.Struct, frozen=True):
    """The value of a var that comes from outside its recipe.

    Attributes:
        value: The value.
        origin: Its source, such as ``--recipe-var`` or the path of a file.
        text: The text as it was given; None for a value of a YAML or JSON file.
    """

    value: Json
    origin: str
    text: str | None = None
