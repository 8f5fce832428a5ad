"""Estimate of the remaining time of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.plugin.reporting.remaining_time import RemainingTime
from pytest_orchestrator.recipe import load
from tests.runs.built import Runs

if TYPE_CHECKING:
    from pathlib import Path

X, Y = "recipes/x.yaml", "recipes/y.yaml[volt:3]"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a run; in three earlier runs the steps took 20, 30 and 5 s."""
    runs = Runs(tmp_path)
    for factor in (1, 2, 9):
        earlier = runs.new(X).begin("flash", "burn_in", "off")
        earlier.step("flash", seconds=10.0 * factor).step("burn_in", seconds=15.0 * factor).seal()
    runs.new(Y, cell="volt:3").begin("ramp[at:1]").step("ramp[at:1]", seconds=5.0).seal()
    return runs.base / "20991231T000000Z-ffff"


def _read(estimate: RemainingTime) -> RemainingTime:
    estimate.read(lambda: False)
    return estimate


def test_the_remaining_time_is_what_the_steps_took_in_earlier_runs(folder: Path) -> None:
    estimate = RemainingTime(folder)
    estimate.expect([(X, "flash"), (X, "burn_in"), (Y, "ramp[at:1]")], [])

    assert estimate.seconds(set(), {}) is None
    _read(estimate)
    assert estimate.seconds(set(), {}) == 20 + 30 + 5
    assert estimate.seconds({(X, "flash")}, {(X, "burn_in"): 12.0}) == 18 + 5
    assert estimate.seconds({(X, "flash")}, {(X, "burn_in"): 99.0}) == 5
    assert estimate.seconds({(X, "flash"), (X, "burn_in"), (Y, "ramp[at:1]")}, {}) is None


def test_a_step_without_an_earlier_duration_makes_the_remaining_time_unknown(folder: Path) -> None:
    estimate = _read(RemainingTime(folder))
    estimate.expect([(X, "flash"), (X, "off")], [])

    assert estimate.seconds(set(), {}) is None
    assert estimate.seconds({(X, "off")}, {}) == 20


@pytest.mark.counted
def test_parallel_steps_and_workers_shorten_the_remaining_time(folder: Path) -> None:
    path = folder.parent / "recipes/x.yaml"
    path.parent.mkdir()
    path.write_text(
        "steps:\n  - {name: flash, type: shell, cmd: x}\n"
        "  - {name: burn_in, type: shell, cmd: x, needs: []}\n"
        "  - {name: off, type: shell, cmd: x, needs: [flash]}\n"
    )
    steps = [(X, "flash"), (X, "burn_in"), (Y, "ramp[at:1]")]
    jobs = _read(RemainingTime(folder, jobs=2))
    jobs.expect(steps, [load(path, root=folder.parent)])
    workers = _read(RemainingTime(folder, workers=2))
    workers.expect(steps, [])

    assert jobs.seconds(set(), {}) == 30 + 5
    assert workers.seconds(set(), {}) == 20 + 30
    assert workers.seconds({(X, "burn_in")}, {(X, "flash"): 16.0}) == 5


@pytest.mark.counted
def test_a_controller_finds_its_steps_by_their_node_ids(folder: Path) -> None:
    estimate = RemainingTime(folder)
    estimate.expect_nodes({"recipes/x.yaml::flash", "recipes/y.yaml::ramp[volt:3,at:1]"})
    assert _read(estimate).seconds(set(), {}) == 25
    assert estimate.seconds({(Y, "ramp[at:1]")}, {}) == 20

    other = RemainingTime(folder)
    other.expect_nodes({"recipes/x.yaml::flash", "recipes/x.yaml::new"})
    assert _read(other).seconds(set(), {}) is None


def test_reading_ends_early_and_is_repeated(folder: Path) -> None:
    estimate = RemainingTime(folder)
    estimate.expect([(X, "flash")], [])

    estimate.read(lambda: True)
    assert estimate.seconds(set(), {}) is None
    assert _read(estimate).seconds(set(), {}) == 20
