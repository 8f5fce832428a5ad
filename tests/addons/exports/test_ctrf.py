"""CTRF files: valid by the published schema, also of a killed run with hostile texts."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from pytest_orchestrator.addons.exports.ctrf import document, export
from pytest_orchestrator.runs.lookup import load_record
from tests.addons.exports.conftest import SHOWN
from tests.runs.built import Runs

if TYPE_CHECKING:
    from tests.addons.exports.conftest import ExportRun

SCHEMA = json.loads(Path(__file__).with_name("ctrf.schema.json").read_text(encoding="utf-8"))


def read(path: Path) -> dict[str, Any]:
    """Return the results in a CTRF file, which is valid."""
    whole = json.loads(path.read_text(encoding="utf-8"))
    validator = jsonschema.Draft7Validator(SCHEMA)
    assert [error.message for error in validator.iter_errors(whole)] == []
    results: dict[str, Any] = whole["results"]
    return results


@pytest.fixture(scope="module")
def results(finished: ExportRun, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results in the file of the finished run."""
    path = tmp_path_factory.mktemp("ctrf") / "ctrf.json"
    export(finished.run, finished.folder, str(path))
    return read(path)


def of(results: dict[str, Any], name: str) -> dict[str, Any]:
    (test,) = (one for one in results["tests"] if one["name"] == name)
    found: dict[str, Any] = test
    return found


def test_the_states_of_steps_tests_and_files_are_counted(results: dict[str, Any]) -> None:
    states = {one["name"]: (one["status"], one["rawStatus"]) for one in results["tests"]}

    assert states == {
        "flash": ("passed", "passed"),
        "measure": ("failed", "failed"),
        "known": ("other", "xfailed"),
        "release": ("skipped", "blocked"),
        "loop": ("failed", "failed"),
        "test_b": ("skipped", "skipped"),
        "recipes/bad.yaml": ("failed", "error"),
    }
    counts = {name: results["summary"][name] for name in ("tests", "passed", "failed", "skipped")}
    assert counts == {"tests": 7, "passed": 1, "failed": 3, "skipped": 2}
    assert [results["summary"][name] for name in ("other", "flaky", "suites")] == [1, 1, 3]


def test_a_step_has_its_place_attempts_tags_and_test_meta(results: dict[str, Any]) -> None:
    flash = of(results, "flash")

    assert (flash["suite"], flash["filePath"], flash["line"]) == (
        ["recipes/psu.yaml"],
        "recipes/psu.yaml",
        3,
    )
    assert (flash["flaky"], flash["retries"], flash["tags"]) == (True, 1, ["smoke"])
    first, last = flash["retryAttempts"]
    assert (first["attempt"], first["status"], first["message"], first["duration"]) == (
        1,
        "failed",
        "exit code 3, expected 0",
        500,
    )
    assert (last["attempt"], last["status"]) == (2, "passed")
    durations = [one["duration"] for one in results["tests"]]
    assert [type(one) for one in durations] == [int] * 7
    assert flash["duration"] == 1000
    assert first["stop"] <= last["start"] <= last["stop"] == flash["stop"]
    (log,) = first["attachments"]  # and not the one outside the run folder
    assert log["path"].endswith("logs/psu/measure.1.stdout")
    assert flash["labels"] == {"dut.serial_number": "A17", "station": "bench_3"}
    assert flash["parameters"] == {"volts": 12}


def test_measurements_and_elements_are_in_the_file(results: dict[str, Any]) -> None:
    measured = of(results, "measure")["extra"]["measurements"]

    assert [(one["name"], one["value"], one["high"], one["verdict"]) for one in measured] == [
        ("ripple", 61.4, 50.0, "fail")
    ]
    assert (measured[0]["uncertainty"], measured[0]["rule"]) == (0.025, "guarded")
    steps = [(one["name"], one["status"]) for one in of(results, "loop")["steps"]]
    assert steps == [("[0] 7", "passed"), ("[1] {'a': 2}", "failed")]


def test_a_killed_run_with_hostile_texts_is_valid_and_its_log_is_not_read(
    killed: ExportRun, tmp_path: Path
) -> None:
    tracemalloc.start()
    try:
        line = export(killed.run, killed.folder, str(tmp_path / "ctrf.json"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    results = read(tmp_path / "ctrf.json")
    assert line.endswith("ctrf.json")
    assert peak < 10_000_000
    states = [(one["name"], one["rawStatus"]) for one in results["tests"]]
    assert states == [
        ("flash", "passed"),
        ("noisy", "failed"),
        ("burn_in", "interrupted"),
        ("never", "not run"),
    ]
    text = (tmp_path / "ctrf.json").read_text(encoding="utf-8")
    assert [one for one in ("\u202e", '\\u202e"', "\\u001b", "\\u0000") if one in text] == []
    assert SHOWN in results["tests"][1]["message"]
    assert len(text) < 100_000
    (log,) = results["tests"][2]["attachments"]
    assert log["path"].endswith("/burn_in.1.stdout")


def test_a_clock_that_was_set_back_gives_no_negative_duration(tmp_path: Path) -> None:
    built = Runs(tmp_path).new().begin("a", "b").step("a")
    built.moment -= 3_600_000_000
    folder = built.step("b").seal()
    summary = document(load_record(folder), folder, "")["results"]["summary"]

    assert (summary["duration"], summary["stop"]) == (0, summary["start"])


def test_the_same_run_gives_the_same_document(finished: ExportRun) -> None:
    one, other = (document(finished.run, finished.folder, "run") for _ in range(2))

    assert one == other
