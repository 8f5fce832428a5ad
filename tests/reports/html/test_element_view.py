"""Elements of a step with `foreach` on a page: the table, and the curves of measurements."""

import re
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from pytest_orchestrator.reports.html import element_view
from pytest_orchestrator.reports.html.chart import Chart
from pytest_orchestrator.reports.html.render import html
from pytest_orchestrator.reports.text import json_text
from pytest_orchestrator.runs.block import Element, Measurement
from pytest_orchestrator.runs.lookup import load_record
from tests.runs.built import Built

RUN = "20261126T000000Z-0001"


def elements(values: list[Any], items: list[Any] | None = None, high: float = 50) -> list[Element]:
    """Return an element for each value of the measurement `ripple`."""
    items = items or [str(value) for value in values]
    return [
        Element(
            index=index,
            item=item,
            state="failed" if isinstance(value, float | int) and value > high else "passed",
            reason="too much" if isinstance(value, float | int) and value > high else "",
            measurements=[
                Measurement(
                    name="ripple",
                    value=value,
                    unit="mV",
                    high=high,
                    marginal=True if value == high else UNSET,
                    verdict="fail" if isinstance(value, float | int) and value > high else "pass",
                    line=4,
                )
            ],
        )
        for index, (value, item) in enumerate(zip(values, items, strict=True))
    ]


def test_the_table_has_a_row_for_each_element_and_a_column_for_each_measurement() -> None:
    table = element_view.table(elements([12, 50, 61.4], [1, {"a": 2}, "x"]), 100)
    assert (table.names, table.more) == (["ripple, mV, ≤ 50.0"], 0)
    assert [(row.number, row.item, row.state, row.measured, row.reason) for row in table.rows] == [
        (0, "1", "passed", [("12.0", "")], ""),
        (1, '{"a": 2}', "passed", [("≈ 50.0", "blocked")], ""),
        (2, "x", "failed", [("✘ 61.4", "failed")], "too much"),
    ]


def test_the_table_of_a_thousand_elements_begins_with_those_that_failed() -> None:
    table = element_view.table(elements([61.4 if n == 500 else 12 for n in range(1000)]), 100)
    assert [row.number for row in table.rows[:3]] == [500, 0, 1]
    assert (len(table.rows), table.more) == (60, 940)


def places(chart: Chart) -> list[tuple[float, float]]:
    """Return the positions of the points of the only line, in percent from the upper left."""
    [line] = chart.lines
    return [(mark.x, mark.y) for mark in line.marks]


def test_a_curve_shows_its_values_limits_and_ends() -> None:
    (curve,) = element_view.curves(elements([10, 30, 60], [1, 2, 4]))
    [line] = curve.lines
    limit = float(curve.edges.split()[1])

    assert [x for x, _ in places(curve)] == [2.0, 34.0, 98.0]
    heights = [y for _, y in places(curve)]
    assert heights[0] > heights[1] > limit > heights[2]
    assert [mark.look for mark in line.marks] == ["passed", "passed", "failed"]
    assert line.marks[2].title == "[2] 4: 60 mV"
    assert (curve.span, curve.limits) == ("10 to 60 mV", "limit ≤ 50 mV")
    assert curve.label == "ripple over 3 elements: 10 to 60 mV, 1 out of limits"


def test_elements_that_are_no_rising_numbers_are_drawn_in_their_order() -> None:
    for items in (["a", "b", "c"], [3, 2, 1], [1, 1, 2]):
        (curve,) = element_view.curves(elements([10, 30, 60], items))
        assert [x for x, _ in places(curve)] == [16.67, 50.0, 83.33]
        assert [text for _, text in curve.x.ticks] == [json_text(one, 40) for one in items]


def test_elements_over_decades_are_drawn_on_a_logarithmic_axis() -> None:
    (curve,) = element_view.curves(elements([10, 30, 60], [1, 10, 100]))

    assert [x for x, _ in places(curve)] == [2.0, 50.0, 98.0]
    assert [text for _, text in curve.x.ticks][0::3] == ["1", "10", "100"]


def test_a_measurement_without_numbers_has_no_curve() -> None:
    assert list(element_view.curves(elements(["ready", "ready"]))) == []
    assert list(element_view.curves(elements([1]))) == []


def test_a_curve_of_ten_thousand_elements_is_thinned_and_keeps_its_failed_points() -> None:
    values = [90 if n in (777, 9_998) else n % 40 for n in range(10_000)]
    (curve,) = element_view.curves(elements(values))
    [line] = curve.lines

    assert len(line.path.split()) < 1_000
    failed = [mark.title for mark in line.marks if mark.is_bad]
    assert failed == ["[777] 90: 90 mV", "[9998] 90: 90 mV"]


@given(st.lists(st.one_of(st.integers(), st.floats(), st.none()), min_size=2, max_size=30))
def test_a_curve_stays_within_its_drawing(values: list[Any]) -> None:
    for curve in element_view.curves(elements(values)):
        paths = [*(line.path for line in curve.lines), curve.band, curve.edges]
        numbers = [float(one) for path in paths for one in re.findall(r"-?[\d.]+(?:e-?\d+)?", path)]
        assert [one for one in numbers if not 0 <= one <= 100] == []
        assert [at for at, _ in (*curve.x.ticks, *curve.y.ticks) if not 0 <= at <= 100] == []


def test_the_page_shows_the_elements_of_a_step_and_escapes_them(tmp_path: Path) -> None:
    run = Built(tmp_path, RUN).begin("sweep")
    run.start("sweep")
    run.finish("sweep", elements=elements([12, 61.4], ["<b>", 2]))
    run.seal()
    page = html(load_record(tmp_path / RUN), tmp_path / RUN)
    assert page.count('<figure class="chart">') == 1
    assert 'aria-label="ripple over 2 elements: 12.0 to 61.4 mV, 1 out of limits"' in page
    assert "<b>&lt;b&gt;" not in page
    assert "<code>&lt;b&gt;</code>" in page


def test_a_value_that_may_be_out_of_its_limits_does_not_look_failed() -> None:
    all_elements = [
        msgspec.structs.replace(
            one, measurements=[msgspec.structs.replace(each, allow_fail=True) for each in found]
        )
        for one in elements([12, 61.4])
        if (found := one.measurements)
    ]

    table = element_view.table(all_elements, 100)
    (curve,) = element_view.curves(all_elements)

    assert [row.measured for row in table.rows] == [[("12.0", "")], [("✘ 61.4", "blocked")]]
    assert [mark.look for mark in curve.lines[0].marks] == ["passed", "blocked"]
