"""Recipes of the simulated power supply: their Context and files, and replies of the supply."""

import csv
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator import Context
from scriptlets.python.steps.psu_report import write_report

SUPPLY = Path(__file__).parents[2] / "scriptlets/shell/simulate_psu.sh"
CELL = {"gain": 2, "load": "full"}


def sent(*commands: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [SUPPLY],
        input="\n".join(commands),
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


def answer(*commands: str) -> dict[str, Any]:
    reply: dict[str, Any] = json.loads(sent(*commands).stdout)
    return reply


@pytest.mark.recipe("recipes/psu_bench.yaml")
def test_the_session_context_has_the_bench(ctx: Context) -> None:
    assert ctx.get("bench") == {"serial_v1": "SIM-0007", "firmware_v1": "2.4"}


@pytest.mark.recipe("recipes/psu_burn_in.yaml", matrix=CELL)
def test_a_supply_settles_in_three_minutes(ctx: Context, orchestrator_context: Context) -> None:
    assert ctx.get("psu.drift_mv_v1") == 5.0
    assert "psu.drift_mv_v1" not in orchestrator_context


@pytest.mark.recipe("recipes/psu_burn_in.yaml", matrix=CELL)
def test_the_table_has_a_row_for_each_channel(pytestconfig: pytest.Config) -> None:
    with (pytestconfig.rootpath / "out/psu/gain_2_full.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    assert [(row["channel"], row["volts"]) for row in rows] == [("1", "11.976"), ("2", "-11.976")]


def test_a_load_lowers_the_voltage_and_ripple_grows_with_it_and_the_gain() -> None:
    idle = answer("VOLT 12", "OUTP ON")
    full = answer("VOLT 12", "LOAD full", "GAIN 2", "OUTP ON")

    assert (idle["volts"], idle["ripple_mv"]) == (12.0, 8.0)
    assert (full["volts"], full["ripple_mv"]) == (11.976, 29.0)


def test_drift_halves_each_minute() -> None:
    drifts = [answer("OUTP ON", f"WAIT {minutes}")["drift_mv"] for minutes in range(4)]

    assert drifts == [40.0, 20.0, 10.0, 5.0]


def test_a_short_trips_the_output_which_is_no_error() -> None:
    done = sent("VOLT 12", "LOAD short", "OUTP ON")

    assert done.returncode == 3
    assert json.loads(done.stdout) == {
        "status": "ok",
        "serial": "SIM-0007",
        "channel": 1,
        "volts": 0.0,
        "ripple_mv": 0.0,
        "drift_mv": 0.0,
        "tripped": True,
    }


def test_an_output_that_is_off_has_no_voltage() -> None:
    assert answer("VOLT 12", "INST 2")["volts"] == 0
    assert answer("VOLT 12", "INST 2")["channel"] == 2


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("VOLT 25", "VOLT must be a number from -24 to 24"),
        ("VOLT twelve", "VOLT must be a number from -24 to 24"),
        ("INST", "INST must be a number from 1 to 2"),
        ("LOAD big", "LOAD must be idle, half, full or short"),
        ("OUTP 1", "OUTP must be ON or OFF"),
        ("CURR 1", "no such command"),
    ],
)
def test_a_wrong_command_is_reported(command: str, reason: str) -> None:
    done = sent("VOLT 12", command, "OUTP ON")

    assert done.returncode == 1
    assert json.loads(done.stdout) == {"status": "error", "reason": reason}
    assert reason in done.stderr


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({}, "'rows' must contain measurements"),
        ({"path": "/dev/null/x", "rows": [{}]}, "[Errno "),
    ],
)
def test_a_report_that_cannot_be_written_gives_the_reason(
    params: dict[str, Any], reason: str
) -> None:
    result = write_report(params)

    assert result["status"] == "error"
    assert result["reason"].startswith(reason)
