"""Value readers: one for each type that a field of the model has.

A file's problems all come at once because no reader stops at the first: a value that
cannot be read is `FAILED`, its problem is noted, and reading goes on.
"""

import json
from collections.abc import Callable
from functools import cached_property, reduce
from operator import or_
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Protocol, Union, get_args, get_origin

import msgspec
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from pytest_orchestrator.core.json_values import kind
from pytest_orchestrator.recipe.expressions.expression import (
    OPENING,
    Expression,
    ExpressionError,
    Template,
    bare,
)
from pytest_orchestrator.recipe.fields.values import FAILED, Templates, Values, has_template
from pytest_orchestrator.recipe.parsing.nodes import BROKEN, pairs
from pytest_orchestrator.recipe.parsing.source import PLAIN
from pytest_orchestrator.recipe.problems import Problems, either, quoted, shortened

WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
_CONVENTIONAL = {"yes": "true", "on": "true", "no": "false", "off": "false"}


class Reading(NamedTuple):
    """Whose values are being read.

    Attributes:
        values: Reads scalars and JSON.
        problems: Takes what is wrong.
        where: Whose keys they are, such as `` in python step 'flash'``; may be empty.
        templates: Takes the expressions in their values.
        path: Where in the step the keys stand, for keys within keys.
    """

    values: Values
    problems: Problems
    where: str
    templates: Templates
    path: tuple[str | int, ...] = ()

    def wrong(self, node: Node, key: str, tail: str, hint: str = "") -> Any:
        """Note what is wrong with the value of a key; gives `FAILED`."""
        self.problems.add(self.values.place(node), f"'{key}'", self.where, tail, hint=hint)
        return FAILED

    def kind(self, node: Node) -> str:
        """What the value of a node is, such as ``a list``; empty where it has its problem."""
        if node.tag == BROKEN:
            return ""
        if not isinstance(node, ScalarNode):
            return "a list" if isinstance(node, SequenceNode) else "a mapping"
        value = self.values.scalar(node)
        if value is FAILED:
            return ""
        return kind(value) if node.value else "empty"

    def mismatch(self, node: Node, key: str, wanted: str) -> Any:
        """Note that a value is of another kind than it should be; gives `FAILED`.

        An expression may give what is wanted: it is returned, and its value is looked at later.
        """
        if isinstance(node, ScalarNode) and self.values.templated:
            value = self.values.scalar(node)
            if isinstance(value, Template):
                return value
        found = self.kind(node)
        if not found:
            return FAILED
        is_written = isinstance(node, ScalarNode) and node.value
        cure = _cure(node.value, wanted) if is_written else ""
        return self.wrong(node, key, f" is {found}, should be {wanted}", cure)


def _cure(text: str, wanted: str) -> str:
    if wanted.startswith("text"):
        return f"quote it: '{shortened(text)}'"
    if wanted == "a list" and text.isprintable():
        return f"write [{shortened(text)}]"
    if wanted == WORDS[bool] and text.lower() in _CONVENTIONAL:
        return f"write {_CONVENTIONAL[text.lower()]}"
    return ""


class Reader(Protocol):
    """Reads the values of one type."""

    @property
    def wanted(self) -> str:
        """What such a value is, in words."""
        ...

    @property
    def item(self) -> "Reader | None":
        """The reader of the items where a list may stand; None where none may."""
        ...

    def read(self, node: Node, key: str, reading: Reading) -> Any:
        """The value of a node, or `FAILED` with its problem noted."""
        ...

    def taken(self, value: Any, key: str) -> Any:
        """The value that an expression gave, as a node's would be read.

        Raises:
            ValueError: It is none for this key; the text says why.
        """
        ...


class _Scalar:
    """A text, a number, a boolean, or one of several words."""

    item = None

    def __init__(self, kinds: tuple[Any, ...]) -> None:
        self._choices = [
            word for one in kinds if get_origin(one) is Literal for word in get_args(one)
        ]
        named = [one for one in kinds if one in WORDS and not (one is int and float in kinds)]
        said = [WORDS[one] for one in named]
        self.wanted = either([*said, *(f"'{choice}'" for choice in self._choices)])
        self._exact = {each for each in kinds if each in {str, int, bool}}
        self._kinds = kinds

    @cached_property
    def _cell(self) -> Any:
        # What msgspec knows of a type stays with a Struct; a bare type it looks into each time.
        either_kind = reduce(or_, self._kinds)
        return msgspec.defstruct("Cell", [("value", either_kind)], array_like=True)

    def read(self, node: Node, key: str, reading: Reading) -> Any:
        if type(node) is not ScalarNode:
            return reading.mismatch(node, key, self.wanted)
        value = reading.values.scalar(node)
        if value is FAILED or type(value) in self._exact or type(value) is Template:
            return value
        try:
            return msgspec.convert((value,), self._cell).value
        except msgspec.ValidationError:
            if not self._choices or not isinstance(value, str):
                return reading.mismatch(node, key, self.wanted)
        hint = reading.problems.meant(value, self._choices)
        return reading.wrong(node, key, f" is {quoted(value)}, should be {self.wanted}", hint)

    def taken(self, value: Any, key: str) -> Any:
        try:
            return msgspec.convert((value,), self._cell).value
        except msgspec.ValidationError:
            raise _other(key, value, self.wanted) from None


class _List:
    """A list whose items are of one type."""

    wanted = "a list"

    def __init__(self, item: Reader) -> None:
        self.item: Reader = item

    def read(self, node: Node, key: str, reading: Reading) -> Any:
        if type(node) is not SequenceNode:
            return reading.mismatch(node, key, self.wanted)
        read = self.item.read
        items = tuple([read(each, f"{key}[{n}]", reading) for n, each in enumerate(node.value)])
        return FAILED if FAILED in items else items

    def taken(self, value: Any, key: str) -> Any:
        if not isinstance(value, list | tuple):
            raise _other(key, value, self.wanted)
        return tuple([self.item.taken(each, f"{key}[{n}]") for n, each in enumerate(value)])


class _Either:
    """A scalar, or a list."""

    def __init__(self, scalar: Reader, several: Reader) -> None:
        self._scalar = scalar
        self._several = several
        self.item = several.item
        self.wanted = f"{scalar.wanted}, or {several.wanted}"

    def read(self, node: Node, key: str, reading: Reading) -> Any:
        if type(node) is SequenceNode:
            return self._several.read(node, key, reading)
        if type(node) is ScalarNode:
            return self._scalar.read(node, key, reading)
        return reading.mismatch(node, key, self.wanted)

    def taken(self, value: Any, key: str) -> Any:
        if isinstance(value, list | tuple):
            return self._several.taken(value, key)
        if isinstance(value, dict):
            raise _other(key, value, self.wanted)
        return self._scalar.taken(value, key)


class _Json:
    """Anything that JSON has."""

    wanted = "any value"
    item = None

    def read(self, node: Node, _key: str, reading: Reading) -> Any:
        return reading.values.json(node)

    def taken(self, value: Any, _key: str) -> Any:
        return value


class _Condition:
    """A bare expression; what YAML takes for a boolean or a number is itself."""

    wanted = "an expression"
    item = None

    def read(self, node: Node, key: str, reading: Reading) -> Any:
        if type(node) is not ScalarNode or not node.value.strip():
            return reading.mismatch(node, key, self.wanted)
        try:
            return bare(_written(node, reading), reading.values.place(node))
        except ExpressionError as error:
            return reading.wrong(node, key, f" is {error}", reading.values.trap(node))

    def taken(self, value: Any, key: str) -> Any:
        raise _other(key, value, self.wanted)


class _Mapping:
    """A mapping whose keys and values are the user's."""

    wanted = "a mapping"
    item = None

    def __init__(self, name: Any, value: Any) -> None:
        self._name = _rule(name) or str
        self._value = None if value is Any else reader(value)

    def read(self, node: Node, key: str, reading: Reading) -> Any:
        if type(node) is not MappingNode:
            return reading.mismatch(node, key, self.wanted)
        if self._value is None:
            return reading.values.json(node)
        found = {}
        for name, (name_node, value_node) in pairs(node).items():
            try:
                if reading.values.is_name(name, name_node):
                    self._name(name)
            except ValueError as error:
                reading.wrong(name_node, key, f" has the key {quoted(name)}, {error}")
            found[name] = self._value.read(value_node, f"{key}.{shortened(name)}", reading)
        return FAILED if FAILED in found.values() else found

    def taken(self, value: Any, key: str) -> Any:
        if not isinstance(value, dict):
            raise _other(key, value, self.wanted)
        for name in value:
            try:
                self._name(name)
            except ValueError as error:
                raise ValueError(f"'{key}' has the key {quoted(name)}, {error}") from None
        read = self._value
        if read is None:
            return value
        return {name: read.taken(each, f"{key}.{shortened(name)}") for name, each in value.items()}


class _Ruled:
    """A value that must keep a rule besides its type."""

    def __init__(self, plain: Reader, rule: Callable[[Any], Any]) -> None:
        self._plain = plain
        self._rule = rule
        self.wanted = plain.wanted
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
            return reading.wrong(node, key, f" is {_shown(value)}, {error}")

    def taken(self, value: Any, key: str) -> Any:
        found = self._plain.taken(value, key)
        try:
            return self._rule(found)
        except ValueError as error:
            raise ValueError(f"'{key}' is {_shown(value)}, {error}") from None


def _written(node: ScalarNode, reading: Reading) -> str:
    """Return the text of an expression; that of a boolean or a number is its value's."""
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
    """The reader of a type.

    Args:
        hint: A type as a field of the model has it: scalars, lists, mappings of JSON and
            unions of these, with what `Meta` says about them. None is the value of a key
            that is not given, so no reader takes it but that of any JSON.
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
    lists = [each for each in kinds if get_origin(each) is tuple]
    scalar = _Scalar(tuple(each for each in kinds if each not in lists))
    return _Either(scalar, reader(lists[0])) if lists else scalar
