"""JSON Schema of the recipe language, generated from the model, for editors.

The schema is of draft 7, which all editors support. `if` and `then` select the keys of each
step type.

The schema checks a value by its type, as the loader does, and avoids `anyOf`: most keywords of
JSON Schema apply to one type only, and editors report the wrong branch of an `anyOf`.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import Meta, Struct
from msgspec.structs import fields

from pytest_orchestrator.core.extras import EXTRAS
from pytest_orchestrator.core.typed_fields import FIELD_NAME, InputField
from pytest_orchestrator.recipe.expressions import expression
from pytest_orchestrator.recipe.fields.extensions import (
    BUILT_IN,
    CustomStep,
    Extensions,
    can_be_service,
)
from pytest_orchestrator.recipe.fields.readers import keys_of
from pytest_orchestrator.recipe.input_schema import input_rules
from pytest_orchestrator.recipe.loader.checks import AT_THE_END, OF_AN_OWN_PROCESS, OF_THE_TREE
from pytest_orchestrator.recipe.loader.include import OWN, UseStep
from pytest_orchestrator.recipe.model import key_types
from pytest_orchestrator.recipe.model.key_types import ContextPath, Text
from pytest_orchestrator.recipe.model.measurements import (
    NUMERIC,
    Marginal,
    Measurement,
    Uncertainty,
    Within,
)
from pytest_orchestrator.recipe.model.options import (
    OF_SHELL,
    FileRules,
    Ready,
    Retry,
    Search,
    Success,
)
from pytest_orchestrator.recipe.model.recipe import Defaults, Recipe
from pytest_orchestrator.recipe.model.root_mappings import (
    FASTEST,
    Requires,
    Sampling,
    Units,
    extra,
    interval,
    some_extras,
    some_programs,
)
from pytest_orchestrator.recipe.model.step import CodeStep, ShellStep, SshStep, Step
from pytest_orchestrator.recipe.problems import either

Schema = dict[str, Any]
OwnSchemas = Mapping[str, Callable[[], Schema]]

_TYPES: Mapping[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}
_OPENING = re.escape(expression.OPENING)
OPENING = rf"(^|[^$]){_OPENING}"
"""Pattern for texts that contain an expression; `$${{` is an escaped literal."""

_BARE = r"^((result|ctx)(\.[A-Za-z_][A-Za-z0-9_]*)+|stdout|stderr|exit_code)$"
"""Pattern for outputs that are certainly expressions without their braces."""

_NO_EXPRESSION = rf"^(?!(?:[\s\S]*[^$])?{_OPENING})"
_FILLED: Schema = {"pattern": r"\S"}
_SOME: Schema = {"minItems": 1}
_CODE: Schema = {"minimum": 0, "maximum": 255}
_DURATION: Schema = {"pattern": r"^[0-9]+(\.[0-9]+)? *(ms|s|m|h)$"}
_WORD = "[A-Za-z_][A-Za-z0-9_]*"
_NAME = r"[^\s!-/:-@\[-^`{-~0-9][^\s!-/:-@\[-^`{-~]*"
"""A Python identifier, as far as the regular expressions of editors know letters."""


def _any_case(words: Iterable[str]) -> str:
    """Return a regular expression without flags that matches words in upper or lower case."""
    return "|".join(
        "".join(f"[{char}{char.lower()}]" if char.isalpha() else char for char in word)
        for word in sorted(words)
    )


def _none_of(words: frozenset[str], pattern: str) -> Schema:
    return {"pattern": f"^(?!({'|'.join(sorted(words))})$){pattern}$"}


_PATTERN = (keys_of(InputField)["pattern"].meta.extra or {})["rule"]


def _text_or(pattern: str) -> Schema:
    """Return the schema of texts that match a pattern or contain an expression."""
    return {"type": "string", "pattern": f"^{pattern}$|{OPENING}"}


_ANSWER = {
    "type": ["integer", "string"],
    "minimum": 100,
    "maximum": 599,
    "pattern": f"^({'|'.join(key_types.CLASSES)})$|{OPENING}",
}
_CODES = {**_ANSWER, "type": ["integer", "string", "array"], "items": _ANSWER, "minItems": 1}


LIMITS: Mapping[Any, Schema] = {
    extra: {"pattern": f"^({'|'.join(EXTRAS)})$"},
    some_extras: _SOME,
    some_programs: _SOME,
    _PATTERN: _FILLED,
    key_types.filled: _FILLED,
    key_types.filled_word: _FILLED,
    key_types.texts: {**_FILLED, "minItems": 1},
    key_types.pattern: _FILLED,
    key_types.patterns: {**_FILLED, "minItems": 1},
    key_types.some_keys: _SOME,
    key_types.some_paths: _SOME,
    key_types.some_expressions: _SOME,
    key_types.command: {**_FILLED, "minItems": 1},
    key_types.shell: {"pattern": f"^({'|'.join(key_types.SHELLS)})$", "minItems": 1},
    key_types.context_path: {"pattern": r"^[^.]+(\.[^.]+)*$"},
    key_types.secret: {"pattern": rf"^((env|vars)\.{_WORD}|ctx(\.[^.]+)+)$"},
    key_types.tag: _none_of(key_types.RESERVED_MARKS, "[A-Za-z][A-Za-z0-9_]*"),
    key_types.fixture: _none_of(key_types.IMPLICIT_FIXTURES, _NAME),
    key_types.dotted: {"pattern": rf"^{_NAME}(\.{_NAME})*$"},
    key_types.identifier: {"pattern": f"^{_NAME}$"},
    key_types.scpi: {"pattern": r"^[ -~]*[!-~][ -~]*$"},
    key_types.host: {"pattern": rf"^{key_types.HOST}$"},
    key_types.label: {"pattern": rf"^{key_types.HOST}$"},
    key_types.seconds: {**_DURATION, "exclusiveMinimum": 0, "maximum": key_types.YEAR},
    interval: {**_DURATION, "minimum": FASTEST, "maximum": key_types.DAY},
    key_types.pause: {**_DURATION, "minimum": 0, "maximum": key_types.DAY},
    key_types.tries: {"minimum": 1, "maximum": key_types.MAX_COUNT},
    key_types.factor: {"minimum": 1, "maximum": key_types.MAX_COUNT},
    key_types.percent: {"minimum": 0},
    key_types.tolerance: {"minimum": 0, "pattern": r"^[0-9]+(\.[0-9]+)? *%$"},
    key_types.marginal_percent: {"exclusiveMinimum": 0, "exclusiveMaximum": 50},
    key_types.digits: {"minimum": 1, "maximum": key_types.MAX_DIGITS},
    key_types.exit_code: _CODE,
    key_types.wanted_code: _CODE,
    key_types.exit_codes: {**_CODE, "minItems": 1},
    key_types.skip_codes: {**_CODE, "minItems": 1},
    key_types.positive: {"exclusiveMinimum": 0},
    key_types.not_negative: {"minimum": 0},
    key_types.signal_name: {
        "pattern": f"^({_any_case(['SIG'])})?({_any_case(key_types.SIGNALS)})$"
    },
    key_types.http_probe: {
        "pattern": f"^{key_types.URL}$",
        "properties": {"url": _text_or(key_types.URL), "code": _CODES},
        "required": ["url"],
        "additionalProperties": False,
    },
    key_types.port: {"minimum": 1, "maximum": 65535},
    key_types.format_number: {"minimum": 1, "maximum": 1},
}
"""JSON Schema keywords for the validation rules of values, where the schema can express them."""


def schema_of(hint: Any, *, expressions: bool, whole: bool = True) -> Schema:
    """Return the JSON Schema for the values of a type.

    Args:
        hint: The type, with its `Meta`.
        expressions: True if the value may contain expressions.
        whole: True if an expression may replace a complete list or mapping.
    """
    schema = _plain(hint, expressions=expressions)
    types = schema.get("type")
    if types is None:  # any value, or an enumeration
        return schema
    if "string" in types:
        schema |= _text(schema, expressions=expressions)
    elif expressions and (whole or not {"array", "object"} & set(types)):
        message = "should be an expression, or no text"
        schema |= {"type": [*types, "string"], "pattern": OPENING, "patternErrorMessage": message}
    if len(schema["type"]) == 1:
        schema["type"] = schema["type"][0]
    return schema


def _text(schema: Schema, *, expressions: bool) -> Schema:
    """Return the schema keywords that allow or forbid expressions in a text."""
    pattern = schema.get("pattern", "")
    if expressions:
        return {"pattern": f"{pattern}|{OPENING}"} if pattern.startswith("^") else {}
    if pattern.startswith("^"):
        return {}
    if pattern:
        return {"pattern": f"{_NO_EXPRESSION}[\\s\\S]*{pattern}"}
    message = "an expression cannot stand here"
    return {"pattern": _NO_EXPRESSION, "patternErrorMessage": message}


def _plain(hint: Any, *, expressions: bool) -> Schema:
    """Return the schema of a type. Only nested values may be expressions."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return {}
    if hint is expression.Expression:
        return {"type": ["string", "boolean", "number"], **_FILLED}
    if origin is Annotated:
        return _annotated(
            inner[0], [one for one in inner[1:] if isinstance(one, Meta)], expressions
        )
    if origin is Literal:
        return {"enum": list(inner)}
    if origin is tuple:
        return {"type": ["array"], "items": schema_of(inner[0], expressions=expressions)}
    if origin is dict:
        keys = schema_of(inner[0], expressions=False)
        values = schema_of(inner[1], expressions=expressions)
        more = {"additionalProperties": values} if values else {}
        return {"type": ["object"], "propertyNames": keys, **more}
    if origin in {Union, UnionType}:
        return _either([one for one in inner if one is not NoneType], expressions)
    return {"type": [_TYPES[hint]]} if hint in _TYPES else _ref(hint)


def _annotated(bare: Any, metas: list[Meta], expressions: bool) -> Schema:
    extra = {name: value for one in metas for name, value in (one.extra or {}).items()}
    schema = _plain(extra.get("written", bare), expressions=expressions)
    patterns = (extra.get("pattern"), *(one.pattern for one in metas))
    schema |= next(({"pattern": one} for one in patterns if one), {})
    rule = extra.get("rule")
    schema |= {**LIMITS.get(rule, {}), **extra.get("limits", {})}
    message = _sentence(rule) if rule and "pattern" in schema else ""
    return schema | ({"patternErrorMessage": message} if message else {})


def _sentence(rule: Callable[[Any], Any]) -> str:
    """Return the message with which a rule rejects an empty text; empty if it accepts one."""
    try:
        rule("")
    except ValueError as error:
        return str(error)
    return ""


def _either(hints: list[Any], expressions: bool) -> Schema:
    schema: Schema = {}
    for hint in hints:
        one = _plain(hint, expressions=expressions)
        if (
            "enum" in one and len(hints) > 1
        ):  # an enumeration would refuse the values of other types
            message = f"should be {either(one['enum'])}, or no text"
            pattern = f"^({'|'.join(one['enum'])})$"
            one = {"type": ["string"], "pattern": pattern, "patternErrorMessage": message}
        types = [*schema.get("type", []), *one.get("type", [])]
        schema |= one | ({"type": types} if types else {})
    if "number" in schema.get("type", []):
        schema["type"] = [one for one in schema["type"] if one != "integer"]
    return schema


_DRAFT = "http://json-schema.org/draft-07/schema#"
_NESTED: tuple[type[Struct], ...] = (Requires, Units, Retry, Ready, Within, FileRules)
_TYPE = "The type of the step."

SHIPPED = Path(__file__).parents[1] / "schema" / "recipe.json"
"""The schema file in the wheel."""

_NAMED = frozenset({"vars", "test_meta", "matrix", "with"})
"""Mappings whose keys are known before a run, so no expression may replace them."""


def text(known: Extensions = BUILT_IN) -> str:
    """Return the JSON Schema of recipe files as indented JSON text."""
    return json.dumps(recipe_schema(known), indent=2, ensure_ascii=False) + "\n"


def recipe_schema(known: Extensions = BUILT_IN) -> Schema:
    """Return the JSON Schema of recipe files.

    Args:
        known: The step types and criteria that exist.
    """
    success = known.of_type(*known.step_types.values()).success
    own = keys_of(success).keys() - keys_of(known.success).keys()
    return {
        "$schema": _DRAFT,
        "description": "A recipe: steps that run as tests, with their success criteria.",
        **mapping(Recipe),
        "patternProperties": {"^x-": True},
        "allOf": _of_all_steps(known.step_types),
        "definitions": {
            "Step": _step(known.step_types),
            Defaults.__name__: {**mapping(Defaults), **_OF_DEFAULTS},
            **{each.__name__: _typed(each, own) for each in known.step_types.values()},
            UseStep.__name__: _use(),
            **{each.__name__: mapping(each) for each in _NESTED},
            success.__name__: {**mapping(success), "minProperties": 1},
            Ready.__name__: {**mapping(Ready), **_WAITS},
            Sampling.__name__: {**mapping(Sampling), **_SOURCE},
            Measurement.__name__: {**mapping(Measurement), **_OF_MEASUREMENTS},
            Search.__name__: {**mapping(Search), "allOf": [*_defaults_of_types()]},
            Marginal.__name__: {**mapping(Marginal), **_OF_MARGINAL},
            InputField.__name__: {**mapping(InputField), **input_rules(OPENING, _NO_EXPRESSION)},
        },
    }


def mapping(model: type[Struct], own: OwnSchemas | None = None) -> Schema:
    """Return the schema of a mapping that allows only the keys of a Struct.

    `own` has the schemas of fields that their types do not describe; None stands for recipes.
    """
    required = [name for name, key in keys_of(model).items() if key.is_required]
    return {
        "type": "object",
        "properties": dict(_keys(model, own)),
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _keys(model: type[Struct], own: OwnSchemas | None = None) -> Iterator[tuple[str, Schema]]:
    keys, own = keys_of(model), _OWN if own is None else own
    hints = {field.encode_name: field.type for field in fields(model)}
    for name, key in keys.items():
        whole = name not in _NAMED and (not issubclass(model, Success) or key.is_text)
        typed = own.get(key.field) or partial(
            schema_of, hints[name], expressions=bool(key.names), whole=whole
        )
        about = _described(str(key.meta.description))
        yield name, {**about, "examples": key.meta.examples, **typed()}


def _described(description: str) -> Schema:
    """Return the keywords for the description of a key."""
    # Editors with Markdown support render the second; they would show the first as plain text.
    return {"description": description, "markdownDescription": description}


def _step(types: Mapping[str, type[Step]]) -> Schema:
    """Return the schema of a step: the keys of all steps, and those of each step type."""
    keys = dict(_keys(Step))
    kind = {**_described(_TYPE), "examples": ["python"], "enum": list(types)}
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
        "dependencies": {
            **dict.fromkeys(["ready", "stop_signal"], _SERVICE),
            "fail_fast": ["foreach"],
            "matrix": {"properties": {"outputs": {"propertyNames": _KEY_OF_A_CELL}}},
        },
        "if": {"required": ["use"]},
        "then": _ref(UseStep),
        "else": {"required": ["type"], "allOf": of_types},
    }


def _using() -> dict[str, Schema]:
    return {name: schema for name, schema in _keys(UseStep) if name not in keys_of(Step)}


def _use() -> Schema:
    """Return the schema of steps with `use`, which is added to the schema of all steps."""
    own = {**_using(), "use": True}
    shared = dict.fromkeys(sorted(OWN - own.keys()), True)
    return {"properties": {**own, **shared}, "additionalProperties": False}


def _typed(model: type[Step], own_criteria: Iterable[str]) -> Schema:
    """Return the schema of the steps of one type, which is added to the schema of all steps.

    Args:
        model: The type.
        own_criteria: The criteria that only steps of single types can have.
    """
    shared = dict(_keys(Step))
    own = {name: schema for name, schema in _keys(model) if schema != shared.get(name)}
    rest = [name for name in shared if name not in own]
    required = [name for name, key in keys_of(model).items() if key.is_required]
    typed: Schema = {
        "properties": {**own, "type": True, **dict.fromkeys(rest, True)},
        "required": [name for name in required if name in own],
        "additionalProperties": False,
    }
    if "function" in own:  # a class or a function
        typed["if"] = {"required": ["class"]}
        typed["then"] = {"properties": {"function": False}}
        typed["else"] = {"required": ["function"]}
    others = set(own_criteria)
    if issubclass(model, CustomStep):
        others -= {one.name for one in model.kind.criteria}
    if issubclass(model, CodeStep):
        others |= OF_SHELL
    if issubclass(model, SshStep):
        others |= OF_THE_TREE
    if others:
        typed["properties"]["success"] = _without(others)
    typed["allOf"] = [{"if": _SERVICE, "then": {"properties": _of_service(model)}}]
    if issubclass(model, ShellStep):
        typed["allOf"] += _OF_COMMANDS
    if issubclass(model, CodeStep):
        success = {"properties": {"success": _without(OF_AN_OWN_PROCESS), **_OF_A_PROCESS}}
        typed["allOf"] += [{"if": each, "then": success} for each in (_INLINE, _FIXTURES)]
    return typed


_SERVICE: Schema = {"properties": {"background": {"const": True}}, "required": ["background"]}
_KEY_OF_A_CELL: Schema = {
    "pattern": rf"{OPENING}[\s\S]*\bmatrix\b",
    "patternErrorMessage": "all cells would write this key: put ${{ matrix.x }} into it",
}
_INLINE: Schema = {"properties": {"isolation": {"const": "inline"}}, "required": ["isolation"]}
_FIXTURES: Schema = {"properties": {"fixtures": {"minItems": 1}}, "required": ["fixtures"]}
_WAITS: Schema = {
    "not": {"propertyNames": {"const": "timeout"}},
    "errorMessage": "names nothing to wait for: give 'file', 'port', 'http' or 'stdout_matches'",
}


_OF_A_PROCESS: Schema = {"env": {"maxProperties": 0, "type": "object"}, "cwd": False}
"""Keys that a Python step inside pytest cannot have."""
_OF_DEFAULTS: Schema = {"dependencies": {"args": {"properties": {"env": False}}}}
_OF_MARGINAL: Schema = {
    "minProperties": 1,
    "dependencies": {"percent": {"properties": {"low": False, "high": False}}},
}
_LIMITED: Schema = {"anyOf": [{"required": [name]} for name in NUMERIC]}
_OF_MEASUREMENTS: Schema = {
    "dependencies": {
        "nominal": {"required": ["tolerance"], "properties": {"within": False}},
        "tolerance": ["nominal"],
        "marginal": _LIMITED,
        "matches": {"not": _LIMITED},
    }
}


_OF_COMMANDS: list[Schema] = [
    {"not": {"required": ["env", "args"]}, "errorMessage": "has 'args' beside 'env'"},
    {
        "if": {"properties": {"cmd": {"type": "array"}}, "required": ["cmd"]},
        "then": {"properties": {"shell": False}},
    },
    {
        "if": {
            "properties": {"shell": {"anyOf": [{"const": "python"}, {"type": "array"}]}},
            "required": ["shell"],
        },
        "then": {"properties": {"cmd": {"pattern": _NO_EXPRESSION}}},
    },
]
"""Rules for `cmd` and `shell` in the same step."""


def _without(criteria: Iterable[str]) -> Schema:
    """Return a schema of `success` that forbids criteria."""
    return {"properties": dict.fromkeys(sorted(criteria), False)}


def _of_service(model: type[Step]) -> dict[str, Any]:
    """Return, by key, the schemas of the keys whose values are restricted in a service."""
    keys: dict[str, Any] = {"success": _without(AT_THE_END), "foreach": False, "matrix": False}
    if not can_be_service(model):
        keys["background"] = False
    if issubclass(model, ShellStep):
        keys["parse"] = {"const": "text"}
    if issubclass(model, CodeStep):
        keys["isolation"] = {"not": {"const": "inline"}}
        keys["heap"] = {"const": False}
        keys["fixtures"] = {"maxItems": 0}
    return keys


def _of_all_steps(types: Mapping[str, type[Step]]) -> list[Schema]:
    """Return the schema rules that two root keys impose on Python and plugin steps.

    The root keys are `fixtures` and, below `defaults`, `isolation`.
    """
    code = {"enum": [name for name, each in types.items() if issubclass(each, CodeStep)]}
    is_code = {"properties": {"type": code, "use": False}, "required": ["type"]}
    criteria = {"success": _without(OF_AN_OWN_PROCESS), **_OF_A_PROCESS}
    inside = {"properties": {**criteria, "background": {"not": {"const": True}}}}
    own = {"anyOf": [{"required": ["isolation"]}, _SERVICE]}

    def steps(rule: Schema) -> Schema:
        return {"properties": {key: {"items": rule} for key in ("steps", "finally")}}

    defaults = {"properties": {"defaults": _INLINE}, "required": ["defaults"]}
    by_default = {"if": {**is_code, "not": own}, "then": {"properties": criteria}}
    return [
        {"if": _FIXTURES, "then": steps({"if": is_code, "then": inside})},
        {"if": defaults, "then": steps(by_default)},
    ]


def _ref(model: type[Struct]) -> Schema:
    return {"$ref": f"#/definitions/{model.__name__}"}


def _list_of(model: type[Struct], **more: Any) -> Schema:
    return {"type": "array", "items": _ref(model), **more}


def _named(keys: Schema, values: Schema) -> Schema:
    return {"type": "object", "propertyNames": keys, "additionalProperties": values}


def _outputs() -> Schema:
    message = "is an expression without its braces: write it within ${{ }}"
    searched = {
        "if": {"type": "object", "required": ["from"]},
        "then": _ref(Search),
        "not": {"type": "string", "pattern": _BARE},
        "errorMessage": message,
    }
    return _named(schema_of(ContextPath, expressions=True), searched)


def _defaults_of_types() -> Iterator[Schema]:
    """Yield, for each type of an output, the rule that its default is of this type."""
    for name in ("integer", "number", "boolean"):
        default = {"type": [name, "null", "string"], "pattern": OPENING}
        typed = {"properties": {"type": {"const": name}}, "required": ["type"]}
        yield {"if": typed, "then": {"properties": {"default": default}}}


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


def _inputs() -> Schema:
    return _named({"pattern": f"^{FIELD_NAME}$"}, _ref(InputField))


_NO_INSTRUMENT: Schema = {"instrument": False, "query": False}
_SOURCE: Schema = {
    "if": {"required": ["cmd"]},
    "then": {"properties": {"module": False, "function": False, **_NO_INSTRUMENT}},
    "else": {
        "if": {"anyOf": [{"required": ["module"]}, {"required": ["function"]}]},
        "then": {"required": ["module", "function"], "properties": _NO_INSTRUMENT},
        "else": {"required": ["instrument", "query"]},
    },
    "allOf": [
        {
            "if": {"properties": {"abort": {"const": True}}, "required": ["abort"]},
            "then": {"anyOf": [{"required": ["low"]}, {"required": ["high"]}]},
        }
    ],
}
"""Rules for an entry of `sampling`: one source of samples, and a limit for `abort`."""

_OWN: OwnSchemas = {
    "inputs": _inputs,
    "matrix": _matrix,
    "serial": lambda: _ref(InputField),
    "steps": lambda: _list_of(Step, minItems=1),
    "final": lambda: _list_of(Step),
    "foreach": lambda: {
        "type": ["array", "string"],
        **_FILLED,
        "maxItems": key_types.MAX_ELEMENTS,
    },
    "samplers": lambda: _named(schema_of(key_types.StepName, expressions=False), _ref(Sampling)),
    "outputs": _outputs,
    "measurements": lambda: _named(schema_of(Text, expressions=False), _ref(Measurement)),
    "uncertainty": lambda: {
        **mapping(Uncertainty),
        "type": ["number", "object", "string"],
        "exclusiveMinimum": 0,
        "pattern": OPENING,
    },
    "success": lambda: _ref(Success),
    "files": lambda: _list_of(FileRules, minItems=1),
    "result_schema": lambda: {"type": "object", "minProperties": 1},
}
"""Fields whose values are mappings with keys of their own, or have other rules."""
