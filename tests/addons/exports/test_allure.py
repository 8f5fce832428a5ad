"""Result files for Allure: read by Allure itself (nightly), with bounded copies of logs."""

from __future__ import annotations

import json
import subprocess
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.addons.exports.allure import MOST_BYTES, export
from tests.house.readers import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.addons.exports.conftest import ExportRun


def results(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the results in a folder by name and status."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*-result.json"))]
    return {(one["name"], one["status"]): one for one in found}


def test_each_step_and_each_failed_attempt_is_a_result(finished: ExportRun, tmp_path: Path) -> None:
    export(finished.run, finished.folder, str(tmp_path))
    names = {path.name for path in tmp_path.iterdir()}
    export(finished.run, finished.folder, str(tmp_path))

    found = results(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == names
    assert {*found} == {
        ("flash", "failed"),
        ("flash", "passed"),
        ("measure", "failed"),
        ("known", "skipped"),
        ("release", "skipped"),
        ("loop", "failed"),
        ("test_b", "skipped"),
        ("recipes/bad.yaml", "broken"),
    }
    first, last = found["flash", "failed"], found["flash", "passed"]
    assert first["historyId"] == last["historyId"]
    assert first["uuid"] != last["uuid"]
    assert first["stop"] <= last["start"]
    assert (tmp_path / first["attachments"][0]["source"]).read_text() == "61.4 mV\n"
    assert {"name": "dut.serial_number", "value": "A17"} in last["labels"]
    assert {"name": "tag", "value": "smoke"} in last["labels"]
    measured = found["measure", "failed"]["steps"]
    assert [(one["name"], one["status"]) for one in measured] == [("ripple = 61.4 mV", "failed")]
    assert found["release", "skipped"]["statusDetails"]["message"] == "blocked: blocked by measure"
    assert found["known", "skipped"]["statusDetails"]["message"] == "xfailed: BUG-4"


def test_the_end_of_a_large_log_is_copied_in_bounded_memory(
    killed: ExportRun, tmp_path: Path
) -> None:
    tracemalloc.start()
    try:
        export(killed.run, killed.folder, str(tmp_path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    found = results(tmp_path)
    (attached,) = found["noisy", "broken"]["attachments"]
    assert attached["name"] == "stdout (the last 10 MB)"
    assert (tmp_path / attached["source"]).stat().st_size == MOST_BYTES
    assert peak < 12_000_000
    assert found["burn_in", "broken"]["statusDetails"]["message"].startswith("interrupted: ")


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["finished", "killed"])
def test_allure_reads_the_results(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    exported: ExportRun = request.getfixturevalue(name)
    export(exported.run, exported.folder, str(tmp_path / "results"))
    folders = [str(tmp_path / one) for one in ("results", "report")]
    done = subprocess.run(
        ["bash", "scripts/allure", *folders],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"Allure cannot be installed or started: {done.stderr.strip()[-200:]}")

    data = tmp_path / "report" / "data"
    cases = [json.loads(path.read_text()) for path in (data / "test-cases").glob("*.json")]
    summary = json.loads((data.parent / "widgets" / "summary.json").read_text())
    if name == "killed":
        assert summary["statistic"] == {
            "failed": 0,
            "broken": 2,
            "skipped": 1,
            "passed": 1,
            "unknown": 0,
            "total": 4,
        }
        return
    assert summary["statistic"]["total"] == 7
    flash = next(one for one in cases if one["name"] == "flash" and not one["hidden"])
    assert (flash["status"], flash["flaky"], flash["retriesCount"]) == ("passed", True, 1)
    suites = json.loads((data / "suites.json").read_text())
    assert "recipes/psu.yaml" in {one["name"] for one in suites["children"]}
