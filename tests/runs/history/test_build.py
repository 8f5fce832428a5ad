"""Conversion of the record of a run to its form in the history store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec import UNSET

from pytest_orchestrator.core.events import RecipeStarted
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.block import Answered, Element, Measurement
from pytest_orchestrator.runs.history.build import past_run
from pytest_orchestrator.runs.history.model import PastMeasurement, PastRun, PastStep
from pytest_orchestrator.runs.journal.reader import read_journal
from tests.runs.built import RECIPE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.runs.built import Runs


def past(folder: Path) -> PastRun:
    return past_run(lookup.load_record(folder, raw_blocks=True), folder.name)


def test_a_run_has_its_recipes_steps_and_measurements(runs: Runs) -> None:
    meta = {"dut": {"type": "PSU", "serial": "A17"}, "station": "rack 3", "operator": "Kim"}
    gain = {"gain": {"value": 3, "origin": "recipe"}}
    built = runs.new(test_meta=meta, vars=gain, sha256="1" * 64, cell="slot:2")
    built.begin("a", "b", digests={"a.py": "2" * 64})
    built.step("a", measured={"mv": 4.5}, limits={"low": 4.0, "margin": 0.5})
    built.step("b", "failed", kind="status", reason="no answer")
    folder = built.seal(1)

    run = past(folder)

    assert (run.version, run.id, run.state, run.verdict) == ("1", folder.name, "finished", "failed")
    assert (run.host, run.station, run.operator) == ("bench_3", "rack 3", "Kim")
    assert (run.exit_status, run.seconds, run.resumed_from) == (1, 8.0, "")
    assert run.seal == read_journal(folder / "journal.jsonl").chain.hash
    (recipe,) = run.recipes
    assert (recipe.key, recipe.path, recipe.name, recipe.cell) == (RECIPE, RECIPE, "psu", "slot:2")
    assert (recipe.verdict, recipe.cause, recipe.dut) == ("failed", "no answer", "PSU A17")
    assert (recipe.digest, recipe.digests) == ("1" * 64, {"a.py": "2" * 64})
    assert (recipe.vars, recipe.test_meta) == ({"gain": 3}, meta)
    assert (recipe.selected, recipe.total, recipe.seconds) == (2, 2, 4.0)
    a, b = recipe.steps
    assert a.figures == {
        "seconds": 1.0,
        "cpu_seconds": 0.5,
        "max_rss": 50_000_000,
        "measurements.mv": 4.5,
    }
    assert (a.stopped, b.stopped) == ("2026-11-18T11:07:43.000000Z", "2026-11-18T11:07:46.000000Z")
    (one,) = a.measurements
    assert (one.low, one.high, one.margin, one.verdict) == (4.0, UNSET, 0.5, "pass")
    assert (b.state, b.kind, b.reason, b.attempts) == ("failed", "status", "no answer", 1)


def test_a_measurement_of_an_element_has_its_index_and_its_item(runs: Runs) -> None:
    measured = [Measurement(name="mv", value=3, verdict="pass", line=4)]
    element = Element(index=6, item=12.5, state="passed", measurements=measured)
    built = runs.new().begin("a")
    built.step("a", elements=[element])

    (step,) = past(built.seal()).recipes[0].steps

    assert step.measurements == (
        PastMeasurement(name="mv[6]", value=3, verdict="pass", line=4, element="12.5"),
    )


def test_a_killed_run_has_the_steps_that_it_reached(runs: Runs) -> None:
    built = runs.new().begin("a", "b", "c").step("a")
    built.start("b")

    run = past(built.cut())

    assert (run.state, run.verdict, run.cause) == ("interrupted", "interrupted", "killed")
    assert (run.exit_status, run.seal) == (None, "")
    (recipe,) = run.recipes
    assert [(step.name, step.state) for step in recipe.steps] == [
        ("a", "passed"),
        ("b", "interrupted"),
        ("c", "not run"),
    ]
    assert recipe.cause.startswith("pytest was killed")


def test_a_damaged_run_names_the_damage_and_has_no_recipes(runs: Runs) -> None:
    journal = runs.new().begin("a").step("a").seal() / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"lines":5', b'"lines":6'))

    run = past(journal.parent)

    assert (run.state, run.verdict, run.recipes) == ("damaged", "damaged", ())
    assert run.cause == "line 6: it, or the hash of the line before it, was changed"
    assert run.seal == ""


def test_a_run_that_is_running_is_refused(runs: Runs) -> None:
    built = runs.new().begin("a")

    with pytest.raises(ValueError, match="has not ended"):
        past(built.folder)
    built.cut()


def test_a_partly_selected_recipe_has_more_steps_than_selected_ones(runs: Runs) -> None:
    built = runs.new()
    steps = tuple({"name": name, "index": 1, "line": 2} for name in ("a", "b", "c"))
    event: dict[str, Any] = {"recipe": RECIPE, "about": built.about, "steps": steps}
    built.add(RecipeStarted(unselected=("b", "c"), **event))
    built.step("a")

    (recipe,) = past(built.seal()).recipes

    assert (recipe.selected, recipe.total, recipe.is_whole) == (1, 3, False)
    assert [step.name for step in recipe.steps] == ["a"]


def test_a_long_value_of_a_var_is_its_digest(runs: Runs) -> None:
    given = {name: {"value": value} for name, value in (("a", "x" * 2_000), ("b", "x"))}
    built = runs.new(vars=given).begin("s").step("s")

    (recipe,) = past(built.seal()).recipes

    assert recipe.vars["b"] == "x"
    assert recipe.vars["a"].startswith("sha256:")
    assert len(recipe.vars["a"]) == len("sha256:") + 64


def test_people_who_answered_are_the_operator_if_the_recipe_names_none(runs: Runs) -> None:
    answer = Answered(button="ok", who="Ada", where="terminal", when="2026-11-25T10:15:02.000000Z")
    built = runs.new().begin("a")
    built.step("a", answers=[answer, answer])

    assert past(built.seal()).operator == "Ada"


def test_a_journal_with_other_types_has_texts_in_their_place(runs: Runs) -> None:
    built = runs.new(test_meta="none", vars=[1], cell=3, sha256=None).begin("a").step("a")

    (recipe,) = past(built.seal()).recipes

    assert (recipe.test_meta, recipe.vars, recipe.cell, recipe.digest) == ({}, {}, "3", "")
    assert recipe.steps == (PastStep(name="a", state="passed", attempts=1),)
