"""Overview of a run on a page: table of recipes, failures by reason, all measurements."""

from functools import cached_property
from typing import TYPE_CHECKING, Final

from pytest_orchestrator.reports.html.page import Page, RecipeView
from pytest_orchestrator.runs.verdicts import NOTABLE

if TYPE_CHECKING:
    from pytest_orchestrator.reports.history.grid import RecipeHistory
    from pytest_orchestrator.reports.html.causes import Cause
    from pytest_orchestrator.reports.html.measurement_table import MeasurementTable
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
        if len(self._recipes) < 2:
            return []
        from pytest_orchestrator.reports.html.recipe_table import rows

        return rows(self._recipes)

    @cached_property
    def has_dut(self) -> bool:
        """True if a recipe names its unit under test."""
        return any(one.dut for one in self._recipes)

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
        from pytest_orchestrator.reports.html.causes import causes

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
        from pytest_orchestrator.reports.html.measurement_table import measurement_table

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
        views = [one for one in self.cards if one.recipe.key in page.earlier]
        return [
            RecipeHistory(
                Place(
                    one.title,
                    one.anchor,
                    one.anchors,
                    one.rank < len(NOTABLE),
                    page.folder,
                    page.base,
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
