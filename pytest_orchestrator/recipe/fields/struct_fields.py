"""Mapping reader: the keys of a mapping to the fields of a Struct."""

import sys
from collections.abc import Callable
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from msgspec import NODEFAULT, Meta, Struct
from msgspec.structs import FieldInfo, fields
from yaml import Node

from pytest_orchestrator.recipe.expressions.expression import Expression, Template
from pytest_orchestrator.recipe.fields.readers import Reader, Reading, reader
from pytest_orchestrator.recipe.fields.values import FAILED
from pytest_orchestrator.recipe.parsing.nodes import Pairs

Unknown = Callable[[str, Node], None]
"""Is told of a key that the Struct does not have, and of its node."""


class Key(NamedTuple):
    """What is known of one key.

    Attributes:
        field: The name of the field.
        said: Its description and an example.
        reader: Reads its value; None where the loader does that itself.
        is_required: The key must be there.
        names: Those that expressions in its value may use; None where none may stand there.
        is_text: The field holds the text of an expression until its value is known; else it
            is as if it were not given.
    """

    field: str
    said: Meta
    reader: Reader | None
    is_required: bool
    names: frozenset[str] | None
    is_text: bool


@lru_cache(maxsize=256)  # those of plugins come and go with a session
def keys_of(model: type[Struct]) -> dict[str, Key]:
    """The keys that a mapping may have: the fields of a Struct that have a description."""
    return {
        field.encode_name: _key(field, said) for field in fields(model) for said in said_of(field)
    }


def said_of(field: FieldInfo) -> list[Meta]:
    """What is said about a field that has a description."""
    metas = get_args(field.type)[1:] if get_origin(field.type) is Annotated else ()
    return [meta for meta in metas if isinstance(meta, Meta) and meta.description]


def _key(field: FieldInfo, said: Meta) -> Key:
    extra = said.extra or {}
    is_required = field.default is NODEFAULT and field.default_factory is NODEFAULT
    own_reader = None if extra.get("own", False) else reader(field.type)
    is_text = is_required or bool({str, Any} & set(_bare(field.type)))
    return Key(field.name, said, own_reader, is_required, extra.get("names"), is_text)


def _bare(hint: Any) -> list[Any]:
    """Return the types that a field may have, without what is said about them."""
    if get_origin(hint) is Annotated:
        return _bare(get_args(hint)[0])
    if get_origin(hint) in {Union, UnionType}:
        return [bare for each in get_args(hint) for bare in _bare(each)]
    return [hint]


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
            value = _read(key, key.reader, node, prefix + name, reading)
            if value is not FAILED:
                # Thousands of steps name the same module.
                values[key.field] = sys.intern(value) if type(value) is str else value
    return values


def _read(key: Key, by: Reader, node: Node, name: str, reading: Reading) -> Any:
    if key.names is None:
        return by.read(node, name, reading)
    value = by.read(node, name, reading._replace(values=reading.values.with_expressions))
    is_bare = Expression in map(type, value if type(value) is tuple else (value,))
    if not reading.values.templated and not is_bare:
        return value
    reading.templates.check(value, key.names, reading.problems, reading.where)
    whole = type(value) is Template
    value = reading.templates.taken(value, *reading.path, key.field)
    return FAILED if whole and not key.is_text else value
