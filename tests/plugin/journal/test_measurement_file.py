"""The option --recipe-measurements: a file to which sessions append measurements."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.runs.measurements.file import MeasurementFile

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugin.conftest import Project

HEAD = """\
test_meta: {dut: {serial_number: A17, part_number: PSU-30}, station: bench_3, operator: kim}
secrets: [env.BENCH_PIN]
"""
RAIL = (
    "type: shell, cmd: sh rail.sh, measurements: {"
    "out: {value: result.out, unit: V, low: 4.9, high: 5.1}, pin: {value: result.pin, matches: .*}}"
)
SWEEP = (
    "type: shell, foreach: [1, 2], cmd: sh sweep.sh, env: {V: '${{ item }}'}, "
    "measurements: {v: {value: result.v, high: 1.5}}"
)


@pytest.fixture(autouse=True)
def scripts(project: Project) -> None:
    """The programs of the steps."""
    project.write("rail.sh", """printf '{"status":"ok","out":5.01,"pin":"%s"}' "$BENCH_PIN"\n""")
    project.write("sweep.sh", """printf '{"status":"ok","v":%s}' "$V"\n""")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_measurement_is_a_row_and_a_resumed_session_adds_only_what_it_measured(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_PIN", "canary-4711")
    project.recipe("psu", {"rail": RAIL, "sweep": SWEEP}, head=HEAD)
    project.ini("recipe_measurements = out/m.csv")
    project.run("recipes").assert_outcomes(passed=1, failed=1)
    project.run("recipes", "--recipe-resume").assert_outcomes(skipped=1, failed=1)

    found = rows(project.path / "out" / "m.csv")
    assert [(one["step"], one["name"], one["value"], one["verdict"]) for one in found] == [
        ("rail", "out", "5.01", "pass"),
        ("rail", "pin", "", "pass"),
        ("sweep", "v[0]", "1", "pass"),
        ("sweep", "v[1]", "2", "fail"),
        ("sweep", "v[0]", "1", "pass"),
        ("sweep", "v[1]", "2", "fail"),
    ]
    assert len({one["run"] for one in found}) == 2
    assert {
        name: found[1][name] for name in ("dut", "dut_type", "station", "operator", "text")
    } == {
        "dut": "A17",
        "dut_type": "PSU-30",
        "station": "bench_3",
        "operator": "kim",
        "text": "***",
    }
    assert found[2]["element"] == "1"


def test_only_the_controller_of_xdist_writes(project: Project) -> None:
    for name in ("one", "two"):
        project.recipe(name, {"rail": RAIL})
    project.run("recipes", "-n2", "--recipe-measurements=m.jsonl").assert_outcomes(passed=2)

    lines = (project.path / "m.jsonl").read_text().splitlines()
    found: list[dict[str, Any]] = list(map(json.loads, lines))
    assert sorted((one["recipe"], one["name"]) for one in found) == [
        (f"recipes/{recipe}.yaml", name) for recipe in ("one", "two") for name in ("out", "pin")
    ]


def test_the_rows_of_a_killed_session_are_in_the_file(project: Project) -> None:
    kill = "type: python, module: steps, function: kill, isolation: inline"
    with (project.path / "steps.py").open("a") as file:
        file.write("import os, signal\ndef kill(ctx):\n    os.kill(os.getpid(), signal.SIGKILL)\n")
    project.recipe("psu", {"rail": RAIL, "kill": kill})
    project.spawn("recipes", "--recipe-measurements=m.csv")

    assert [one["name"] for one in rows(project.path / "m.csv")] == ["out", "pin"]


def test_a_full_disk_is_a_warning_and_the_run_goes_on(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    project.recipe("psu", {"rail": RAIL})
    monkeypatch.setattr(MeasurementFile, "append", full)
    monkeypatch.setattr(MeasurementFile, "create", full)
    result = project.run("recipes", "--recipe-measurements=m.csv")

    result.assert_outcomes(passed=1)
    run = (project.path / ".orchestrator/runs/latest").readlink()
    assert (
        f"orchestrator: 2 measurements are missing in {project.path}/m.csv: No space left on "
        f"device; export them: pytest-orchestrator measurements --run {run}"
    ) in result.outlines


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        ("m.txt", "--recipe-measurements: 'm.txt' is no .csv and no .jsonl file"),
        ("", "--recipe-measurements: '' is no .csv and no .jsonl file"),
        (
            "other.csv",
            (
                "{path}/other.csv is no file of measurements of this version: it has other "
                "columns; name a new file"
            ),
        ),
        (
            "other.jsonl",
            (
                "{path}/other.jsonl is no file of measurements of this version: its first line is "
                "no measurement; name a new file"
            ),
        ),
        ("dir.csv", "measurements cannot be written to {path}/dir.csv: Is a directory"),
        (
            "other.csv/m.csv",
            "measurements cannot be written to {path}/other.csv/m.csv: Not a directory",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_a_usage_error(
    project: Project, argument: str, error: str
) -> None:
    project.recipe("psu", {"rail": RAIL})
    project.write("other.csv", "a,b\n")
    project.write("other.jsonl", "[1]\n")
    (project.path / "dir.csv").mkdir()
    result = project.run("recipes", f"--recipe-measurements={argument}")

    assert result.errlines[-2:] == [f"ERROR: {error.format(path=project.path)}", ""]
