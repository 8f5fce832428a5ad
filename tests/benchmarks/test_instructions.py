"""Figures of instruction counts, and their comparison with the budget."""

import json

import pytest

from benchmarks.instructions import BUDGET, COUNTS, Ratio, figures, over_budget

_COUNTS = dict.fromkeys(COUNTS, 100.0) | {
    "120 shell steps": 500.0,
    "120 subprocess tests": 300.0,
    "120 python steps": 700.0,
    "220 inline steps": 700.0,
    "220 bare items": 300.0,
    "unused plugin": 120.0,
    "unused plugin, installed": 170.0,
    "two shell steps": 150.0,
    "collection of 1,000 files": 300.0,
    "collection of 1,000 recipes": 400.0,
}


def test_each_figure_compares_what_its_name_says() -> None:
    values = {name: one.value for name, one in figures(_COUNTS).items()}

    assert values == {
        "an empty test without the plugin": 100.0,
        "the unused plugin adds": 20.0,
        "the unused plugin adds without bytecode": 0.0,
        "the unused plugin adds as an installed package": 70.0,
        "two shell steps / an empty test": 1.5,
        "a python and a shell step / an empty test": 1.0,
        "a shell step": 4.0,
        "a shell step / a test with subprocess.run": 2.0,
        "a python step / a shell step": 1.5,
        "an inline step / a bare item": 3.0,
        "collection, recipes / files of tests": 1.5,
    }


@pytest.mark.parametrize(("value", "is_above"), [(2.0, False), (2.06, False), (2.07, True)])
def test_a_figure_may_rise_by_three_per_cent(value: float, is_above: bool) -> None:
    lines = over_budget({"a step": Ratio(value), "another": Ratio(1.0)}, {"a step": 2.0})

    assert lines == ([f"a step: {value:.3f} x, and the budget is 2.000"] if is_above else [])


def test_the_budget_holds_every_figure_that_has_one() -> None:
    budget = json.loads(BUDGET.read_text(encoding="utf-8"))

    assert list(budget) == [name for name, one in figures(_COUNTS).items() if one.has_budget]
