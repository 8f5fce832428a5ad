"""Content of the tabs, tested without a browser."""

import base64
import json
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from dash import no_update
from plotly.utils import PlotlyJSONEncoder

from pytest_orchestrator.core.events import ElementFinished, QuestionAsked, StepStarted, StepWaits
from pytest_orchestrator.monitor.pages import (
    comparison,
    context,
    elements,
    graph,
    log,
    measurements,
    resources,
    steps,
    timeline,
)
from pytest_orchestrator.monitor.pages.common import Selection, step_key
from pytest_orchestrator.monitor.pages.graph import COLOURS
from pytest_orchestrator.monitor.pages.run import bar
from pytest_orchestrator.monitor.pages.steps import drawer, step_view
from pytest_orchestrator.monitor.run_cache import RunCache, RunView
from pytest_orchestrator.reports.html import element_view
from pytest_orchestrator.runs.block import Criterion, Element, plain
from pytest_orchestrator.runs.block import Measurement as BlockMeasurement
from tests.monitor.conftest import OLDER, RUN
from tests.reports.sample_run import RECIPE, psu_run
from tests.runs.built import Built

LATER = "20261126T000000Z-0003"


def text(component: Any) -> str:
    return json.dumps(component, cls=PlotlyJSONEncoder, ensure_ascii=False)


def element_of(index: int, volts: float, state: Any = "passed") -> Element:
    """Return an element with a measurement that is above its limit if it is above 5 V."""
    verdict: Any = "fail" if volts > 5 else "pass"
    measured = BlockMeasurement(
        name="volts", value=volts, unit="V", high=5, verdict=verdict, line=3
    )
    return Element(index=index, item=index, state=state, measurements=[measured])


@pytest.fixture
def psu(tmp_path: Path) -> RunView:
    psu_run(tmp_path / "runs" / "20261101T000000Z-0001").seal()
    psu_run(tmp_path / "runs" / RUN).seal()
    return RunCache(tmp_path / "runs").read(RUN, lambda view: view)


def test_drawer_shows_the_details_that_reports_show(psu: RunView) -> None:
    shown = {step.name: text(drawer(step_view(psu, step))) for step in psu.record.steps}

    for part in ("ripple = 61.4 mV, max 50 mV", "WARN probe", "margin -22.8 %", "probe is busy"):
        assert part in shown["measure_ripple"]
    for part in ("scriptlets/shell/flash.sh --fast", "dut.firmware_v1", "exit_code", "FIRMWARE"):
        assert part in shown["flash"]
    assert "blocked by measure_ripple" in shown["release"]


def test_bar_shows_counts_and_the_remaining_time(bench: Path) -> None:
    built = Built(bench, LATER, start=time.time_ns() // 1000).begin("flash", "measure")
    built.step("flash")
    estimates = {(built.recipe, name): 60.0 for name in ("flash", "measure")}
    shown = RunCache(bench).read(LATER, lambda view: text(bar(view, estimates, time.time())))

    assert "1 of 2 steps · 1 passed, 1 waiting · " in shown
    assert "about 1:00 to go" in shown


def test_the_graph_has_the_legend_of_the_report(psu: RunView) -> None:
    shown = graph.layout(psu, Selection(None)).children[-1]

    assert shown.children.split("   ") == [
        "✔ passed",
        "✘ failed",
        "⊘ blocked",
        "→ needs",
        "⇢ after, finally",
        "┄ dashed box: finally",
        "━ critical path",
    ]


def test_timeline_distinguishes_waits_from_failed_attempts(psu: RunView) -> None:
    figure = timeline.figure(psu, Selection(f"{RECIPE}::measure_ripple"))
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
    labels = {" ".join(label.split()[:-1]) for _, _, label in shapes}

    assert labels == {"running", "failed attempt", "waiting for lock", "retry delay"}
    hatched = {label for _, shape, label in shapes if shape == "/"}
    assert {" ".join(label.split()[:-1]) for label in hatched} == {"failed attempt"}
    (delay,) = (one for one in figure.data if "retry delay" in str(one.hovertext))
    assert (delay.width, delay.marker.color) == (0.08, COLOURS["waiting"])
    assert set(figure.data[-1].hovertext) >= {"set dut.firmware_v1"}


def test_steps_table_updates_only_rows_that_changed(bench: Path) -> None:
    built = Built(bench, LATER).begin("flash", "measure", "release")
    built.step("flash")
    run_cache = RunCache(bench)
    line = run_cache.read(LATER, lambda view: view.record.lines)
    built.add(StepWaits(recipe=built.recipe, step="measure", lock="psu", owner="station_2"))
    run = run_cache.read(LATER, lambda view: view.record)

    rows = list(steps.rows(run.steps, 0.0, line))
    assert [row["step"] for row in rows] == ["measure"]
    assert rows[0]["locks"].startswith("waiting for psu (held by station_2) since ")
    first = next(iter(steps.rows(run.steps, 0.0)))
    assert (first["state"], first["seconds"], first["peak"]) == ("✔ passed", 1.0, 50.0)


def test_a_memory_peak_that_is_an_upper_bound_is_marked(bench: Path) -> None:
    built = Built(bench, LATER).begin("flash", "measure")
    built.step("flash", rss=9_031_680, memory="wait4, an upper bound").step("measure")
    view = RunCache(bench).read(LATER, lambda view: view)

    rows = steps.rows(view.record.steps, 0.0)
    assert [(row["bound"], row["peak"]) for row in rows] == [("≤ ", 9.0), ("", 50.0)]
    selection = Selection("steps", None)
    assert "params.data.bound + d3.format" in text(steps.layout(view, selection))
    bars = resources.totals(view.record.steps).data[1]
    assert list(bars.hovertext) == ["flash: ≤ 9.032", "measure: 50.000"]


def test_steps_table_has_a_worker_column_only_for_steps_on_workers(
    psu: RunView, tmp_path: Path
) -> None:
    built = Built(tmp_path / "away", LATER).begin("flash", "measure")
    built.step("flash", where={"worker": "bench-3", "host": "lab-a"}).step("measure")
    view = RunCache(tmp_path / "away").read(LATER, lambda view: view)

    assert [row["worker"] for row in steps.rows(view.record.steps, 0.0)] == [
        "bench-3 of lab-a",
        "",
    ]
    selection = Selection("steps", None)
    assert '"headerName": "Worker"' in text(steps.layout(view, selection))
    assert '"headerName": "Worker"' not in text(steps.layout(psu, selection))
    assert steps.version(view)[3] == steps.version(psu)[3] + 1
    first, second = (text(drawer(step_view(view, step))) for step in view.record.steps)
    assert "on worker bench-3 of lab-a" in first
    assert "on worker" not in second


def test_steps_table_shows_an_open_question_and_the_progress_of_a_loop(bench: Path) -> None:
    built = Built(bench, LATER).begin("inspect", "sweep")
    built.start("inspect")
    built.add(QuestionAsked(recipe=built.recipe, step="inspect", message="Is it\n**green**?"))
    built.add(StepStarted(recipe=built.recipe, step="sweep", elements=12))
    for index, state in enumerate(("passed", "failed")):
        element: Any = {"element": index, "outcome": state}
        block = plain(element_of(index, 10.0 * index, state))
        event = ElementFinished(recipe=built.recipe, step="sweep", block=block, **element)
        built.add(event)
    view = RunCache(bench).read(LATER, lambda view: view)
    inspect, sweep = (text(drawer(step_view(view, step))) for step in view.record.steps)

    rows = [(row["state"], row["look"], row["reason"]) for row in steps.rows(view.record.steps, 0)]
    assert rows == [
        ("? asks", "running", "asks: Is it **green**?"),
        ("▶ running", "running", "2 of 12 elements, 1 failed"),
    ]
    assert '"Question"' in inspect
    assert "Is it\\n**green**?" in inspect
    assert "2 of 12 elements, 1 failed" in sweep
    assert "volts, V: 0 V to 10 V" in sweep
    assert "data:image/svg+xml;base64," in sweep


def test_a_curve_over_elements_is_a_picture_with_limits_and_marks() -> None:
    measured = [element_of(index, value) for index, value in enumerate((1.0, 4.0, 9.0))]
    (figure,) = elements.curves([*element_view.curves(measured)])
    picture = ElementTree.fromstring(base64.b64decode(figure.children[1].src.partition(",")[2]))

    assert [shape.attrib["stroke"] for shape in picture] == [
        COLOURS["failed"],
        COLOURS["running"],
        COLOURS["passed"],
        COLOURS["passed"],
        COLOURS["failed"],
    ]
    assert figure.children[1].alt == "volts over 3 elements: 1 to 9 V, 1 out of limits"


def test_context_tab_shows_the_values_after_any_step(bench: Path) -> None:
    run = RunCache(bench).read(RUN, lambda view: view.record)

    assert [row["value"] for row in context.rows(run, None)] == ["A18"]
    assert [row["value"] for row in context.rows(run, 1)] == ["A17"]
    assert [row["value"] for row in context.rows(run, 0)] == ["A17"]  # written before it began
    shown = text(context.history(run.changes, "\ndut.serial_v1"))
    assert [shown.count(value) for value in ("A17", "A18")] == [2, 1]  # new, then old and new
    assert "Select a key" in text(context.history(run.changes, "\nnone"))
    assert "Select a key" in text(context.history(run.changes, "../x"))


def test_moved_slider_keeps_its_position_at_the_next_refresh(bench: Path) -> None:
    built = Built(bench, LATER).begin("flash", "measure", "release")
    built.step("flash")
    built.step("measure")
    run_cache = RunCache(bench)

    def ask(value: int, seen: Any) -> tuple[Any, ...]:
        return run_cache.read(LATER, lambda view: context.updates(view, value, seen))

    first = run_cache.read(LATER, lambda view: context.version(view, None))
    assert ask(2, first)[2:5] == (2, no_update, "Now")
    # The slider was moved to 1, and the page sends a second request before the first reply.
    assert ask(1, first)[2:5] == (2, no_update, "After step 1 of 2: flash")
    *_, end, place, label, moved = ask(1, first)
    assert (end, place, label) == (2, no_update, "After step 1 of 2: flash")
    built.step("release")
    assert ask(1, moved)[2:5] == (3, no_update, "After step 1 of 3: flash")
    # The slider is at the end that the page knows; the run has a later end by now.
    assert ask(2, moved)[2:5] == (3, 3, "Now")
    assert ask(2, first)[2:5] == (3, 3, "Now")


def test_changed_key_keeps_its_place_in_the_tree(tmp_path: Path) -> None:
    built = Built(tmp_path, RUN).begin("flash")
    for key_name in ("cdu.serial_v1", "dut.a.x", "dut.b", "dut"):
        built.change("flash", key_name, 1)
    built.change("flash", "cdu.serial_v1", 2, scope=built.recipe)
    run_cache = RunCache(tmp_path)
    line = run_cache.read(RUN, lambda view: view.record.lines)
    built.change("flash", "cdu.serial_v1", 3)
    built.change("flash", "dut.a.x", 3)
    built.change("flash", "cdu.serial_v1", 3, scope=built.recipe)
    run = run_cache.read(RUN, lambda view: view.record)

    everything = [row for row in context.rows(run, None) if not row.get("branch")]
    shown = [(row["name"], row["level"], row["value"]) for row in everything]
    assert shown[:4] == [("cdu.serial_v1", 0, "3"), ("dut", 0, "1"), ("a.x", 1, "3"), ("b", 1, "1")]
    assert context.changed_rows(run, line) == [row for row in everything if row["value"] == "3"]
    assert context.changed_rows(run, run.lines) == []


def test_measurements_tab_shows_limits_and_trends(psu: RunView) -> None:
    table = text(measurements.table(psu))
    trend = measurements.trend(psu)

    assert table.index("ripple") < table.index("noise") < table.index("offset")
    assert "text-failed" in table
    assert [one.text for one in trend.figure.layout.annotations][1] == "measure_ripple: ripple, mV"
    assert list(trend.figure.data[1].y) == [61.4, 61.4]


def test_a_marginal_measurement_has_the_colour_of_a_warning(bench: Path) -> None:
    built = Built(bench, LATER).begin("flash")
    near = {"high": 50, "margin": 2, "marginal_high": 45, "marginal": True}
    built.step("flash", measured={"ripple": 48.123456789}, limits=near).seal()
    run_cache = RunCache(bench)
    table = run_cache.read(LATER, lambda view: text(measurements.table(view)))
    counts = run_cache.read(LATER, lambda view: text(bar(view, {}, 0.0)))
    step = run_cache.read(LATER, lambda view: text(drawer(step_view(view, view.record.steps[0]))))

    assert "text-blocked" in table
    assert 'marginal"' in table
    assert "48.1235 mV" in table
    assert "1 marginal" in counts
    assert "text-blocked" in step
    assert "look-blocked" in step
    assert "wanted near" in step


def test_resources_tab_shows_curves_limits_and_totals(psu: RunView) -> None:
    step = psu.record.recipes[RECIPE].steps["flash"]
    assert step.block is not None
    step.block.criteria.append(Criterion(name="max_rss_mb", line=1, held=True, wanted=64))

    curve, totals = resources.figures(psu, Selection(step_key(step)))
    assert [shape.y0 for shape in curve.layout.shapes] == [64]
    assert len(curve.data) == 2
    assert set(totals.data[0].customdata) >= {step_key(step)}
    everything, _ = resources.figures(psu, Selection(None))
    assert len(everything.data) > 2


def test_log_tab_appends_new_lines_and_filters(bench: Path) -> None:
    built = Built(bench, LATER).begin("flash")
    built.start("flash")
    path = built.write("logs/psu/flash.1.stdout", "one\ntwo\n")
    run_cache = RunCache(bench)

    def look(pattern: str, seen: Any) -> tuple[Any, ...]:
        return run_cache.read(LATER, lambda view: log.updates(view, None, pattern, seen))

    out, _, records, title, seen = look("", None)
    assert (out, title) == (["one\ntwo\n"], "flash, attempt 1")
    assert look("TWO", None)[0] == ["two\n"]
    with path.open("a", encoding="utf-8") as file:
        file.write("three\n")
    built.write("logs/psu/flash.1.log", "INFO bench\n")
    out, _, records, _, seen = look("", seen)
    assert records == ["INFO bench\n"]
    assert out.to_plotly_json()["operations"] == [
        {"operation": "Append", "location": [], "params": {"value": "three\n"}}
    ]
    assert "operations" not in text(look("", seen)[0])


def test_comparison_page_shows_the_differences_of_two_runs(bench: Path) -> None:
    shown = text(comparison.layout(RunCache(bench), OLDER, RUN))

    for part in ("Outcomes", f"/run/{RUN}", "measure", "dut.serial_v1"):
        assert part in shown
    assert "no run" in text(comparison.layout(RunCache(bench), "..", RUN))
