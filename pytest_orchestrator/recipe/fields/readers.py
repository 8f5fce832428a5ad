"""Value readers, one for each type of the fields of the model, and the reader of a mapping.

All problems of a file are reported together: a reader reports the problem of an invalid value,
returns `FAILED`, and reading continues.
"""

import json
import sys
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache, reduce
from operator import or_
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Protocol, Union, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Meta, Struct
from msgspec.structs import FieldInfo, fields, replace

from pytest_orchestrator.core.figures.exact import LongDecimal
from pytest_orchestrator.core.json_values import kind
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.recipe.expressions.expression import (
    OPENING,
    Expression,
    ExpressionError,
    Template,
    bare,
)
from pytest_orchestrator.recipe.expressions.names import ONCE
from pytest_orchestrator.recipe.fields.values import FAILED, Templates, Values, has_template
from pytest_orchestrator.recipe.parsing.nodes import BROKEN, Pairs, pairs
from pytest_orchestrator.recipe.parsing.source import PLAIN
from pytest_orchestrator.recipe.problems import (
    OTHER_WORDS,
    Problems,
    either,
    form_like,
    form_of,
    quoted,
    shortened,
)
from pytest_orchestrator.recipe.pyyaml import MappingNode, Node, ScalarNode, SequenceNode

WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
_CONVENTIONAL = {"yes": "true", "on": "true", "no": "false", "off": "false"}


class Reading(msgspec.Struct, frozen=True):
    """State of reading the keys of one step or mapping.

    Attributes:
        values: Reads scalars and JSON.
        problems: Receives the problems.
        where: The step that the keys belong to, such as `` in python step 'flash'``; may be
            empty.
        templates: Receives the expressions in the values.
        path: Position of the keys in the step, for nested keys.
        element_names: Names that expressions may use besides those of their key: the names of the
            current element in a step with ``foreach``.
        unit_names: The name ``unit`` in a step that runs for one unit.
        examples: For each key of a step type of a plugin, a value as it may stand in a recipe.
    """

    values: Values
    problems: Problems
    where: str
    templates: Templates
    path: tuple[str | int, ...] = ()
    element_names: frozenset[str] = frozenset()
    unit_names: frozenset[str] = frozenset()
    examples: Mapping[str, object] = {}

    def report(self, node: Node, key: str, tail: str, hint: str = "") -> Any:
        """Report a problem of the value of a key, and return `FAILED`."""
        self.problems.add(self.values.place(node), f"'{key}'", self.where, tail, hint=hint)
        return FAILED

    def mapping(self, node: Node, key: str, wanted: str = "a mapping") -> Pairs | None:
        """Return the keys of a mapping; None if the value is no mapping, which is reported."""
        if type(node) is MappingNode and node.tag != BROKEN:
            return pairs(node)
        self.report_kind(node, key, wanted)
        return None

    def kind(self, node: Node) -> str:
        """Return the kind of a node's value, such as ``a list``; empty if the value is invalid."""
        if node.tag == BROKEN:
            return ""
        if not isinstance(node, ScalarNode):
            return "a list" if isinstance(node, SequenceNode) else "a mapping"
        value = self.values.scalar(node)
        if value is FAILED:
            return ""
        return kind(value) if node.value else "empty"

    def report_kind(self, node: Node, key: str, wanted: str) -> Any:
        """Report that a value is of the wrong kind, and return `FAILED`.

        Return the `Template` without a report if the value is an expression: the value of the
        expression is checked later.
        """
        if isinstance(node, ScalarNode) and self.values.templated:
            value = self.values.scalar(node)
            if isinstance(value, Template):
                return value
        actual = self.kind(node)
        if not actual:
            return FAILED
        is_written = isinstance(node, ScalarNode) and node.value
        cure = _cure(node.value, wanted, self.path) if is_written else ""
        if wanted == "a mapping":
            cure = form_like(key, self.examples.get(key)) or form_of(key)
        return self.report(node, key, f" is {actual}, should be {wanted}", cure)


def _cure(text: str, wanted: str, path: tuple[str | int, ...] = ()) -> str:
    if wanted.startswith("text"):
        return f"quote it: '{shortened(text)}'"
    if wanted == "a list" and text.isprintable():
        ends = _RANGE.fullmatch(text)
        numbers = range(int(ends[1]), int(ends[2]) + 1) if ends else ()
        return f"write [{', '.join(map(str, numbers)) or shortened(text)}]"
    if wanted == WORDS[bool] and text.lower() in _CONVENTIONAL:
        return f"write {_CONVENTIONAL[text.lower()]}"
    quantity = _QUANTITY.fullmatch(text)
    if wanted == WORDS[float] and quantity and path[:1] in _WITH_UNIT:
        return f"write {quantity[1]}, and unit: {shortened(quantity[2])}"
    return ""


_QUANTITY = lazy_pattern(r"([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*([^\W\d]\S*|°\S*)")
_RANGE = lazy_pattern(r"(\d{1,2})\s*(?:-|\.\.)\s*(\d{1,2})")
_WITH_UNIT = (("measurements",), ("sampling",))
"""Keys below which limits are numbers and `unit` has their unit."""


class Reader(Protocol):
    """Reader of the values of one type."""

    @property
    def expected(self) -> str:
        """The kind of value that the reader accepts, in words."""
        ...

    @property
    def item(self) -> "Reader | None":
        """The reader of the items of a list; None if the reader accepts no list."""
        ...

    def read(self, node: Node, key: str, reading: Reading) -> Any:
        """Return the value of a node, or `FAILED` after its problem was reported."""
        ...

    def convert(self, value: Any, key: str) -> Any:
        """Check and convert the value of an expression, as `read` does for a node.

        Raises:
            ValueError: The key does not accept the value; the message says why.
        """
        ...


class _Scalar:
    """Reader of a text, a number, a boolean, or one of several words."""

    item = None

    def __init__(self, kinds: tuple[Any, ...]) -> None:
        self._choices = [
            word for one in kinds if get_origin(one) is Literal for word in get_args(one)
        ]
        named = [one for one in kinds if one in WORDS and not (one is int and float in kinds)]
        kind_words = [WORDS[one] for one in named]
        self.expected = either([*kind_words, *(f"'{choice}'" for choice in self._choices)])
        self._exact = {each for each in kinds if each in {str, int, bool}}
        self._kinds = kinds

    @cached_property
    def _cell(self) -> Any:
        # msgspec caches the analysis of a Struct; it would analyse a bare type at each call.
        either_kind = reduce(or_, self._kinds)
        return msgspec.defstruct("Cell", [("value", either_kind)], array_like=True)

    def read(self, node: Node, key: str, reading: Reading) -> Any:
        if type(node) is not ScalarNode:
            return reading.report_kind(node, key, self.expected)
        value = reading.values.scalar(node)
        if value is FAILED or type(value) in self._exact or type(value) is Template:
            return value
        try:
            return msgspec.convert((value,), self._cell).value
        except msgspec.ValidationError:
            if not self._choices or not isinstance(value, str):
                return reading.report_kind(node, key, self.expected)
        word = OTHER_WORDS.get(value, "")
        near = f"did you mean '{word}'?" if word in self._choices else ""
        hint = near or reading.problems.suggest(value, self._choices)
        return reading.report(node, key, f" is {quoted(value)}, should be {self.expected}", hint)

    def convert(self, value: Any, key: str) -> Any:
        if type(value) is LongDecimal and float in self._kinds:
            return value
        try:
            return msgspec.convert((value,), self._cell).value
        except msgspec.ValidationError:
            raise _other(key, value, self.expected) from None


class _List:
    """Reader of a list whose items are of one type."""

    expected = "a list"

    def __init__(self, item: Reader) -> None:
        self.item: Reader = item

    def read(self, node: Node, key: str, reading: Reading) -> Any:
        if type(node) is not SequenceNode:
            return self._mismatch(node, key, reading)
        read = self.item.read
        items = tuple([read(each, f"{key}[{n}]", reading) for n, each in enumerate(node.value)])
        return FAILED if FAILED in items else items

    def _mismatch(self, node: Node, key: str, reading: Reading) -> Any:
        replacement = reading.report_kind(node, key, self.expected)
        # A value is never parsed as an expression, so an expression cannot give a list of them.
        if type(replacement) is Template and isinstance(self.item, _Condition):
            tail = f" is text, should be {self.expected}"
            return reading.report(node, key, tail, _cure(replacement.text, self.expected))
        return replacement

    def convert(self, value: Any, key: str) -> Any:
        if not isinstance(value, list | tuple):
            raise _other(key, value, self.expected)
        return tuple([self.item.convert(each, f"{key}[{n}]") for n, each in enumerate(value)])


class _Either:
    """Reader of a scalar, or of a list or a mapping.

    Args:
        scalar: The reader of a scalar.
        several: The reader of a list; None if the value cannot be a list.
        mapping: The reader of a mapping; None if the value cannot be a mapping.
    """

    def __init__(self, scalar: Reader, several: Reader | None, mapping: Reader | None) -> None:
        self._scalar = scalar
        self._several = several
        self._mapping = mapping
        self.item = several and several.item
        forms = [one.expected for one in (scalar, several, mapping) if one is not None]
        self.expected = ", or ".join(forms)

    def read(self, node: Node, key: str, reading: Reading) -> Any:
        if type(node) is SequenceNode and self._several is not None:
            return self._several.read(node, key, reading)
        if type(node) is MappingNode and self._mapping is not None:
            return self._mapping.read(node, key, reading)
        if type(node) is ScalarNode:
            return self._scalar.read(node, key, reading)
        return reading.report_kind(node, key, self.expected)

    def convert(self, value: Any, key: str) -> Any:
        if isinstance(value, list | tuple) and self._several is not None:
            return self._several.convert(value, key)
        if isinstance(value, dict) and self._mapping is not None:
            return self._mapping.convert(value, key)
        try:
            return self._scalar.convert(value, key)
        except ValueError:
            raise _other(key, value, self.expected) from None


class _Json:
    """Reader of any JSON value."""

    expected = "any value"
    item = None

    def read(self, node: Node, _key: str, reading: Reading) -> Any:
        return reading.values.json(node)

    def convert(self, value: Any, _key: str) -> Any:
        return value


class _Condition:
    """Reader of a bare expression; a YAML boolean or number is an expression too."""

    expected = "an expression"
    item = None

    def read(self, node: Node, key: str, reading: Reading) -> Any:
        if type(node) is not ScalarNode or not node.value.strip():
            return reading.report_kind(node, key, self.expected)
        try:
            return bare(_written(node, reading), reading.values.place(node))
        except ExpressionError as error:
            return reading.report(node, key, f" is {error}", reading.values.comment_hint(node))

    def convert(self, value: Any, key: str) -> Any:
        raise _other(key, value, self.expected)


class _Mapping:
    """Reader of a mapping whose keys the user chooses."""

    expected = "a mapping"
    item = None

    def __init__(self, name: Any, value: Any) -> None:
        self._name = _rule(name) or str
        self._value = None if value is Any else reader(value)

    def read(self, node: Node, key: str, reading: Reading) -> Any:
        if type(node) is not MappingNode:
            return reading.report_kind(node, key, self.expected)
        if self._value is None:
            return reading.values.json(node)
        values = {}
        for name, (name_node, value_node) in pairs(node).items():
            try:
                if reading.values.is_name(name, name_node):
                    self._name(name)
            except ValueError as error:
                reading.report(name_node, key, f" has the key {quoted(name)}, {error}")
            values[name] = self._value.read(value_node, f"{key}.{shortened(name)}", reading)
        return FAILED if FAILED in values.values() else values

    def convert(self, value: Any, key: str) -> Any:
        if not isinstance(value, dict):
            raise _other(key, value, self.expected)
        for name in value:
            try:
                self._name(name)
            except ValueError as error:
                raise ValueError(f"'{key}' has the key {quoted(name)}, {error}") from None
        read = self._value
        if read is None:
            return value
        return {
            name: read.convert(each, f"{key}.{shortened(name)}") for name, each in value.items()
        }


class _Ruled:
    """Reader of a value that must satisfy a validation rule besides its type."""

    def __init__(self, plain: Reader, rule: Callable[[Any], Any]) -> None:
        self._plain = plain
        self._rule = rule
        self.expected = plain.expected
        self.item = plain.item

    def read(self, node: Node, key: str, reading: Reading) -> Any:
        before = len(reading.problems.found)
        value = self._plain.read(node, key, reading)
        if value is FAILED or len(reading.problems.found) > before:
            return value
        if reading.values.templated and has_template(value):
            return value
        try:
            return self._rule(value)
        except ValueError as error:
            return reading.report(node, key, f" is {_shown(value)}, {error}")

    def convert(self, value: Any, key: str) -> Any:
        converted = self._plain.convert(value, key)
        try:
            return self._rule(converted)
        except ValueError as error:
            raise ValueError(f"'{key}' is {_shown(value)}, {error}") from None


def _written(node: ScalarNode, reading: Reading) -> str:
    """Return the text of a bare expression; for a YAML boolean or number, its value as JSON."""
    text: str = node.value
    value = reading.values.scalar(node) if node.tag == PLAIN and OPENING not in text else None
    return json.dumps(value) if isinstance(value, bool | int | float) else text


def _other(key: str, value: object, wanted: str) -> ValueError:
    return ValueError(f"'{key}' is {_shown(value)}, should be {wanted}")


def _shown(value: object) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, int | float):
        return shortened(json.dumps(value))
    return "[]" if value in ((), []) else kind(list(value) if isinstance(value, tuple) else value)


def _extras(hint: Any) -> list[dict[str, Any]]:
    metas = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return [meta.extra or {} for meta in metas]


def _rule(hint: Any) -> Callable[[Any], Any] | None:
    return next((extra["rule"] for extra in _extras(hint) if "rule" in extra), None)


def reader(hint: Any) -> Reader:
    """Return the reader for the values of a type.

    Args:
        hint: The type of a field of the model: scalars, lists, mappings of JSON and unions of
            these, with their `Meta`. None in a union stands for a missing key, so no reader accepts
            ``null`` except the reader of any JSON.
    """
    extras = _extras(hint)
    bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    written = next((extra["written"] for extra in extras if "written" in extra), bare)
    plain = _plain(written)
    rule = _rule(hint)
    return _Ruled(plain, rule) if rule else plain


def _plain(hint: Any) -> Reader:
    if hint is Any:
        return _Json()
    if hint is Expression:
        return _Condition()
    if get_origin(hint) is tuple:
        return _List(reader(get_args(hint)[0]))
    if get_origin(hint) is dict:
        return _Mapping(*get_args(hint))
    if get_origin(hint) not in {Union, UnionType}:
        return _Scalar((hint,))
    kinds = [each for each in get_args(hint) if each is not NoneType]
    if len(kinds) == 1:
        return reader(kinds[0])
    several = next((reader(each) for each in kinds if get_origin(each) is tuple), None)
    mapping = next((reader(each) for each in kinds if get_origin(each) is dict), None)
    scalars = tuple(each for each in kinds if get_origin(each) not in (tuple, dict))
    scalar: Reader = _Condition() if scalars == (Expression,) else _Scalar(scalars)
    return _Either(scalar, several, mapping) if several or mapping else scalar


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
    names = key.names | reading.unit_names
    names = names if is_once else names | reading.element_names
    reading.templates.check(value, names, reading.problems, reading.where, is_once=is_once)
    whole = type(value) is Template
    value = reading.templates.extract(value, *reading.path, key.field)
    return FAILED if whole and not key.is_text else value
