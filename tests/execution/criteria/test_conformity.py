"""Decisions about measured values by their uncertainty and the calibration of the instrument."""

from datetime import date
from typing import Any

import pytest

from pytest_orchestrator.core.figures.decisions import Decision
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.execution.criteria.measurements import Conformity, conformity
from pytest_orchestrator.recipe.expressions.expression import bare
from pytest_orchestrator.recipe.model.measurements import Measurement, Source, Uncertainty


def entry(**keys: Any) -> Measurement:
    return Measurement(value=bare("1", Place(1, 1)), **keys)


@pytest.mark.parametrize(
    ("rule", "decision"),
    [
        ("simple", None),
        ("guarded", "not accepted (inside the limit)"),
        ("nonbinary", "conditional pass"),
    ],
)
def test_a_value_is_decided_by_its_rule(rule: Any, decision: Decision | None) -> None:
    one = entry(decision=rule, uncertainty=Uncertainty(value=0.004))
    assert conformity(one, 2.549, (None, 2.55)) == Conformity(0.004, decision)


def test_the_uncertainty_of_the_instrument_is_added_in_its_unit() -> None:
    source = Source(name="dmm", uncertainties={"V": Uncertainty(value=0.004)})
    one = entry(unit="mV", source=source, uncertainty=Uncertainty(value=3))
    assert conformity(one, 2549, (None, 2550)).uncertainty == 5.0


@pytest.mark.parametrize(("rule", "undecided"), [("simple", False), ("guarded", True)])
def test_an_uncertainty_out_of_calibration_is_not_known(rule: Any, undecided: bool) -> None:
    source = Source(name="dmm", uncertainties={"V": Uncertainty(value=1)}, due=date(2020, 1, 1))
    found = conformity(entry(unit="V", source=source, decision=rule), 1, (None, 9))
    assert (found.uncertainty, found.decision) == (None, None)
    assert ("was due on 2020-01-01" in found.undecided) == undecided


def test_limits_nearer_than_two_uncertainties_decide_nothing() -> None:
    one = entry(decision="guarded", uncertainty=Uncertainty(percent=50), unit="V")
    assert conformity(one, 2, (1, 2)).undecided.startswith("no value can pass")
