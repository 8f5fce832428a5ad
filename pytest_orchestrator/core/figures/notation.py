"""Notation of measured values for people: SI prefix, significant digits, decimals.

All numbers of a row or a sentence share one `Notation`. Rounding to the same decimals keeps their
order, so a value that meets a limit is never shown beyond it; a value that violates a limit gets
digits until its text differs from that of the limit.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeGuard

from pytest_orchestrator.core.figures.exact import written

if TYPE_CHECKING:
    from decimal import Context, Decimal
    from fractions import Fraction

    from pytest_orchestrator.core.figures.exact import Number

DIGITS: Final = 5
"""Most significant digits of a value that is no integer, if the recipe has no `precision`."""
PREFIXES: Final = {-12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}
POWERS: Final[Mapping[str, tuple[int, int]]] = {
    **dict.fromkeys(("V", "A", "W", "Ω", "\u2126", "Ohm", "ohm", "Hz", "J", "N", "Pa"), (-12, 12)),
    **dict.fromkeys(("F", "H", "C", "S", "T", "s"), (-12, 0)),  # 2000 s is no "2 ks"
    **dict.fromkeys(("m", "g"), (-12, 3)),
    **dict.fromkeys(("B", "bit"), (0, 12)),
}
"""Least and largest power of ten of the prefixes of each unit that takes one."""
_PLAIN: Final = (-1, 3)
"""Powers of ten of the first digit of a number that needs no prefix: 0.1 to 9999."""
_FIXED: Final = (-4, 4)
"""Powers of ten of the first digit of a number that needs no exponent: 0.0001 to 99999."""
_NEGLIGIBLE: Final = -6
"""Power of ten of the ratio of a value to its limits below which the limits set the notation: a
difference of floats such as 1e-17 would give a limit of 5 V eighteen decimals."""


_BASES: Final = {"\u2126": "Ω", "Ohm": "Ω", "ohm": "Ω"}
"""Other spellings of units."""


def factor(unit: str, other: str) -> "Fraction | None":
    """Return the factor by which a number in a unit becomes one in another unit.

    Returns:
        None if the units differ in more than a prefix, as ``mV`` and ``V`` do.
    """
    from fractions import Fraction

    (base, power), (target, reached) = _base_of(unit), _base_of(other)
    return Fraction(10) ** (power - reached) if base == target else None


def _base_of(unit: str) -> tuple[str, int]:
    """Return a unit without its prefix, and the power of ten of the prefix."""
    if unit not in POWERS and unit[1:] in POWERS:
        prefix = "µ" if unit[0] in "uμ" else unit[0]
        for power, one in PREFIXES.items():
            if one == prefix:
                return _BASES.get(unit[1:], unit[1:]), power
    return _BASES.get(unit, unit), 0


class Notation(NamedTuple):
    """Notation that the numbers of a row or a sentence share.

    Attributes:
        unit: The unit with its prefix; may be empty.
        power: Power of ten by which the numbers are divided.
        decimals: Number of decimals.
        exponent: The part of `power` that each text shows, as in ``1.2e7``; 0 without one.
    """

    unit: str = ""
    power: int = 0
    decimals: int = 0
    exponent: int = 0

    def text(self, number: "Number") -> str:
        """Return a number without its unit."""
        return self._text(exact(number))

    def with_unit(self, number: "Number") -> str:
        """Return a number with its unit."""
        return f"{self.text(number)} {self.unit}".rstrip()

    def distance(self, number: "Number", limit: "Number") -> str:
        """Return the exact distance of two finite numbers, without the unit."""
        return self._text(abs(_context().subtract(exact(number), exact(limit))))

    def beyond(self, number: "Number", limit: "Number") -> str:
        """Return a limit and the distance of a number beyond it: ``3 V (1 V above, 33.3 %)``."""
        by = exact(number) - exact(limit)
        apart = f"{self.distance(number, limit)} {self.unit}".rstrip()
        side = "above" if by > 0 else "below"
        share = f", {figure(float(100 * abs(by / exact(limit))), most=3)} %" if limit else ""
        return f"{self.with_unit(limit)} ({apart} {side}{share})"

    def finer(self, number: float, precision: int | None = None) -> "Notation":
        """Return the notation with the decimals of a smaller number, such as a deviation."""
        own = notation([float(number)], precision=precision)
        return self._replace(decimals=max(0, self.power - own.power + own.decimals))

    def _text(self, number: "Decimal") -> str:
        if not number.is_finite():
            return str(float(number))
        exponent = f"e{self.exponent}" if self.exponent else ""
        return f"{self._rounded(number):f}{exponent}"

    def _rounded(self, number: "Decimal") -> "Decimal":
        scaled = _context().scaleb(number, -self.power)
        # Zero is added because a value that is rounded to zero has no minus sign.
        unit = _context().scaleb(exact(1), -self.decimals)
        return _context().add(_context().quantize(scaled, unit), exact(0))

    def lengthened(
        self, violated: "Sequence[tuple[Decimal, Decimal]]", limits: "Sequence[Decimal]"
    ) -> "Notation":
        """Return the notation with enough decimals to distinguish numbers from limits.

        Args:
            violated: Numbers, each with a limit that it violates.
            limits: Limits that are not zero and must not read as zero.
        """
        found = self
        while not all(map(found._rounded, limits)) or any(
            found._rounded(one) == found._rounded(limit)
            or not found._rounded(_context().subtract(one, limit))
            for one, limit in violated
        ):
            found = found._replace(decimals=found.decimals + 1)
        return found


def is_number(value: object) -> TypeGuard[float]:
    """Return True for a finite number, also a fraction; true and false are none."""
    if isinstance(value, float):
        return math.isfinite(value)
    return hasattr(value, "denominator") and not isinstance(value, bool)


def exact(number: "Number") -> "Decimal":
    """Return the number that is written: of a float the shortest decimal that reads back as it.

    A fraction is one of decimals, such as a limit that was computed from a percentage.
    """
    from decimal import Decimal

    if isinstance(number, float):
        return Decimal(written(number))
    if number.denominator == 1:
        return Decimal(number.numerator)
    # 10 to this power is a multiple of a product of twos and fives. A division in a context with a
    # million digits takes 0.1 s.
    places = number.denominator.bit_length()
    scaled = number.numerator * 10**places // number.denominator
    return _context().normalize(_context().scaleb(Decimal(scaled), -places))


def difference(number: float, other: float) -> float:
    """Return the float nearest to the exact difference of two numbers."""
    if not (is_number(number) and is_number(other)):
        return number - other
    return float(_context().subtract(exact(number), exact(other)))


def figure(
    value: "Number", unit: str = "", precision: int | None = None, *, most: int = DIGITS
) -> str:
    """Return a finite number that has no limits, with its unit.

    Args:
        value: The number.
        unit: Its unit; may be empty.
        precision: Number of its significant digits; None means at most `most`.
        most: Most significant digits of a number that is no integer.
    """
    return notation([value], unit=unit, precision=precision, most=most).with_unit(value)


def notation(
    values: Iterable[object],
    *,
    low: object = None,
    high: object = None,
    equals: object = None,
    unit: str = "",
    precision: int | None = None,
    most: int = DIGITS,
) -> Notation:
    """Return the notation that values share with their limits.

    Args:
        values: The values. Of these and of the limits, only finite numbers count.
        low: Lower limit of all values.
        high: Upper limit.
        equals: The expected value.
        unit: The unit of all numbers; may be empty.
        precision: Number of significant digits of the largest value; None means at most `most`,
            and all of integers.
        most: Most significant digits of the largest value, unless it is an integer.
    """
    given = [*filter(is_number, values)]
    numbers = [*map(exact, given)]
    ends = [exact(one) if is_number(one) else None for one in (low, high, equals)]
    limits = [one for one in ends if one]
    largest = max(map(abs, numbers), default=exact(0))
    leading = max(map(abs, limits), default=exact(0))
    if not leading or (largest and largest.adjusted() - leading.adjusted() >= _NEGLIGIBLE):
        leading = largest
    digits = precision or most
    first = _significant(leading, digits).adjusted() if leading else 0
    if precision is not None:
        found = _scaled(first, unit, precision)
        last = _significant(largest or leading, digits).adjusted() - digits + 1
    else:
        is_whole = bool(given) and all(isinstance(one, int) for one in given)
        found = Notation(unit) if is_whole else _scaled(first, unit, DIGITS)
        written = limits if is_whole else [*limits, *numbers]
        last = min(
            (int(_significant(one, digits).as_tuple().exponent) for one in written), default=0
        )
        last = max(last, first - digits + 1)
    found = found._replace(decimals=max(0, found.power - last))
    # A number violates its low, its high or its required value if it is below, above, or unequal.
    violated = [
        (one, end)
        for one in numbers
        for end, signs in zip(ends, ((-1,), (1,), (-1, 1)), strict=True)
        if end is not None and (one > end) - (one < end) in signs
    ]
    return found.lengthened(violated, limits)


def history_notation(
    values: Iterable[float], unit: str, precision: int | None = None, **limits: float
) -> Notation:
    """Return the notation of figures of several runs.

    Args:
        values: The figures, with their median for example.
        unit: Their unit; ``bytes`` for memory, which gets a prefix although bytes are integers.
        precision: As for `notation`.
        limits: As for `notation`.
    """
    if unit == "bytes":
        values, unit = map(float, values), "B"
    return notation(values, unit=unit, precision=precision, **limits)  # type: ignore[arg-type]


def _scaled(first: int, unit: str, digits: int) -> Notation:
    """Return the prefix, or the exponent, for a leading number.

    Args:
        first: Power of ten of its first digit.
        unit: Its unit.
        digits: Number of its digits; a prefix or an exponent leaves no more before the point.
    """
    least, most = POWERS.get(unit, (0, 0))
    power = 0
    if not _PLAIN[0] <= first <= min(_PLAIN[1], digits - 1):
        power = max(least, min(most, 3 * (first // 3)))
        power += 3 * (first - power >= digits and power < most)
    exponent = first - power
    if _FIXED[0] <= exponent <= min(_FIXED[1], digits - 1):
        exponent = 0
    return Notation(PREFIXES[power] + unit if power else unit, power + exponent, 0, exponent)


def _significant(number: "Decimal", digits: int) -> "Decimal":
    """Return a number rounded to some significant digits."""
    if not number:
        return exact(0)  # 0.0 has a decimal
    unit = _context().scaleb(exact(1), number.adjusted() - digits + 1)
    return _context().normalize(_context().quantize(number, unit))


@cache
def _context() -> "Context":
    """Return a context in which no result is rounded but by `quantize`."""
    from decimal import ROUND_HALF_EVEN, Context

    return Context(prec=1_000_000, rounding=ROUND_HALF_EVEN)
