"""`pytest-orchestrator stats`."""

import json
import re
import shutil
import statistics
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from pytest_orchestrator.cli.past_runs import moment
from tests.cli.conftest import Project
from tests.cli.history.fleet import UNITS, fleet, run_of
from tests.runs.built import Runs

HELP = "pytest-orchestrator stats: error: "


def found(project: Project, *words: str) -> Any:
    done = project.call("stats", "--json", *words)
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)


def test_json_has_all_figures(project: Project, runs: Runs) -> None:
    ids = fleet(runs)
    group = {
        "units": 4,
        "runs": 5,
        "first": 4,
        "first_passed": 3,
        "first_pass_yield": 0.75,
        "last": 4,
        "last_passed": 4,
        "final_yield": 1.0,
    }
    values = [ripple for _, ripple in UNITS]
    mean, sigma = statistics.mean(values), statistics.stdev(values)
    within = statistics.mean(abs(b - a) for a, b in pairwise(values)) / 1.128

    assert found(project) == {
        "first_start": "2026-11-18T11:07:41.000000Z",
        "last_start": "2026-11-18T11:11:41.000000Z",
        "left_out": {"interrupted": 1},
        "simulated": 0,
        "total": group,
        "recipes": [{"recipe": "recipes/psu.yaml", **group}],
        "dut_types": [{"dut_type": "PSU-30", **group}],
        "stations": [{"station": "bench_3", **group}],
        "failures": [
            {
                "recipe": "recipes/psu.yaml",
                "step": "burn_in",
                "kind": "criterion",
                "reason": "ripple = 61.4 mV, max 50.0 mV (11.4 mV above)",
                "number": 1,
                "share": 1.0,
                "cumulative": 1.0,
                "units": ["A3"],
                "runs": [ids[2]],
            }
        ],
        "measurements": [
            {
                "recipe": "recipes/psu.yaml",
                "step": "burn_in",
                "name": "ripple",
                "unit": "mV",
                "low": None,
                "high": 50.0,
                "n": 5,
                "mean": mean,
                "sigma": sigma,
                "min": 40.9,
                "max": 61.4,
                "pp": None,
                "ppk": pytest.approx((50 - mean) / (3 * sigma)),
                "within": pytest.approx(within),
                "cp": None,
                "cpk": pytest.approx((50 - mean) / (3 * within)),
                "failed": 1,
                "unset": 0,
                "has_other_limits": False,
                "charts": [],
                "drift": None,
            }
        ],
    }


def test_statistics_outlive_the_folders_of_runs(project: Project, runs: Runs) -> None:
    fleet(runs)
    before = project.call("stats").out
    shutil.rmtree(runs.base)

    assert project.call("stats").out == before


def test_a_file_that_cannot_be_read_is_named(project: Project, runs: Runs) -> None:
    newest = fleet(runs)[-1]
    found(project)
    shutil.rmtree(runs.base)
    (file,) = (runs.base.parent / "history").rglob(f"{newest}.json")
    file.write_text("torn", encoding="utf-8")
    done = project.call("stats", "--json")

    name = file.relative_to(runs.base.parents[1]).as_posix()
    assert done.err == f"{name}: it is no run of this version; its run is left out\n"


def test_a_selection_keeps_the_first_run_of_each_unit(project: Project, runs: Runs) -> None:
    ids = fleet(runs)
    last = found(project, "--run", ids[4])["total"]

    assert (last["runs"], last["first"], last["last"]) == (1, 0, 1)
    assert found(project, "--since", "2026-11-18T11:10:00+00:00")["total"]["runs"] == 2
    assert found(project, "--before", "2026-11-18T11:10:00+00:00")["total"]["runs"] == 3
    assert found(project, "--dut", "A3", "--station", "bench_3")["total"]["units"] == 1
    assert found(project, "--recipe", "psu")["total"]["runs"] == 5


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90m", timedelta(minutes=90)),
        ("12h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(days=14)),
    ],
)
def test_a_time_may_be_some_time_ago(text: str, ago: timedelta) -> None:
    start = datetime.now(UTC)
    there = moment(text)

    assert timedelta() <= there + ago - start <= datetime.now(UTC) - start


def test_a_run_in_progress_does_not_count(project: Project, runs: Runs) -> None:
    fleet(runs)
    live = runs.new(test_meta={"dut": "A9"}).begin("burn_in", "sleep").step("burn_in")

    assert found(project)["left_out"] == {"interrupted": 2}
    live.step("sleep").seal()
    assert found(project)["total"]["units"] == 5


def test_only_the_measurements_with_the_smallest_ppk_are_printed(
    project: Project, runs: Runs
) -> None:
    for number in range(3):
        measured = {f"m{at:02}": at + number * 0.5 for at in range(25)}
        meta = {"dut": f"A{number}"}
        built = runs.new(test_meta=meta).begin("burn_in")
        built.step("burn_in", measured=measured, limits={"high": 30}).seal()
    lines = project.call("stats").out.splitlines()

    assert [line.split()[2] for line in lines if " m" in line and "0.5" in line] == [
        f"m{at:02}" for at in range(24, 4, -1)
    ]
    assert lines[-1] == (
        "and 5 more measurements with a larger Ppk or none: --all, --json or --html"
    )
    assert "m00" in project.call("stats", "--all").out


def test_a_project_without_runs_has_no_figures(project: Project) -> None:
    assert project.call("stats").out == (
        "units 0, runs 0, first-pass yield - (0 of 0), final yield - (0 of 0)\n"
    )


def test_the_first_reading_of_many_runs_is_reported(project: Project, runs: Runs) -> None:
    for at in range(20):
        run_of(runs, f"A{at}", 40.0).seal()

    assert project.call("stats").err == "reading 20 runs for the first time\n"
    assert project.call("stats").err == ""


def test_the_page_has_a_fixed_script_and_no_control_characters(
    project: Project, runs: Runs
) -> None:
    run_of(runs, "<script>alert(1)</script>\u202etxt", 61.4).seal(1)
    for _ in range(2):
        run_of(runs, "A2", 41.0, "recipes/</script>.yaml").seal()
    done = project.call("stats", "--html", "stats.html")
    page = (project.path / "stats.html").read_text()

    assert (done.out, done.err) == ("stats.html\n", "")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\u202etxt" in page
    assert page.count("<script") == page.count("</script>") == 2
    assert "\u202e" not in page
    assert re.search(r"script-src 'sha256-[\w+/]{43}='", page)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("--recipe psuu", "no run has the recipe 'psuu' (did you mean 'psu'?)"),
        ("--dut A33", "no run has the unit under test 'A33' (did you mean 'A3'?)"),
        ("--station bench_4", "no run has the station 'bench_4' (did you mean 'bench_3'?)"),
        ("--run 2027", "no run '2027'; the newest is {newest}"),
        (
            "--run 20261118T11",
            "several runs begin with '20261118T11': {newest}, {second}, {third} …",
        ),
        (
            "--since yesterday",
            (
                "argument --since: 'yesterday' is no time; write a date such as 2026-11-01, or 7d "
                "for the last seven days"
            ),
        ),
        ("--html x.html --json", "--html and --json are two forms of the output; give one of them"),
        ("--html none/x.html", "none/x.html: No such file or directory"),
    ],
)
def test_a_wrong_command_line_is_explained(
    project: Project, runs: Runs, words: str, error: str
) -> None:
    third, second, newest = fleet(runs)[-3:]
    done = project.call("stats", *words.split())

    assert (done.code, done.out) == (2, "")
    text = error.format(newest=newest, second=second, third=third)
    assert done.err.partition(HELP)[2] == f"{text}\n"
