"""Measurements in the terminal: a line for each one, tables of cells, states of steps."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from msgspec import UNSET, Struct
from msgspec.structs import replace

from pytest_orchestrator.core.text import counted, element_label
from pytest_orchestrator.reports import text as report_text
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
from pytest_orchestrator.runs.block import Measurement, marginal_count, measurements_of

if TYPE_CHECKING:
    from pytest_orchestrator.runs.block import Block, Element


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


_MOST_CELLS: Final = 100


def element_state(element: "Element") -> str:
    """Return the state of an element, with the number of its attempt if it was repeated."""
    attempt = element.attempt or 1
    return f"{element.word} (attempt {attempt})" if attempt > 1 else element.word


def state_of(block: "Block") -> str:
    """Return the state of a step, with its attempts, reruns and marginal measurements, if any."""
    step = block.step
    counts = [f"attempt {step.attempt}"] if step.attempt and step.attempt > 1 else []
    counts += [report_text.rerun(step.reruns)] if step.reruns else []
    counts += [", ".join(step.by_hand)] if step.by_hand else []
    counts += ["empty list"] if block.elements == [] else []
    counts += [f"{marginal} marginal"] if (marginal := marginal_count(block)) else []
    return f"{step.word} ({', '.join(counts)})" if counts else step.word


def element_cell(element: "Element", note: str = "") -> CellRow:
    """Return the row of an element of ``foreach`` in a table of measurements."""
    label = element_label(element.index, element.item)
    return CellRow(label, element_state(element), element.measurements or [], note)


def step_cells(blocks: "Sequence[Block]") -> dict[str, list[CellRow]]:
    """Return the cells of each step that has a matrix and measurements, by the step's name."""
    found: dict[str, list[CellRow]] = {}
    for block in blocks:
        if block.step.matrix:
            name, bracket, label = block.step.name.partition("[")
            row = CellRow(bracket + label, state_of(block), block.measurements or [])
            found.setdefault(name, []).append(row)
    return {name: rows for name, rows in found.items() if any(row.measured for row in rows)}


def shown_cells(title: str, rows: Sequence[CellRow], noun: str, width: int) -> list[Line]:
    """Return a table of cells or elements; of many, those that are not green come first.

    Args:
        title: Heading of the first column.
        rows: The cells.
        noun: ``cell`` or ``element``.
        width: Available columns.
    """
    if not any(row.measured for row in rows):
        return []
    shown = list(rows)
    if len(rows) > _MOST_CELLS:
        kept = sorted(range(len(rows)), key=lambda at: not rows[at].is_notable)[:_MOST_CELLS]
        shown = [rows[at] for at in sorted(kept)]
    lines = cell_table(title, shown, width, "   ")
    if left := len(rows) - len(shown):
        lines.append(plain_line(f"   … {counted(left, f'more {noun}')}", width))
    return lines


class RecipeCells:
    """Measurements of the steps of recipes with a matrix, in all its cells."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], list[CellRow]] = {}

    def add(self, blocks: "Sequence[Block]") -> None:
        """Store the measurements of a recipe; of a recipe without a matrix, nothing.

        Args:
            blocks: The blocks of the steps of one cell.
        """
        for block in blocks:
            measured = measurements_of(block)
            if not (block.recipe.cell and measured):
                continue
            name, bracket, label = block.step.name.partition("[")
            row = CellRow(f"[{block.recipe.cell}]{bracket}{label}", state_of(block), measured)
            self._rows.setdefault((block.recipe.path, name), []).append(row)

    def tables(self, width: int) -> Iterator[tuple[str, list[Line]]]:
        """Yield a title and the table of each step with measurements in several cells.

        Args:
            width: Available columns.
        """
        for (path, name), rows in self._rows.items():
            if len(rows) > 1:
                lines = shown_cells(one_line(name), rows, "cell", width)
                yield f"{path}: {counted(len(rows), 'cell')} of {name}", lines
