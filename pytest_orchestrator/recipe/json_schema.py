"""JSON Schemas inside recipes: compiled validators and readable error causes.

Nothing is fetched: a reference leads within the schema, or to the drafts themselves.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

    from pytest_orchestrator.core.json_values import Json

Way = tuple[str | int, ...]
"""The keys and places that lead into a value."""


def validator(schema: dict[str, "Json"]) -> "Validator":
    """Return what checks values against a schema.

    Args:
        schema: A schema without faults; draft 2020-12, unless its ``$schema`` says another.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for
    from jsonschema_specifications import REGISTRY

    return validator_for(schema, default=Draft202012Validator)(schema, registry=REGISTRY)


def faults(schema: dict[str, "Json"]) -> Iterator[tuple[Way, str]]:
    """Tell what is wrong with a schema.

    Yields:
        The way to the part of it, and a sentence.
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
    said = schema.get("$schema")
    try:
        model = type(validator(schema))
    except (AttributeError, TypeError, ValueError):  # it is no text, or no address
        return None
    known = str(model.META_SCHEMA["$schema"]).rstrip("#")
    return model if said is None or str(said).rstrip("#") == known else None


def cause(error: "ValidationError") -> "ValidationError":
    """Return what an error comes from.

    Of several schemas that a value may keep, that is the one that it comes nearest to: what
    is wrong is below the value, or at least not its type.
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
    strange: "list[ValidationError]", errors: "list[ValidationError]"
) -> "ValidationError | None":
    """Return the first error of the one schema that has none of the strange ones."""
    out = {each.relative_schema_path[0] for each in strange}
    close = [each for each in errors if each.relative_schema_path[0] not in out]
    return close[0] if len({each.relative_schema_path[0] for each in close}) == 1 else None


def _dead_ends(schema: dict[str, "Json"]) -> Iterator[tuple[Way, str]]:
    """Tell the references that lead nowhere."""
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
