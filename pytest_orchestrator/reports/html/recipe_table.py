"""Parts of the overview of several recipes: their table, grids of matrices, the run's timeline."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from pytest_orchestrator.core.text import counted
from pytest_orchestrator.reports.html.page import RecipeView, first_of
from pytest_orchestrator.reports.html.step_view import StepView
from pytest_orchestrator.reports.html.timeline import lanes_of, ticks_of
from pytest_orchestrator.reports.text import cut, json_text, sign
from pytest_orchestrator.runs.verdicts import NOT_GOOD, counts, is_good, unsafe

_MOST_ROWS: Final = 300
_MOST_COLUMNS: Final = 40
_MOST_GRID_ROWS: Final = 200
_MOST_TIMELINE_ROWS: Final = 60


class RecipeRow(msgspec.Struct, frozen=True):
    """Row of the table of recipes.

    Attributes:
        view: The recipe or cell; None for the row that stands for the other cells of a matrix.
        name: Its name, with the cell of its matrix.
        steps: Number of its steps, and of those in other states than passed.
        duration: Time from its first start to its last end; a dash if it did not run.
        first: Its first step that did not pass, which has the reason; None if there is none.
        rest: Text of a row that stands for several recipes; else empty.
        unsafe: Its safe states that were not reached, with the reason; empty without any.
    """

    view: RecipeView | None
    name: str = ""
    steps: str = ""
    duration: str = ""
    first: StepView | None = None
    rest: str = ""
    unsafe: str = ""


def rows(recipes: Sequence[RecipeView]) -> list[RecipeRow]:
    """Return the rows of the table of recipes, failed ones first.

    The cells of a matrix that passed share a row, and so do passed recipes beyond the 300th row.
    """
    ordered = sorted(recipes, key=lambda one: one.rank)
    shown = [one for one in ordered if not _is_folded(one)]
    cells = Counter(one.path for one in ordered if _is_folded(one))
    table = [_row(one) for one in shown[:_MOST_ROWS]]
    for path, number in cells.items():
        some = any(one.path == path for one in shown)
        more = "more " if some else ""
        table.append(RecipeRow(None, rest=f"{number:,} {more}cells of {cut(path, 200)} passed"))
    if len(shown) > _MOST_ROWS:
        left = counted(len(shown) - _MOST_ROWS, "more recipe")
        table.append(RecipeRow(None, rest=left))
    return table


def _is_folded(one: RecipeView) -> bool:
    """Return True for a cell of a matrix that passed; a unit of a panel has a row of its own."""
    return one.is_cell and not one.unit and is_good(one.verdict)


def _row(view: RecipeView) -> RecipeRow:
    words = counts(view.recipe.steps.values())
    others = [f"{number:,} {word}" for word, number in words.items() if word != "passed"]
    return RecipeRow(
        view,
        view.title,
        f"{words.total():,}" + (f" ({', '.join(others)})" if others else ""),
        view.duration,
        first_of(view.steps),
        unsafe=cut("; ".join(f"{o.name}: {o.reason}" for o in unsafe(view.recipe.unsafe)), 300),
    )


class GridCell(msgspec.Struct, frozen=True):
    """Cell of a grid: the sign and style of its verdict, a link, and its text."""

    sign: str
    look: str
    anchor: str
    text: str


class Grid(msgspec.Struct, frozen=True):
    """Grid of the verdicts of a matrix.

    Attributes:
        name: The recipe, or the recipe and the step.
        column: Name of the matrix whose values are the columns.
        columns: Its values.
        rows: The values of the other names, and a cell for each column; None where none exists.
        summary: Numbers of cells by verdict.
    """

    name: str
    column: str
    columns: list[str]
    rows: list[tuple[str, list[GridCell | None]]]
    summary: str


def grids(recipes: Sequence[RecipeView]) -> list[Grid]:
    """Return a grid for each matrix of a recipe, and for each one of a step."""
    found: dict[str, list[tuple[Mapping[str, Any], GridCell, str]]] = {}
    for one in recipes:
        matrix = one.recipe.about.get("matrix")
        if isinstance(matrix, Mapping) and matrix:
            first = first_of(one.steps)
            why = f": {first.name}: {first.reason}" if first else ""
            cell = GridCell(one.sign, one.look, one.anchor, f"{one.verdict}{why}")
            found.setdefault(one.path, []).append((matrix, cell, one.verdict))
        for step in one.steps if one.has_step_matrix else ():
            matrix = step.about.get("matrix")
            if isinstance(matrix, Mapping) and matrix:
                why = f": {step.reason}" if step.reason else ""
                cell = GridCell(step.sign, step.look, step.anchor, f"{step.state}{why}")
                name = f"{one.title}: {step.name.partition('[')[0]}"
                found.setdefault(name, []).append((matrix, cell, step.state))
    return [_grid(name, cells) for name, cells in found.items() if len(cells) > 1]


def _grid(name: str, cells: list[tuple[Mapping[str, Any], GridCell, str]]) -> Grid:
    names = list(cells[0][0])
    sizes = {one: len({json_text(values.get(one), 80) for values, _, _ in cells}) for one in names}
    # The widest that fits: a screen is wider than it is high, and a reader scrolls down.
    fitting = [one for one in reversed(names) if sizes[one] <= _MOST_COLUMNS] or names
    column = max(fitting, key=sizes.__getitem__)
    columns: dict[str, None] = {}
    lines: dict[str, dict[str, GridCell]] = {}
    for values, cell, _ in cells:
        at = json_text(values.get(column), 80)
        columns[at] = None
        rest = [(key, value) for key, value in values.items() if key != column]
        label = ", ".join(f"{key} {json_text(value, 40)}" for key, value in rest)
        lines.setdefault(label, {})[at] = cell
    heads = [*columns][:_MOST_COLUMNS]
    counts = Counter(state for _, _, state in cells)
    return Grid(
        cut(name, 300),
        cut(column, 80),
        heads,
        [
            (label, [row.get(at) for at in heads])
            for label, row in [*lines.items()][:_MOST_GRID_ROWS]
        ],
        ", ".join(f"{number:,} {state}" for state, number in counts.items()),
    )


class RunBar(msgspec.Struct, frozen=True):
    """Bar of a recipe in the timeline of the run; times in seconds since the start of the first.

    Attributes:
        failures: The times at which steps of it failed, with their anchors, names and signs.
    """

    title: str
    anchor: str
    look: str
    start: float
    stop: float
    failures: list[tuple[float, str, str, str]]


class RunTimeline(msgspec.Struct, frozen=True):
    """Timeline of the whole run.

    Attributes:
        seconds: Its duration.
        rows: Labels, each with its bars: one recipe, or of many recipes all of a lane.
        ticks: Round times for the axis.
    """

    seconds: float
    rows: list[tuple[str, list[RunBar]]]
    ticks: tuple[float, ...]


def run_timeline(recipes: Sequence[RecipeView]) -> RunTimeline | None:
    """Return the timeline of a run; None if less than two recipes ran."""
    ran = [one for one in recipes if one.timeline]
    if len(ran) < 2:
        return None
    ran.sort(key=lambda one: one.began)
    began = ran[0].began
    bars = [_bar(one, began) for one in ran]
    seconds = max(*(bar.stop for bar in bars), 1e-6)
    if len(bars) <= _MOST_TIMELINE_ROWS:
        lines = [(bar.title, [bar]) for bar in bars]
    else:
        lanes = lanes_of([(bar.start, bar.stop) for bar in bars])
        by_lane: list[list[RunBar]] = [[] for _ in range(max(lanes) + 1)]
        for bar, lane in zip(bars, lanes, strict=True):
            by_lane[lane].append(bar)
        lines = [("", lane) for lane in by_lane[:_MOST_TIMELINE_ROWS]]
    return RunTimeline(seconds, lines, ticks_of(seconds))


def _bar(view: RecipeView, began: float) -> RunBar:
    line = view.timeline
    assert line is not None  # the caller has chosen the recipes that ran  # noqa: S101
    start = line.began - began
    failures = [
        (start + bar.stop, view.anchors[bar.step.name], bar.step.name, sign(bar.step.word))
        for bar in line.bars
        if bar.step.state in NOT_GOOD
    ]
    return RunBar(view.title, view.anchor, view.look, start, start + line.seconds, failures[:20])
