"""Lossy conversion of any object to JSON for reports; it never raises.

Values that the Context stores are copied by `json_values.json_copy` instead, which refuses types
that JSON lacks.
"""

import dataclasses
import datetime
import decimal
import math
import os
import uuid
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from numbers import Integral, Real

import msgspec

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.text import escape_surrogates

_DEEPEST = 50
_MOST = 100_000
_LONGEST_REPR = 300
_LONGEST_INT = 4000  # bits; Python refuses to convert integers of more than 4,300 digits
_CUT = "..."


def plain(value: object) -> Json:
    """Convert any object to JSON for display.

    Args:
        value: Any object; its own methods may raise.

    Returns:
        Paths as text, dates as ISO 8601, bytes as escaped text, ``nan`` as ``"NaN"``, sets and
        tuples as lists, dataclasses and Structs as mappings, anything else as its repr, cut to
        300 characters. A reference to an outer value, a value below 50 levels and all items
        after the first 100,000 become ``"..."``.
    """
    return _Conversion().of(value)


class _Conversion:
    """State of one conversion: the enclosing values and the number of items left."""

    def __init__(self) -> None:
        self.inside: list[object] = []
        self.left = _MOST

    def of(self, value: object) -> Json:
        self.left -= 1
        is_circle = any(outer is value for outer in self.inside)
        if self.left < 0 or is_circle or len(self.inside) >= _DEEPEST:
            return _CUT
        self.inside.append(value)
        try:
            return self._of(value)
        except Exception:  # noqa: BLE001  # raised by the object's code; reports must not fail
            return _cut_repr(value)
        finally:
            self.inside.pop()

    def _of(self, value: object) -> Json:
        if isinstance(value, Enum):
            return self.of(value.value)
        if isinstance(value, Mapping):
            return self._mapping(value.items())
        if isinstance(value, AbstractSet):
            return self._list(sorted(value, key=repr))
        if isinstance(value, (list, tuple)):
            return self._list(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [field.name for field in dataclasses.fields(value)]
            return self._mapping((name, getattr(value, name)) for name in names)
        if isinstance(value, msgspec.Struct):
            return self._mapping((name, getattr(value, name)) for name in value.__struct_fields__)
        return _scalar(value)

    def _list(self, items: Iterable[object]) -> list[Json]:
        result: list[Json] = []
        for item in items:
            result.append(self.of(item))
            if self.left < 0:
                break
        return result

    def _mapping(self, items: Iterable[tuple[object, object]]) -> dict[str, Json]:
        result: dict[str, Json] = {}
        for key, item in items:
            name = escape_surrogates(key) if isinstance(key, str) else escape_surrogates(str(key))
            while name in result:  # the keys 1 and "1" have the same text
                name += "'"
            result[name] = self.of(item)
            if self.left < 0:
                break
        return result


def _scalar(value: object) -> Json:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return escape_surrogates(value)
    if isinstance(value, Integral):
        number = int(value)
        long = number.bit_length() > _LONGEST_INT
        return f"integer of {number.bit_length():,} bits" if long else number
    if isinstance(value, Real):
        return _float(float(value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode(errors="backslashreplace")
    if isinstance(value, os.PathLike):
        return escape_surrogates(os.fsdecode(value))
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (datetime.timedelta, decimal.Decimal, uuid.UUID)):
        return str(value)
    return _cut_repr(value)


def _float(value: float) -> Json:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _cut_repr(value: object) -> str:
    try:
        text = escape_surrogates(repr(value))
    except Exception:  # noqa: BLE001  # raised by the object's code; reports must not fail
        text = f"<{type(value).__name__} whose repr fails>"
    return text if len(text) <= _LONGEST_REPR else text[:_LONGEST_REPR] + _CUT
