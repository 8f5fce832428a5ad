"""Measurements of a step against their limits."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_orchestrator.core.json_values import Json, kind
from pytest_orchestrator.core.result import Measured, Verdict
from pytest_orchestrator.core.text import one_line
from pytest_orchestrator.recipe.expressions.expression import (
    AbsentError,
    ExpressionError,
    TimeoutExpressionError,
)
from pytest_orchestrator.recipe.fields.resolve import Errors
from pytest_orchestrator.recipe.model.options import Measurement
from pytest_orchestrator.recipe.model.step import Step


def take_measurements(step: Step, names: Mapping[str, Any], errors: Errors) -> tuple[Measured, ...]:
    """Take the measurements of a step whose body did as wanted.

    Args:
        step: The step, with the values of the expressions in its limits.
        names: What the names of expressions mean.
        errors: Why expressions in limits have no value.

    Returns:
        Each with its verdict, in the order of the recipe.
    """
    return tuple(
        _one(name, one, names, errors.get(("measurements", name)))
        for name, one in step.measurements.items()
    )


def measurement_verdicts(measured: tuple[Measured, ...]) -> tuple[Verdict, ...]:
    """Return measurements as criteria, for what lists all that does not hold."""
    return tuple(
        Verdict(
            name=one.name,
            wanted=_limits(one),
            place=one.place,
            measured=one.value,
            unmet=one.unmet,
            is_measurement=True,
            errs=one.errs,
        )
        for one in measured
        if not (one.unmet and one.allow_fail)  # it is recorded, and holds nothing up
    )


def _one(
    name: str, one: Measurement, names: Mapping[str, Any], error: ExpressionError | None
) -> Measured:
    try:
        if error is not None:
            raise error
        value = _value(one, names)
        low, high = _range(one)
    except TimeoutExpressionError:
        raise
    except ExpressionError as wrong:
        return Measured(
            name=name,
            place=wrong.place or one.at["value"],
            unit=one.unit,
            verdict="unset",
            unmet=f"was not measured: {one_line(str(wrong))}",
            allow_fail=one.allow_fail,
            errs=True,
        )
    key, unmet, margin = _judged(one, value, low, high)
    unset = value is None
    # Infinity is a value that misses its limit, and none that JSON has.
    shown = str(value) if isinstance(value, float) and math.isinf(value) else value
    return Measured(
        name=name,
        place=one.at.get(key, one.at[""]),
        value=shown,
        unit=one.unit,
        low=low,
        high=high,
        equals=one.equals if "equals" in one.at else None,
        margin=margin if margin is not None and math.isfinite(margin) else None,
        verdict="unset" if unset else "fail" if unmet else "pass",
        unmet=unmet,
        allow_fail=one.allow_fail,
    )


def _value(one: Measurement, names: Mapping[str, Any]) -> Any:
    """Return what was measured; None where there is nothing, or no number."""
    try:
        value = one.value.evaluated(names)
    except AbsentError:
        return None
    return None if isinstance(value, float) and math.isnan(value) else value


def _range(one: Measurement) -> tuple[float | None, float | None]:
    """Return the lowest and the highest allowed value, narrowed by ``within``.

    Raises:
        ExpressionError: The lowest is above the highest, so no value can be within the limits.
    """
    low, high = one.low, one.high
    if one.within is not None:
        width = abs(one.within.of) * one.within.percent / 100
        low = one.within.of - width if low is None else max(low, one.within.of - width)
        high = one.within.of + width if high is None else min(high, one.within.of + width)
    if low is not None and high is not None and low > high:
        crossed = f"its limits cross: low {_number(low)}, high {_number(high)}"
        raise ExpressionError(crossed, one.at.get("low") or one.at.get("high"))
    return low, high


def _judged(
    one: Measurement, value: Any, low: float | None, high: float | None
) -> tuple[str, str | None, float | None]:
    """Return the key that decides, what is wrong, and the margin to the nearest limit."""
    if value is None:
        return "value", "was not measured: there is no value", None
    if "equals" in one.at and not _same(value, one.equals):
        return "equals", f"= {_shown(value, one.unit)}, wanted {_shown(one.equals, one.unit)}", None
    if low is None and high is None:
        return "", None, None
    if isinstance(value, bool) or not isinstance(value, int | float):
        key = next(key for key in ("low", "high", "within") if key in one.at)
        return key, f"is {kind(value)}, and a number is needed for its limit", None
    sides = list(_sides(one, float(value), low, high))
    margin = min(each[0] for each in sides)
    for distance, side, limit, word in sides:
        if distance < 0:
            told = f"= {_shown(value, one.unit)}, {word} {_shown(limit, one.unit)}"
            return side, f"{told} ({_over(-distance, limit, word, one.unit)})", margin
    return "", None, margin


def _sides(
    one: Measurement, value: float, low: float | None, high: float | None
) -> Iterator[tuple[float, str, float, str]]:
    if low is not None:
        yield value - low, "low" if one.low == low else "within", low, "low"
    if high is not None:
        yield high - value, "high" if one.high == high else "within", high, "high"


def _over(distance: float, limit: float, word: str, unit: str | None) -> str:
    share = f", {_number(float(f'{100 * distance / abs(limit):.3g}'))} %" if limit else ""
    side = "under" if word == "low" else "over"
    return f"{side} by {_shown(distance, unit)}{share}"


def _same(value: Any, wanted: Json) -> bool:
    """Tell whether two values are equal: 1 equals 1.0, false does not equal 0."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return bool(value == wanted)


def _shown(value: Any, unit: str | None) -> str:
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, int | float):
        text = _number(value)
    else:
        text = repr(value)
    return f"{text} {unit}" if unit else text


def _number(value: float) -> str:
    return f"{value:.6g}"


def _limits(one: Measured) -> Json:
    limits = {"low": one.low, "high": one.high, "equals": one.equals}
    return {name: value for name, value in limits.items() if value is not None}
