"""Exact comparison of numbers: a decimal is the number that is written.

A float stands for the shortest decimal that reads back as it: 3.35 is 335/100 and not the binary
fraction below it. So a computed limit, such as 3.3 + 0.05, is the one that a person expects.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal, Self

if TYPE_CHECKING:
    from fractions import Fraction

    Number = int | float | Fraction
else:
    Number = Any


def exact(number: Number | str) -> "Fraction":
    """Return a finite number as a fraction; a float as the shortest decimal that reads back as it.

    Args:
        number: A number, or a decimal as text. The exponent of a text must be bounded: a large one
            would make an integer that fills the memory.

    Raises:
        ValueError: The float is infinite or NaN, or the text is no decimal.
    """
    from fractions import Fraction  # most sessions compare no number with a limit

    return Fraction(written(number) if isinstance(number, float) else number)


def written(number: float) -> str:
    """Return the decimal that a float stands for."""
    # The `repr` of a subclass such as float64 of numpy is no decimal.
    return number.text if type(number) is LongDecimal else float.__repr__(number)


_SHORT: Final = 16
"""Most characters of a decimal that each float keeps: 15 digits, and a point or an exponent."""
_NORMAL: Final = 1e-300
"""Floats nearer to zero than 2.2e-308 have fewer digits."""


class LongDecimal(float):
    """Decimal in a file with more digits than a float keeps.

    It calculates as the nearest float, and is compared as the decimal that is written.

    Attributes:
        text: The decimal as the file has it.
    """

    __slots__ = ("text",)

    text: str

    def __new__(cls, text: str) -> Self:
        """Create a decimal from its text."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text


def _compared(name: str) -> Callable[[float, Any], Any]:
    def compare(one: float, other: Any) -> Any:
        if isinstance(other, int) or (isinstance(other, float) and math.isfinite(other)):
            return getattr(exact(one), name)(exact(other))
        return getattr(float, name)(one, other)

    return compare


for _name in ("__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__"):
    setattr(LongDecimal, _name, _compared(_name))


def decimal(text: str) -> float:
    """Return the float for a decimal in a file; a `LongDecimal` if no float is this decimal.

    A decimal nearer to zero than each float is 0.

    Raises:
        ValueError: It is beyond the range of floats, or has more digits than Python converts to
            an integer.
    """
    number = float(text)
    if math.isinf(number):
        raise ValueError("Number out of range")
    if not number or (len(text) <= _SHORT and abs(number) > _NORMAL) or text == repr(number):
        return number
    return number if exact(text) == exact(number) else LongDecimal(text)


def violated(value: Number, low: Number | None, high: Number | None) -> Literal["", "low", "high"]:
    """Return the limit that a finite value violates; an empty text if it violates none.

    Each comparison of a value with its limits asks this function.
    """
    if low is not None and exact(value) < exact(low):
        return "low"
    return "high" if high is not None and exact(value) > exact(high) else ""


def nearest(value: Number, low: Number | None, high: Number | None) -> Literal["low", "high"]:
    """Return the limit that is nearest to a finite value, or that it violates by most."""
    if high is None:
        return "low"
    if low is None:
        return "high"
    return "low" if exact(value) - exact(low) < exact(high) - exact(value) else "high"


def margins(value: Number | None, low: Number | None, high: Number | None) -> "list[Fraction]":
    """Return the distances of a finite value from its limits; one beyond a limit is negative."""
    sides = ((value, low), (high, value))
    return [exact(a) - exact(b) for a, b in sides if a is not None and b is not None]


def rounded(number: Number) -> float:
    """Return a number as reports have it: an integer as it is, a fraction as the nearest float."""
    if isinstance(number, int):
        return number
    try:
        return float(number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")
