"""Keys of measurements: limits, uncertainty and decision rule."""

from __future__ import annotations  # few recipes have these keys: read at their first use

from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import Annotated, Literal, TypeAlias

from msgspec import Struct, field

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
