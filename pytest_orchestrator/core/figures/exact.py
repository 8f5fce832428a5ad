"""Exact comparison of numbers: a decimal is the number that is written.

A float stands for the shortest decimal that reads back as it: 3.35 is 335/100 and not the binary
fraction below it. So a computed limit, such as 3.3 + 0.05, is the one that a person expects.
"""

from typing import TYPE_CHECKING, Any, Literal

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

    # The `repr` of a subclass such as float64 of numpy is no decimal.
    return Fraction(float.__repr__(number) if isinstance(number, float) else number)


def violated(value: Number, low: Number | None, high: Number | None) -> Literal["", "low", "high"]:
    """Return the limit that a finite value violates; an empty text if it violates none.

    Each comparison of a value with its limits asks this function.
    """
    if low is not None and exact(value) < exact(low):
        return "low"
    return "high" if high is not None and exact(value) > exact(high) else ""


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
