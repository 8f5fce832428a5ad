"""Python samples, called directly and run as programs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator import Context
from scriptlets.python.steps.cdu_readings import collect_readings
from scriptlets.python.steps.cdu_report import write_report
from scriptlets.python.steps.cdu_statistics import CduStatistics, figures_of
from scriptlets.python.steps.compute_message_length import ComputeMessageLength
from scriptlets.python.steps.sample_step import SampleStep

STEPS = Path(__file__).parents[2] / "scriptlets/python/steps"
READING = {
    "poll": 1,
    "supply_pressure_kpa": 320.0,
    "return_pressure_kpa": 180.5,
    "supply_temperature_c": 32.0,
    "return_temperature_c": 41.75,
}


def run_program(script: str, **given: object) -> "subprocess.CompletedProcess[str]":
    options = [f"--{name}={json.dumps(value)}" for name, value in given.items()]
    return subprocess.run(
        [sys.executable, STEPS / script, *options], capture_output=True, text=True, check=False
    )


def with_readings(*readings: dict[str, Any]) -> Context:
    ctx = Context()
    ctx.set("cdu.readings_v1", list(readings))
    return ctx


@pytest.mark.parametrize(
    ("script", "given", "result", "logged"),
    [
        (
            "sample_step.py",
            {"params": {"message": "Hi"}},
            {"status": "ok", "recorded_key": "sample.message_v1"},
            "message kept: Hi",
        ),
        (
            "compute_message_length.py",
            {"params": {"message": "Hello"}},
            {"status": "ok", "key": "metrics.message_length_v1", "length": 5},
            "the message has 5 characters",
        ),
        (
            "cdu_statistics.py",
            {"params": {"limits": {}}, "context": {"cdu.readings_v1": [READING]}},
            {"status": "ok", "figures": figures_of([READING])},
            "delta_pressure: 139.5 kPa",
        ),
    ],
)
def test_a_sample_run_as_a_program_prints_one_json_object(
    script: str, given: dict[str, object], result: dict[str, object], logged: str
) -> None:
    done = run_program(script, **given)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == result
    assert logged in done.stderr


def test_readings_are_collected_and_reported_by_programs(tmp_path: Path) -> None:
    source = tmp_path / "readings.jsonl"
    source.write_text(json.dumps(READING))
    collected = run_program("cdu_readings.py", params={"path": str(source), "polls": 1})
    reported = run_program(
        "cdu_report.py",
        params={"folder": str(tmp_path / "new/report")},
        context={"cdu.readings_v1": [READING], "cdu.mean_x_v1": 1, "other": 2},
    )

    assert json.loads(collected.stdout) == {"status": "ok", "polls": 1}
    assert json.loads(reported.stdout)["status"] == "ok"
    assert (tmp_path / "new/report/readings.csv").read_bytes() == (
        b"poll,supply_pressure_kpa,return_pressure_kpa,supply_temperature_c,return_temperature_c\r\n"
        b"1,320.0,180.5,32.0,41.75\r\n"
    )
    assert json.loads((tmp_path / "new/report/figures.json").read_bytes()) == {"cdu.mean_x_v1": 1}


@pytest.mark.parametrize(
    ("script", "given", "message"),
    [
        ("sample_step.py", {}, "'message' must be text that is not empty, not None"),
        ("compute_message_length.py", {}, "'message' must be text, not None"),
        ("cdu_readings.py", {}, "'path' must name the file of the readings"),
        ("cdu_readings.py", {"params": {"path": "/nowhere"}}, "/nowhere: [Errno 2] No such file"),
        ("cdu_statistics.py", {}, "no readings in the Context under 'cdu.readings_v1'"),
        ("cdu_report.py", {}, "'folder' must say where to write"),
        ("cdu_report.py", {"params": {"folder": "x"}}, "no readings in the Context under"),
    ],
)
def test_a_sample_run_as_a_program_reports_errors_with_exit_code_1(
    script: str, given: dict[str, object], message: str
) -> None:
    done = run_program(script, **given)

    assert done.returncode == 1
    assert message in done.stderr


def test_sample_step_keeps_its_message() -> None:
    ctx = Context()
    SampleStep().run(ctx, {"message": "Hi"})

    assert ctx.to_dict() == {"sample.message_v1": "Hi"}
    assert ctx.get_history("sample.message_v1")[-1]["who"] == "sample_step"


@pytest.mark.parametrize("message", [None, "", 3, ["Hi"]])
def test_sample_step_refuses_an_invalid_message(message: object) -> None:
    with pytest.raises(ValueError, match="'message' must be text that is not empty"):
        SampleStep().validate(Context(), {"message": message})


def test_the_length_of_a_message_is_in_characters() -> None:
    ctx = Context()
    result = ComputeMessageLength().run(ctx, {"message": "Grüß dich"})

    assert result == {"status": "ok", "key": "metrics.message_length_v1", "length": 9}
    assert ctx.get("metrics.message_length_v1") == 9


def test_readings_are_appended_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "readings.jsonl"
    path.write_text(f"{json.dumps(READING)}\n" * 3)
    ctx = Context()
    collect_readings(ctx, {"path": str(path), "polls": 3})

    assert ctx.get("cdu.readings_v1") == [READING] * 3
    assert [c["op"] for c in ctx.get_history("cdu.readings_v1")] == ["set", *["append"] * 3]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "0 readings, expected 1"),
        (f"{json.dumps(READING)}\n" * 2, "2 readings, expected 1"),
        ("no json\n", "line 1 is not JSON: 'no json'"),
        (
            f"{json.dumps(READING)}\n[]\n",
            f"line 2 has no number for {', '.join(list(READING)[1:])}",
        ),
        (
            json.dumps({**READING, "supply_pressure_kpa": True}),
            "line 1 has no number for supply_pressure_kpa",
        ),
    ],
)
def test_an_invalid_file_leaves_the_context_unchanged(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = tmp_path / "readings.jsonl"
    path.write_text(text)
    ctx = Context()
    result = collect_readings(ctx, {"path": str(path), "polls": 1})

    assert result == {"status": "error", "reason": f"{path}: {reason}"}
    assert ctx.to_dict() == {}


def test_deltas_are_differences_of_supply_and_return() -> None:
    figures = figures_of([READING, {**READING, "return_temperature_c": 42.25}])

    assert figures["mean_return_temperature"] == 42.0
    assert figures["delta_temperature"] == 10.0
    assert figures["delta_pressure"] == 139.5


@given(st.lists(st.floats(-50, 500), min_size=1))
def test_a_mean_lies_between_the_lowest_and_the_highest(pressures: list[float]) -> None:
    readings = [{**READING, "supply_pressure_kpa": pressure} for pressure in pressures]
    mean = figures_of(readings)["mean_supply_pressure"]

    assert min(pressures) - 0.001 <= mean <= max(pressures) + 0.001


def test_every_figure_outside_its_limits_is_named() -> None:
    ctx = with_readings(READING)
    limits = {
        "delta_pressure": {"low": 140},
        "delta_temperature": {"low": 8, "high": 9.5},
        "mean_supply_pressure": {"low": 320, "high": 320},
    }
    result = CduStatistics().run(ctx, {"limits": limits})

    assert result == {
        "status": "error",
        "reason": "delta_pressure is 139.5 kPa, below 140 kPa; "
        "delta_temperature is 9.75 K, above 9.5 K",
    }
    assert ctx.get("cdu.delta_pressure_v1") == 139.5


def test_a_limit_of_an_unknown_figure_is_refused() -> None:
    with pytest.raises(ValueError, match="no such figure: flow; there are mean_supply_pressure, "):
        CduStatistics().validate(with_readings(READING), {"limits": {"flow": {"low": 1}}})


def test_an_unwritable_folder_gives_an_error_status() -> None:
    result = write_report(with_readings(READING), {"folder": "/dev/null/report"})

    assert result == {
        "status": "error",
        "reason": "[Errno 20] Not a directory: '/dev/null/report'",
    }
