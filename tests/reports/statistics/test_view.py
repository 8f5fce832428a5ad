"""Values on the page of statistics."""

from typing import Any

import pytest

from pytest_orchestrator.reports.statistics.view import StatisticsPage, percent
from pytest_orchestrator.runs.history.model import PastRun
from pytest_orchestrator.runs.statistics.figures import statistics_of
from pytest_orchestrator.runs.statistics.units import counted
from tests.runs.statistics.past import measured, recipe, run, step


def runs_of(*values: float, name: str = "out", **more: Any) -> list[PastRun]:
    """Return runs of one unit with these values, the newest first."""
    recipes = [recipe(step("rail", "passed", measured(name, one, **more))) for one in values]
    return [run(at, one) for at, one in enumerate(recipes)][::-1]


def page_of(runs: list[PastRun]) -> StatisticsPage:
    return StatisticsPage(statistics_of(counted(runs)))


@pytest.mark.parametrize(
    ("sigma", "word"),
    [(0.02, "capable"), (0.03, "marginal"), (0.05, "not capable"), (0.0, "no Ppk")],
)
def test_the_word_of_a_measurement_follows_its_ppk(sigma: float, word: str) -> None:
    spread = sigma / 2**0.5
    page = page_of(runs_of(5 - spread, 5 + spread))

    assert [one.word for one in page.measurements] == [word]
    assert page.words == {word: 1}


def test_measurements_with_the_smallest_ppk_come_first_and_drift_leads_the_charts() -> None:
    steady = [measured("steady", one) for one in (*[4.92, 5.0, 5.08] * 2, 4.95, 5.05)]
    moved = [measured("moved", one, low=-900, high=900) for one in (*[10, 10.1, 9.9] * 2, 10, 300)]
    runs = [
        run(at, recipe(step("rail", "passed", *each)))
        for at, each in enumerate(zip(steady, moved, strict=True))
    ][::-1]
    page = page_of(runs)

    assert [one.name for one in page.measurements] == ["steady", "moved"]
    assert [one["name"] for one in page.trends] == ["rail: moved", "rail: steady"]
    assert (
        page.measurements[1].notes
        == "last value 1956 deviations, 16.1 % of the range from the median"
    )


def test_a_chart_has_the_limits_and_the_unit_of_each_point() -> None:
    (chart,) = page_of(runs_of(5.0, 5.02, low=-1)).trends

    assert (chart["unit"], chart["low"], chart["high"]) == ("V", -1, 5.1)
    assert [one["run"] for one in chart["points"]] == [
        "A17 · 20261125T100000Z-0000",
        "A17 · 20261125T100100Z-0001",
    ]


def test_groups_without_any_name_have_no_table() -> None:
    assert [table.head for table in page_of(runs_of(5.0)).yields] == ["Recipe"]
    named = [run(1, recipe(dut={"serial": "A1", "type": "PSU"}), station="bench_1")]
    assert [table.head for table in page_of(named).yields] == ["Recipe", "DUT type", "Station"]


def test_a_page_has_a_limited_number_of_charts_and_points() -> None:
    many = [measured(f"m{at}", 5.0) for at in range(30)]
    page = page_of([run(at, recipe(step("rail", "passed", *many))) for at in (1, 0)])
    assert (len(page.trends), page.trends_note) == (24, "24 of 30 measurements shown")

    (chart,) = page_of(runs_of(*(5 + at / 1000 for at in range(250)))).trends
    assert (len(chart["points"]), chart["points"][-1]["value"]) == (200, 5.249)


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "100.0 %"),
        (20_023 / 20_024, "> 99.9 %"),
        (0.9994, "99.9 %"),
        (1 / 20_024, "< 0.1 %"),
        (0.0, "0.0 %"),
        (None, "-"),
    ],
)
def test_a_yield_that_is_not_all_never_reads_100_percent(share: float | None, text: str) -> None:
    assert percent(share) == text
