"""Charts of figures over earlier runs, of resource usage, and of sampled values."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeGuard

import msgspec

from pytest_orchestrator.core.figures.notation import Notation, notation
from pytest_orchestrator.core.json_values import finite_number
from pytest_orchestrator.reports.html.chart import (
    Chart,
    Measurand,
    Point,
    chart,
    names_axis,
    seconds_axis,
)
from pytest_orchestrator.reports.quantities import local_time
from pytest_orchestrator.reports.text import cut
from pytest_orchestrator.runs.block import Block, Measurement, measurements_of
from pytest_orchestrator.runs.history.model import PastRecipe, PastRun, PastStep
from pytest_orchestrator.runs.record import RecipeRecord, RunRecord
from pytest_orchestrator.runs.summary import verdict_of
from pytest_orchestrator.runs.units import by_unit
from pytest_orchestrator.runs.verdicts import is_good

Earlier = Mapping[str, Sequence[tuple[PastRun, PastRecipe]]]
"""Earlier runs of each recipe, newest first, by key of the recipe."""

_MAX_CHARTS: Final = 24
_MAX_STEPS: Final = 200


def trends(run: RunRecord, earlier: Earlier) -> list[dict[str, Any]]:
    """Return the histories of up to 24 figures of a run.

    Args:
        run: The run.
        earlier: The earlier runs of its recipes.

    Returns:
        One mapping for each figure with more than one point: its ``name``, ``unit``, the limits
        ``low`` and ``high`` of this run, ``total``, the number of all such figures, the
        ``notation`` and ``points``, the oldest first, each with ``run``, ``start``, ``value``,
        ``text`` and ``passed``: True if the value is within the limits of this run or, for a
        duration, if the recipe passed.
    """
    found: list[dict[str, Any]] = []
    total = 0
    parts = [*by_unit(run.recipes.values())]
    for one in parts:
        title = f"{_title(one)} · " if len(parts) > 1 else ""
        for make in _trends(run, one, earlier.get(one.key, ()), title):
            total += 1
            if total <= _MAX_CHARTS:
                found.append(make())
    for history in found:
        history["total"] = total
    return found


def _trends(
    run: RunRecord, recipe: RecipeRecord, earlier: Sequence[tuple[PastRun, PastRecipe]], title: str
) -> Iterator[Callable[[], dict[str, Any]]]:
    """Yield for each figure with a history a function that returns its chart."""
    if not earlier or not _has_run(recipe):
        return
    steps = [past.by_name for _, past in earlier]
    yield partial(_seconds_chart, run, recipe, earlier)
    for step in islice(recipe.steps.values(), _MAX_STEPS):
        block = step.block if step.state != "restored" else None
        if block is None or not (block.measurements or block.elements) or not block.resources:
            continue
        for one in measurements_of(block):
            if not _is_number(one.value):
                continue
            values = [_value(past.get(step.name), one.name) for past in steps]
            if any(each is not None for each in values):
                name = f"{title}{step.name}: {one.name}"
                yield partial(_chart, run, recipe, earlier, values, one, name)


def _value(step: PastStep | None, name: str) -> float | None:
    """Return a measurement of a step that ran; None if it is no number."""
    if step is None or step.seconds is None:
        return None
    return next((one.figure for one in step.measurements if one.name == name), None)


def _title(recipe: RecipeRecord) -> str:
    cell = f" [{recipe.about['cell']}]" if recipe.about.get("cell") else ""
    return f"{recipe.about.get('name') or recipe.key}{cell}"


def _has_run(recipe: RecipeRecord) -> bool:
    return any(step.figures.get("seconds") for step in recipe.steps.values())


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _seconds_chart(
    run: RunRecord, recipe: RecipeRecord, earlier: Sequence[tuple[PastRun, PastRecipe]]
) -> dict[str, Any]:
    points: list[dict[str, Any]] = [
        {
            "run": past_run.id,
            "start": past.started,
            "value": sum(step.seconds or 0.0 for step in past.steps),
            "passed": is_good(past.verdict),
        }
        for past_run, past in earlier
    ]
    points.reverse()
    ran = (step.block for step in recipe.steps.values() if step.state != "restored")
    used = (block.resources for block in ran if block)
    last = {"value": sum(one.seconds for one in used if one)}
    passed = is_good(verdict_of(recipe))
    points.append({"run": run.id, "start": recipe.started, "passed": passed} | last)
    return with_texts({"name": f"{_title(recipe)} · total step time", "points": points}, "s")


def _chart(
    run: RunRecord,
    recipe: RecipeRecord,
    earlier: Sequence[tuple[PastRun, PastRecipe]],
    values: Sequence[float | None],
    measured: Measurement,
    name: str,
) -> dict[str, Any]:
    low, high = (
        one if _is_number(one) and math.isfinite(one) else None
        for one in (measured.low, measured.high)
    )

    def point(run_id: str, start: str, value: Any) -> dict[str, Any]:
        passed = (low is None or value >= low) and (high is None or value <= high)
        return {"run": run_id, "start": start, "value": value, "passed": passed}

    points = [
        point(past_run.id, past.started, value)
        for (past_run, past), value in zip(earlier, values, strict=True)
        if value is not None
    ]
    points.reverse()
    points.append(point(run.id, recipe.started, measured.value))
    limits = {name: one for name, one in (("low", low), ("high", high)) if one is not None}
    history = {"name": name, "points": points} | limits
    return with_texts(history, measured.unit or "", measured.precision or None)


def with_texts(
    history: Mapping[str, Any], unit: str, precision: int | None = None
) -> dict[str, Any]:
    """Return a history with the texts of its points, their ``notation`` and their ``chart``."""
    values = [point["value"] for point in history["points"]]
    low, high = history.get("low"), history.get("high")
    made = notation(values, low=low, high=high, unit=unit, precision=precision)
    points = [point | {"text": made.text(point["value"])} for point in history["points"]]
    drawn = _drawn(history, made, low, high)
    return {**history, "unit": unit, "notation": made, "points": points, "chart": drawn}


def _drawn(
    history: Mapping[str, Any], made: Notation, low: float | None, high: float | None
) -> Chart:
    """Return the chart of a history; a duration without limits begins at zero."""
    times = [local_time(one["start"]) for one in history["points"]]
    points = [
        Point(
            place,
            one["value"],
            f"{time[:16]} {cut(one['run'], 80)}",
            "passed" if one["passed"] else "failed",
            low,
            high,
        )
        for place, (one, time) in enumerate(zip(history["points"], times, strict=True))
    ]
    has_limits = low is not None or high is not None
    what = Measurand(
        history["name"],
        of=f" in {len(points)} runs",
        bad="out of limits" if has_limits else "not passed",
        made=made,
        holds=(0.0,) if made.unit.endswith("s") and not has_limits else (),
    )
    return chart(what, [("", points)], names_axis(_dates(times)))


def _dates(times: Sequence[str]) -> list[str]:
    """Return local times as texts of an axis: their days, or their hours if all are of one day."""
    if len({time[:10] for time in times}) == 1:
        return [time[11:16] for time in times]
    days = (time[:10] for time in times)
    return [day if day == "-" else f"{date.fromisoformat(day):%b} {int(day[8:])}" for day in days]


_MAX_BYTES: Final = 4 << 20
_MOST_MARKS: Final = 60
"""Points of a resource curve that have a text; a page may have thousands of curves."""


class _Sample(msgspec.Struct):
    seconds: float
    rss: int = 0
    cpu_seconds: float = 0.0


class Curves(msgspec.Struct, frozen=True):
    """Resource usage of a step over time.

    Attributes:
        seconds: Time of each point since the start of the step.
        rss: Resident memory of its processes, in bytes.
        cpu: Mean number of CPU cores used since the previous point.
    """

    seconds: tuple[float, ...]
    rss: tuple[int, ...]
    cpu: tuple[float, ...]


def curves(path: Path, most: int) -> Curves | None:
    """Return the curves of a step; None if its file is unreadable or has fewer than two samples.

    Args:
        path: A file of samples, one JSON object a line; only its first 4 MiB are read.
        most: Maximum number of points. If the file has more samples, each point shows the peak
            memory and the mean CPU usage of a group of samples.
    """
    try:
        with path.open("rb") as file:
            lines = file.read(_MAX_BYTES).splitlines()
    except OSError:
        return None
    samples: list[_Sample] = []
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):  # an incomplete last line
        samples.extend(map(_decode, lines))
    if len(samples) < 2 or most < 2:
        return None
    size = -(-len(samples) // most)
    groups = [samples[start : start + size] for start in range(0, len(samples), size)]
    return Curves(
        tuple(round(group[-1].seconds, 4) for group in groups),
        tuple(max(sample.rss for sample in group) for group in groups),
        tuple(_cores_used(groups)),
    )


def usage_charts(path: Path, most: int) -> list[Chart]:
    """Return charts of the memory and the CPU usage of a step; none if both say little.

    Args:
        path: A file of samples.
        most: Maximum number of points of a curve.
    """
    drawn = curves(path, most)
    if drawn is None or not _is_worth_drawing(drawn):
        return []
    x = seconds_axis(drawn.seconds[-1])
    texts = [f"{seconds:.3f} s" for seconds in drawn.seconds]

    def usage(what: Measurand, values: Sequence[float]) -> Chart:
        points = [*map(Point, drawn.seconds, values, texts)]
        return chart(what, [("", points)], x, min(most, _MOST_MARKS))

    return [
        usage(_MEMORY, [one / 1e6 for one in drawn.rss]),
        usage(_CPU, drawn.cpu),
    ]


_MEMORY: Final = Measurand("Memory", made=Notation("MB", decimals=1), holds=(0.0,))
_CPU: Final = Measurand("CPU", made=Notation("cores", decimals=2), holds=(0.0, 1.0))


def _is_worth_drawing(drawn: Curves) -> bool:
    """Return True if the curves of a step last a second, or its memory moves by 10 %."""
    least, most = min(drawn.rss), max(drawn.rss)
    return drawn.seconds[-1] - drawn.seconds[0] >= 1 or most - least >= most / 10


def _cores_used(groups: Sequence[Sequence[_Sample]]) -> list[float]:
    before, cores = _Sample(0.0), []
    for group in groups:
        last = group[-1]
        seconds = last.seconds - before.seconds
        used = max(0.0, last.cpu_seconds - before.cpu_seconds)
        cores.append(round(used / seconds, 3) if seconds > 0 else 0.0)
        before = last
    return cores


_decode = msgspec.json.Decoder(_Sample).decode


def _samples_text(block: Block) -> str:
    """Return one line on the samples of a block that has a curve."""
    curve = block.curve
    if not curve:
        return ""
    parts = [f"{curve.samples:,} sample{'' if curve.samples == 1 else 's'}"]
    parts.append(f"every {curve.every:g} s")
    if curve.late:
        parts.append(f"{curve.late:,} left out because the one before took too long")
    if curve.failed:
        parts.append(f"{curve.failed:,} without a value")
    if curve.segment:
        parts.append(f"segment {curve.segment} after resumed runs")
    return ", ".join(parts)


def samples_chart(block: Block) -> Chart | None:
    """Return the chart of the samples of a block; None without samples."""
    curve = block.curve
    if not curve or not curve.points:
        return None
    measured = next(iter(block.measurements or ()), None)
    low = finite_number(measured.low) if measured else None
    high = finite_number(measured.high) if measured else None

    def point(seconds: float, value: float) -> Point:
        is_bad = (low is not None and value < low) or (high is not None and value > high)
        look = "failed" if is_bad else "passed"
        return Point(seconds, value, f"{seconds:g} s", look, low, high)

    unit = (measured and measured.unit) or ""
    what = Measurand(block.step.name, unit, about=_samples_text(block))
    points = [point(*one) for one in curve.points]
    return chart(what, [("", points)], seconds_axis(points[-1].x))
