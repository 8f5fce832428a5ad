"""Cells of a matrix on a page: the tables, the curves over numbers, and pages without a matrix."""

from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.core.events import RecipeStarted, StepFinished
from pytest_orchestrator.reports.html.cell_view import MatrixView
from pytest_orchestrator.reports.html.page import Page
from pytest_orchestrator.reports.html.render import html
from pytest_orchestrator.runs.lookup import load_record
from tests.blocks import whole
from tests.runs.built import Built

RUN = "20261126T000000Z-0001"
_Steps = dict[str, tuple[dict[str, Any] | None, dict[str, tuple[float | str | None, float]]]]


def measured(name: str, value: float | str | None, high: float) -> dict[str, Any]:
    """Return a measurement in mV as a block has it; a number above 50 is marginal."""
    number = value if isinstance(value, int | float) else 0
    verdict = "unset" if value is None else "fail" if number > high else "pass"
    return (
        {"name": name, "unit": "mV", "high": high, "verdict": verdict, "line": 4}
        | ({} if value is None else {"value": value})
        | ({"marginal": True} if 50 < number <= high else {})
    )


def record(run: Built, steps: _Steps, cell: str = "", **about: Any) -> None:
    """Record a recipe: of each step its cell, and its measurements as value and upper limit."""
    key = f"psu.yaml{cell}"
    fields = {"name": "psu", "path": "psu.yaml", "sha256": "0" * 64, "test_meta": {}} | about
    described = tuple(
        {"name": name, "node": f"{key}::{name}", "index": 1, "type": "shell", "line": 3}
        | {"needs": [], "tags": []}
        | ({"matrix": matrix} if matrix else {})
        for name, (matrix, _) in steps.items()
    )
    run.add(RecipeStarted(recipe=key, about=fields, steps=described, digests={}))
    for step, (_, values) in zip(described, steps.values(), strict=True):
        found = [measured(name, *one) for name, one in values.items()]
        state: Any = "passed" if all(one["verdict"] == "pass" for one in found) else "failed"
        block = {
            "recipe": fields,
            "step": step | {"state": state, "reason": "" if state == "passed" else "too high"},
            "context": {"writes": []},
            **({"measurements": found} if found else {}),
        }
        ended = StepFinished(
            recipe=key, step=str(step["name"]), outcome=state, meets=True, block=whole(block)
        )
        run.add(ended)


@pytest.fixture
def run(tmp_path: Path) -> Built:
    return Built(tmp_path, RUN)


def views(run: Built) -> list[MatrixView]:
    run.seal()
    return Page(load_record(run.folder), run.folder, "").matrices


def rows(view: MatrixView) -> list[tuple[str, str, list[str]]]:
    return [(row.item, row.state, [text for text, _ in row.measured]) for row in view.cells.rows]


def test_the_cells_of_a_step_are_one_table_with_limits_verdicts_and_marginal_values(
    run: Built,
) -> None:
    steps: _Steps = {
        "measure[channel:a]": ({"channel": "a"}, {"ripple": (12, 60), "rail": (5, 9)}),
        "measure[channel:b]": ({"channel": "b"}, {"ripple": (55, 60), "rail": (5, 9)}),
        "measure[channel:c]": ({"channel": "c"}, {"ripple": (70.5, 65), "rail": (None, 9)}),
        "measure[channel:d]": ({"channel": "d"}, {}),
        "other": (None, {"ripple": (1, 2)}),
        "flash[channel:a]": ({"channel": "a"}, {}),
    }
    record(run, steps)
    (view,) = views(run)
    assert (view.step, view.recipe, view.curves) == ("measure", "psu.yaml", [])
    assert view.cells.names == ["ripple, mV", "rail, mV, ≤ 9"]
    assert rows(view) == [
        ("channel a", "passed", ["12 (≤ 60)", "5"]),
        ("channel b", "passed", ["≈ 55 (≤ 60)", "5"]),
        ("channel c", "failed", ["✘ 70.5 (≤ 65.0)", "✘ unset"]),
        ("channel d", "passed", ["-", "-"]),
    ]


def test_a_curve_over_a_number_is_drawn_for_each_combination_of_the_other_values(
    run: Built,
) -> None:
    cells = [(channel, load) for channel in ("a", "b") for load in (2, 0.5, 1)]
    values: _Steps = {
        f"measure[channel:{channel},load:{load}]": (
            {"channel": channel, "load": load},
            {"ripple": (10 * load + 40 * (channel == "b"), 50.0)},
        )
        for channel, load in cells
    }
    record(run, values)
    (view,) = views(run)
    [curve] = view.curves
    one, above = curve.lines
    assert (curve.name, curve.unit, curve.limits) == ("ripple", "mV", "limit ≤ 50 mV")
    assert (one.name, above.name) == ("channel a", "channel b")
    assert curve.label == "ripple over load, 6 cells: 5 to 60 mV, 1 out of limits"
    assert [text for _, text in curve.x.ticks] == ["0.5", "1.0", "1.5", "2.0"]
    assert [(mark.look, mark.title) for mark in above.marks] == [
        ("passed", "channel b, load 0.5: 45 mV"),
        ("passed", "channel b, load 1: 50 mV"),
        ("failed", "channel b, load 2: 60 mV"),
    ]


def test_the_cells_of_the_matrix_of_a_recipe_and_of_its_step_are_one_table(run: Built) -> None:
    for temperature in (-20, 70):
        steps: _Steps = {
            "measure[channel:a]": ({"channel": "a"}, {"ripple": (temperature, 50)}),
            "offset": (None, {"offset": (1, 2)}),
        }
        cell = {"temperature": temperature}
        record(run, steps, f"[temperature:{temperature}]", matrix=cell)
    measure, offset = views(run)
    assert rows(measure) == [
        ("temperature -20, channel a", "passed", ["-20"]),
        ("temperature 70, channel a", "failed", ["✘ 70"]),
    ]
    assert [curve.label for curve in measure.curves] == [
        "ripple over temperature, channel a, 2 cells: -20 to 70 mV, 1 out of limits"
    ]
    assert (offset.step, rows(offset)[0]) == ("offset", ("temperature -20", "passed", ["1"]))


@pytest.mark.parametrize(
    "values", [("a", "b"), (True, False), (1, "b"), (3, 3)], ids=["text", "bool", "mixed", "same"]
)
def test_a_matrix_without_different_numbers_has_no_curve(run: Built, values: Any) -> None:
    cells = enumerate(values)
    record(run, {f"m[{n}]": ({"x": value}, {"ripple": (12, 60)}) for n, value in cells})
    (view,) = views(run)
    assert (len(view.cells.rows), view.curves) == (2, [])


def test_the_page_shows_the_cells_with_links_to_their_steps_and_escapes_them(run: Built) -> None:
    cells = (("<b>", 1), ("<b>", 2))
    record(
        run,
        {f"m[{n}]": ({"x": text, "n": n}, {"ripple": (12 * n, 20)}) for text, n in cells},
    )
    run.seal()
    page = html(load_record(run.folder), run.folder)
    assert '<a href="#matrix">Matrix</a>' in page
    assert '<td><a href="#psu.yaml::m[2]">x &lt;b&gt;, n 2</a></td>' in page
    assert '<td class="number of-failed">✘ 24</td>' in page
    assert 'aria-label="ripple over n, x &lt;b&gt;, 2 cells: 12 to 24 mV, 1 out of limits"' in page


def test_a_page_without_measurements_in_a_matrix_has_no_part_for_them(run: Built) -> None:
    record(run, {"m[a:1]": ({"a": 1}, {}), "other": (None, {"ripple": (1, 2)})})
    run.seal()
    page = html(load_record(run.folder), run.folder)
    assert "Measurements of the matrix" not in page
    assert "#matrix" not in page
