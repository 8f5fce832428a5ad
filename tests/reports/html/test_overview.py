"""Overview of a run on a page: table of recipes, grids, timeline, and failures by reason."""

import re
from pathlib import Path

import pytest

from pytest_orchestrator.reports.html.overview import Overview
from pytest_orchestrator.reports.html.page import Page
from pytest_orchestrator.reports.html.recipe_table import grids
from pytest_orchestrator.reports.html.render import html
from pytest_orchestrator.runs.lookup import load_record
from tests.reports.html.test_render import Read
from tests.reports.line_run import BAD, UNITS, line_run
from tests.runs.built import Built


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return line_run(tmp_path_factory.mktemp("line")).folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page(load_record(folder), folder, "")


@pytest.fixture(scope="module")
def text(folder: Path) -> str:
    return " ".join(Read(html(load_record(folder), folder)).text.split())


def test_the_table_has_failed_recipes_first_with_unit_steps_and_reason(page: Page) -> None:
    overview = Overview(page)

    rows = overview.rows

    named = [(row.name, row.view.dut, row.steps) for row in rows if row.view]
    assert named[:3] == [
        (f"unit {BAD}", "SN0005 B2, rev C", "5 (2 failed, 1 xfailed)"),
        ("sweep [gain:20,load:2]", "", "2 (1 failed, 1 blocked)"),
        ("unit 0", "SN0000 B2, rev C", "5 (1 xfailed)"),
    ]
    first = rows[0].first
    assert first is not None
    assert (first.name, first.reason) == ("release", "exit code 4, expected 0")
    assert [row.rest for row in rows if row.rest] == ["3 more cells of recipes/sweep.yaml passed"]
    assert [one.verdict for one in overview.cards][:3] == ["failed", "failed", "passed"]


def test_no_unit_and_no_key_of_test_meta_is_missing_on_the_page(text: str) -> None:
    assert [unit for unit in range(UNITS) if f"SN{unit:04}" not in text] == []
    for shown in (
        "✘ failed 7 units 43 steps:",
        "Test ID T-1 Operator Ada",
        "customer ACME",
        "Limits document LIM-2031",
        "board B2, rev C",
        "First failure: release recipes/unit_5.yaml:3 · DUT SN0005 B2, rev C",
    ):
        assert shown in text


def test_counts_of_steps_and_of_other_tests_are_apart(text: str) -> None:
    assert "43 steps: ✘ failed 3 ⊘ blocked 1 ✔ passed 32" in text
    assert "3 other pytest tests: ✘ failed 1 ✔ passed 1 ○ skipped 1" in text


def test_failures_with_the_same_reason_are_one_cause(page: Page, text: str) -> None:
    causes = Overview(page).causes

    assert [(one.number, one.reason, one.is_alike, one.blocked) for one in causes] == [
        (2, "exit code 4, expected 0", True, 0),
        (1, "level = -8 dB, min -6 dB", False, 1),
        (1, "assert 1 == 2", False, 0),
    ]
    assert [link[:3] for link in causes[0].links] == [
        (f"recipes/unit_5.yaml::{name}", name, "unit 5") for name in ("release", "off")
    ]
    assert "4 failures, 3 causes" in text


def test_the_first_failure_is_not_said_again_as_a_cause_of_its_own(tmp_path: Path) -> None:
    run = Built(tmp_path, "20261126T000000Z-0001").begin("flash", "measure")
    run.step("flash", "failed", reason="no bootloader").step("measure", "failed", reason="no reply")
    run.seal(1)

    shown = " ".join(Read(html(load_record(run.folder), run.folder)).text.split())

    failures = shown.partition("2 failures, 2 causes; the first failure is above")[2]
    assert "no reply" in failures.partition(" Steps ")[0]
    assert "no bootloader" not in failures.partition(" Steps ")[0]


def test_a_matrix_is_a_grid_with_a_link_in_each_cell(page: Page) -> None:
    (grid,) = grids(page.recipes)

    assert (grid.name, grid.column, grid.columns) == ("recipes/sweep.yaml", "load", ["1", "2"])
    assert [(label, [cell and cell.sign for cell in cells]) for label, cells in grid.rows] == [
        ("gain 10", ["✔", "✔"]),
        ("gain 20", ["✔", "✘"]),
    ]
    bad = grid.rows[1][1][1]
    assert bad is not None
    assert (bad.anchor, bad.text) == (
        "recipes/sweep.yaml[gain:20,load:2]",
        "failed: sweep: level = -8 dB, min -6 dB",
    )


def test_the_timeline_of_the_run_has_all_recipes_and_marks_failures(page: Page) -> None:
    line = Overview(page).timeline

    assert line is not None
    assert [name for name, _ in line.rows][:2] == ["unit 0", "unit 1"]
    assert len(line.rows) == UNITS + 4
    ((bar,),) = (bars for name, bars in line.rows if name == f"unit {BAD}")
    assert [(name, sign) for _, _, name, sign in bar.failures] == [("release", "✘"), ("off", "✘")]
    assert bar.start < bar.failures[0][0] < bar.failures[1][0] <= bar.stop <= line.seconds


def test_the_duration_of_a_killed_run_is_a_lower_bound(tmp_path: Path) -> None:
    run = Built(tmp_path, "20261126T000000Z-0002").begin("a", "b")
    run.step("a").start("b")
    run.cut()

    text = " ".join(Read(html(load_record(run.folder), run.folder)).text.split())

    assert re.search(r"at least \d+\.0 s ?, ", text)
    assert "Overview" not in text
