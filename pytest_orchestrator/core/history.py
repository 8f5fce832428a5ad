"""What happened to each key, kept as lines of JSON and replayed when it is asked for.

A line holds only what the lines before it do not tell: no old value, no place of an
appended item. So ten thousand appends to a list cost ten thousand items.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import msgspec

from pytest_orchestrator.core.events import ContextChanged, Op
from pytest_orchestrator.core.paths import text
from pytest_orchestrator.core.values import Json, encode, unshared

Recorder: TypeAlias = Callable[[ContextChanged, int], None]
"""Keeps a change, and its time in microseconds, outside this process; raises where it cannot."""

Written: TypeAlias = Callable[[str, Json], None]
"""Sees each key with the value, or the item, that is written to it."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TICK: Final = timedelta(microseconds=1)
_decoder: Final = msgspec.json.Decoder(tuple[int, str, Op, Any])


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One change of one key.

    Attributes:
        key: The key.
        ts: When, in ISO 8601 UTC with microseconds; unique and rising within a Context, so
            it orders changes made by several threads.
        who: Who made it: a step's name, or what the writer calls itself.
        op: The operation.
        old: The value before, for pop the item; None where there was none, and for append.
        new: The value after, for append the item; None for delete and pop.
        index: Place of the item in the list, for append and pop alone.
        masked: Something secret in old or new is replaced by ``***``.
    """

    key: str
    ts: str
    who: str
    op: Op
    old: Any
    new: Any
    index: int | None = None
    masked: bool = False

    def as_dict(self) -> dict[str, Json]:
        """Return ``{ts, who, op, old, new}``, for append and pop with ``index``."""
        told: dict[str, Json] = {"ts": self.ts, "who": self.who, "op": self.op}
        told |= {"old": self.old, "new": self.new}
        return told if self.index is None else {**told, "index": self.index}


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
