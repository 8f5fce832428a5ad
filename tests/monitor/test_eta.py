"""How long a run will go on is told by what its steps took in the runs before."""

from pathlib import Path

import pytest

from pytest_orchestrator.monitor.eta import StepEstimates, to_go
from pytest_orchestrator.monitor.run_cache import RunCache
from pytest_orchestrator.reports.html.timeline import moment
from tests.monitor.conftest import OLDER, RUN
from tests.runs.built import RECIPE, Built

FLASH, MEASURE, RELEASE = ((RECIPE, name) for name in ("flash", "measure", "release"))


def test_what_steps_took_before_is_read_once(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = StepEstimates()

    assert usual.of(bench / RUN, [FLASH]) == {FLASH: 2.0}
    monkeypatch.setattr("pytest_orchestrator.runs.lookup.load_record", None)
    assert usual.of(bench / RUN, [FLASH, MEASURE, RELEASE]) == {FLASH: 2.0, MEASURE: 1.0}
    assert usual.of(bench / OLDER, [FLASH]) == {}


def test_the_rest_is_what_is_usual_less_what_was_run(tmp_path: Path) -> None:
    built = Built(tmp_path, RUN).begin("flash", "measure", "release")
    built.step("flash")
    built.start("measure")
    run = RunCache(tmp_path).see(RUN, lambda sight: sight.record)
    began = moment(run.steps[1].started or "")
    usual = {FLASH: 100.0, MEASURE: 10.0, RELEASE: 5.0}

    assert to_go(run, usual, began) == pytest.approx(15.0)
    assert to_go(run, usual, began + 4) == pytest.approx(11.0)
    assert to_go(run, usual, began + 40) == pytest.approx(5.0)
    assert to_go(run, {MEASURE: 10.0}, began) is None
