"""Summary of a session that fits a screen: a line for each recipe, and what did not pass."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.core.text import counted, display_width
from pytest_orchestrator.reports.measurement_text import is_notable
from pytest_orchestrator.reports.summary import verdict
from pytest_orchestrator.reports.terminal.lines import (
    Cell,
    Column,
    Line,
    Part,
    Table,
    one_line,
    plain_line,
    state_part,
)
from pytest_orchestrator.reports.terminal.measurements import (
    CellRow,
    cell_table,
    element_cell,
    measurement_lines,
    state_of,
)
from pytest_orchestrator.reports.terminal.status_line import clock
from pytest_orchestrator.runs.block import measurements_of
from pytest_orchestrator.runs.verdicts import (
    NOT_GOOD,
    STATES,
    URGENT,
    Word,
    counts,
    is_good,
    unsafe,
    worst,
)

if TYPE_CHECKING:
    from pytest_orchestrator.core.events import InstrumentSafe
    from pytest_orchestrator.runs.block import Block, Element, Measurement


_SEVERITY: Final = (*URGENT, "xpassed", "xfailed", *STATES)
_ORDER: Final = ("passed", *URGENT, "blocked", "not run", "skipped", "xfailed", "xpassed")
FOLDED: Final = frozenset({"blocked", "not run", "skipped"})
"""States of steps that share a row if they have the same reason."""

MEASURED: Final = ("failed", "failed (may fail)", "marginal")
"""Words of measurements that did not pass, or are near a limit."""
_RUN: Final = NOT_GOOD | {"passed", "conditional pass", "xfailed", "xpassed"}


class StepRow(msgspec.Struct, frozen=True):
    """A step, or several steps with the same reason, in the overview of a recipe.

    Attributes:
        name: The step; of several, their number.
        state: Its state, with notes in parentheses.
        seconds: Duration of its step code; empty if it did not run.
        note: The number of steps that it blocks, and the reason of its state.
        measured: Measurements that did not pass or are marginal.
        cells: Its elements that did not pass, or the cells of a step with a matrix.
        rest: The number and state of the cells that are not listed.
        noun: ``element`` or ``cell``, the heading of their column.
        is_empty: True for a loop over an empty list.
        by_hand: True for a step at whose prompt a person did something.
    """

    name: str
    state: str
    seconds: str = ""
    note: str = ""
    measured: "Sequence[Measurement]" = ()
    cells: Sequence[CellRow] = ()
    rest: str = ""
    noun: str = "element"
    is_empty: bool = False
    by_hand: bool = False


class Overview(msgspec.Struct, frozen=True):
    """One run of a recipe, without the steps that passed.

    Attributes:
        path: Path of the recipe.
        cell: The cell of its matrix; empty without one.
        verdict: The verdict of the run of the recipe.
        span: Start of its first step and end of its last one; None if none ran.
        states: The number of its steps by state.
        repeated: Names of the steps that passed in a later attempt.
        measured: The numbers of its measurements by `MEASURED`, and of the others.
        rows: The steps that did not pass or have notable measurements.
        units: The units with serial number and verdict, in one line; empty without units.
    """

    path: str
    cell: str
    verdict: Word
    span: tuple[float, float] | None
    states: Counter[str]
    repeated: tuple[str, ...]
    measured: Counter[str]
    rows: Sequence[StepRow]
    units: str = ""

    @property
    def is_quiet(self) -> bool:
        """True if the recipe passed and no row of it is shown."""
        return is_good(self.verdict) and not self.rows


def overview(blocks: "Sequence[Block]", ends: "Sequence[InstrumentSafe]" = ()) -> Overview:
    """Return the overview of one run of a recipe.

    Args:
        blocks: The blocks of all its steps, in order; at least one.
        ends: Its safe states that were not reached.
    """
    steps = [block for block in blocks if not block.step.sampled]
    measured = [one for block in blocks for one in measurements_of(block)]
    times = [block.time for block in steps if block.time and block.step.state in _RUN]
    first, word = blocks[0].recipe, verdict(blocks, ends)
    rows = list(_rows(blocks))
    if is_good(word):
        rows = [row for row in rows if row.measured or row.cells or row.is_empty or row.by_hand]
    rows += [StepRow(one.name, one.state, note=_first_line(one.reason)) for one in unsafe(ends)]
    return Overview(
        path=first.path,
        cell=first.cell or "",
        verdict=word,
        span=(
            (
                min(epoch_seconds(time.start) for time in times),
                max(epoch_seconds(time.stop) for time in times),
            )
            if times
            else None
        ),
        states=counts(block.step for block in blocks),
        repeated=tuple(
            block.step.name for block in steps if (block.step.attempt or 1) > 1 or block.step.reruns
        ),
        measured=Counter(map(_word, measured)),
        rows=rows,
        units=", ".join(_units(blocks, first.units or {}, ends)),
    )


def _units(
    blocks: "Sequence[Block]", units: "Mapping[str, str | None]", ends: "Sequence[InstrumentSafe]"
) -> Iterator[str]:
    for unit, serial in units.items():
        own = [one for one in blocks if (one.step.unit or unit) == unit]
        is_selected = any(one.step.unit and not one.step.final for one in own)
        word = verdict(own, ends) if is_selected else "not selected"
        word = "empty" if serial == "" else word
        yield " ".join(filter(None, (unit, serial, word)))


def _word(one: "Measurement") -> str:
    if one.verdict != "pass":
        return "failed (may fail)" if one.allow_fail else "failed"
    return "marginal" if one.marginal else ""


def _rows(blocks: "Sequence[Block]") -> Iterator[StepRow]:
    """Yield the rows of a recipe; steps of a matrix, and blocked or skipped ones, share a row."""
    shown = {block.step.name for block in blocks if _is_shown(block)}
    blocked = Counter(
        block.step.blocked_by or "" for block in blocks if block.step.state == "blocked"
    )
    folded: dict[tuple[str, str], list[str]] = {}
    matrices: dict[str, list[Block]] = {}
    for block in blocks:
        step = block.step
        if step.matrix:
            matrices.setdefault(_base(block), []).append(block)
        if step.state in FOLDED and step.blocked_by not in shown:
            key = step.state, _first_line(step.reason or "")
            folded.setdefault(key, []).append(step.name)
    for block in blocks:
        if not _is_shown(block):
            continue
        if not block.step.matrix:
            yield _row(block, blocked[block.step.name])
        elif block_cells := matrices.pop(_base(block), None):
            yield _matrix_row(_base(block), block_cells, blocked)
    for (state, reason), names in folded.items():
        name = names[0] if len(names) == 1 else counted(len(names), "step")
        is_part = state == "not run" and 1 < len(names) < len(blocks)
        yield StepRow(name, state, note=f"{', '.join(names)}: {reason}" if is_part else reason)


def _is_shown(block: "Block") -> bool:
    state = block.step.state
    if state in FOLDED:
        return False
    if block.elements == [] or block.step.by_hand or not is_good(state):
        return True
    return any(map(is_notable, measurements_of(block)))


def _base(block: "Block") -> str:
    return block.step.name.partition("[")[0]


def _row(block: "Block", blocks: int) -> StepRow:
    """Return the row of a step that did not pass or has notable measurements."""
    notable = [one for one in block.measurements or () if is_notable(one)]
    cells = [_element(element) for element in block.elements or ()]
    shown = [cell for cell in cells if cell.is_notable]
    others = [cell.state.partition(" (")[0] for cell in cells if not cell.is_notable]
    return StepRow(
        block.step.name,
        state_of(block),
        duration(block.resources.seconds) if block.resources else "",
        _note(block, blocks, has_details=bool(notable or shown)),
        notable,
        shown,
        _rest(others, "element") if shown else "",
        is_empty=block.elements == [],
        by_hand=bool(block.step.by_hand),
    )


def _element(element: "Element") -> CellRow:
    is_explained = any(map(is_notable, element.measurements or ()))
    return element_cell(element, "" if is_explained else _first_line(element.reason or ""))


def _matrix_row(name: str, blocks: "Sequence[Block]", blocked: Counter[str]) -> StepRow:
    """Return the row of a step with a matrix: its cells that are shown, and the others by state."""
    shown = [block for block in blocks if _is_shown(block)]
    state = min((block.step.word for block in shown), key=_SEVERITY.index)
    cells = [
        CellRow(
            block.step.name.removeprefix(name),
            state_of(block),
            block.measurements or (),
            _note(block, blocked[block.step.name], has_details=bool(block.measurements)),
        )
        for block in shown
    ]
    rest = [block.step.state for block in blocks if not _is_shown(block)]
    return StepRow(name, state, cells=cells, rest=_rest(rest, "cell"), noun="cell")


def _note(block: "Block", blocks: int, *, has_details: bool) -> str:
    """Return how many steps a step blocks, and why it did not pass unless its details say so."""
    parts = [f"blocks {counted(blocks, 'step')}"] if blocks else []
    reason = _first_line(block.step.reason or "")
    return "; ".join([*parts, reason] if reason and not has_details else parts)


def _rest(states: Sequence[str], noun: str) -> str:
    """Return the number of other cells or elements with their states: ``38 more cells passed``."""
    if not states:
        return ""
    counts = Counter(states)
    word = counted(len(states), f"more {noun}")
    return f"{word} {states[0]}" if len(counts) == 1 else f"{word}: {counted_states(counts)}"


def counted_states(states: Counter[str]) -> str:
    """Return numbers of steps or recipes by state, such as ``7 passed, 1 failed, 52 blocked``."""
    named = [*_ORDER, *sorted(states.keys() - {*_ORDER})]
    return ", ".join(f"{states[name]:,} {name}" for name in named if states[name])


def _first_line(text: str) -> str:
    return one_line(text.partition("\n")[0])


def duration(seconds: float) -> str:
    """Return a duration with its unit, such as ``0.03 s``, ``2.1 s`` or ``1:02:03``."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    return f"{seconds:.1f} s" if seconds < 60 else clock(seconds)


def span_text(overviews: Iterable[Overview]) -> str:
    """Return the time from the first start to the last end; empty if no step ran."""
    spans = [one.span for one in overviews if one.span]
    if not spans:
        return ""
    return duration(max(stop for _, stop in spans) - min(start for start, _ in spans))


_MOST_ROWS: Final = 20
_MOST_MEASUREMENTS: Final = 10
_MOST_NAMES: Final = 2
"""Number of repeated steps that the line of a recipe names; more make it too long at 80 columns."""
_HEAD: Final = (
    Column(kind="place"),
    Column(),
    Column(right=True),
    Column(right=True),
    Column(kind="text", least=1),
)
_CELL: Final = (Column(kind="name"), *_HEAD[1:])
_STEP: Final = (Column(kind="name"), Column(), Column(right=True), Column(kind="text", least=1))


class _Entry(msgspec.Struct, frozen=True):
    """A recipe, all cells of its matrix, or many recipes that passed.

    Attributes:
        name: Text of the first column.
        runs: The runs that the entry stands for.
        is_matrix: True if they are the cells of one recipe.
    """

    name: str
    runs: Sequence[Overview]
    is_matrix: bool = False

    @property
    def verdict(self) -> Word:
        """The worst verdict of the runs."""
        return worst(run.verdict for run in self.runs)

    @property
    def is_quiet(self) -> bool:
        """True if all runs passed and no row is shown for them."""
        return all(run.is_quiet for run in self.runs)


def screen(runs: Iterable[Overview], width: int, *, only_failed: bool, more: str) -> list[Line]:
    """Return the summary of a session.

    Args:
        runs: The runs of its recipes, in order.
        width: Available columns.
        only_failed: True to leave out recipes that passed or were skipped.
        more: Place of the rows that are left out, such as ``see the report``.
    """
    entries = _entries(runs)
    if only_failed:
        entries = [one for one in entries if not _is_fine(one.verdict)]
    entries = _with_quiet_ones_folded(entries)
    heads = Table(_HEAD, _heads(entries, width), width)
    lines = list[Line]()
    for entry, head in zip(entries, heads.lines(), strict=True):
        lines.append(head)
        if entry.is_matrix:
            lines += _matrix_lines(entry, width, more, only_failed=only_failed)
        elif not _is_single_fold(entry):
            if units := entry.runs[0].units:
                lines.append(plain_line(f"  units: {units}", width))
            lines += _step_lines(entry.runs[0].rows, width, more)
    return lines


def totals(runs: Sequence[Overview], width: int) -> str:
    """Return one line with the numbers of recipes, steps and measurements of a session.

    Args:
        runs: The runs of its recipes.
        width: Available columns; numbers that do not fit are left out.
    """
    recipes = Counter[str](entry.verdict for entry in _entries(runs))
    states = _states(runs)
    parts = [
        f"{counted(recipes.total(), 'recipe')}: {counted_states(recipes)}",
        f"{counted(states.total(), 'step')}: {counted_states(states)}",
    ]
    empty = sum(row.is_empty for run in runs for row in run.rows)
    parts += filter(None, [_measured(runs), counted(empty, "empty loop") if empty else ""])
    return _fitting(parts, width)


def _fitting(parts: Sequence[str], room: int) -> str:
    """Return parts in one line without those that do not fit; the first one is always kept."""
    line = parts[0]
    for part in parts[1:]:
        if display_width(f"{line}; {part}") <= room:
            line += f"; {part}"
    return line


def _whole_counts(counts: str, room: int) -> str:
    """Return the first counts that fit, then ``…``, so that no number loses its word."""
    kept = counts
    while ", " in kept and display_width(f"{kept}, …") > room:
        kept = kept.rpartition(", ")[0]
    return f"{kept}, …"


def _entries(runs: Iterable[Overview]) -> list[_Entry]:
    """Return an entry for each recipe; the cells of a matrix share one."""
    by_path: dict[str, list[Overview]] = {}
    for run in runs:
        by_path.setdefault(run.path, []).append(run)
    entries = []
    for path, cells in by_path.items():
        cell = f"[{cells[0].cell}]" if cells[0].cell else ""
        is_matrix = len(cells) > 1
        entries.append(_Entry(path if is_matrix else path + cell, cells, is_matrix))
    return entries


def _with_quiet_ones_folded(entries: list[_Entry]) -> list[_Entry]:
    """Return the entries; if many passed without anything to show, one entry stands for them."""
    quiet = [one for one in entries if one.is_quiet]
    if len(quiet) <= _MOST_ROWS:
        return entries
    runs = [run for one in quiet for run in one.runs]
    folded = _Entry(counted(len(quiet), "recipe"), runs)
    return [folded, *(one for one in entries if not one.is_quiet)]


def _heads(entries: Sequence[_Entry], width: int) -> list[list[Cell]]:
    """Return the cells of the line of each recipe; details that do not fit are left out."""
    rows: list[list[Cell]] = [
        [
            one_line(entry.name),
            state_part(entry.verdict),
            counted(_states(entry.runs).total(), "step"),
            span_text(entry.runs),
        ]
        for entry in entries
    ]
    room = width - Table(_HEAD, [[*row, ""] for row in rows], width).width
    for entry, row in zip(entries, rows, strict=True):
        details = _details_of(entry)
        if not _is_single_fold(entry) and display_width(details[0]) > room:
            details = [_whole_counts(details[0], room)]
        is_marginal = is_good(entry.verdict) and any(run.measured["marginal"] for run in entry.runs)
        row.append(Part(_fitting(details, room), "yellow" if is_marginal else ""))
    return rows


def _details_of(entry: _Entry) -> list[str]:
    """Return what the line of a recipe says beside its numbers, the most important part first."""
    if _is_single_fold(entry):
        return [entry.runs[0].rows[0].note]
    states, measured = _states(entry.runs), _measured(entry.runs)
    if entry.is_matrix:
        cells = Counter[str](run.verdict for run in entry.runs)
        number = counted(len(entry.runs), "cell")
        of_cells = ", ".join(filter(None, [number, _others(cells)]))
        parts = [of_cells, "" if _others(cells) else _others(states), measured]
    elif is_good(entry.verdict):
        parts = [measured, _others(states)]
    else:
        parts = [_others(states), measured]
    if repeated := [name for run in entry.runs for name in run.repeated]:
        is_short = len(repeated) <= _MOST_NAMES and not entry.is_matrix
        names = f" ({', '.join(repeated)})" if is_short else ""
        parts.append(f"{len(repeated):,} repeated{names}")
    return [part for part in parts if part] or [""]


def _others(states: Counter[str]) -> str:
    """Return the numbers of the states other than passed."""
    return counted_states(Counter({name: n for name, n in states.items() if name != "passed"}))


def _is_single_fold(entry: _Entry) -> bool:
    """Return True if no step of a recipe ran and all have the same reason, as one row says."""
    rows = entry.runs[0].rows
    is_single = len(entry.runs) == len(rows) == 1 and rows[0].state in FOLDED
    return is_single and list(_states(entry.runs)) == [rows[0].state]


def _states(runs: Iterable[Overview]) -> Counter[str]:
    return _sum(run.states for run in runs)


def _sum(counters: Iterable[Counter[str]]) -> Counter[str]:
    total = Counter[str]()
    for one in counters:
        total.update(one)
    return total


def _measured(runs: Sequence[Overview]) -> str:
    counts = _sum(run.measured for run in runs)
    if not counts:
        return ""
    words = [f"{counts[word]:,} {word}" for word in MEASURED if counts[word]]
    return ", ".join([counted(counts.total(), "measurement"), *words])


def _step_lines(rows: Sequence[StepRow], width: int, more: str) -> list[Line]:
    """Return the lines of the steps of a recipe, each followed by its measurements."""
    shown = _most_urgent(rows)
    heads = Table(_STEP, map(_step_head, shown), width, "  ").lines()
    lines = list[Line]()
    for row, head in zip(shown, heads, strict=True):
        lines += [head, *_details(row, width, more)]
    return [*lines, *_left_out(len(rows) - len(shown), width, "  ", more)]


def _step_head(row: StepRow) -> list[Cell]:
    return [one_line(row.name), state_part(row.state), row.seconds, row.note]


def _details(row: StepRow, width: int, more: str) -> list[Line]:
    lines = measurement_lines(row.measured[:_MOST_MEASUREMENTS], width)
    lines += _left_out(len(row.measured) - _MOST_MEASUREMENTS, width, "    ", more)
    if row.cells:
        lines += cell_table(row.noun, row.cells[:_MOST_ROWS], width)
        lines += _left_out(len(row.cells) - _MOST_ROWS, width, "    ", more)
        if row.rest:
            lines.append(plain_line(f"    {row.rest}", width))
    return lines


def _matrix_lines(entry: _Entry, width: int, more: str, *, only_failed: bool) -> Iterator[Line]:
    """Yield a line for each cell that is not green, one for the others, and the measurements."""
    cells = [run for run in entry.runs if not _is_fine(run.verdict)]
    shown = cells[:_MOST_ROWS]
    rows = [_cell_head(f"[{run.cell}]", [run], _failed_steps(run)) for run in shown]
    others = [run for run in entry.runs if _is_fine(run.verdict)]
    if cells and others and not only_failed:
        rows.append(_cell_head(counted(len(others), "more cell"), others, ""))
    lines = [*Table(_CELL, rows, width, "  ").lines()]
    yield from lines[: len(shown)]
    yield from _left_out(len(cells) - len(shown), width, "  ", more)
    yield from lines[len(shown) :]
    tables: dict[str, list[CellRow]] = {}
    for run in cells if only_failed else entry.runs:
        for row in run.rows:
            tables.setdefault(row.name, []).extend(_cells_of(run.cell, row))
    for name, found in tables.items():
        if found:
            yield from cell_table(one_line(name), found[:_MOST_ROWS], width, "  ")
            yield from _left_out(len(found) - _MOST_ROWS, width, "  ", more)


def _cell_head(name: str, runs: Sequence[Overview], note: str) -> list[Cell]:
    word = _Entry("", runs).verdict
    steps = counted(_states(runs).total(), "step")
    return [one_line(name), state_part(word), steps, span_text(runs), note]


def _failed_steps(run: Overview) -> str:
    """Return the steps of a cell that did not pass, with the reason of the first one."""
    rows = _most_urgent([row for row in run.rows if not row.state.startswith("passed")])
    texts = [", ".join(f"{row.name} {row.state}" for row in rows)] if rows else []
    texts += [row.note for row in rows[:1] if row.note]
    return "; ".join(texts)


def _is_fine(word: str) -> bool:
    return is_good(word) or word == "skipped"


def _cells_of(cell: str, row: StepRow) -> Iterator[CellRow]:
    """Yield the measurements of a step in a cell of the recipe's matrix."""
    if row.measured:
        yield CellRow(f"[{cell}]", row.state, row.measured)
    for one in row.cells:
        yield msgspec.structs.replace(
            one, label=f"[{cell}]{'' if one.label.startswith('[') else ' '}{one.label}"
        )


def _most_urgent(rows: Sequence[StepRow]) -> list[StepRow]:
    """Return at most 20 rows in order; steps that failed are kept first."""
    if len(rows) <= _MOST_ROWS:
        return list(rows)
    ranked = sorted(range(len(rows)), key=lambda at: not rows[at].state.startswith(URGENT))
    return [rows[at] for at in sorted(ranked[:_MOST_ROWS])]


def _left_out(number: int, width: int, indent: str, more: str) -> list[Line]:
    return [plain_line(f"{indent}and {number:,} more: {more}", width)] if number > 0 else []
