"""Baseline verdicts: figures of a step as success criteria."""

from __future__ import annotations

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Ended, Measurement, Resources, lasted
from pytest_orchestrator.runs.block import plain
from pytest_orchestrator.runs.compare.history import baseline_verdicts, figures_of_attempt
from pytest_orchestrator.runs.history.model import usage_in
from tests.blocks import parsed

PLACE = Place(3, 5)


def test_each_figure_is_compared_with_its_own_baseline() -> None:
    earlier = {
        "seconds": [1.0, 1.1, 0.9],
        "max_rss": [50e6] * 3,
        "measurements.ripple": [40.0] * 3,
        "cpu_seconds": [0.1] * 2,
    }
    figures = {
        "seconds": 3.0,
        "cpu_seconds": 9.0,
        "max_rss": 130e6,
        "measurements.ripple": 19.0,
        "measurements.new": 1.0,
    }
    units = {"measurements.ripple": "mV"}
    verdicts = {one.name: one for one in baseline_verdicts(figures, earlier, 2.0, PLACE, units)}

    assert {name: one.unmet for name, one in verdicts.items()} == {
        "compare.seconds": (
            "3 s is 3 times the median of the last 3 passing runs, 1 s; at most 2 s"
        ),
        "compare.max_rss": (
            "130 MB is 2.6 times the median of the last 3 passing runs, 50 MB; at most 100 MB"
        ),
        "compare.ripple": (
            "19 mV is 0.475 times the median of the last 3 passing runs, 40 mV; at least 20 mV"
        ),
    }
    assert (verdicts["compare.seconds"].distance, verdicts["compare.seconds"].place) == (1.0, PLACE)


def test_a_figure_within_its_baseline_passes() -> None:
    (one,) = baseline_verdicts({"seconds": 1.2}, {"seconds": [1.0] * 5}, 2.0, PLACE)

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
        "seconds": 1.0,
        "cpu_seconds": 0.75,
        "max_rss": 10,
        "measurements.ripple": 1.5,
    }
    assert figures_of_attempt(Ended(usage=lasted(1.0)), []) == {"seconds": 1.0}


def test_a_memory_peak_that_is_an_upper_bound_is_not_compared() -> None:
    source = {"memory": "wait4, an upper bound"}
    usage = Resources(seconds=1.0, max_rss=10, source=source)
    assert figures_of_attempt(Ended(usage=usage), []) == {"seconds": 1.0}
    assert usage_in(parsed({"resources": plain(usage)})) == {"seconds": 1.0}
