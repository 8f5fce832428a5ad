"""JSON Schema errors of a value as plain data."""

import json
import marshal
import os
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from pytest_orchestrator.core.figures.notation import notation
from pytest_orchestrator.core.json_values import as_floats, decode_exactly
from pytest_orchestrator.core.text import cut_to_length, one_line
from pytest_orchestrator.recipe import json_schema

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

    from pytest_orchestrator.core.json_values import Json

_SHOWN = 3
_MAX_ERRORS = 1_000
_MAX_WIDTH = 60
_LIMITS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
_OF_KEYS = {"required", "additionalProperties", "unevaluatedProperties", "dependentRequired"}
_LONG = {"$dynamicRef", "$recursiveRef", "$ref", "pattern", "patternProperties", "uniqueItems"}


def may_be_long(schema: object) -> bool:
    """Return True if validation by a schema may take more than linear time."""
    if isinstance(schema, dict):
        return not _LONG.isdisjoint(schema) or any(map(may_be_long, schema.values()))
    return isinstance(schema, list) and any(map(may_be_long, schema))


def answer(arguments: tuple[dict[str, Any], bytes | str], fd: int) -> None:
    """Write the marshalled result of `found` for a schema and a JSON text to a file descriptor."""
    schema, text = arguments
    rest = memoryview(marshal.dumps(found(schema, decode_exactly(text))))
    while rest:
        rest = rest[os.write(fd, rest) :]


def found(schema: dict[str, Any], value: Any) -> dict[str, Any]:
    """Validate a value by a JSON Schema; return the errors as plain data.

    Returns:
        A dict. ``rows`` holds the errors as text, none if the value is valid. For an invalid
        value, ``way`` holds the keys that lead to the schema rule of the first error, and
        ``measured`` the offending value, None for a list or mapping. For an invalid schema, the
        dict has only ``fault``: the keys that lead to the error in the schema, and its text.
    """
    # The schema is checked again here, because its expressions had no values when the recipe was
    # loaded. An invalid schema can accept a value: `required: text` is read letter by letter.
    fault = _fault(json.dumps(schema))
    if fault is not None:
        return {"fault": (list(fault[0]), fault[1])}
    all_errors = json_schema.validator(schema).iter_errors(value)
    errors = [json_schema.cause(error) for error in islice(all_errors, _MAX_ERRORS)]
    if not errors:
        return {"rows": []}
    rest = len(errors) - _SHOWN
    count = f"{rest:,}" if len(errors) < _MAX_ERRORS else f"at least {rest:,}"
    rows = [_row(error) for error in errors[:_SHOWN]] + ([f"and {count} more"] if rest > 0 else [])
    first = errors[0].instance
    return {
        "rows": rows,
        "way": [str(part) for part in errors[0].absolute_schema_path],
        "measured": None if isinstance(first, dict | list) else as_floats(first),
    }


@lru_cache(maxsize=64)
def _fault(schema: str) -> tuple[json_schema.Way, str] | None:
    """Return the first error in a schema, which is passed as JSON text; None if it is valid."""
    return next(json_schema.faults(json.loads(schema)), None)


def _row(error: "ValidationError") -> str:
    where = _way(error.absolute_path)
    rule = str(error.validator)
    value: Any = error.instance
    wanted: Any = error.validator_value
    if isinstance(error.schema, bool) or rule in _OF_KEYS:
        return f"{where}: {one_line(error.message)}"
    if rule in _LIMITS and value != wanted:
        made = notation([value], equals=wanted)
        return f"{where} is {made.text(value)}, {rule} {made.beyond(value, wanted)}"
    return f"{where} is {_json(value)}, expected {rule} {_json(wanted)}"


def _way(parts: Iterable[str | int]) -> str:
    return "result" + "".join(
        f"[{part!r}]" if isinstance(part, int) or not part.isidentifier() else f".{part}"
        for part in parts
    )


def _json(value: "Json") -> str:
    return cut_to_length(one_line(json.dumps(value, ensure_ascii=False)), _MAX_WIDTH)
