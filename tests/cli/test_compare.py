"""`pytest-orchestrator compare`."""

import json
import shutil

import pytest

from tests.cli.conftest import Project
from tests.runs.built import RECIPE, Runs


def test_compare_prints_the_differences_of_two_runs(project: Project, runs: Runs) -> None:
    for seconds in (1.0, 1.1, 0.9):
        built = runs.new(sha256="1" * 64).begin("flash", "burn_in")
        built.change("flash", "dut.state_v1", "idle")
        built.step("flash", measured={"ripple": 40.0}).step("burn_in", seconds=seconds).seal()
    last = runs.new(sha256="2" * 64).begin("flash", "burn_in")
    last.change("flash", "dut.state_v1", "loaded")
    last.change("flash", "dut.log_v1", "x" * 50)
    last.step("flash", measured={"ripple": 41.0}).step("burn_in", seconds=3.0, cpu=0.5).seal()
    done = project.call("compare")

    assert (done.code, done.err) == (1, "")
    assert done.out == (
        "A  20261118T110940Z-0003  passed   9.0 s\n"
        "B  20261118T111040Z-0004  passed  10.0 s\n"
        "\n"
        "unusual, durations and memory by a factor of 2\n"
        "  recipes/psu.yaml::burn_in  seconds  1 -> 3 s  3 times\n"
        "\n"
        "measurements\n"
        "  recipes/psu.yaml::flash  ripple  40 -> 41 mV  +2.5 %\n"
        "\n"
        "context\n"
        '  ~ dut.state_v1  "idle" -> "loaded"\n'
        '  + dut.log_v1    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…\n'
        "\n"
        "code\n"
        "  ~ recipes/psu.yaml  111111111111 -> 222222222222\n"
    )
    assert project.call("compare", "--factor", "3.5").code == 0
    plain = json.loads(project.call("compare", "--json").out)
    assert (plain["worse"], plain["code"][0]["path"]) == (True, RECIPE)


def test_compare_shows_digits_and_flags_of_measurements(project: Project, runs: Runs) -> None:
    limits = {"precision": 6, "marginal": True}
    for value in (40.12345678, 41.0):
        built = runs.new().begin("flash")
        built.step("flash", measured={"ripple": value}, limits=limits).seal()
    done = project.call("compare")
    (measured,) = json.loads(project.call("compare", "--json").out)["measurements"]
    trend = project.call("runs", "--trend", "ripple").out

    line = "  recipes/psu.yaml::flash  ripple  40.1235 -> 41.0000 mV  +2.18 %, marginal\n"
    assert line in done.out
    assert (measured["precision"], measured["marginal"]) == (6, True)
    assert "40.1235" in trend
    (shown,) = json.loads(project.call("runs", "--json").out)["runs"][:1]
    assert (shown["marginal"], shown["recipes"][0]["marginal"]) == (1, 1)
    assert "marginal 1\n" in project.call("runs", "show").out


def test_compare_of_similar_runs_prints_no_significant_difference(
    project: Project, runs: Runs
) -> None:
    first, second = runs.history(1.0, 1.1)
    done = project.call("compare", first.name, second.name)

    assert (done.code, done.out.splitlines()[-1]) == (0, "no significant difference")


def test_compare_of_the_only_run_is_an_error(project: Project, runs: Runs) -> None:
    (only,) = runs.history(1.0)
    done = project.call("compare")

    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(f"there is no run before {only.name} to compare it with\n")
    assert "error: argument --factor: '1' is no factor" in project.call("compare", "--factor=1").err


def test_compare_takes_the_last_run_with_the_same_recipe(project: Project, runs: Runs) -> None:
    (first,) = runs.history(1.0)
    runs.new("recipes/cdu.yaml").begin("poll").step("poll").seal()
    (last,) = runs.history(1.0)

    assert [line.split()[1] for line in project.call("compare").out.splitlines()[:2]] == [
        first.name,
        last.name,
    ]
    other = runs.new("recipes/flash.yaml").begin("flash").step("flash").seal()
    assert project.call("compare").err.endswith(
        f"error: no run before {other.name} ran recipes/flash.yaml; name a run A to compare it "
        "with\n"
    )


def test_a_recipe_that_only_one_run_has_is_one_line(project: Project, runs: Runs) -> None:
    built = runs.new("recipes/cdu.yaml", sha256="1" * 64).begin("poll", "flash")
    first = built.step("poll").step("flash").seal()
    second = runs.new(sha256="2" * 64).begin("measure").step("measure", "failed").seal(1)

    assert project.call("compare", first.name, second.name).out == (
        f"A  {first.name}  passed  8.0 s\n"
        f"B  {second.name}  failed  5.0 s\n"
        "\n"
        "outcomes\n"
        "  recipes/cdu.yaml  only in A: 2 steps, passed\n"
        "  recipes/psu.yaml  only in B: 1 step, failed\n"
    )


def test_a_run_is_not_compared_with_itself(project: Project, runs: Runs) -> None:
    *_, last = runs.history(1.0, 1.0)
    for given in (("latest",), (last.name, "latest")):
        done = project.call("compare", *given)
        assert (done.code, done.out) == (2, "")
        assert done.err.endswith(
            f"error: A and B are the same run, {last.name}; `compare` alone compares the latest "
            "run with an earlier one\n"
        )


def test_compare_fits_into_a_terminal_and_wide_shows_whole_values(
    project: Project, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for end in ("a", "b"):
        built = runs.new("recipes/a_long_folder/psu_burn_in.yaml").begin("release")
        built.change("release", "dut.log_v1", "x" * 50 + end)
        built.step("release", "passed" if end == "a" else "failed", reason="no link " * 8).seal()
    monkeypatch.setenv("COLUMNS", "60")

    lines = project.call("compare").out.splitlines()
    assert lines[3:] == [
        "outcomes",
        "  …_burn_in.yaml::release  passed -> failed: no link no link",
        "                           no link no link no link no link",
        "                           no link no link",
        "",
        "context",
        '  ~ dut.log_v1  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx… ->',
        '                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…',
    ]
    assert f"{'x' * 50}b" in project.call("compare", "--wide").out
    assert f"{'x' * 50}b" not in project.call("compare").out


def test_a_run_is_compared_with_the_run_in_a_bundle(project: Project, runs: Runs) -> None:
    first = runs.new().begin("flash").step("flash", measured={"ripple": 40.0}).seal()
    second = runs.new().begin("flash").step("flash", measured={"ripple": 41.0}).seal()
    assert project.call("report", first.name, "--bundle", "base.zip").code == 0
    assert project.call("report", second.name, "--bundle", "new.zip").code == 0
    expected = project.call("compare", first.name, second.name)

    assert "ripple  40 -> 41 mV" in expected.out
    assert project.call("compare", "base.zip", "latest") == expected
    assert project.call("compare", "base.zip", "new.zip") == expected
    assert project.call("compare", first.name, "new.zip") == expected
    shutil.rmtree(second)
    assert project.call("compare", "base.zip", "new.zip") == expected
    assert project.call("compare", "base.zip", first.name).err.endswith(
        f"error: A and B are the same run, {first.name}; `compare` alone compares the latest run "
        "with an earlier one\n"
    )


def test_a_bundle_that_proves_no_run_is_not_compared(project: Project, runs: Runs) -> None:
    runs.new().begin("a").step("a").seal()
    runs.new().begin("a").step("a").cut()
    project.call("report", "latest", "--bundle", "cut.zip")
    project.write("text.zip", "no zip")

    def error(name: str) -> str:
        done = project.call("compare", name, "latest")
        assert (done.code, done.out) == (2, "")
        return done.err.rpartition("error: ")[2]

    assert error("cut.zip") == "cut.zip: its run was interrupted, so it has no seal\n"
    assert error("text.zip") == "text.zip is no bundle: File is not a zip file\n"
    assert error("gone.zip") == "there is no file gone.zip\n"
