"""A Context as one piece of plain JSON, and back: all or nothing."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from pytest_orchestrator.core.errors import ContextKeyError, ContextTypeError
from pytest_orchestrator.core.history import Change, History
from pytest_orchestrator.core.paths import checked_key
from pytest_orchestrator.core.values import Json, copied, same, unshared

__tracebackhide__ = True

VERSION: Final = 1


class Snapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a snapshot holds.

    Attributes:
        version: Of this format.
        values: All values by key.
        history: The changes of all keys, deleted ones too, as `Change.as_dict` gives them.
    """

    version: Literal[1]
    values: dict[str, Any]
    history: dict[str, list[dict[str, Any]]] = {}


def taken(values: Mapping[str, Json], history: History) -> dict[str, Any]:
    """Write values and history as plain JSON that shares nothing with them."""
    changes = {key: [change.as_dict() for change in history.of(key)] for key in history}
    return {
        "version": VERSION,
        "values": unshared(dict(values)),
        "history": changes,
    }


def read(snapshot: object) -> tuple[dict[str, Json], dict[str, list[Change]]]:
    """Check a snapshot.

    Args:
        snapshot: What is said to be one.

    Returns:
        Own copies of its values and of its changes, by key.

    Raises:
        NotJson: One of its values is not JSON.
        ContextTypeError: It is no snapshot, or its history does not lead to its values.
    """
    try:
        parts = msgspec.convert(snapshot, Snapshot)
        for key in parts.values | parts.history:
            checked_key(key)
        changes = {key: _changes(key, told) for key, told in parts.history.items()}
    except (msgspec.ValidationError, ContextKeyError) as error:
        raise ContextTypeError(f"this is no snapshot of a Context: {error}") from error
    values = {
        key: copied(value, f"snapshot['values'][{key!r}]") for key, value in parts.values.items()
    }
    for key, listed in changes.items():
        if not _leads_to(key, listed, values.get(key)):
            raise ContextTypeError(
                f"this snapshot is damaged: the history of {key!r} does not lead to its value"
            )
    return values, changes


def _changes(key: str, told: list[dict[str, Any]]) -> list[Change]:
    return [msgspec.convert({**change, "key": key}, Change) for change in told]


def _leads_to(key: str, changes: list[Change], value: Json) -> bool:
    """Replay changes and compare each one, and what they end with."""
    scratch = History()
    try:
        scratch.adopt(key, changes)
        scratch.add(key, "", "delete", None)
        *replayed, end = scratch.of(key)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return False
    return replayed == changes and same(end.old, value)
