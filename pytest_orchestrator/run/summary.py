"""A run in a few plain words and numbers, for lists of runs and for reports of one."""

from collections.abc import Iterable
from typing import Any

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.run.record import RunRecord, StepRecord
from pytest_orchestrator.run.verdict import counts, flaky, seconds, verdict, verdict_of


def summary(run: RunRecord, name: str = "") -> dict[str, Json]:
    """Tell of a run what a list of runs has room for.

    Args:
        run: The run.
        name: Its id, where its journal does not even have a beginning.

    Returns:
        Plain data; what is not known is absent.
    """
    told: dict[str, Json] = {
        "id": run.id or name,
        "state": run.state,
        "verdict": verdict(run),
        "start": run.first,
        "seconds": round(seconds(run), 3),
        "recipes": [
            {"recipe": one.key, "verdict": verdict_of(one), "steps": {**counts(one.steps.values())}}
            for one in run.recipes.values()
        ],
        "steps": {**counts(run.steps)},
        "tests": {**_tests(run)},
    }
    if again := flaky(run.steps):
        told["flaky"] = [f"{step.recipe}::{step.name}" for step in again]
    if run.uncollected:
        told["uncollected"] = [one.path for one in run.uncollected]
    if run.finished:
        told["exit_status"] = run.finished.exit_status
    if run.started and run.started.resumed_from:
        told["resumed_from"] = run.started.resumed_from
    if duts := list(dict.fromkeys(_duts(run))):
        told["dut"] = ", ".join(duts)
    return told


def step_row(step: StepRecord) -> dict[str, Json]:
    """Tell of a step what a list of steps has room for."""
    block: dict[str, Any] = step.block or {}
    told: dict[str, Json] = {"recipe": step.recipe, "step": step.name, "state": step.state}
    if step.started:
        told |= {"start": step.started, "attempt": step.attempt}
    used = block.get("resources", {})
    told |= {name: used[name] for name in ("seconds", "max_rss") if name in used}
    told |= step.where
    about = block.get("step", {})
    told |= {name: about[name] for name in ("kind", "reason", "blocked_by") if name in about}
    return told


def _tests(run: RunRecord) -> dict[str, int]:
    """Count the items by what pytest says of them."""
    if run.finished and run.finished.counts:
        return run.finished.counts
    told: dict[str, int] = {}
    for test in run.tests.values():
        told[test.outcome] = told.get(test.outcome, 0) + 1
    return told


def _duts(run: RunRecord) -> Iterable[str]:
    """Name what was tested: a mapping by its values, which are a serial number mostly."""
    for recipe in run.recipes.values():
        dut = (recipe.about.get("test_meta") or {}).get("dut")
        if isinstance(dut, dict):
            yield " ".join(str(value) for value in dut.values())
        elif dut is not None:
            yield str(dut)
