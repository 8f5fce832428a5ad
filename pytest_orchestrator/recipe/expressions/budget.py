"""Budget of an expression: its time, and the size of what its functions build.

No single call can run for long, and between two calls the deadline is checked. So a size is
estimated before anything is built.
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

MOST: Final = 1 << 24
"""Characters of a text and items of a list that one function of an expression may give."""

MEMORY: Final = 1 << 28
"""Bytes that all functions of an expression build together, about."""

MOST_BITS: Final = 1 << 16
"""Bits of a whole number that an expression may work out."""

_STEPS: Final = 1 << 30
"""Characters compared by one call that Ctrl-C cannot interrupt: about a second."""

ITEM: Final = 8
"""Bytes of an item of a list."""

_PAUSE = 4096  # items between two looks at the clock
_FLAGS = "#0- +"
_NUMBERS = re.compile(r"(?:\*|\d*)(?:\.(?:\*|\d*))?")
LONG = (list, tuple, dict)
"""Types of values that have others in them."""


class TooLarge(OverflowError):
    """An expression would build more than it may."""


class TimeUp(Exception):
    """The time of an expression is over.

    Attributes:
        seconds: How long it was.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"still evaluating after {seconds:g} s")
        self.seconds = seconds


class _Budget:
    """The time and the memory that are left.

    Attributes:
        end: The moment of ``time.monotonic`` at which the time is over.
        seconds: How long it is, as messages say it.
        left: Bytes that may still be built.
        is_shared: All evaluations share the memory, not only the time.
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
def within(
    seconds: float | None, *, begun: float | None = None, is_shared: bool = False
) -> Iterator[None]:
    """Evaluate expressions within some time; what is left of one around it holds too.

    Args:
        seconds: The time; None is for ever.
        begun: The moment of ``time.monotonic`` from which it counts; None is now.
        is_shared: All expressions together build no more than one may.
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
    """Begin the evaluation of one expression."""
    budget = _BUDGET.get(_ALL)
    if not budget.is_shared:
        budget.left = MEMORY
    check()


def check() -> None:
    """Raise TimeUp where the time is over."""
    budget = _BUDGET.get(_ALL)
    if time.monotonic() > budget.end:
        raise TimeUp(budget.seconds)


def take(what: str, size: int, *, each: int = 1, unit: str = "characters") -> None:
    """Take note of what is about to be built.

    Args:
        what: The function that builds it.
        size: Its characters or items.
        each: Bytes of one of these.
        unit: What they are.

    Raises:
        TooLarge: It is too much.
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


def hold(what: str, value: object) -> None:
    """Take note of a value that was copied for the expression, whatever its size."""
    if isinstance(value, (str, *LONG)):
        _spend(what, deep(what, value), 1 if isinstance(value, str) else ITEM, "items")


def steps(what: str, size: int, most: int = _STEPS) -> None:
    """Refuse a call that nobody could interrupt for too long."""
    if size > most:
        raise TooLarge(f"`{what}` would take {size:,} steps; {most:,} are the most")


def deep(what: str, value: object) -> int:
    """Return the number of items and characters in a value, what stands in it twice twice.

    Raises:
        TooLarge: They are more than `MOST`.
    """
    if isinstance(value, str):
        return len(value)
    if not isinstance(value, LONG):
        return _narrow(value)
    known: dict[int, int] = {}  # a list that stands a thousand times in another is read once
    around: list[tuple[object, Iterator[Any], int]] = []
    inner: object = value
    rest, size, pause = parts(value), 1, 0
    while True:
        for one in rest:
            pause += 1
            if pause % _PAUSE == 0:
                check()
            weight = _weight(one, known)
            if weight is None:
                around.append((inner, rest, size))
                inner, rest, size = one, parts(one), 1
                break
            size += weight
            if size > MOST:
                raise _unread(what)
        else:
            if size > MOST:
                raise _unread(what)
            known[id(inner)] = size
            if not around:
                return size
            below = size
            inner, rest, size = around.pop()
            size += below


def _weight(one: object, known: dict[int, int]) -> int | None:
    """Return the size of a value; None where it has others in it and was not looked at."""
    if isinstance(one, LONG):
        return known.get(id(one))
    return len(one) + 1 if isinstance(one, str) else _narrow(one)


def _unread(what: str) -> TooLarge:
    return TooLarge(f"`{what}` has more than {MOST:,} items and characters to read")


def parts(value: Any) -> Iterator[Any]:
    """Return what stands in a value that has others in it."""
    if isinstance(value, dict):
        return (part for pair in value.items() for part in pair)
    return iter(value)


def _narrow(value: object) -> int:
    """Return the characters of what is no text and has no items."""
    return value.bit_length() // 3 + 2 if isinstance(value, int) else 24


def counted(what: str, items: Iterable[Any]) -> Iterator[Any]:
    """Give items one by one, each taken note of."""
    for one in items:
        take(what, deep(what, one) + 1, each=1 if isinstance(one, str) else ITEM)
        yield one


def listed(what: str, items: Any) -> list[Any]:
    """Return items as a list whose size is known."""
    if hasattr(items, "__len__"):
        take(what, len(items), each=ITEM, unit="items")
        return list(items)
    return list(counted(what, items))


def arithmetic(operator: str, left: Any, right: Any) -> None:
    """Refuse what an operator would make too large."""
    if isinstance(left, int) and isinstance(right, int):
        _whole(operator, left, right)
    elif operator == "%" and isinstance(left, str | bytes):
        take("%", percent(left, right))
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
    take(what, size, each=1 if is_text else ITEM, unit=unit)


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


def percent(pattern: str | bytes, given: Any) -> int:
    """Return how long a text becomes whose ``%`` are replaced, at most."""
    if isinstance(pattern, bytes):
        raise TypeError("`%` is for text")
    stars, size, specs = 0, len(pattern), 0
    for width in _widths(pattern):
        specs += 1
        stars += width is None
        size += width or 0
    if isinstance(given, tuple):
        texts = [deep("%", one) for one in given]
        wide = max((abs(one) for one in given if isinstance(one, int)), default=0)
        return size + sum(texts) + 2 * stars * wide
    values = given.values() if isinstance(given, Mapping) else [given]
    largest = max((deep("%", one) for one in values), default=0)
    wide = abs(given) if isinstance(given, int) else 0
    return size + specs * max(largest, deep("%", given) if specs else 0) + 2 * stars * wide


def _widths(pattern: str) -> Iterator[int | None]:
    """Return width and precision of each ``%``; None where its value says them."""
    at = pattern.find("%")
    while at >= 0:
        at = _behind_key(pattern, at + 1)
        while pattern[at : at + 1] and pattern[at] in _FLAGS:
            at += 1
        found = _NUMBERS.match(pattern, at)
        assert found is not None  # noqa: S101  # it may be empty
        yield None if "*" in found[0] else sum(map(number, re.findall(r"\d+", found[0])))
        at = pattern.find("%", max(found.end() + 1, at))


def _behind_key(pattern: str, at: int) -> int:
    """Return where the key in brackets ends that may stand at a place."""
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
    """Return the number that digits say; more than any limit where they are many."""
    return int(digits) if len(digits) < 12 else 10**12
