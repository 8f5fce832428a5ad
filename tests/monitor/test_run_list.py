"""List of runs: each run is read once, and again after a change."""

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.monitor.run_cache import RunCache, RunListCache
from tests.monitor.conftest import OLDER, RUN
from tests.runs.built import Built

GOING = "20261126T000000Z-0003"


def read(run_list: RunListCache) -> list[dict[str, Any]]:
    """Return the rows once all runs have been read."""
    until = time.monotonic() + 30
    while any(row["verdict"] == "…" for row in run_list.rows()):
        assert time.monotonic() < until
    return run_list.rows()


def test_runs_are_listed_newest_first(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = Built(bench, GOING, test_meta={"dut": {"serial": "A17"}}).begin("flash")
    run_list = RunListCache(RunCache(bench))

    rows = read(run_list)
    assert [(row["id"], row["verdict"]) for row in rows] == [
        (GOING, "running"),
        (RUN, "interrupted"),
        (OLDER, "passed"),
    ]
    assert rows[0]["dut"] == "serial A17"
    assert rows[2]["steps"] == "2 passed"
    monkeypatch.setattr("pytest_orchestrator.runs.lookup.load_record", None)  # cached
    built.step("flash")
    assert run_list.rows()[0]["steps"] == "1 passed"
    shutil.rmtree(bench / RUN)
    assert [row["id"] for row in run_list.rows()] == [GOING, OLDER]


def test_folder_without_a_journal_does_not_hide_other_runs(bench: Path) -> None:
    (bench / GOING).mkdir()

    assert [row["verdict"] for row in read(RunListCache(RunCache(bench)))] == [
        "damaged",
        "interrupted",
        "passed",
    ]
