"""From the pairs of a mapping to the fields of a Struct: each key by its field's own type."""

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from msgspec import NODEFAULT, Meta, Struct
from msgspec.structs import FieldInfo, fields
from yaml import Node

from pytest_orchestrator.recipe.nodes import Pairs
from pytest_orchestrator.recipe.readers import Reader, Reading, reader
from pytest_orchestrator.recipe.values import FAILED

Unknown = Callable[[str, Node], None]
"""Is told of a key that the Struct does not have, and of its node."""


class Key(NamedTuple):
    """What is known of one key.

    Attributes:
        field: The name of the field.
        reader: Reads its value; None where the loader does that itself.
        is_required: The key must be there.
    """

    field: str
    reader: Reader | None
    is_required: bool


@cache
def keys_of(model: type[Struct]) -> dict[str, Key]:
    """The keys that a mapping may have, from the fields that have a description."""
    found = {}
    for field in fields(model):
        extra = _said(field)
        if extra is not None:
            own = extra.get("own", False)
            is_required = field.default is NODEFAULT and field.default_factory is NODEFAULT
            read = None if own else reader(field.type)
            found[field.encode_name] = Key(field.name, read, is_required)
    return found


def _said(field: FieldInfo) -> dict[str, Any] | None:
    metas = get_args(field.type)[1:] if get_origin(field.type) is Annotated else ()
    said = [meta for meta in metas if isinstance(meta, Meta) and meta.description]
    return said[0].extra or {} if said else None


def fields_of(
    model: type[Struct], found: Pairs, reading: Reading, unknown: Unknown, prefix: str = ""
) -> dict[str, Any]:
    """Read the keys of a mapping that belong to fields of a Struct.

    Args:
        model: The Struct.
        found: The keys and their nodes.
        reading: Takes the problems.
        unknown: Is told of every other key.
        prefix: What the keys are below, such as ``success.``.

    Returns:
        The fields that were given and could be read.
    """
    known = keys_of(model)
    values: dict[str, Any] = {}
    for name, (key_node, node) in found.items():
        key = known.get(name)
        if key is None:
            unknown(name, key_node)
        elif key.reader is not None:
            value = key.reader.read(node, prefix + name, reading)
            if value is not FAILED:
                values[key.field] = value
    return values
