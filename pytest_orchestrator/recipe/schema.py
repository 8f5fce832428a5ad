"""The JSON Schema of recipes, made from the model: what editors check, complete and explain.

Draft 7, which all editors know. Steps are told apart by `if` and `then`, one for each type.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import fields

from pytest_orchestrator.recipe.custom import BUILT_IN, Extensions
from pytest_orchestrator.recipe.defaults import Defaults
from pytest_orchestrator.recipe.kinds import ContextPath, Text
from pytest_orchestrator.recipe.measurement import Measurement, Within
from pytest_orchestrator.recipe.model import Recipe
from pytest_orchestrator.recipe.output import Search
from pytest_orchestrator.recipe.ready import Ready
from pytest_orchestrator.recipe.retry import Retry
from pytest_orchestrator.recipe.schema_values import OPENING, Schema, schema_of
from pytest_orchestrator.recipe.step_keys import Step
from pytest_orchestrator.recipe.step_types import CodeStep
from pytest_orchestrator.recipe.success import OF_SHELL, FileRules, Success
from pytest_orchestrator.recipe.use import OWN, UseStep
from pytest_orchestrator.recipe.walk import keys_of

_DRAFT = "http://json-schema.org/draft-07/schema#"
_NESTED: tuple[type[Struct], ...] = (
    Defaults,
    Retry,
    Ready,
    Measurement,
    Within,
    Search,
    FileRules,
)
_TYPE = "What kind of step it is."

SHIPPED = Path(__file__).parents[1] / "schema" / "recipe.json"
"""The schema as the wheel has it, for those who read files."""

_NAMED = frozenset({"vars", "test_meta", "matrix", "with"})
"""Mappings whose names are known before a run, so no expression gives all of one."""


def text(known: Extensions = BUILT_IN) -> str:
    """Return the schema of a recipe file as the text of a file."""
    return json.dumps(recipe_schema(known), indent=2, ensure_ascii=False) + "\n"


def recipe_schema(known: Extensions = BUILT_IN) -> Schema:
    """Return the schema of a recipe file.

    Args:
        known: The types of steps and the criteria that there are.
    """
    root = _mapping(Recipe)
    return {
        "$schema": _DRAFT,
        "description": "A recipe: steps that run as tests, and what must hold afterwards.",
        **root,
        "patternProperties": {"^x-": True},
        "definitions": {
            "Step": _step(known.step_types),
            **{each.__name__: _typed(each) for each in known.step_types.values()},
            UseStep.__name__: _use(),
            **{each.__name__: _mapping(each) for each in (*_NESTED, known.success)},
        },
    }


def _mapping(model: type[Struct]) -> Schema:
    """Return the schema of a mapping that has the keys of a Struct and no other."""
    return {"type": "object", "properties": dict(_keys(model)), **_required(model)} | {
        "additionalProperties": False
    }


def _required(model: type[Struct]) -> Schema:
    names = [name for name, key in keys_of(model).items() if key.is_required]
    return {"required": names} if names else {}


def _keys(model: type[Struct]) -> Iterator[tuple[str, Schema]]:
    known = keys_of(model)
    hints = {field.encode_name: field.type for field in fields(model)}
    for name, key in known.items():
        own = _OWN.get(key.field)
        whole = name not in _NAMED and (not issubclass(model, Success) or key.is_text)
        found = own() if own else schema_of(hints[name], expressions=bool(key.names), whole=whole)
        yield name, {**_said(str(key.said.description)), "examples": key.said.examples, **found}


def _said(description: str) -> Schema:
    # Editors that know Markdown show the second as such, and would show the first as it is.
    return {"description": description, "markdownDescription": description}


def _step(types: Mapping[str, type[Step]]) -> Schema:
    """Return the schema of a step: what all have, and for each type what it has besides."""
    keys = dict(_keys(Step))
    kind = {**_said(_TYPE), "examples": ["python"], "enum": list(types)}
    of_types = [
        {
            "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
            "then": _ref(model),
        }
        for name, model in types.items()
    ]
    return {
        "type": "object",
        "properties": {"name": keys.pop("name"), "type": kind, **keys, "use": _using()["use"]},
        "required": ["name"],
        "if": {"required": ["use"]},
        "then": _ref(UseStep),
        "else": {"required": ["type"], "allOf": of_types},
    }


def _using() -> dict[str, Schema]:
    return {name: schema for name, schema in _keys(UseStep) if name not in keys_of(Step)}


def _use() -> Schema:
    """Return what is said of the steps that use a file besides what is said of all."""
    own = {**_using(), "use": True}
    shared = dict.fromkeys(sorted(OWN - own.keys()), True)
    return {"properties": {**own, **shared}, "additionalProperties": False}


def _typed(model: type[Step]) -> Schema:
    """Return what is said of the steps of one type besides what is said of all."""
    shared = dict(_keys(Step))
    own = {name: schema for name, schema in _keys(model) if schema != shared.get(name)}
    others = [name for name in shared if name not in own]
    required = [name for name, key in keys_of(model).items() if key.is_required]
    found: Schema = {
        "properties": {**own, "type": True, **dict.fromkeys(others, True)},
        "required": [name for name in required if name in own],
        "additionalProperties": False,
    }
    if "function" in own:  # a class or a function
        found["if"] = {"required": ["class"]}
        found["then"] = {"properties": {"function": False}}
        found["else"] = {"required": ["function"]}
    if issubclass(model, CodeStep):
        found["properties"]["success"] = {"properties": dict.fromkeys(sorted(OF_SHELL), False)}
    return found


def _ref(model: type[Struct]) -> Schema:
    return {"$ref": f"#/definitions/{model.__name__}"}


def _list_of(model: type[Struct], **more: Any) -> Schema:
    return {"type": "array", "items": _ref(model), **more}


def _named(keys: Schema, values: Schema) -> Schema:
    return {"type": "object", "propertyNames": keys, "additionalProperties": values}


def _outputs() -> Schema:
    searched = {"if": {"type": "object", "required": ["from"]}, "then": _ref(Search)}
    return _named(schema_of(ContextPath, expressions=False), searched)


def _matrix() -> Schema:
    def some(what: Schema, **more: Any) -> Schema:
        return {"type": ["array", "string"], "pattern": OPENING, "items": what, **more}

    entry = {"type": ["object", "string"], "pattern": OPENING}
    return {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
        "properties": {"include": some(entry), "exclude": some(entry)},
        "additionalProperties": some({}, minItems=1),
    }


_OWN: dict[str, Callable[[], Schema]] = {
    "matrix": _matrix,
    "defaults": lambda: _ref(Defaults),
    "steps": lambda: _list_of(Step, minItems=1),
    "final": lambda: _list_of(Step),
    "retry": lambda: _ref(Retry),
    "ready": lambda: _ref(Ready),
    "outputs": _outputs,
    "measurements": lambda: _named(schema_of(Text, expressions=False), _ref(Measurement)),
    "within": lambda: _ref(Within),
    "success": lambda: _ref(Success),
    "files": lambda: _list_of(FileRules),
    "result_schema": lambda: {"type": "object"},
}
"""Fields whose values have keys themselves, or rules of their own."""
