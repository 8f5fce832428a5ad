"""Values that the page of statistics shows."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from pytest_orchestrator.core.figures.notation import Notation, notation
from pytest_orchestrator.reports.html.trends import with_texts
from pytest_orchestrator.reports.text import cut
from pytest_orchestrator.runs.statistics.charts import ControlChart
from pytest_orchestrator.runs.statistics.figures import (
    Failures,
    MeasuredValue,
    MeasurementStatistics,
    Statistics,
    Yield,
)

_MOST_CHARTS: Final = 24
_MOST_POINTS: Final = 200
_MOST_FAILURES: Final = 100
_MOST_ROWS: Final = 2_000
_MOST_LINKS: Final = 12
CAPABLE: Final = 1.33
"""Smallest Ppk of a measurement that is shown as capable: its mean is four sigma from a limit."""
BARELY: Final = 1.0
"""Smallest Ppk of a measurement that is shown as marginal."""


def percent(share: float | None) -> str:
    """Return a share in percent with one decimal; a dash without one.

    A share that is not all is never ``100.0 %``, and one that is not none is never ``0.0 %``.
    """
    if share is None:
        return "-"
    if share < 1 and share >= 0.9995:
        return "> 99.9 %"
    return "< 0.1 %" if 0 < share < 0.0005 else f"{100 * share:.1f} %"


class YieldRow(msgspec.Struct, frozen=True):
    """Row of a table of yields; yields are texts, and widths of bars in percent."""

    name: str
    units: int
    runs: int
    first: str
    first_of: str
    first_width: float
    final: str
    final_of: str
    final_width: float


class YieldTable(msgspec.Struct, frozen=True):
    """Yields by one property of the runs, which the title names."""

    title: str
    rows: list[YieldRow]

    @property
    def head(self) -> str:
        """The title as the head of a column."""
        return self.title[:1].upper() + self.title[1:]


class FailureRow(msgspec.Struct, frozen=True):
    """Group of failures: a bar of the Pareto chart.

    Attributes:
        width: Length of the bar, in percent of the longest one.
        units: Serial numbers of the first units.
        more: Number of the other units.
    """

    step: str
    recipe: str
    kind: str
    reason: str
    number: int
    share: str
    cumulative: str
    width: float
    units: str
    more: int


class MeasurementView(msgspec.Struct, frozen=True):
    """Row of the table of measurements; figures are texts, and numbers to sort by.

    Attributes:
        word: capable, marginal, not capable, or no limits: what Ppk says.
        cells: Title, text and number to sort by of each figure.
    """

    recipe: str
    step: str
    name: str
    unit: str
    word: str
    look: str
    sign: str
    mean_exact: str
    cells: list[tuple[str, str, str]]
    notes: str


def yield_row(one: Yield, unknown: str) -> YieldRow:
    """Return the row of a group of runs; `unknown` is the name of a group without one."""
    return YieldRow(
        name=cut(one.name, 160) or unknown,
        units=one.units,
        runs=one.runs,
        first=percent(one.first_pass_yield),
        first_of=f"{one.first_passed} of {one.first}",
        first_width=round(100 * (one.first_pass_yield or 0), 2),
        final=percent(one.final_yield),
        final_of=f"{one.last_passed} of {one.last}",
        final_width=round(100 * (one.final_yield or 0), 2),
    )


def capability_word(one: MeasurementStatistics) -> tuple[str, str, str]:
    """Return what Ppk says about a measurement, its style and its sign."""
    ppk = one.capability.ppk
    if ppk is None:
        return "no Ppk", "skipped", "·"
    if ppk >= CAPABLE:
        return "capable", "passed", "✔"
    return ("marginal", "blocked", "≈") if ppk >= BARELY else ("not capable", "failed", "✘")


def worst_first(found: Iterable[MeasurementStatistics]) -> list[MeasurementStatistics]:
    """Return measurements by Ppk, the smallest first; those without a Ppk are last."""
    return sorted(
        found,
        key=lambda one: (one.capability.ppk is None, one.capability.ppk or 0.0),
    )


def notes(one: MeasurementStatistics) -> str:
    """Return remarks on a measurement: failures, drift, marks of its charts; empty without any."""
    parts = []
    if one.failed:
        parts.append(f"{one.failed} outside of the limits")
    if one.unset:
        parts.append(f"{one.unset} without a number")
    if one.drift:
        parts.append(f"last value {one.drift.text} from the median")
    parts += filter(None, map(chart_note, one.charts))
    if one.has_other_limits:
        parts.append("earlier runs had other limits")
    return ", ".join(parts)


def chart_note(one: ControlChart) -> str:
    """Return what the control chart of a station marks; empty without a mark."""
    if not one.marks:
        return ""
    numbers = sorted({mark.rule for mark in one.marks})
    rules = ", ".join(f"rule {number}" if number else "moving range" for number in numbers)
    runs = len({mark.run for mark in one.marks})
    at = f" at {one.station}" if one.station else ""
    return f"out of control{at} in {runs:,} of {one.judged:,} runs ({rules})"


def chart(one: MeasurementStatistics, name: str) -> dict[str, Any]:
    """Return the data of the chart of a measurement over the runs, as `page.js` draws it."""
    limits = {key: end for key, end in (("low", one.low), ("high", one.high)) if end is not None}
    points = [_point(value) for value in one.values[-_MOST_POINTS:]]
    return with_texts({"name": name, "points": points} | limits, one.unit, one.precision)


def charts_note(shown: int, more: int) -> str:
    """Return a remark on charts that are left out; empty if there are none."""
    return f"{shown} of {shown + more} measurements shown" if more else ""


def _point(one: MeasuredValue) -> dict[str, Any]:
    run = f"{one.serial} · {one.run}"
    return {"run": run, "start": one.start, "value": one.value, "passed": one.passed}


class StatisticsPage:
    """View of statistics for the template.

    Args:
        found: The statistics.
        selected: The options that select the runs, such as ``--recipe recipes/psu.yaml``.
    """

    def __init__(self, found: Statistics, selected: str = "") -> None:
        self.statistics = found
        self.selected = cut(selected, 300)
        self.total = yield_row(found.total, "")
        self.first, self.last = found.first_start, found.last_start
        self.titles = FIGURE_TITLES
        ordered = worst_first(found.measurements)
        self.more_rows = max(0, len(ordered) - _MOST_ROWS)
        self.measurements = [self._measurement(one) for one in ordered[:_MOST_ROWS]]
        # A chart needs two points. Drift comes first, then what is least capable.
        drawn = [one for one in ordered if len(one.values) > 1]
        drawn.sort(key=lambda one: one.drift is None)
        self.trends = [chart(one, self._title(one)) for one in drawn[:_MOST_CHARTS]]
        self._more_charts = max(0, len(drawn) - _MOST_CHARTS)

    @property
    def trends_note(self) -> str:
        """Remark on charts that are left out; empty if all are shown."""
        return charts_note(len(self.trends), self._more_charts)

    @property
    def words(self) -> dict[str, int]:
        """Number of the shown measurements by what their Ppk says."""
        return dict(Counter(one.word for one in self.measurements))

    @property
    def left_out(self) -> list[str]:
        """Numbers of the runs of recipes that do not count, with the reasons."""
        return [f"{number:,} {reason}" for reason, number in self.statistics.left_out.items()]

    @property
    def yields(self) -> list[YieldTable]:
        """Tables of yields; types and stations only if a run names one."""
        found = self.statistics
        tables = [YieldTable("recipe", [yield_row(one, "") for one in found.recipes])]
        for title, groups in (("DUT type", found.types), ("station", found.stations)):
            if any(one.name for one in groups):
                tables.append(YieldTable(title, [yield_row(one, "unknown") for one in groups]))
        return tables

    @property
    def failures(self) -> list[FailureRow]:
        """The largest groups of failures."""
        groups = self.statistics.failures[:_MOST_FAILURES]
        most = max((one.number for one in groups), default=1)
        return [self._failure(one, most) for one in groups]

    @property
    def more_failures(self) -> int:
        """Number of the groups of failures that are not shown."""
        return max(0, len(self.statistics.failures) - _MOST_FAILURES)

    @property
    def has_recipes(self) -> bool:
        """True if the rows name their recipes, because there are several."""
        return len(self.statistics.recipes) > 1

    def _failure(self, one: Failures, most: int) -> FailureRow:
        return FailureRow(
            step=cut(one.step, 160),
            recipe=cut(one.recipe, 200) if self.has_recipes else "",
            kind=cut(one.kind, 60) if one.kind != "criterion" else "",
            reason=cut(one.reason, 400),
            number=one.number,
            share=percent(one.share),
            cumulative=percent(one.cumulative),
            width=round(100 * one.number / most, 2),
            units=cut(", ".join(one.units[:_MOST_LINKS]), 300),
            more=max(0, len(one.units) - _MOST_LINKS),
        )

    def _title(self, one: MeasurementStatistics) -> str:
        recipe = f"{one.recipe} · " if self.has_recipes else ""
        return f"{recipe}{one.step}: {one.name}"

    def _measurement(self, one: MeasurementStatistics) -> MeasurementView:
        word, style, sign = capability_word(one)
        return MeasurementView(
            recipe=cut(one.recipe, 160) if self.has_recipes else "",
            step=cut(one.step, 160),
            name=cut(one.name, 160),
            unit=cut(_notation(one).unit, 20),
            word=word,
            look=style,
            sign=sign,
            mean_exact=repr(one.capability.mean),
            cells=figure_cells(one),
            notes=notes(one),
        )


FIGURE_TITLES: Final = (
    *("n", "mean", "sigma", "min", "max", "low", "high"),
    *("Pp", "Ppk", "Cp", "Cpk"),
)
"""Titles of the figures of a measurement."""


def figure_cells(one: MeasurementStatistics) -> list[tuple[str, str, str]]:
    """Return title, text and number to sort by of each figure of a measurement."""
    found, made = one.capability, _notation(one)
    spread = made.finer(found.sigma, one.precision) if found.sigma else made
    values = (found.mean, found.sigma, found.least, found.most, one.low, one.high)
    cells = [("n", f"{found.n:,}", str(found.n))]
    for title, value in zip(FIGURE_TITLES[1:7], values, strict=True):
        text = spread.text if title == "sigma" else made.text
        cells.append((title, *(("", "") if value is None else (text(value), f"{value:.9g}"))))
    indices = (found.pp, found.ppk, found.cp, found.cpk)
    for title, value in zip(FIGURE_TITLES[7:], indices, strict=True):
        cells.append((title, *(("", "") if value is None else (f"{value:.2f}", f"{value:.9g}"))))
    return cells


def _notation(one: MeasurementStatistics) -> Notation:
    """Return the notation that the figures of a measurement share with its limits."""
    found = one.capability
    values = (found.least, found.most, found.mean)
    return notation(values, low=one.low, high=one.high, unit=one.unit, precision=one.precision)
