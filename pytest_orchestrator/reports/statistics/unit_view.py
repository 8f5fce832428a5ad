"""Values that the page of one unit under test (DUT) shows: its runs and its measurements."""

from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from typing import Final

import msgspec

from pytest_orchestrator.reports.certificate.meta import lines
from pytest_orchestrator.reports.statistics.view import chart, charts_note
from pytest_orchestrator.reports.text import cut
from pytest_orchestrator.runs.history.model import PastRecipe, PastRun, joined
from pytest_orchestrator.runs.statistics.figures import MeasurementStatistics, measurements
from pytest_orchestrator.runs.statistics.units import UnitRun, station_of, unit_of
from pytest_orchestrator.runs.verdicts import Word, is_good, worst

_MOST_ROWS: Final = 1_000
_MOST_CHARTS: Final = 48


class RunRow(msgspec.Struct, frozen=True):
    """Run of a recipe with the unit; `part` says how many of the steps were selected."""

    run: str
    started: str
    verdict: str
    part: str
    recipe: str
    seconds: float
    station: str
    operator: str
    cause: str


class UnitPage:
    """View of a unit for the template.

    Args:
        name: The name by which the unit was asked for.
        runs: The runs with recipes that tested the unit, the newest first; at least one.
    """

    def __init__(self, name: str, runs: Iterable[PastRun]) -> None:
        self.name = cut(name, 120)
        self._tests = [(run, recipe) for run in runs for recipe in run.recipes]
        self.rows = [_row(run, recipe) for run, recipe in self._tests]
        self.shown = self.rows[:_MOST_ROWS]
        drawn = sorted(self._measurements(), key=lambda one: (not one.failed, one.drift is None))
        several = len({recipe.key for _, recipe in self._tests}) > 1
        self.trends = [chart(one, _title(one, several=several)) for one in drawn[:_MOST_CHARTS]]
        self._more_charts = len(drawn) - len(self.trends)

    @property
    def verdict(self) -> str:
        """Worst verdict of the last runs of the recipes; some steps that passed are no verdict."""
        last: dict[str, Word] = {}
        for _, recipe in self._tests:
            if recipe.is_whole or not is_good(recipe.verdict):
                last.setdefault(recipe.key, recipe.verdict)
        return worst(last.values()) if last else "not run"

    @property
    def counts(self) -> dict[str, int]:
        """Number of the runs by verdict."""
        return dict(Counter(one.verdict for one in self.rows))

    @property
    def more_rows(self) -> bool:
        """True if the table does not have all runs."""
        return len(self.rows) > len(self.shown)

    @property
    def first(self) -> str:
        """Start of the first run."""
        return self.rows[-1].started

    @property
    def last(self) -> str:
        """Start of the last run."""
        return self.rows[0].started

    @cached_property
    def facts(self) -> list[tuple[str, str]]:
        """Values of ``dut`` in the `test_meta` of the last run, with their names."""
        meta = self._tests[0][1].test_meta
        found = [(one.name or "Serial number", one.text) for one in lines("", meta.get("dut"))]
        kind = cut(joined(meta.get("dut_type")), 120)
        return [(_label(name), text) for name, text in found] + ([("Type", kind)] if kind else [])

    @property
    def trends_note(self) -> str:
        """Remark on charts that are left out; empty if all are shown."""
        return charts_note(len(self.trends), self._more_charts)

    def _measurements(self) -> tuple[MeasurementStatistics, ...]:
        """Return the measurements of all runs, also of those that do not count in statistics."""
        oldest_first = reversed(self._tests)
        return measurements(
            UnitRun(run, recipe, unit_of(recipe.test_meta), is_first=False, is_last=False)
            for run, recipe in oldest_first
        )


def _label(name: str) -> str:
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:]


def _title(one: MeasurementStatistics, *, several: bool) -> str:
    return f"{one.recipe} · {one.step}: {one.name}" if several else f"{one.step}: {one.name}"


def _row(run: PastRun, recipe: PastRecipe) -> RunRow:
    part = "" if recipe.is_whole else f"{recipe.selected} of {recipe.total} steps"
    name = f"{recipe.name} [{recipe.cell}]" if recipe.cell else recipe.name
    return RunRow(
        run.id,
        recipe.started or run.started,
        recipe.verdict,
        part,
        cut(name, 160),
        recipe.seconds,
        cut(station_of(run, recipe), 80),
        cut(joined(recipe.test_meta.get("operator")) or run.operator, 80),
        cut(recipe.cause, 400),
    )
