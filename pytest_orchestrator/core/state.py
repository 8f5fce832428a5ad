"""The values and the history that all handles on one Context share, and their lock."""

import threading
from typing import TYPE_CHECKING, Final, cast

from pytest_orchestrator.core.controls import CONTROLS
from pytest_orchestrator.core.errors import ContextKeyError, ContextTypeError
from pytest_orchestrator.core.events import Op
from pytest_orchestrator.core.history import History
from pytest_orchestrator.core.nearest import nearest
from pytest_orchestrator.core.paths import checked_key
from pytest_orchestrator.core.values import Json, NotJson, copied, kind

if TYPE_CHECKING:
    from collections.abc import MutableMapping

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
    return cast("str", copied(str.__str__(who), "who"))


def total(key: str, old: Json, by: float) -> int | float:
    """Add to the number under a key.

    Raises:
        ContextTypeError: What stands there is no number.
        NotJson: The sum is no finite number.
    """
    if type(old) not in (int, float):
        raise ContextTypeError(f"increment needs a number; {key!r} is {kind(old)}")
    try:
        return cast("float", copied(cast("float", old) + by, "the sum"))
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
