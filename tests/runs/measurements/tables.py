"""Rows of measurements for the tests of their formats."""

from typing import Any

from pytest_orchestrator.runs.measurements.rows import Origin, Row, rows_of_step
from tests.runs.statistics.past import measured

ORIGIN = Origin(
    run="20261125T101502Z-7f3a",
    time="2026-11-25T10:15:09.000000Z",
    recipe="recipes/psu.yaml",
    cell="",
    step="rail",
    attempt=1,
    state="passed",
    test_meta={"dut": "A17"},
    station="bench_3",
    operator="",
    digest="5ea1",
)


def row(value: Any = 5.0, name: str = "out", **more: Any) -> Row:
    (only,) = rows_of_step(ORIGIN, [measured(name, value, **more)])
    return only
