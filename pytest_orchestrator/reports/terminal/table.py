"""Table of the steps of a recipe."""

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from pytest_orchestrator.core.text import (
    counted,
    cut_to_width,
    display_width,
    element_label,
    figure,
)
from pytest_orchestrator.reports import text as report_text
from pytest_orchestrator.reports.critical_path import critical_path, parallel
from pytest_orchestrator.runs.block import marginal_count, measurements_of, plain

if TYPE_CHECKING:
    from pytest_orchestrator.runs.block import Block, Element, Measurement

_HEADINGS = ("step", "state", "seconds", "CPU s", "peak MB", "context keys written")
_RIGHT_ALIGNED = {2, 3, 4}
_MIN_NAME = 8
_COLOURS = {
    "passed": "green",
    "failed": "red",
    "error": "red",
    "blocked": "yellow",
    "skipped": "yellow",
    "xfailed": "yellow",
    "xpassed": "yellow",
    "interrupted": "red",
    "not run": "yellow",
    "marginal": "yellow",
}
_MOST_MARGINAL = 10
_MOST_ELEMENTS = 10
_WIDEST_ELEMENT = 24  # columns; a wider label would leave no room for the figures


class Row(NamedTuple):
    """A line of the table in three parts; the middle one may be coloured.

    Attributes:
        before: Text before the state.
        word: The state.
        after: Text after the state.
    """

    before: str
    word: str = ""
    after: str = ""

    @property
    def text(self) -> str:
        """The whole line."""
        return self.before + self.word + self.after

    @property
    def colour(self) -> str:
        """Name of the colour of the state."""
        state, _, notes = self.word.partition(" (")
        is_marginal = state == "passed" and "marginal" in notes
        return _COLOURS["marginal" if is_marginal else state] if state in _COLOURS else ""


def table(blocks: "Sequence[Block]", width: int | None = None) -> list[Row]:
    """Return the rows of a table of steps.

    Args:
        blocks: The blocks of the JSON report, in the order of the rows.
        width: Available columns; None means the width of the terminal.

    Returns:
        Rows, the head first; ``||`` marks steps that overlapped with others.
    """
    width = width or shutil.get_terminal_size().columns
    beside = parallel(blocks)
    rows: list[tuple[str, ...]] = [_HEADINGS]
    for block in blocks:
        rows += [_row(block), *_element_rows(block)]
    widths = [
        max(display_width(row[column]) for row in rows) for column in range(len(_HEADINGS) - 1)
    ]
    gap = 4 if beside else 2
    widths[0] = min(widths[0], max(_MIN_NAME, width - widths[1] - widths[2] - gap - 4))
    marked = [" || " if row[0] in beside else " " * gap for row in rows]
    return [_line(row, mark, widths, width) for row, mark in zip(rows, marked, strict=True)]


def not_run_line(blocks: "Sequence[Block]", width: int) -> str:
    """Return the line of a recipe of which no step ran: its number of steps, and the reason.

    Args:
        blocks: The blocks of its steps.
        width: Columns of the terminal.
    """
    reason = (blocks[0].step.reason or "").partition("\n")[0]
    return cut_to_width(f" {counted(len(blocks), 'step')} not run: {reason}", width)


def marginal_lines(blocks: "Sequence[Block]", width: int) -> list[str]:
    """Return a line for each marginal measurement of a recipe; if there are many, for the first.

    Args:
        blocks: The blocks of all steps of one run of a recipe.
        width: Available columns.
    """
    found = [
        (block.step.name, one) for block in blocks for one in measurements_of(block) if one.marginal
    ]
    lines = [cut_to_width(_marginal(step, one), width) for step, one in found[:_MOST_MARGINAL]]
    more = len(found) - len(lines)
    return [*lines, f"{more:,} more marginal measurements"] if more else lines


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
        unit = measured[0].unit or ""
        parts.insert(0, f"{figure(min(values))} to {figure(max(values))} {unit}".rstrip())
    parts += [f"{curve.late:,} late"] if curve.late else []
    parts += [f"{curve.failed:,} failed"] if curve.failed else []
    return f"sampled    {block.step.name}: {', '.join(parts)}"


def _marginal(step: str, one: "Measurement") -> str:
    precision, unit = one.precision or None, f" {one.unit}" if one.unit else ""
    value, margin = (
        figure(cast("float", one.value), precision),
        figure(one.margin or 0.0, precision),
    )
    return f"marginal   {step}: {one.name} = {value}{unit}, {margin}{unit} from its limit"


def closing(blocks: "Sequence[Block]", folder: str, width: int) -> list[str]:
    """Return the lines below a table: the critical path, the Context, the run folder.

    Args:
        blocks: The blocks of all steps of one run of a recipe.
        folder: Path of the run folder to print.
        width: Available columns.
    """
    lines = []
    path = critical_path(blocks)
    if path is not None and len(path.names) > 1 and parallel(blocks):
        times = f": {report_text.duration(path.seconds)} of {report_text.duration(path.whole)}"
        head = "critical path "
        lines.append(head + _chain(path.names, width - len(head) - len(times)) + times)
    writes = [write for block in blocks for write in block.context.writes]
    keys = len({write.key for write in writes})
    last = [f"context {counted(keys, 'key')}, {counted(len(writes), 'write')}"] if writes else []
    last.append(f"run {folder}")
    whole = "   ".join(last)
    return [*lines, whole] if display_width(whole) <= width else [*lines, *last]


def _row(block: "Block") -> tuple[str, ...]:
    used = plain(block.resources) if block.resources else {}
    cpu = report_text.added(used.get("cpu_user_seconds"), used.get("cpu_system_seconds"))
    return (
        block.step.name,
        _state(block),
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
    attempt = element.attempt or 1
    return (
        cut_to_width(f"  {element_label(element.index, element.item)}", _WIDEST_ELEMENT),
        f"{element.state} (attempt {attempt})" if attempt > 1 else element.state,
        report_text.seconds(used.get("seconds")),
        report_text.seconds(cpu),
        report_text.peak_megabytes(used),
        "",
    )


def _state(block: "Block") -> str:
    """Return the state of a step, with its attempts, reruns and marginal measurements, if any."""
    step = block.step
    counts = [f"attempt {step.attempt}"] if step.attempt and step.attempt > 1 else []
    counts += [report_text.rerun(step.reruns)] if step.reruns else []
    counts += ["empty list"] if block.elements == [] else []
    counts += [f"{marginal} marginal"] if (marginal := marginal_count(block)) else []
    # A sampled value is no item: pytest, and so the list of the run, has it as an error.
    state = "error" if step.sampled and step.state == "failed" else step.state
    return f"{state} ({', '.join(counts)})" if counts else state


def _line(row: tuple[str, ...], mark: str, widths: Sequence[int], width: int) -> Row:
    cells = [
        report_text.padded(cut_to_width(cell, size), size, right=column in _RIGHT_ALIGNED)
        for column, (cell, size) in enumerate(zip(row, widths, strict=False))
    ]
    before, word = f" {cells[0]}{mark}", cells[1].rstrip()
    room = width - display_width(before + word)
    if room < 1:
        return Row(cut_to_width(before + word, width))
    rest = cells[1][len(word) :] + "  " + "  ".join([*cells[2:], row[-1]])
    return Row(before, word, cut_to_width(rest, room))


def _chain(names: Sequence[str], room: int) -> str:
    """Return the step names of a chain in one line; if they do not fit, omit middle ones."""
    for left in range(len(names), 1, -1):
        head, tail = names[: (left + 1) // 2], names[len(names) - left // 2 :]
        gap = [] if left == len(names) else [f"… {len(names) - left} more …"]
        chain = " > ".join([*head, *gap, *tail])
        if len(chain) <= room:
            return chain
    return f"{names[0]} > … > {names[-1]}"
