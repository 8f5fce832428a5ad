"""List of runs: each run is read once, and again after a change."""

import shutil
import threading
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from pytest_orchestrator.monitor.run_cache import RunCache
from pytest_orchestrator.monitor.run_list import PENDING, RecipeCount, RunListCache, RunRow
from pytest_orchestrator.runs.folder import history_file
from pytest_orchestrator.runs.history.backfill import backfill
from tests.monitor.conftest import OLDER, RUN
from tests.runs.built import Built

GOING = "20261126T000000Z-0003"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the folder at each call."""
    monkeypatch.setattr("pytest_orchestrator.monitor.run_list._LOOK", 0.0)
    monkeypatch.setattr("pytest_orchestrator.monitor.run_list._SHARE", 0.0)


def read(run_list: RunListCache) -> list[RunRow]:
    """Return the rows once all runs have been read."""
    until = time.monotonic() + 30
    while any(row.verdict == PENDING for row in run_list.rows(wait=True)):
        assert time.monotonic() < until
    return run_list.rows()


def test_runs_are_listed_newest_first(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = Built(bench, GOING, test_meta={"dut": {"serial": "A17"}}).begin("flash")
    run_list = RunListCache(RunCache(bench))

    rows = read(run_list)
    assert [(row.id, row.verdict) for row in rows] == [
        (GOING, "running"),
        (RUN, "interrupted"),
        (OLDER, "passed"),
    ]
    assert rows[0].dut == "A17"
    assert (rows[2].steps, rows[2].rate) == ("2 passed", 1.0)
    monkeypatch.setattr("pytest_orchestrator.monitor.run_list._read_row", None)  # cached
    version = run_list.version
    assert run_list.version == version
    built.step("flash")
    assert run_list.rows()[0].steps == "1 passed"
    assert run_list.version > version
    shutil.rmtree(bench / RUN)
    assert [row.id for row in run_list.rows()] == [GOING, OLDER]


def test_a_run_whose_folder_was_deleted_is_listed_from_the_history(bench: Path) -> None:
    meta = {"dut": {"serial": "A17"}, "operator": "Kim"}
    made = Built(bench, GOING, test_meta=meta).begin("flash", "measure", "release")
    made.step("flash").step("measure", "failed").seal(1)
    with_folders = read(RunListCache(RunCache(bench)))
    backfill(bench)
    run_list = RunListCache(RunCache(bench))
    read(run_list)
    for row in with_folders:
        shutil.rmtree(bench / row.id)
    rows = read(run_list)  # the rows of a server that was running
    again = read(RunListCache(RunCache(bench)))

    assert [(row.id, row.verdict) for row in rows] == [
        (GOING, "failed"),
        (RUN, "interrupted"),
        (OLDER, "passed"),
    ]
    assert rows == again
    for past, row in zip(rows, with_folders, strict=True):
        assert (past.has_folder, row.has_folder) == (False, True)
        assert replace(past, has_folder=True, seconds=row.seconds) == row
        assert past.seconds == pytest.approx(row.seconds, abs=0.001)


def test_a_page_shows_a_deletion_between_two_looks(
    bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_list = RunListCache(RunCache(bench))
    read(run_list)
    backfill(bench)
    monkeypatch.setattr("pytest_orchestrator.monitor.run_list._LOOK", 60.0)
    run_list.rows()
    shutil.rmtree(bench / OLDER)

    assert [row.has_folder for row in run_list.rows()] == [True, True]
    assert [row.has_folder for row in run_list.rows(wait=True)] == [True, False]


def test_a_page_waits_for_changes_that_a_running_thread_does_not_read(
    bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_list = RunListCache(RunCache(bench))
    read(run_list)
    backfill(bench)
    running = threading.Thread(target=time.sleep, args=(0.05,))
    monkeypatch.setattr(run_list, "_reader", running)
    running.start()
    shutil.rmtree(bench / OLDER)

    assert [row.has_folder for row in run_list.rows(wait=True)] == [True, False]


def test_a_damaged_file_of_the_history_is_a_row_that_names_it(bench: Path) -> None:
    backfill(bench)
    shutil.rmtree(bench / OLDER)
    history_file(bench, OLDER).write_text('{"version":"1","id":')
    row = read(RunListCache(RunCache(bench)))[1]

    assert (row.id, row.verdict, row.has_folder) == (OLDER, "damaged", False)
    assert row.problem == f"{OLDER}.json: it is no run of this version"


def test_a_copied_folder_is_a_run_of_its_own(bench: Path) -> None:
    shutil.copytree(bench / OLDER, bench / GOING)
    rows = read(RunListCache(RunCache(bench)))

    assert [(row.id, row.verdict) for row in rows] == [
        (GOING, "passed"),
        (RUN, "interrupted"),
        (OLDER, "passed"),
    ]


def test_a_run_that_cannot_be_read_says_why(bench: Path) -> None:
    (bench / GOING).mkdir()
    journal = bench / OLDER / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b"12.0", b"13.0"))
    rows = read(RunListCache(RunCache(bench)))

    assert [(row.verdict, row.problem.partition(": ")[0]) for row in rows] == [
        ("damaged", "the journal cannot be read"),
        ("interrupted", ""),
        ("damaged", "journal modified, line 7"),
    ]


def test_cells_of_a_matrix_are_one_recipe_with_its_worst_verdict(bench: Path) -> None:
    made = Built(bench, GOING, "recipes/psu.yaml[gain=1]", path="recipes/psu.yaml")
    for cell, outcome in (("gain=1", "passed"), ("gain=2", "failed")):
        made.recipe = f"recipes/psu.yaml[{cell}]"
        made.begin("flash").step("flash", outcome)
    made.seal(1)

    assert read(RunListCache(RunCache(bench)))[0].recipes == (
        RecipeCount("recipes/psu.yaml", "psu", 2, "failed"),
    )


def test_a_recipe_that_was_only_restored_is_listed(bench: Path) -> None:
    run_list = RunListCache(RunCache(bench))
    path = read(run_list)[-1].recipes[0].path
    Built(bench, GOING, path).begin("a").restore("a", OLDER).seal()

    assert read(run_list)[0].recipes == (RecipeCount(path, "psu", 1, "passed"),)
