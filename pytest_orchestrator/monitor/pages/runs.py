"""Pages of all runs: their list, and the steps of one recipe in its last runs, as a grid."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from msgspec import Struct, structs

from pytest_orchestrator.monitor.address import page_number
from pytest_orchestrator.monitor.pages.part import Part, part
from pytest_orchestrator.monitor.recipe_history import Column, RecipeHistory, StepCell
from pytest_orchestrator.monitor.rendering import render
from pytest_orchestrator.monitor.run_list import PENDING, RunListCache, RunRow
from pytest_orchestrator.reports.text import look, sign
from pytest_orchestrator.runs.verdicts import NOT_GOOD, is_good

_ROWS: Final = 100
_MOST_RECIPES: Final = 1
_SORTS: Final[dict[str, Callable[[RunRow], Any]]] = {
    "verdict": lambda row: row.verdict,
    "run": lambda row: row.id,
    "recipes": lambda row: [one.path for one in row.recipes],
    "dut": lambda row: row.dut,
    "people": lambda row: row.people,
    "started": lambda row: row.started,
    "seconds": lambda row: -1.0 if row.seconds is None else row.seconds,
    "rate": lambda row: -1.0 if row.rate is None else row.rate,
}

_RUNS: Final = 30
_STEPS: Final = 300
_ENDED: Final = NOT_GOOD | {"passed", "xfailed", "xpassed", "restored"}


class ListAddress(Struct, frozen=True):
    """Address of the list of runs.

    Attributes:
        q: Search text.
        state: Verdict of the listed runs; empty for all.
        sort: Column of the order, after a minus for descending; empty for the newest first.
        page: Number of the page, from 1.
    """

    q: str = ""
    state: str = ""
    sort: str = ""
    page: int = 1

    path = "/"

    def but(self, **changes: Any) -> str:
        """Return the URL of this page with changes; a change of a filter leads to the first page.

        Args:
            changes: New values of fields, by name.
        """
        fields = structs.asdict(self) | {"page": 1} | changes
        given = {name: value for name, value in fields.items() if value not in ("", 1)}
        return f"/?{urlencode(given)}" if given else "/"

    @property
    def hidden(self) -> dict[str, str]:
        """The fields that the search form sends on besides its own."""
        kept = {"state": self.state, "sort": self.sort}
        return {name: value for name, value in kept.items() if value}


def page(run_list: RunListCache, query: Mapping[str, str]) -> str:
    """Return the page with the list of runs as HTML.

    Args:
        run_list: The rows of the runs.
        query: The query of the URL.
    """
    texts = {name: query[name][:200] for name in ("q", "state", "sort") if name in query}
    one = ListAddress(**texts, page=page_number(query))
    rows = every = run_list.rows(wait=True)
    version = str(run_list.version)
    words = one.q.lower().split()
    if words:
        rows = [row for row in rows if all(word in row.text for word in words)]
    counts = dict(Counter(row.verdict for row in rows))
    if one.state:
        rows = [row for row in rows if row.verdict == one.state]
    by = _SORTS.get(one.sort.removeprefix("-"))
    if by is not None:
        rows = sorted(rows, key=by, reverse=one.sort.startswith("-"))
    newest = every[0].verdict if every else "waiting"
    ended = sum(number for word, number in counts.items() if word not in ("running", PENDING))
    return render(
        "runs.html",
        page={
            "title": f"{sign(newest)} {len(every):,} run{'s' * (len(every) != 1)}: {run_list.base}",
            "look": look(newest),
            "version": version,
            "events": "/events",
        },
        part=part(rows, one.page, _ROWS),
        counts=counts,
        address=one,
        base=str(run_list.base),
        total=len(every),
        passed=sum(number for word, number in counts.items() if is_good(word)),
        ended=ended,
        pending=sum(row.verdict == PENDING for row in every),
        most_recipes=_MOST_RECIPES,
        recipe_url=recipe_url,
    )


class RecipeAddress(Struct, frozen=True):
    """Address of the page of a recipe: its path, and the page of its runs, from 1."""

    recipe: str
    page: int = 1

    path = "/recipe"

    def but(self, **changes: Any) -> str:
        """Return the URL of this page with changes of its fields."""
        number = changes.get("page", self.page)
        fields = {"path": self.recipe} | ({"page": number} if number > 1 else {})
        return f"{self.path}?{urlencode(fields, safe='/')}"


class GridRow(Struct, frozen=True):
    """Row of a step: its state in each run, newest first; None in runs without it.

    Attributes:
        name: Name of the step, after the cell of its matrix.
        cells: Its states.
        passed: Number of runs in which it passed.
        ended: Number of runs in which it ran to its end.
        flaky: Number of runs in which it passed on a later attempt.
    """

    name: str
    cells: list[StepCell | None]
    passed: int
    ended: int
    flaky: int


def recipe_url(path: str) -> str:
    """Return the URL of the page of a recipe."""
    return RecipeAddress(path).but()


def recipe_page(run_list: RunListCache, history: RecipeHistory, query: Mapping[str, str]) -> str:
    """Return the page of a recipe as HTML.

    Args:
        run_list: The rows of the runs.
        history: The outcomes of the steps.
        query: The query of the URL: `path` of the recipe, `page` of its runs.
    """
    one = RecipeAddress(query.get("path", "")[:500], page_number(query))
    rows = _rows_with(run_list, one.recipe, wait=True)
    shown: Part[RunRow] = part(rows, one.page, _RUNS)
    columns = history.columns(one.recipe, [*shown.rows])[::-1]  # the newest run is on the right
    steps = _grid(columns)
    newest = columns[-1] if columns else None
    verdicts = [_verdict(row, one.recipe) for row in rows]
    word = newest.verdict if newest else "empty"
    return render(
        "recipe.html",
        page={
            "title": f"{sign(word)} {one.recipe}: {len(rows)} runs",
            "look": look(word),
            "version": recipe_version(run_list, one.recipe),
            "events": f"/recipe/events?{urlencode({'path': one.recipe}, safe='/')}",
        },
        address=one,
        title=newest.name if newest else "",
        part=shown,
        columns=columns,
        pending=any(row.verdict == PENDING for row in run_list.rows()),
        rows=steps[:_STEPS],
        left_out=max(0, len(steps) - _STEPS),
        passed=sum(map(is_good, verdicts)),
        ended=sum(word not in ("running", "empty", "not run") for word in verdicts),
        base=str(run_list.base),
    )


def recipe_version(run_list: RunListCache, path: str) -> str:
    """Return the version of the page of a recipe."""
    rows = _rows_with(run_list, path)
    return f"{len(rows)}.{hash(tuple((row.id, row.verdict, row.steps) for row in rows[:_RUNS])):x}"


def _rows_with(run_list: RunListCache, path: str, *, wait: bool = False) -> list[RunRow]:
    rows = run_list.rows(wait=wait)
    return [row for row in rows if any(one.path == path and one.is_tested for one in row.recipes)]


def _verdict(row: RunRow, path: str) -> str:
    return next(one.verdict for one in row.recipes if one.path == path)


def _grid(columns: Sequence[Column]) -> list[GridRow]:
    """Return a row for each step, in the order of the newest run that has it."""
    names = dict.fromkeys(name for column in columns for name in column.steps)
    return [_grid_row(name, [column.steps.get(name) for column in columns]) for name in names]


def _grid_row(name: str, cells: list[StepCell | None]) -> GridRow:
    there = [cell for cell in cells if cell is not None and cell.state in _ENDED]
    passed = sum(is_good(cell.state) for cell in there)
    return GridRow(name, cells, passed, len(there), sum(cell.is_flaky for cell in there))
