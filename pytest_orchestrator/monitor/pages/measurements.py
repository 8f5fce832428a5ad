"""Measurements tab: table of all measurements, sampled values, curves, history."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from msgspec import UNSET, Struct

from pytest_orchestrator.core.text import element_label
from pytest_orchestrator.monitor.address import Address, chosen_recipe, chosen_step, step_key
from pytest_orchestrator.monitor.pages.charts import Curves, Sampled, Trend, curves, sampled, trends
from pytest_orchestrator.monitor.pages.part import Part, part
from pytest_orchestrator.monitor.run_cache import RunView
from pytest_orchestrator.reports.html.step_view import Measurement, measurement_view
from pytest_orchestrator.reports.quantities import (
    VERDICT_SIGNS,
    look_of,
    margin_number,
    margin_text,
    verdict_of,
)
from pytest_orchestrator.reports.text import cut, json_text
from pytest_orchestrator.runs.block import Measurement as Measured
from pytest_orchestrator.runs.record import RecipeRecord, StepRecord

LABEL: Final = "Measurements"

CSV: Final = "measurements.csv"
"""Name of the file with all rows, in the place of the tab in its URL."""
_HEAD: Final = (
    *("recipe", "step", "measurement", "element", "value", "unit", "low", "high", "expected"),
    *("margin %", "verdict"),
)
_MAX_TEXT: Final = 1_000
_NO_NUMBER: Final = float("inf")


class _Found(NamedTuple):
    """A measurement with its place in the run."""

    recipe: RecipeRecord
    step: StepRecord
    measured: Measured
    place: int | None
    element: str

    @property
    def name(self) -> str:
        """Its name, with the index of the element of ``foreach``."""
        name = self.measured.name
        return name if self.place is None else f"{name}[{self.place}]"

    @property
    def title(self) -> str:
        """Name of the recipe, with the cell of its matrix."""
        about = self.recipe.about
        cell = f" [{about['cell']}]" if about.get("cell") else ""
        return f"{about.get('name') or self.recipe.key}{cell}"


class Row(Struct, frozen=True):
    """Row of the table.

    Attributes:
        key: Key of the step in URLs.
        recipe: Name of the recipe, with the cell of its matrix.
        step: Name of the step.
        name: Name of the measurement, with the index of the element of ``foreach``.
        element: The element; empty without ``foreach``.
        measured: The measurement.
    """

    key: str
    recipe: str
    step: str
    name: str
    element: str
    measured: Measurement


class VerdictCount(Struct, frozen=True):
    """Number of measurements with a verdict; the fields of the macro for verdicts."""

    verdict: str
    sign: str
    look: str
    number: int
    may_fail: bool = False


class Content(Struct, frozen=True):
    """Content of the tab.

    Attributes:
        part: The rows of this page.
        counts: Number of measurements by verdict, before the filter by verdict.
        has_recipes: True if the rows are of several recipes.
        csv: URL of the file with all rows.
        sampled: Sampled values.
        curves: Curves of measurements over elements and cells.
        trends: Histories of figures over earlier runs.
    """

    part: Part[Row]
    counts: list[VerdictCount]
    has_recipes: bool
    csv: str
    sampled: list[Sampled]
    curves: Curves
    trends: list[Trend]


def content(view: RunView, one: Address) -> Content:
    """Return the content of the tab.

    Args:
        view: The run.
        one: The address of the page.
    """
    recipes = _recipes(view, one)
    found, counts = _chosen(recipes, one)
    shown = part(found, one.page)
    return Content(
        part=shown._replace(rows=[_row(each) for each in shown.rows]),
        counts=[*_counts(counts)],
        has_recipes=len(recipes) > 1,
        csv=one.but(tab=CSV, step=""),
        sampled=sampled(recipes),
        curves=curves(view, recipes, chosen_step(view, one)),
        trends=trends(view, recipes[0].key if one.recipe and recipes else ""),
    )


def csv_text(view: RunView, one: Address) -> str:
    """Return all measurements of the filter as CSV, with their exact values.

    Args:
        view: The run.
        one: The address of the page.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEAD)
    for each in _chosen(_recipes(view, one), one)[0]:
        writer.writerow([_cell(value) for value in _values(each)])
    return text.getvalue()


def _recipes(view: RunView, one: Address) -> list[RecipeRecord]:
    recipe = chosen_recipe(view, one) if one.recipe else None
    return [recipe] if recipe else [*view.record.recipes.values()]


def _chosen(recipes: Iterable[RecipeRecord], one: Address) -> tuple[list[_Found], Counter[str]]:
    """Return the measurements of the filter in its order, and the number of them by verdict."""
    found = [*_found(recipes)]
    if words := one.q.lower().split():
        found = [each for each in found if _has(each, words)]
    counts = Counter(verdict_of(each.measured) for each in found)
    if one.state:
        found = [each for each in found if verdict_of(each.measured) == one.state]
    if by := _SORTS.get(one.sort.removeprefix("-")):
        found.sort(key=by, reverse=one.sort.startswith("-"))
    return found, counts


def _found(recipes: Iterable[RecipeRecord]) -> Iterator[_Found]:
    for recipe in recipes:
        for step in recipe.steps.values():
            block = step.block
            if block is None or not (block.measurements or block.elements):
                continue
            for each in block.measurements or ():
                yield _Found(recipe, step, each, None, "")
            for element in block.elements or ():
                if element.measurements:
                    item = element_label(element.index, element.item).partition("] ")[2]
                    for each in element.measurements:
                        yield _Found(recipe, step, each, element.index, item)


def _has(each: _Found, words: Sequence[str]) -> bool:
    text = f"{each.title} {each.recipe.key} {each.step.name} {each.name} {each.element}".lower()
    return all(word in text for word in words)


def _number(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and -1e300 < value < 1e300 else _NO_NUMBER


def _margin(each: _Found) -> float:
    """Return the number by which margins are sorted; infinite without one."""
    number = margin_number(each.measured)
    return _NO_NUMBER if number is None else number


_SORTS: Final[dict[str, Callable[[_Found], Any]]] = {
    "verdict": lambda each: [*VERDICT_SIGNS].index(verdict_of(each.measured)),
    "recipe": lambda each: each.title,
    "step": lambda each: each.step.name,
    "name": lambda each: (each.measured.name, each.place or 0),
    "value": lambda each: _number(each.measured.value),
    "margin": _margin,
}


def _row(each: _Found) -> Row:
    return Row(
        step_key(each.step),
        cut(each.title, 200),
        cut(each.step.name, 160),
        cut(each.name, 160),
        cut(each.element, 60),
        measurement_view(each.measured),
    )


def _counts(counts: Counter[str]) -> Iterator[VerdictCount]:
    looks = {"pass": "passed", "marginal": "blocked", "fail": "failed", "unset": "failed"}
    for verdict, sign in VERDICT_SIGNS.items():
        if counts[verdict]:
            yield VerdictCount(verdict, sign, looks.get(verdict, "skipped"), counts[verdict])


def _values(each: _Found) -> Iterator[Any]:
    """Yield the cells of a line; a value that does not exist is an empty text."""
    one = each.measured
    yield from (each.title, each.step.name, each.name, each.element)
    expected = f"matches {one.matches}" if one.matches else one.equals
    for value in (one.value, one.unit, one.low, one.high, expected):
        yield "" if value is UNSET else value
    verdict = verdict_of(one)
    yield margin_text(one)
    yield (
        f"{verdict} (may fail)" if look_of(one) == "blocked" and verdict != "marginal" else verdict
    )


def _cell(value: Any) -> Any:
    """Return the value of a cell; a text that a spreadsheet would evaluate has an apostrophe."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        value = json_text(value, _MAX_TEXT)
    if not isinstance(value, str) or value[:1] not in ("=", "+", "@", "\t", "\r", "-"):
        return value
    return value if _is_numeric(value) else f"'{value}"


def _is_numeric(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
