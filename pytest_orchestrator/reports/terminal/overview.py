"""Overview of a run of a recipe: its counts, and the steps that did not pass."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.core.text import counted
from pytest_orchestrator.reports.measurement_text import is_notable
from pytest_orchestrator.reports.summary import verdict
from pytest_orchestrator.reports.terminal.cells import element_cell, state_of
from pytest_orchestrator.reports.terminal.lines import one_line
from pytest_orchestrator.reports.terminal.measurements import CellRow
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
    """

    path: str
    cell: str
    verdict: Word
    span: tuple[float, float] | None
    states: Counter[str]
    repeated: tuple[str, ...]
    measured: Counter[str]
    rows: Sequence[StepRow]

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
        rows = [row for row in rows if row.measured or row.cells or row.is_empty]
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
    )


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
    if block.elements == [] or not is_good(state):
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
