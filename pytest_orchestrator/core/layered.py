"""A state on top of another: reads fall through, and what is written stays on top.

A key belongs to the layer from its first change there on, its value and its history copied
up before; then it no longer sees what becomes of that key below. Both hold one lock.
"""

from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING

from pytest_orchestrator.core.events import Op
from pytest_orchestrator.core.history import History
from pytest_orchestrator.core.state import State
from pytest_orchestrator.core.values import Json, unshared

if TYPE_CHECKING:
    from threading import RLock


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
