"""`pytest-orchestrator compare`."""

import json

from tests.cli.conftest import Project
from tests.runs.built import RECIPE, Runs


def test_two_runs_are_compared(project: Project, runs: Runs) -> None:
    for seconds in (1.0, 1.1, 0.9):
        built = runs.new(sha256="1" * 64).begin("flash", "burn_in")
        built.change("flash", "dut.state_v1", "idle")
        built.step("flash", measured={"ripple": 40.0}).step("burn_in", seconds=seconds).seal()
    last = runs.new(sha256="2" * 64).begin("flash", "burn_in")
    last.change("flash", "dut.state_v1", "loaded")
    last.change("flash", "dut.log_v1", "x" * 50)
    last.step("flash", measured={"ripple": 41.0}).step("burn_in", seconds=3.0, cpu=0.5).seal()
    told = project.call("compare")

    assert (told.code, told.err) == (1, "")
    assert told.out == (
        "A  20261118T110940Z-0003  passed   9.0 s\n"
        "B  20261118T111040Z-0004  passed  10.0 s\n"
        "\n"
        "out of the usual, by a factor of 2\n"
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


def test_runs_that_are_alike_have_no_difference(project: Project, runs: Runs) -> None:
    first, second = runs.history(1.0, 1.1)
    told = project.call("compare", first.name, second.name)

    assert (told.code, told.out.splitlines()[-1]) == (0, "no difference but that of noise")


def test_a_lone_run_has_nothing_to_be_compared_with(project: Project, runs: Runs) -> None:
    (only,) = runs.history(1.0)
    told = project.call("compare")

    assert (told.code, told.out) == (2, "")
    assert told.err.endswith(f"there is no run before {only.name} that it could be compared with\n")
    assert "error: argument --factor: '1' is no factor" in project.call("compare", "--factor=1").err
