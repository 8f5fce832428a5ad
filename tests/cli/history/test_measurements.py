"""`pytest-orchestrator measurements`."""

import csv
import io
import json
import sys

import pytest

from pytest_orchestrator.core import extras
from tests.cli.conftest import Project
from tests.cli.history.fleet import UNITS, fleet, run_of
from tests.runs.built import Runs

HELP = "pytest-orchestrator measurements: error: "


def test_csv_has_one_row_a_measurement_the_oldest_first(project: Project, runs: Runs) -> None:
    ids = fleet(runs)
    live = run_of(runs, "A9", 44.0)
    done = project.call("measurements")
    rows = list(csv.DictReader(io.StringIO(done.out)))

    assert (done.code, done.err) == (0, "")
    assert [(one["dut"], one["value"]) for one in rows] == [
        *((serial, str(ripple)) for serial, ripple in UNITS),
        ("A9", "44.0"),
    ]
    assert [one["run"] for one in rows] == [*ids[:5], live.folder.name]
    assert [bool(one["digest"]) for one in rows] == [True] * 5 + [False]
    assert (rows[2]["verdict"], rows[2]["high"], rows[2]["unit"]) == ("fail", "50.0", "mV")
    assert rows[0]["time"] == "2026-11-18T11:07:43.000000Z"
    live.cut()


def test_a_killed_run_has_the_rows_of_the_steps_that_ended(project: Project, runs: Runs) -> None:
    cut = runs.new(test_meta={"dut": "A17\u202e=1+1"}).begin("first", "last")
    cut.step("first", measured={"=cmd|' /C calc'!A0\n": 5.0}).start("last")
    cut.cut()
    (row,) = csv.DictReader(io.StringIO(project.call("measurements").out))

    assert (row["dut"], row["name"]) == ("A17\u202e=1+1", "'=cmd|' /C calc'!A0\n")
    assert (row["value"], row["digest"]) == ("5.0", "")


def test_a_terminal_gets_no_control_characters(
    project: Project, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.new(test_meta={"dut": "A17\x9b\u202e"}).begin("a").step("a", measured={"v": 5.0}).seal()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    assert ",A17\\x9b\\u202e," in project.call("measurements").out


def test_each_format_has_the_same_rows(project: Project, runs: Runs) -> None:
    fleet(runs)
    lines = project.call("measurements", "--format", "jsonl").out.splitlines()
    rows = list(map(json.loads, lines))

    assert json.loads(project.call("measurements", "--json").out) == {"measurements": rows}
    assert project.call("measurements", "-o", "m.jsonl").out == "m.jsonl: 5 measurements\n"
    assert (project.path / "m.jsonl").read_text().splitlines() == lines
    written = project.call("measurements", "-o", "m.csv", "--run", "latest")
    assert written.out == "m.csv: 0 measurements\n"
    assert (project.path / "m.csv").read_text().startswith("run,time,recipe,")


def test_only_what_is_selected_is_exported(project: Project, runs: Runs) -> None:
    fleet(runs)
    run_of(runs, "A3", 40.0, "recipes/other.yaml").seal()
    words = ("--dut", "A3", "--recipe", "recipes/psu.yaml", "--format", "jsonl")

    values = [
        json.loads(line)["value"] for line in project.call("measurements", *words).out.splitlines()
    ]
    assert values == [61.4, 40.9]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (
            "--format cvs",
            "argument --format: no format 'cvs' (did you mean 'csv'?)",
        ),
        ("-o m.txt", "m.txt has no suffix of a format; give --format csv, jsonl or parquet"),
        ("--format parquet", "parquet is written to a file only; give -o FILE.parquet"),
        (
            "-o m.parquet",
            "parquet needs pyarrow: pip install 'pytest-orchestrator[parquet]'",
        ),
        ("--json -o m.csv", "--json prints to stdout; leave out -o, or use --format jsonl"),
        (
            "--json --format csv",
            "--json prints to stdout; leave out --format, or use --format jsonl",
        ),
        ("-o none/m.csv", "none/m.csv: No such file or directory"),
        ("--dut A7", "no run has the unit under test 'A7'"),
    ],
)
def test_a_wrong_command_line_is_explained(
    project: Project, runs: Runs, monkeypatch: pytest.MonkeyPatch, words: str, error: str
) -> None:
    monkeypatch.setattr(extras, "is_installed", lambda _: False)
    run_of(runs, "A1", 40.0).seal()
    done = project.call("measurements", *words.split())

    assert (done.code, done.out) == (2, "")
    assert done.err.partition(HELP)[2] == f"{error}\n"
