"""Types of the history store: a run is equal to the run that is read from its file."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_orchestrator.runs.history.model import (
    PastMeasurement,
    PastRecipe,
    PastRun,
    PastStep,
    by_recipe,
    decoded,
    encoded,
    joined,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBER = st.floats(allow_nan=False, allow_infinity=False, width=32) | st.integers(0, 2**53)
JSON = st.none() | st.booleans() | NUMBER | TEXT | st.lists(TEXT, max_size=2)
UNSET = st.just(msgspec.UNSET)
MAPPING: Any = st.dictionaries(TEXT, JSON, max_size=3)

MEASUREMENT = st.builds(
    PastMeasurement,
    name=TEXT,
    value=UNSET | JSON,
    unit=UNSET | TEXT,
    low=UNSET | NUMBER,
    equals=UNSET | JSON,
    verdict=st.sampled_from(["pass", "fail", "unset"]),
    marginal=UNSET | st.just(True),
    line=st.integers(1, 9),
    element=st.none() | TEXT,
)
STEP = st.builds(
    PastStep,
    name=TEXT,
    state=st.sampled_from(["passed", "failed", "blocked", "restored"]),
    reason=TEXT,
    attempts=st.integers(0, 3),
    seconds=st.none() | NUMBER,
    max_rss=st.none() | st.integers(0, 2**53),
    digest=TEXT,
    measurements=st.lists(MEASUREMENT, max_size=2).map(tuple),
)
PAST_RECIPE = st.builds(
    PastRecipe,
    key=TEXT,
    path=TEXT,
    name=TEXT,
    verdict=st.sampled_from(["passed", "failed"]),
    seconds=NUMBER,
    test_meta=MAPPING,
    vars=MAPPING,
    steps=st.lists(STEP, max_size=3).map(tuple),
)
RUN = st.builds(
    PastRun,
    id=TEXT,
    state=st.sampled_from(["finished", "interrupted", "damaged"]),
    started=TEXT,
    seconds=NUMBER,
    verdict=st.sampled_from(["passed", "failed", "damaged"]),
    exit_status=st.none() | st.integers(0, 5),
    environment=MAPPING,
    recipes=st.lists(PAST_RECIPE, max_size=2).map(tuple),
)


@settings(max_examples=60, deadline=None)
@given(RUN)
def test_a_run_that_is_encoded_and_decoded_is_equal(run: PastRun) -> None:
    """A run equals the one that is decoded from its JSON text, which is one line."""
    data = encoded(run)

    assert decoded(data) == run
    assert data.count(b"\n") == 1


@settings(max_examples=20, deadline=None)
@given(RUN, st.integers(1, 400))
def test_a_torn_file_has_no_run(run: PastRun, cut: int) -> None:
    """The text of a run without its last bytes has no run, however many are missing."""
    data = encoded(run).rstrip(b"\n")

    assert decoded(data[: -min(cut, len(data))]) is None


def test_a_file_of_another_version_has_no_run() -> None:
    """A file with another version is refused; a field that a later version added is ignored."""
    data = encoded(PastRun(id="a", state="finished", verdict="passed"))

    assert decoded(data.replace(b'"version":"1"', b'"version":"2"')) is None
    assert decoded(data.replace(b'"id"', b'"later":[1],"id"')) is not None


def test_figures_are_the_numbers_of_a_step_that_ran() -> None:
    """Booleans and texts are no figures; a step that did not run has none."""
    values: list[Any] = [1.5, True, "text", msgspec.UNSET]
    measured = tuple(
        PastMeasurement(name=f"m{at}", value=value, verdict="pass", line=1)
        for at, value in enumerate(values)
    )
    step = PastStep(name="a", state="passed", seconds=2.0, measurements=measured)

    assert step.figures == {"seconds": 2.0, "measurements.m0": 1.5}
    assert PastStep(name="a", state="restored", measurements=measured).figures == {}


def test_the_unit_under_test_is_one_text() -> None:
    """The values of a mapping or list are joined by spaces; without one the text is empty."""
    assert joined({"type": "PSU", "serial": 17, "note": None}) == "PSU 17"
    assert joined(["A1", "A2"]) == "A1 A2"
    assert joined(None) == ""


def test_by_recipe_has_the_runs_of_each_recipe() -> None:
    """A run without the recipe is left out; the order of the runs is kept."""
    one = PastRecipe(key="a", path="a", name="a", verdict="passed")
    runs = [
        PastRun(id=name, state="finished", verdict="passed", recipes=recipes)
        for name, recipes in (("1", (one,)), ("2", ()), ("3", (one,)))
    ]

    assert by_recipe(runs) == {"a": [(runs[0], one), (runs[2], one)]}


def test_a_file_of_an_earlier_version_says_by_its_steps_that_all_were_restored() -> None:
    fields: dict[str, Any] = {"key": "x", "path": "x", "name": "x", "verdict": "passed"}
    restored, ran = PastStep(name="a", state="restored"), PastStep(name="b", state="blocked")
    cases = {(): True, (restored,): False, (restored, ran): True}

    assert {steps: PastRecipe(**fields, steps=steps).is_tested for steps in cases} == cases
