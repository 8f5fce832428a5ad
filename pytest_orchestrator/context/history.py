"""Change history of a Context, kept as lines of JSON, and its snapshots.

A line holds only what the lines before it do not tell: no old value, no place of an
appended item. So ten thousand appends to a list cost ten thousand items.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

import msgspec

from pytest_orchestrator.core.errors import ContextKeyError, ContextTypeError
from pytest_orchestrator.core.events import Change, ContextChanged, Op
from pytest_orchestrator.core.json_values import Json, encode, json_copy, same_json, unshared
from pytest_orchestrator.core.keys import checked_key, text

Recorder: TypeAlias = Callable[[ContextChanged, int], None]
"""Keeps a change, and its time in microseconds, outside this process; raises where it cannot."""

Written: TypeAlias = Callable[[str, Json], None]
"""Sees each key with the value, or the item, that is written to it."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TICK: Final = timedelta(microseconds=1)
_decoder: Final = msgspec.json.Decoder(tuple[int, str, Op, Any])


class History:
    """The changes of all keys of a Context, which guards it by its lock.

    Attributes:
        written: Is called with each key and value that is written, the lock held.
        recorder: Is called with each change before it counts, the lock held.
        scope: Key of the recipe whose own Context it is; empty for that of a session.
    """

    __slots__ = ("_last", "_lines", "recorder", "scope", "written")

    def __init__(self, scope: str = "") -> None:
        self.written: Written | None = None
        self.recorder: Recorder | None = None
        self.scope = scope
        self._lines: dict[str, bytearray] = {}
        self._last = 0

    def add(self, key: str, who: str, op: Op, payload: Json, by: str = "") -> int:
        """Write one line; where it cannot be recorded nothing has changed.

        Args:
            key: The key.
            who: Who changes it.
            op: What is done.
            payload: The value after; for append the item, for pop its index from 0.
            by: The node id of the step that changes it, where a step does.

        Returns:
            The time of the change in microseconds since the epoch.
        """
        now = self.record(key, who, op, payload, by)
        self._write(key, encode((now, who, op, payload)))
        return now

    def record(self, key: str, who: str, op: Op, payload: Json, by: str) -> int:
        """Tell of a change that is about to be made, and return its time; see `add`."""
        now = self.now()
        if self.written is not None and op != "pop":
            self.written(key, payload)
        if self.recorder is not None:
            change = ContextChanged(key=key, op=op, who=who, new=payload, by=by, scope=self.scope)
            self.recorder(change, now)
        return now

    def observe(self, recorder: Recorder | None, written: Written | None) -> None:
        """Let changes be kept, or values be seen, from now on; None leaves that as it is."""
        self.recorder, self.written = recorder or self.recorder, written or self.written

    def now(self) -> int:
        """Return the time in microseconds, later than at any call before."""
        moment = time.time_ns() // 1000
        if moment <= self._last:  # the clock stands still, or was set back
            moment = self._last + 1
        self._last = moment
        return moment

    def adopt(self, key: str, changes: Iterable[Change]) -> None:
        """Take over the changes of a key that has none here."""
        for change in changes:
            payload = change.index if change.op == "pop" else change.new
            moment = _moment(change.ts)
            self._write(key, encode((moment, change.who, change.op, payload)))
            if self.written is not None:
                self.written(key, change.new)
            self.passed(moment)

    def adopted(self, changes: Mapping[str, Iterable[Change]]) -> set[str]:
        """Take over the changes of all keys that have none here, and return those keys."""
        strange = {key: listed for key, listed in changes.items() if key not in self}
        for key, listed in strange.items():
            self.adopt(key, listed)
        return set(strange)

    def passed(self, moment: int) -> None:
        """Let no later change be at a moment or before it."""
        self._last = max(self._last, moment)

    def lines(self, key: str) -> bytes | bytearray:
        """Return the lines of a key; none where it never was."""
        return self._lines.get(key, b"")

    def of(self, key: str) -> list[Change]:
        """Replay the changes of a key; none of them shares anything with another.

        Raises:
            ContextTypeError: The key is not text.
        """
        return list(_replayed(key, _decoder.decode_lines(self.lines(text(key)))))

    def last(self, key: str) -> str | None:
        """Return the time of a key's last change, in ISO 8601 UTC.

        Raises:
            ContextTypeError: The key is not text.
        """
        lines = self.lines(text(key))
        if not lines:
            return None
        start = lines.rfind(b"\n", 0, -1) + 2
        return stamp(int(lines[start : lines.index(b",", start)]))

    def __contains__(self, key: str) -> bool:
        return key in self._lines

    def __iter__(self) -> Iterator[str]:
        """Give all keys that ever were, deleted ones too."""
        return iter(self._lines)

    def _write(self, key: str, row: bytes) -> None:
        lines = self._lines.get(key)
        if lines is None:
            self._lines[key] = bytearray(row + b"\n")
        else:
            lines += row + b"\n"


def stamp(moment: int) -> str:
    """Write microseconds since the epoch as ISO 8601 UTC text of fixed width."""
    text = (_EPOCH + moment * _TICK).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")


def _moment(ts: str) -> int:
    return (datetime.fromisoformat(ts) - _EPOCH) // _TICK


def _replayed(key: str, rows: Iterable[tuple[int, str, Op, Any]]) -> Iterator[Change]:
    """Tell each line as a change, with what the state before it adds."""
    value: Any = None
    for moment, who, op, payload in rows:
        ts = stamp(moment)
        if op == "append":
            value = [] if value is None else value
            value.append(unshared(payload))
            yield Change(key, ts, who, op, None, payload, len(value) - 1)
        elif op == "pop":
            yield Change(key, ts, who, op, value.pop(payload), None, payload)
        else:
            yield Change(key, ts, who, op, value, payload)
            value = unshared(payload)


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


def take_snapshot(values: Mapping[str, Json], history: History) -> dict[str, Any]:
    """Write values and history as plain JSON that shares nothing with them."""
    changes = {key: [change.as_dict() for change in history.of(key)] for key in history}
    return {
        "version": VERSION,
        "values": unshared(dict(values)),
        "history": changes,
    }


def read_snapshot(snapshot: object) -> tuple[dict[str, Json], dict[str, list[Change]]]:
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
        key: json_copy(value, f"snapshot['values'][{key!r}]") for key, value in parts.values.items()
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
    return replayed == changes and same_json(end.old, value)
