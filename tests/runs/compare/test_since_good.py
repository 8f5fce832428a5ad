"""Changes of a recipe since the last run in which it passed."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_orchestrator.runs.compare import since_good
from pytest_orchestrator.runs.compare.since_good import Change, changes, deviations, last_good
from pytest_orchestrator.runs.history.drift import ENOUGH, Value, find_drift
from pytest_orchestrator.runs.history.model import PastMeasurement, PastRecipe, PastRun, PastStep

RUN = PastRun(id="r", state="finished", verdict="passed", host="a", environment={"python": "3.11"})


def recipe(verdict: Any = "passed", **fields: Any) -> PastRecipe:
    return PastRecipe(key="k", path="k.yaml", name="k", verdict=verdict, **fields)


def test_the_last_good_run_passed_with_at_least_as_many_steps() -> None:
    part, whole = recipe(selected=1), recipe(selected=3)
    runs = [(RUN, one) for one in (recipe("failed", selected=3), part, whole)]

    assert last_good(recipe("failed", selected=3), runs) == (RUN, whole)
    assert last_good(recipe("failed", selected=1), runs) == (RUN, part)
    assert last_good(recipe("failed", selected=4), runs) is None


def test_changes_are_those_of_recipe_files_vars_unit_and_machine() -> None:
    a = recipe(
        digest="1",
        digests={"a.py": "1", "gone.sh": "2"},
        vars={"gain": 1, "same": [1]},
        test_meta={"dut": {"serial": "A17"}},
        selected=3,
    )
    b = recipe(
        digest="2",
        digests={"a.py": "3"},
        vars={"gain": 2, "same": [1]},
        test_meta={"dut": {"serial": "A18"}},
        selected=2,
    )
    later = {"python": "3.12", "plugins": {"pytest-xdist": "3.8"}}
    run = PastRun(id="s", state="finished", verdict="failed", host="b", environment=later)

    assert [*changes((RUN, a), (run, b))] == [
        Change("recipe", "k.yaml", "1", "2"),
        Change("file", "a.py", "1", "3"),
        Change("file", "gone.sh", "2", None),
        Change("var", "gain", 1, 2),
        Change("test_meta", "dut.serial", "A17", "A18"),
        Change("environment", "host", "a", "b"),
        Change("environment", "python", "3.11", "3.12"),
        Change("environment", "plugins.pytest-xdist", None, "3.8"),
        Change("selection", "", 3, 2),
    ]
    assert [*changes((RUN, a), (RUN, a))] == []


def step(level: float, seconds: float = 1.0) -> PastStep:
    limits = {"low": 0.0, "high": 10.0}
    fields: dict[str, Any] = {"unit": "V", "precision": 3, "verdict": "pass", "line": 1, **limits}
    one = PastMeasurement(name="level", value=level, **fields)
    return PastStep(name="s", state="passed", seconds=seconds, measurements=(one,))


def test_figures_out_of_the_usual_are_compared_with_runs_that_passed() -> None:
    earlier = [(RUN, recipe(steps=(step(level),))) for level in (5.0, 5.1, 4.9) * 3]
    bad = (RUN, recipe("failed", steps=(step(99.0, 99.0),)))
    now = recipe("failed", steps=(step(2.0, 7.0), PastStep(name="other", state="blocked")))

    found = [*deviations(now, [bad, *earlier])]

    assert [(one.step, one.figure, one.unit, one.precision) for one in found] == [
        ("s", "seconds", "s", None),
        ("s", "level", "V", 3),
    ]
    assert [(one.drift.value, one.drift.baseline.median) for one in found] == [(7, 1), (2, 5)]
    assert [*deviations(now, [bad, *earlier[:2]])] == []
    assert [*deviations(recipe(steps=(step(5.0),)), earlier)] == []


VALUES = st.floats(-50, 50) | st.integers(-3, 3)


@settings(max_examples=300, deadline=None)
@example(0.35, [0.1] * ENOUGH)
@given(VALUES, st.lists(VALUES, min_size=ENOUGH, max_size=6))
def test_each_drift_passes_the_fast_check(value: float, values: list[float]) -> None:
    if find_drift(value, values, what="seconds") is not None:
        assert since_good._may_drift(value, [*map(Value, values)], "seconds")  # noqa: SLF001
