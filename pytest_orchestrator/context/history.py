"""Change history of a Context, kept as lines of JSON, and its snapshots.

A line contains only what cannot be derived from the earlier lines of its key: no old value, and
no index of an appended item. So the history of ten thousand appends to a list contains ten
thousand items.
"""

import threading
import time
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

import msgspec

from pytest_orchestrator.core.errors import ContextKeyError, ContextTypeError
from pytest_orchestrator.core.events import Change, ContextChanged, ContextReplaced, Op
from pytest_orchestrator.core.json_values import (
    Json,
    NotJson,
    deep_copy,
    encode,
    json_copy,
    kind,
    same_json,
)
from pytest_orchestrator.core.keys import checked_key, text
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.core.text import CONTROLS

if TYPE_CHECKING:
    from threading import RLock


Recorder: TypeAlias = Callable[[ContextChanged | ContextReplaced, int], None]
"""Records a change, or all changes of one operation, with its time in microseconds, outside this
process; raises on failure."""

Written: TypeAlias = Callable[[str, Json], None]
"""Receives each key with the value, or the item, that is written to it."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TICK: Final = timedelta(microseconds=1)
_decoder: Final = msgspec.json.Decoder(tuple[int, str, Op, Any])


class History:
    """Changes of all keys of a Context; callers hold the lock of the Context.

    Attributes:
        written: Called with each key and value that is written, while the lock is held.
        recorder: Called with each change before it becomes visible, while the lock is held.
        scope: Key of the recipe whose Context it is; empty for the Context of the session.
    """

    __slots__ = ("_last", "_lines", "recorder", "scope", "written")

    def __init__(self, scope: str = "") -> None:
        self.written: Written | None = None
        self.recorder: Recorder | None = None
        self.scope = scope
        self._lines: dict[str, bytearray] = {}
        self._last = 0

    def add(self, key: str, who: str, op: Op, payload: Json, by: str = "", asked: int = 0) -> int:
        """Append a change to the history; if the recorder raises, the history stays unchanged.

        Args:
            key: The key.
            who: Name of the writer.
            op: The operation.
            payload: The value after the change; for append the item, for pop its index from 0.
            by: Node id of the step that makes the change; empty for other writers.
            asked: Time at which the writer asked for the change, see `now`.

        Returns:
            The time of the change in microseconds since the epoch.
        """
        now = self.record(key, who, op, payload, by, asked)
        self._write(key, encode((now, who, op, payload)))
        return now

    def record(self, key: str, who: str, op: Op, payload: Json, by: str, asked: int = 0) -> int:
        """Call `written` and `recorder` for a change, and return its time; see `add`."""
        now = self.now(asked)
        if self.written is not None and op != "pop":
            self.written(key, payload)
        if self.recorder is not None:
            change = ContextChanged(key=key, op=op, who=who, new=payload, by=by, scope=self.scope)
            self.recorder(change, now)
        return now

    def add_all(
        self,
        changes: Sequence[ContextChanged],
        adopted: Mapping[str, Sequence[Change]],
    ) -> list[int]:
        """Append all changes of one operation; if the recorder raises, the history stays unchanged.

        Args:
            changes: The changes.
            adopted: Histories for keys that have none in this object, by key. Each history ends
                with the new value of its key, so no further line is written for that value.

        Returns:
            The time of each change in microseconds since the epoch.
        """
        for listed in adopted.values():
            self.advance_clock(max((moment_of(one.ts) for one in listed), default=0))
        moments = [self.now() for _ in changes]
        if self.written is not None:
            for change in changes:
                self.written(change.key, change.new)
        if self.recorder is not None and (changes or adopted):
            copied = {key: tuple(one.as_dict() for one in rows) for key, rows in adopted.items()}
            event = ContextReplaced(changes=tuple(changes), moments=tuple(moments), history=copied)
            self.recorder(event, moments[-1] if moments else self.now())
        self.append_all_recorded(changes, moments, adopted)
        return moments

    def append_all_recorded(
        self,
        changes: Iterable[ContextChanged],
        moments: Iterable[int],
        adopted: Mapping[str, Sequence[Change]],
    ) -> None:
        """Append all changes of one operation without calling the recorder; see `add_all`."""
        for key, listed in adopted.items():
            self.adopt(key, listed)
        for change, moment in zip(changes, moments, strict=True):
            if change.key not in adopted:
                self.append_recorded(change, moment)

    def append_recorded(self, change: ContextChanged, moment: int) -> None:
        """Append a change without calling the recorder."""
        self._write(change.key, encode((moment, change.who, change.op, change.new)))
        self.advance_clock(moment)

    def load(self, key: str, lines: bytes) -> None:
        """Set the history of a key that has none to lines that `lines` returned."""
        self._lines[key] = bytearray(lines)

    @property
    def latest(self) -> int:
        """The time of the last change of any key, in microseconds since the epoch."""
        return self._last

    def observe(self, recorder: Recorder | None, written: Written | None) -> None:
        """Set the recorder and the `written` callback; None keeps the current callback."""
        self.recorder, self.written = recorder or self.recorder, written or self.written

    def now(self, asked: int = 0) -> int:
        """Return the time in microseconds since the epoch; each call returns a later time.

        Args:
            asked: Time at which a writer asked for the change: returned instead of the present
                if it lies between the last change and now. 0 means that it is not known.
        """
        moment = time.time_ns() // 1000
        if 0 < asked < moment:
            moment = asked
        if moment <= self._last:  # two calls within a microsecond, or the clock was set back
            moment = self._last + 1
        self._last = moment
        return moment

    def adopt(self, key: str, changes: Iterable[Change]) -> None:
        """Copy changes into the history of a key that has none."""
        for change in changes:
            payload = change.index if change.op == "pop" else change.new
            moment = moment_of(change.ts)
            self._write(key, encode((moment, change.who, change.op, payload)))
            if self.written is not None:
                self.written(key, change.new)
            self.advance_clock(moment)

    def advance_clock(self, moment: int) -> None:
        """Advance the clock: from now on it returns only times after a moment."""
        self._last = max(self._last, moment)

    def lines(self, key: str) -> bytes | bytearray:
        """Return the history lines of a key; empty if the key never existed."""
        return self._lines.get(key, b"")

    def changes(self, key: str) -> list[Change]:
        """Return the changes of a key; they share no values with each other.

        Raises:
            ContextTypeError: The key is not text.
        """
        return list(_replayed(key, _decoder.decode_lines(self.lines(text(key)))))

    def last(self, key: str) -> str | None:
        """Return the time of a key's last change in ISO 8601 UTC; None if it never existed.

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
        """Iterate over all keys that ever existed, including deleted ones."""
        return iter(self._lines)

    def _write(self, key: str, row: bytes) -> None:
        lines = self._lines.get(key)
        if lines is None:
            self._lines[key] = bytearray(row + b"\n")
        else:
            lines += row + b"\n"


def stamp(moment: int) -> str:
    """Return microseconds since the epoch as ISO 8601 UTC text of fixed width."""
    text = (_EPOCH + moment * _TICK).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")


def moment_of(ts: str) -> int:
    """Convert a text that `stamp` returned back to microseconds since the epoch."""
    return (datetime.fromisoformat(ts) - _EPOCH) // _TICK


def _replayed(key: str, rows: Iterable[tuple[int, str, Op, Any]]) -> Iterator[Change]:
    """Replay the lines of a key, and yield each change with its old value or index."""
    value: Any = None
    for moment, who, op, payload in rows:
        ts = stamp(moment)
        if op == "append":
            value = [] if value is None else value
            value.append(deep_copy(payload))
            yield Change(key, ts, who, op, None, payload, len(value) - 1)
        elif op == "pop":
            yield Change(key, ts, who, op, value.pop(payload), None, payload)
        else:
            yield Change(key, ts, who, op, value, payload)
            value = deep_copy(payload)


__tracebackhide__ = True

VERSION: Final = 1
"""Version of the format; raised only if an older reader would misunderstand a snapshot."""


class Snapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Format of a snapshot.

    Attributes:
        version: Version of the format.
        values: All values by key.
        history: The changes of all keys, including deleted ones, as `Change.as_dict` returns
            them.
    """

    version: Literal[1]
    values: dict[str, Any]
    history: dict[str, list[dict[str, Any]]] = {}


def take_snapshot(values: Mapping[str, Json], history: History) -> dict[str, Any]:
    """Return a deep copy of values and history as plain JSON."""
    changes = {key: [change.as_dict() for change in history.changes(key)] for key in history}
    return {
        "version": VERSION,
        "values": deep_copy(dict(values)),
        "history": changes,
    }


def read_snapshot(snapshot: object) -> tuple[dict[str, Json], dict[str, list[Change]]]:
    """Check a snapshot, and return its contents.

    Args:
        snapshot: The object to check.

    Returns:
        Copies of its values and of its changes, by key.

    Raises:
        NotJson: One of its values is not JSON.
        ContextTypeError: The object is not a snapshot, or its history does not lead to its
            values.
    """
    try:
        parts = msgspec.convert(snapshot, Snapshot)
        for key in parts.values | parts.history:
            checked_key(key)
        changes = {key: changes_of(key, rows) for key, rows in parts.history.items()}
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


def changes_of(key: str, rows: Iterable[dict[str, Any]]) -> list[Change]:
    """Convert rows that `Context.get_history` returned back to changes.

    Raises:
        msgspec.ValidationError: A row is not a change.
    """
    return [msgspec.convert({**row, "key": key}, Change) for row in rows]


def _leads_to(key: str, changes: list[Change], value: Json) -> bool:
    """Return True if a replay yields the same changes and ends with the value of the key."""
    scratch = History()
    try:
        scratch.adopt(key, changes)
        scratch.add(key, "", "delete", None)
        *replayed, end = scratch.changes(key)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return False
    return replayed == changes and same_json(end.old, value)


MOST_WHO: Final = 200
"""Maximum length of the name of a writer, in characters."""
_NO_NAME: Final = frozenset({*CONTROLS, 9, 10})


class State:
    """Values and history of a Context, which are accessed only while the lock is held.

    Attributes:
        lock: The lock.
        values: All values by key; the mapping is never replaced by another one.
        history: The changes of all keys.
    """

    __slots__ = ("history", "lock", "values")

    def __init__(self) -> None:
        # Reentrant: a signal handler or a finalizer may read the Context while this thread
        # holds the lock.
        self.lock = threading.RLock()
        self.values: MutableMapping[str, Json] = {}
        self.history = History()

    def record(self, key: str, who: str, op: Op, payload: Json, by: str, asked: int = 0) -> int:
        """Record a change that is about to be made; see `History.add`."""
        return self.history.add(key, who, op, payload, by, asked)

    def record_all(
        self, changes: Sequence[ContextChanged], adopted: Mapping[str, Sequence[Change]]
    ) -> list[int]:
        """Record all changes of an operation that is about to be made; see `History.add_all`."""
        return self.history.add_all(changes, adopted)

    def apply(self, change: ContextChanged) -> None:
        """Apply a recorded change to the values."""
        key, values = change.key, self.values
        match change.op:
            case "append":
                cast("list[Json]", values.setdefault(key, [])).append(change.new)
            case "pop":
                cast("list[Json]", values[key]).pop(change.new)
            case "delete":
                del values[key]
            case _:
                values[key] = change.new

    def writable(self, key: str) -> str:
        """Return a key after the checks for a write; an existing key was checked earlier."""
        return key if type(key) is str and key in self.values else checked_key(key)

    def existing(self, key: object) -> str:
        """Return a key after a check that it exists.

        Raises:
            ContextKeyError: The key is missing; the text names the most similar key.
        """
        if isinstance(key, str) and key in self.values:
            return str.__str__(key)
        raise self.missing(key)

    def missing(self, key: object) -> ContextKeyError:
        """Return the error for a missing key; its text suggests the most similar existing key."""
        return missing_key(key, self.values)


def missing_key(key: object, existing: Collection[str]) -> ContextKeyError:
    """Return the error for a missing key; its text suggests the most similar existing key."""
    near = nearest(str(key), existing) or ("" if existing else "; it is empty")
    return ContextKeyError(f"no key {key!r} in the context{near}")


def checked_who(who: str) -> str:
    """Return the name of a writer after a check that it can be shown on one line.

    Raises:
        ContextTypeError: The name is not text, is longer than 200 characters, or has control
            characters.
        NotJson: The name has lone surrogates.
    """
    if type(who) is str and len(who) <= MOST_WHO and who.isascii() and who.isprintable():
        return who
    who = named(who)
    if len(who) > MOST_WHO:
        raise ContextTypeError(f"who is a name of at most {MOST_WHO} characters, not {len(who):,}")
    if not _NO_NAME.isdisjoint(map(ord, who)):
        raise ContextTypeError(f"who is a name without control characters, not {who!a}")
    return who


def named(who: str) -> str:
    """Return the name of a handle after a check that it is text.

    Raises:
        ContextTypeError: The name is not text.
        NotJson: The name has lone surrogates.
    """
    if type(who) is str and who.isascii():
        return who
    if not isinstance(who, str):
        raise ContextTypeError(f"who is text, not {kind(who)}")
    return cast("str", json_copy(str.__str__(who), "who"))


def total(key: str, old: Json, by: float) -> int | float:
    """Add an increment to the number under a key, and return the sum.

    Raises:
        ContextTypeError: The value under the key is not a number.
        NotJson: The sum is not a finite number.
    """
    if type(old) not in (int, float):
        raise ContextTypeError(f"increment needs a number; {key!r} is {kind(old)}")
    try:
        return cast("float", json_copy(cast("float", old) + by, "the sum"))
    except OverflowError:  # a float plus an integer that is larger than any float
        raise NotJson("the sum is too large for a number with a point; store integers") from None


def item_of(key: str, items: Json, index: int) -> tuple[list[Json], int]:
    """Return the list under a key, and the index counted from the beginning of the list.

    Raises:
        ContextTypeError: The value is not a list.
        ContextKeyError: The list has no item at the index.
    """
    if not isinstance(items, list):
        raise ContextTypeError(f"pop needs a list; {key!r} is {kind(items)}")
    if not -len(items) <= index < len(items):
        raise ContextKeyError(f"{key!r} has {len(items)} items, none at {index}")
    return items, index % len(items)


class Layer(State):
    """State of a layer.

    Args:
        below: The state below the layer; changes of the layer never change it.
        scope: Key of the recipe of the layer; changes of a layer without a recipe are not
            recorded.
    """

    __slots__ = ("_own",)

    history: "_Histories"

    def __init__(self, below: State, scope: str = "") -> None:
        self.lock = below.lock
        self.history = _Histories(below.history, scope)
        self._own: dict[str, Json] = {}
        self.values = _Values(below.values, self._own, self.history, self.lock)

    def record(self, key: str, who: str, op: Op, payload: Json, by: str, asked: int = 0) -> int:
        """Record a change; if it is the first one of a key, copy the key into the layer first."""
        self._copy_up(key)
        return super().record(key, who, op, payload, by, asked)

    def record_all(
        self, changes: Sequence[ContextChanged], adopted: Mapping[str, Sequence[Change]]
    ) -> list[int]:
        """Record all changes of one operation; copy their keys into the layer as `record` does."""
        for change in changes:
            if change.key not in adopted:
                self._copy_up(change.key)
        return super().record_all(changes, adopted)

    def _copy_up(self, key: str) -> None:
        if not self.history.has_own(key):
            if key in self.values:
                self._own[key] = deep_copy(self.values[key])
            self.history.copy_up(key)


class _Histories(History):
    """History of a layer; for keys that the layer has not changed, history of the state below."""

    __slots__ = ("_below",)

    def __init__(self, below: History, scope: str) -> None:
        super().__init__(scope)
        self.written = below.written
        self.recorder = below.recorder if scope else None
        self._below = below

    def has_own(self, key: str) -> bool:
        """Return True if the layer has changed the key."""
        return super().__contains__(key)

    def copy_up(self, key: str) -> None:
        """Copy the history of a key from the state below into the layer."""
        self._lines[key] = bytearray(self._below.lines(key))

    def lines(self, key: str) -> bytes | bytearray:
        """Return the history lines of a key, from the layer or else from the state below."""
        return super().lines(key) if self.has_own(key) else self._below.lines(key)

    def now(self, asked: int = 0) -> int:
        """Return the time of the clock that the layer shares with the state below."""
        return self._below.now(asked)

    def advance_clock(self, moment: int) -> None:
        """Advance the clock that the layer shares with the state below."""
        self._below.advance_clock(moment)

    def __contains__(self, key: str) -> bool:
        return self.has_own(key) or key in self._below

    def __iter__(self) -> Iterator[str]:
        yield from self._below
        yield from (key for key in super().__iter__() if key not in self._below)


class _Values(MutableMapping[str, Json]):
    """Values of a layer; for keys that the layer has not changed, values of the state below."""

    def __init__(
        self,
        below: MutableMapping[str, Json],
        own: dict[str, Json],
        history: _Histories,
        lock: "RLock",
    ) -> None:
        self._below = below
        self._own = own
        self._is_own = history.has_own
        self._lock = lock

    def __getitem__(self, key: str) -> Json:
        # A Context reads scalars without holding the lock, while another thread may copy the
        # key into the layer.
        with self._lock:
            return self._own[key] if self._is_own(key) else self._below[key]

    def __setitem__(self, key: str, value: Json) -> None:
        self._own[key] = value

    def __delitem__(self, key: str) -> None:
        del self._own[key]

    def __iter__(self) -> Iterator[str]:
        yield from (key for key in self._below if not self._is_own(key))
        yield from self._own

    def __len__(self) -> int:
        return sum(1 for _ in self)
