"""History of figures: runs that count, trends, retention."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.compare.history import History, trends
from pytest_orchestrator.runs.lookup import prunable, prune, run_folders
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
    history.read_all()
    assert read == run_folders(runs.base)


def test_a_trend_has_all_runs_and_a_drift_if_the_last_one_deviates(runs: Runs) -> None:
    runs.history(1.0, 1.1, 0.9, 1.0, 3.5)
    (trend,) = trends(run_folders(runs.base))

    assert (trend.step, trend.figure, trend.unit) == ("burn_in", "seconds", "s")
    assert [point.value for point in trend.points] == [1.0, 1.1, 0.9, 1.0, 3.5]
    assert trend.drift is not None
    assert trend.drift.factor == 3.5
    assert [one.figure for one in trends(run_folders(runs.base), "burn_in")] == [
        "seconds",
        "cpu_seconds",
        "max_rss",
    ]


def test_the_newest_and_all_running_runs_are_kept(runs: Runs) -> None:
    running = runs.new().begin("a")
    first, second, third = runs.history(1.0, 1.0, 1.0)

    assert prunable(runs.base, 1) == [second, first]
    assert prune(runs.base, 1) == [second, first]
    assert run_folders(runs.base) == [third, running.folder]
    assert prunable(runs.base, 0) == []
    running.cut()


def test_figures_for_a_drawing_are_those_of_the_whole_record(runs: Runs) -> None:
    runs.new().begin("a", "b").step("a", seconds=1.0, measured={"mv": 1.0}).step("b").seal()
    runs.new().begin("a", "b").step("a", seconds=2.0).step("b", "failed").seal(1)
    runs.new().begin("a", "b", "c").step("a", "skipped").step("b", "blocked").seal(1)
    runs.new().begin("a", "b").step("a", "skipped").seal()
    again = runs.new().begin("a").step("a", "failed").step("a", seconds=3.0)
    again.change("a", "key", 1)
    again.seal()
    open_step = runs.new().begin("a", "b").step("a")
    open_step.start("b")
    open_step.seal(2)
    cut = runs.new().begin("a", "b").step("a", seconds=4.0)
    cut.start("b")
    cut.cut()
    damaged = runs.new().begin("a").step("a").seal() / "journal.jsonl"
    damaged.write_bytes(damaged.read_bytes().replace(b'"lines":5', b'"lines":6', 1))
    runs.new().begin("a").step("a", seconds=5.0).seal()
    running = runs.new().begin("a").step("a")

    folders = run_folders(runs.base)
    drawn = [*History(folders, is_verified=False).of(RECIPE)]
    running.cut()

    assert [once.steps.get("a", {}).get("seconds") for once in drawn] == [
        *(5.0, 4.0, 1.0, 3.0, None, None, 2.0, 1.0),
    ]
    assert drawn == [*History(folders[1:]).of(RECIPE)]


def test_figures_for_a_drawing_are_read_without_the_record(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.new().begin("a", "b").step("a", seconds=1.0).step("b", "failed").seal(1)
    monkeypatch.setattr(lookup, "load_record", None)

    (drawn,) = History(run_folders(runs.base), is_verified=False).of(RECIPE)

    assert not drawn.passed
    assert drawn.steps["a"]["seconds"] == 1.0
