"""Measurements of a step, compared with their limits."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_orchestrator.core.json_values import Json, kind
from pytest_orchestrator.core.result import Measured, Verdict
from pytest_orchestrator.core.text import figure, one_line, quoted
from pytest_orchestrator.execution.lanes.pattern_search import Query, Searches
from pytest_orchestrator.execution.text_search import bytes_of
from pytest_orchestrator.recipe.expressions.expression import (
    AbsentError,
    ExpressionError,
    TimeoutExpressionError,
)
from pytest_orchestrator.recipe.fields.resolve import Errors
from pytest_orchestrator.recipe.model.limits import (
    NUMERIC,
    LimitsError,
    Range,
    clear_range,
    limits_of,
)
from pytest_orchestrator.recipe.model.options import Measurement
from pytest_orchestrator.recipe.model.step import Step


def take_measurements(
    step: Step, names: Mapping[str, Any], errors: Errors, searches: Searches | None = None
) -> tuple[Measured, ...]:
    """Evaluate the measurements of a step after its step code, and compare them with their limits.

    Args:
        step: The step, with the values of the expressions in its limits.
        names: The variables of expressions.
        errors: The errors of expressions in limits, by ``("measurements", name)``.
        searches: Searches patterns within the timeout of the step; None sets no limit.

    Returns:
        The measurements with their verdicts, in the order of the recipe.

    Raises:
        SearchTimeout: The timeout of the step passed during the search of a pattern.
        SearchInterrupted: The step was cancelled during the search of a pattern.
    """
    search = searches or Searches()
    return tuple(
        _measured(name, measurement, names, errors.get(("measurements", name)), search)
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
    name: str,
    measurement: Measurement,
    names: Mapping[str, Any],
    error: ExpressionError | None,
    searches: Searches,
) -> Measured:
    try:
        if error is not None:
            raise error
        value = _value(measurement, names)
        limits, clear = _limits_and_clear_range(measurement)
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
    key, unmet, margin = _evaluated(measurement, value, limits)
    if unmet is None and measurement.matches is not None:
        key, unmet = "matches", _unmatched(measurement, measurement.matches, value, searches)
    unset = value is None
    # Infinity is beyond each limit, and JSON cannot represent it; a mean and a chart cannot
    # represent an integer without a float.
    is_number = isinstance(value, int | float)
    shown = str(value) if is_number and math.isinf(_float(value)) else value
    return Measured(
        name=name,
        place=measurement.at.get(key if unmet else "", measurement.at[""]),
        value=shown,
        unit=measurement.unit,
        low=limits[0],
        high=limits[1],
        equals=measurement.equals if "equals" in measurement.at else None,
        matches=measurement.matches,
        margin=margin if margin is not None and math.isfinite(margin) else None,
        marginal_low=clear[0],
        marginal_high=clear[1],
        is_marginal=unmet is None and margin is not None and _is_outside(value, clear),
        precision=measurement.precision,
        verdict="unset" if unset else "fail" if unmet else "pass",
        unmet=unmet,
        allow_fail=measurement.allow_fail,
    )


def _float(value: float) -> float:
    """Return a number as a float; infinity for an integer of more than 308 digits."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _is_outside(value: float, limits: Range) -> bool:
    low, high = limits
    return (low is not None and value < low) or (high is not None and value > high)


def _unmatched(
    measurement: Measurement, pattern: str, value: Any, searches: Searches
) -> str | None:
    """Return None if the pattern of a measurement matches its value, else the failure reason."""
    if not isinstance(value, str):
        return f"is {kind(value)}, and a text is needed for 'matches'"
    source = bytes_of(value.encode("utf-8", "surrogateescape"), name="the value")
    if searches.first(Query(source, pattern, "matches", measurement.at["matches"])) is not None:
        return None
    return f"= {quoted(value)}, which {quoted(pattern)} does not match"


def _value(measurement: Measurement, names: Mapping[str, Any]) -> Any:
    """Evaluate a measurement; return None if its value is absent or NaN."""
    try:
        value = measurement.value.evaluate_raw(names)
    except AbsentError:
        return None
    return None if isinstance(value, float) and math.isnan(value) else value


def _limits_and_clear_range(measurement: Measurement) -> tuple[Range, Range]:
    """Return the range of values that pass, and the range in it that is not marginal.

    Raises:
        ExpressionError: No value can meet the limits, or none can be marginal.
    """
    try:
        limits = limits_of(measurement)
        marginal = measurement.marginal
        return limits, (None, None) if marginal is None else clear_range(marginal, limits)
    except LimitsError as error:
        place = measurement.at.get(error.key) or measurement.at[""]
        raise ExpressionError(str(error), place) from None


def _evaluated(
    measurement: Measurement, value: Any, limits: Range
) -> tuple[str, str | None, float | None]:
    """Return the recipe key that decides the verdict, the failure reason, and the margin.

    The key is empty and the reason is None if the limits are met. The margin is the distance to the
    nearest limit, negative beyond a limit; None if no number is compared with a limit.
    """
    if value is None:
        return "value", "was not measured: there is no value", None
    if "equals" in measurement.at and not _same(value, measurement.equals):
        shown, expected = (_shown(each, measurement) for each in (value, measurement.equals))
        return "equals", f"= {shown}, expected {expected}", None
    if limits == (None, None):
        return "", None, None
    if isinstance(value, bool) or not isinstance(value, int | float):
        key = next(key for key in NUMERIC if key in measurement.at)
        return key, f"is {kind(value)}, and a number is needed for its limit", None
    sides = list(_sides(measurement, _float(value), *limits))
    margin = min(each[0] for each in sides)
    for distance, side, limit, word in sides:
        if distance < 0:
            shown = f"= {_shown(value, measurement)}, {word} {_shown(limit, measurement)}"
            return side, f"{shown} ({_beyond(-distance, limit, word, measurement)})", margin
    return "", None, margin


def _sides(
    measurement: Measurement, value: float, low: float | None, high: float | None
) -> Iterator[tuple[float, str, float, str]]:
    around = "within" if measurement.within is not None else "nominal"
    if low is not None:
        yield value - low, "low" if measurement.low == low else around, low, "min"
    if high is not None:
        yield high - value, "high" if measurement.high == high else around, high, "max"


def _beyond(distance: float, limit: float, word: str, measurement: Measurement) -> str:
    share = f", {float(f'{100 * distance / abs(limit):.3g}'):.6g} %" if limit else ""
    side = "below" if word == "min" else "above"
    return f"{_shown(distance, measurement)} {side}{share}"


def _same(value: Any, wanted: Json) -> bool:
    """Return True if two values are equal; unlike in Python, False does not equal 0."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return bool(value == wanted)


def _shown(value: Any, measurement: Measurement) -> str:
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, int | float):
        text = figure(value, measurement.precision)
    else:
        text = repr(value)
    return f"{text} {measurement.unit}" if measurement.unit else text


def _limits(one: Measured) -> Json:
    limits = {"low": one.low, "high": one.high, "equals": one.equals, "matches": one.matches}
    return {name: value for name, value in limits.items() if value is not None}
