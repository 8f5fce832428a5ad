"""Context of a run, and the protocol that local and remote Contexts share.

Values are own copies on the way in and out. Every operation holds the one lock of the
state; nothing of the user's runs while it is held.
"""

from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

from pytest_orchestrator.context import history as context_history
from pytest_orchestrator.context.history import Recorder, Written, stamp
from pytest_orchestrator.context.state import Layer, State, checked_who, item_of, named, total
from pytest_orchestrator.core import keys
from pytest_orchestrator.core.errors import ContextTypeError
from pytest_orchestrator.core.events import Change, Op
from pytest_orchestrator.core.json_values import (
    MAX_DEPTH,
    SCALARS,
    Json,
    json_copy,
    kind,
    same_json,
    unshared,
)

__tracebackhide__ = True

_MOST_MISSED = 100


class Context:
    """State of a run: flat keys with dots, JSON values, and who changed what when.

    Each handle on it has its own name (`bound`); all of them see the same values.
    """

    __slots__ = ("__weakref__", "_by", "_missed", "_on_change", "_state", "_values", "_who")

    def __init__(self, who: str = "user") -> None:
        self._connect(State(), who, None, "")

    def _connect(
        self, state: State, who: str, on_change: Callable[[Change], None] | None, by: str
    ) -> None:
        self._state = state
        self._values = state.values
        self._who = named(who)
        self._by = by
        self._on_change = on_change
        self._missed: dict[str, None] = {}

    def bound(
        self, who: str, on_change: Callable[[Change], None] | None = None, by: str = ""
    ) -> "Context":
        """Make another handle on the same state.

        Args:
            who: Who changes the state through it, where a call does not say so.
            on_change: Is called after each change made through it, outside the lock; the
                change is its own to keep. Of changes by several threads `Change.ts` tells
                the order, not that of the calls.
            by: Node id of the step that has it; `who` is only what writers call themselves.

        Returns:
            The handle.
        """
        handle = Context.__new__(Context)
        handle._connect(self._state, who, on_change, by)  # noqa: SLF001  # of the same class
        return handle

    def layer(self, scope: str = "") -> "Context":
        """Make a Context for a recipe: reads fall through to this one, changes end with it."""
        top = Context(self._who)
        top._connect(Layer(self._state, scope), self._who, None, "")  # of the same class
        return top

    def observed(self, recorder: Recorder | None = None, written: Written | None = None) -> None:
        """Let each change be kept before it counts, and each value be seen; of later layers too."""
        self._state.history.observe(recorder, written)

    @property
    def missed(self) -> tuple[str, ...]:
        """Paths that were asked for through this handle and not there; the first 100."""
        return tuple(self._missed)

    def set(self, key: str, value: object, who: str | None = None) -> None:
        """Store a value under a key.

        Args:
            key: Flat text with dots, such as ``metrics.mean_v1``.
            value: JSON: None, bool, int, float, str, lists and mappings of these.
            who: Who stores it; default: the name of this handle.

        Raises:
            NotJson: The value would not come back from JSON as it is.
            ContextKeyError: The key cannot be one.
            ContextTypeError: Key or who are not text.
        """
        copy = json_copy(value)
        with self._state.lock:
            key = self._state.writable(key)
            change = self._note(key, who, "set", self._values.get(key), copy)
            self._values[key] = copy
        self._tell(change)

    def get(self, key: str, default: Any = None) -> Any:
        """Read the value of a key or path.

        Args:
            key: A key; a key and a way into its value (``polls.0.flow``); or the beginning
                of keys, whose values then come as one mapping.
            default: What to return where nothing is there.

        Returns:
            An own copy.
        """
        value = self._values.get(key, keys.ABSENT) if type(key) is str else keys.ABSENT
        if type(value) in SCALARS:
            return value
        with self._state.lock:
            value = keys.find_path(self._values, key)
            if value is not keys.ABSENT:
                return unshared(value)
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
        """Add an item to the list under a key; where there is no such key, begin a list.

        Raises:
            NotJson: The item would not come back from JSON as it is.
            ContextTypeError: What stands there is no list.
        """
        item = json_copy(value, depth=MAX_DEPTH - 1)
        with self._state.lock:
            key = self._state.writable(key)
            items = self._values.get(key, [])
            if not isinstance(items, list):
                raise ContextTypeError(f"append needs a list; {key!r} is {kind(items)}")
            change = self._note(key, who, "append", None, item, len(items))
            cast("list[Json]", self._values.setdefault(key, [])).append(item)
        self._tell(change)

    def increment(self, key: str, by: float = 1, who: str | None = None) -> int | float:
        """Add to the number under a key; where there is no such key, begin with 0.

        Returns:
            The number after it.

        Raises:
            NotJson: The sum is no finite number.
            ContextTypeError: What stands there, or `by`, is no number.
        """
        step = json_copy(by, "by")
        if type(step) not in (int, float):
            raise ContextTypeError(f"increment needs a number; by is {kind(step)}")
        with self._state.lock:
            key = self._state.writable(key)
            new = total(key, self._values.get(key, 0), cast("float", step))
            change = self._note(key, who, "increment", self._values.get(key), new)
            self._values[key] = new
        self._tell(change)
        return new

    def delete(self, key: str, who: str | None = None) -> None:
        """Remove a key and its value; its history stays.

        Raises:
            ContextKeyError: There is no such key.
        """
        with self._state.lock:
            key = self._state.existing(key)
            change = self._note(key, who, "delete", self._values[key], None)
            del self._values[key]
        self._tell(change)

    def pop(self, key: str, index: int = -1, who: str | None = None) -> Any:
        """Remove an item from the list under a key.

        Args:
            key: The key of a list.
            index: Place in the list; negative counts from the end.
            who: Who removes it.

        Returns:
            The item.

        Raises:
            ContextKeyError: There is no such key, or no item in that place.
            ContextTypeError: What stands there is no list, or the index is no integer.
        """
        if type(index) is not int:
            raise ContextTypeError(f"the index of pop is an integer, not {kind(index)}")
        with self._state.lock:
            key = self._state.existing(key)
            items, place = item_of(key, self._values[key], index)
            change = self._note(key, who, "pop", items[place], None, place)
            item = cast("list[Json]", self._values[key]).pop(place)
        self._tell(change)
        return item

    def keys(self) -> list[str]:
        """Return all keys, in the order in which they came."""
        with self._state.lock:
            return list(self._values)

    def to_dict(self) -> dict[str, Any]:
        """Return all values by key, flat, as an own copy."""
        with self._state.lock:
            return cast("dict[str, Any]", unshared(dict(self._values)))

    def get_history(self, key: str) -> list[dict[str, Any]]:
        """Return every change of a key, oldest first, of a deleted one too.

        Returns:
            ``{ts, who, op, old, new}`` each. For append `new` is the item and `index` its
            place, for pop `old` is the item and `index` its place.
        """
        with self._state.lock:
            return [change.as_dict() for change in self._state.history.of(key)]

    def last_modified(self, key: str) -> str | None:
        """Return when a key was changed last, in ISO 8601 UTC; None if it never was."""
        with self._state.lock:
            return self._state.history.last(key)

    def snapshot(self) -> dict[str, Any]:
        """Return values and history as plain JSON, for `restore`."""
        with self._state.lock:
            return context_history.take_snapshot(self._values, self._state.history)

    def restore(self, snapshot: dict[str, Any], who: str | None = None) -> None:
        """Make the values those of a snapshot, and no others.

        Nothing is forgotten: each value that this changes is one more change (``restore``,
        ``delete``) in the history of its key. A key that never was in this Context takes the
        history over that the snapshot has for it.

        Args:
            snapshot: As `snapshot` gave it.
            who: Who restores it.

        Raises:
            NotJson: The snapshot is not JSON.
            ContextTypeError: It is none of ours, or damaged; then nothing was changed.
        """
        values, changes = context_history.read_snapshot(snapshot)
        who, history = self._who if who is None else checked_who(who), self._state.history
        told: list[Change | None] = []
        with self._state.lock:
            for key in [key for key in self._values if key not in values]:
                told.append(self._note(key, who, "delete", self._values[key], None))
                del self._values[key]
            strange = history.adopted(changes)
            for key, value in values.items():
                old = self._values.get(key)
                if key in strange:
                    now = stamp(history.record(key, who, "restore", value, self._by))
                    told.append(Change(key, now, who, "restore", None, unshared(value)))
                elif key not in self._values or not same_json(old, value):
                    told.append(self._note(key, who, "restore", old, value))
                else:
                    continue
                self._values[key] = value
        for change in told:
            self._tell(change)

    def __repr__(self) -> str:
        count = len(self._values)
        return f"<Context of {count} key{'' if count == 1 else 's'}, who={self._who!r}>"

    def _miss(self, key: str) -> None:
        if len(self._missed) < _MOST_MISSED:
            self._missed[key] = None

    def _note(
        self, key: str, who: str | None, op: Op, old: Json, new: Json, index: int | None = None
    ) -> Change | None:
        """Write a change down, and make what is told of it."""
        who = self._who if who is None else checked_who(who)
        moment = self._state.record(key, who, op, index if op == "pop" else new, self._by)
        if self._on_change is None:
            return None
        return Change(key, stamp(moment), who, op, unshared(old), unshared(new), index)

    def _tell(self, change: Change | None) -> None:
        if change is not None and self._on_change is not None:
            self._on_change(change)


class ContextLike(Protocol):
    """The operations of `Context`, which says what each one does."""

    def set(self, key: str, value: object, who: str | None = None) -> None:
        """Store a value under a key."""

    def get(self, key: str, default: Any = None) -> Any:
        """Read the value of a key or path."""

    def append(self, key: str, value: object, who: str | None = None) -> None:
        """Add an item to the list under a key."""

    def increment(self, key: str, by: float = 1, who: str | None = None) -> int | float:
        """Add to the number under a key and return the sum."""

    def delete(self, key: str, who: str | None = None) -> None:
        """Remove a key and its value."""

    def pop(self, key: str, index: int = -1, who: str | None = None) -> Any:
        """Remove an item from the list under a key and return it."""

    def keys(self) -> list[str]:
        """Return all keys."""

    def to_dict(self) -> dict[str, Any]:
        """Return all values by key."""

    def get_history(self, key: str) -> list[dict[str, Any]]:
        """Return every change of a key, oldest first."""

    def last_modified(self, key: str) -> str | None:
        """Return when a key was changed last, in ISO 8601 UTC."""

    def snapshot(self) -> dict[str, Any]:
        """Return values and history as plain JSON."""

    def restore(self, snapshot: dict[str, Any], who: str | None = None) -> None:
        """Make the values those of a snapshot."""

    def __contains__(self, key: object) -> bool: ...

    def __getitem__(self, key: str) -> Any: ...
