"""Measurements of a step, compared with their limits."""

import math
from collections.abc import Mapping
from datetime import date
from typing import Any, Final, NamedTuple

from msgspec import UNSET

from pytest_orchestrator.core import result
from pytest_orchestrator.core.figures import decisions
from pytest_orchestrator.core.figures.exact import (
    Number,
    exact,
    margins,
    nearest,
    rounded,
    violated,
)
from pytest_orchestrator.core.figures.notation import Notation, factor, figure, is_number, notation
from pytest_orchestrator.core.json_values import Json, as_floats, finite_number, kind
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Ended, Failure, Stream, known
from pytest_orchestrator.core.text import one_line, quoted
from pytest_orchestrator.execution import text_search
from pytest_orchestrator.execution.lanes.pattern_search import Searches
from pytest_orchestrator.execution.text_search import Searched, bytes_of
from pytest_orchestrator.recipe.expressions.expression import (
    AbsentError,
    ExpressionError,
    TimeoutExpressionError,
)
from pytest_orchestrator.recipe.fields.resolve import Errors
from pytest_orchestrator.recipe.model.measurements import (
    NUMERIC,
    LimitsError,
    Measurement,
    Range,
    clear_range,
    limits_of,
)
from pytest_orchestrator.recipe.model.options import Output, Search
from pytest_orchestrator.recipe.model.root_mappings import Sampling
from pytest_orchestrator.recipe.model.step import Step


class Conformity(NamedTuple):
    """Conformity of a value by its uncertainty.

    Attributes:
        uncertainty: U, with k = 2; None if it is not known.
        decision: The decision by a rule that uses U; None under simple acceptance.
        undecided: Reason why a rule that uses U gives no decision; else empty.
    """

    uncertainty: float | None
    decision: decisions.Decision | None = None
    undecided: str = ""

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a recorded measurement that it decides."""
        fields: dict[str, Any] = {"uncertainty": known(self.uncertainty)}
        if self.decision not in (None, "pass", "fail"):
            fields["decided"] = self.decision
        return fields


def conformity(entry: Measurement | Sampling, value: Number, limits: Range) -> Conformity:
    """Return the uncertainty of a value, and the decision about it.

    Args:
        entry: The measurement or sampled value, without expressions.
        value: The value, finite.
        limits: The range of values that pass under simple acceptance.
    """
    band, wrong = _expanded(entry, value)
    if entry.decision == decisions.SIMPLE or limits == (None, None):
        return Conformity(band)
    if band is None:
        return Conformity(None, undecided=wrong)
    if not decisions.can_pass(*limits, entry.decision, band):
        unit = entry.unit or ""
        near = f"no value can pass: its limits are nearer than 2U, and U is {figure(band, unit)}"
        return Conformity(band, undecided=near)
    return Conformity(band, decisions.decide(value, *limits, entry.decision, band))


def _expanded(entry: Measurement | Sampling, value: Number) -> tuple[float | None, str]:
    """Return U of a value; None with the reason if it is not known on this day."""
    squares, own, source = [], entry.uncertainty, entry.source
    if own is None and source is None:
        return None, "it has no uncertainty"
    if own is not None:
        squares.append(decisions.standard_squared(value, own.value, own.percent, own.k))
    if source is not None:
        from pytest_orchestrator.recipe.station.model import calibration_of

        overdue = calibration_of(source, date.today())  # noqa: DTZ011 - the day at the station
        if overdue:
            return None, overdue
        for unit, one in source.uncertainties.items():
            by = factor(entry.unit or "", unit)
            if by is not None:
                part = None if one.value is None else exact(one.value) / by
                squares.append(decisions.standard_squared(value, part, one.percent, one.k))
                break
        else:
            if source.uncertainties and entry.unit:
                known = ", ".join(source.uncertainties)
                return None, f"'{source.name}' has an uncertainty in {known}, not in {entry.unit}"
    band = decisions.expanded(squares)
    if not band or not math.isfinite(band):
        return None, "its uncertainty is no positive number"
    return band, ""


def unmet(found: Conformity, value: Number, limits: Range, made: Notation) -> str | None:
    """Return why a value does not meet its limits under a rule that uses U; None if it does.

    Args:
        found: The decision.
        value: The value.
        limits: The limits.
        made: Their notation.
    """
    if found.undecided:
        return f"was not decided: {found.undecided}"
    band = found.uncertainty
    if found.decision in decisions.MEETS or band is None:
        return None
    is_low = nearest(value, *limits) == "low"
    limit, word = limits[not is_low] or 0, "min" if is_low else "max"
    is_inside = found.decision == decisions.NOT_ACCEPTED
    shown = f"{word} {made.with_unit(limit) if is_inside else made.beyond(value, limit)}"
    return (
        f"= {made.with_unit(value)}, {shown}, U = {made.finer(band).with_unit(band)}: "
        f"{found.decision}"
    )


Taken = tuple[result.Measurement, result.Verdict | None]
"""A measurement and its verdict; None for an unmet one with `allow_fail`, which fails no step."""


def take_measurements(
    step: Step, names: Mapping[str, Any], errors: Errors, searches: Searches | None = None
) -> tuple[Taken, ...]:
    """Evaluate the measurements of a step after its step code, and compare them with their limits.

    Args:
        step: The step, with the values of the expressions in its limits.
        names: The variables of expressions.
        errors: The errors of expressions in limits, by ``("measurements", name)``.
        searches: Searches patterns within the timeout of the step; None sets no limit.

    Returns:
        The measurements and their verdicts, in the order of the recipe.

    Raises:
        SearchTimeout: The timeout of the step passed during the search of a pattern.
        SearchInterrupted: The step was cancelled during the search of a pattern.
    """
    search = searches or Searches()
    return tuple(
        _measured(name, measurement, names, errors.get(("measurements", name)), search)
        for name, measurement in step.measurements.items()
    )


def _measured(
    name: str,
    measurement: Measurement,
    names: Mapping[str, Any],
    error: ExpressionError | None,
    searches: Searches,
) -> Taken:
    try:
        if error is not None:
            raise error
        value, absent = _value(measurement, names)
        limits, clear = _limits_and_clear_range(measurement)
    except TimeoutExpressionError:
        raise
    except ExpressionError as cause:
        place = cause.place or measurement.at["value"]
        unset = result.Measurement(
            name=name,
            unit=known(measurement.unit),
            verdict="unset",
            line=place.line,
            **_described(measurement),
        )
        reason = f"was not measured: {one_line(str(cause))}"
        return unset, _verdict(unset, place, reason, errs=True)
    found = None if absent else _conformity(measurement, value, limits)
    decided: tuple[str, str | None, Number | None]
    decided = "value", f"was not measured: {one_line(absent)}", None
    key, unmet, distance = decided if absent else _evaluated(measurement, value, limits, found)
    if unmet is None and measurement.matches is not None:
        key, unmet = "matches", _unmatched(measurement, measurement.matches, value, searches)
    # A mean and a chart cannot represent an integer without a float.
    is_number = isinstance(value, int) and not isinstance(value, bool)
    shown = str(value) if is_number and finite_number(value) is None else as_floats(value)
    low, high, clear_low, clear_high = (
        UNSET if one is None else rounded(one) for one in (*limits, *clear)
    )
    place = measurement.at.get(key if unmet else "", measurement.at[""])
    taken = result.Measurement(
        name=name,
        value=known(shown),
        unit=known(measurement.unit),
        low=low,
        high=high,
        equals=known(as_floats(measurement.equals)),
        matches=known(measurement.matches),
        margin=UNSET if distance is None else known(finite_number(rounded(distance))),
        marginal_low=clear_low,
        marginal_high=clear_high,
        marginal=(unmet is None and bool(violated(value, *clear))) or UNSET,
        precision=known(measurement.precision),
        verdict="unset" if absent or (found and found.undecided) else "fail" if unmet else "pass",
        line=place.line,
        **_described(measurement, found),
    )
    return taken, _verdict(taken, place, unmet)


def _described(measurement: Measurement, found: "Conformity | None" = None) -> dict[str, Any]:
    """Return the fields of a result that its limits do not decide."""
    fields: dict[str, Any] = {"allow_fail": measurement.allow_fail or UNSET}
    if measurement.decision != "simple":
        fields["rule"] = measurement.decision
    fields |= found.fields if found is not None else {}
    for key in ("instrument", "ambient"):
        fields[key] = getattr(measurement, key) or UNSET
    return fields


def _conformity(measurement: Measurement, value: Any, limits: Range) -> "Conformity | None":
    """Return what the uncertainty of a number says of it; None if the measurement has none."""
    if measurement.uncertainty is None and measurement.source is None:
        return None
    if not is_number(value):
        return None
    return conformity(measurement, value, limits)


def _verdict(
    taken: result.Measurement, place: Place, unmet: str | None, *, errs: bool = False
) -> result.Verdict | None:
    if unmet and taken.allow_fail:
        return None
    return result.Verdict(
        name=taken.name, expected=None, place=place, unmet=unmet, is_measurement=True, errs=errs
    )


def _unmatched(
    measurement: Measurement, pattern: str, value: Any, searches: Searches
) -> str | None:
    """Return None if the pattern of a measurement matches its value, else the failure reason."""
    if not isinstance(value, str):
        return f"is {kind(value)}, and a text is needed for 'matches'"
    source = bytes_of(value.encode("utf-8", "surrogateescape"), name="the value")
    if searches.first(pattern, source, "matches", measurement.at["matches"]) is not None:
        return None
    return f"= {quoted(value)}, which {quoted(pattern)} does not match"


def _value(measurement: Measurement, names: Mapping[str, Any]) -> tuple[Any, str]:
    """Evaluate a measurement; return its value, or None and the reason why it has none."""
    try:
        value = measurement.value.evaluate_raw(names)
    except AbsentError as error:
        return None, str(error)
    if isinstance(value, float) and math.isinf(value):
        return None, "its value is infinite"
    is_absent = value is None or (isinstance(value, float) and math.isnan(value))
    return (None, "there is no value") if is_absent else (value, "")


def _limits_and_clear_range(measurement: Measurement) -> tuple[Range, Range]:
    """Return the range of values that pass, and the range in it that is not marginal.

    Raises:
        ExpressionError: No value can meet the limits, or none can be marginal.
    """
    try:
        limits = limits_of(measurement)
        is_clear = measurement.marginal is None
        return limits, (None, None) if is_clear else clear_range(measurement, limits)
    except LimitsError as error:
        place = measurement.at.get(error.key) or measurement.at[""]
        raise ExpressionError(str(error), place) from None


_NUMBERS: Final = {
    "stdout": " (write `stdout | float`)",
    "result": (
        " (write `result.NAME`; "
        "if the step prints only a number, `stdout | float` or `parse: data`)"
    ),
}
"""Values that are no number, each with the cure."""


def _evaluated(
    measurement: Measurement, value: Any, limits: Range, found: "Conformity | None" = None
) -> tuple[str, str | None, Number | None]:
    """Return the recipe key that decides the verdict, the failure reason, and the margin.

    The key is empty and the reason is None if the limits are met. The margin is the distance to the
    nearest limit, negative beyond a limit; None if no number is compared with a limit.
    """
    if "equals" in measurement.at and not _same(value, measurement.equals):
        made = _notation(value, measurement, equals=measurement.equals)
        shown, expected = (_shown(each, measurement, made) for each in (value, measurement.equals))
        return "equals", f"= {shown}, expected {expected}", None
    if limits == (None, None):
        return "", None, None
    if isinstance(value, bool) or not isinstance(value, int | float):
        key = next(key for key in NUMERIC if key in measurement.at)
        cure = _NUMBERS.get(measurement.value.text.strip(), "")
        return key, f"is {kind(value)}, and a number is needed for its limit{cure}", None
    side = violated(value, *limits)
    if found is not None and measurement.decision != "simple":
        key = _missed(measurement, value, limits, nearest(value, *limits))[0]
        made = _notation(value, measurement, low=limits[0], high=limits[1])
        distance = min(margins(value, *limits))
        return key, unmet(found, value, limits, made), distance
    return (*_missed(measurement, value, limits, side), min(margins(value, *limits)))


def _missed(
    measurement: Measurement, value: float, limits: Range, side: str
) -> tuple[str, str | None]:
    """Return the recipe key of a limit that a value violates, and the failure reason."""
    limit = limits[0] if side == "low" else limits[1]
    if not side or limit is None:
        return "", None
    own: float | None = getattr(measurement, side)
    around = "within" if measurement.within is not None else "nominal"
    key = side if own is not None and exact(own) == exact(limit) else around
    word = "min" if side == "low" else "max"
    made = _notation(value, measurement, low=limits[0], high=limits[1])
    return key, f"= {made.with_unit(value)}, {word} {made.beyond(value, limit)}"


def _notation(value: Any, measurement: Measurement, **limits: Any) -> Notation:
    unit, precision = measurement.unit or "", measurement.precision
    return notation([value], unit=unit, precision=precision, **limits)


def _same(value: Any, wanted: Json) -> bool:
    """Return True if two values are equal; unlike in Python, False does not equal 0."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, int | float) and not isinstance(wanted, str | list | dict | None):
        return exact(value) == exact(wanted)
    return bool(value == wanted)


def _shown(value: Any, measurement: Measurement, made: Notation) -> str:
    if is_number(value):
        return made.with_unit(value)
    if isinstance(value, bool):
        text = "true" if value else "false"
    else:
        text = str(value) if isinstance(value, float) else repr(value)
    return f"{text} {measurement.unit}" if measurement.unit else text


def outputs_of(
    step: Step, ended: Ended, limit: int, searches: Searches
) -> dict[str, Json] | Failure:
    """Return the values of a step's `outputs` by their Context keys, or a failure.

    Args:
        step: The step, with the values of the expressions in its outputs.
        ended: The end of its step code, with the streams to search.
        limit: The number of bytes of a stream up to which masked secrets are restored.
        searches: Runs the pattern searches.

    Returns:
        All outputs, or the failure of the first one that has no value, or one of the wrong type.

    Raises:
        ExpressionError: The value of an expression in a `default` has the wrong type.
    """
    values: dict[str, Json] = {}
    streams: dict[str, Searched] = {}
    for one in step.outputs:
        value = one.value
        if isinstance(value, Search):
            name = value.from_
            if name not in streams:
                stream = getattr(ended.process, name, Stream())
                streams[name] = text_search.unmasked(stream, name, limit)
            value = _searched(one, value, streams[name], searches)
        if isinstance(value, Failure):
            return value
        values[one.key] = value
    return values


def _searched(one: Output, search: Search, where: Searched, searches: Searches) -> Any:
    match = searches.first(search.regex, where, f"outputs.{one.key}", search.at["regex"])
    is_text = search.type == "text"
    if match is not None and (match.value is not None or is_text):
        hit = match.value
        text = hit and hit.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return text if is_text else _typed(one, search, str(text))
    if "default" in search.at:
        return search.default if is_text else _typed_default(one, search)
    nothing = f"nothing in {search.from_} matches" if match is None else "no text in the group of"
    lost = f"; {where.lost:,} bytes of it were not kept" if where.lost else ""
    return Failure(
        kind="criterion",
        reason=f"outputs.{one.key}: {nothing} {search.regex!r}{lost}",
        place=search.at["regex"],
    )


def _typed(one: Output, search: Search, text: str) -> Json | Failure:
    """Return a text from the output of the step, converted to the type of the output."""
    from pytest_orchestrator.recipe.model.options import typed_output

    try:
        return typed_output(search.type, text)
    except ValueError as error:
        reason = f"outputs.{one.key}: {quoted(text)} in {search.from_} {error}"
        return Failure(kind="criterion", reason=reason, place=search.at["type"])


def _typed_default(one: Output, search: Search) -> Json:
    from pytest_orchestrator.recipe.model.options import checked_output

    try:
        return checked_output(search.type, search.default)
    except ValueError as error:
        raise ExpressionError(
            f"'outputs.{one.key}.default' {error}", search.at["default"]
        ) from None
