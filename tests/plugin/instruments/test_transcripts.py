"""Exchanges with instruments in the captured log of steps."""

import re
from xml.etree import ElementTree

import pytest

from tests.plugin.instruments.conftest import Bench

SAMPLED = 'sampling: {amps: {instrument: psu, query: "MEAS:CURR?", every: 10ms}}'
OWN = ["psu > MEAS:VOLT?", "psu < +0.0000E+00", "psu > SYST:ERR?", 'psu < 0,"No error"']
ASKS = 'type: scpi, instrument: psu, commands: [{query: "MEAS:VOLT?"}], needs: []'
FAILS = ASKS + ', success: {assert: ["False"]}'
WAITS = "type: shell, needs: [], cmd: 'sleep 0.3; false'"
PYTHON = """
import time


def volts(instrument):
    time.sleep(0.3)
    instrument("psu").query("MEAS:VOLT?")
    assert False
"""


def captured(lines: list[str]) -> list[list[str]]:
    """Return the lines of each section of captured log records on the terminal."""
    found: list[list[str]] = []
    for at, line in enumerate(lines):
        if re.fullmatch(r"-+ Captured log call -+", line):
            rest = lines[at + 1 :]
            ends = [n for n, one in enumerate(rest) if re.match(r"-{5}|_{5}|={5}", one)]
            found.append(rest[: ends[0]])
    return found


@pytest.mark.counted
@pytest.mark.parametrize("options", [(), ("-n1",), ("--color=yes", "--recipe-jobs=2")], ids=str)
def test_the_log_of_a_step_has_only_its_own_exchanges(
    bench: Bench, options: tuple[str, ...]
) -> None:
    bench.project.recipe("a", {"waits": WAITS, "asks": FAILS}, head=SAMPLED)

    result = bench.project.run("--junitxml=junit.xml", "-o", "junit_logging=log", *options)

    assert bench.psu.texts.count("MEAS:CURR?") > 1
    result.assert_outcomes(failed=2)
    lines = [re.sub(r"\x1b\[[\d;]*m", "", one) for one in result.outlines]
    assert captured(lines) == [OWN]
    cases = ElementTree.parse(bench.project.path / "junit.xml").iter("testcase")
    logs = ["".join(one.itertext()) for case in cases for one in case.iter("system-out")]
    assert [one for log in logs for one in log.splitlines() if one.startswith("psu ")] == OWN
    assert "MEAS:CURR?" not in "".join(logs)


@pytest.mark.parametrize("place", ["process", "inline"])
def test_a_function_has_no_exchange_of_a_sampled_value_in_its_log(bench: Bench, place: str) -> None:
    bench.project.write("volts.py", PYTHON)
    step = f"type: python, module: volts, function: volts, isolation: {place}"
    bench.project.recipe("a", {"asks": step}, head=SAMPLED)

    result = bench.project.run()

    assert "MEAS:CURR?" in bench.psu.texts
    assert captured(result.outlines) == [OWN[:2]]
    [log] = bench.project.path.glob(".orchestrator/runs/*T*/logs/**/asks.1.log")
    assert [line.partition(" psu ")[2] for line in log.read_text().splitlines()] == [
        "> MEAS:VOLT?",
        "< +0.0000E+00",
    ]


def test_a_log_format_of_the_project_is_kept(bench: Bench) -> None:
    bench.project.recipe("a", {"asks": FAILS})

    result = bench.project.run("-o", "log_format=%(name)s: %(message)s")

    name = "pytest_orchestrator.instrument.psu"
    assert captured(result.outlines) == [[one.replace("psu", f"{name}:", 1) for one in OWN]]


def test_the_output_of_a_program_stays_as_it_is(bench: Bench) -> None:
    line = "INFO     pytest_orchestrator.instrument.psu:instrument.py:208 > MEAS:VOLT?"
    bench.project.recipe("a", {"one": f"type: shell, cmd: \"echo '{line}'; exit 1\""})

    assert line in bench.project.run().outlines
