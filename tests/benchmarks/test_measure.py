"""Costs are those of whole process trees, and failed runs are not measured."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measure import COUNTED, Cost, intercept, medians, slope

ROOT = Path(__file__).parents[2]

# The measurement waits for every child of its process, so it runs in a process of its own.
MEASURE = """
import json, os, sys
from pathlib import Path
from benchmarks.measure import WrongRun, adopt_orphans, cost
adopt_orphans()
argv = [sys.executable, "-c", sys.argv[1]]
try:
    print(json.dumps(cost(argv, folder=Path.cwd(), env=dict(os.environ), expected=1)._asdict()))
except WrongRun as error:
    print(json.dumps({"wrong": str(error).splitlines()[-2:]}))
"""

BURN = """
import os, time
def burn():
    while time.process_time() < 0.3: pass
"""


def measured(code: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, code], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "output",
    [
        "1 recipe: 1 passed; 120 steps: 120 passed\nreport .x/report.html\n120 passed in 9.33s\n",
        "..\n120 passed, 1 warning in 0.10s\n",
        "120 tests collected in 0.10s\n",
    ],
)
def test_the_tests_of_a_run_are_counted_in_the_last_line_of_pytest(output: str) -> None:
    assert COUNTED.findall(output) == ["120"]


def test_cpu_of_a_child_is_counted() -> None:
    code = BURN + "if os.fork(): os.wait(); print('1 passed')\nelse: burn()"

    assert measured(code)["cpu"] > 0.29


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")
def test_cpu_of_an_orphaned_child_is_counted() -> None:
    code = BURN + "if os.fork(): print('1 passed')\nelse: burn()"

    assert measured(code)["cpu"] > 0.29


def test_peak_is_in_bytes() -> None:
    assert 100e6 < measured("data = bytes([1]) * 100_000_000; print('1 passed')")["peak"] < 200e6


@pytest.mark.parametrize(
    ("code", "verdict", "output"),
    [
        ("print('2 passed')", "exit 0, not 1 tests", "2 passed"),
        ("print('1 failed, 1 passed'); exit(1)", "exit 1, not 1 tests", "1 failed, 1 passed"),
        ("print('1 test collected'); exit(3)", "exit 3, not 1 tests", "1 test collected"),
    ],
)
def test_failed_run_is_not_measured(code: str, verdict: str, output: str) -> None:
    first, last = measured(code)["wrong"]

    assert first.endswith(verdict)
    assert last == output


def test_each_figure_has_its_own_median() -> None:
    costs = [Cost(1, 30, 200), Cost(2, 10, 300), Cost(3, 20, 100)]

    assert medians(costs) == Cost(2, 20, 200)


@given(start=st.integers(0, 1000), step=st.integers(0, 1000), few=st.integers(1, 50))
def test_slope_and_intercept_are_those_of_the_line(start: int, step: int, few: int) -> None:
    between = (few, 5 * few)
    costs = [start + step * n for n in between]

    assert slope(*costs, between=between) == step
    assert intercept(*costs, between=between) == start
