"""Report block of a step: plain data, without figures that were not measured."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.events import Change
from pytest_orchestrator.core.result import (
    Attempt,
    Ended,
    Failure,
    Measurement,
    Process,
    Resources,
    StepResult,
    Stream,
    Verdict,
    Where,
    lasted,
)
from pytest_orchestrator.recipe import load
from pytest_orchestrator.reports.block import block
from pytest_orchestrator.runs.block import Run

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_orchestrator.recipe import Recipe


def block_of(recipe: Recipe, name: str, result: StepResult, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = block(
        recipe,
        recipe.step(name),
        result,
        root=_root(recipe),
        folder=_root(recipe) / "runs" / "1",
        **more,
    )
    assert json.loads(json.dumps(made)) == made
    return made


def _root(recipe: Recipe) -> Path:
    return recipe.path.parent.parent


def test_the_block_of_a_failed_shell_step_is_complete(recipe: Recipe) -> None:
    changes: list[Change] = []
    context = Context().bound("ripple", changes.append)
    context.append("ripple.log_v1", {"mv": 61.4})
    criterion = recipe.step("ripple").success[0]
    result = StepResult(
        step="ripple",
        outcome="failed",
        failure=Failure(kind="exit_code", reason="exit code 3, expected 0 or 4"),
        verdicts=(
            Verdict(
                name="exit_code",
                expected=[0, 4],
                place=criterion.place,
                measured=3,
                unmet="exit code 3, expected 0 or 4",
            ),
        ),
        changes=(msgspec.structs.replace(changes[0], ts="2026-11-25T10:15:11.700100Z"),),
        ended=Ended(
            usage=Resources(
                seconds=4.25, cpu_user_seconds=0.25, max_rss=43306188, source={"cpu": "x"}
            ),
            process=Process(
                argv=("scriptlets/ripple.sh", "3"),
                cwd=str(_root(recipe) / "out"),
                alone="scriptlets/ripple.sh 3",
                exit_code=3,
                stdout=Stream("text", 57),
                stderr=Stream("", 0),
                leftovers=("sleep (pid 7)",),
            ),
        ),
        started=1795601707.4129,
        stopped=1795601711.7005,
    )
    assert block_of(recipe, "ripple", result) == {
        "schema_version": "1.0",
        "run": {"id": "1", "worker": "main"},
        "recipe": {
            "name": "psu_burn_in",
            "path": "recipes/psu.yaml",
            "sha256": recipe.sha256,
            "test_meta": {
                "test_id": "PSU-7",
                "tester": "me",
                "dut": {"serial_number": "A17"},
                "batch": 12,
            },
            "description": "Burns a PSU in.",
        },
        "step": {
            "name": "ripple",
            "node": "recipes/psu.yaml::ripple",
            "index": 2,
            "type": "shell",
            "line": 15,
            "needs": ["flash"],
            "tags": ["nightly"],
            "state": "failed",
            "description": "Measures the ripple.",
            "attempt": 1,
            "kind": "exit_code",
            "place": {"path": "recipes/psu.yaml", "line": 18, "column": 10},
            "reason": "exit code 3, expected 0 or 4",
        },
        "criteria": [
            {
                "name": "exit_code",
                "line": 22,
                "held": False,
                "wanted": [0, 4],
                "measured": 3,
                "reason": "exit code 3, expected 0 or 4",
            }
        ],
        "context": {
            "writes": [
                {
                    "key": "ripple.log_v1",
                    "ts": "2026-11-25T10:15:11.700100Z",
                    "who": "ripple",
                    "op": "append",
                    "old": None,
                    "new": {"mv": 61.4},
                    "index": 0,
                }
            ]
        },
        "time": {
            "start": "2026-11-25T10:15:07.412Z",
            "stop": "2026-11-25T10:15:11.701Z",
            "seconds": 4.25,
            "waited_seconds": 0.0,
        },
        "resources": {
            "seconds": 4.25,
            "cpu_user_seconds": 0.25,
            "max_rss": 43306188,
            "source": {"cpu": "x"},
        },
        "process": {
            "argv": ["scriptlets/ripple.sh", "3"],
            "cwd": "out",
            "stdout_bytes": 57,
            "stderr_bytes": 0,
            "exit_code": 3,
            "leftovers": ["sleep (pid 7)"],
        },
    }


def test_a_blocked_step_has_no_time_and_no_resources(recipe: Recipe) -> None:
    result = StepResult(
        step="ripple",
        outcome="blocked",
        reason="blocked by recipes/psu.yaml::flash",
        blocked_by="flash",
    )
    made = block_of(recipe, "ripple", result)
    assert sorted(made) == ["context", "criteria", "recipe", "run", "schema_version", "step"]
    assert made["step"]["state"] == "blocked"
    assert made["step"]["reason"] == "blocked by recipes/psu.yaml::flash"
    assert made["step"]["blocked_by"] == "flash"


def test_a_passed_python_step_has_no_process_and_no_reason(recipe: Recipe) -> None:
    result = StepResult(step="flash", outcome="passed", meets=True, ended=Ended(usage=lasted(0.5)))
    made = block_of(recipe, "flash", result, run=Run(id="1", worker="gw1"))
    assert not {"process", "where"} & {*made}
    assert made["resources"] == {"seconds": 0.5, "source": {}}
    assert made["run"] == {"id": "1", "worker": "gw1"}
    assert made["step"] == {
        "name": "flash",
        "node": "recipes/psu.yaml::flash",
        "index": 1,
        "type": "python",
        "line": 10,
        "needs": [],
        "tags": ["nightly", "smoke"],
        "state": "passed",
        "attempt": 1,
    }


def test_the_outcome_of_pytest_takes_precedence(recipe: Recipe) -> None:
    result = StepResult(step="flash", outcome="failed", failure=Failure(kind="status", reason="x"))
    assert block_of(recipe, "flash", result, state="xfailed")["step"]["state"] == "xfailed"


def test_a_process_ended_by_a_signal_has_no_exit_code(recipe: Recipe) -> None:
    process = Process(argv=("x",), cwd="/elsewhere", alone="x", signal="SIGKILL")
    ended = Ended(usage=lasted(1.0), process=process)
    made = block_of(recipe, "off", StepResult(step="off", outcome="failed", ended=ended))
    assert made["process"] == {
        "argv": ["x"],
        "cwd": "/elsewhere",
        "stdout_bytes": 0,
        "stderr_bytes": 0,
        "signal": "SIGKILL",
    }


@pytest.mark.parametrize("size", [65_534, 65_535])
def test_a_change_above_64_kib_is_omitted(recipe: Recipe, size: int) -> None:
    changes: list[Change] = []
    Context().bound("flash", changes.append).set("log", "x" * size)
    result = StepResult(step="flash", outcome="passed", changes=tuple(changes))
    (write,) = block_of(recipe, "flash", result)["context"]["writes"]
    assert write["new"] == (
        "x" * size if size == 65_534 else "… 65537 bytes of JSON are left out here …"
    )


def test_a_measured_value_above_64_kib_is_omitted(recipe: Recipe) -> None:
    large, place = "x" * 70_000, recipe.steps[0].at[""]
    verdicts = (
        Verdict(name="result_schema", expected={}, place=place, measured=[large], unmet="no"),
        Verdict(name="a", expected={}, place=place, measured="volts \udcff"),
    )
    measured = (Measurement(name="serial", line=1, value=large, verdict="pass"),)
    result = StepResult(step="flash", outcome="failed", verdicts=verdicts, measurements=measured)
    block = block_of(recipe, "flash", result)
    assert [one["measured"] for one in block["criteria"]] == [
        "… 70004 bytes of JSON are left out here …",
        "volts \udcff",
    ]
    assert block["measurements"][0]["value"] == "… 70002 bytes of JSON are left out here …"


def test_a_recipe_without_a_name_has_the_name_of_its_file(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "bare.yaml"
    path.write_text("steps: [{name: flash, type: shell, cmd: 'true'}]")
    bare = load(path, root=tmp_path)
    made = block_of(bare, "flash", StepResult(step="flash", outcome="passed"))
    assert made["recipe"] == {
        "name": "bare",
        "path": "bare.yaml",
        "sha256": bare.sha256,
        "test_meta": {},
    }


def test_paths_of_logs_and_samples_are_relative_to_the_run_folder(recipe: Recipe) -> None:
    folder = _root(recipe) / "runs" / "1"
    process = Process(
        argv=("x",),
        cwd="/",
        alone="x",
        stdout=Stream("text", 57, str(folder / "logs/psu/ripple.1.stdout")),
        stderr=Stream("text", 99, str(folder / "logs/psu/ripple.1.stderr"), cut=True),
    )
    usage = Resources(seconds=1.0, samples=str(folder / "resources/psu/ripple.1.jsonl"), source={})
    result = StepResult(
        step="ripple", outcome="passed", ended=Ended(usage=usage, process=process), waited=2.5
    )
    made = block_of(recipe, "ripple", result)
    assert made["logs"] == {
        "stdout": {"path": "logs/psu/ripple.1.stdout", "bytes": 57, "cut": False},
        "stderr": {"path": "logs/psu/ripple.1.stderr", "bytes": 99, "cut": True},
    }
    assert made["resources"]["samples"] == "resources/psu/ripple.1.jsonl"
    assert made["time"]["waited_seconds"] == 2.5


def test_earlier_attempts_have_their_own_figures(recipe: Recipe) -> None:
    log = _root(recipe) / "runs/1/logs/psu/ripple.1.stderr"
    process = Process(argv=("x",), cwd="/", alone="x", stderr=Stream("", 5, str(log)))
    earlier = Attempt(
        number=1,
        failure=Failure(kind="timeout", reason="too long"),
        ended=Ended(
            usage=Resources(seconds=0.5, max_rss=7, source={}),
            process=process,
            where=Where("bench-3", "lab-a"),
        ),
        started=1795601707.4129,
        stopped=1795601708.2,
    )
    result = StepResult(
        step="ripple",
        outcome="passed",
        ended=Ended(usage=lasted(1.0), where=Where("bench-4", "lab-b")),
        started=1795601709.5,
        stopped=1795601710.6,
        attempt=2,
        attempts=(earlier,),
    )
    made = block_of(recipe, "ripple", result)
    assert made["step"]["attempt"] == 2
    assert made["where"] == {"worker": "bench-4", "host": "lab-b"}
    assert made["time"] == {
        "start": "2026-11-25T10:15:07.412Z",
        "stop": "2026-11-25T10:15:10.600Z",
        "seconds": 1.0,
        "waited_seconds": 0.0,
        "last_start": "2026-11-25T10:15:09.500Z",
    }
    assert made["attempts"] == [
        {
            "attempt": 1,
            "kind": "timeout",
            "reason": "too long",
            "start": "2026-11-25T10:15:07.412Z",
            "stop": "2026-11-25T10:15:08.200Z",
            "seconds": 0.5,
            "resources": {"seconds": 0.5, "max_rss": 7, "source": {}},
            "where": {"worker": "bench-3", "host": "lab-a"},
            "logs": {"stderr": {"path": "logs/psu/ripple.1.stderr", "bytes": 5, "cut": False}},
        }
    ]


def test_the_window_of_a_step_contains_changes_dated_by_another_clock(recipe: Recipe) -> None:
    def change(ts: str) -> Change:
        return Change("psu.on", ts, "ripple", "set", None, True)

    result = StepResult(
        step="ripple",
        outcome="passed",
        ended=Ended(usage=lasted(1.0)),
        started=1795601707.5,
        stopped=1795601708.6,
        changes=(change("2026-11-25T10:15:06.100200Z"), change("2026-11-25T10:15:09.100200Z")),
    )

    time = block_of(recipe, "ripple", result)["time"]

    assert (time["start"], time["stop"]) == ("2026-11-25T10:15:06.100Z", "2026-11-25T10:15:09.101Z")
