"""History of figures in journals: the runs that count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_orchestrator.core.events import InstrumentOpened
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.compare.history import History
from pytest_orchestrator.runs.history import store
from pytest_orchestrator.runs.history.backfill import backfill
from tests.runs.built import RECIPE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest

    from pytest_orchestrator.runs.history.drift import Value
    from pytest_orchestrator.runs.history.model import PastRun
    from tests.runs.built import Runs


def numbers(values: Sequence[Value]) -> list[float]:
    return [one.number for one in values]


def test_figures_are_those_of_the_last_passing_runs(runs: Runs) -> None:
    for value in (1.0, 2.0, 3.0):
        runs.new().begin("a", "b").step("a", seconds=value, measured={"mv": value}).seal()
    runs.new().begin("a", "b").step("a", seconds=9.0).step("b", "failed").seal(1)
    runs.new().begin("a", "b").step("a", seconds=8.0).cut()
    cut = runs.new().begin("a", "b").step("a", seconds=7.0)
    cut.start("b")
    cut.cut()
    history = History(runs.base)

    figures = history.figures(RECIPE, "a", 3)
    assert numbers(figures["seconds"]) == [3.0, 2.0, 1.0]
    assert numbers(figures["measurements.mv"]) == [3.0, 2.0, 1.0]
    assert history.figures(RECIPE, "b", 3) == {}
    assert history.figures("recipes/other.yaml", "a", 3) == {}


def test_a_running_or_damaged_run_does_not_count(runs: Runs) -> None:
    _, bad = runs.history(1.0, 2.0)
    path = bad / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b"burn_in", b"burn_on", 1))
    running = runs.new().begin("burn_in").step("burn_in")

    assert numbers(History(runs.base).figures(RECIPE, "burn_in", 9)["seconds"]) == [1.0]
    running.cut()


def test_a_run_that_restored_all_steps_but_services_and_finally_does_not_count(
    runs: Runs,
) -> None:
    first = runs.new().begin("a").step("a", seconds=1.0).seal()
    again = runs.new().begin("a", "serve").restore("a", first.name)
    again.step("serve", background=True).seal()
    history = History(runs.base)

    assert len([*history.of(RECIPE)]) == 1
    other = runs.new().begin("a", "b").restore("a", first.name).step("b", seconds=2.0).seal()
    history = History(runs.base)
    assert numbers(history.figures(RECIPE, "b", 9)["seconds"]) == [2.0]
    assert lookup.load_record(other).recipes[RECIPE].is_tested


def test_each_run_is_read_once_and_only_when_needed(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = runs.history(*map(float, range(20)))[::-1]
    backfill(runs.base)
    load, read = store.load, []

    def loaded(base: Path, run: str, *more: Any) -> PastRun | None:
        read.append(base / run)
        return load(base, run, *more)

    monkeypatch.setattr(store, "load", loaded)
    history = History(runs.base)

    assert numbers(history.figures(RECIPE, "burn_in", 3)["seconds"]) == [19.0, 18.0, 17.0]
    assert read == folders[:3]
    history.figures(RECIPE, "burn_in", 20)
    assert read == folders
    assert [*history.of("recipes/other.yaml")] == []


def test_a_measurement_goes_back_to_the_change_of_its_limits(runs: Runs) -> None:
    for number in range(60):
        limits = {"low": 0.0, "high": 9.0 if number < 15 else 10.0}
        runs.new().begin("a").step("a", measured={"mv": float(number)}, limits=limits).seal()
    found = History(runs.base).figures(RECIPE, "a", 3)["measurements.mv"]

    assert numbers(found) == [float(number) for number in range(59, 13, -1)]
    assert found[0].limits == (0.0, 10.0)


def test_a_gauge_study_and_the_other_kind_of_instruments_are_no_reference(runs: Runs) -> None:
    runs.new().begin("a").step("a", measured={"mv": 1.0}).seal()
    runs.new(test_meta={"study": "grr-1"}).begin("a").step("a", measured={"mv": 2.0}).seal()
    run = runs.new().begin("a")
    resource = "TCPIP::psu::INSTR"
    run.add(
        InstrumentOpened(recipe=RECIPE, instrument="psu", resource=resource, simulation="a.yaml")
    )
    run.step("a", measured={"mv": 3.0}).seal()
    history = History(runs.base)

    def found(*, simulated: bool | None) -> list[float]:
        figures = history.figures(RECIPE, "a", 9, simulated=simulated)
        return numbers(figures["measurements.mv"])

    assert found(simulated=False) == [1.0]
    assert found(simulated=True) == [3.0]
    assert found(simulated=None) == [3.0, 1.0]
