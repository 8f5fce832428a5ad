"""JSON Schemas inside recipes: compiled validators and readable causes of errors.

Nothing is downloaded: a reference may point into its own schema, or to the drafts of JSON
Schema.
"""

import json
import marshal
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from pytest_orchestrator.core.figures.notation import notation
from pytest_orchestrator.core.json_values import as_floats, decode_exactly
from pytest_orchestrator.core.text import cut_to_length, one_line

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

    from pytest_orchestrator.core.json_values import Json


Way = tuple[str | int, ...]
"""The keys and indexes that lead to a part of a value."""


def validator(schema: dict[str, "Json"]) -> "Validator":
    """Return a validator for a schema.

    Args:
        schema: A schema without faults; draft 2020-12, unless its ``$schema`` names another
            draft.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for
    from jsonschema_specifications import REGISTRY

    return validator_for(schema, default=Draft202012Validator)(schema, registry=REGISTRY)


def faults(schema: dict[str, "Json"]) -> Iterator[tuple[Way, str]]:
    """Yield the faults of a JSON Schema.

    Yields:
        The path of the faulty part in the schema, and a message.
    """
    model = _draft_of(schema)
    if model is None:
        yield ("$schema",), "no draft of that name is known"
        return
    rules = model(model.META_SCHEMA, format_checker=model.FORMAT_CHECKER)
    leaves = [cause(error) for error in rules.iter_errors(schema)]
    yield from dict.fromkeys((tuple(leaf.absolute_path), leaf.message) for leaf in leaves)
    if leaves:
        return
    try:
        yield from _dead_ends(schema)
    except ValueError as error:
        yield (), f"an '$id' is no address: {error}"


def _draft_of(schema: dict[str, "Json"]) -> "type[Validator] | None":
    declared = schema.get("$schema")
    try:
        model = type(validator(schema))
    except (AttributeError, TypeError, ValueError):  # `$schema` is no text, or no URI
        return None
    draft = str(model.META_SCHEMA["$schema"]).rstrip("#")
    return model if declared is None or str(declared).rstrip("#") == draft else None


def cause(error: "ValidationError") -> "ValidationError":
    """Return the nested error that explains a validation error best, or the error itself.

    If a value must match one of several schemas, the error of the best schema is returned. That is
    the only schema whose errors concern nested values, or else the only one of the right type.
    """
    while error.context:
        here = [each for each in error.context if not each.relative_path]
        of_type = [each for each in here if each.validator == "type"]
        close = _apart_from(here, error.context) or _apart_from(of_type, error.context)
        if close is None:
            break
        error = close
    return error


def _apart_from(
    excluded: "list[ValidationError]", errors: "list[ValidationError]"
) -> "ValidationError | None":
    """Return the first error of the only schema not excluded; None unless exactly one is left."""
    out = {each.relative_schema_path[0] for each in excluded}
    close = [each for each in errors if each.relative_schema_path[0] not in out]
    return close[0] if len({each.relative_schema_path[0] for each in close}) == 1 else None


def _dead_ends(schema: dict[str, "Json"]) -> Iterator[tuple[Way, str]]:
    """Yield the path of each ``$ref`` that cannot be resolved, and a message."""
    from jsonschema_specifications import REGISTRY
    from referencing import Resource
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    ways = {id(part): way for part, way in _parts(schema, ())}
    root: Resource[Any] = Resource.from_contents(schema, default_specification=DRAFT202012)
    todo = [(root, REGISTRY.resolver_with_root(root))]
    while todo:
        resource, resolver = todo.pop()
        target = resource.contents.get("$ref") if isinstance(resource.contents, dict) else None
        if isinstance(target, str):
            try:
                resolver.lookup(target)
            except Unresolvable:
                yield (*ways[id(resource.contents)], "$ref"), f"{target!r} leads nowhere in it"
        todo += [(one, resolver.in_subresource(one)) for one in resource.subresources()]


def _parts(value: "Json", way: Way) -> Iterator[tuple["Json", Way]]:
    yield value, way
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _parts(below, (*way, key))
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from _parts(below, (*way, number))


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
    all_errors = validator(schema).iter_errors(value)
    errors = [cause(error) for error in islice(all_errors, _MAX_ERRORS)]
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
def _fault(schema: str) -> tuple[Way, str] | None:
    """Return the first error in a schema, which is passed as JSON text; None if it is valid."""
    return next(faults(json.loads(schema)), None)


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
