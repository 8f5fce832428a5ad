"""Measurements in the terminal: a line for each one, or a table of cells and measurements."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import UNSET, Struct
from msgspec.structs import replace

from pytest_orchestrator.core.text import counted
from pytest_orchestrator.reports.measurement_text import (
    distance,
    is_notable,
    look_of,
    margin,
    with_unit,
)
from pytest_orchestrator.reports.quantities import Quantity, limits_text, quantities, quantity
from pytest_orchestrator.reports.terminal.lines import (
    Column,
    Line,
    Part,
    Table,
    one_line,
    plain_line,
    state_part,
)
from pytest_orchestrator.runs.block import Measurement

_MOST_VALUE: Final = 40  # characters
_MEASUREMENT: Final = (Column(kind="name"), Column(), Column(), Column())


class CellRow(Struct, frozen=True):
    """A cell of a matrix, or an element of ``foreach``, with its measurements.

    Attributes:
        label: The values of the cell, or index and value of the element.
        state: Its state, with notes in parentheses.
        measured: Its measurements.
        note: Further text, such as the reason of a failure.
    """

    label: str
    state: str
    measured: Sequence[Measurement] = ()
    note: str = ""

    @property
    def is_notable(self) -> bool:
        """True if the cell did not pass, or has a marginal measurement."""
        passed = self.state.startswith(("passed", "restored"))
        return not passed or any(map(is_notable, self.measured))


def measurement_lines(
    measured: Sequence[Measurement], width: int, indent: str = "    "
) -> list[Line]:
    """Return a line for each measurement: name, value, limits and the distance to them.

    Args:
        measured: The measurements.
        width: Available columns.
        indent: Text before each line.
    """
    rows = [
        (
            one_line(one.name),
            _value(one, texts.value if one.value is UNSET else with_unit(texts.value, texts)),
            _limits(texts),
            _value(one, margin(one, texts)),
        )
        for one in measured
        for texts in [_texts(quantity(one, _MOST_VALUE))]
    ]
    return [*Table(_MEASUREMENT, rows, width, indent).lines()]


def cell_table(title: str, rows: Sequence[CellRow], width: int, indent: str = "    ") -> list[Line]:
    """Return a table with a row for each cell and a column for each measurement.

    The limits of a measurement are below its name if they are the same in all cells, else beside
    each value. Measurements that do not fit are counted below the table.

    Args:
        title: Heading of the first column.
        rows: The cells.
        width: Available columns.
        indent: Text before each line.
    """
    names = list(dict.fromkeys(one.name for row in rows for one in row.measured))
    cells = [_Cells(name, [_by_name(row).get(name) for row in rows]) for name in names]
    # The last ones are left out first, those without a notable value before the others.
    ranked = sorted(range(len(cells)), key=lambda at: not cells[at].is_notable)
    columns = [
        Column(title, "name"),
        Column("state"),
        *(Column(one_line(one.name), rank=ranked.index(at)) for at, one in enumerate(cells)),
        Column(kind="text", least=1),
    ]
    body: list[list[Part | str]] = []
    if any(one.limits for one in cells):
        body.append(["limits", "", *(one.limits for one in cells)])
    for at, row in enumerate(rows):
        values = (one.parts[at] for one in cells)
        body.append([one_line(row.label), state_part(row.state), *values, one_line(row.note)])
    table = Table(columns, body, width, indent)
    lines = [*table.lines()]
    if missing := len(table.hidden):
        lines.append(plain_line(f"{indent}… {counted(missing, 'more measurement')}", width))
    return lines


class _Cells:
    """Column of a measurement in the cells.

    Attributes:
        name: The measurement.
        limits: Its limits and unit; empty if they differ between the cells.
        parts: The text of each cell.
        is_notable: True if a value did not pass, or is marginal.
    """

    def __init__(self, name: str, measured: Sequence[Measurement | None]) -> None:
        existing = [one for one in measured if one is not None]
        found = [*map(_texts, quantities(existing, _MOST_VALUE))]
        limits = {_limits(one) or one.unit for one in found}
        texts = iter(found)
        self.name = name
        self.limits = limits.pop() if len(limits) == 1 else ""
        self.parts = [
            Part("-") if one is None else self._part(one, next(texts)) for one in measured
        ]
        self.is_notable = any(map(is_notable, existing))

    def _part(self, one: Measurement, texts: Quantity) -> Part:
        notes = [] if self.limits else [_limits(texts)]
        if is_notable(one):
            notes.append(_note(one, texts))
        text = "; ".join(filter(None, notes))
        return _value(one, f"{texts.value} ({text})" if text else texts.value)


def _note(one: Measurement, texts: Quantity) -> str:
    """Return why a value is notable, for a column whose limits have the unit."""
    if one.verdict == "unset":
        return "no value"
    number = distance(one, texts)
    if one.verdict == "fail":
        return number or "not as expected"
    return f"margin {number}" if number else "marginal"


def _by_name(row: CellRow) -> Mapping[str, Measurement]:
    return {one.name: one for one in row.measured}


def _value(one: Measurement, text: str) -> Part:
    return Part(text, {"failed": "red", "marginal": "yellow"}.get(look_of(one), ""))


def _texts(one: Quantity) -> Quantity:
    """Return the texts with value and condition as one line."""
    return replace(one, value=one_line(one.value), condition=one_line(one.condition))


def _limits(texts: Quantity) -> str:
    return with_unit(limits_text(texts), texts)
