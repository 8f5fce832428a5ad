"""Keys of measurements: limits, uncertainty and decision rule."""

from __future__ import annotations  # few recipes have these keys: read at their first use

import sys
from collections.abc import Iterator, Mapping
from datetime import date
from functools import partial
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Struct, field

from pytest_orchestrator.core.figures.exact import Number, exact, violated
from pytest_orchestrator.core.figures.notation import notation
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.expressions.expression import Expression
from pytest_orchestrator.recipe.expressions.names import AFTER
from pytest_orchestrator.recipe.model import key_types
from pytest_orchestrator.recipe.model.key_types import InstrumentName, Json, Text, key

Rule: TypeAlias = Literal["simple", "guarded", "nonbinary"]
"""The decision rules, see `core.figures.decisions`, which few recipes import."""

_limit = partial(key, names=AFTER, written=int | float)


class Within(Struct, frozen=True, kw_only=True):
    """A range around a value, as a percentage of the value."""

    of: Annotated[float, _limit("The middle of the range.", 12.0)]
    percent: Annotated[
        float,
        _limit(
            "Largest distance from `of`, in percent of the absolute value of `of`.",
            5,
            rule=key_types.percent,
        ),
    ]


class Marginal(Struct, frozen=True, kw_only=True):
    """The part of the allowed range in which a value passes, but is flagged as marginal."""

    low: Annotated[
        float | None, _limit("A value that passes is marginal if it is below this one.", 2)
    ] = None
    high: Annotated[
        float | None, _limit("A value that passes is marginal if it is above this one.", 45)
    ] = None
    percent: Annotated[
        float | None,
        _limit(
            "A value is marginal if its distance to a limit is less than this share: in percent "
            "of the distance between the two limits, or of the absolute value of a single limit.",
            10,
            rule=key_types.marginal_percent,
        ),
    ] = None


class Uncertainty(Struct, frozen=True, kw_only=True):
    """An expanded uncertainty: a part in the unit of the value, one of its reading, or both."""

    value: Annotated[
        float | None, _limit("In the unit of the value.", 0.003, rule=key_types.percent)
    ] = None
    percent: Annotated[
        float | None,
        _limit("In percent of the absolute value.", 0.02, rule=key_types.percent),
    ] = None
    k: Annotated[
        float,
        _limit("The coverage factor of both. The default is 2.", 2, rule=key_types.positive),
    ] = 2


class Source(Struct, frozen=True, kw_only=True):
    """Instrument that measures values, as the station file describes it.

    Attributes:
        name: Its name.
        uncertainties: Its uncertainties by unit.
        due: The last day for which its calibration is valid; None if the file names none.
    """

    name: str
    uncertainties: Mapping[str, Uncertainty] = {}
    due: date | None = None


class Measurement(Struct, frozen=True, kw_only=True):
    """A recorded value and its limits.

    Attributes:
        source: The uncertainties and the calibration of `instrument`; None without one.
        at: The place of the value of each key in the file; below ``""`` the place of the
            measurement.
    """

    value: Annotated[
        Expression,
        key("An expression whose value is the measured value.", "result.ripple_mv", names=AFTER),
    ]
    unit: Annotated[
        Text | None, key("The unit of the value and of the limits.", "mV", names=AFTER)
    ] = None
    low: Annotated[float | None, _limit("The lowest value that passes.", 0)] = None
    high: Annotated[float | None, _limit("The highest value that passes.", 50)] = None
    equals: Annotated[
        Json,
        key("The expected value: a number, text, `true` or `false`.", "ready", names=AFTER),
    ] = None
    within: Annotated[
        Within | None,
        key(
            "The range of values that pass, in percent around a value.",
            {"of": 12.0, "percent": 5},
            own=True,
        ),
    ] = None
    matches: Annotated[
        str | None,
        key(
            "A regular expression that must match somewhere in the value, which must be a text; "
            "`^` and `$` match at every line.",
            r"^SN-\d{6}$",
            names=AFTER,
            rule=key_types.pattern,
        ),
    ] = None
    nominal: Annotated[
        float | None,
        _limit("The middle of the range of values that pass; `tolerance` is its half-width.", 12.0),
    ] = None
    tolerance: Annotated[
        float | str | None,
        key(
            "Largest distance from `nominal`: a number in the unit of the value, or a text with "
            "a percentage of the absolute value of `nominal`.",
            "1%",
            names=AFTER,
            written=int | float | str,
            rule=key_types.tolerance,
        ),
    ] = None
    marginal: Annotated[
        Marginal | None,
        key(
            "The values that pass but are near a limit: they are flagged as marginal in reports.",
            {"percent": 10},
            own=True,
        ),
    ] = None
    precision: Annotated[
        int | None,
        key(
            "Number of significant digits of the value in reports for people; its limits have as "
            "many decimals. Without it at most 5, and all of integers.",
            4,
            rule=key_types.digits,
        ),
    ] = None
    uncertainty: Annotated[
        Uncertainty | None,
        key(
            "The uncertainty of the value: a number in its unit with k = 2, or a mapping. It is "
            "added to that of `instrument` in quadrature.",
            0.004,
            written=int | float | dict[str, Json],
            own=True,
        ),
    ] = None
    decision: Annotated[
        Rule,
        key(
            "The decision rule for a number with limits: `simple`, `guarded` or `nonbinary`. The "
            "default is that of the recipe, see [decision rules](decisions.md).",
            "guarded",
        ),
    ] = "simple"
    instrument: Annotated[
        InstrumentName | None,
        key(
            "The instrument of the station file that measured the value. Its uncertainty for the "
            "unit counts, and an overdue calibration.",
            "dmm",
        ),
    ] = None
    ambient: Annotated[
        bool,
        key(
            "`true`: the value is a condition of the environment, such as the temperature; "
            "certificates show it apart from the results.",
            True,
        ),
    ] = False
    allow_fail: Annotated[
        bool,
        key(
            "`true`: the verdict is recorded, but a value outside the limits does not fail the "
            "step.",
            True,
            names=AFTER,
        ),
    ] = False

    source: Source | None = None
    at: dict[str, Place] = field(default_factory=dict)


Range = tuple[Number | None, Number | None]
"""The lowest and the highest value of a range; None where the range has no end."""

NUMERIC = ("low", "high", "within", "nominal")
"""Keys of a measurement that limit a number."""


class LimitsError(ValueError):
    """No value can meet the limits of a measurement, or none can be marginal.

    Attributes:
        key: The key of the measurement that is wrong.
    """

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(reason)
        self.key = key


def limits_of(measurement: Measurement) -> Range:
    """Return the range of values that pass, by all limits of a measurement.

    Args:
        measurement: The measurement, without expressions in its limits.

    Raises:
        LimitsError: No value is inside of all limits.
    """
    low: Number | None = measurement.low
    high: Number | None = measurement.high
    key = next((key for key in NUMERIC if getattr(measurement, key) is not None), "")
    for middle, width in _ranges(measurement):
        if abs(middle) + width > exact(sys.float_info.max):
            raise LimitsError(key, "its limits are too large for a number")
        low = middle - width if low is None else max(low, middle - width, key=exact)
        high = middle + width if high is None else min(high, middle + width, key=exact)
    if low is not None and high is not None and violated(low, None, high):
        raise LimitsError(key, f"its limits cross: {_range_text(low, high)}")
    return low, high


def _ranges(measurement: Measurement) -> Iterator[tuple[Any, Any]]:
    """Yield the middle and the half-width of each range that a measurement names."""
    if measurement.within is not None:
        of = exact(measurement.within.of)
        yield of, abs(of) * exact(measurement.within.percent) / 100
    nominal, tolerance = measurement.nominal, measurement.tolerance
    if nominal is not None and tolerance is not None:
        if isinstance(tolerance, str):
            share = exact(tolerance.removesuffix("%").strip())
            yield exact(nominal), abs(exact(nominal)) * share / 100
        elif isinstance(nominal, int) and isinstance(tolerance, int):
            yield nominal, tolerance  # integers stay integers in reports
        else:
            yield exact(nominal), exact(tolerance)


def _range_text(low: Number, high: Number) -> str:
    made = notation([low], high=high)
    return f"low {made.text(low)}, high {made.text(high)}"


def clear_range(measurement: Measurement, limits: Range) -> Range:
    """Return the range of values that pass and are not marginal.

    Args:
        measurement: The measurement, without expressions in `marginal`.
        limits: The range of values that pass.

    Raises:
        LimitsError: The range is empty, or each value that passes is in it.
    """
    low, high = (None if one is None else exact(one) for one in limits)
    marginal = measurement.marginal or Marginal()
    if marginal.percent is not None:
        share, width = exact(marginal.percent) / 100, None
        if low is not None and high is not None:
            width = high - low
        clear: Range = (
            None if low is None else low + share * (abs(low) if width is None else width),
            None if high is None else high - share * (abs(high) if width is None else width),
        )
    else:
        clear = marginal.low, marginal.high
    _check_clear_range(clear, limits)
    return clear


def _check_clear_range(clear: Range, limits: Range) -> None:
    low, high = clear
    for side, limit, clear_limit in zip(("low", "high"), limits, clear, strict=True):
        if clear_limit is None:
            continue
        if limit is None:
            raise LimitsError("marginal", f"it has a marginal {side}, but no {side} limit")
        between = (clear_limit, limit) if side == "low" else (limit, clear_limit)
        if not violated(between[0], None, between[1]):
            nearer = "above" if side == "low" else "below"
            made = notation([clear_limit], equals=limit)
            end, edge = made.text(clear_limit), made.text(limit)
            shown = f"marginal {side} {end} is not {nearer} its {side} {edge}"
            raise LimitsError("marginal", f"its {shown}")
    if low is not None and high is not None and violated(low, None, high):
        shown = _range_text(low, high)
        raise LimitsError("marginal", f"its marginal limits cross: {shown}")
