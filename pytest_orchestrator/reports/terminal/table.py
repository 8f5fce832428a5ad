"""Table of the steps of a recipe, with the figures and the measurements of each step."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from pytest_orchestrator.core.text import (
    counted,
    cut_to_width,
    element_label,
)
from pytest_orchestrator.reports import text as report_text
from pytest_orchestrator.reports.critical_path import critical_path, parallel
from pytest_orchestrator.reports.quantities import range_text
from pytest_orchestrator.reports.terminal.lines import (
    Cell,
    Column,
    Line,
    Table,
    plain_line,
    state_part,
)
from pytest_orchestrator.reports.terminal.measurements import (
    element_cell,
    element_state,
    measurement_lines,
    shown_cells,
    state_of,
    step_cells,
)
from pytest_orchestrator.reports.terminal.screen import duration
from pytest_orchestrator.runs.block import plain

if TYPE_CHECKING:
    from pytest_orchestrator.runs.block import Block, Element

_COLUMNS = (
    Column("step", "name"),
    Column("state"),
    Column("seconds", right=True),
    Column("CPU s", right=True),
    Column("peak MB", right=True),
    Column("context keys written", "text", least=1),
)
_MOST_ELEMENTS = 10
_WIDEST_ELEMENT = 24  # columns; a wider label would leave no room for the figures


class _Rows(NamedTuple):
    """A row of the table, and the lines below it.

    Attributes:
        cells: The cells of the row.
        is_parallel: True if the step overlapped with others.
        below: The measurements of the step.
    """

    cells: tuple[str, ...]
    is_parallel: bool = False
    below: Sequence[Line] = ()


def table(blocks: "Sequence[Block]", width: int, *, is_whole: bool = True) -> list[Line]:
    """Return a table of steps with their figures and measurements.

    Args:
        blocks: The blocks of the JSON report, in the order of the rows.
        width: Available columns.
        is_whole: False to leave out steps of which pytest's line ``PASSED`` says as much.

    Returns:
        Lines, the headings first; ``||`` marks steps that overlapped with others. The cells of a
        step with a matrix have a table of their measurements at the end.
    """
    beside = parallel(blocks)
    rows: list[_Rows] = []
    shown = [block for block in blocks if is_whole or _says_more(block)]
    for block in shown:
        below = [] if block.step.matrix else _measurements(block, width)
        rows.append(_Rows(_row(block), block.step.name in beside, below))
        elements = [_Rows(cells) for cells in _element_rows(block)]
        if elements:
            rows[-1], elements[-1] = (
                rows[-1]._replace(below=()),
                elements[-1]._replace(below=below),
            )
        rows += elements
    lines = list[Line]()
    if shown or is_whole:
        columns = [_COLUMNS[0], Column(), *_COLUMNS[1:]] if beside else _COLUMNS
        body = (_cells(row, has_marks=bool(beside)) for row in rows)
        head, *others = Table(columns, body, width, " ").lines()
        lines.append(head)
        for row, line in zip(rows, others, strict=True):
            lines += [line, *row.below]
    for name, of_step in step_cells(blocks).items():
        lines += shown_cells(name, of_step, "cell", width)
    if left := len(blocks) - len(shown):
        lines.append(plain_line(f" … {counted(left, 'more step')} passed (-vv shows all)", width))
    return lines


def _says_more(block: "Block") -> bool:
    """Return True if the row of a step says more than that it passed."""
    step = block.step
    values = (block.measurements, block.elements, block.context.writes, step.reruns, step.by_hand)
    return step.state != "passed" or (step.attempt or 1) > 1 or any(values)


def _measurements(block: "Block", width: int) -> list[Line]:
    if block.elements:
        rows = [row for element in block.elements if (row := element_cell(element)).measured]
        return shown_cells("element", rows, "element", width)
    return measurement_lines(block.measurements or [], width)


def sampled_lines(blocks: "Sequence[Block]", width: int) -> list[str]:
    """Return a line for each sampled value of a recipe: its range, and its number of samples.

    Args:
        blocks: The blocks of all steps of one run of a recipe.
        width: Available columns.
    """
    return [cut_to_width(_sampled(block), width) for block in blocks if block.curve]


def _sampled(block: "Block") -> str:
    curve = block.curve
    measured = block.measurements or []
    values = [one.value for one in measured if isinstance(one.value, int | float)]
    assert curve  # noqa: S101
    parts = [counted(curve.samples, "sample")]
    if values:
        parts.insert(0, range_text(values, measured[0].unit or ""))
    parts += [f"{curve.late:,} late"] if curve.late else []
    parts += [f"{curve.failed:,} failed"] if curve.failed else []
    return f"sampled    {block.step.name}: {', '.join(parts)}"


def closing(blocks: "Sequence[Block]", width: int) -> list[str]:
    """Return the lines below a table: the critical path and the Context.

    Args:
        blocks: The blocks of all steps of one run of a recipe.
        width: Available columns.
    """
    lines = []
    path = critical_path(blocks)
    if path is not None and len(path.names) > 1 and parallel(blocks):
        times = f": {duration(path.seconds)} of {duration(path.whole)}"
        head = "critical path "
        lines.append(head + _chain(path.names, width - len(head) - len(times)) + times)
    writes = [write for block in blocks for write in block.context.writes]
    keys = len({write.key for write in writes})
    last = [f"context {counted(keys, 'key')}, {counted(len(writes), 'write')}"] if writes else []
    return [*lines, *last]


def _row(block: "Block") -> tuple[str, ...]:
    used = plain(block.resources) if block.resources else {}
    cpu = report_text.added(used.get("cpu_user_seconds"), used.get("cpu_system_seconds"))
    return (
        block.step.name,
        state_of(block),
        report_text.seconds(used.get("seconds")),
        report_text.seconds(cpu),
        report_text.peak_megabytes(used),
        ", ".join(dict.fromkeys(write.key for write in block.context.writes)) or "-",
    )


def _element_rows(block: "Block") -> list[tuple[str, ...]]:
    """Return a row for each element of ``foreach``; of many, for those that did not pass."""
    elements = block.elements or []
    shown = elements
    if len(elements) > _MOST_ELEMENTS:
        others = [one for one in elements if one.state not in ("passed", "restored")]
        shown = others[:_MOST_ELEMENTS]
    rows = [_element_row(one) for one in shown]
    if len(shown) < len(elements):
        rows.append((f"  … {counted(len(elements) - len(shown), 'more element')}", *("",) * 5))
    return rows


def _element_row(element: "Element") -> tuple[str, ...]:
    used = plain(element.resources) if element.resources else {}
    cpu = report_text.added(used.get("cpu_user_seconds"), used.get("cpu_system_seconds"))
    return (
        cut_to_width(f"  {element_label(element.index, element.item)}", _WIDEST_ELEMENT),
        element_state(element),
        report_text.seconds(used.get("seconds")),
        report_text.seconds(cpu),
        report_text.peak_megabytes(used),
        "",
    )


def _cells(row: _Rows, *, has_marks: bool) -> list[Cell]:
    """Return the cells of a row, with a column of marks if steps overlapped."""
    name, state, *others = row.cells
    marks = ["||" if row.is_parallel else ""] if has_marks else []
    return [name, *marks, state_part(state), *others]


def _chain(names: Sequence[str], room: int) -> str:
    """Return the step names of a chain in one line; if they do not fit, omit middle ones."""
    for left in range(len(names), 1, -1):
        head, tail = names[: (left + 1) // 2], names[len(names) - left // 2 :]
        gap = [] if left == len(names) else [f"… {len(names) - left} more …"]
        chain = " > ".join([*head, *gap, *tail])
        if len(chain) <= room:
            return chain
    return f"{names[0]} > … > {names[-1]}"
