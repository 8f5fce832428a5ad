"""The list of runs: each is read once, and again when it has changed."""

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.monitor.run_cache import RunCache, RunListCache
from tests.monitor.conftest import OLDER, RUN
from tests.runs.built import Built

GOING = "20261126T000000Z-0003"


def read(shelf: RunListCache) -> list[dict[str, Any]]:
    """Wait until all runs were read."""
    until = time.monotonic() + 30
    while any(row["verdict"] == "…" for row in shelf.rows()):
        assert time.monotonic() < until
    return shelf.rows()


def test_runs_are_listed_the_newest_first(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = Built(bench, GOING, test_meta={"dut": {"serial": "A17"}}).begin("flash")
    shelf = RunListCache(RunCache(bench))

    rows = read(shelf)
    assert [(row["id"], row["verdict"]) for row in rows] == [
        (GOING, "running"),
        (RUN, "interrupted"),
        (OLDER, "passed"),
    ]
    assert rows[0]["dut"] == "A17"
    assert rows[2]["steps"] == "2 passed"
    monkeypatch.setattr("pytest_orchestrator.runs.lookup.load_record", None)  # those are known
    built.step("flash")
    assert shelf.rows()[0]["steps"] == "1 passed"
    shutil.rmtree(bench / RUN)
    assert [row["id"] for row in shelf.rows()] == [GOING, OLDER]


def test_a_folder_without_a_journal_hides_no_other(bench: Path) -> None:
    (bench / GOING).mkdir()

    assert [row["verdict"] for row in read(RunListCache(RunCache(bench)))] == [
        "damaged",
        "interrupted",
        "passed",
    ]
