"""Changes of the Contexts of a run, folded from the lines of its journal.

The changes are stored as short lines of JSON and decoded on demand, so that a journal of a hundred
megabytes fits into memory.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import msgspec

from pytest_orchestrator.core import keys
from pytest_orchestrator.core.errors import ContextKeyError
from pytest_orchestrator.core.events import ContextChanged, ContextRestored, Op
from pytest_orchestrator.core.json_values import deep_copy
from pytest_orchestrator.runs.journal.chain import Entry

_Row = tuple[int, str, str, Op, Any, str, bool]
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Row).decode_lines
_ABSENT: Final = object()


def scope_below(scope: str) -> str:
    """Return the scope of the Context below one: that of the panel for a unit, else the session's.

    Args:
        scope: The key of a recipe, or that of a unit, see `unit_scope`.
    """
    return scope.rpartition("[unit:")[0]


class RecordedChange(msgspec.Struct, frozen=True, kw_only=True):
    """Change of one key, as recorded in a journal.

    Attributes:
        n: Number of its line; 0 for a change that was restored from an earlier run.
        ts: Time of the change, in ISO 8601 UTC.
        key: The key.
        who: Name of the writer, as the writer passed it.
        by: Node id of the step that made it; empty for other writers.
        op: The operation.
        old: The value before, for pop the item; None for append.
        new: The value after, for append the item; None for delete and pop.
        index: Index of the item in the list; only for append and pop.
        masked: True if a secret in it was replaced by ``***``.
    """

    n: int
    ts: str
    key: str
    who: str
    op: Op
    old: Any = None
    new: Any = None
    index: int | None = None
    by: str = ""
    masked: bool = False


class Changes:
    """All changes of the Contexts of a run: of the session's Context and of recipes' own Contexts.

    The scope of a recipe's own Context is the key of the recipe, and that of a unit `unit_scope`;
    the scope of the session's Context is an empty text.
    """

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, bytearray]] = {"": {}}
        self._last: dict[tuple[str, str], int] = {}
        self.count = 0

    def fold(self, entry: Entry) -> None:
        """Add the change in the next line of the journal; ignore lines with other events."""
        event = entry.event
        if isinstance(event, ContextChanged):
            self.count += 1
            row = (entry.n, entry.ts, event.who, event.op, event.new, event.by, event.masked)
            self._add(event.scope, event.key, row)
        elif isinstance(event, ContextRestored):
            self._restore(entry, event)

    def _restore(self, entry: Entry, event: ContextRestored) -> None:
        """Set keys to the values of a snapshot, with their histories if the snapshot has them."""
        history = event.snapshot.get("history", {})
        for key, changes in history.items():
            self._rows.setdefault(event.scope, {}).pop(key, None)
            by = event.by.get(key) or ("",) * len(changes)
            for change, who in zip(changes, by, strict=True):
                self._add(event.scope, key, _restored(change, who))
        for key, new in event.snapshot["values"].items():
            if key not in history:
                self._add(event.scope, key, (0, entry.ts, event.run, "restore", new, "", False))

    @property
    def scopes(self) -> list[str]:
        """Return the scopes: an empty text for the session's Context, then the keys of recipes."""
        return list(self._rows)

    def keys(self, scope: str = "") -> list[str]:
        """Return all keys that a Context ever had, including deleted ones, in their order."""
        own = self._rows.get(scope, {})
        return list(own) if not scope else [*dict.fromkeys([*self.keys(scope_below(scope)), *own])]

    def own_keys(self, scope: str) -> list[str]:
        """Return the keys that were changed in a Context itself, not in that of the session."""
        return list(self._rows.get(scope, {}))

    def last(self, key: str, scope: str = "") -> int:
        """Return the number of the last journal line that changed a key; 0 if none did."""
        return self._last.get((scope, key), 0)

    def latest(self, key: str, scope: str = "") -> RecordedChange | None:
        """Return the last change of a key, without its old value; None if it has no change.

        This decodes only the end of the history.
        """
        rows = self._rows.get(scope, {}).get(key)
        if not rows:
            return self.latest(key, scope_below(scope)) if scope else None
        (row,) = _decode(rows[rows.rfind(b"\n", 0, -1) + 1 :])
        n, ts, who, op, new, by, masked = row
        index = new if op == "pop" else None
        return RecordedChange(
            n=n,
            ts=ts,
            key=key,
            who=who,
            op=op,
            index=index,
            by=by,
            masked=masked,
            new=None if op == "pop" else new,
        )

    def history(self, key: str, scope: str = "") -> list[RecordedChange]:
        """Return all changes of a key, oldest first.

        In a recipe's Context, the history of a key begins with that of the session's Context.
        """
        return list(_replayed(key, self._seen(scope, key)))

    def values(self, scope: str = "", before: int | None = None) -> dict[str, Any]:
        """Return the values of a Context by key.

        Args:
            scope: The Context.
            before: Number of a line, to get the values just before it; None for the final values.
        """
        values: dict[str, Any] = {}
        for key in self.keys(scope):
            rows = self._seen(scope, key)
            value = _last_value([row for row in rows if before is None or row[0] < before])
            if value is not _ABSENT:
                values[key] = value
        return values

    def all(self) -> Iterator[tuple[str, RecordedChange]]:
        """Yield each change with its scope, key by key."""
        for scope in self.scopes:
            for key in self.own_keys(scope):
                for change in self.history(key, scope):
                    yield scope, change

    def _seen(self, scope: str, key: str) -> list[_Row]:
        """Return the changes of a key; in a recipe's Context after those of the session's."""
        own: list[_Row] = _decode(self._rows.get(scope, {}).get(key, b""))
        if not scope:
            return own
        below = self._seen(scope_below(scope), key)
        return [*(row for row in below if not own or row[0] < own[0][0]), *own]

    def _add(self, scope: str, key: str, row: _Row) -> None:
        self._rows.setdefault(scope, {}).setdefault(key, bytearray()).extend(_encode(row) + b"\n")
        self._last[scope, key] = row[0]


class JoinedChanges(Changes):
    """Changes of a run, and those that given steps made in a run before it.

    The changes of a key are ordered by their times, as if one run had made them. Their old values
    and indexes are those of their own run. Only keys, scopes and histories are joined.

    Args:
        later: The changes of the run.
        earlier: The changes of the run before it.
        by: Node ids of the steps whose earlier changes are taken.
    """

    def __init__(self, later: Changes, earlier: Changes, by: Collection[str]) -> None:
        super().__init__()
        self._later, self._earlier, self._by = later, earlier, by

    @property
    def scopes(self) -> list[str]:
        """Return the scopes of both runs."""
        return [*dict.fromkeys([*self._later.scopes, *self._earlier.scopes])]

    def keys(self, scope: str = "") -> list[str]:
        """Return the keys of both runs."""
        return [*dict.fromkeys([*self._later.keys(scope), *self._earlier.keys(scope)])]

    def own_keys(self, scope: str) -> list[str]:
        """Return the keys of both runs that were changed in a Context itself."""
        return [*dict.fromkeys([*self._later.own_keys(scope), *self._earlier.own_keys(scope)])]

    def history(self, key: str, scope: str = "") -> list[RecordedChange]:
        """Return the changes of a key in both runs, oldest first."""
        earlier = [one for one in self._earlier.history(key, scope) if one.by in self._by]
        return sorted([*earlier, *self._later.history(key, scope)], key=lambda one: one.ts)


def _restored(change: Mapping[str, Any], by: str) -> _Row:
    new = change.get("index") if change["op"] == "pop" else change["new"]
    return (0, change["ts"], change["who"], change["op"], new, by, False)


def _last_value(rows: list[_Row]) -> Any:
    """Return the value of a key after its changes; replay only those since it was last set."""
    start = 0
    for place in range(len(rows) - 1, -1, -1):
        if rows[place][3] not in ("append", "pop"):
            start = place
            break
    if not rows or rows[-1][3] == "delete":
        return _ABSENT
    return _list(rows[start:])


def _list(rows: list[_Row]) -> Any:
    value: Any = []
    is_own = True
    for _, _, _, op, new, _, _ in rows:
        if op not in ("append", "pop"):
            value, is_own = new, False
            continue
        value, is_own = value if is_own else _listed(value), True
        if op == "append":
            value.append(new)
        else:
            value.pop(new)
    return value


def _listed(value: Any) -> list[Any]:
    return [*value] if isinstance(value, list) else []


def _replayed(key: str, rows: list[_Row]) -> Iterator[RecordedChange]:
    """Replay the rows of a key, and yield each change with its old value and index."""
    value: Any = None
    is_own = False  # a list that no change refers to can be changed in place
    for n, ts, who, op, new, by, masked in rows:
        fields: dict[str, Any] = {"n": n, "ts": ts, "key": key, "who": who, "op": op}
        fields |= {"by": by, "masked": masked}
        if op not in ("append", "pop"):
            yield RecordedChange(**fields, old=value, new=new)
            value, is_own = new, False
            continue
        value, is_own = value if is_own else _listed(value), True
        if op == "append":
            value.append(new)
            yield RecordedChange(**fields, new=new, index=len(value) - 1)
        else:
            yield RecordedChange(**fields, old=value.pop(new), index=new)


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
            from pytest_orchestrator.core.suggestions import nearest

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
