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
        said: Its description and an example.
        reader: Reads its value; None where the loader does that itself.
        is_required: The key must be there.
    """

    field: str
    said: Meta
    reader: Reader | None
    is_required: bool


@cache
def keys_of(model: type[Struct]) -> dict[str, Key]:
    """The keys that a mapping may have: the fields of a Struct that have a description."""
    return {
        field.encode_name: _key(field, said) for field in fields(model) for said in _said(field)
    }


def _said(field: FieldInfo) -> list[Meta]:
    metas = get_args(field.type)[1:] if get_origin(field.type) is Annotated else ()
    return [meta for meta in metas if isinstance(meta, Meta) and meta.description]


def _key(field: FieldInfo, said: Meta) -> Key:
    is_own = (said.extra or {}).get("own", False)
    is_required = field.default is NODEFAULT and field.default_factory is NODEFAULT
    return Key(field.name, said, None if is_own else reader(field.type), is_required)


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
