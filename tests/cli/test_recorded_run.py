"""Commands on a run that an earlier version of this package recorded."""

import json

import pytest

from tests.cli.conftest import Project
from tests.runs.built import Runs
from tests.runs.recorded import RUN, restore_project


@pytest.fixture(autouse=True)
def recorded(project: Project) -> None:
    """Write the recorded run into the project."""
    restore_project(project.path)


def test_a_run_of_an_earlier_version_is_verified(project: Project) -> None:
    done = project.call("verify", RUN)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{RUN}: 17 lines and 6 files are unmodified\nseal ")


def test_a_run_of_an_earlier_version_is_shown_with_all_outcomes(project: Project) -> None:
    shown = json.loads(project.call("runs", "show", RUN, "--json").out)
    assert shown["verdict"] == "failed"
    assert [(each["step"], each["state"], each.get("reason")) for each in shown["rows"]] == [
        ("ramp", "passed", None),
        ("judge", "failed", "exit code 3, wanted 0"),
        ("report", "blocked", "blocked by recipes/bench.yaml::judge"),
        ("off", "passed", None),
    ]


def test_the_report_of_a_run_of_an_earlier_version_is_rebuilt(project: Project) -> None:
    done = project.call("report", RUN)
    page = (project.path / ".orchestrator/runs" / RUN / "report.html").read_text()

    assert (done.code, done.err) == (0, "")
    for shown in ("exit code 3, wanted 0", "supply.volts", "checked", ">3.3 V<", "attempt 2"):
        assert shown in page


def test_a_run_of_an_earlier_version_is_compared_with_a_new_one(
    project: Project, runs: Runs
) -> None:
    new = runs.new("recipes/bench.yaml").begin("ramp", "judge").step("ramp").step("judge").seal()
    compared = json.loads(project.call("compare", "--json", RUN, new.name).out)

    assert [(each["step"], each["a"], each["b"]) for each in compared["outcomes"]] == [
        ("judge", "failed", "passed"),
        ("report", "blocked", None),
        ("off", "passed", None),
    ]
    assert "seconds" in {each["figure"] for each in compared["figures"] if each["step"] == "ramp"}
    assert {"key": "supply.volts", "a": 3.3} in compared["context"]
