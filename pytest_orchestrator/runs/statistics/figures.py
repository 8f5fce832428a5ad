"""Statistics of the runs of a project: yields, failures by step and reason, measurements.

The capability of a measurement is its mean, its sample standard deviation with Pp and Ppk, and its
deviation from one value to the next with Cp and Cpk.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from pytest_orchestrator.core.text import without_numbers
from pytest_orchestrator.runs.history.drift import Drift, Limits, Value, drift_of, limits_of
from pytest_orchestrator.runs.history.model import MEASURED, PastMeasurement
from pytest_orchestrator.runs.statistics.charts import (
    MOVING_RANGE,
    ControlChart,
    Judged,
    control_chart,
    moving_ranges,
)
from pytest_orchestrator.runs.statistics.units import Counted, UnitRun
from pytest_orchestrator.runs.verdicts import BAD


class Capability(msgspec.Struct, frozen=True):
    """Distribution of the values of a measurement, and its capability against the limits.

    Attributes:
        n: Number of the values.
        mean: Arithmetic mean, in the unit of the measurement; None without values.
        sigma: Sample standard deviation (n - 1); None for fewer than two values.
        least: The smallest value; None without values.
        most: The largest value; None without values.
        pp: Width of the limits divided by six sigma; None if there are not two limits.
        ppk: Distance of the mean to the nearest limit divided by three sigma, negative outside;
            None without a limit.
        within: Deviation from one value to the next, the mean moving range / 1.128.
        cp: As `pp`, of `within`.
        cpk: As `ppk`, of `within`.

    All four are None for fewer than two values, and for values without any spread.
    """

    n: int
    mean: float | None = None
    sigma: float | None = None
    least: float | None = None
    most: float | None = None
    pp: float | None = None
    ppk: float | None = None
    within: float | None = None
    cp: float | None = None
    cpk: float | None = None


def capability(
    values: Sequence[float],
    low: float | None = None,
    high: float | None = None,
    ranges: Sequence[float] | None = None,
) -> Capability:
    """Return the capability of a measurement.

    Args:
        values: The values; all are finite.
        low: The lower limit; None without one.
        high: The upper limit; None without one.
        ranges: The moving ranges; None for those from each value to the next.
    """
    if not values:
        return Capability(0)
    # `statistics` computes with fractions: equal values have the spread 0, and huge ones no
    # overflow.
    mean = float(statistics.mean(values))
    sigma = float(statistics.stdev(values)) if len(values) > 1 else None
    moving = moving_ranges(values) if ranges is None else ranges
    within = float(statistics.mean(moving)) / MOVING_RANGE if moving else None
    overall, short = (_indices(mean, one, low, high) for one in (sigma, within))
    ends = min(values), max(values)
    return Capability(len(values), mean, sigma, *ends, *overall, within, *short)


def _indices(
    mean: float, sigma: float | None, low: float | None, high: float | None
) -> tuple[float | None, float | None]:
    """Return the width of the limits in six sigma, and the nearest distance in three."""
    if not sigma:
        return None, None
    sides = [
        *([] if low is None else [(mean - low) / (3 * sigma)]),
        *([] if high is None else [(high - mean) / (3 * sigma)]),
    ]
    width = None if low is None or high is None else _finite((high - low) / (6 * sigma))
    return width, _finite(min(sides)) if sides else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


NO_REASON: Final = "no reason is known"


class Yield(msgspec.Struct, frozen=True):
    """Yields of a group of runs.

    Attributes:
        name: Key of the recipe, type of the unit, or station; empty if unknown.
        units: Number of different units.
        runs: Number of the runs of recipes that count.
        first: Number of them that are the first run of a unit and a recipe.
        first_passed: Number of these that passed.
        last: Number of them that are the last run of a unit and a recipe.
        last_passed: Number of these that passed.
    """

    name: str
    units: int
    runs: int
    first: int
    first_passed: int
    last: int
    last_passed: int

    @property
    def first_pass_yield(self) -> float | None:
        """Share of the first runs that passed, from 0 to 1; None without a first run."""
        return self.first_passed / self.first if self.first else None

    @property
    def final_yield(self) -> float | None:
        """Share of the last runs that passed, from 0 to 1; None without a last run."""
        return self.last_passed / self.last if self.last else None


class Failures(msgspec.Struct, frozen=True):
    """Failures of a step with the same reason, apart from numbers in it.

    Attributes:
        recipe: Key of the recipe.
        step: Name of the step.
        kind: Kind of the failure; may be empty.
        reason: Reason of the newest one.
        number: Number of the failures.
        share: Share of all failures, from 0 to 1.
        cumulative: Share of this group and all larger ones together, from 0 to 1.
        units: Serial numbers of the units.
        runs: Ids of the runs, the oldest first.
    """

    recipe: str
    step: str
    kind: str
    reason: str
    number: int
    share: float
    cumulative: float
    units: tuple[str, ...]
    runs: tuple[str, ...]


class MeasuredValue(msgspec.Struct, frozen=True):
    """Value of a measurement in one run.

    Attributes:
        run: Id of the run.
        start: Start of the recipe, in ISO 8601 UTC.
        serial: Serial number of the unit.
        value: The value.
        passed: True if it was within the limits of that run.
    """

    run: str
    start: str
    serial: str
    value: float
    passed: bool


class MeasurementStatistics(msgspec.Struct, frozen=True):
    """Statistics of a measurement over all counted runs.

    Attributes:
        recipe: Key of the recipe.
        step: Name of the step.
        name: Name of the measurement, with the index of an element of ``foreach``.
        unit: Its unit; empty without one. Values of two units are two measurements.
        low: The lower limit in the newest run; None without one.
        high: The upper limit in the newest run; None without one.
        capability: Distribution and capability against these limits.
        failed: Number of values that were outside the limits of their run.
        unset: Number of runs in which the step has the measurement without a number.
        has_other_limits: True if an earlier run had other limits.
        drift: Drift of the last value from those of earlier runs that passed at its station.
        charts: Control charts, one for each station with enough values.
        precision: Significant digits; None means the default.
        values: The values, the oldest first.
    """

    recipe: str
    step: str
    name: str
    unit: str
    low: float | None
    high: float | None
    capability: Capability
    failed: int
    unset: int
    has_other_limits: bool
    drift: Drift | None
    charts: tuple[ControlChart, ...]
    precision: int | None
    values: tuple[MeasuredValue, ...]


class Statistics(msgspec.Struct, frozen=True):
    """Statistics over runs.

    Attributes:
        first_start: Start of the first run that counts, in ISO 8601 UTC; empty without one.
        last_start: Start of the last one.
        total: Yields of all runs together.
        recipes: Yields by recipe.
        types: Yields by type of the unit.
        stations: Yields by station.
        left_out: Number of runs of recipes that do not count, by reason.
        simulated: Number of the runs that count and used simulated instruments.
        failures: Failures by step and reason, the most frequent first.
        measurements: Measurements with numbers, in the order of the recipes.
    """

    first_start: str
    last_start: str
    total: Yield
    recipes: tuple[Yield, ...]
    types: tuple[Yield, ...]
    stations: tuple[Yield, ...]
    left_out: dict[str, int]
    simulated: int
    failures: tuple[Failures, ...]
    measurements: tuple[MeasurementStatistics, ...]


def statistics_of(counted: Counted) -> Statistics:
    """Return the statistics of runs.

    Args:
        counted: The runs that count.
    """
    runs = counted.runs
    return Statistics(
        first_start=runs[0].recipe.started if runs else "",
        last_start=runs[-1].recipe.started if runs else "",
        total=yield_of("", runs),
        recipes=yields(runs, lambda one: one.recipe.key),
        types=yields(runs, lambda one: one.unit.type),
        stations=yields(runs, lambda one: one.station),
        left_out=counted.left_out,
        simulated=counted.simulated,
        failures=failures(runs),
        measurements=measurements(runs),
    )


def yields(runs: Sequence[UnitRun], group: Callable[[UnitRun], str]) -> tuple[Yield, ...]:
    """Return the yields by group, ordered by name."""
    groups: dict[str, list[UnitRun]] = {}
    for one in runs:
        groups.setdefault(group(one), []).append(one)
    return tuple(yield_of(name, groups[name]) for name in sorted(groups))


def yield_of(name: str, runs: Sequence[UnitRun]) -> Yield:
    """Return the yields of a group of runs."""
    first, last = ([one for one in runs if one.is_first], [one for one in runs if one.is_last])
    return Yield(
        name=name,
        units=len({one.unit for one in runs}),
        runs=len(runs),
        first=len(first),
        first_passed=sum(one.passed for one in first),
        last=len(last),
        last_passed=sum(one.passed for one in last),
    )


def failures(runs: Iterable[UnitRun]) -> tuple[Failures, ...]:
    """Return the failed steps of runs by step and reason (Pareto), the largest group first."""
    groups: dict[tuple[str, str, str, str], list[tuple[UnitRun, str]]] = {}
    for one in runs:
        for step in one.recipe.steps if not one.passed else ():
            if step.state in BAD:
                key = (one.recipe.key, step.name, step.kind, without_numbers(step.reason))
                groups.setdefault(key, []).append((one, step.reason))
    total, sofar, found = sum(map(len, groups.values())), 0, []
    for key, group in sorted(groups.items(), key=lambda each: (-len(each[1]), each[0])):
        sofar += len(group)
        found.append(
            Failures(
                recipe=key[0],
                step=key[1],
                kind=key[2],
                reason=group[-1][1] or NO_REASON,
                number=len(group),
                share=len(group) / total,
                cumulative=sofar / total,
                units=tuple(dict.fromkeys(one.unit.serial for one, _ in group)),
                runs=tuple(one.run.id for one, _ in group),
            )
        )
    return tuple(found)


class _Series:
    """Values of a measurement, collected run by run, the oldest first."""

    def __init__(self) -> None:
        self._values: list[MeasuredValue] = []
        self._of_stations: dict[str, list[Judged]] = {}
        self._limits: set[Limits] = set()
        self._last: tuple[UnitRun, PastMeasurement] | None = None
        self._unset = 0

    def add(self, one: UnitRun, measured: PastMeasurement) -> None:
        """Add the measurement of the next run."""
        number = measured.figure
        self._last = one, measured
        if number is None:
            self._unset += 1
            return
        value = Value.of(number, measured, one.recipe.instruments)
        self._limits.add(limits_of(measured))
        judged = Judged(one.run.id, value, is_reference=one.recipe.is_reference)
        self._of_stations.setdefault(one.station, []).append(judged)
        passed = measured.verdict == "pass"
        started, serial = one.recipe.started, one.unit.serial
        self._values.append(MeasuredValue(one.run.id, started, serial, number, passed))

    def statistics(self, recipe: str, step: str, name: str) -> MeasurementStatistics | None:
        """Return the statistics of the values; None if the measurement never had a number."""
        if not self._values or self._last is None:
            return None
        last, measured = self._last
        low, high = limits_of(measured)
        stations = self._of_stations
        numbers = [[each.value.number for each in one] for one in stations.values()]
        ranges = [one for each in numbers for one in moving_ranges(each)]
        charts = [control_chart(station, each) for station, each in stations.items()]
        return MeasurementStatistics(
            recipe=recipe,
            step=step,
            name=name,
            unit=measured.unit or "",
            low=low,
            high=high,
            capability=capability([one.value for one in self._values], low, high, ranges),
            failed=sum(not one.passed for one in self._values),
            unset=self._unset,
            has_other_limits=bool(self._limits - {(low, high)}),
            drift=_drift(stations.get(last.station, ())),
            charts=tuple(one for one in charts if one),
            precision=measured.precision or None,
            values=tuple(self._values),
        )


def _drift(judged: Sequence[Judged]) -> Drift | None:
    """Return the drift of the last value from the earlier ones of runs that passed."""
    before = [one.value for one in reversed(judged[:-1]) if one.is_reference]
    return drift_of(judged[-1].value, before, MEASURED) if judged else None


def measurements(runs: Iterable[UnitRun]) -> tuple[MeasurementStatistics, ...]:
    """Return the statistics of the measurements that have numbers.

    Args:
        runs: The runs that count, the oldest first. A step that one of them restored from another
            one was measured once, so it counts once.
    """
    runs = [*runs]
    known = {(one.run.id, one.recipe.key) for one in runs}
    series: dict[tuple[str, str, str, str], _Series] = {}
    for one in runs:
        is_twice = (one.run.resumed_from, one.recipe.key) in known
        for step in one.recipe.steps:
            if is_twice and step.state == "restored":
                continue
            for measured in step.measurements:
                key = (one.recipe.key, step.name, measured.name, measured.unit or "")
                if key not in series:
                    series[key] = _Series()
                series[key].add(one, measured)
    found = (
        each.statistics(recipe, step, name) for (recipe, step, name, _), each in series.items()
    )
    ordered = [one for one in found if one is not None]
    return tuple(sorted(ordered, key=lambda one: one.recipe))
