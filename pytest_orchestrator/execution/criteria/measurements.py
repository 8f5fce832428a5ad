"""Measurements of a step, compared with their limits."""

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
    """Evaluate the measurements of a step after its step code, and compare them with their limits.

    Args:
        step: The step, with the values of the expressions in its limits.
        names: The variables of expressions.
        errors: The errors of expressions in limits, by ``("measurements", name)``.

    Returns:
        The measurements with their verdicts, in the order of the recipe.
    """
    return tuple(
        _measured(name, measurement, names, errors.get(("measurements", name)))
        for name, measurement in step.measurements.items()
    )


def measurement_verdicts(measured: tuple[Measured, ...]) -> tuple[Verdict, ...]:
    """Return measurements as `Verdict` objects; omit unmet measurements with `allow_fail`."""
    return tuple(
        Verdict(
            name=one.name,
            expected=_limits(one),
            place=one.place,
            measured=one.value,
            unmet=one.unmet,
            is_measurement=True,
            errs=one.errs,
        )
        for one in measured
        if not (one.unmet and one.allow_fail)  # recorded, but fails no step
    )


def _measured(
    name: str, measurement: Measurement, names: Mapping[str, Any], error: ExpressionError | None
) -> Measured:
    try:
        if error is not None:
            raise error
        value = _value(measurement, names)
        low, high = _range(measurement)
    except TimeoutExpressionError:
        raise
    except ExpressionError as cause:
        return Measured(
            name=name,
            place=cause.place or measurement.at["value"],
            unit=measurement.unit,
            verdict="unset",
            unmet=f"was not measured: {one_line(str(cause))}",
            allow_fail=measurement.allow_fail,
            errs=True,
        )
    key, unmet, margin = _evaluated(measurement, value, low, high)
    unset = value is None
    # Infinity is beyond each limit, and JSON cannot represent it.
    shown = str(value) if isinstance(value, float) and math.isinf(value) else value
    return Measured(
        name=name,
        place=measurement.at.get(key, measurement.at[""]),
        value=shown,
        unit=measurement.unit,
        low=low,
        high=high,
        equals=measurement.equals if "equals" in measurement.at else None,
        margin=margin if margin is not None and math.isfinite(margin) else None,
        verdict="unset" if unset else "fail" if unmet else "pass",
        unmet=unmet,
        allow_fail=measurement.allow_fail,
    )


def _value(measurement: Measurement, names: Mapping[str, Any]) -> Any:
    """Evaluate a measurement; return None if its value is absent or NaN."""
    try:
        value = measurement.value.evaluate_raw(names)
    except AbsentError:
        return None
    return None if isinstance(value, float) and math.isnan(value) else value


def _range(measurement: Measurement) -> tuple[float | None, float | None]:
    """Return the lowest and the highest allowed value (None: no limit), narrowed by ``within``.

    Raises:
        ExpressionError: The low limit is above the high limit, so no value can meet both.
    """
    low, high = measurement.low, measurement.high
    if measurement.within is not None:
        width = abs(measurement.within.of) * measurement.within.percent / 100
        low = (
            measurement.within.of - width
            if low is None
            else max(low, measurement.within.of - width)
        )
        high = (
            measurement.within.of + width
            if high is None
            else min(high, measurement.within.of + width)
        )
    if low is not None and high is not None and low > high:
        crossed = f"its limits cross: low {_number(low)}, high {_number(high)}"
        raise ExpressionError(crossed, measurement.at.get("low") or measurement.at.get("high"))
    return low, high


def _evaluated(
    measurement: Measurement, value: Any, low: float | None, high: float | None
) -> tuple[str, str | None, float | None]:
    """Return the recipe key that decides the verdict, the failure reason, and the margin.

    The key is empty and the reason is None if the limits are met. The margin is the distance to the
    nearest limit, negative beyond a limit; None if no number is compared with a limit.
    """
    if value is None:
        return "value", "was not measured: there is no value", None
    if "equals" in measurement.at and not _same(value, measurement.equals):
        shown, expected = (_shown(each, measurement.unit) for each in (value, measurement.equals))
        return "equals", f"= {shown}, expected {expected}", None
    if low is None and high is None:
        return "", None, None
    if isinstance(value, bool) or not isinstance(value, int | float):
        key = next(key for key in ("low", "high", "within") if key in measurement.at)
        return key, f"is {kind(value)}, and a number is needed for its limit", None
    sides = list(_sides(measurement, float(value), low, high))
    margin = min(each[0] for each in sides)
    for distance, side, limit, word in sides:
        if distance < 0:
            shown = f"= {_shown(value, measurement.unit)}, {word} {_shown(limit, measurement.unit)}"
            return side, f"{shown} ({_over(-distance, limit, word, measurement.unit)})", margin
    return "", None, margin


def _sides(
    measurement: Measurement, value: float, low: float | None, high: float | None
) -> Iterator[tuple[float, str, float, str]]:
    if low is not None:
        yield value - low, "low" if measurement.low == low else "within", low, "low"
    if high is not None:
        yield high - value, "high" if measurement.high == high else "within", high, "high"


def _over(distance: float, limit: float, word: str, unit: str | None) -> str:
    share = f", {_number(float(f'{100 * distance / abs(limit):.3g}'))} %" if limit else ""
    side = "under" if word == "low" else "over"
    return f"{side} by {_shown(distance, unit)}{share}"


def _same(value: Any, wanted: Json) -> bool:
    """Return True if two values are equal; unlike in Python, False does not equal 0."""
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
