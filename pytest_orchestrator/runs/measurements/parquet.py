"""Rows of measurements as Parquet; needs the extra ``parquet`` (pyarrow)."""

from collections.abc import Sequence
from typing import IO, Any, Final

from pytest_orchestrator.runs.measurements.rows import COLUMNS, Row

_NUMBERS: Final = frozenset({"value", "low", "high", "margin", "uncertainty"})


def write_parquet(file: IO[bytes], rows: Sequence[Row]) -> None:
    """Write rows as a Parquet file.

    Numbers are 64-bit floats, `attempt` is an integer, `marginal` a boolean, and `time` a timestamp
    in UTC; all other columns are texts. A missing value is null.

    Args:
        file: The file, open for writing.
        rows: The rows.
    """
    import pyarrow
    from pyarrow import parquet

    types = {
        **dict.fromkeys(COLUMNS, pyarrow.string()),
        **dict.fromkeys(_NUMBERS, pyarrow.float64()),
        "attempt": pyarrow.int32(),
        "marginal": pyarrow.bool_(),
        "time": pyarrow.timestamp("us", tz="UTC"),
    }
    columns = {name: [_value(getattr(row, name), name) for row in rows] for name in COLUMNS}
    table = pyarrow.table(columns, schema=pyarrow.schema(types.items()))
    parquet.write_table(table, file)


def _value(value: Any, name: str) -> Any:
    if value is None:
        return None
    if name in _NUMBERS:
        return _float(value)
    if name == "time":
        return _time(value)
    return value


def _float(value: float) -> float | None:
    try:
        return float(value)
    except OverflowError:  # an integer of more than 308 digits
        return None


def _time(text: str) -> Any:
    from datetime import datetime

    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
