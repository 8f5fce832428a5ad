"""What tabs show, without a browser."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from dash import no_update
from plotly.utils import PlotlyJSONEncoder

from pytest_orchestrator.core.events import StepWaits
from pytest_orchestrator.monitor.pages import (
    comparison,
    context,
    log,
    measurements,
    resources,
    steps,
    timeline,
)
from pytest_orchestrator.monitor.pages.common import Asked, key
from pytest_orchestrator.monitor.pages.run import bar
from pytest_orchestrator.monitor.pages.steps import drawer, view
from pytest_orchestrator.monitor.run_cache import RunCache, RunView
from tests.monitor.conftest import OLDER, RUN
from tests.reports.sample_run import RECIPE, psu_run
from tests.runs.built import Built

LATER = "20261126T000000Z-0003"


def text(component: Any) -> str:
    return json.dumps(component, cls=PlotlyJSONEncoder, ensure_ascii=False)


@pytest.fixture
def psu(tmp_path: Path) -> RunView:
    psu_run(tmp_path / "runs" / "20261101T000000Z-0001").seal()
    psu_run(tmp_path / "runs" / RUN).seal()
    return RunCache(tmp_path / "runs").see(RUN, lambda sight: sight)


def test_the_drawer_has_what_reports_tell_of_a_step(psu: RunView) -> None:
    shown = {step.name: text(drawer(view(psu, step))) for step in psu.record.steps}

    for told in ("ripple = 61.4 mV, high 50 mV", "WARN probe", "margin -11.4", "probe is busy"):
        assert told in shown["measure_ripple"]
    for told in ("scriptlets/shell/flash.sh --fast", "dut.firmware_v1", "exit_code", "FIRMWARE"):
        assert told in shown["flash"]
    assert "blocked by measure_ripple" in shown["release"]


def test_the_bar_counts_and_estimates(bench: Path) -> None:
    built = Built(bench, LATER, start=time.time_ns() // 1000).begin("flash", "measure")
    built.step("flash")
    usual = {(built.recipe, name): 60.0 for name in ("flash", "measure")}
    shown = RunCache(bench).see(LATER, lambda sight: text(bar(sight, usual, time.time())))

    assert "1 of 2 steps · 1 passed, 1 waiting · " in shown
    assert "about 1:00 to go" in shown


def test_bars_of_the_timeline_tell_waits_from_tries(psu: RunView) -> None:
    figure = timeline.drawn(psu, Asked(f"{RECIPE}::measure_ripple"))
    shapes = {
        (
            trace.marker.color,
            trace.marker.pattern.shape,
            hover.partition(": ")[2].rpartition(" ")[0],
        )
        for trace in figure.data
        if trace.type == "bar"
        for hover in trace.hovertext
    }
    words = {" ".join(told.split()[:-1]) for _, _, told in shapes}

    assert words == {"ran", "tried", "waited for a lock", "waited to be tried again"}
    assert any(shape == "/" for _, shape, told in shapes if told.startswith("waited to be"))
    assert set(figure.data[-1].hovertext) >= {"set dut.firmware_v1"}


def test_rows_of_steps_are_those_that_changed(bench: Path) -> None:
    built = Built(bench, LATER).begin("flash", "measure", "release")
    built.step("flash")
    watch = RunCache(bench)
    line = watch.see(LATER, lambda sight: sight.record.lines)
    built.add(StepWaits(recipe=built.recipe, step="measure", lock="psu", owner="station_2"))
    run = watch.see(LATER, lambda sight: sight.record)

    rows = list(steps.rows(run.steps, 0.0, line))
    assert [row["step"] for row in rows] == ["measure"]
    assert rows[0]["locks"].startswith("waits for psu, which station_2 has, since ")
    first = next(iter(steps.rows(run.steps, 0.0)))
    assert (first["state"], first["seconds"], first["peak"]) == ("✔ passed", 1.0, 50.0)


def test_workers_have_a_column_where_there_are_any(psu: RunView, tmp_path: Path) -> None:
    built = Built(tmp_path / "away", LATER).begin("flash", "measure")
    built.step("flash", where={"worker": "bench-3", "host": "lab-a"}).step("measure")
    sight = RunCache(tmp_path / "away").see(LATER, lambda sight: sight)

    assert [row["worker"] for row in steps.rows(sight.record.steps, 0.0)] == [
        "bench-3 of lab-a",
        "",
    ]
    asked = Asked("steps", None)
    assert '"headerName": "worker"' in text(steps.layout(sight, asked))
    assert '"headerName": "worker"' not in text(steps.layout(psu, asked))
    assert steps.version(sight)[3] == steps.version(psu)[3] + 1
    first, second = (text(drawer(view(sight, step))) for step in sight.record.steps)
    assert "on worker bench-3 of lab-a" in first
    assert "on worker" not in second


def test_the_context_is_shown_as_it_was(bench: Path) -> None:
    run = RunCache(bench).see(RUN, lambda sight: sight.record)

    assert [row["value"] for row in context.rows(run, None)] == ["A18"]
    assert [row["value"] for row in context.rows(run, 1)] == ["A17"]
    assert [row["value"] for row in context.rows(run, 0)] == ["A17"]  # written before it began
    shown = text(context.history(run.changes, "\ndut.serial_v1"))
    assert [shown.count(value) for value in ("A17", "A18")] == [2, 1]  # new, then old and new
    assert "Select a key" in text(context.history(run.changes, "\nnone"))
    assert "Select a key" in text(context.history(run.changes, "../x"))


def test_a_slider_that_was_moved_stays_though_the_page_asks_again(bench: Path) -> None:
    built = Built(bench, LATER).begin("flash", "measure", "release")
    built.step("flash")
    built.step("measure")
    watch = RunCache(bench)

    def ask(value: int, seen: Any) -> tuple[Any, ...]:
        return watch.see(LATER, lambda sight: context.refreshed(sight, value, seen))

    first = watch.see(LATER, lambda sight: context.version(sight, None))
    assert ask(2, first)[2:5] == (2, no_update, "as it is now")
    # The page has put it at 1 and asks a second time before it was answered.
    assert ask(1, first)[2:5] == (2, no_update, "as of step 1 of 2: flash")
    *_, end, place, told, moved = ask(1, first)
    assert (end, place, told) == (2, no_update, "as of step 1 of 2: flash")
    built.step("release")
    assert ask(1, moved)[2:5] == (3, no_update, "as of step 1 of 3: flash")
    # It is at the end that the page knew, which is now another one.
    assert ask(2, moved)[2:5] == (3, 3, "as it is now")
    assert ask(2, first)[2:5] == (3, 3, "as it is now")


def test_a_key_that_changes_keeps_its_place_in_the_tree(tmp_path: Path) -> None:
    built = Built(tmp_path, RUN).begin("flash")
    for key_name in ("cdu.serial_v1", "dut.a.x", "dut.b", "dut"):
        built.change("flash", key_name, 1)
    built.change("flash", "cdu.serial_v1", 2, scope=built.recipe)
    watch = RunCache(tmp_path)
    line = watch.see(RUN, lambda sight: sight.record.lines)
    built.change("flash", "cdu.serial_v1", 3)
    built.change("flash", "dut.a.x", 3)
    built.change("flash", "cdu.serial_v1", 3, scope=built.recipe)
    run = watch.see(RUN, lambda sight: sight.record)

    everything = [row for row in context.rows(run, None) if not row.get("branch")]
    shown = [(row["name"], row["level"], row["value"]) for row in everything]
    assert shown[:4] == [("cdu.serial_v1", 0, "3"), ("dut", 0, "1"), ("a.x", 1, "3"), ("b", 1, "1")]
    assert context.changed(run, line) == [row for row in everything if row["value"] == "3"]
    assert context.changed(run, run.lines) == []


def test_measurements_stand_beside_their_limits_and_their_past(psu: RunView) -> None:
    table = text(measurements.table(psu))
    trend = measurements.trend(psu)

    assert table.index("ripple") < table.index("noise") < table.index("offset")
    assert "text-failed" in table
    assert [one.text for one in trend.figure.layout.annotations][1] == "measure_ripple: ripple, mV"
    assert list(trend.figure.data[1].y) == [61.4, 61.4]


def test_resources_have_curves_limits_and_sums(psu: RunView) -> None:
    step = psu.record.recipes[RECIPE].steps["flash"]
    assert step.block is not None
    step.block["criteria"].append({"name": "max_rss_mb", "held": True, "wanted": 64})

    curve, totals = resources.drawn(psu, Asked(key(step)))
    assert [shape.y0 for shape in curve.layout.shapes] == [64]
    assert len(curve.data) == 2
    assert set(totals.data[0].customdata) >= {key(step)}
    everything, _ = resources.drawn(psu, Asked(None))
    assert len(everything.data) > 2


def test_a_log_is_added_to_by_what_is_new_and_filtered(bench: Path) -> None:
    built = Built(bench, LATER).begin("flash")
    built.start("flash")
    path = built.write("logs/psu/flash.1.stdout", "one\ntwo\n")
    watch = RunCache(bench)

    def look(wanted: str, seen: Any) -> tuple[Any, ...]:
        return watch.see(LATER, lambda sight: log.shown(sight, None, wanted, seen))

    out, _, told, seen = look("", None)
    assert (out, told) == (["one\ntwo\n"], "flash, try 1")
    assert look("TWO", None)[0] == ["two\n"]
    with path.open("a", encoding="utf-8") as file:
        file.write("three\n")
    out, _, _, seen = look("", seen)
    assert out.to_plotly_json()["operations"] == [
        {"operation": "Append", "location": [], "params": {"value": "three\n"}}
    ]
    assert "operations" not in text(look("", seen)[0])


def test_two_runs_are_compared(bench: Path) -> None:
    shown = text(comparison.layout(RunCache(bench), OLDER, RUN))

    for told in ("Outcomes", f"/run/{RUN}", "measure", "dut.serial_v1"):
        assert told in shown
    assert "no run" in text(comparison.layout(RunCache(bench), "..", RUN))
