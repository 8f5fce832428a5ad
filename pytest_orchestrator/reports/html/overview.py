"""Overview of a run on a page: table of recipes, failures by reason, all measurements."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET

from pytest_orchestrator.core.text import element_label, without_numbers
from pytest_orchestrator.reports.html.page import Page, RecipeView
from pytest_orchestrator.reports.html.step_view import StepView
from pytest_orchestrator.reports.quantities import (
    VERDICT_SIGNS,
    Quantity,
    decimals_of,
    look_of,
    margin_number,
    need_of,
    quantity,
    verdict_of,
)
from pytest_orchestrator.reports.text import cut
from pytest_orchestrator.runs.block import Measurement
from pytest_orchestrator.runs.verdicts import NOT_GOOD, NOTABLE

if TYPE_CHECKING:
    from pytest_orchestrator.reports.history.grid import RecipeHistory
    from pytest_orchestrator.reports.html.recipe_table import Grid, RecipeRow, RunTimeline


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
_MOST_CARDS: Final = 10
_MOST_HISTORIES: Final = 12


class Overview:
    """View of a whole run for the templates.

    Args:
        page: The page.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self._recipes = page.recipes
        self._tests = page.tests
        self._has_failures = page.has_failures

    @cached_property
    def rows(self) -> "list[RecipeRow]":
        """The table of recipes; empty if there is only one."""
        recipes = [one for recipe in self._recipes for one in recipe.by_unit]
        if len(recipes) < 2:
            return []
        from pytest_orchestrator.reports.html.recipe_table import rows

        return rows(recipes)

    @cached_property
    def has_dut(self) -> bool:
        """True if a recipe names its unit under test."""
        return any(one.dut for recipe in self._recipes for one in recipe.by_unit)

    @cached_property
    def has_reason(self) -> bool:
        """True if a step did not pass."""
        return any(row.first or row.unsafe for row in self.rows)

    @cached_property
    def has_test_id(self) -> bool:
        """True if a recipe has a test id."""
        return any(one.test_id for one in self._recipes)

    @cached_property
    def grids(self) -> "list[Grid]":
        """The grids of matrices."""
        if not any(one.has_matrix for one in self._recipes):
            return []
        from pytest_orchestrator.reports.html.recipe_table import grids

        return grids(self._recipes)

    @cached_property
    def timeline(self) -> "RunTimeline | None":
        """The timeline of the whole run."""
        if len(self._recipes) < 2:
            return None
        from pytest_orchestrator.reports.html.recipe_table import run_timeline

        return run_timeline(self._recipes)

    @cached_property
    def causes(self) -> "list[Cause]":
        """The failures grouped by reason."""
        if not self._has_failures:
            return []

        return causes(self._recipes, self._tests)

    @property
    def of_first(self) -> "Cause | None":
        """The cause that has only the first failure, which is above; None if it has others."""
        first = self._page.first_failure
        alone = (one for one in self.causes if one.number == 1)
        return next((one for one in alone if first and one.links[0][0] == first.anchor), None)

    @cached_property
    def measurements(self) -> "MeasurementTable | None":
        """All measurements of the run; None without any."""
        if not any(step.has_measurements for one in self._recipes for step in one.steps):
            return None

        return measurement_table(self._recipes)

    @property
    def measurement_columns(self) -> list[tuple[str, str]]:
        """Heads of the columns of the table of measurements, and their kinds."""
        return [one for one in _COLUMNS if self.rows or one[0] != "Recipe"]

    @cached_property
    def histories(self) -> "list[RecipeHistory]":
        """The histories of the first 12 recipes that ran before, failed ones first."""
        if not self._page.earlier:
            return []
        from pytest_orchestrator.reports.history.grid import Place, RecipeHistory

        page = self._page
        parts = [part for one in self.cards for part in one.by_unit]
        views = [one for one in parts if one.recipe.key in page.earlier]
        return [
            RecipeHistory(
                Place(
                    one.title,
                    one.anchor,
                    one.anchors,
                    one.rank < len(NOTABLE),
                    page.folder,
                    page.page_of,
                ),
                one.recipe,
                page.run,
                page.earlier[one.recipe.key],
            )
            for one in views[:_MOST_HISTORIES]
        ]

    @property
    def more_histories(self) -> int:
        """Number of recipes whose history is not shown."""
        return len(self._page.earlier) - len(self.histories)

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
        return sorted(self._recipes, key=lambda one: one.rank)

    @property
    def first_passed(self) -> int:
        """Index of the first of the cards that are behind one line; their number if none are."""
        bad = sum(one.rank < len(NOTABLE) for one in self._recipes)
        start = max(bad, 1)
        number = len(self._recipes)
        return start if number - start > _MOST_CARDS else number


_MOST_LINKS: Final = 200
_MOST_CAUSES: Final = 100


class Cause(msgspec.Struct, frozen=True):
    """Failures with the same reason, apart from numbers in it.

    Attributes:
        reason: The reason of the first one.
        is_alike: True if the reasons of the others differ from it in numbers.
        kind: Kind of the failure; empty if the reason says the same.
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
            if step.state in NOT_GOOD and step.state != "interrupted":
                key = (step.badge, without_numbers(step.reason))
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
            groups.setdefault(("", without_numbers(reason)), []).append(link)
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


_MOST_ROWS: Final = 2_000


class MeasurementRow(msgspec.Struct, frozen=True):
    """Row of the table of measurements.

    Attributes:
        recipe: Name of the recipe, with the cell of its matrix.
        anchor: Anchor of the step.
        step: Name of the step.
        name: Name of the measurement, with the index of the element of ``foreach``.
        item: The element; empty without ``foreach``.
        texts: Its figures.
        verdict: pass, marginal, fail, recorded or unset.
        sign: Sign of the verdict.
        look: Style of the verdict.
        may_fail: True if the measurement is out of its limits and cannot fail the step.
        number: The value as a number to sort by; empty without one.
        distance: The number by which margins are sorted; empty without one.
    """

    recipe: str
    anchor: str
    step: str
    name: str
    item: str
    texts: Quantity
    verdict: str
    sign: str
    look: str
    may_fail: bool
    number: str
    distance: str


class MeasurementTable(msgspec.Struct, frozen=True):
    """The table.

    Attributes:
        rows: Its rows: those out of their limits, then marginal ones, then the others.
        more: Number of measurements that the table omits.
        counts: Number of all measurements by verdict.
    """

    rows: list[MeasurementRow]
    more: int
    counts: dict[str, int]

    @property
    def decimals(self) -> int:
        """Decimals for which the columns of numbers keep room."""
        return decimals_of(row.texts for row in self.rows)


def measurement_table(recipes: Sequence[RecipeView]) -> MeasurementTable:
    """Return the table of all measurements of a run."""
    found = sorted(_measured(recipes), key=lambda one: need_of(one[2]))
    counts = Counter(verdict_of(one) for _, _, one, _, _ in found)
    shown = found[:_MOST_ROWS]
    known = {verdict: counts[verdict] for verdict in VERDICT_SIGNS if counts[verdict]}
    return MeasurementTable([_row(*one) for one in shown], len(found) - len(shown), known)


def _measured(
    recipes: Sequence[RecipeView],
) -> Iterator[tuple[str, StepView, Measurement, str, str]]:
    """Yield recipe, step, measurement, its name and its element.

    The elements of a loop follow one another for each of its measurements.
    """
    for view in recipes:
        for step in view.steps:
            block = step.block
            if block is None or not (block.measurements or block.elements):
                continue
            for one in block.measurements or ():
                yield view.title, step, one, one.name, ""
            in_loop = [
                (at, one, element)
                for element in block.elements or ()
                for at, one in enumerate(element.measurements or ())
            ]
            for _, one, element in sorted(in_loop, key=lambda each: each[0]):
                item = element_label(element.index, element.item).partition("] ")[2]
                yield view.title, step, one, f"{one.name}[{element.index}]", item


def _row(recipe: str, step: StepView, one: Measurement, name: str, item: str) -> MeasurementRow:
    verdict = verdict_of(one)
    return MeasurementRow(
        recipe,
        step.anchor,
        cut(step.name, 160),
        cut(name, 160),
        cut(item, 60),
        quantity(one),
        verdict,
        VERDICT_SIGNS[verdict],
        look_of(one),
        bool(one.allow_fail) and verdict in ("fail", "unset"),
        _sortable(one.value),
        _sortable(margin_number(one)),
    )


def _sortable(value: Any) -> str:
    if value is UNSET or isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return f"{value:.9g}" if -1e300 < value < 1e300 else ""
