"""The Context of a recorded run, at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.core.errors import ContextKeyError
from pytest_orchestrator.runs.changes import PastContext
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


def test_paths_are_resolved_as_in_a_context(run: RunRecord) -> None:
    past = PastContext(run.changes)

    assert (past["dut.state.on"], past["bench"], past["psu.log.1"]) == (True, {"name": "B3"}, 2)
    assert past.get("psu.state", "none") == "none"
    assert ("dut" in past, "load" in past) == (True, False)
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
    assert "by" not in past.get_history("bench.name")[0]


def test_values_of_a_past_context_are_copies(run: RunRecord) -> None:
    past = PastContext(run.changes)
    past["psu.log"].append(3)

    assert past["psu.log"] == [1, 2]


def test_a_recipe_with_a_context_of_its_own_has_another_one_than_the_session(runs: Runs) -> None:
    built = runs.new().begin("a")
    built.change("", "x", 1)
    built.start("a")
    built.change("a", "x", 2, scope=RECIPE)
    built.finish("a")
    run = load_record(built.seal())

    assert PastContext(run.changes, RECIPE)["x"] == 2
    assert PastContext(run.changes)["x"] == 1
