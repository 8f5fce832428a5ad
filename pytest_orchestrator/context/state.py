"""State behind the handles of a Context: values, history, lock; and layers for recipes.

The first change of a key in a layer copies its value and history into the layer. From then on
the layer does not see changes of that key in the state below. Both use the same lock.
"""

import threading
from collections.abc import Collection, Iterator, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Final, cast

from pytest_orchestrator.context.history import History
from pytest_orchestrator.core.errors import ContextKeyError, ContextTypeError
from pytest_orchestrator.core.events import Change, ContextChanged, Op
from pytest_orchestrator.core.json_values import Json, NotJson, deep_copy, json_copy, kind
from pytest_orchestrator.core.keys import checked_key
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.core.text import CONTROLS

if TYPE_CHECKING:
    from threading import RLock

__tracebackhide__ = True

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
