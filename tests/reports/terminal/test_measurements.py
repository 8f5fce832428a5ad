"""Measurements in the terminal: lines with limits, and tables of cells and measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_orchestrator.reports.terminal import table as steps_table
from pytest_orchestrator.reports.terminal.measurements import (
    CellRow,
    RecipeCells,
    cell_table,
    measurement_lines,
)
from tests.blocks import parsed

if TYPE_CHECKING:
    from pytest_orchestrator.reports.terminal.lines import Line
    from pytest_orchestrator.runs.block import Block, Measurement


def one(name: str, verdict: str = "pass", **more: Any) -> Measurement:
    block = parsed({"measurements": [{"name": name, "verdict": verdict, **more}]})
    assert block.measurements
    return block.measurements[0]


RIPPLE: dict[str, Any] = {"unit": "mV", "high": 50.0}
FAILED = one("ripple", "fail", value=61.4, margin=50 - 61.4, **RIPPLE)
NEAR = one("ripple", value=47.2, margin=50 - 47.2, marginal=True, **RIPPLE)
GOOD = one("ripple", value=12, margin=38.0, **RIPPLE)


def texts(lines: list[Line]) -> list[str]:
    return [line.text for line in lines]


def test_a_measurement_has_value_unit_limits_and_margin() -> None:
    measured = [
        FAILED,
        NEAR,
        one("volts", "fail", value=11.1, unit="V", low=11.4, high=12.6, margin=-0.3, precision=3),
        one("gain", value=3, low=1.0, margin=2.0),
        one("serial", "fail", value="SN 1\n", matches="^SN-"),
        one("state", value="ready", equals="ready"),
        one("count", "fail", value=3, equals=4, allow_fail=True),
        one("lost", "unset", unit="V", low=1.0),
        one("free", value=7),
    ]
    assert texts(measurement_lines(measured, 80)) == [
        "    ripple  61.4 mV  ≤ 50.0 mV     11.4 mV above",
        "    ripple  47.2 mV  ≤ 50.0 mV     margin 2.8 mV, marginal",
        "    volts   11.1 V   11.4…12.6 V   0.3 V below",
        "    gain    3        ≥ 1           margin 2",
        "    serial  SN 1     matches ^SN-  not as expected",
        "    state   ready    = ready",
        "    count   3        = 4           not as expected, may fail",
        "    lost    -        ≥ 1 V         no value",
        "    free    7",
    ]


def test_values_outside_their_limits_are_red_and_marginal_ones_yellow() -> None:
    coloured = [
        [part.text for part in line.parts if part.colour == colour]
        for line, colour in zip(
            measurement_lines([FAILED, NEAR, GOOD], 80), ("red", "yellow", "red"), strict=True
        )
    ]
    assert coloured == [
        ["61.4 mV", "11.4 mV above"],
        ["47.2 mV", "margin 2.8 mV, marginal"],
        [],
    ]


def test_cells_and_measurements_are_a_table_with_the_limits_below_the_names() -> None:
    rows = [
        CellRow("[load:1]", "passed", [GOOD, one("volts", value=5, unit="V")]),
        CellRow("[load:2]", "passed (1 marginal)", [NEAR, one("volts", value=6, unit="V")]),
        CellRow("[load:3]", "failed", [FAILED], "blocks 2 steps"),
        CellRow("[load:4]", "skipped", note="if: false"),
    ]
    assert texts(cell_table("measure", rows, 80)) == [
        "    measure   state                ripple             volts",
        "    limits                         ≤ 50.0 mV          V",
        "    [load:1]  passed               12.0               5",
        "    [load:2]  passed (1 marginal)  47.2 (margin 2.8)  6",
        "    [load:3]  failed               61.4 (11.4 above)  -      blocks 2 steps",
        "    [load:4]  skipped              -                  -      if: false",
    ]


def test_limits_that_differ_between_cells_are_beside_the_values() -> None:
    rows = [
        CellRow("[v:5]", "failed", [one("volts", "fail", value=6, high=5.0, margin=-1.0)]),
        CellRow("[v:9]", "passed", [one("volts", value=6, high=9.0, margin=3.0)]),
        CellRow("[v:10]", "failed", [one("volts", "unset", high=9.5)]),
        CellRow("[v:11]", "failed", [one("volts", "fail", value="x", high=9.0)]),
    ]
    assert texts(cell_table("cell", rows, 80, "")) == [
        "cell    state   volts",
        "[v:5]   failed  6 (≤ 5; 1 above)",
        "[v:9]   passed  6 (≤ 9)",
        "[v:10]  failed  - (≤ 9.5; no value)",
        "[v:11]  failed  x (≤ 9; not as expected)",
    ]


def test_measurements_that_do_not_fit_are_counted_and_notable_ones_are_kept() -> None:
    many = [one(f"measurement_{number}", value=number) for number in range(9)]
    lines = texts(cell_table("cell", [CellRow("[a:1]", "failed", [*many, FAILED])], 60, ""))
    assert lines == [
        "cell    state   measurement_0  ripple",
        "limits                         ≤ 50.0 mV",
        "[a:1]   failed  0              61.4 (11.4 above)",
        "… 8 more measurements",
    ]


def _block(name: str, **more: Any) -> Block:
    step, recipe = more.pop("step", {}), more.pop("recipe", {})
    return parsed({"step": {"name": name, "state": "passed", **step}, "recipe": recipe, **more})


def _measured(value: float) -> list[dict[str, Any]]:
    return [{"name": "v", "value": value, "high": 2.0, "margin": 2 - value}]


def test_the_table_of_steps_has_all_measurements() -> None:
    cell = {"state": "passed", "matrix": {"ch": 1}}
    blocks = [
        _block("plain", measurements=_measured(1)),
        _block(
            "loop",
            elements=[
                {"index": at, "item": at, "state": "passed", "measurements": [m | {"line": 1}]}
                for at in (0, 1)
                for m in ({"verdict": "pass", **_measured(at)[0]},)
            ],
        ),
        _block("m[ch:1]", step=cell, measurements=_measured(1)),
        _block("m[ch:2]", step=cell, measurements=_measured(2)),
    ]
    none = "        -      -        -  -"
    assert [line.text.removesuffix(none) for line in steps_table.table(blocks, 80)] == [
        " step     state   seconds  CPU s  peak MB  context keys written",
        " plain    passed",
        "    v  1  ≤ 2  margin 1",
        " loop     passed",
        "   [0] 0  passed        -      -        -",
        "   [1] 1  passed        -      -        -",
        "   element  state   v",
        "   limits           ≤ 2",
        "   [0] 0    passed  0",
        "   [1] 1    passed  1",
        " m[ch:1]  passed",
        " m[ch:2]  passed",
        "   m       state   v",
        "   limits          ≤ 2",
        "   [ch:1]  passed  1",
        "   [ch:2]  passed  2",
    ]


def test_of_many_elements_a_table_shows_the_notable_ones_first() -> None:
    elements = [
        {
            "index": at,
            "item": at,
            "state": "failed" if at == 700 else "passed",
            "measurements": [
                {
                    "name": "v",
                    "line": 1,
                    "value": at,
                    "verdict": "fail" if at == 700 else "pass",
                }
            ],
        }
        for at in range(1000)
    ]
    lines = texts(steps_table.table([_block("loop", elements=elements)], 80))
    assert [line for line in lines if "[700]" in line][1:] == [
        "   [700] 700  failed  700 (not as expected)"
    ]
    assert lines[-1] == "   … 900 more elements"
    assert len(lines) == 106


def test_the_cells_of_a_recipe_are_a_table_of_each_step() -> None:
    cells = RecipeCells()
    for load in (1, 2):
        recipe = {"cell": f"load:{load}", "path": "recipes/x.yaml"}
        cells.add([_block("m", recipe=recipe, measurements=_measured(load)), _block("off")])
    cells.add([_block("single", measurements=_measured(1))])

    assert [(title, texts(lines)) for title, lines in cells.tables(80)] == [
        (
            "recipes/x.yaml: 2 cells of m",
            [
                "   m         state   v",
                "   limits            ≤ 2",
                "   [load:1]  passed  1",
                "   [load:2]  passed  2",
            ],
        )
    ]
