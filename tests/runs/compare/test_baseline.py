"""Baseline verdicts: figures of a step as success criteria."""

from __future__ import annotations

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Ended, Measurement, Resources, lasted
from pytest_orchestrator.runs.block import plain
from pytest_orchestrator.runs.compare.history import baseline_verdicts, figures_of_attempt
from pytest_orchestrator.runs.history.drift import Limits, Value
from pytest_orchestrator.runs.history.model import usage_in
from tests.blocks import parsed

PLACE = Place(3, 5)


def values(*numbers: float, limits: Limits | None = None, unit: str = "") -> list[Value]:
    return [Value(number, unit, limits) for number in numbers]


def test_each_figure_is_compared_with_its_own_baseline() -> None:
    limits = (10.0, 90.0)
    earlier = {
        "seconds": values(1.0, 1.1, 0.9, unit="s"),
        "max_rss": values(*[50e6] * 3, unit="bytes"),
        "measurements.ripple": values(*[40.0] * 7, limits=limits, unit="mV"),
        "cpu_seconds": values(0.1, 0.1, unit="s"),
    }
    figures = {
        "seconds": Value(3.0, "s"),
        "cpu_seconds": Value(9.0, "s"),
        "max_rss": Value(130e6, "bytes"),
        "measurements.ripple": Value(19.0, "mV", limits),
        "measurements.new": Value(1.0, "", limits),
    }
    verdicts = {one.name: one for one in baseline_verdicts(figures, earlier, 2.0, PLACE)}

    assert {name: one.unmet for name, one in verdicts.items()} == {
        "compare.seconds": (
            "3 s is 3 times the median of the last 3 passing runs, 1 s; at most 2 s"
        ),
        "compare.max_rss": (
            "130 MB is 2.6 times the median of the last 3 passing runs, 50 MB; at most 100 MB"
        ),
        "compare.ripple": (
            "19 mV is 26.2 % of the range from the median of the last 7 passing runs, 40 mV; "
            "at least 32 mV"
        ),
    }
    assert (verdicts["compare.seconds"].distance, verdicts["compare.seconds"].place) == (1.0, PLACE)
    required = baseline_verdicts(figures, earlier, 2.0, PLACE, required=True)
    assert {one.name: one.unmet for one in required if one.unmet and "nothing" in one.unmet} == {
        "compare.cpu_seconds": "nothing compared, 2 of 3 runs",
        "compare.new": "nothing compared, 0 of 7 runs",
    }


def test_a_figure_within_its_baseline_passes() -> None:
    past = values(*[1.0] * 5, unit="s")
    (one,) = baseline_verdicts({"seconds": Value(1.2, "s")}, {"seconds": past}, 2.0, PLACE)

    assert (one.unmet, one.measured, one.unit) == (None, 1.2, "s")


def test_figures_of_an_attempt_are_the_measured_ones() -> None:
    usage = Resources(
        seconds=1.0, cpu_user_seconds=0.25, cpu_system_seconds=0.5, max_rss=10, source={}
    )
    measured = [
        Measurement(name="ripple", line=1, value=1.5, verdict="pass"),
        Measurement(name="good", line=1, value=True, verdict="pass"),
        Measurement(name="none", line=1, verdict="unset"),
    ]
    assert figures_of_attempt(Ended(usage=usage), measured) == {
        "seconds": Value(1.0, "s"),
        "cpu_seconds": Value(0.75, "s"),
        "max_rss": Value(10, "bytes"),
        "measurements.ripple": Value(1.5, "", (None, None)),
    }
    assert figures_of_attempt(Ended(usage=lasted(1.0)), []) == {"seconds": Value(1.0, "s")}


def test_a_memory_peak_that_is_an_upper_bound_is_not_compared() -> None:
    source = {"memory": "wait4, an upper bound"}
    usage = Resources(seconds=1.0, max_rss=10, source=source)
    assert figures_of_attempt(Ended(usage=usage), []) == {"seconds": Value(1.0, "s")}
    assert usage_in(parsed({"resources": plain(usage)})) == {"seconds": 1.0}
