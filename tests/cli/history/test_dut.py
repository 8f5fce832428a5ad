"""`pytest-orchestrator runs --dut`: the runs of one unit under test."""

import json
import shutil

import pytest

from pytest_orchestrator.runs.folder import history_folder
from pytest_orchestrator.runs.index import database
from tests.cli.conftest import Project
from tests.cli.history.fleet import REASON, fleet
from tests.runs.built import Runs

HELP = "pytest-orchestrator runs: error: "


def test_the_runs_of_a_unit_are_listed_newest_first(project: Project, runs: Runs) -> None:
    ids = fleet(runs)

    assert project.call("runs", "--dut", "A3").out == (
        "run                    started               verdict  recipe  seconds  station  operator"
        "  cause\n"
        f"{ids[4]}  2026-11-18 11:11:41Z  passed   psu         1.0  bench_3  -\n"
        f"{ids[2]}  2026-11-18 11:09:41Z  failed   psu         1.0  bench_3  -         {REASON}\n"
    )
    assert project.call("runs", "--dut", "A3 PSU-30").out == project.call("runs", "--dut", "A3").out


def test_json_says_which_folders_are_gone(project: Project, runs: Runs) -> None:
    ids = fleet(runs)
    project.call("runs", "--dut", "A3")
    shutil.rmtree(runs.base / ids[2])
    found = json.loads(project.call("runs", "--dut", "A3", "--json").out)

    assert found["dut"] == "A3"
    assert found["runs"][1] == {
        "run": ids[2],
        "started": "2026-11-18T11:09:41.000000Z",
        "verdict": "failed",
        "part": "",
        "recipe": "psu",
        "seconds": 1.0,
        "station": "bench_3",
        "operator": "",
        "cause": REASON,
        "has_folder": False,
    }
    assert found["runs"][0]["has_folder"]


def test_an_interrupted_run_of_a_unit_is_listed_too(project: Project, runs: Runs) -> None:
    fleet(runs)

    (only,) = json.loads(project.call("runs", "--dut", "A5", "--json").out)["runs"]
    assert only["verdict"] == "interrupted"


@pytest.mark.parametrize("verb", ["runs", "measurements", "stats"])
def test_the_index_gives_the_answer_of_the_files_and_says_when_it_fails(
    project: Project, runs: Runs, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    fleet(runs)
    monkeypatch.setattr(database, "_MANY", 100)
    from_files = [project.call(verb, "--dut", name).out for name in ("A3", "A3 PSU-30", "A5")]
    monkeypatch.setattr(database, "_MANY", 1)
    for name, out in zip(("A3", "A3 PSU-30", "A5"), from_files, strict=True):
        assert project.call(verb, "--dut", name).out == out
    index = history_folder(runs.base) / database.NAME
    index.write_bytes(b"torn" * 5_000)
    done = project.call(verb, "--dut", "A3")

    assert done.out == from_files[0]
    assert done.err.endswith(
        "the index of the history cannot be used: file is not a database; all files are read "
        "instead\n"
    )


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("--dut A33", "no run has the unit under test 'A33' (did you mean 'A3'?)"),
        ("--dut A3 --trend", "--dut and --trend are two lists; give one of them"),
    ],
)
def test_a_wrong_command_line_is_explained(
    project: Project, runs: Runs, words: str, error: str
) -> None:
    fleet(runs)
    done = project.call("runs", *words.split())

    assert (done.code, done.out) == (2, "")
    assert done.err.partition(HELP)[2] == f"{error}\n"
