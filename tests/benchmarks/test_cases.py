"""Benchmark cases and the tables of their results."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.case import Figure
from benchmarks.measure import Cost
from benchmarks.projects import KINDS
from benchmarks.run import CASES, Evaluated, evaluated, figure_rows, run_rows

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", CASES)
def test_case_computes_its_figures_from_its_own_runs(name: str) -> None:
    runs = CASES[name].runs
    costs = {run.name: Cost(0.1 + run.steps / 100, 0.2 + run.steps / 50, 1e8) for run in runs}

    assert len(costs) == len(runs)
    assert {run.kind for run in runs} <= set(KINDS)
    assert all(figure.value >= 0 for figure in CASES[name].figures(costs))


@pytest.mark.parametrize("name", ["scaling-python", "scaling-shell"])
def test_constant_cost_per_step_scales_by_one(name: str) -> None:
    costs = {run.name: Cost(0.2 + run.steps * 0.003, 1, 1e8) for run in CASES[name].runs}

    assert CASES[name].figures(costs)[-1].value == pytest.approx(1)


def test_table_shows_the_median_and_the_spread() -> None:
    costs = {"one": [Cost(0.1, 0.5, 30e6), Cost(0.3, 0.7, 32e6), Cost(0.2, 0.6, 31e6)]}

    assert list(run_rows(costs))[1].split() == [
        *("one", "0.200", "(0.100", "to", "0.300)", "0.600", "31.0"),
    ]


def test_figure_shows_its_spread_and_the_verdict_on_its_goal() -> None:
    figures = [
        Evaluated(Figure("ratio", 1.3, "x", 1.3), 1.2, 1.5),
        Evaluated(Figure("more", 1.4, "x", 1.3), 1.3, 1.5),
        Evaluated(Figure("time", 2, "ms"), 1, 3),
    ]

    assert list(figure_rows(figures)) == [
        "  ratio      1.300 x   (1.200 to 1.500)   goal 1.3 x: met",
        "  more       1.400 x   (1.300 to 1.500)   goal 1.3 x: MISSED",
        "  time       2.000 ms  (1.000 to 3.000)",
    ]


def test_figure_is_the_median_of_the_rounds() -> None:
    tests, recipes = ([Cost(cpu, 1, 1e8) for cpu in cpus] for cpus in ([1, 2, 4], [1, 4, 5]))
    costs = {"one empty test": tests, "recipe of two shell steps": recipes}

    assert evaluated(CASES["startup"], costs) == [
        Evaluated(Figure("CPU, recipe / test", 1.25, "x", 2.3), 1.0, 2.0)
    ]


def test_unknown_case_is_refused_with_the_list_of_cases() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.run", "strtup"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert f"no such case: strtup; there are {', '.join(CASES)}" in done.stderr
