"""Bounds of expressions: their deadline, and the size of their values.

The deadline is checked between two calls. A call that does not return is left to the watchdog of
the step; at collection, to the limits of the process that evaluates the expression.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Final

MOST: Final = 1_000_000
"""Most characters and items of the value of an expression, and of the result of ``*``."""

MOST_COLLECTED: Final = 30_000_000
"""Most characters and items of all values of a collection, which pytest keeps."""

MOST_BITS: Final = 1 << 16
"""Most bits of a whole number that an expression may compute."""

_EVER = (float("inf"), 0.0)
_DEADLINE: ContextVar[tuple[float, float]] = ContextVar("deadline of expressions", default=_EVER)
"""The deadline on the clock ``time.monotonic``, and the time limit in seconds for messages."""

Guard = Callable[[float], AbstractContextManager[None]]
"""Function of the seconds that are left: guards a call, which may not return."""

_GUARD: ContextVar[Guard | None] = ContextVar("guard of expressions", default=None)

_IS_COLLECTING: ContextVar[bool] = ContextVar("expressions of a collection", default=False)


class TimeUp(Exception):
    """Exception for an expression whose deadline has passed."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"still evaluating after {seconds:g} s")


@contextmanager
def time_limit(
    seconds: float | None, *, begun: float | None = None, guard: Guard | None = None
) -> Iterator[None]:
    """Limit the time of the expressions in a ``with`` block; an outer limit still applies.

    Args:
        seconds: The time limit; None sets no limit.
        begun: Start of the time on the clock ``time.monotonic``; None is the current time.
        guard: Guards each evaluation; None leaves an outer guard.
    """
    start = time.monotonic() if begun is None else begun
    own = _EVER if seconds is None else (start + seconds, seconds)
    token = _DEADLINE.set(min(own, _DEADLINE.get()))
    outer = _GUARD.set(guard or _GUARD.get())
    try:
        yield
    finally:
        _GUARD.reset(outer)
        _DEADLINE.reset(token)


@contextmanager
def collecting() -> Iterator[None]:
    """Evaluate the expressions in a ``with`` block under the limits of a collection."""
    token = _IS_COLLECTING.set(True)
    try:
        yield
    finally:
        _IS_COLLECTING.reset(token)


def is_collecting() -> bool:
    """Return True within a ``with`` block of `collecting`."""
    return _IS_COLLECTING.get()


def check() -> None:
    """Raise TimeUp if the deadline has passed."""
    end, seconds = _DEADLINE.get()
    if time.monotonic() > end:
        raise TimeUp(seconds)


def guarded() -> AbstractContextManager[None]:
    """Return the context manager that guards an evaluation."""
    guard = _GUARD.get()
    left = _DEADLINE.get()[0] - time.monotonic()
    return nullcontext() if guard is None else guard(max(0.0, left))


def check_product(operator: str, left: Any, right: Any) -> None:
    """Raise OverflowError if ``*`` or ``**`` would give a value that is too large."""
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length()
        is_power = operator == "**" and bits > 1
        size = bits * abs(right) if is_power else bits + right.bit_length()
        if size > MOST_BITS:
            given = f"`{operator}` would give a number of {size:,} bits"
            raise OverflowError(f"{given}; {MOST_BITS:,} are the most")
        return
    for repeated, times in ((left, right), (right, left)):
        if isinstance(repeated, str | list | tuple) and isinstance(times, int):
            size = len(repeated) * times
            unit = "characters" if isinstance(repeated, str) else "items"
            if size > MOST:
                raise OverflowError(f"`*` would give {size:,} {unit}; {MOST:,} are the most")


class Room:
    """The characters and items that a value, or all values of a collection, may still have.

    Args:
        most: Their number.
        what: The subject of the message if they have more.
        outer: A room in which this one is.
    """

    def __init__(
        self, most: int = MOST, what: str = "its value has", outer: "Room | None" = None
    ) -> None:
        self._most, self._what, self._outer = most, what, outer
        self._left = most

    def take(self, size: int) -> None:
        """Subtract a size.

        Raises:
            OverflowError: There is no room for it.
        """
        self._left -= size
        if self._left < 0:
            most = f"more than {self._most:,} characters and items"
            raise OverflowError(f"{self._what} {most}")
        if self._outer is not None:
            self._outer.take(size)
