"""A run of a production line: several units, one with failures, and a matrix with a bad cell."""

from pathlib import Path
from typing import Any

from pytest_orchestrator.core.events import TestReported
from tests.runs.built import Built

RUN = "20261126T000000Z-0001"
UNITS = 7
BAD = 5
REASON = "exit code 4, expected 0"


def line_run(base: Path) -> Built:
    """Return a run of seven units, of which the sixth has failed, and of a matrix of four cells."""
    run = Built(base, RUN)
    for unit in range(UNITS):
        meta = {
            "dut": {"serial": f"SN{unit:04}", "board": "B2, rev C"},
            "test_id": "T-1",
            "operator": "Ada",
            "customer": "ACME",
            "limits_doc": "LIM-2031",
        }
        _recipe(run, f"recipes/unit_{unit}.yaml", name=f"unit {unit}", test_meta=meta)
        run.begin("flash", "measure", "camera", "release", "off")
        run.step("flash")
        bad = unit == BAD
        run.step("measure", measured={"ripple": 12.5 + unit}, limits={"high": 50, "margin": 37.5})
        run.step("camera", "failed", reason="exit code 1, expected 0", kind="exit_code")
        run.add(
            TestReported(
                node=f"{run.recipe}::camera",
                outcome="xfailed",
                reason="BUG-17 no camera",
                seconds=0.1,
                recipe=run.recipe,
                step="camera",
            )
        )
        if bad:
            run.step("release", "failed", reason=REASON, kind="exit_code")
            run.step("off", "failed", reason=REASON.replace("4", "7"), kind="exit_code")
        else:
            run.step("release").step("off")
    for load in (1, 2):
        for gain in (10, 20):
            cell = f"gain:{gain},load:{load}"
            matrix = {"gain": gain, "load": load}
            _recipe(run, f"recipes/sweep.yaml[{cell}]", name="sweep", cell=cell, matrix=matrix)
            run.about["path"] = "recipes/sweep.yaml"
            run.begin("sweep", "off")
            if (gain, load) == (20, 2):
                run.step("sweep", "failed", reason="level = -8 dB, min -6 dB", kind="criterion")
                run.step("off", "blocked", blocked_by=f"{run.recipe}::sweep")
            else:
                run.step("sweep").step("off")
    outcomes: dict[str, Any] = {"ok": "passed", "bad": "failed", "skip": "skipped"}
    for name, outcome in outcomes.items():
        reason = "assert 1 == 2" if outcome == "failed" else ""
        run.add(
            TestReported(
                node=f"tests/test_x.py::{name}", outcome=outcome, reason=reason, seconds=0.1
            )
        )
    run.seal(1)
    return run


def _recipe(run: Built, key: str, **about: Any) -> None:
    run.recipe = key
    run.about = {"path": key, "sha256": "0" * 64, "test_meta": {}} | about
