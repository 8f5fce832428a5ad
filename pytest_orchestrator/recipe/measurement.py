"""The keys that a measurement of a step may have."""

from typing import Annotated

from msgspec import Struct, field

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe import rules
from pytest_orchestrator.recipe.expressions import Expression
from pytest_orchestrator.recipe.kinds import Json, Text, key
from pytest_orchestrator.recipe.names import AFTER


class Within(Struct, frozen=True, kw_only=True):
    """A range around a value, as a share of that."""

    of: Annotated[float, key("The middle of the range.", 12.0, names=AFTER, written=int | float)]
    percent: Annotated[
        float,
        key(
            "How far from it, in percent of its absolute value.",
            5,
            names=AFTER,
            written=int | float,
            rule=rules.percent,
        ),
    ]


class Measurement(Struct, frozen=True, kw_only=True):
    """A value that is recorded, and its limits.

    Attributes:
        at: Where the value of each key that was given stands; below ``""`` the measurement.
    """

    value: Annotated[
        Expression, key("An expression: what was measured.", "result.ripple_mv", names=AFTER)
    ]
    unit: Annotated[Text | None, key("The unit of value and limits.", "mV", names=AFTER)] = None
    low: Annotated[
        float | None,
        key("The smallest that is good.", 0, names=AFTER, written=int | float),
    ] = None
    high: Annotated[
        float | None,
        key("The largest that is good.", 50, names=AFTER, written=int | float),
    ] = None
    equals: Annotated[
        Json,
        key("What the value must be: a number, text, `true` or `false`.", "ready", names=AFTER),
    ] = None
    within: Annotated[
        Within | None,
        key("A range around a value.", {"of": 12.0, "percent": 5}, own=True),
    ] = None
    allow_fail: Annotated[
        bool, key("`true`: record the verdict, and let it fail nothing.", True, names=AFTER)
    ] = False

    at: dict[str, Place] = field(default_factory=dict)
