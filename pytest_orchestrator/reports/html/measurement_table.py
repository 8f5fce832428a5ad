"""Table of all measurements of a run: over recipes, cells of matrices, and elements."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET

from pytest_orchestrator.core.text import element_label
from pytest_orchestrator.reports.html.page import RecipeView
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
