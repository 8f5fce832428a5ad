"""History of a recipe: a grid of runs and steps, and changes since the last good run."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from pytest_orchestrator.core import files
from pytest_orchestrator.core.figures.notation import history_notation
from pytest_orchestrator.core.text import counted
from pytest_orchestrator.reports.quantities import duration, local_time
from pytest_orchestrator.reports.states import legend
from pytest_orchestrator.reports.text import cut, json_text, look, sign
from pytest_orchestrator.runs.compare import since_good
from pytest_orchestrator.runs.compare.since_good import Change, Deviation
from pytest_orchestrator.runs.history.build import past_recipe
from pytest_orchestrator.runs.history.model import PastRecipe, PastRun, PastStep
from pytest_orchestrator.runs.history.stability import stability
from pytest_orchestrator.runs.provenance import stored_text_path
from pytest_orchestrator.runs.statistics.units import name_of_unit
from pytest_orchestrator.runs.verdicts import is_good

if TYPE_CHECKING:
    from pytest_orchestrator.runs.record import RecipeRecord, RunRecord

_MOST_ROWS: Final = 40
_FEW_STEPS: Final = 25
_MOST_CHANGES: Final = 40
_LARGEST_TEXT: Final = 200_000
_MOST_LINES: Final = 60
_QUIET: Final = frozenset({"passed", "skipped", "waiting"})
"""Styles of states that need no row of their own in a long grid."""
_KINDS: Final = {
    "recipe": "recipe text",
    "file": "file of a step",
    "selection": "selected steps",
}
_NAMES: Final = {"python": "Python", "git.revision": "revision", "git.dirty": "local changes"}
_PACKAGE: Final = "plugins."


class Cell(Struct, frozen=True):
    """Cell of the grid: a step, or the verdict of the recipe, in one run.

    Attributes:
        sign: Sign of the state; empty if the run did not have the step.
        look: Its style.
        title: Run, date, state and reason.
        href: Link to the page of the run; empty if there is none.
    """

    sign: str
    look: str
    title: str
    href: str


class Column(Struct, frozen=True):
    """Column of the grid: one run.

    Attributes:
        run: Id of the run.
        date: Its local date and time, without the year and the seconds.
        moment: Its local time.
        dut: The unit under test; may be empty.
        href: Link to the page of the run; empty if there is none.
    """

    run: str
    date: str
    moment: str
    dut: str
    href: str


class Row(Struct, frozen=True):
    """Row of the grid: one step.

    Attributes:
        name: Name of the step.
        anchor: Anchor of the step on the page.
        cells: Its states, the oldest first.
        rate: Runs in which it passed, of those in which it passed or failed.
        is_flaky: True if it is flaky.
    """

    name: str
    anchor: str
    cells: list[Cell]
    rate: str
    is_flaky: bool


class ChangeRow(Struct, frozen=True):
    """Row of the table of changes: kind, name, and the texts of both values."""

    kind: str
    name: str
    was: str
    now: str


class Place(Struct, frozen=True):
    """Place of a recipe on a page.

    Attributes:
        title: Name of the recipe, with the cell of its matrix.
        anchor: Its anchor.
        anchors: Anchors of its steps by name.
        is_open: True if the recipe did not pass, so that a reader sees its history at once.
        folder: The folder of the run.
        page_of: Returns a link to the page of a run by its id; empty if there is none.
    """

    title: str
    anchor: str
    anchors: Mapping[str, str]
    is_open: bool
    folder: Path
    page_of: Callable[[str], str]


class RecipeHistory:
    """History of a recipe.

    Args:
        place: Title, anchor and steps of the recipe on the page.
        recipe: The recipe.
        run: The run of the page.
        earlier: Earlier runs of the recipe, newest first.
    """

    def __init__(
        self, place: Place, recipe: "RecipeRecord", run: "RunRecord", earlier: since_good.Runs
    ) -> None:
        self.place = place
        self._now = _without_recipes(run), past_recipe(recipe)
        self._names = [*recipe.steps]
        self._earlier = earlier
        self._runs = [*reversed(earlier), self._now]
        self._columns = {one.id: self._column(one, past) for one, past in self._runs}
        self._good = since_good.last_good(self._now[1], earlier)

    def _column(self, run: PastRun, past: PastRecipe) -> Column:
        moment = local_time(past.started)
        href = "" if run is self._now[0] else self.place.page_of(run.id)
        unit = cut(name_of_unit(past.test_meta), 40)
        return Column(run.id, moment[5:16], moment, unit, href)

    @property
    def summary(self) -> str:
        """Number of the runs, and of those that passed."""
        passed = sum(is_good(past.verdict) for _, past in self._runs)
        return f"{counted(len(self._runs), 'run')}, {passed:,} passed"

    @property
    def columns(self) -> list[Column]:
        """The runs, oldest first; the last is the run of the page."""
        return [*self._columns.values()]

    @property
    def has_dut(self) -> bool:
        """True if a run names its unit under test."""
        return any(one.dut for one in self.columns)

    @property
    def verdicts(self) -> list[Cell]:
        """The verdict of the recipe in each run."""
        return [
            self._cell(run, past.verdict, past.cause, self.place.anchor) for run, past in self._runs
        ]

    @cached_property
    def rows(self) -> list[Row]:
        """Steps, in the order of the recipe; of many steps those that are notable."""
        by_name = [past.by_name for _, past in self._runs]
        rows = [self._row(name, [steps.get(name) for steps in by_name]) for name in self._names]
        notable = [row for row in rows if row is not None]
        return notable[:_MOST_ROWS]

    @property
    def left_out(self) -> str:
        """Sentence on the steps without a row; empty if all have one."""
        number = len(self._names) - len(self.rows)
        if not number:
            return ""
        if len(self.rows) < _MOST_ROWS:
            return f"{counted(number, 'more step')} passed, or did not run, in all of these runs."
        return f"{counted(number, 'more step')}: the grid shows the first {_MOST_ROWS}."

    @property
    def flaky(self) -> list[str]:
        """Names of the flaky steps of the grid."""
        return [row.name for row in self.rows if row.is_flaky]

    @property
    def legend(self) -> list[str]:
        """The signs in the grid, each with its word."""
        words: set[str] = {past.verdict for _, past in self._runs}
        names = {row.name for row in self.rows}
        words |= {one.word for _, past in self._runs for one in past.steps if one.name in names}
        return legend(words, ()).texts

    def _row(self, name: str, steps: Sequence[PastStep | None]) -> Row | None:
        """Return the row of a step; None for one that needs no row among many others."""
        is_one_of_many = len(self._names) > _FEW_STEPS
        if is_one_of_many and all(one is None or _is_quiet(one) for one in steps):
            return None
        found = stability(
            (past.dut, step)
            for (_, past), step in zip(self._runs, steps, strict=True)
            if step is not None
        )
        looks = {look(step.word) for step in steps if step is not None}
        if is_one_of_many and looks <= _QUIET and not found.is_flaky:
            return None
        anchor = self.place.anchors.get(name, "")
        cells = [
            self._cell(run, step.word, step.reason, anchor) if step else Cell("", "", "", "")
            for (run, _), step in zip(self._runs, steps, strict=True)
        ]
        rate = f"{found.passed}/{found.ran}" if found.ran else "-"
        return Row(cut(name, 160), anchor, cells, rate, found.is_flaky)

    def _cell(self, run: PastRun, state: str, reason: str, anchor: str) -> Cell:
        column = self._columns[run.id]
        text = f"{run.id}, {column.moment}: {cut(state, 20)}"
        text += f": {cut(reason, 160)}" if reason else ""
        href = f"{column.href}#{anchor}" if column.href or run is self._now[0] else ""
        return Cell(sign(state), look(state), text, href)

    @property
    def good(self) -> Column | None:
        """The last earlier run in which the recipe passed."""
        return self._columns[self._good[0].id] if self._good else None

    @cached_property
    def changes(self) -> list[ChangeRow]:
        """Differences from the last good run, and figures that are out of the usual."""
        if self._good is None:
            return []
        rows = [*map(_change_row, since_good.changes(self._good, self._now))][:_MOST_CHANGES]
        found = since_good.deviations(self._now[1], self._earlier)
        return rows + [*map(_deviation_row, found)][:_MOST_CHANGES]

    @cached_property
    def difference(self) -> str:
        """Lines that differ between the texts of the recipe, if both runs have theirs."""
        if self._good is None or self._good[1].digest == self._now[1].digest:
            return ""
        good, now = (
            _text(folder, self._now[1].path)
            for folder in (self.place.folder.parent / self._good[0].id, self.place.folder)
        )
        if good is None or now is None:
            return ""
        found = difflib.unified_diff(good.splitlines(), now.splitlines(), n=1, lineterm="")
        lines = [*found][2:]
        more = [f"… {len(lines) - _MOST_LINES:,} more lines"] if len(lines) > _MOST_LINES else []
        return "\n".join(cut(line, 200) for line in lines[:_MOST_LINES] + more)


def _text(folder: Path, name: str) -> str | None:
    """Return the text of a recipe that a run keeps; None if there is none, or a large one."""
    path = stored_text_path(folder, name)
    try:
        return files.text(path, _LARGEST_TEXT) if path else None
    except (OSError, UnicodeDecodeError):
        return None


def _is_quiet(step: PastStep) -> bool:
    return step.state == "passed" and not step.was_repeated


def _change_row(one: Change) -> ChangeRow:
    name = one.name
    kind = "package" if one.kind == "environment" and name.startswith(_PACKAGE) else one.kind
    name = name.removeprefix(_PACKAGE) if kind == "package" else _NAMES.get(name, name)
    digest = one.kind in ("recipe", "file")
    was, now = (_value(each, digest=digest) for each in (one.was, one.now))
    return ChangeRow(_KINDS.get(kind, kind), cut(name, 160), was, now)


def _value(value: Any, *, digest: bool) -> str:
    if value is None:
        return "-"
    return cut(str(value), 13) if digest else json_text(value, 160)


def _deviation_row(one: Deviation) -> ChangeRow:
    drift = one.drift
    median, value = _figures((drift.baseline.median, drift.value), one)
    first = "first " if drift.is_first else ""
    usual = f"{median} (median of {first}{drift.baseline.runs} passed runs)"
    now = f"{value} ({drift.text})"
    name = f"{cut(one.step, 120)}: {cut(one.figure, 120)}"
    return ChangeRow("out of the usual", name, usual, now)


def _figures(values: Sequence[float], one: Deviation) -> list[str]:
    if one.figure in ("seconds", "cpu_seconds") and one.unit == "s":
        return [*map(duration, values)]
    return [*map(history_notation(values, one.unit, one.precision).with_unit, values)]


def _without_recipes(run: "RunRecord") -> PastRun:
    """Return the run with what its changes are compared by: machine and environment."""
    started = run.started
    return PastRun(
        id=run.id,
        state="finished",
        verdict="passed",
        host=started.host if started else "",
        environment=started.environment if started else {},
    )
