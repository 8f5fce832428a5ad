"""Measurements in the terminal: a line for each one, or a table of cells and measurements."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import UNSET, Struct
from msgspec.structs import replace

from pytest_orchestrator.core.text import counted, cut_to_width, display_width
from pytest_orchestrator.reports.measurement_text import (
    distance,
    is_notable,
    look_of,
    margin,
    with_unit,
)
from pytest_orchestrator.reports.quantities import Quantity, limits_text, quantities, quantity
from pytest_orchestrator.reports.terminal.lines import (
    GAP,
    Line,
    Part,
    columns,
    most_of_name,
    one_line,
    plain_line,
    state_part,
)
from pytest_orchestrator.runs.block import Measurement

_MOST_VALUE: Final = 40  # characters


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
            Part(cut_to_width(one_line(one.name), most_of_name(width))),
            _value(one, texts.value if one.value is UNSET else with_unit(texts.value, texts)),
            Part(_limits(texts)),
            _value(one, margin(one, texts)),
        )
        for one in measured
        for texts in [_texts(quantity(one, _MOST_VALUE))]
    ]
    return columns(rows, width, indent)


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
    cells = [_Column(name, [_by_name(row).get(name) for row in rows]) for name in names]
    label = most_of_name(width)
    fixed = [
        [Part(title), Part("state")],
        *[[Part(cut_to_width(one_line(row.label), label)), state_part(row.state)] for row in rows],
    ]
    used = sum(
        max(display_width(row[at].text) for row in fixed) + len(GAP) for at in (0, 1)
    ) + display_width(indent)
    shown = _fitting(cells, width - used)
    head = [[*fixed[0], *(Part(one_line(one.name)) for one in shown)]]
    if any(one.limits for one in shown):
        head.append([Part("limits"), Part(""), *(Part(one.limits) for one in shown)])
    body = [
        [*first, *(one.parts[at] for one in shown), Part(one_line(row.note))]
        for at, (first, row) in enumerate(zip(fixed[1:], rows, strict=True))
    ]
    lines = columns([*head, *body], width, indent)
    if missing := len(cells) - len(shown):
        lines.append(plain_line(f"{indent}… {counted(missing, 'more measurement')}", width))
    return lines


class _Column:
    """Column of a measurement.

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
        self.width = max(
            display_width(text)
            for text in (one_line(name), self.limits, *(part.text for part in self.parts))
        )

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


def _fitting(cells: Sequence[_Column], room: int) -> list[_Column]:
    """Return the columns that fit; notable ones are kept first, and one is always kept."""
    chosen, left = set[str](), room
    for one in sorted(cells, key=lambda one: not one.is_notable):
        if chosen and one.width > left:
            continue
        chosen.add(one.name)
        left -= one.width + len(GAP)
    return [one for one in cells if one.name in chosen]


def _by_name(row: CellRow) -> Mapping[str, Measurement]:
    return {one.name: one for one in row.measured}


def _value(one: Measurement, text: str) -> Part:
    return Part(text, {"failed": "red", "marginal": "yellow"}.get(look_of(one), ""))


def _texts(one: Quantity) -> Quantity:
    """Return the texts with value and condition as one line."""
    return replace(one, value=one_line(one.value), condition=one_line(one.condition))


def _limits(texts: Quantity) -> str:
    return with_unit(limits_text(texts), texts)
