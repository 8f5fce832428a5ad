"""Exports as pandas and pyarrow read them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict

from pytest_orchestrator.runs.measurements.rows import COLUMNS, FORMATS
from tests.house.frames import ROOT, run
from tests.runs.measurements.tables import row

pytestmark = pytest.mark.nightly

ROWS = [
    row(5.01, "out", marginal=True, margin=0.09, uncertainty=0.004),
    row(-0.1 - 0.2, "+5V\nrail", low=-5),
    row("NA", "=cmd|' /C calc'!A0"),
    row("", "'quoted', \"twice\""),
    row("nan", "Ω \u202etxt.exe"),
    row(True, "ok", equals=True),
    row(None, "gone", verdict="unset"),
    row([1, "x"], "list\r"),
    row(2**53, "count", unit="", element="12.5"),
]
NUMBERS = ("value", "low", "high", "margin", "uncertainty")
RECORDS = "\nresult = frame.astype(object).where(frame.notna(), None).to_dict('records')\n"
PAGE = ROOT / "docs" / "how-to" / "statistics-and-exports.md"


def snippet(call: str) -> str:
    """Return the code of the page that has a call."""
    blocks: list[str] = re.findall(r"```text\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (only,) = (one for one in blocks if call in one)
    return only


def plain() -> list[dict[str, Any]]:
    return [asdict(one) for one in ROWS]


def test_pandas_reads_csv_as_the_page_says(tmp_path: Path) -> None:
    text = FORMATS["csv"]
    (tmp_path / "measurements.csv").write_bytes(text.header + text.lines(ROWS))
    found = run(snippet("read_csv") + RECORDS, tmp_path)

    expected = plain()
    for one in expected:  # a missing text is empty in CSV, a missing number is not
        one |= {name: "" for name in COLUMNS if one[name] is None and name not in NUMBERS}
        one |= {"attempt": "1", "marginal": str(one["marginal"]).lower()}
    assert found == expected


def test_pandas_and_pyarrow_read_parquet(tmp_path: Path) -> None:
    code = """
import msgspec, pandas as pd
from pyarrow import parquet
from pytest_orchestrator.runs.measurements.parquet import write_parquet
from pytest_orchestrator.runs.measurements.rows import Row

with open("m.parquet", "wb") as file:
    write_parquet(file, msgspec.convert(given, list[Row]))
table = parquet.read_table("m.parquet")
frame = pd.read_parquet("m.parquet")
moments = [one.isoformat() for one in table.column("time").to_pylist()]
result = {
    "types": {field.name: str(field.type) for field in table.schema},
    "rows": table.drop(["time"]).to_pylist(),
    "times": moments,
    "mean": float(frame[frame.name == "out"].value.mean()),
    "names": frame.name.tolist(),
    "marginal": str(frame.marginal.dtype),
}
"""
    found = run(code, tmp_path, plain())

    text = dict.fromkeys(COLUMNS, "string")
    numbers = dict.fromkeys(NUMBERS, "double")
    other = {"attempt": "int32", "marginal": "bool", "time": "timestamp[us, tz=UTC]"}
    assert found["types"] == text | numbers | other
    expected = plain()
    for one in expected:
        del one["time"]
    assert found["rows"] == expected
    assert found["times"] == ["2026-11-25T10:15:09+00:00"] * len(ROWS)
    assert (found["mean"], found["marginal"]) == (5.01, "bool")
    assert found["names"] == [one.name for one in ROWS]


def test_pandas_reads_json_lines(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_bytes(FORMATS["jsonl"].lines(ROWS))
    code = """
import pandas as pd

frame = pd.read_json("m.jsonl", lines=True, dtype=False, convert_dates=False, precise_float=True)
"""

    assert run(code + RECORDS, tmp_path) == json.loads(json.dumps(plain()))
