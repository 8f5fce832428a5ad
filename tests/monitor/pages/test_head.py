"""Remaining time of a run, estimated from the durations of its steps in earlier runs."""

from pathlib import Path

import pytest

from pytest_orchestrator.core.events import RecipeStarted, epoch_seconds
from pytest_orchestrator.monitor.pages.head import Remaining, remaining_time
from pytest_orchestrator.monitor.run_cache import RunCache
from tests.monitor.conftest import RUN
from tests.runs.built import RECIPE, Built

FLASH, MEASURE, RELEASE = ((RECIPE, name) for name in ("flash", "measure", "release"))


def test_remaining_time_is_the_estimate_minus_the_elapsed_time(tmp_path: Path) -> None:
    built = Built(tmp_path, RUN).begin("flash", "measure", "release")
    built.step("flash")
    built.start("measure")
    run = RunCache(tmp_path).read(RUN, lambda view: view.record)
    began = epoch_seconds(run.steps[1].started or "")
    estimates = {FLASH: 100.0, MEASURE: 10.0, RELEASE: 5.0}

    assert remaining_time(run, estimates, began) == pytest.approx((15.0, True))
    assert remaining_time(run, estimates, began + 4) == pytest.approx((11.0, True))
    assert remaining_time(run, estimates, began + 40) == pytest.approx((5.0, True))
    # A step without history makes the time a lower bound.
    assert remaining_time(run, {MEASURE: 10.0}, began) == Remaining(10.0, is_whole=False)
    assert remaining_time(run, {}, began) is None


def test_steps_that_were_not_selected_have_no_remaining_time(tmp_path: Path) -> None:
    built = Built(tmp_path, RUN)
    steps = tuple({"name": name} for name in ("flash", "measure", "release"))
    event = RecipeStarted(recipe=RECIPE, about={}, steps=steps, unselected=("release",))
    built.add(event)
    built.start("flash")
    run = RunCache(tmp_path).read(RUN, lambda view: view.record)
    began = epoch_seconds(run.steps[0].started or "")
    estimates = {FLASH: 1.0, MEASURE: 10.0, RELEASE: 5.0}

    assert remaining_time(run, estimates, began) == pytest.approx((11.0, True))
