"""Values and history behind Context handles, their lock, and layers of recipes.

A key belongs to the layer from its first change there on, its value and its history copied
up before; then it no longer sees what becomes of that key below. Both hold one lock.
"""

import threading
from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Final, cast

from pytest_orchestrator.context.history import History
from pytest_orchestrator.core.errors import ContextKeyError, ContextTypeError
from pytest_orchestrator.core.events import Op
from pytest_orchestrator.core.json_values import Json, NotJson, json_copy, kind, unshared
from pytest_orchestrator.core.keys import checked_key
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.core.text import CONTROLS

if TYPE_CHECKING:
    from threading import RLock

__tracebackhide__ = True

MOST_WHO: Final = 200
"""Characters of the name that a writer gives itself."""
_NO_NAME: Final = frozenset({*CONTROLS, 9, 10})


class State:
    """What is read and written only while the lock is held.

    Attributes:
        lock: The lock.
        values: All values by key; never replaced by another mapping.
        history: The changes that led to them.
    """

    __slots__ = ("history", "lock", "values")

    def __init__(self) -> None:
        # Reentrant: a signal handler or a finalizer may read the Context at any line of ours.
        self.lock = threading.RLock()
        self.values: MutableMapping[str, Json] = {}
        self.history = History()

    def record(self, key: str, who: str, op: Op, payload: Json, by: str) -> int:
        """Write a change down that is about to be made; the rest is as for `History.add`."""
        return self.history.add(key, who, op, payload, by)

    def writable(self, key: str) -> str:
        """Return a key that may be written; one that is there has been checked before."""
        return key if type(key) is str and key in self.values else checked_key(key)

    def existing(self, key: object) -> str:
        """Return a key that is there.

        Raises:
            ContextKeyError: It is not; the text names the nearest one that is.
        """
        if isinstance(key, str) and key in self.values:
            return str.__str__(key)
        raise self.missing(key)

    def missing(self, key: object) -> ContextKeyError:
        """Make the error for a key that is not there."""
        near = nearest(str(key), self.values) or ("" if self.values else "; it is empty")
        return ContextKeyError(f"no key {key!r} in the context{near}")


def checked_who(who: str) -> str:
    """Return the name that a writer gives itself, if it can be shown on a line; mostly at once.

    Raises:
        ContextTypeError: It is not text, is too long, or has control characters.
        NotJson: It has lone surrogates.
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
    """Return the name of a handle, which a recipe or pytest gives it.

    Raises:
        ContextTypeError: It is not text.
        NotJson: It has lone surrogates.
    """
    if type(who) is str and who.isascii():
        return who
    if not isinstance(who, str):
        raise ContextTypeError(f"who is text, not {kind(who)}")
    return cast("str", json_copy(str.__str__(who), "who"))


def total(key: str, old: Json, by: float) -> int | float:
    """Add to the number under a key.

    Raises:
        ContextTypeError: What stands there is no number.
        NotJson: The sum is no finite number.
    """
    if type(old) not in (int, float):
        raise ContextTypeError(f"increment needs a number; {key!r} is {kind(old)}")
    try:
        return cast("float", json_copy(cast("float", old) + by, "the sum"))
    except OverflowError:  # of an integer beyond all floats and a float
        raise NotJson("the sum is too large for a number with a point; store integers") from None


def item_of(key: str, items: Json, index: int) -> tuple[list[Json], int]:
    """Return the list under a key, and the place in it, from 0, that an index means.

    Raises:
        ContextTypeError: There is no list.
        ContextKeyError: It has no such place.
    """
    if not isinstance(items, list):
        raise ContextTypeError(f"pop needs a list; {key!r} is {kind(items)}")
    if not -len(items) <= index < len(items):
        raise ContextKeyError(f"{key!r} has {len(items)} items, none at {index}")
    return items, index % len(items)


class Layer(State):
    """The state of a layer.

    Args:
        below: The state below it, which nothing that happens here changes.
        scope: Key of the recipe that it belongs to; what is written to a layer of no recipe
            is not recorded.
    """

    __slots__ = ("_own",)

    history: "_Histories"

    def __init__(self, below: State, scope: str = "") -> None:
        self.lock = below.lock
        self.history = _Histories(below.history, scope)
        self._own: dict[str, Json] = {}
        self.values = _Values(below.values, self._own, self.history, self.lock)

    def record(self, key: str, who: str, op: Op, payload: Json, by: str) -> int:
        """Write a change down; the key belongs to the layer from now on."""
        if not self.history.has_own(key):
            if key in self.values:
                self._own[key] = unshared(self.values[key])
            self.history.copy_up(key)
        return super().record(key, who, op, payload, by)


class _Histories(History):
    """The changes of the keys of a layer, and below them those of the other keys."""

    __slots__ = ("_below",)

    def __init__(self, below: History, scope: str) -> None:
        super().__init__(scope)
        self.written = below.written
        self.recorder = below.recorder if scope else None
        self._below = below

    def has_own(self, key: str) -> bool:
        """Tell whether a key belongs to the layer."""
        return super().__contains__(key)

    def copy_up(self, key: str) -> None:
        """Let a key belong to the layer, with all that happened to it below."""
        self._lines[key] = bytearray(self._below.lines(key))

    def lines(self, key: str) -> bytes | bytearray:
        """Return the lines of a key, wherever it belongs."""
        return super().lines(key) if self.has_own(key) else self._below.lines(key)

    def now(self) -> int:
        """Return the time by the one clock of both, so that the changes of a key rise."""
        return self._below.now()

    def passed(self, moment: int) -> None:
        """Let the clock of both go on after a moment."""
        self._below.passed(moment)

    def __contains__(self, key: str) -> bool:
        return self.has_own(key) or key in self._below

    def __iter__(self) -> Iterator[str]:
        yield from self._below
        yield from (key for key in super().__iter__() if key not in self._below)


class _Values(MutableMapping[str, Json]):
    """The values of a layer, and below them those of the other keys."""

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
        # A Context reads scalars without its lock; a key may be copied up meanwhile.
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
