"""Cells of a matrix on a page: for each step a table of its measurements, and curves."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from msgspec import UNSET, Struct, UnsetType

from pytest_orchestrator.core.json_values import finite_number
from pytest_orchestrator.core.text import cut_to_length
from pytest_orchestrator.reports.html.chart import Chart, numbers_axis
from pytest_orchestrator.reports.html.element_view import ElementTable, Place, charts, table
from pytest_orchestrator.reports.html.step_view import StepView
from pytest_orchestrator.reports.text import cut, json_text
from pytest_orchestrator.runs.block import Measurement, Time
from pytest_orchestrator.runs.record import RecipeRecord

_MOST_STEPS: Final = 40
_MOST_CURVES: Final = 12


class Cell(Struct, frozen=True, kw_only=True):
    """A cell of a matrix, with the outcome of one step in it.

    Attributes:
        index: Number of the cell, from 0.
        item: Its values as a text, as in `channel 1, load 0.5`; its number in a curve.
        values: Its values by name: those of the recipe, then those of the step.
        anchor: Anchor of the step on the page.
    """

    index: int
    item: Any
    values: Mapping[str, Any]
    anchor: str
    state: str
    attempt: int | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    time: Time | UnsetType = UNSET
    measurements: list[Measurement] | UnsetType = UNSET

    @property
    def word(self) -> str:
        """The word for its state."""
        return self.state


class MatrixView(NamedTuple):
    """Measurements of a step in all cells of a matrix."""

    step: str
    recipe: str
    cells: ElementTable
    curves: list[Chart]


def matrices(
    recipes: Iterable[tuple[RecipeRecord, Sequence[StepView]]], most: int
) -> list[MatrixView]:
    """Return a view of each step with measurements in the cells of a matrix.

    Args:
        recipes: The recipes of a run with their steps; each cell of the matrix of a recipe is a
            recipe of its own.
        most: Maximum number of characters of a value.
    """
    found: dict[tuple[str, str], list[Cell]] = {}
    for recipe, steps in recipes:
        of_recipe = recipe.about.get("matrix") or {}
        for step in steps:
            of_step = step.about.get("matrix") or {}
            if of_recipe or of_step:
                name = step.name.partition("[")[0] if of_step else step.name
                cells = found.setdefault((recipe.path, name), [])
                cells.append(_cell(len(cells), step, of_recipe | of_step, most))
    measured = ((key, cells) for key, cells in found.items() if any(_has_measurements(cells)))
    return [
        MatrixView(
            cut(name, 200),
            cut(path, 300),
            table(cells, most),
            list(islice(_curves(cells), _MOST_CURVES)),
        )
        for (path, name), cells in islice(measured, _MOST_STEPS)
    ]


def _has_measurements(cells: Sequence[Cell]) -> Iterator[bool]:
    return (bool(cell.measurements) for cell in cells)


def _cell(index: int, step: StepView, values: Mapping[str, Any], most: int) -> Cell:
    block = step.block
    return Cell(
        index=index,
        item=cut(_text(values), most),
        values=values,
        anchor=step.anchor,
        state=step.state,
        attempt=step.step.attempt or UNSET,
        reason=step.reason,
        time=block.time if block else UNSET,
        measurements=block.measurements if block else UNSET,
    )


def _text(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {json_text(value, 40)}" for name, value in values.items())


def _curves(cells: Sequence[Cell]) -> Iterator[Chart]:
    """Yield the charts over the numbers of a name: a line for each combination of the others."""
    name = _numeric_name(cells)
    if name is None:
        return
    lines: dict[str, list[Place]] = {}
    for cell in sorted(cells, key=lambda cell: float(cell.values[name])):
        rest = {other: value for other, value in cell.values.items() if other != name}
        text = cut_to_length(f"{name} {json_text(cell.values[name], 40)}", 40)
        place = Place(float(cell.values[name]), text, cell)
        lines.setdefault(cut(_text(rest), 80), []).append(place)
    x = numbers_axis([place.x for line in lines.values() for place in line])
    yield from charts(lines, x, name, "cells")


def _numeric_name(cells: Sequence[Cell]) -> str | None:
    """Return the name with the most different numbers, of several the last one; None without."""
    found = {
        name: {finite_number(cell.values.get(name)) for cell in cells}
        for name in reversed([*cells[-1].values])
    }
    numeric = {name: len(numbers) for name, numbers in found.items() if None not in numbers}
    best = max(numeric, key=numeric.__getitem__, default=None)
    return best if best is not None and numeric[best] > 1 else None
