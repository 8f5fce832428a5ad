"""Strict JSON copies of values, and hints for values of types that JSON lacks.

A copy consists of None, bool, int, float, str, list and dict. A subclass of list or dict is copied
by its items. Every other type is refused, even if the value claims to be equal to an allowed one:
no method of the value is ever called.
"""

import math
from collections.abc import Callable, Mapping
from enum import Enum
from marshal import dumps
from types import NoneType
from typing import Any, NoReturn, TypeAlias, cast

import msgspec

from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.figures.exact import LongDecimal, decimal

# pytest leaves frames of this module out of tracebacks, so that they end in the user's code.
__tracebackhide__ = True

Json: TypeAlias = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

SCALARS = frozenset({NoneType, bool, int, float, str})
MAX_DEPTH = 200
"""Levels of a value; a request of `context.rpc.protocol` has up to eight more around it."""

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode
decode_exactly = msgspec.json.Decoder(float_hook=decimal).decode
"""Decode JSON; a decimal that no float keeps becomes a `LongDecimal`."""

_NOT_IN_JSON = "which JSON does not have"


class NotJson(OrchestratorError, ValueError):
    """Error: a round trip through JSON would change a value."""

    slug = "not-json"
    __module__ = "pytest_orchestrator"


def json_copy(value: object, what: str = "value", depth: int = MAX_DEPTH) -> Json:
    """Return a deep copy of a value that a round trip through JSON leaves unchanged.

    A `LongDecimal` becomes the float that reads its text.

    Args:
        value: Any object.
        what: The name of the value in an error.
        depth: Maximum nesting of lists and mappings.

    Returns:
        An equal value that shares nothing with `value`.

    Raises:
        NotJson: JSON would change the value; the text names the position in the value, the
            item at that position and a replacement.
    """
    copy: Json = None
    try:
        data = encode(value)
        copy = decode(data)
        survives = same_json(copy, value) and (
            len(data) <= 2 * depth or _is_flat_enough(copy, data, depth)
        )
    except Exception:  # noqa: BLE001  # `_checked_copy` finds the cause and its position
        survives = False
    return copy if survives else _checked_copy(value, [what], [], depth)


def copy_for_key(key: str, value: object, what: str = "value", depth: int = MAX_DEPTH) -> Json:
    """Return a deep copy of a value for a key of the Context; see `json_copy`.

    Raises:
        NotJson: JSON would change the value; the text names the key too.
    """
    try:
        return json_copy(value, what, depth)
    except NotJson as error:
        raise NotJson(f"key {_short(key)}: {error}") from None


def same_json(one: Any, other: Any) -> bool:
    """Return True if two values are equal, including their types and the order of keys.

    Raises:
        ValueError: One of them contains an object that has no built-in type.
    """
    # Version 2 of marshal writes exact built-in types only, each in one form, and calls no
    # method. `==` would call the method of the value, and 1 == True.
    return dumps(one, 2) == dumps(other, 2)


def exact_text(value: object) -> str:
    """Return the text of a JSON value with a `LongDecimal` in it; empty if it has none.

    Args:
        value: A value that `json_copy` accepts.
    """
    found = []

    def as_written(part: Any) -> msgspec.Raw:
        found.append(part)
        return msgspec.Raw(part.text.encode())

    text = msgspec.json.encode(value, enc_hook=as_written)
    return text.decode() if found else ""


def mapped(value: Any, scalar: Callable[[Any], Any]) -> Any:
    """Return a copy of data in which a function has replaced what is no mapping and no list."""
    if isinstance(value, Mapping):
        return {name: mapped(one, scalar) for name, one in value.items()}
    return (
        [mapped(one, scalar) for one in value] if isinstance(value, list | tuple) else scalar(value)
    )


def as_floats(value: Any) -> Any:
    """Return JSON data with the nearest float in the place of each `LongDecimal`."""
    return mapped(value, lambda one: float(one) if type(one) is LongDecimal else one)


def deep_copy(value: Json) -> Json:
    """Return a deep copy of a JSON value."""
    if type(value) in SCALARS:
        return value
    copy: Json = decode(encode(value))
    return copy


def finite_number(value: Any) -> float | None:
    """Return a value as a finite float; None if it is no number, or beyond the range of floats."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def kind(value: object) -> str:
    """Return the type of a value in the words of recipes: ``a number``, ``a list``, ``a Path``."""
    words = {NoneType: "null", bool: "a boolean", int: "a number", float: "a number"}
    words |= {LongDecimal: "a number", str: "text", list: "a list", dict: "a mapping"}
    return words.get(type(value)) or described(value)


def _is_flat_enough(copy: Json, data: bytes, depth: int) -> bool:
    """Return True if a value is nested at most `depth` levels deep; works without recursion."""
    if data.count(b"[") + data.count(b"{") <= depth:
        return True
    level: list[Any] = [] if type(copy) in SCALARS else [copy]
    for _ in range(depth):
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            if type(child) not in SCALARS
        ]
        if not level:
            break
    return not level


def _checked_copy(value: object, path: list[object], parents: list[object], depth: int) -> Json:
    """Copy a value item by item; slower than encoding, but errors name the position of the item."""
    if issubclass(type(value), (list, dict)):
        if any(parent is value for parent in parents):
            raise NotJson(f"{_place(path)} contains itself; store a copy without the circle")
        if len(parents) >= depth:
            raise NotJson(f"{_place(path)} is nested more than {depth} deep; store it flatter")
        parents.append(value)
        path.append(None)
        copy: Json
        if issubclass(type(value), list):
            copy = _checked_list(cast("list[object]", value), path, parents, depth)
        else:
            copy = _checked_dict(cast("dict[object, object]", value), path, parents, depth)
        path.pop()
        parents.pop()
        return copy
    if type(value) is str:
        _refuse_surrogates(value, f"{_place(path)} has")
    elif type(value) is int:
        _refuse_long_integer(value, path)
    elif type(value) is float:
        if not math.isfinite(value):
            raise NotJson(f"{_place(path)} is {value}, {_NOT_IN_JSON}; use None or leave it out")
    elif type(value) not in SCALARS and type(value) is not LongDecimal:
        raise NotJson(f"{_place(path)} is {described(value)}, {_NOT_IN_JSON}; {replacement(value)}")
    return cast("Json", as_floats(value))


def _checked_list(
    value: list[object], path: list[object], parents: list[object], depth: int
) -> list[Json]:
    copy = []
    for index, item in enumerate(list.__iter__(value)):
        path[-1] = index
        copy.append(_checked_copy(item, path, parents, depth))
    return copy


def _checked_dict(
    value: dict[object, object], path: list[object], parents: list[object], depth: int
) -> dict[str, Json]:
    copy: dict[str, Json] = {}
    for key, item in dict.items(value):
        if type(key) is not str:
            _refuse_key(key, path[:-1])
        _refuse_surrogates(key, f"{_place(path[:-1])} has a key with")
        path[-1] = key
        copy[key] = _checked_copy(item, path, parents, depth)
    return copy


def _place(path: list[object]) -> str:
    """Return a path of keys and indexes as text such as ``value['a'][2]``, shortened if long."""
    steps = [f"[{_short(step)}]" for step in path[1:]]
    if len(steps) > 12:
        steps[6:-6] = ["…"]
    return f"{path[0]}{''.join(steps)}"


def _short(step: object) -> str:
    text = repr(step)
    return text if len(text) <= 60 else f"{text[:50]}…{text[-1]}"


def _refuse_surrogates(text: str, head: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise NotJson(
            f"{head} a lone surrogate at index {error.start}, {_NOT_IN_JSON}; "
            "use .encode(errors='backslashreplace').decode()"
        ) from None


def _refuse_long_integer(value: int, path: list[object]) -> None:
    try:
        lost = decode(encode(value)) != value
    except ValueError:
        lost = True
    if lost:
        raise NotJson(
            f"{_place(path)} is an integer of {value.bit_length():,} bits, "
            "too long for JSON; use hex()"
        )


def _refuse_key(key: object, path: list[object]) -> NoReturn:
    cure = "use str()" if isinstance(key, (str, int, float)) else "use text"
    raise NotJson(f"{_place(path)} has a key that is {described(key)}, not text; {cure}")


_BY_NAME = {
    "tuple": "use a list",
    "set": "use a sorted list",
    "frozenset": "use a sorted list",
    "bytes": "use its hex() or decode it to text",
    "bytearray": "use its hex() or decode it to text",
    "memoryview": "use its hex() or decode its bytes to text",
    "datetime": "use its isoformat()",
    "date": "use its isoformat()",
    "time": "use its isoformat()",
    "timedelta": "use its total_seconds()",
    "Decimal": "use str() or float()",
    "Fraction": "use str() or float()",
    "UUID": "use str()",
    "complex": "use a list of its real and its imaginary part",
}
# An attribute with which a class offers a conversion, and the hint to use it.
_BY_ATTRIBUTE = {
    "__dataclass_fields__": "use dataclasses.asdict()",
    "_asdict": "use its _asdict()",
    "__fspath__": "use str()",
    "tolist": "use its tolist()",
    "keys": "use dict()",
    "__iter__": "use list()",
}


def _with_article(name: str) -> str:
    """Return a name with its article: ``a tuple``, ``an int``."""
    return f"{'an' if name[:1].lower() in 'aeio' else 'a'} {name}"


def described(value: object) -> str:
    """Return the type of a value with its article: ``a tuple``, ``a float64, a kind of float``."""
    family = type(value)
    if issubclass(family, Enum):
        return f"a member of the enum {family.__name__}"
    base = _base(family)
    if base is not None and base is not family:
        return f"{_with_article(family.__name__)}, a kind of {base.__name__}"
    return "bytes" if family is bytes else _with_article(family.__name__)


def replacement(value: object) -> str:
    """Return a hint for the replacement of a value: ``use a list``."""
    family = type(value)
    if issubclass(family, Enum):
        return "use its .value"
    base = _base(family)
    if base is not None:
        return f"use {base.__name__}()"
    if issubclass(family, msgspec.Struct):
        return "use msgspec.to_builtins()"
    by_attribute = (how for name, how in _BY_ATTRIBUTE.items() if hasattr(family, name))
    return _BY_NAME.get(family.__name__) or next(
        by_attribute, "store the plain values of it that you need"
    )


def _base(family: type) -> type | None:
    return next((base for base in (str, bool, int, float) if issubclass(family, base)), None)
