"""What a journal tells of the Context: every key at every moment, and who made it so.

A change is kept as one short line of JSON until it is asked for, so that a journal of a
hundred megabytes fits into memory.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from pytest_orchestrator.core.chain import Entry
from pytest_orchestrator.core.events import ContextChanged, ContextRestored, Op

_Row = tuple[int, str, str, Op, Any, str, bool]
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Row).decode_lines
_ABSENT: Final = object()


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one key, as the journal has it.

    Attributes:
        n: Number of its line; 0 for one of the run before, whose Context was restored.
        ts: When, in ISO 8601 UTC.
        key: The key.
        who: Who made it, in the writer's own words.
        by: Node id of the step that made it; empty for all others.
        op: The operation.
        old: The value before, for pop the item; None for append.
        new: The value after, for append the item; None for delete and pop.
        index: Place of the item in the list, for append and pop alone.
        masked: Something secret in it is replaced by ``***``.
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
    """All changes of the Contexts of a run: that of the session, and recipes' own.

    A scope is the key of the recipe that has a Context of its own, and empty for the session.
    """

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, bytearray]] = {"": {}}
        self._last: dict[tuple[str, str], int] = {}
        self.count = 0

    def fold(self, entry: Entry) -> None:
        """Take the next line of the journal, where it is about a Context."""
        event = entry.event
        if isinstance(event, ContextChanged):
            self.count += 1
            row = (entry.n, entry.ts, event.who, event.op, event.new, event.by, event.masked)
            self._add(event.scope, event.key, row)
        elif isinstance(event, ContextRestored):
            self._restore(entry, event)

    def _restore(self, entry: Entry, event: ContextRestored) -> None:
        """Take a whole Context over, with its history where it has one: that is all of it."""
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
        """Return the keys of the recipes that have a Context of their own; first the session's."""
        return list(self._rows)

    def keys(self, scope: str = "") -> list[str]:
        """Return all keys that ever were in a Context, deleted ones too, in their order."""
        own = self._rows.get(scope, {})
        return list(own) if not scope else [*dict.fromkeys([*self._rows[""], *own])]

    def last(self, key: str, scope: str = "") -> int:
        """Return the number of the line that changed a key last; 0 where none did."""
        return self._last.get((scope, key), 0)

    def latest(self, key: str, scope: str = "") -> Recorded | None:
        """Return the last change of a key, without what was before; None where it has none.

        However long the history is, only its end is read.
        """
        rows = self._rows.get(scope, {}).get(key) or self._rows[""].get(key)
        if rows is None:
            return None
        (row,) = _decode(rows[rows.rfind(b"\n", 0, -1) + 1 :])
        n, ts, who, op, new, by, masked = row
        place = new if op == "pop" else None
        return Recorded(
            n=n,
            ts=ts,
            key=key,
            who=who,
            op=op,
            index=place,
            by=by,
            masked=masked,
            new=None if op == "pop" else new,
        )

    def history(self, key: str, scope: str = "") -> list[Recorded]:
        """Return all changes of a key, oldest first; what a recipe has not changed is below it."""
        rows = self._rows.get(scope, {}).get(key)
        if rows is not None and scope:
            first = _decode(rows)[0][0]
            below = [row for row in self._of("", key) if row[0] < first]
            return list(_replayed(key, [*below, *_decode(rows)]))
        return list(_replayed(key, self._of("" if rows is None else scope, key)))

    def values(self, scope: str = "", before: int | None = None) -> dict[str, Any]:
        """Return the values of a Context by key.

        Args:
            scope: Whose Context.
            before: Number of a line: as it stood before that; None is the end.
        """
        told: dict[str, Any] = {}
        for key in self.keys(scope):
            own = self._rows.get(scope, {}).get(key)
            rows = [] if own is None else _until(_decode(own), before)
            if scope and rows:
                below = [row for row in self._of("", key) if row[0] < rows[0][0]]
                rows = [*below, *rows]
            elif scope:
                rows = _until(self._of("", key), before)
            value = _last_value(rows)
            if value is not _ABSENT:
                told[key] = value
        return told

    def all(self) -> Iterator[tuple[str, Recorded]]:
        """Give each change with its scope, key by key."""
        for scope, keys in self._rows.items():
            for key in keys:
                for change in self.history(key, scope):
                    yield scope, change

    def _of(self, scope: str, key: str) -> list[_Row]:
        return _decode(self._rows.get(scope, {}).get(key, b""))

    def _add(self, scope: str, key: str, row: _Row) -> None:
        self._rows.setdefault(scope, {}).setdefault(key, bytearray()).extend(_encode(row) + b"\n")
        self._last[scope, key] = row[0]


def _restored(change: Mapping[str, Any], by: str) -> _Row:
    new = change.get("index") if change["op"] == "pop" else change["new"]
    return (0, change["ts"], change["who"], change["op"], new, by, False)


def _until(rows: list[_Row], before: int | None) -> list[_Row]:
    return rows if before is None else [row for row in rows if row[0] < before]


def _last_value(rows: list[_Row]) -> Any:
    """Return what a key has after its changes; only those since it was last set are replayed."""
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


def _replayed(key: str, rows: list[_Row]) -> Iterator[Recorded]:
    """Tell each row as a change, with what the state before it adds."""
    value: Any = None
    is_own = False  # a list that no change has told yet can be changed in place
    for n, ts, who, op, new, by, masked in rows:
        told: dict[str, Any] = {"n": n, "ts": ts, "key": key, "who": who, "op": op}
        told |= {"by": by, "masked": masked}
        if op not in ("append", "pop"):
            yield Recorded(**told, old=value, new=new)
            value, is_own = new, False
            continue
        value, is_own = value if is_own else _listed(value), True
        if op == "append":
            value.append(new)
            yield Recorded(**told, new=new, index=len(value) - 1)
        else:
            yield Recorded(**told, old=value.pop(new), index=new)
