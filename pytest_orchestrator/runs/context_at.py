"""Context of a recorded run at its end."""

from typing import Any

import msgspec

from pytest_orchestrator.core import keys
from pytest_orchestrator.core.errors import ContextKeyError
from pytest_orchestrator.core.json_values import deep_copy
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.runs.changes import Changes, RecordedChange


class PastContext:
    """Read-only Context of a recorded run.

    Args:
        changes: All changes of the Contexts of the run.
        scope: Key of the recipe that the Context belongs to; empty for the Context of the session.
    """

    def __init__(self, changes: Changes, scope: str = "") -> None:
        self._changes, self._scope = changes, scope
        self._values = changes.values(scope)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key or path, as `Context.get` does."""
        value = keys.find_path(self._values, key)
        return default if value is keys.ABSENT else deep_copy(value)

    def __getitem__(self, key: str) -> Any:
        value = self.get(key, keys.ABSENT)
        if value is keys.ABSENT:
            raise ContextKeyError(f"no key '{key}' in the context{nearest(key, self._values)}")
        return value

    def __contains__(self, key: str) -> bool:
        return keys.find_path(self._values, key) is not keys.ABSENT

    def keys(self) -> list[str]:
        """Return all keys."""
        return list(self._values)

    def to_dict(self) -> dict[str, Any]:
        """Return all values by key."""
        return {key: deep_copy(value) for key, value in self._values.items()}

    def get_history(self, key: str) -> list[dict[str, Any]]:
        """Return every change of a key, oldest first.

        Returns:
            The entries of `Context.get_history`, with ``by``, the node id of the step that made
            the change, and ``line``, its line in the journal, if they are known.
        """
        return [_plain(one) for one in self._changes.history(key, self._scope)]

    def last_modified(self, key: str) -> str | None:
        """Return the time of the last change of a key in ISO 8601 UTC; None if it never existed."""
        history = self.get_history(key)
        return history[-1]["ts"] if history else None


def _plain(one: RecordedChange) -> dict[str, Any]:
    row = msgspec.structs.asdict(one)
    line = row.pop("n")
    del row["key"]
    row = {name: value for name, value in row.items() if value or name in ("old", "new", "index")}
    if row["index"] is None:
        del row["index"]
    return row | ({"line": line} if line else {})
