"""Mapping reader: from the keys of a mapping to the fields of a Struct."""

import sys
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from msgspec import NODEFAULT, Meta, Struct
from msgspec.structs import FieldInfo, fields, replace

from pytest_orchestrator.recipe.expressions.expression import Expression, Template
from pytest_orchestrator.recipe.expressions.names import ONCE
from pytest_orchestrator.recipe.fields.readers import Reader, Reading, reader
from pytest_orchestrator.recipe.fields.values import FAILED
from pytest_orchestrator.recipe.parsing.nodes import Pairs
from pytest_orchestrator.recipe.pyyaml import Node

Unknown = Callable[[str, Node], None]
"""Called with a key that the Struct does not have, and with its node."""


class Key:
    """One key of a recipe.

    Its reader is made at the first use, because a recipe has few of the keys that it may have.

    Attributes:
        field: The name of the field of the Struct.
        meta: The description of the key, and an example.
        is_required: True if the key must exist.
        names: The names that expressions in its value may use; None if expressions are not
            allowed.

    Args:
        field: The field.
        meta: The description.
    """

    def __init__(self, field: FieldInfo, meta: Meta) -> None:
        extra = meta.extra or {}
        self.field = field.name
        self.meta = meta
        self.is_required = field.default is NODEFAULT and field.default_factory is NODEFAULT
        self.names: frozenset[str] | None = extra.get("names")
        self._type = field.type
        self._has_own_code = extra.get("own", False)

    @cached_property
    def reader(self) -> Reader | None:
        """The reader of its value; None if the loader reads the key with its own code."""
        return None if self._has_own_code else reader(self._type)

    @cached_property
    def is_text(self) -> bool:
        """True if the field holds the text of an expression until the expression is evaluated.

        Else the field has its default until then.
        """
        return self.is_required or bool({str, Any} & set(_bare(self._type)))


@lru_cache(maxsize=256)  # the models of plugins change with the session
def keys_of(model: type[Struct]) -> dict[str, Key]:
    """Return the keys that a mapping may have: the fields of a Struct that have a description."""
    return {
        field.encode_name: Key(field, said) for field in fields(model) for said in metas_of(field)
    }


@lru_cache(maxsize=256)
def needed(model: type[Struct]) -> tuple[str, ...]:
    """Return the keys that a mapping must have."""
    return tuple(name for name, key in keys_of(model).items() if key.is_required)


@lru_cache(maxsize=64)
def examples_of(model: type[Struct]) -> Mapping[str, object]:
    """Return an example of the value of each key, by the key."""
    return {name: one.meta.examples[0] for name, one in keys_of(model).items() if one.meta.examples}


def metas_of(field: FieldInfo) -> list[Meta]:
    """Return a list with the `Meta` that describes a field; empty if the field has none."""
    metas = get_args(field.type)[1:] if get_origin(field.type) is Annotated else ()
    return [meta for meta in metas if isinstance(meta, Meta) and meta.description]


def _bare(hint: Any) -> list[Any]:
    """Return the types that a field may have, without their `Meta`."""
    if get_origin(hint) is Annotated:
        return _bare(get_args(hint)[0])
    if get_origin(hint) in {Union, UnionType}:
        return [bare for each in get_args(hint) for bare in _bare(each)]
    return [hint]


def fields_of(
    model: type[Struct], pairs: Pairs, reading: Reading, unknown: Unknown, prefix: str = ""
) -> dict[str, Any]:
    """Read the keys of a mapping into the fields of a Struct.

    Args:
        model: The Struct.
        pairs: The keys and their nodes.
        reading: Receives the problems.
        unknown: Called for each key that the Struct does not have.
        prefix: The prefix of the keys in messages, such as ``success.``.

    Returns:
        The fields that are in the file and could be read.
    """
    keys = keys_of(model)
    values: dict[str, Any] = {}
    for name, (key_node, node) in pairs.items():
        key = keys.get(name)
        if key is None:
            unknown(name, key_node)
        elif key.reader is not None:
            value = _read(key, key.reader, node, prefix + name, reading)
            if value is not FAILED:
                # Interned, because thousands of steps name the same module.
                values[key.field] = sys.intern(value) if type(value) is str else value
    return values


def _read(key: Key, by: Reader, node: Node, name: str, reading: Reading) -> Any:
    if key.names is None:
        return by.read(node, name, reading)
    value = by.read(node, name, replace(reading, values=reading.values.with_expressions))
    is_bare = Expression in map(type, value if type(value) is tuple else (value,))
    if not reading.values.templated and not is_bare:
        return value
    is_once = bool(reading.element_names) and key.field in ONCE
    names = key.names if is_once else key.names | reading.element_names
    reading.templates.check(value, names, reading.problems, reading.where, is_once=is_once)
    whole = type(value) is Template
    value = reading.templates.extract(value, *reading.path, key.field)
    return FAILED if whole and not key.is_text else value
