"""Rows of the cells of a matrix and of the elements of ``foreach``, and states of steps."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from pytest_orchestrator.core.text import counted, element_label
from pytest_orchestrator.reports import text as report_text
from pytest_orchestrator.reports.terminal.lines import Line, one_line, plain_line
from pytest_orchestrator.reports.terminal.measurements import CellRow, cell_table
from pytest_orchestrator.runs.block import marginal_count, measurements_of

if TYPE_CHECKING:
    from pytest_orchestrator.runs.block import Block, Element

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
