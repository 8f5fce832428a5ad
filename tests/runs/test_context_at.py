"""The Context of a recorded run, at its end and at each step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.core.errors import ContextKeyError
from pytest_orchestrator.runs.context_at import NoStep, PastContext, at_step, step_of
from pytest_orchestrator.runs.lookup import load_record
from tests.runs.built import RECIPE

if TYPE_CHECKING:
    from pytest_orchestrator.runs.record import RunRecord
    from tests.runs.built import Runs


@pytest.fixture
def run(runs: Runs) -> RunRecord:
    """A run of three steps, the third of which did not run."""
    built = runs.new().begin("flash", "measure", "release")
    built.change("", "bench.name", "B3")
    built.start("flash")
    built.change("flash", "dut.state", {"on": False, "volts": [1, 2]})
    built.finish("flash")
    built.start("measure")
    built.change("measure", "dut.state", {"on": True})
    built.change("measure", "psu.log", 1, op="append")
    built.change("measure", "psu.log", 2, op="append")
    built.finish("measure", "failed")
    built.finish("release", "blocked")
    return load_record(built.seal(1))


def test_the_context_is_shown_before_and_after_each_step(run: RunRecord) -> None:
    before = at_step(run, "flash").to_dict()
    assert before == {"bench.name": "B3"}
    after = {"bench.name": "B3", "dut.state": {"on": False, "volts": [1, 2]}}
    assert at_step(run, "flash", after=True).to_dict() == after
    assert at_step(run, f"{RECIPE}::measure").to_dict() == after
    end = at_step(run, "measure", after=True)
    assert end.to_dict() == PastContext(run.changes).to_dict()
    assert end.to_dict() == {"bench.name": "B3", "dut.state": {"on": True}, "psu.log": [1, 2]}


def test_paths_are_resolved_as_in_a_context(run: RunRecord) -> None:
    past = at_step(run, "measure")

    assert (past["dut.state.volts.1"], past["bench"]) == (2, {"name": "B3"})
    assert past.get("psu.log", "none") == "none"
    assert ("dut" in past, "psu" in past) == (True, False)
    with pytest.raises(ContextKeyError) as caught:
        past["dut.stat"]
    assert str(caught.value) == "no key 'dut.stat' in the context (did you mean 'dut.state'?)"


def test_a_history_names_the_writer_the_step_and_the_line(run: RunRecord) -> None:
    past = PastContext(run.changes)
    first, second = past.get_history("psu.log")

    assert (first["old"], first["new"], first["index"], first["by"]) == (
        None,
        1,
        0,
        f"{RECIPE}::measure",
    )
    assert (second["line"], second["op"], second["who"]) == (11, "append", "measure")
    assert past.last_modified("psu.log") == second["ts"]
    assert at_step(run, "measure").get_history("psu.log") == []
    assert "by" not in past.get_history("bench.name")[0]


def test_values_of_a_past_context_are_copies(run: RunRecord) -> None:
    past = PastContext(run.changes)
    past["psu.log"].append(3)

    assert past["psu.log"] == [1, 2]


def test_a_step_that_is_missing_or_did_not_run_is_an_error(run: RunRecord) -> None:
    with pytest.raises(NoStep, match=r"has no step 'flsh' \(did you mean 'flash'\?\)"):
        step_of(run, "flsh")
    with pytest.raises(NoStep, match=r"'release' did not run in run .*: it was blocked"):
        at_step(run, "release")


def test_a_name_of_several_steps_is_an_error(runs: Runs) -> None:
    built = runs.new().begin("a").step("a")
    built.recipe = "recipes/other.yaml"
    built.begin("a").step("a")
    run = load_record(built.seal())

    with pytest.raises(NoStep) as caught:
        step_of(run, "a")
    assert str(caught.value) == (
        "several steps are called 'a': say recipes/psu.yaml::a or recipes/other.yaml::a"
    )
    assert step_of(run, "recipes/other.yaml::a").recipe == "recipes/other.yaml"


def test_a_step_of_a_recipe_with_its_own_context_shows_that_context(runs: Runs) -> None:
    built = runs.new().begin("a", "b")
    built.change("", "x", 1)
    built.start("a")
    built.change("a", "x", 2, scope=RECIPE)
    built.finish("a")
    run = load_record(built.step("b").seal())

    assert at_step(run, "b")["x"] == 2
    assert PastContext(run.changes)["x"] == 1
