"""Units of a panel in a session: order, barriers, turns, failures of one unit, verdicts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.cli.main import main
from pytest_orchestrator.reading import load_run, summary

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

SHELL = "type: shell, parse: text"
SERIALS = [f"--recipe-var=serial.{name}=SN{number}" for number, name in enumerate("ABCD", 1)]
NAMED = """
def put(ctx, name):
    ctx.set("name", name)
    return {"status": "ok"}


def see(ctx, name):
    return {"status": "ok" if ctx.get("name") == name and ctx.get("all") else "no"}
"""
PUT = f"""\
  - {{name: all, {SHELL}, scope: once, cmd: 'true', outputs: {{all: "${{{{ 1 }}}}"}}}}
  - {{name: put, type: python, module: m, function: put, params: {{name: "${{{{ unit.name }}}}"}}}}
"""
SEE = """\
  - {name: see, type: python, module: m, function: see, params: {name: "${{ unit.name }}"}}
"""
HEAD = "units: {names: [A, B, C, D], serial: {pattern: 'SN[0-9]'}}\n"


@pytest.fixture(autouse=True)
def _patience(project: Project) -> None:
    """Limit the time of steps that wait for one another, so that they fail instead of hanging."""
    project.ini("recipe_timeout = 20s")


def panel(project: Project, steps: str, *args: str, head: str = HEAD) -> pytest.RunResult:
    """Run a recipe with four units, whose serial numbers are given."""
    project.write("recipes/panel.yaml", f"{head}steps:\n{steps}")
    serials = SERIALS if "serial" in head else []
    return project.run("recipes/panel.yaml", *serials, *args)


def outcomes(result: pytest.RunResult) -> dict[str, str]:
    """Return the outcomes of the steps by name, in the order of their reports."""
    recorder = result.reprec  # type: ignore[attr-defined]
    reports = recorder.getreports("pytest_runtest_logreport")
    return {
        report.nodeid.partition("::")[2]: report.outcome
        for report in reports
        if report.when == "call" or report.outcome != "passed"
    }


def events(project: Project, kind: str) -> list[dict[str, Any]]:
    """Return the events of one kind in the journal of the last run."""
    journal = project.path / ".orchestrator/runs/latest/journal.jsonl"
    lines = map(json.loads, journal.read_text().splitlines())
    return [line for line in lines if line["event"] == kind]


def runs(project: Project) -> dict[str, Any]:
    """Return the units of the last run with their verdicts."""
    row: Any = summary(load_run(project.path / ".orchestrator/runs/latest").record)
    units: dict[str, Any] = row["recipes"][0]["units"]
    return units


def test_units_run_beside_each_other_and_report_step_by_step(project: Project) -> None:
    wait = "touch $U.on; until [ $(ls *.on | wc -l) = 4 ]; do sleep 0.01; done"
    steps = f"  - {{name: a, {SHELL}, env: {{U: '${{{{ unit.serial }}}}'}}, cmd: '{wait}'}}\n"
    result = panel(project, steps + f"  - {{name: b, {SHELL}, cmd: 'true'}}\n")

    names = [f"{step}[unit:{unit}]" for step in "ab" for unit in "ABCD"]
    assert outcomes(result) == dict.fromkeys(names, "passed")
    assert [*outcomes(result)] == names


def test_a_failure_of_a_unit_blocks_that_unit_alone(project: Project) -> None:
    fails = "'test ${{ unit.name }} != C'"
    steps = f"""\
  - {{name: heat, {SHELL}, scope: once, cmd: echo x >> heat.txt}}
  - {{name: rail, {SHELL}, cmd: {fails}}}
  - {{name: soak, {SHELL}, scope: once, cmd: 'true'}}
  - {{name: burn, {SHELL}, scope: together, cmd: 'true'}}
  - name: sum
    type: shell
    parse: text
    scope: once
    cmd: "echo ${{{{ steps.rail | map(attribute='outcome') | join(' ') }}}} > sum.txt"
"""
    result = panel(project, steps)

    assert {name: one for name, one in outcomes(result).items() if one != "passed"} == {
        "rail[unit:C]": "failed",
        "burn[unit:C]": "skipped",
    }
    assert (project.path / "heat.txt").read_text() == "x\n"
    assert (project.path / "sum.txt").read_text() == "passed passed failed passed\n"
    assert {name: one["verdict"] for name, one in runs(project).items()} == {
        **dict.fromkeys("ABD", "passed"),
        "C": "failed",
    }


def test_a_step_that_runs_once_and_fails_blocks_all_units(project: Project) -> None:
    steps = f"  - {{name: heat, {SHELL}, scope: once, cmd: 'false'}}\n"
    result = panel(project, steps + f"  - {{name: a, {SHELL}, cmd: 'true'}}\n")

    assert [*outcomes(result).values()] == ["failed", *["skipped"] * 4]
    assert {one["verdict"] for one in runs(project).values()} == {"failed"}


def test_an_empty_socket_is_not_run_and_not_counted(project: Project) -> None:
    result = panel(project, f"  - {{name: a, {SHELL}, cmd: 'true'}}\n", "--recipe-var=serial.B=")

    assert [*outcomes(result)] == ["a[unit:A]", "a[unit:C]", "a[unit:D]"]
    assert runs(project)["B"] == {"serial": "", "verdict": "empty"}


def test_a_missing_serial_number_is_an_error_with_the_cure(project: Project) -> None:
    project.write("recipes/panel.yaml", f"{HEAD}steps:\n  - {{name: a, {SHELL}, cmd: x}}\n")

    result = project.run("recipes/panel.yaml", *SERIALS[1:])

    assert result.ret == 2
    assert (
        "recipes/panel.yaml:1:8: no value is given for input 'serial.A', text that matches "
        "SN[0-9] (--recipe-var serial.A=..., or --recipe-ask to be asked)"
    ) in result.outlines


def test_serial_numbers_of_a_vars_file_reach_the_units(project: Project) -> None:
    project.write("sn.json", '{"serial": {"A": "SN1", "B": "SN2", "C": "", "D": "SN4"}}')
    steps = f"  - {{name: a, {SHELL}, cmd: 'echo ${{{{ unit.serial }}}} >> all.txt'}}\n"
    project.write("recipes/panel.yaml", f"{HEAD}steps:\n{steps}")

    project.run("recipes/panel.yaml", "--recipe-vars-file=sn.json", "--recipe-jobs=1")

    assert (project.path / "all.txt").read_text() == "SN1\nSN2\nSN4\n"


@pytest.mark.parametrize("jobs", ["1", "4"])
def test_no_other_unit_comes_between_the_steps_of_a_turn(project: Project, jobs: str) -> None:
    note = "echo ${{ unit.name }} >> turns.txt"
    steps = "".join(
        f"  - {{name: {name}, {SHELL}, turn: psu, cmd: '{note}; sleep 0.05'}}\n" for name in "abc"
    )
    result = panel(project, steps, f"--recipe-jobs={jobs}")

    result.assert_outcomes(passed=12)
    turns = (project.path / "turns.txt").read_text().split()
    assert sorted(turns[::3]) == [*"ABCD"]
    assert turns == [name for name in turns[::3] for _ in range(3)]


def test_a_turn_ends_when_one_of_its_steps_fails(project: Project) -> None:
    fails = "'test ${{ unit.name }} = D'"
    steps = "".join(f"  - {{name: {name}, {SHELL}, turn: t, cmd: {fails}}}\n" for name in "ab")
    result = panel(project, steps)

    result.assert_outcomes(passed=2, failed=3, skipped=3)


def test_steps_start_together_when_the_last_unit_is_ready(project: Project) -> None:
    steps = f"""\
  - {{name: a, {SHELL}, cmd: 'sleep 0.${{{{ unit.index }}}}'}}
  - {{name: b, {SHELL}, scope: together, cmd: 'true'}}
"""
    panel(project, steps).assert_outcomes(passed=8)

    started = [one["ts"] for one in events(project, "step_started") if one["step"][0] == "b"]
    ended = [one["ts"] for one in events(project, "step_finished") if one["step"][0] == "a"]
    assert max(ended) < min(started)


def test_too_few_slots_for_units_that_start_together_are_an_error(project: Project) -> None:
    steps = f"  - {{name: b, {SHELL}, scope: together, cmd: 'true'}}\n"
    result = panel(project, steps, "--recipe-jobs=3")

    assert result.ret == 4
    result.stderr.fnmatch_lines(
        [
            (
                "*recipes/panel.yaml:3:*: step 'b' of 4 units needs 4 slots at once "
                "(--recipe-jobs=3; one unit alone: -k unit:A)"
            ),
        ]
    )
    panel(project, steps, "--recipe-jobs=3", "-k", "unit:A").assert_outcomes(passed=1, deselected=3)


def test_a_worker_of_xdist_refuses_a_panel_with_the_same_words(project: Project) -> None:
    project.write(
        "recipes/panel.yaml",
        f"units: {{count: 3}}\nsteps:\n  - {{name: b, {SHELL}, scope: together, cmd: 'true'}}\n",
    )
    result = project.run("recipes/panel.yaml", "--recipe-jobs=2", "-n1", "-p", "xdist")

    assert result.ret == 1
    text = result.stdout.str()
    assert "INTERNALERROR" not in text
    assert (
        "recipes/panel.yaml:3:48: step 'b' of 3 units needs 3 slots at once "
        "(--recipe-jobs=2; one unit alone: -k unit:1)"
    ) in text


def test_a_unit_of_which_no_step_is_selected_has_no_verdict(project: Project) -> None:
    steps = f"""\
  - {{name: all, {SHELL}, scope: once, cmd: 'true'}}
  - {{name: b, {SHELL}, cmd: 'true'}}
finally:
  - {{name: off, {SHELL}, scope: each, cmd: 'true'}}
"""
    result = panel(project, steps, "-k", "unit:B")

    result.stdout.fnmatch_lines(
        ["  units: A SN1 not selected, B SN2 passed, C SN3 not selected, D SN4 not selected"]
    )
    assert {name: one["verdict"] for name, one in runs(project).items()} == {
        "A": "not selected", "B": "passed", "C": "not selected", "D": "not selected"
    }  # fmt: skip


def test_each_unit_is_compared_with_its_own_earlier_runs(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = """\
  - name: once
    type: shell
    scope: once
    cmd: echo "{\\"status\\":\\"ok\\",\\"w\\":$(cat value)}"
    measurements: {w: {value: result.w, low: 0, high: 100}}
  - name: each
    type: shell
    needs: []
    cmd: echo "{\\"status\\":\\"ok\\",\\"v\\":$(cat value)$(test $U = D || echo 0)}"
    env: {U: "${{ unit.name }}"}
    measurements: {v: {value: result.v, low: 0, high: 1000}}
"""
    for value in range(40, 47):
        (project.path / "value").write_text(str(value))
        panel(project, steps).assert_outcomes(passed=5)
    (project.path / "value").write_text("60")
    # The durations are those of a loaded machine.
    compare = ("--recipe-compare=LAST:10", "--recipe-compare-factor=1000")
    result = panel(project, steps, *compare)

    failed = [name for name, outcome in outcomes(result).items() if outcome == "failed"]
    assert failed == [
        "once",
        "each[unit:A]",
        "each[unit:B]",
        "each[unit:C]",
    ]  # 60 of 1000 is little
    result.stdout.no_fnmatch_line("*nothing compared*")
    monkeypatch.chdir(project.path)
    capsys.readouterr()
    assert main(["compare", "--json", "--factor=1000"]) == 1
    found = json.loads(capsys.readouterr().out)["measurements"]
    assert [one["step"] for one in found if one["drifted"]] == failed


def test_a_unit_without_earlier_runs_is_not_compared(project: Project) -> None:
    steps = f"  - {{name: b, {SHELL}, cmd: 'true'}}\n"
    result = panel(project, steps, "--recipe-compare=LAST:10")
    assert result.stdout.lines[-1] == "orchestrator: nothing compared, 0 of 3 runs"

    required = panel(project, steps, "--recipe-compare=LAST:10,required")
    required.assert_outcomes(errors=4)
    required.stdout.fnmatch_lines(["*: nothing compared, 1 of 3 runs"])


def test_a_unit_has_a_context_of_its_own_above_that_of_the_batch(project: Project) -> None:
    project.write("m.py", NAMED)
    steps = """\
  - {name: all, type: python, module: m, function: put, scope: once, params: {name: x},
     outputs: {all: "${{ 1 }}"}}
  - {name: put, type: python, module: m, function: put, params: {name: "${{ unit.name }}"}}
  - {name: see, type: python, module: m, function: see, params: {name: "${{ unit.name }}"}}
  - {name: end, type: python, module: m, function: see, scope: once, params: {name: x}}
"""
    panel(project, steps).assert_outcomes(passed=10)

    scopes = {one["scope"] for one in events(project, "context_changed") if one["key"] == "name"}
    key = "recipes/panel.yaml"
    assert scopes == {key, *(f"{key}[unit:{name}]" for name in "ABCD")}


def test_final_steps_of_a_unit_run_when_the_unit_has_ended(project: Project) -> None:
    steps = f"""\
  - {{name: a, {SHELL}, cmd: 'test ${{{{ unit.name }}}} != B'}}
  - {{name: z, {SHELL}, cmd: 'until [ -e B.off ]; do sleep 0.01; done'}}
finally:
  - name: off
    type: shell
    parse: text
    scope: each
    cmd: "echo ${{{{ unit.outcome }}}} > ${{{{ unit.name }}}}.off"
  - {{name: down, {SHELL}, cmd: 'ls *.off | wc -l > down.txt'}}
"""
    result = panel(project, steps)

    result.assert_outcomes(passed=11, failed=1, skipped=1)
    assert (project.path / "B.off").read_text() == "failed\n"
    assert (project.path / "A.off").read_text() == "passed\n"
    assert (project.path / "down.txt").read_text().strip() == "4"


def test_final_steps_of_units_run_without_a_selected_item(project: Project) -> None:
    steps = f"  - {{name: a, {SHELL}, cmd: 'true'}}\nfinally:\n"
    off = f"  - {{name: off, {SHELL}, scope: each, cmd: 'touch ${{{{ unit.name }}}}.off'}}\n"
    result = panel(project, steps + off, "-k", "not off and unit:B")

    result.assert_outcomes(passed=1, deselected=7)
    assert [one.name for one in project.path.glob("*.off")] == ["B.off"]


def test_stop_on_failure_stops_the_unit_and_ends_its_steps(project: Project) -> None:
    wait = "until [ -e ${{ unit.name }}.on ]; do sleep 0.01; done; test ${{ unit.name }} != B"
    touch = "touch ${{ unit.name }}.on; sleep ${{ 30 * (unit.index == 1) }}"
    steps = f"""\
  - {{name: a, {SHELL}, cmd: '{wait}'}}
  - {{name: beside, {SHELL}, needs: [], cmd: "{touch}"}}
  - {{name: z, {SHELL}, needs: [], after: [a], cmd: 'true'}}
"""
    result = panel(project, steps, "--recipe-jobs=8", head=f"{HEAD}stop_on_failure: true\n")

    assert {name: one for name, one in outcomes(result).items() if one != "passed"} == {
        "a[unit:B]": "failed",
        "beside[unit:B]": "failed",
        "z[unit:B]": "skipped",
    }


def test_a_recipe_that_needs_a_panel_needs_all_units(project: Project) -> None:
    panel(project, f"  - {{name: a, {SHELL}, cmd: 'test ${{{{ unit.name }}}} != B'}}\n")
    project.write(
        "recipes/ship.yaml",
        f"needs: [recipes/panel.yaml]\nsteps:\n  - {{name: ship, {SHELL}, cmd: 'true'}}\n",
    )
    result = project.run("recipes/ship.yaml", "recipes/panel.yaml", *SERIALS)
    assert outcomes(result)["ship"] == "skipped"


def test_a_resumed_panel_repeats_what_did_not_pass_in_its_unit(project: Project) -> None:
    project.write("m.py", NAMED)
    command = "test -e go -o ${{ unit.index }} != 1"
    steps = f"{PUT}  - {{name: b, {SHELL}, idempotent: true, cmd: '{command}'}}\n{SEE}"
    panel(project, steps).assert_outcomes(passed=11, failed=1, skipped=1)
    project.write("go", "")

    result = panel(project, steps, "--recipe-resume")

    assert {name for name, one in outcomes(result).items() if one == "passed"} == {
        "b[unit:B]",
        "see[unit:B]",
    }
    assert {one["verdict"] for one in runs(project).values()} == {"passed"}
    again = panel(project, steps, "--recipe-resume", "--recipe-rerun=see[unit:A]")
    assert [name for name, one in outcomes(again).items() if one == "passed"] == ["see[unit:A]"]
    other = panel(project, steps, "--recipe-resume", "--recipe-var=serial.C=SN9")
    assert [name for name, one in outcomes(other).items() if one != "skipped"] == [
        f"{step}[unit:C]" for step in ("put", "b", "see")
    ]


@pytest.mark.parametrize("workers", ["-n1", "-n2"])
def test_workers_of_xdist_keep_a_panel_together(project: Project, workers: str) -> None:
    project.write("m.py", NAMED)
    panel(project, PUT + SEE, workers).assert_outcomes(passed=9)
    assert {one["verdict"] for one in runs(project).values()} == {"passed"}


def test_the_steps_that_failed_run_again_in_their_unit(project: Project) -> None:
    steps = f"  - {{name: a, {SHELL}, cmd: 'test -e go -o ${{{{ unit.index }}}} != 2'}}\n"
    panel(project, steps).assert_outcomes(passed=3, failed=1)
    project.write("go", "")

    result = panel(project, steps, "--lf")

    assert outcomes(result) == {"a[unit:C]": "passed"}


def test_a_killed_step_costs_one_certificate_and_a_quarter_of_the_yield(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kill = "test ${{ unit.name }} != C || kill -9 $$"
    steps = f"  - {{name: a, {SHELL}, cmd: '{kill}'}}\n"
    steps += f"  - {{name: b, {SHELL}, scope: together, cmd: 'true'}}\n"
    steps += f"  - {{name: end, {SHELL}, scope: once, cmd: 'true'}}\n"
    panel(project, steps).assert_outcomes(passed=7, failed=1, skipped=1)
    monkeypatch.chdir(project.path)
    capsys.readouterr()

    assert main(["report", "--certificate"]) == 0
    page = Path(capsys.readouterr().out.splitlines()[-1]).read_text()
    assert re.findall(r"</span> ([A-Z ]+)</p>", page) == ["PASSED", "PASSED", "FAILED", "PASSED"]
    assert [f"SN{number}" in page for number in range(1, 5)] == [True] * 4
    assert main(["stats", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["total"]["units"], found["total"]["final_yield"]) == (4, 0.75)
    assert main(["runs", "--dut", "SN3", "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)["runs"]
    assert (row["recipe"], row["verdict"]) == ("panel [unit:C]", "failed")


def test_the_block_of_a_step_names_its_unit(project: Project) -> None:
    head = f"{HEAD}test_meta: {{dut: {{model: M}}}}\n"
    result = panel(project, f"  - {{name: a, {SHELL}, cmd: 'true'}}\n", head=head)

    result.assert_outcomes(passed=4)
    ended = events(project, "step_finished")
    [block] = [one["block"] for one in ended if one["step"] == "a[unit:B]"]
    assert block["step"]["unit"] == "B"
    assert block["recipe"]["test_meta"] == {"dut": {"model": "M", "serial_number": "SN2"}}
    assert block["recipe"]["units"] == {name: f"SN{at}" for at, name in enumerate("ABCD", 1)}


def test_a_value_that_is_sampled_for_each_unit_ends_that_unit_alone(project: Project) -> None:
    head = f"""{HEAD}sampling:
  case:
    cmd: echo ${{{{ unit.index }}}}
    every: 50ms
    scope: each
    high: 2
    abort: true
"""
    steps = f"""\
  - {{name: a, {SHELL}, cmd: 'if test ${{{{ unit.name }}}} = D; then sleep 30; fi'}}
  - {{name: b, {SHELL}, cmd: 'true'}}
"""
    result = panel(project, steps, head=head)

    found = {name: one for name, one in outcomes(result).items() if one != "passed"}
    assert found == {
        "a[unit:D]": "failed",
        "b[unit:D]": "skipped",
        "case[unit:D]": "failed",
    }
    assert {name: one["verdict"] for name, one in runs(project).items()} == {
        **dict.fromkeys("ABC", "passed"),
        "D": "error",
    }


def test_a_rerun_lets_the_unit_go_on(project: Project) -> None:
    pytest.importorskip("pytest_rerunfailures")
    fails = "test -e ${{ unit.name }}.on || { touch ${{ unit.name }}.on; false; }"
    steps = f"  - {{name: a, {SHELL}, cmd: '{fails}'}}\n  - {{name: b, {SHELL}, cmd: 'true'}}\n"
    result = panel(project, steps, "-p", "rerunfailures", "--reruns=1")

    assert result.ret == 0
    assert {one["verdict"] for one in runs(project).values()} == {"passed"}


def test_a_service_of_a_unit_runs_beside_those_of_others(project: Project) -> None:
    steps = f"""\
  - {{name: board, {SHELL}, background: true, cmd: 'sleep 100'}}
  - {{name: a, {SHELL}, cmd: 'test ${{{{ steps.board.outcome }}}} = passed'}}
"""
    panel(project, steps).assert_outcomes(passed=8)


def test_a_panel_with_a_debugger_runs_one_step_at_a_time(project: Project) -> None:
    steps = f"  - {{name: a, {SHELL}, cmd: 'true'}}\n"
    panel(project, steps, "--pdb").assert_outcomes(passed=4)
    turns = "".join(f"  - {{name: {name}, {SHELL}, turn: t, cmd: 'true'}}\n" for name in "ab")
    result = panel(project, turns, "--pdb")
    assert result.ret == 4
    expected = (
        "recipes/panel.yaml:3:*: step 'a' has a turn, and its units run one step at a time "
        "(--pdb; one unit alone: -k unit:A)"
    )
    result.stderr.fnmatch_lines([f"*{expected}"])


SCAN = "{name: scan, type: prompt, message: Scan, fields: {code: {dut: serial_number}}}"
SCANNED = ["--recipe-answer=scan[unit:A].code=SN7", "--recipe-answer=scan[unit:B].code=SN8"]
TWO = "units: {names: [A, B]}\n"


def test_a_scanned_serial_number_is_that_of_its_unit_alone(project: Project) -> None:
    seen = f"{{name: seen, {SHELL}, cmd: 'echo ${{{{ unit.serial }}}} > ${{{{ unit.name }}}}'}}"
    steps = f"  - {SCAN}\n  - {seen}\n"
    project.write("recipes/panel.yaml", f"{TWO}steps:\n{steps}")
    blocks = project.blocks(*SCANNED)

    for unit, serial in (("A", "SN7"), ("B", "SN8")):
        block = blocks[f"seen[unit:{unit}]"]
        assert (project.path / unit).read_text() == f"{serial}\n"
        assert block["recipe"]["test_meta"] == {"dut": serial}
        assert runs(project)[unit] == {"serial": serial, "verdict": "passed"}
    kept = json.loads(next(project.path.glob(".orchestrator/history/*/*.json")).read_text())
    assert [one["test_meta"] for one in kept["recipes"]] == [{"dut": "SN7"}, {"dut": "SN8"}]


@pytest.mark.parametrize(
    ("head", "scanned", "wrong"),
    [
        (TWO, "SN7", "'code' is SN7, which is the serial number of unit A"),
        (
            "units: {names: [A, B], serial: {}}\n",
            "SN9",
            "'code' is SN9, and unit B is SN2 by the input 'serial.B'",
        ),
    ],
)
def test_a_unit_with_the_serial_number_of_another_fails(
    project: Project, head: str, scanned: str, wrong: str
) -> None:
    project.write("recipes/panel.yaml", f"{head}steps:\n  - {SCAN}\n")
    first = "SN1" if "serial" in head else "SN7"
    serials = SERIALS[:2] if "serial" in head else []
    answers = [
        f"--recipe-answer=scan[unit:{unit}].code={one}"
        for unit, one in zip("AB", (first, scanned), strict=True)
    ]
    blocks = project.blocks(*answers, *serials, "--recipe-jobs=1")

    assert blocks["scan[unit:A]"]["step"]["state"] == "passed"
    assert wrong in blocks["scan[unit:B]"]["step"]["reason"]


def test_a_resumed_panel_keeps_the_serial_numbers_that_were_scanned(project: Project) -> None:
    stop = f"{{name: stop, {SHELL}, cmd: 'test -e ok'}}"
    project.write("recipes/panel.yaml", f"{TWO}steps:\n  - {SCAN}\n  - {stop}\n")
    project.blocks(*SCANNED)
    (project.path / "ok").touch()
    blocks = project.blocks("--recipe-resume")

    assert blocks["scan[unit:B]"]["step"]["state"] == "restored"
    assert blocks["stop[unit:B]"]["recipe"]["test_meta"] == {"dut": "SN8"}
    assert runs(project)["B"] == {"serial": "SN8", "verdict": "passed"}
