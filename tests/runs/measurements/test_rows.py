"""Measurements as CSV and JSON Lines."""

import csv
import io
import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import asdict

from pytest_orchestrator.runs.measurements.rows import (
    COLUMNS,
    FORMATS,
    csv_lines,
    json_lines,
    rows_of,
)
from tests.runs.measurements.tables import row
from tests.runs.statistics.past import measured, recipe, run, step

# Each text that UTF-8 can encode; the NUL too.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def records(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


def cells(data: bytes) -> dict[str, str]:
    (only,) = records(data)
    return dict(zip(COLUMNS, only, strict=True))


def test_the_header_names_the_columns() -> None:
    assert FORMATS["csv"].header.decode() == (
        "run,time,recipe,cell,step,element,attempt,state,dut,dut_type,station,operator,"
        "name,value,text,type,unit,low,high,equals,matches,margin,verdict,marginal,digest,"
        "uncertainty,rule,decided\n"
    )


def test_a_number_has_all_its_digits() -> None:
    found = cells(csv_lines([row(0.1 + 0.2, marginal=True, margin=-1e-7)]))

    assert {name: text for name, text in found.items() if text} == {
        "run": "20261125T101502Z-7f3a",
        "time": "2026-11-25T10:15:09.000000Z",
        "recipe": "recipes/psu.yaml",
        "step": "rail",
        "attempt": "1",
        "state": "passed",
        "dut": "A17",
        "station": "bench_3",
        "name": "out",
        "value": "0.30000000000000004",
        "type": "number",
        "unit": "V",
        "low": "4.9",
        "high": "5.1",
        "margin": "-1e-07",
        "verdict": "pass",
        "marginal": "true",
        "digest": "5ea1",
        "rule": "simple",
    }


def test_uncertainty_rule_and_decision_are_columns() -> None:
    judged: dict[str, Any] = {
        "uncertainty": 0.004,
        "rule": "nonbinary",
        "decided": "conditional pass",
    }
    found = [row(2.549, high=2.55, **judged), row(2.5, high=2.55), row(2.5, low=UNSET, high=UNSET)]

    assert [(one.uncertainty, one.rule, one.decided) for one in found] == [
        (0.004, "nonbinary", "conditional pass"),
        (None, "simple", None),
        (None, None, None),
    ]


def test_values_that_are_no_numbers_are_texts_with_their_type() -> None:
    values: list[Any] = ["ACME", "", True, None, [1, "x"], "inf", 2**70, 10**400]
    found = [(one.value, one.text, one.type) for one in map(row, values)]

    assert found == [
        (None, "ACME", "text"),
        (None, "", "text"),
        (None, "true", "boolean"),
        (None, None, None),
        (None, '[1,"x"]', "json"),
        (None, "inf", "text"),
        (2**70, None, "number"),
        (None, str(10**400), "text"),
    ]


def test_conditions_are_columns_of_their_own() -> None:
    found = row("ok", equals="ok", matches="o.")

    assert (found.equals, found.matches) == ('"ok"', "o.")


@given(TEXTS, TEXTS)
@example("'", "''=1")
def test_csv_gives_back_each_text_without_its_first_apostrophe(name: str, text: str) -> None:
    found = cells(csv_lines([row(text, name)]))

    assert (found["name"].removeprefix("'"), found["text"].removeprefix("'")) == (name, text)


@given(TEXTS)
@example("@SUM(A1)")
def test_no_cell_of_csv_begins_like_a_formula(text: str) -> None:
    assert not cells(csv_lines([row(text, text)]))["text"].startswith(
        ("=", "+", "-", "@", "\t", "\r")
    )


def test_a_formula_reaches_no_spreadsheet_as_one() -> None:
    found = cells(csv_lines([row("=cmd|' /C calc'!A0", "+5V rail", low=-5)]))

    assert (found["text"], found["name"]) == ("'=cmd|' /C calc'!A0", "'+5V rail")
    assert found["low"] == "-5"


@given(TEXTS, TEXTS)
def test_json_lines_have_each_text_as_it_is_on_one_line(name: str, text: str) -> None:
    data = json_lines([row(text, name)])

    assert data.count(b"\n") == 1
    assert json.loads(data) == asdict(row(text, name))


def test_the_rows_of_runs_have_what_run_recipe_and_step_say() -> None:
    first = recipe(
        step("id", "passed"),
        step("rail", "failed", measured("out[1]", 5.2, element="12.5", verdict="fail")),
        key="recipes/psu.yaml[load:2]",
        cell="load:2",
        started="2026-11-25T10:00:01.000000Z",
        test_meta={"dut": {"serial_number": "A17", "part_number": "C2"}, "operator": "kim"},
    )
    (found,) = rows_of([run(1, first, station="bench_3", operator="kim, ann")])

    assert found.cell == "load:2"
    assert (found.dut, found.dut_type) == ("A17", "C2")
    assert (found.station, found.operator) == ("bench_3", "kim")
    assert (found.name, found.element, found.verdict) == ("out[1]", "12.5", "fail")
    assert (found.time, found.digest) == ("2026-11-25T10:00:01.000000Z", "5ea1")
