"""Page that compares two runs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from msgspec import Struct

from pytest_orchestrator.core.figures.notation import figure, history_notation
from pytest_orchestrator.core.text import one_line
from pytest_orchestrator.monitor.address import Address, page_number, step_key
from pytest_orchestrator.monitor.pages.part import Part, part
from pytest_orchestrator.monitor.rendering import render
from pytest_orchestrator.monitor.run_cache import RunCache
from pytest_orchestrator.reports.head.meta import labelled_meta
from pytest_orchestrator.reports.quantities import (
    Quantity,
    duration,
    limits_text,
    quantities,
    verdict_of,
)
from pytest_orchestrator.reports.text import cut, json_text
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs import summary as run_summary
from pytest_orchestrator.runs.block import Measurement, measurements_of
from pytest_orchestrator.runs.compare.comparison import compare_runs
from pytest_orchestrator.runs.history.model import FIGURES
from pytest_orchestrator.runs.record import NOT_REACHED, RecipeRecord, RunRecord, StepRecord
from pytest_orchestrator.runs.verdicts import counts

_FIRST_ROWS: Final = 50
"""Rows of a table while the page shows all tables."""
_ALL_ROWS: Final = 300
"""Rows on a page of one table."""
_VALUE_LENGTH: Final = 200
_LOOKS: Final = {"pass": "passed", "marginal": "marginal", "fail": "failed", "unset": "failed"}


class Side(Struct, frozen=True):
    """One of the two runs: its name, verdict, start, duration and `test_meta` by label."""

    name: str
    verdict: str
    started: str
    seconds: float
    facts: dict[str, str]
    problem: str


class Cell(Struct, frozen=True):
    """A recipe, step or measurement in one run.

    Attributes:
        state: Its state or verdict; empty if the run does not have it.
        text: Its duration or value.
        note: The reason of its state.
        url: URL of it; empty without one.
    """

    state: str = ""
    text: str = ""
    note: str = ""
    url: str = ""


class Pair(Struct, frozen=True):
    """Row of a table.

    Attributes:
        of: Recipe, or recipe and step; empty for a recipe itself.
        name: Name of the recipe, step, measurement, key or file.
        a: It in the first run.
        b: It in the second run.
        change: Difference of the figures as a text.
        is_different: True if the outcome differs, or a figure is unusual.
    """

    of: str
    name: str
    a: Cell
    b: Cell
    change: str = ""
    is_different: bool = False


class Table(Struct, frozen=True):
    """Table of the page: its name in URLs, its heading, its rows, and how many of them differ."""

    key: str
    title: str
    part: Part[Pair]
    different: int


class Choice(Struct, frozen=True):
    """Address of the page: names of the runs, the table that is shown alone, and its page."""

    runs: tuple[str, ...]
    show: str = ""
    page: int = 1

    path = "/compare"

    def but(self, **changes: Any) -> str:
        """Return the URL of this page with changes of `show` and `page`."""
        values = {"show": self.show, "page": 1} | changes
        given = [(name, value) for name, value in values.items() if value not in ("", 1)]
        return f"{self.path}?{urlencode([*(('run', one) for one in self.runs), *given])}"


def page(runs: RunCache, names: Sequence[str], query: Mapping[str, str]) -> str:
    """Return the page that compares two runs as HTML; with other than two, how to choose them.

    Args:
        runs: The runs.
        names: Names of the folders of the runs, in any order.
        query: The query of the URL: `show` is the table that is shown alone, `page` its page.

    Raises:
        NoRun: One of the runs does not exist.
    """
    chosen = tuple(dict.fromkeys(names))
    blank = {"title": "Run comparison", "look": "waiting", "version": "", "events": ""}
    if len(chosen) != 2:
        return render("comparison.html", page=blank, sides=None, chosen=len(chosen))
    read = [(name, lookup.load_record(runs.folder(name), raw_blocks=True)) for name in chosen]
    read.sort(key=lambda one: (one[1].first, one[0]))
    (a_name, a), (b_name, b) = read
    one = Choice((a_name, b_name), query.get("show", "")[:40], page_number(query))
    found = compare_runs(a, b)
    tables = [*_tables(found, (a_name, a), (b_name, b), one)]
    shown = [table for table in tables if not one.show or table.key == one.show]
    return render(
        "comparison.html",
        page=blank | {"title": f"{a_name} and {b_name}: comparison"},
        sides=[_side(name, record) for name, record in read],
        address=one,
        is_worse=found["worse"],
        is_same=not found["outcomes"] and not any(table.different for table in tables),
        tables=shown or tables,
    )


def _side(name: str, run: RunRecord) -> Side:
    problem = "the journal was modified" if run.state == "damaged" else ""
    seconds, verdict = run_summary.seconds(run), run_summary.verdict(run)
    return Side(name, verdict, run.first, seconds, labelled_meta(run.recipes.values()), problem)


def _tables(
    found: Mapping[str, Any], a: tuple[str, RunRecord], b: tuple[str, RunRecord], one: Choice
) -> Iterator[Table]:
    """Yield the tables that have rows."""
    each: dict[str, tuple[str, Iterable[Pair]]] = {
        "recipes": ("Recipes", _recipes(a, b)),
        "steps": ("Steps", _steps(a, b, found["figures"])),
        "figures": ("Unusual durations, CPU times and memory", _figures(found["figures"])),
        "measurements": ("Measurements", _measurements(a, b, found["measurements"])),
        "code": ("Changed files", _values(found["code"], "path", 12)),
        "vars": ("Changed vars", _values(found["vars"], "var", _VALUE_LENGTH)),
        "context": ("Different final Context", _values(found["context"], "key", _VALUE_LENGTH)),
        "environment": (
            "Changed environment",
            _values(found["environment"], "name", _VALUE_LENGTH),
        ),
    }
    for key, (title, pairs) in each.items():
        rows = sorted(pairs, key=lambda pair: not pair.is_different)
        if rows:
            is_alone = one.show == key
            shown = part(rows, one.page if is_alone else 1, _ALL_ROWS if is_alone else _FIRST_ROWS)
            yield Table(key, title, shown, sum(row.is_different for row in rows))


def _recipes(a: tuple[str, RunRecord], b: tuple[str, RunRecord]) -> Iterator[Pair]:
    for key in dict.fromkeys([*a[1].recipes, *b[1].recipes]):
        was, now = (_recipe_cell(name, run.recipes.get(key)) for name, run in (a, b))
        yield Pair("", key, was, now, is_different=was.state != now.state)


def _recipe_cell(name: str, recipe: RecipeRecord | None) -> Cell:
    if recipe is None:
        return Cell()
    text = ", ".join(f"{number:,} {word}" for word, number in counts(recipe.steps.values()).items())
    url = Address(name, recipe=recipe.key).url
    return Cell(run_summary.verdict_of(recipe), text, "", url)


def _reached(run: RunRecord) -> dict[tuple[str, str], StepRecord]:
    return {(one.recipe, one.name): one for one in run.steps if one.state not in NOT_REACHED}


def _steps(
    a: tuple[str, RunRecord], b: tuple[str, RunRecord], figures: Iterable[Mapping[str, Any]]
) -> Iterator[Pair]:
    unusual = {(one["recipe"], one["step"]) for one in figures if one["drifted"]}
    before, after = _reached(a[1]), _reached(b[1])
    for key in dict.fromkeys([*before, *after]):
        was, now = _step_cell(a[0], before.get(key)), _step_cell(b[0], after.get(key))
        is_cut_off = "interrupted" in (was.state, now.state)
        change = "" if is_cut_off else _ratio(_seconds(before.get(key)), _seconds(after.get(key)))
        is_other = was.state != now.state or key in unusual
        yield Pair(key[0], key[1], was, now, change, is_other)


def _seconds(step: StepRecord | None) -> float | None:
    return step.figures.get("seconds") if step else None


def _step_cell(run: str, step: StepRecord | None) -> Cell:
    if step is None:
        return Cell()
    used = _seconds(step)
    text = "" if used is None else duration(used)
    url = Address(run, step=step_key(step)).url
    return Cell(step.word, text, cut(one_line(step.reason), 300), url)


def _ratio(before: float | None, after: float | None) -> str:
    """Return the relative difference of two durations; empty for durations that hardly differ."""
    if not before or after is None or max(before, after) < 0.05:
        return ""
    change = after / before - 1
    return f"{change:+.0%}".replace("%", " %") if abs(change) >= 0.005 else ""


def _figures(figures: Iterable[Mapping[str, Any]]) -> Iterator[Pair]:
    for one in figures:
        if one["drifted"]:
            unit = FIGURES.get(one["figure"], one["unit"])
            made = history_notation([one["a"], one["b"]], unit, one.get("precision"))
            factor = f"× {figure(one['factor'], most=3)}" if "factor" in one else one["size"]  # noqa: RUF001
            yield Pair(
                f"{one['recipe']}::{one['step']}",
                str(one["figure"]).replace("_", " "),
                Cell("", made.with_unit(one["a"])),
                Cell("", made.with_unit(one["b"])),
                factor,
                is_different=True,
            )


def _measurements(
    a: tuple[str, RunRecord], b: tuple[str, RunRecord], compared: Iterable[Mapping[str, Any]]
) -> Iterator[Pair]:
    drifted = {(one["recipe"], one["step"], one["figure"]) for one in compared if one["drifted"]}
    sides = [(name, _measured(run)) for name, run in (a, b)]
    for key in dict.fromkeys([*sides[0][1], *sides[1][1]]):
        found = [measured.get(key) for _, measured in sides]
        texts = iter(quantities([each[1] for each in found if each]))
        was, now = (
            _measurement_cell(name, each, next(texts)) if each else Cell()
            for (name, _), each in zip(sides, found, strict=True)
        )
        change = _change(*found)
        is_other = was.state != now.state or key in drifted
        yield Pair(f"{key[0]}::{key[1]}", key[2], was, now, change, is_other)


_Measured = tuple[StepRecord, Measurement]


def _measured(run: RunRecord) -> dict[tuple[str, str, str], _Measured]:
    return {
        (step.recipe, step.name, one.name): (step, one)
        for step in run.steps
        for one in measurements_of(step.block)
    }


def _measurement_cell(name: str, found: _Measured, texts: Quantity) -> Cell:
    step, one = found
    word, limits = verdict_of(one), limits_text(texts)
    note = f"limits {limits} {texts.unit}".strip() if limits else ""
    url = Address(name, step=step_key(step)).url
    return Cell(_LOOKS.get(word, word), f"{texts.value} {texts.unit}".strip(), note, url)


def _change(before: _Measured | None, after: _Measured | None) -> str:
    if before is None or after is None:
        return ""
    a, b = before[1].value, after[1].value
    numbers = [one for one in (a, b) if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(numbers) < 2 or numbers[0] == numbers[1]:
        return ""
    unit, precision = after[1].unit or "", after[1].precision or None
    made = history_notation(numbers, unit, precision, equals=numbers[1])
    sign = "+" if numbers[1] > numbers[0] else "−"  # noqa: RUF001
    return f"{sign}{made.distance(*numbers)} {made.unit}".rstrip()


def _values(rows: Iterable[Mapping[str, Any]], name: str, most: int) -> Iterator[Pair]:
    for one in rows:
        of = str(one.get("recipe") or one.get("scope") or "")
        was, now = (
            Cell("", json_text(one[side], most) if one.get(side) is not None else "-")
            for side in ("a", "b")
        )
        yield Pair(of, cut(str(one[name]), 300), was, now)
