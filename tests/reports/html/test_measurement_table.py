"""Table of all measurements on a page."""

from pathlib import Path
from typing import Any, Literal

import pytest

from pytest_orchestrator.reports.html.overview import measurement_table
from pytest_orchestrator.reports.html.page import Page
from pytest_orchestrator.reports.html.render import html
from pytest_orchestrator.runs.block import Element, Measurement
from pytest_orchestrator.runs.lookup import load_record
from tests.reports.html.test_render import Read
from tests.reports.line_run import line_run
from tests.reports.sample_run import SampleRun
from tests.runs.built import Built

_FIGURES: list[dict[str, Any]] = [
    {"name": "third", "value": 0.30000000000000004, "unit": "V", "low": 0.1, "high": 2 / 3}
    | {"verdict": "pass", "margin": 0.2},
    {"name": "leak", "value": 2.3e-9, "unit": "A", "high": 1e-6, "verdict": "pass", "margin": 9e-7},
    {"name": "noise", "value": 3.2, "unit": "mV", "high": 3, "verdict": "fail", "margin": -0.2}
    | {"allow_fail": True},
    {"name": "ripple", "value": 61.4, "unit": "mV", "high": 50, "verdict": "fail", "margin": -11.4},
    {"name": "temp", "value": -0.0, "unit": "°C", "verdict": "pass"},
    {"name": "model", "value": "PSU-7", "equals": "PSU-7", "verdict": "pass"},
    {"name": "lost", "unit": "V", "high": 3, "verdict": "unset"},
    {"name": "near", "value": 2.9, "unit": "V", "high": 3, "verdict": "pass", "margin": 0.1}
    | {"marginal": True},
]


def table_of(folder: Path) -> Any:
    return measurement_table(Page(load_record(folder), folder, "").recipes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = SampleRun(tmp_path_factory.mktemp("runs") / "run")
    run.begin({"measure": []})
    criteria = [
        {"name": "ripple", "line": 3, "held": False, "wanted": {"high": 50}, "measured": 61.4},
        {
            "name": "max_seconds",
            "line": 4,
            "held": True,
            "wanted": 2.5,
            "measured": 2.2788143930047,
        },
        {"name": "level", "line": 4, "held": True, "wanted": {"low": 1, "high": 10}, "measured": 3},
    ]
    run.step("measure", "failed", (0, 1), measurements=_FIGURES, criteria=criteria)
    run.seal()
    return run.folder


def test_values_have_five_digits_and_a_prefix_and_their_verdict(folder: Path) -> None:
    table = table_of(folder)

    rows = [
        (
            one.name,
            f"{one.texts.value} {one.texts.unit}".strip(),
            one.texts.low,
            one.texts.high,
            one.texts.condition,
            one.texts.margin,
            one.verdict,
            one.look,
        )
        for one in table.rows
    ]
    assert rows == [
        ("ripple", "61.4 mV", "", "50.0", "", "-22.8", "fail", "failed"),
        ("lost", "- V", "", "3", "", "", "unset", "failed"),
        ("noise", "3.2 mV", "", "3.0", "", "-6.7", "fail", "blocked"),
        ("near", "2.9 V", "", "3.0", "", "3.3", "marginal", "blocked"),
        ("third", "0.30000 V", "0.10000", "0.66667", "", "70.6", "pass", "passed"),
        ("leak", "2.3 nA", "", "1000.0", "", "99.8", "pass", "passed"),
        ("temp", "0 °C", "", "", "", "", "recorded", "skipped"),
        ("model", "PSU-7", "", "", "= PSU-7", "", "pass", "passed"),
    ]
    assert table.counts == {"pass": 3, "marginal": 1, "fail": 2, "recorded": 1, "unset": 1}
    assert [one.name for one in table.rows if one.may_fail] == ["noise"]


def test_the_page_shows_exact_values_on_hover_and_no_raw_float(folder: Path) -> None:
    page = html(load_record(folder), folder)

    text = " ".join(Read(page).text.split())
    assert page.count('title="0.30000000000000004 V"') == 2
    for raw in ("0.30000000000000004", "0.6666666666666666", "1e-06", "2.2788143930047"):
        assert raw not in text.partition("First failure")[2].partition("Made by")[0]
    assert "✘ fail (may fail)" in text
    assert "max_seconds 2.5000 , measured 2.2788" in text
    assert "level 1…10 , measured 3" in text
    assert page.count("<b>ripple</b>") == 0  # its row in the table says it


def test_a_passed_run_of_several_recipes_shows_all_its_measurements(tmp_path: Path) -> None:
    folder = line_run(tmp_path).folder

    table = table_of(folder)

    assert [(row.recipe, row.step, row.texts.value) for row in table.rows[:2]] == [
        ("unit 0", "measure", "12.5"),
        ("unit 1", "measure", "13.5"),
    ]
    text = " ".join(Read(html(load_record(folder), folder)).text.split())
    assert "unit 0 measure ripple 12.5 mV 50.0 75.0 ✔ pass unit 1" in text
    assert "expected to fail: BUG-17 no camera (exit code 1, expected 0)" in text


def test_the_elements_of_a_loop_are_listed_by_measurement_failed_ones_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_orchestrator.reports.html.overview._MOST_ROWS", 6)
    run = Built(tmp_path, "20261126T000000Z-0001").begin("sweep")

    def measured(name: str, verdict: Literal["pass", "fail"]) -> Measurement:
        return Measurement(name=name, value=3, verdict=verdict, line=4)

    elements = [
        Element(
            index=index,
            item=2**index,
            state="passed",
            measurements=[
                measured("level", "fail" if index == 4 else "pass"),
                measured("noise", "pass"),
            ],
        )
        for index in range(5)
    ]
    run.step("sweep", elements=elements)
    run.seal()

    table = table_of(run.folder)

    assert [(row.name, row.item) for row in table.rows] == [
        ("level[4]", "16"),
        ("level[0]", "1"),
        ("level[1]", "2"),
        ("level[2]", "4"),
        ("level[3]", "8"),
        ("noise[0]", "1"),
    ]
    assert (table.more, table.counts) == (4, {"fail": 1, "recorded": 9})
