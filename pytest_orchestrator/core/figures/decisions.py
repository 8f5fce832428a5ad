"""Decision rules: whether a measured value conforms to its limits, by its uncertainty.

The clauses are those of ILAC-G8:09/2019. T is a limit, U the expanded uncertainty with k = 2, and
w = U the guard band. Of two limits the one with the worse answer decides. All comparisons are exact
(see `core.figures.exact`); U is the float that reports have, so a record gives the same decision.
"""

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from pytest_orchestrator.core.figures.exact import exact, margins

if TYPE_CHECKING:
    from collections.abc import Iterable
    from fractions import Fraction

    from pytest_orchestrator.core.figures.exact import Number

Rule: TypeAlias = Literal["simple", "guarded", "nonbinary"]
Decision: TypeAlias = Literal[
    "pass", "conditional pass", "conditional fail", "not accepted (inside the limit)", "fail"
]

SIMPLE: Final[Rule] = "simple"
CONDITIONAL: Final[Decision] = "conditional pass"
NOT_ACCEPTED: Final[Decision] = "not accepted (inside the limit)"
MEETS: Final = frozenset[Decision]({"pass", CONDITIONAL})
"""Decisions by which a value meets its limits."""

LEAST_RATIO: Final = 4
"""Least ratio of the range between two limits to that between -U and U without a warning."""


class Statement(NamedTuple):
    """Sentences of a certificate about a decision rule.

    Attributes:
        clause: The clause of ILAC-G8:09/2019.
        rule: The rule in one sentence.
        risk: The risk of a wrong decision in one sentence.
    """

    clause: str
    rule: str
    risk: str


STATEMENTS: Final[dict[Rule, Statement]] = {
    "simple": Statement(
        "4.2.1",
        "simple acceptance: a value passes within its limits, whatever its uncertainty",
        "Of a value at a limit the probability of a wrong decision is up to 50 %.",
    ),
    "guarded": Statement(
        "4.2.2",
        "guard band w = U: a value passes if it is within its limits by at least U; else it fails, "
        "between U and the limit as 'not accepted (inside the limit)'",
        "If errors of measurement are normal, the probability that a value which passes is in fact "
        "beyond a limit is at most 2.5 % for each limit.",
    ),
    "nonbinary": Statement(
        "4.2.3",
        "guard band w = U: a value passes if it is within its limits by at least U, and fails "
        "beyond them by more than U; between is conditional pass inside and conditional fail "
        "outside of the limit",
        "If errors of measurement are normal, a wrong pass or fail has a probability of at most "
        "2.5 % for each limit; that of a conditional pass or conditional fail is up to 50 %.",
    ),
}


def standard_squared(
    reading: "Number",
    value: "Number | None" = None,
    percent: "Number | None" = None,
    k: "Number" = 2,
) -> "Fraction":
    """Return the square of a standard uncertainty, in the unit of the reading.

    Args:
        reading: The measured value, finite.
        value: An expanded uncertainty in the unit of the reading.
        percent: An expanded uncertainty in percent of the absolute reading.
        k: The factor by which both are expanded, above 0.
    """
    parts = exact(value or 0), exact(percent or 0) * abs(exact(reading)) / 100
    return sum((part / exact(k)) ** 2 for part in parts) + exact(0)


def expanded(squares: "Iterable[Fraction]") -> float:
    """Return U = 2u of uncertainties that do not correlate: the float nearest to it.

    Args:
        squares: The squares of the standard uncertainties.
    """
    from decimal import Context, Decimal

    whole = 4 * sum(squares, exact(0))
    context = Context(prec=40)
    quotient = context.divide(Decimal(whole.numerator), Decimal(whole.denominator))
    return float(context.sqrt(quotient))


def decide(
    value: "Number",
    low: "Number | None",
    high: "Number | None",
    rule: Rule = SIMPLE,
    uncertainty: "Number" = 0,
) -> Decision:
    """Return the decision about a finite value by the distance d to its nearest limit.

    Args:
        value: The value.
        low: The lower limit; None without one.
        high: The upper limit; None without one.
        rule: The decision rule.
        uncertainty: U, above 0 unless the rule is simple.
    """
    nearest = min(margins(value, low, high), default=None)
    if nearest is None:
        return "pass"
    band = exact(0) if rule == SIMPLE else exact(uncertainty)  # 4.2.1: w = 0, 4.2.2: w = U
    if nearest >= band:
        return "pass"  # 4.2.1: |d| within TL; 4.2.2 and 4.2.3: within AL = TL - w
    if rule == "nonbinary" and nearest >= -band:
        return CONDITIONAL if nearest >= 0 else "conditional fail"  # 4.2.3: TL - w to TL + w
    return NOT_ACCEPTED if nearest >= 0 else "fail"  # 4.2.2: beyond AL; 4.2.1 and 4.2.3: beyond


def can_pass(
    low: "Number | None", high: "Number | None", rule: Rule, uncertainty: "Number"
) -> bool:
    """Return True if a value exists that passes: AL of both limits leaves a range (4.1)."""
    if rule == SIMPLE or low is None or high is None:
        return True
    return exact(high) - exact(low) >= 2 * exact(uncertainty)


def uncertainty_ratio(low: object, high: object, uncertainty: "Number") -> "Fraction | None":
    """Return the range between two limits divided by 2U; None without two numbers as limits."""
    ends = [one for one in (low, high) if isinstance(one, int | float)]
    if len(ends) < 2 or not uncertainty:
        return None
    return (exact(ends[1]) - exact(ends[0])) / (2 * exact(uncertainty))
