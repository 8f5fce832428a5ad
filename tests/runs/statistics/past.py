"""Builders of past runs for the tests of statistics and exports."""

from typing import Any

from msgspec import UNSET

from pytest_orchestrator.runs.history.model import PastMeasurement, PastRecipe, PastRun, PastStep

RECIPE = "recipes/psu.yaml"


def measured(name: str, value: Any, **more: Any) -> PastMeasurement:
    fields = {"unit": "V", "low": 4.9, "high": 5.1, "verdict": "pass", "line": 4, **more}
    return PastMeasurement(name=name, value=UNSET if value is None else value, **fields)


def step(
    name: str = "rail", state: str = "passed", *values: PastMeasurement, **more: Any
) -> PastStep:
    fields: dict[str, Any] = {"attempts": 1, "seconds": 0.5, **more}
    return PastStep(name=name, state=state, measurements=values, **fields)


def recipe(*steps: PastStep, dut: Any = "A17", verdict: Any = "passed", **more: Any) -> PastRecipe:
    fields: dict[str, Any] = {
        "path": RECIPE,
        "name": "psu",
        "started": "",
        "selected": 2,
        "total": 2,
    }
    fields |= {"key": RECIPE, "test_meta": {} if dut is None else {"dut": dut}} | more
    return PastRecipe(verdict=verdict, steps=steps, **fields)


def run(number: int, *recipes: PastRecipe, **more: Any) -> PastRun:
    """Return a run that began a number of minutes after the first one."""
    started = f"2026-11-25T10:{number:02}:00.000000Z"
    run_id = f"20261125T10{number:02}00Z-{number:04x}"
    verdict = "failed" if any(one.verdict != "passed" for one in recipes) else "passed"
    fields: dict[str, Any] = {"state": "finished", "verdict": verdict, "seal": "5ea1"} | more
    return PastRun(id=run_id, started=started, recipes=recipes, **fields)
