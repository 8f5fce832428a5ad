"""From the type of a field to the JSON Schema of what may be written there.

A reader takes values by their types; so does a schema without `anyOf`: most of its words
say something of one type only, and editors blame the wrong branch of an `anyOf`.
"""

import re
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import Meta

from pytest_orchestrator.recipe import expressions as recipe_expressions
from pytest_orchestrator.recipe import rules
from pytest_orchestrator.recipe.words import either

Schema = dict[str, Any]

_TYPES: Mapping[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}
_OPENING = re.escape(recipe_expressions.OPENING)
OPENING = rf"(^|[^$]){_OPENING}"
"""A pattern for texts with an expression in them; `$${{` is a literal."""

_NO_EXPRESSION = rf"^(?!(?:[\s\S]*[^$])?{_OPENING})"
_FILLED: Schema = {"pattern": r"\S"}
_SOME: Schema = {"minItems": 1}
_CODE: Schema = {"minimum": 0, "maximum": 255}
_DURATION: Schema = {"pattern": r"^[0-9]+(\.[0-9]+)? *(ms|s|m|h)$"}
_WORD = "[A-Za-z_][A-Za-z0-9_]*"
_NAME = r"[^\s!-/:-@\[-^`{-~0-9][^\s!-/:-@\[-^`{-~]*"
"""A name of Python, as far as the regular expressions of editors know letters."""


def _none_of(words: frozenset[str], pattern: str) -> Schema:
    return {"pattern": f"^(?!({'|'.join(sorted(words))})$){pattern}$"}


LIMITS: Mapping[Any, Schema] = {
    rules.filled: _FILLED,
    rules.filled_word: _FILLED,
    rules.texts: {**_FILLED, "minItems": 1},
    rules.pattern: _FILLED,
    rules.patterns: {**_FILLED, "minItems": 1},
    rules.some_keys: _SOME,
    rules.some_paths: _SOME,
    rules.some_expressions: _SOME,
    rules.command: {**_FILLED, "minItems": 1},
    rules.shell: {"pattern": f"^({'|'.join(rules.SHELLS)})$", "minItems": 1},
    rules.context_path: {"pattern": r"^[^.]+(\.[^.]+)*$"},
    rules.secret: {"pattern": rf"^((env|vars)\.{_WORD}|ctx(\.[^.]+)+)$"},
    rules.tag: _none_of(rules.MARKS, "[A-Za-z][A-Za-z0-9_]*"),
    rules.fixture: _none_of(rules.GIVEN, _NAME),
    rules.dotted: {"pattern": rf"^{_NAME}(\.{_NAME})*$"},
    rules.identifier: {"pattern": f"^{_NAME}$"},
    rules.host: {"pattern": rf"^{rules.HOST}$"},
    rules.label: {"pattern": rf"^{rules.HOST}$"},
    rules.seconds: {**_DURATION, "exclusiveMinimum": 0, "maximum": rules.YEAR},
    rules.pause: {**_DURATION, "minimum": 0, "maximum": rules.DAY},
    rules.tries: {"minimum": 1, "maximum": rules.MOST},
    rules.factor: {"minimum": 1, "maximum": rules.MOST},
    rules.percent: {"minimum": 0},
    rules.exit_code: _CODE,
    rules.exit_codes: {**_CODE, "minItems": 1},
    rules.skip_codes: {**_CODE, "minItems": 1},
    rules.positive: {"exclusiveMinimum": 0},
    rules.not_negative: {"minimum": 0},
    rules.port: {"minimum": 1, "maximum": 65535},
    rules.format_number: {"minimum": 1, "maximum": 1},
}
"""What a schema can say of the rules that values keep."""


def schema_of(hint: Any, *, expressions: bool, whole: bool = True) -> Schema:
    """Return the schema of what may be written where a field has a type.

    Args:
        hint: The type, with what `Meta` says about it.
        expressions: They may stand in the value.
        whole: One may stand in the place of a list or a mapping.
    """
    found = _plain(hint, expressions=expressions)
    types = found.get("type")
    if types is None:  # any value, or one of some words
        return found
    if "string" in types:
        found |= _text(found, expressions=expressions)
    elif expressions and (whole or not {"array", "object"} & set(types)):
        message = "should be an expression, or no text"
        found |= {"type": [*types, "string"], "pattern": OPENING, "patternErrorMessage": message}
    if len(found["type"]) == 1:
        found["type"] = found["type"][0]
    return found


def _text(found: Schema, *, expressions: bool) -> Schema:
    """Return what is said of texts, now that expressions may stand in them or must not."""
    pattern = found.get("pattern", "")
    if expressions:
        return {"pattern": f"{pattern}|{OPENING}"} if pattern.startswith("^") else {}
    if pattern.startswith("^"):
        return {}
    if pattern:
        return {"pattern": f"{_NO_EXPRESSION}[\\s\\S]*{pattern}"}
    message = "an expression cannot stand here"
    return {"pattern": _NO_EXPRESSION, "patternErrorMessage": message}


def _plain(hint: Any, *, expressions: bool) -> Schema:
    """Return the same with a list of types, and nothing of expressions but in what is within."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return {}
    if hint is recipe_expressions.Expression:
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
    return {"type": [_TYPES[hint]]}


def _annotated(bare: Any, metas: list[Meta], expressions: bool) -> Schema:
    said = {name: value for one in metas for name, value in (one.extra or {}).items()}
    found = _plain(said.get("written", bare), expressions=expressions)
    for one in metas:
        found |= {"pattern": one.pattern} if one.pattern else {}
    rule = said.get("rule")
    found |= {**LIMITS.get(rule, {}), **said.get("limits", {})}
    message = _sentence(rule) if rule and "pattern" in found else ""
    return found | ({"patternErrorMessage": message} if message else {})


def _sentence(rule: Callable[[Any], Any]) -> str:
    """Return what a rule says of a text that is wrong."""
    try:
        rule("")
    except ValueError as error:
        return str(error)
    return ""


def _either(hints: list[Any], expressions: bool) -> Schema:
    found: Schema = {}
    for hint in hints:
        one = _plain(hint, expressions=expressions)
        if "enum" in one and len(hints) > 1:  # words would refuse the values of other types
            message = f"should be {either(one['enum'])}, or no text"
            pattern = f"^({'|'.join(one['enum'])})$"
            one = {"type": ["string"], "pattern": pattern, "patternErrorMessage": message}
        types = [*found.get("type", []), *one.get("type", [])]
        found |= one | ({"type": types} if types else {})
    if "number" in found.get("type", []):
        found["type"] = [one for one in found["type"] if one != "integer"]
    return found
