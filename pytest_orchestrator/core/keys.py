"""Keys of the Context, and paths to a key or into its value.

Keys are flat text with dots. A path is resolved in this order: as a key; as the longest key
that is its beginning, followed into the value of that key; as a common prefix of keys, whose
values then form a mapping.
"""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Final, TypeAlias, cast

from pytest_orchestrator.core.errors import ContextKeyError, ContextTypeError
from pytest_orchestrator.core.json_values import Json, kind
from pytest_orchestrator.core.text import lazy_pattern

__tracebackhide__ = True

MOST_PARTS: Final = 100
"""Parts of a key; `find_path` joins each prefix, so its time grows with their square."""

RESERVED: Final = frozenset({"ctx", "context", "params", "instrument"})
"""Names of parameters of the step code that receive no key of `params`."""

# Control characters would break the lines of reports; surrogates cannot be encoded.
_FORBIDDEN: Final = lazy_pattern("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class _Absent(Enum):
    ABSENT = "absent"


Absent: TypeAlias = _Absent
ABSENT: Final = _Absent.ABSENT


def text(key: str) -> str:
    """Return a key or path unchanged, after a check that it is text.

    Raises:
        ContextTypeError: The key is not text.
    """
    if not isinstance(key, str):
        raise ContextTypeError(f"a key is text such as 'metrics.mean_v1', not {kind(key)}")
    return key


def checked_key(key: str) -> str:
    """Return a key after the checks that precede a write.

    Raises:
        ContextTypeError: The key is not text.
        ContextKeyError: The key is empty, or has an empty part, a control character, a lone
            surrogate or more than 100 parts.
    """
    key = str.__str__(text(key))
    parts = key.split(".")
    if not any(parts):
        raise ContextKeyError(f"{key!r} is no key; write a name such as 'metrics.mean_v1'")
    if "" in parts:
        cure = ".".join(filter(None, parts))
        raise ContextKeyError(f"key {key!r} has an empty part; write {cure!r}")
    forbidden = _FORBIDDEN.search(key)
    if forbidden:
        cure, fault = _FORBIDDEN.sub("_", key), "a control character"
        if "\ud800" <= forbidden[0] <= "\udfff":
            fault = f"a lone surrogate at index {forbidden.start()}, which JSON does not have"
        raise ContextKeyError(f"key {key!r} has {fault}; write {cure!r}")
    if len(parts) > MOST_PARTS:
        raise ContextKeyError(f"a key of {len(parts)} parts; {MOST_PARTS} are the most")
    return key


def find_path(values: Mapping[str, Json], path: str) -> Json | Absent:
    """Return the value at a key or path.

    Args:
        values: All values by key.
        path: A key, a key with a path into its value, or a common prefix of keys.

    Returns:
        The value itself, not a copy; for a prefix, a new mapping of the values of its keys;
        `ABSENT` if the path leads to nothing.

    Raises:
        ContextTypeError: The path is not text.
    """
    if text(path) in values:
        return values[path]
    parts = path.split(".")
    # A path with more parts than a value can have levels leads to nothing, and resolving it
    # would take time that grows with the square of its parts.
    if len(parts) > 4 * MOST_PARTS:
        return ABSENT
    for cut in range(len(parts) - 1, 0, -1):
        key = ".".join(parts[:cut])
        if key in values:
            inside = value_at(values[key], parts[cut:])
            if inside is not ABSENT:
                return inside
            break
    return _below(values, f"{path}.")


def value_at(value: Json, parts: list[str]) -> Json | Absent:
    """Return the value at the end of a path that begins at another value.

    Args:
        value: The value to start with.
        parts: Keys of mappings and indexes of lists (``-1`` is the last item). A key of a
            mapping may contain dots; the longest key that matches is followed.

    Returns:
        The value at the end of the path, not a copy; `ABSENT` if the path leads to nothing.
    """
    while parts:
        if isinstance(value, dict):
            ends = (end for end in range(len(parts), 0, -1) if ".".join(parts[:end]) in value)
            end = next(ends, 0)
            if not end:
                return ABSENT
            value, parts = value[".".join(parts[:end])], parts[end:]
        elif isinstance(value, list) and re.fullmatch(r"-?[0-9]{1,18}", parts[0]):
            index = int(parts[0])
            if not -len(value) <= index < len(value):
                return ABSENT
            value, parts = value[index], parts[1:]
        else:
            return ABSENT
    return value


def _below(values: Mapping[str, Json], prefix: str) -> Json | Absent:
    """Return the values of all keys with a prefix as nested mappings.

    If one key is the beginning of another (``b`` and ``b.c``), the longer one keeps its dots
    and is placed beside the shorter one, so that no value is lost and `into` finds both.
    """
    tree: dict[str, Json] = {}
    for key in [key for key in values if key.startswith(prefix)]:
        parts = key[len(prefix) :].split(".")
        last = len(parts) - 1
        depth = next((n for n in range(last) if prefix + ".".join(parts[: n + 1]) in values), last)
        node = tree
        for part in parts[:depth]:
            node = cast("dict[str, Json]", node.setdefault(part, {}))
        node[".".join(parts[depth:])] = values[key]
    return tree or ABSENT
