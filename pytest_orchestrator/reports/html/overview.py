"""Overview of a run on a page: table of recipes, grids of matrices, timeline of the whole run."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import msgspec

from pytest_orchestrator.core.text import counted, lazy_pattern
from pytest_orchestrator.reports.html.measurement_table import (
    MeasurementTable,
    measurement_table,
)
from pytest_orchestrator.reports.html.page import Page, RecipeView, first_of
from pytest_orchestrator.reports.html.step_view import StepView
from pytest_orchestrator.reports.html.timeline import lanes_of, ticks_of
from pytest_orchestrator.reports.text import cut, json_text

_COLUMNS: Final = [
    ("Recipe", "text"),
    ("Step", "text"),
    ("Measurement", "text"),
    ("Value", "number"),
    ("Unit", "text"),
    ("Low", "number"),
    ("High", "number"),
    ("Margin&nbsp;%", "number"),
    ("Verdict", "text"),
]
"""Columns of the table of measurements, and their kinds."""
_ORDER: Final = ("failed", "timeout", "error", "interrupted", "running", "not run")
_MOST_ROWS: Final = 300
_MOST_COLUMNS: Final = 40
_MOST_GRID_ROWS: Final = 200
_MOST_LINKS: Final = 200
_MOST_CAUSES: Final = 100
_MOST_CARDS: Final = 10
_MOST_TIMELINE_ROWS: Final = 60
_NUMBER: Final = lazy_pattern(r"\d+(?:[.,]\d+)*(?:e[+-]?\d+)?")


class Overview:
    """View of a whole run for the templates.

    Args:
        page: The page.
    """

    def __init__(self, page: Page) -> None:
        self._recipes = page.recipes
        self._tests = page.tests

    @cached_property
    def rows(self) -> "list[RecipeRow]":
        """The table of recipes; empty if there is only one."""
        return rows(self._recipes) if len(self._recipes) > 1 else []

    @cached_property
    def has_dut(self) -> bool:
        """True if a recipe names its unit under test."""
        return any(one.dut for one in self._recipes)

    @cached_property
    def has_test_id(self) -> bool:
        """True if a recipe has a test id."""
        return any(one.test_id for one in self._recipes)

    @cached_property
    def grids(self) -> "list[Grid]":
        """The grids of matrices."""
        return grids(self._recipes)

    @cached_property
    def timeline(self) -> "RunTimeline | None":
        """The timeline of the whole run."""
        return run_timeline(self._recipes)

    @cached_property
    def causes(self) -> "list[Cause]":
        """The failures grouped by reason."""
        return causes(self._recipes, self._tests)

    @cached_property
    def measurements(self) -> MeasurementTable:
        """All measurements of the run."""
        return measurement_table(self._recipes)

    @property
    def measurement_columns(self) -> list[tuple[str, str]]:
        """Heads of the columns of the table of measurements, and their kinds."""
        return [one for one in _COLUMNS if self.rows or one[0] != "Recipe"]

    @property
    def is_grouped(self) -> bool:
        """True if the list of steps has a head for each recipe, not its name in each row."""
        number = len(self._recipes)
        return number > 1 and sum(len(one.steps) for one in self._recipes) >= 2 * number

    @property
    def failures(self) -> int:
        """Number of failures."""
        return sum(one.number for one in self.causes)

    @cached_property
    def cards(self) -> list[RecipeView]:
        """The recipes, failed ones first."""
        return sorted(self._recipes, key=rank)

    @property
    def first_passed(self) -> int:
        """Index of the first of the cards that are behind one line; their number if none are."""
        bad = sum(rank(one) < len(_ORDER) for one in self._recipes)
        start = max(bad, 1)
        number = len(self._recipes)
        return start if number - start > _MOST_CARDS else number


def rank(recipe: RecipeView) -> int:
    """Return the place of a recipe in lists: those that failed come first."""
    return _ORDER.index(recipe.verdict) if recipe.verdict in _ORDER else len(_ORDER)


class RecipeRow(msgspec.Struct, frozen=True):
    """Row of the table of recipes.

    Attributes:
        view: The recipe or cell; None for the row that stands for the other cells of a matrix.
        name: Its name, with the cell of its matrix.
        steps: Number of its steps, and of those in other states than passed.
        duration: Time from its first start to its last end; a dash if it did not run.
        first: Its first step that did not pass, which has the reason; None if there is none.
        rest: Text of a row that stands for several recipes; else empty.
    """

    view: RecipeView | None
    name: str = ""
    steps: str = ""
    duration: str = ""
    first: StepView | None = None
    rest: str = ""


def rows(recipes: Sequence[RecipeView]) -> list[RecipeRow]:
    """Return the rows of the table of recipes, failed ones first.

    The cells of a matrix that passed share a row, and so do passed recipes beyond the 300th row.
    """
    ordered = sorted(recipes, key=rank)
    shown = [one for one in ordered if not (one.is_cell and one.verdict == "passed")]
    cells = Counter(one.path for one in ordered if one.is_cell and one.verdict == "passed")
    table = [_row(one) for one in shown[:_MOST_ROWS]]
    for path, number in cells.items():
        some = any(one.path == path for one in shown)
        more = "more " if some else ""
        table.append(RecipeRow(None, rest=f"{number:,} {more}cells of {cut(path, 200)} passed"))
    if len(shown) > _MOST_ROWS:
        left = counted(len(shown) - _MOST_ROWS, "more recipe")
        table.append(RecipeRow(None, rest=left))
    return table


def _row(view: RecipeView) -> RecipeRow:
    counts = Counter(step.state for step in view.steps)
    others = [f"{number:,} {state}" for state, number in counts.items() if state != "passed"]
    return RecipeRow(
        view,
        view.title,
        f"{len(view.steps):,}" + (f" ({', '.join(others)})" if others else ""),
        view.duration,
        first_of(view.steps),
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
        failures: The times at which steps of it failed, with their anchors and names.
    """

    title: str
    anchor: str
    look: str
    start: float
    stop: float
    failures: list[tuple[float, str, str]]


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
        (start + bar.stop, view.anchors[bar.step.name], bar.step.name)
        for bar in line.bars
        if bar.step.state in ("failed", "error", "interrupted")
    ]
    return RunBar(view.title, view.anchor, view.look, start, start + line.seconds, failures[:20])


class Cause(msgspec.Struct, frozen=True):
    """Failures with the same reason, apart from numbers in it.

    Attributes:
        reason: The reason of the first one.
        is_alike: True if the reasons of the others differ from it in numbers.
        kind: Kind of the failure; may be empty.
        number: Number of the failures.
        links: Anchors of the failed steps, with their names, recipes and reasons.
        blocked: Number of steps that these failures block.
    """

    reason: str
    is_alike: bool
    kind: str
    number: int
    links: list[tuple[str, str, str, str]]
    blocked: int


def causes(recipes: Sequence[RecipeView], tests: Iterable[Any]) -> list[Cause]:
    """Return the failures of steps and of other tests, grouped by reason, the largest group first.

    Args:
        recipes: The recipes.
        tests: Reports of the tests that are no steps.
    """
    groups: dict[tuple[str, str], list[tuple[str, str, str, str]]] = {}
    blocked: Counter[tuple[str, str]] = Counter()
    for one in recipes:
        by_node: dict[str, tuple[str, str]] = {}
        for step in one.steps:
            if step.state in ("failed", "error"):
                key = (step.kind, _NUMBER.sub("#", step.reason))
                by_node[step.name] = key
                of = one.title if len(recipes) > 1 else ""
                link = (step.anchor, step.name, of, step.reason)
                groups.setdefault(key, []).append(link)
        for step in one.steps if by_node else ():
            if step.state == "blocked":
                by = str(step.about.get("blocked_by") or "").rpartition("::")[2]
                if by in by_node:
                    by_node[step.name] = by_node[by]
                    blocked[by_node[by]] += 1
    for test in tests:
        if test.outcome in ("failed", "error"):
            reason = cut(test.reason, 300)
            link = ("tests", cut(test.node, 200), "", reason)
            groups.setdefault(("", _NUMBER.sub("#", reason)), []).append(link)
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    return [
        Cause(
            links[0][3] or "no reason is known",
            len({link[3] for link in links}) > 1,
            key[0],
            len(links),
            links[:_MOST_LINKS],
            blocked[key],
        )
        for key, links in ordered[:_MOST_CAUSES]
    ]
