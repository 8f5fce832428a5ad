"""History of figures in journals: the runs that count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.compare.history import History
from pytest_orchestrator.runs.lookup import run_folders
from tests.runs.built import RECIPE

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from pytest_orchestrator.runs.record import RunRecord
    from tests.runs.built import Runs


def test_figures_are_those_of_the_last_passing_runs(runs: Runs) -> None:
    for value in (1.0, 2.0, 3.0):
        runs.new().begin("a", "b").step("a", seconds=value, measured={"mv": value}).seal()
    runs.new().begin("a", "b").step("a", seconds=9.0).step("b", "failed").seal(1)
    runs.new().begin("a", "b").step("a", seconds=8.0).cut()
    cut = runs.new().begin("a", "b").step("a", seconds=7.0)
    cut.start("b")
    cut.cut()
    history = History(run_folders(runs.base))

    figures = history.figures(RECIPE, "a", 3)
    assert figures["seconds"] == [3.0, 2.0, 1.0]
    assert figures["measurements.mv"] == [3.0, 2.0, 1.0]
    assert history.figures(RECIPE, "b", 3) == {}
    assert history.figures("recipes/other.yaml", "a", 3) == {}


def test_a_running_or_damaged_run_does_not_count(runs: Runs) -> None:
    _, bad = runs.history(1.0, 2.0)
    path = bad / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b"burn_in", b"burn_on", 1))
    running = runs.new().begin("burn_in").step("burn_in")

    assert History(run_folders(runs.base)).figures(RECIPE, "burn_in", 9)["seconds"] == [1.0]
    running.cut()


def test_a_run_that_restored_all_steps_but_services_and_finally_does_not_count(
    runs: Runs,
) -> None:
    first = runs.new().begin("a").step("a", seconds=1.0).seal()
    again = runs.new().begin("a", "serve").restore("a", first.name)
    again.step("serve", background=True).seal()
    history = History(run_folders(runs.base))

    assert len([*history.of(RECIPE)]) == 1
    other = runs.new().begin("a", "b").restore("a", first.name).step("b", seconds=2.0).seal()
    history = History(run_folders(runs.base))
    assert history.figures(RECIPE, "b", 9)["seconds"] == [2.0]
    assert lookup.load_record(other).recipes[RECIPE].is_tested


def test_each_run_is_read_once_and_only_when_needed(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.history(*map(float, range(20)))
    load, read = lookup.load_record, []

    def loaded(folder: Path, **_: object) -> RunRecord:
        read.append(folder)
        return load(folder)

    monkeypatch.setattr(lookup, "load_record", loaded)
    history = History(run_folders(runs.base))

    assert history.figures(RECIPE, "burn_in", 3)["seconds"] == [19.0, 18.0, 17.0]
    assert read == run_folders(runs.base)[:3]
    history.figures(RECIPE, "burn_in", 20)
    assert [*history.of("recipes/other.yaml")] == []
    assert read == run_folders(runs.base)
