"""Budget of an expression: its time, and the size of the values that its functions build.

The deadline is checked only between two calls, so each call must be short. Therefore the size of a
value is estimated before the value is built.
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from pytest_orchestrator.core.text import lazy_pattern

MOST: Final = 1 << 24
"""Most characters of a text, or items of a list, that one function of an expression may return."""

MEMORY: Final = 1 << 28
"""Most bytes that all functions of an expression may build together; an estimate."""

MOST_BITS: Final = 1 << 16
"""Most bits of a whole number that an expression may compute."""

_STEPS: Final = 1 << 30
"""Most characters that one call may compare; Ctrl-C cannot interrupt a call. About one second."""

ITEM: Final = 8
"""Bytes of an item of a list."""

_PAUSE = 4096  # items between two reads of the clock
_FLAGS = "#0- +"
_NUMBERS = lazy_pattern(r"(?:\*|\d*)(?:\.(?:\*|\d*))?")
LONG = (list, tuple, dict)
"""Types of values that contain other values."""


class TooLarge(OverflowError):
    """Exception for a call in an expression that would exceed a limit of size or work."""


class TimeUp(Exception):
    """Exception for an expression whose deadline has passed.

    Attributes:
        seconds: The time limit.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"still evaluating after {seconds:g} s")
        self.seconds = seconds


class _Budget:
    """The remaining time and memory of expressions.

    Attributes:
        end: The deadline on the clock ``time.monotonic``.
        seconds: The time limit, for messages.
        left: Bytes that may still be built.
        is_shared: True if all evaluations share one memory budget; False if each has its own.
    """

    __slots__ = ("end", "is_shared", "left", "seconds")

    def __init__(self, end: float, seconds: float, *, is_shared: bool = False) -> None:
        self.end = end
        self.seconds = seconds
        self.left = MEMORY
        self.is_shared = is_shared


_EVER = float("inf")
_ALL = _Budget(_EVER, _EVER)
_BUDGET: ContextVar[_Budget] = ContextVar("budget of expressions")


@contextmanager
def time_limit(
    seconds: float | None, *, begun: float | None = None, is_shared: bool = False
) -> Iterator[None]:
    """Limit the time of the expressions in a ``with`` block; an outer limit still applies.

    Args:
        seconds: The time limit; None sets no limit.
        begun: Start of the time on the clock ``time.monotonic``; None is the current time.
        is_shared: True if all expressions of the block share one memory budget.
    """
    outer = _BUDGET.get(_ALL)
    start = time.monotonic() if begun is None else begun
    end = _EVER if seconds is None else start + seconds
    if end < outer.end and seconds is not None:
        own = _Budget(end, seconds, is_shared=is_shared)
    else:
        own = _Budget(outer.end, outer.seconds, is_shared=is_shared)
    token = _BUDGET.set(own)
    try:
        yield
    finally:
        _BUDGET.reset(token)


def begin() -> None:
    """Begin the evaluation of one expression: restore its memory budget, unless it is shared."""
    budget = _BUDGET.get(_ALL)
    if not budget.is_shared:
        budget.left = MEMORY
    check()


def check() -> None:
    """Raise TimeUp if the deadline has passed."""
    budget = _BUDGET.get(_ALL)
    if time.monotonic() > budget.end:
        raise TimeUp(budget.seconds)


def charge(what: str, size: int, *, each: int = 1, unit: str = "characters") -> None:
    """Subtract the size of a value from the budget before it is built.

    Args:
        what: The function that builds the value.
        size: Its number of characters or items.
        each: Bytes of one character or item.
        unit: The unit of `size`, for the message.

    Raises:
        TooLarge: The size exceeds the limit or the remaining memory.
        TimeUp: The time is over.
    """
    check()
    if size > MOST:
        raise TooLarge(f"`{what}` would give {size:,} {unit}; {MOST:,} are the most")
    _spend(what, size, each, unit)


def _spend(what: str, size: int, each: int, unit: str) -> None:
    budget = _BUDGET.get(_ALL)
    budget.left -= size * each
    if budget.left < 0:
        most = f"an expression builds {MEMORY >> 20} MiB at most"
        raise TooLarge(f"`{what}` would give {size:,} {unit} more, and {most}")


def charge_copy(what: str, value: object) -> None:
    """Subtract the size of a value from the budget; the value was already copied."""
    if isinstance(value, (str, *LONG)):
        _spend(what, total_size(what, value), 1 if isinstance(value, str) else ITEM, "items")


def check_work(what: str, size: int, most: int = _STEPS) -> None:
    """Raise TooLarge if a call needs more than `most` steps, because no call can be interrupted."""
    if size > most:
        raise TooLarge(f"`{what}` would take {size:,} steps; {most:,} are the most")


def total_size(what: str, value: object) -> int:
    """Return the number of items and characters in a value; a value that occurs twice counts twice.

    Raises:
        TooLarge: The number exceeds `MOST`.
    """
    if isinstance(value, str):
        return len(value)
    if not isinstance(value, LONG):
        return _narrow(value)
    sizes: dict[int, int] = {}  # a list that occurs a thousand times in another list is read once
    enclosing: list[tuple[object, Iterator[Any], int]] = []
    inner: object = value
    rest, size, pause = parts(value), 1, 0
    while True:
        for one in rest:
            pause += 1
            if pause % _PAUSE == 0:
                check()
            weight = _weight(one, sizes)
            if weight is None:
                enclosing.append((inner, rest, size))
                inner, rest, size = one, parts(one), 1
                break
            size += weight
            if size > MOST:
                raise _unread(what)
        else:
            if size > MOST:
                raise _unread(what)
            sizes[id(inner)] = size
            if not enclosing:
                return size
            below = size
            inner, rest, size = enclosing.pop()
            size += below


def _weight(one: object, sizes: dict[int, int]) -> int | None:
    """Return the size of one value; None for a container whose size is not computed yet."""
    if isinstance(one, LONG):
        return sizes.get(id(one))
    return len(one) + 1 if isinstance(one, str) else _narrow(one)


def _unread(what: str) -> TooLarge:
    return TooLarge(f"`{what}` has more than {MOST:,} items and characters to read")


def parts(value: Any) -> Iterator[Any]:
    """Return an iterator over the items of a list, or over the keys and values of a mapping."""
    if isinstance(value, dict):
        return (part for pair in value.items() for part in pair)
    return iter(value)


def _narrow(value: object) -> int:
    """Estimate the number of characters of a value that is neither text nor a container."""
    return value.bit_length() // 3 + 2 if isinstance(value, int) else 24


def counted(what: str, items: Iterable[Any]) -> Iterator[Any]:
    """Yield items one by one and subtract the size of each from the budget."""
    for one in items:
        charge(what, total_size(what, one) + 1, each=1 if isinstance(one, str) else ITEM)
        yield one


def listed(what: str, items: Any) -> list[Any]:
    """Subtract the size of items from the budget, and return the items as a list."""
    if hasattr(items, "__len__"):
        charge(what, len(items), each=ITEM, unit="items")
        return list(items)
    return list(counted(what, items))


def arithmetic(operator: str, left: Any, right: Any) -> None:
    """Raise TooLarge if the result of a binary operator would be too large."""
    if isinstance(left, int) and isinstance(right, int):
        _whole(operator, left, right)
    elif operator == "%" and isinstance(left, str | bytes):
        charge("%", percent(left, right))
    elif operator == "*":
        sizes = [one if isinstance(one, int) else _length(one) for one in (left, right)]
        _repeated("*", left if _length(left) else right, max(0, sizes[0]) * max(0, sizes[1]))
    elif operator == "+" and (_length(left) or _length(right)):
        _repeated("+", left, _length(left) + _length(right))
    else:
        check()


def _repeated(what: str, of: object, size: int) -> None:
    is_text = isinstance(of, str | bytes)
    unit = "characters" if is_text else "items"
    charge(what, size, each=1 if is_text else ITEM, unit=unit)


def _whole(operator: str, left: int, right: int) -> None:
    bits = [left.bit_length(), right.bit_length()]
    size = bits[0] * abs(right) if operator == "**" and bits[0] > 1 else sum(bits)
    if size > MOST_BITS:
        raise TooLarge(
            f"`{operator}` would give a number of {size:,} bits; {MOST_BITS:,} are the most"
        )
    check()


def _length(value: object) -> int:
    return len(value) if isinstance(value, str | bytes | list | tuple) else 0


def percent(pattern: str | bytes, values: Any) -> int:
    """Return the largest possible length of a text after its ``%`` specifiers are replaced."""
    if isinstance(pattern, bytes):
        raise TypeError("`%` is for text")
    stars, size, specs = 0, len(pattern), 0
    for width in _widths(pattern):
        specs += 1
        stars += width is None
        size += width or 0
    if isinstance(values, tuple):
        texts = [total_size("%", one) for one in values]
        wide = max((abs(one) for one in values if isinstance(one, int)), default=0)
        return size + sum(texts) + 2 * stars * wide
    items = values.values() if isinstance(values, Mapping) else [values]
    largest = max((total_size("%", one) for one in items), default=0)
    wide = abs(values) if isinstance(values, int) else 0
    return size + specs * max(largest, total_size("%", values) if specs else 0) + 2 * stars * wide


def _widths(pattern: str) -> Iterator[int | None]:
    """Yield width plus precision of each ``%`` specifier; None if an argument (``*``) sets them."""
    at = pattern.find("%")
    while at >= 0:
        at = _behind_key(pattern, at + 1)
        while pattern[at : at + 1] and pattern[at] in _FLAGS:
            at += 1
        match = _NUMBERS.match(pattern, at)
        assert match is not None  # noqa: S101  # it may be empty
        yield None if "*" in match[0] else sum(map(number, re.findall(r"\d+", match[0])))
        at = pattern.find("%", max(match.end() + 1, at))


def _behind_key(pattern: str, at: int) -> int:
    """Return the position after the ``(key)`` of a ``%`` specifier; `at` if it has no key."""
    depth = 0
    while pattern[at : at + 1] == "(" or depth:
        if at >= len(pattern):
            return at
        depth += {"(": 1, ")": -1}.get(pattern[at], 0)
        at += 1
        if not depth:
            return at
    return at


def number(digits: str) -> int:
    """Convert decimal digits to a number; return 10**12 for twelve or more digits."""
    return int(digits) if len(digits) < 12 else 10**12
