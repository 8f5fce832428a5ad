"""Safe states of instruments: when their commands are sent, and what is said if they are not."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from benchmarks.faults import PATIENCE
from tests.plugin.conftest import PYTEST
from tests.plugin.instruments.conftest import CRASH, HANG, LAST, VOLTS, Bench

PROGRAM = [sys.executable, "-m", "pytest_orchestrator"]
_OUTPUT = "type: scpi, instrument: psu, commands: [{query: 'OUTP?', as: on, type: boolean}], "
_OUTPUT += "success: {assert: [result.on]}"


def test_an_instrument_stays_on_until_no_later_recipe_uses_it(bench: Bench) -> None:
    bench.station("    due: 2020-01-01\n")
    project = bench.project
    project.recipe(
        "a", {"on": VOLTS.format("'${{ matrix.volts }}'")}, head="matrix: {volts: [3, 5]}"
    )
    project.recipe(
        "b",
        {"use": "type: shell, cmd: echo use, parse: text"},
        {"off": _OUTPUT},
        head="needs: [recipes/a.yaml]",
    )

    result = project.run(
        "-rw", "--json-report", "--json-report-file=report.json", "-o", "recipe_html=true"
    )

    result.assert_outcomes(passed=4, warnings=1)
    assert bench.psu.texts == [
        "*IDN?",
        *("VOLT 3", "OUTP ON", "MEAS:CURR?"),
        *("VOLT 5", "OUTP ON", "MEAS:CURR?"),
        *("OUTP?", "SYST:ERR?"),
        *LAST,
    ]
    bench.psu.wait_until_closed()
    due = "calibration of 'psu' was due on 2020-01-01"
    result.stdout.fnmatch_lines([f"*station.yaml:*: CalibrationWarning: {due} *"])
    report = json.loads((project.path / "report.json").read_text())
    [used] = report["orchestrator"]["instruments"]
    assert {name: used[name] for name in ("name", "resource", "idn", "due", "safe_state")} == {
        "name": "psu",
        "resource": bench.psu.resource,
        "idn": "ACME,PSU-30,SN42,1.0",
        "due": "2020-01-01",
        "safe_state": "reached",
    }
    assert report["environment"]["station_file"]["name"] == "bench-3"
    [page] = project.path.glob(".orchestrator/runs/*T*/report.html")
    assert "ACME,PSU-30,SN42,1.0" in page.read_text()


@pytest.mark.parametrize("options", [(), ("-n1",)], ids=["serial", "xdist"])
def test_a_timeout_and_a_crash_leave_each_instrument_safe(
    bench: Bench, options: tuple[str, ...]
) -> None:
    bench.project.recipe("a", {"crash": CRASH, "hang": f"{HANG}, needs: [], timeout: 1s"})

    result = bench.project.run(*options)

    result.assert_outcomes(failed=2)
    assert bench.psu.texts == ["*IDN?", "OUTP ON", *LAST]
    assert bench.load.texts == ["*IDN?", "OUTP ON", *LAST]
    order = [one.commands[-3] for one in (bench.psu, bench.load)]
    assert order[0][0] < order[1][0], "the power supply was used last, so it is made safe first"


def test_a_safe_state_that_is_not_reached_is_an_error_and_ends_the_output(
    bench: Bench,
) -> None:
    bench.station(safe="['FAIL?']")
    bench.psu.answers["FAIL?"] = None
    bench.project.recipe("a", {"on": VOLTS.format(5)})

    result = bench.project.run()

    result.assert_outcomes(passed=1, errors=1)
    assert result.ret == 1
    why = "no answer to 'FAIL?' within 1 s"
    result.stdout.fnmatch_lines(
        [
            "* ERROR at teardown of psu (safe state) *",
            f"station.yaml: psu: {why}",
            "> FAIL[?]",
            f"error: psu: {why}",
            "ERROR recipes/a.yaml::psu (safe state) - station.yaml: psu: *",
        ]
    )
    assert result.outlines[-1] == f"orchestrator: psu is not in its safe state: {why}"
    [row] = bench.project.pytester.run(*PROGRAM, "runs").outlines[1:]
    assert re.split("  +", row)[1:5:3] == ["error", "1 error, 1 passed"]
    shown = bench.project.pytester.run(*PROGRAM, "runs", "show").outlines
    assert f"instrument psu   safe state not reached: psu: {why}" in shown


@pytest.mark.parametrize("options", [(), ("-n1",)], ids=["serial", "xdist"])
def test_all_reports_say_that_a_safe_state_was_not_confirmed(
    bench: Bench, options: tuple[str, ...]
) -> None:
    bench.station("    confirm: none\n")
    bench.project.recipe("a", {"on": VOLTS.format(5)})

    result = bench.project.run(*options, "-o", "recipe_html=true")

    result.assert_outcomes(passed=1)
    said = "sent, not confirmed"
    assert result.outlines[-1] == f"orchestrator: the safe state of psu: {said}"
    [page] = bench.project.path.glob(".orchestrator/runs/*T*/report.html")
    assert f"<td>{said}</td>" in page.read_text()
    bench.project.pytester.run(*PROGRAM, "report", "--certificate", "-o", "out.html")
    assert f"instrument psu: safe state {said}" in (bench.project.path / "out.html").read_text()
    shown = bench.project.pytester.run(*PROGRAM, "runs", "show").outlines
    assert f"instrument psu   safe state {said}" in shown


def test_a_frozen_instrument_is_an_error_with_the_cure(bench: Bench) -> None:
    bench.station(timeout="300ms")
    bench.project.recipe("a", {"on": VOLTS.format(5)})

    def last_answer() -> str:
        bench.psu.freeze()
        return "0.5"

    bench.psu.answers["MEAS:CURR?"] = last_answer
    result = bench.project.run()

    result.assert_outcomes(passed=1, errors=1)
    assert result.ret == 1
    assert bench.psu.is_on
    assert result.outlines[-1] == (
        "orchestrator: psu is not in its safe state: no answer to '*IDN?' within 0.3 s"
    )


def test_the_output_ends_with_the_instruments_of_a_dead_worker(bench: Bench) -> None:
    bench.project.recipe("a", {"crash": f"{CRASH}, isolation: inline"})

    result = bench.project.run("-n1")

    assert result.ret == 1
    why = "the worker that used it has died; the next session sends its commands"
    assert result.outlines[-1] == f"orchestrator: load is not in its safe state: {why}"


def test_ctrl_c_at_a_query_makes_an_instrument_safe_after_finally(bench: Bench) -> None:
    bench.psu.held.add("HELD?")
    bench.psu.answers["HELD?"] = "1"
    use = "type: scpi, instrument: psu, check_errors: false, commands: "
    held = f"{use}[OUTP ON, {{query: 'HELD?', timeout: 500s}}]"
    bench.project.recipe("a", {"hang": held}, {"down": f"{use}['VOLT 0']"})
    process = bench.start()
    bench.psu.wait_for("HELD?")
    os.killpg(process.pid, signal.SIGINT)

    assert process.wait(PATIENCE) == 2
    assert bench.psu.texts == ["*IDN?", "OUTP ON", "HELD?", "VOLT 0", *LAST]


def test_an_overdue_calibration_is_an_error_where_warnings_are(bench: Bench) -> None:
    bench.station("    due: 2020-01-01\n")
    bench.project.recipe("a", {"on": VOLTS.format(5)})

    result = bench.project.run("-Werror")

    result.assert_outcomes(failed=1)
    due = "calibration of 'psu' was due on 2020-01-01 (*), and this session makes warnings errors"
    result.stdout.fnmatch_lines([f"E *InstrumentError: {due}"])
    assert bench.psu.texts == ["*IDN?"]


def test_two_sessions_never_use_an_instrument_at_the_same_time(bench: Bench) -> None:
    bench.station(timeout="50s")
    project = bench.project
    use = "type: scpi, instrument: psu, check_errors: false"
    project.recipe("a", {"hold": f"{use}, commands: [OUTP ON, {{query: 'HELD?', as: x}}]"})
    project.recipe("b", {"late": f"{use}, commands: [VOLT 9]"})
    bench.psu.answers["HELD?"] = "1"
    bench.psu.held.add("HELD?")
    first = bench.start("recipes/a.yaml")

    with (project.path / "late.txt").open("wb") as out:
        second = subprocess.Popen([*PYTEST, "recipes/b.yaml"], cwd=project.path, stdout=out)
    deadline = time.monotonic() + PATIENCE
    waits = "recipes/b.yaml waits for lock"
    while waits not in (project.path / "late.txt").read_text():
        assert time.monotonic() < deadline, (project.path / "late.txt").read_text()
        time.sleep(0.01)
    bench.psu.release.set()

    assert (first.wait(PATIENCE), second.wait(PATIENCE)) == (0, 0)
    assert bench.psu.texts == [
        *("*IDN?", "OUTP ON", "HELD?", *LAST),
        *("*IDN?", "VOLT 9", *LAST),
    ]
    shown = next(
        one for one in (project.path / "late.txt").read_text().splitlines() if waits in one
    )
    assert f"'{bench.psu.resource}': recipes/a.yaml has held it for" in shown


def test_a_line_too_many_is_not_the_answer_to_a_query_of_a_later_recipe(bench: Bench) -> None:
    bench.psu.answers |= {"TWO?": b"333\n444\n", "FAST?": "222"}
    query = "type: scpi, instrument: psu, check_errors: false, commands: "
    limits = ", measurements: {v: {value: result.value, low: 400, high: 500}}"
    bench.project.recipe("a", {"two": f"{query}[{{query: 'TWO?'}}]"})
    bench.project.recipe("b", {"fast": f"{query}[{{query: 'FAST?'}}]{limits}"})
    bench.project.recipe("c", {"again": f"{query}[{{query: 'FAST?'}}]"})

    result = bench.project.run()

    result.assert_outcomes(passed=2, failed=1)
    why = "'FAST?' was not sent: an answer waits that nothing has asked for: '444\\n'"
    assert f"E   psu: {why}" in result.outlines
    assert "FAST?" in bench.psu.texts
    assert bench.psu.connections == 2


def test_samples_are_taken_between_the_commands_of_a_step(bench: Bench) -> None:
    on = "type: scpi, instrument: psu, commands: [OUTP ON, VOLT 5, {query: 'HELD?', as: x}]"
    bench.psu.answers["HELD?"] = "1"
    bench.project.recipe(
        "a",
        {"on": on.replace("instrument", "check_errors: false, instrument")},
        head="sampling: {amps: {instrument: psu, query: 'MEAS:CURR?', every: 20ms, high: 1}}",
    )

    result = bench.project.run()

    result.assert_outcomes(passed=1)
    assert "MEAS:CURR?" in bench.psu.texts
    assert bench.psu.connections == 1
