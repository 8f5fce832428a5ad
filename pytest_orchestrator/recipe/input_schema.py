"""Rules between the keys of an input, as far as JSON Schema can express them."""

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

_KINDS = ("string", "integer", "number", "boolean")


def input_rules(opening: str, no_expression: str) -> Schema:
    """Return the keywords that the schema of an input has besides those of its keys.

    Args:
        opening: Pattern for texts that contain an expression.
        no_expression: Pattern for texts without an expression.
    """
    plain = {"pattern": no_expression}
    return {
        "dependencies": {
            **dict.fromkeys(["min", "max"], _type_in("integer", "number")),
            "pattern": _type_in("string"),
            "choices": {
                **_type_in("string", "integer", "number"),
                "properties": {
                    **_type_in("string", "integer", "number")["properties"],
                    "choices": {"minItems": 1, "uniqueItems": True, "items": plain},
                },
            },
        },
        "allOf": [*_of_types(opening), _NULL],
    }


def _type_in(*names: str) -> Schema:
    """Return the rule that the type is one of some types; without `string` it must be written."""
    rule: Schema = {"properties": {"type": {"enum": list(names)}}}
    return rule if "string" in names else {**rule, "required": ["type"]}


def _of_types(opening: str) -> Iterator[Schema]:
    """Yield, for each type, the rule that choices and default are of this type."""
    for name in _KINDS:
        default: Schema = {"type": [name, "null"]}
        if name != "string":
            default = {"type": [name, "null", "string"], "pattern": opening}
        keys = {"choices": {"items": {"type": [name]}}, "default": default}
        yield {"if": _type_in(name), "then": {"properties": keys}}


_NULL: Schema = {
    "if": {
        "properties": {"type": {"not": {"const": "json"}}, "required": {"not": {"const": False}}}
    },
    "then": {"properties": {"default": {"not": {"type": "null"}}}},
}
"""Only a value that is not required, or of any type, can be null."""
