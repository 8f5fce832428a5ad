"""Context of a run, and the protocol that local and remote Contexts share.

Values are copied when they are written and when they are read. Every operation holds the lock of
the state; no code of the user runs while it is held.
"""

from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

from pytest_orchestrator.context import history as context_history
from pytest_orchestrator.context.history import (
    Layer,
    Recorder,
    State,
    Written,
    changes_of,
    checked_who,
    item_of,
    moment_of,
    named,
    stamp,
    total,
)
from pytest_orchestrator.core import keys
from pytest_orchestrator.core.errors import ContextKeyError, ContextTypeError
from pytest_orchestrator.core.events import Change, ContextChanged, ContextReplaced, Op
from pytest_orchestrator.core.json_values import (
    MAX_DEPTH,
    SCALARS,
    Json,
    copy_for_key,
    deep_copy,
    kind,
    same_json,
)

__tracebackhide__ = True

_MOST_MISSED = 100
"""Missing keys that a failure may name; a step that polls can ask for endless ones."""


class Context:
    """State of a run: flat keys with dots, JSON values, and the history of every key.

    An object of this class is a handle to the state. Each handle has its own name (`bound`); all
    handles see the same values.
    """

    __slots__ = (
        "__weakref__",
        "_asked",
        "_by",
        "_missed",
        "_on_change",
        "_state",
        "_values",
        "_who",
    )

    def __init__(self, who: str = "user") -> None:
        self._connect(State(), who, None, "")

    def _connect(
        self, state: State, who: str, on_change: Callable[[Change], None] | None, by: str
    ) -> None:
        self._state = state
        self._values = state.values
        self._who = named(who)
        self._by = by
        self._asked = 0
        self._on_change = on_change
        self._missed: dict[str, None] = {}

    def bound(
        self, who: str, on_change: Callable[[Change], None] | None = None, by: str = ""
    ) -> "Context":
        """Return a new handle to the same state, with its own writer name and callback.

        Args:
            who: Name of the writer for changes through the handle; a call may name another one.
            on_change: Called after each change through the handle, without the lock; it may keep
                and modify the change. The order of changes by several threads is that of
                `Change.ts`, not that of the calls.
            by: Node id of the step that has the handle; `who` is a name that writers choose
                freely.

        Returns:
            The handle.
        """
        handle = Context.__new__(Context)
        handle._connect(self._state, who, on_change, by)  # noqa: SLF001  # of the same class
        return handle

    def layer(self, scope: str = "") -> "Context":
        """Return a Context for a recipe: reads fall through to this Context, changes do not."""
        top = Context(self._who)
        top._connect(Layer(self._state, scope), self._who, None, "")  # of the same class
        return top

    def set_callbacks(
        self, recorder: Recorder | None = None, written: Written | None = None
    ) -> None:
        """Set the callbacks for changes and for written values; layers created later get them too.

        Args:
            recorder: Records each change before it becomes visible; it may raise to refuse it.
            written: Receives each key with the value that is written.
        """
        self._state.history.observe(recorder, written)

    def asked_at(self, moment: int) -> None:
        """Set the time at which the writer asked for the next operation of this handle.

        The change gets this time instead of the present, but never one before the last change of
        the Context or in the future: the order of changes stays that of the operations.

        Args:
            moment: Microseconds since the epoch; 0 if it is not known.
        """
        self._asked = moment

    @property
    def missed(self) -> tuple[str, ...]:
        """The first 100 paths that were read through this handle and did not exist."""
        return tuple(self._missed)

    def set(self, key: str, value: object, who: str | None = None) -> None:
        """Store a value under a key.

        Args:
            key: Flat text with dots, such as ``metrics.mean_v1``.
            value: JSON: None, bool, int, float, str, lists and mappings of these.
            who: Name of the writer; default: the name of this handle.

        Raises:
            NotJson: A round trip through JSON would change the value.
            ContextKeyError: The key is invalid.
            ContextTypeError: Key or who is not text.
        """
        copy = copy_for_key(key, value)
        with self._state.lock:
            key = self._state.writable(key)
            change = self._note(key, who, "set", self._values.get(key), copy)
            self._values[key] = copy
        self._notify(change)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key or path.

        Args:
            key: A key; a key with a path into its value (``polls.0.flow``); or a common prefix
                of keys, whose values are then returned as one mapping.
            default: Returned if the key or path does not exist.

        Returns:
            A copy of the value.
        """
        value = self._values.get(key, keys.ABSENT) if type(key) is str else keys.ABSENT
        if type(value) in SCALARS:
            return value
        with self._state.lock:
            value = keys.find_path(self._values, key)
            if value is not keys.ABSENT:
                return deep_copy(value)
        self._miss(key)
        return default

    def __getitem__(self, key: str) -> Any:
        value = self.get(key, keys.ABSENT)
        if value is keys.ABSENT:
            with self._state.lock:
                raise self._state.missing(key)
        return value

    def __contains__(self, key: object) -> bool:
        with self._state.lock:
            is_there = keys.find_path(self._values, cast("str", key)) is not keys.ABSENT
        if not is_there:
            self._miss(cast("str", key))
        return is_there

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def append(self, key: str, value: object, who: str | None = None) -> None:
        """Append an item to the list under a key; a missing key becomes a new list.

        Raises:
            NotJson: A round trip through JSON would change the item.
            ContextTypeError: The value under the key is not a list.
        """
        item = copy_for_key(key, value, depth=MAX_DEPTH - 1)
        with self._state.lock:
            key = self._state.writable(key)
            items = self._values.get(key, [])
            if not isinstance(items, list):
                raise ContextTypeError(f"append needs a list; {key!r} is {kind(items)}")
            change = self._note(key, who, "append", None, item, len(items))
            cast("list[Json]", self._values.setdefault(key, [])).append(item)
        self._notify(change)

    def increment(self, key: str, by: float = 1, who: str | None = None) -> int | float:
        """Add to the number under a key; a missing key counts as 0.

        Returns:
            The sum.

        Raises:
            NotJson: The sum is not a finite number.
            ContextTypeError: The value under the key, or `by`, is not a number.
        """
        step = copy_for_key(key, by, "by")
        if type(step) not in (int, float):
            raise ContextTypeError(f"increment needs a number; by is {kind(step)}")
        with self._state.lock:
            key = self._state.writable(key)
            new = total(key, self._values.get(key, 0), cast("float", step))
            change = self._note(key, who, "increment", self._values.get(key), new)
            self._values[key] = new
        self._notify(change)
        return new

    def delete(self, key: str, who: str | None = None) -> None:
        """Delete a key and its value; its history is kept.

        Raises:
            ContextKeyError: The key does not exist.
        """
        with self._state.lock:
            key = self._existing(key)
            change = self._note(key, who, "delete", self._values[key], None)
            del self._values[key]
        self._notify(change)

    def pop(self, key: str, index: int = -1, who: str | None = None) -> Any:
        """Remove an item from the list under a key, and return it.

        Args:
            key: The key of a list.
            index: Index of the item; a negative one counts from the end.
            who: Name of the writer; default: the name of this handle.

        Returns:
            The item.

        Raises:
            ContextKeyError: The key does not exist, or the list has no item at the index.
            ContextTypeError: The value is not a list, or the index is not an integer.
        """
        if type(index) is not int:
            raise ContextTypeError(f"the index of pop is an integer, not {kind(index)}")
        with self._state.lock:
            key = self._existing(key)
            items, place = item_of(key, self._values[key], index)
            change = self._note(key, who, "pop", items[place], None, place)
            item = cast("list[Json]", self._values[key]).pop(place)
        self._notify(change)
        return item

    def keys(self) -> list[str]:
        """Return all keys, in the order in which they were first written."""
        with self._state.lock:
            return list(self._values)

    def to_dict(self) -> dict[str, Any]:
        """Return a copy of all values by key, flat."""
        with self._state.lock:
            return cast("dict[str, Any]", deep_copy(dict(self._values)))

    def get_history(self, key: str) -> list[dict[str, Any]]:
        """Return every change of a key, oldest first; a deleted key keeps its history.

        Returns:
            ``{ts, who, op, old, new}`` for each change. For append `new` is the item and `index`
            its index, for pop `old` is the item and `index` its index.
        """
        with self._state.lock:
            return [change.as_dict() for change in self._state.history.changes(key)]

    def last_modified(self, key: str) -> str | None:
        """Return the time of the last change of a key in ISO 8601 UTC; None if it never existed."""
        with self._state.lock:
            return self._state.history.last(key)

    def snapshot(self) -> dict[str, Any]:
        """Return all values and the history as plain JSON, which `restore` accepts."""
        with self._state.lock:
            return context_history.take_snapshot(self._values, self._state.history)

    def restore(self, snapshot: dict[str, Any], who: str | None = None) -> None:
        """Replace all values by those of a snapshot.

        The history is kept: each value that is replaced or deleted gets one more change
        (``restore``, ``delete``) in the history of its key. A key that was never in this Context
        gets its history from the snapshot.

        Args:
            snapshot: The result of `snapshot`.
            who: Name of the writer; default: the name of this handle.

        Raises:
            NotJson: The snapshot is not JSON.
            ContextTypeError: The value is not a snapshot, or it is damaged; nothing was changed.
        """
        values, histories = context_history.read_snapshot(snapshot)
        who, state = self._who if who is None else checked_who(who), self._state
        with state.lock:
            adopted = {key: rows for key, rows in histories.items() if key not in state.history}
            deleted = [key for key in self._values if key not in values]
            changed = [
                key
                for key, value in values.items()
                if key in adopted
                or key not in self._values
                or not same_json(self._values[key], value)
            ]
            changes = [self._change(key, who, "delete", None) for key in deleted]
            changes += [self._change(key, who, "restore", values[key]) for key in changed]
            before = {one.key: self._values.get(one.key) for one in changes}
            moments = state.record_all(changes, adopted)
            for change in changes:
                state.apply(change)
        if self._on_change is None:
            return
        for change, moment in zip(changes, moments, strict=True):
            old = None if change.key in adopted else deep_copy(before[change.key])
            new = deep_copy(change.new)
            self._on_change(Change(change.key, stamp(moment), who, change.op, old, new))

    def _change(self, key: str, who: str, op: Op, new: Json) -> ContextChanged:
        scope = self._state.history.scope
        return ContextChanged(key=key, op=op, who=who, new=new, by=self._by, scope=scope)

    def replay(self, event: ContextChanged | ContextReplaced, ts: str) -> None:
        """Apply already recorded changes without calling `recorder` or `on_change`.

        Args:
            event: The change, or several changes of one operation.
            ts: Time of the change, in ISO 8601 UTC.
        """
        state = self._state
        with state.lock:
            if isinstance(event, ContextChanged):
                state.history.append_recorded(event, moment_of(ts))
                state.apply(event)
                return
            adopted = {key: changes_of(key, rows) for key, rows in event.history.items()}
            state.history.append_all_recorded(event.changes, event.moments, adopted)
            for change in event.changes:
                state.apply(change)

    def dump(self) -> tuple[dict[str, Any], dict[str, bytes], int]:
        """Return the arguments of `load`: values, history lines by key, time of last change."""
        with self._state.lock:
            history = self._state.history
            lines = {key: bytes(history.lines(key)) for key in history}
            return self.to_dict(), lines, history.latest

    def load(self, values: dict[str, Any], lines: dict[str, bytes], latest: int) -> None:
        """Fill an empty Context with the result of `dump`."""
        with self._state.lock:
            for key, rows in lines.items():
                self._state.history.load(key, rows)
            self._state.history.advance_clock(latest)
            self._values.update(values)

    def __repr__(self) -> str:
        count = len(self._values)
        return f"<Context of {count} key{'' if count == 1 else 's'}, who={self._who!r}>"

    def _existing(self, key: object) -> str:
        try:
            return self._state.existing(key)
        except ContextKeyError:
            if isinstance(key, str):
                self._miss(key)
            raise

    def _miss(self, key: str) -> None:
        if len(self._missed) < _MOST_MISSED:
            self._missed[key] = None

    def _note(
        self, key: str, who: str | None, op: Op, old: Json, new: Json, index: int | None = None
    ) -> Change | None:
        """Record a change; return it for `on_change`, or None if that callback is not set."""
        who = self._who if who is None else checked_who(who)
        payload = index if op == "pop" else new
        moment = self._state.record(key, who, op, payload, self._by, self._asked)
        if self._on_change is None:
            return None
        return Change(key, stamp(moment), who, op, deep_copy(old), deep_copy(new), index)

    def _notify(self, change: Change | None) -> None:
        if change is not None and self._on_change is not None:
            self._on_change(change)


class ContextLike(Protocol):
    """The operations of `Context`, which documents their arguments and errors."""

    def set(self, key: str, value: object, who: str | None = None) -> None:
        """Store a value under a key."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key or path."""

    def append(self, key: str, value: object, who: str | None = None) -> None:
        """Append an item to the list under a key."""

    def increment(self, key: str, by: float = 1, who: str | None = None) -> int | float:
        """Add to the number under a key and return the sum."""

    def delete(self, key: str, who: str | None = None) -> None:
        """Delete a key and its value."""

    def pop(self, key: str, index: int = -1, who: str | None = None) -> Any:
        """Remove an item from the list under a key and return it."""

    def keys(self) -> list[str]:
        """Return all keys."""

    def to_dict(self) -> dict[str, Any]:
        """Return all values by key."""

    def get_history(self, key: str) -> list[dict[str, Any]]:
        """Return every change of a key, oldest first."""

    def last_modified(self, key: str) -> str | None:
        """Return the time of the last change of a key in ISO 8601 UTC; None if it never existed."""

    def snapshot(self) -> dict[str, Any]:
        """Return values and history as plain JSON."""

    def restore(self, snapshot: dict[str, Any], who: str | None = None) -> None:
        """Replace all values by those of a snapshot."""

    def __contains__(self, key: object) -> bool: ...

    def __getitem__(self, key: str) -> Any: ...
