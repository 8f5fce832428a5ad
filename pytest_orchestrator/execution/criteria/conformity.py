"""Uncertainty of a measured value, and the decision by the rule of its measurement.

A recipe whose measurements have neither an uncertainty nor an instrument does not import this.
"""

import math
from datetime import date
from typing import Any, NamedTuple

from pytest_orchestrator.core.figures import decisions
from pytest_orchestrator.core.figures.exact import Number, exact, nearest
from pytest_orchestrator.core.figures.notation import Notation, factor, figure
from pytest_orchestrator.core.result import known
from pytest_orchestrator.recipe.model.limits import Range
from pytest_orchestrator.recipe.model.measurements import Measurement
from pytest_orchestrator.recipe.model.root_mappings import Sampling
from pytest_orchestrator.recipe.station.model import calibration_of


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
