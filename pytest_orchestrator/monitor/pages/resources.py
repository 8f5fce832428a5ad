"""Resources tab: memory and CPU over time, and a table of the usage of all steps.

The figures come from the files of samples, also while the steps run.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from msgspec import Struct

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.monitor.address import Address, chosen_recipe, chosen_step, step_key
from pytest_orchestrator.monitor.log_file import samples_path
from pytest_orchestrator.monitor.pages.part import Part, part
from pytest_orchestrator.monitor.pages.timeline import has_run
from pytest_orchestrator.monitor.run_cache import RunView
from pytest_orchestrator.reports.html.timeline import ticks_of
from pytest_orchestrator.reports.text import added, cut, megabytes, peak_megabytes
from pytest_orchestrator.reports.trends import Curves, curves
from pytest_orchestrator.runs.record import ACTIVE, StepRecord

LABEL: Final = "Resources"

_MAX_CURVES: Final = 40
_MAX_LOOKED_AT: Final = 400
"""Highest number of steps whose samples are looked for, the newest first."""
WIDTH: Final = 1000
HEIGHT: Final = 200
_MEGA: Final = 1_000_000
_LEAST_TOP: Final = 1.0
"""Least upper edge of a chart, in cores or MB: no use of a core is no curve of noise."""
_ROUND: Final = (1, 2, 2.5, 5, 10)


class Line(NamedTuple):
    """Curve of a step in a chart.

    Attributes:
        key: Key of the step in URLs.
        name: Its name.
        state: Its state.
        line: The curve as in the attribute ``points`` of a ``polyline``.
        area: The area below it.
        text: Its peak and last value.
    """

    key: str
    name: str
    state: str
    line: str
    area: str
    text: str


class Chart(Struct, frozen=True):
    """Chart of a quantity over time.

    Attributes:
        title: Name of the quantity.
        unit: Its unit; empty without one.
        lines: The curves.
        limits: Heights of limits in percent from above, with their texts.
        levels: Heights of the values on the axis in percent from above, with their texts.
        seconds: Time at the right edge.
        ticks: Round times for the axis.
    """

    title: str
    unit: str
    lines: list[Line]
    limits: list[tuple[float, str]]
    levels: list[tuple[float, str]]
    seconds: float
    ticks: tuple[float, ...]


class UsageRow(Struct, frozen=True):
    """Row of a step in the table of usage.

    Attributes:
        key: Its key in URLs.
        name: Its name.
        recipe: Key of its recipe.
        state: Its state.
        since: Start of its attempt in seconds since the epoch; 0 if it does not run.
        seconds: Its duration; None if it was not measured.
        cpu: CPU time in seconds, so far; None if it was not measured.
        cores: Mean number of CPU cores used; of a running step the present one.
        memory: Present memory of a running step in MB; else empty.
        peak: Peak memory in MB, so far, as the reports show it.
        read: MB read from storage; empty if it was not measured.
        written: MB written to storage; empty if it was not measured.
        limit: Limit of the peak in MB; empty without one.
    """

    key: str
    name: str
    recipe: str
    state: str
    since: float
    seconds: float | None
    cpu: float | None
    cores: float | None
    memory: str
    peak: str
    read: str
    written: str
    limit: str


class Content(Struct, frozen=True):
    """Content of the tab.

    Attributes:
        charts: Charts of memory and CPU; empty without samples.
        step: Name of the only step in them; empty for all steps.
        left_out: Number of steps that have no curve because there are too many.
        part: The rows of this page of the table.
        live: Rows of the steps that run.
        has_recipes: True if the steps are of several recipes.
        has_limits: True if a row has a limit.
    """

    charts: list[Chart]
    step: str
    left_out: int
    part: Part[UsageRow]
    live: list[UsageRow]
    has_recipes: bool
    has_limits: bool


def content(view: RunView, one: Address) -> Content:
    """Return the content of the tab.

    Args:
        view: The run.
        one: The address of the page.
    """
    recipe = chosen_recipe(view, one) if one.recipe else None
    recipes = [recipe] if recipe else [*view.record.recipes.values()]
    steps = [step for each in recipes for step in each.steps.values() if has_run(step)]
    chosen = chosen_step(view, one)
    drawn, left_out = _sampled(view, [chosen] if chosen else steps)
    listed = _listed(steps, one)
    shown = part(listed, one.page)
    rows = [_row(view, step) for step in shown.rows]
    active = [step for step in steps if step.state in ACTIVE] if not one.q else []
    return Content(
        charts=_charts(drawn, chosen) if drawn else [],
        step=chosen.name if chosen else "",
        left_out=left_out,
        part=shown._replace(rows=rows),
        live=[_row(view, step) for step in active[:_MAX_CURVES]],
        has_recipes=len(recipes) > 1,
        has_limits=any(row.limit for row in rows),
    )


def version(view: RunView, _: Address) -> str:
    """Return a text that changes whenever samples of running steps may be new.

    Args:
        view: The run.
    """
    return samples_version(view)


_Sampled = tuple[StepRecord, Curves]


def _sampled(view: RunView, steps: Sequence[StepRecord]) -> tuple[list[_Sampled], int]:
    """Return the newest steps that have samples, and the number of older ones."""
    newest = sorted(steps, key=lambda step: step.started or "")[: -_MAX_LOOKED_AT - 1 : -1]
    found: list[_Sampled] = []
    for step in newest:
        known = samples(view, step)
        if known is not None:
            found.append((step, known))
        if len(found) == _MAX_CURVES:
            break
    left_out = len(steps) - len(newest)
    if len(found) == _MAX_CURVES:
        left_out = len(steps) - newest.index(found[-1][0]) - 1
    return found[::-1], left_out


def _listed(steps: list[StepRecord], one: Address) -> list[StepRecord]:
    words = one.q.lower().split()
    if words:
        steps = [step for step in steps if all(word in _text(step) for word in words)]
    by = _SORTS.get(one.sort.removeprefix("-"))
    return sorted(steps, key=by, reverse=one.sort.startswith("-")) if by else steps


def _text(step: StepRecord) -> str:
    return f"{step.name} {step.recipe}".lower()


def _used(step: StepRecord, *names: str) -> float:
    """Return the sum of figures of a step; -1 without any."""
    known = step.block.resources if step.block else None
    total = added(*(getattr(known, name) or None for name in names)) if known else None
    return -1.0 if total is None else total


_SORTS: Final[dict[str, Callable[[StepRecord], Any]]] = {
    "step": lambda step: step.name,
    "recipe": lambda step: step.recipe,
    "state": lambda step: step.word,
    "seconds": lambda step: _used(step, "seconds"),
    "cpu": lambda step: _used(step, "cpu_user_seconds", "cpu_system_seconds"),
    "peak": lambda step: _used(step, "max_rss"),
    "read": lambda step: _used(step, "read_bytes"),
    "written": lambda step: _used(step, "write_bytes"),
}


def _row(view: RunView, step: StepRecord) -> UsageRow:
    used = step.figures
    live: Usage | None = live_usage(view, step)
    runs = step.state in ACTIVE and bool(step.started)
    seconds = 0.0 if runs else used.get("seconds")
    cpu = added(used.get("cpu_user_seconds"), used.get("cpu_system_seconds"))
    limits = [*_limits(step)]
    return UsageRow(
        key=step_key(step),
        name=step.name,
        recipe=step.recipe,
        state=step.word,
        since=epoch_seconds(step.started or "") if runs else 0.0,
        seconds=seconds,
        cpu=live.cpu if live else cpu,
        cores=live.cores if live else cpu / seconds if cpu is not None and seconds else None,
        memory=megabytes(live.memory) if live else "",
        peak=megabytes(live.peak) if live else _known(peak_megabytes(used)),
        read=_known(megabytes(used.get("read_bytes"))),
        written=_known(megabytes(used.get("write_bytes"))),
        limit=megabytes(limits[0]) if limits else "",
    )


def _known(text: str) -> str:
    return "" if text == "-" else text


def _limits(step: StepRecord) -> Iterator[float]:
    """Yield the limits of the peak memory in the criteria of a step, in bytes."""
    for one in step.block.criteria if step.block else ():
        if one.name == "max_rss_mb" and isinstance(one.wanted, int | float):
            yield float(one.wanted) * _MEGA


def _charts(drawn: Sequence[_Sampled], chosen: StepRecord | None) -> list[Chart]:
    """Return the charts of memory and CPU, over the time of the run or of one step."""
    starts = [epoch_seconds(step.last_start or "") for step, _ in drawn]
    first = min(starts)
    offsets = [0.0 if chosen else start - first for start in starts]
    seconds = max(
        offset + known.seconds[-1] for offset, (_, known) in zip(offsets, drawn, strict=True)
    )
    limits = [limit / _MEGA for limit in _limits(chosen)] if chosen else []
    memory = [[rss / _MEGA for rss in known.rss] for _, known in drawn]
    cores = [[*known.cpu] for _, known in drawn]
    return [
        _chart("Memory", "MB", drawn, offsets, memory, limits, seconds),
        _chart("CPU cores used", "", drawn, offsets, cores, [], seconds),
    ]


def _chart(
    title: str,
    unit: str,
    drawn: Sequence[_Sampled],
    offsets: Sequence[float],
    values: Sequence[Sequence[float]],
    limits: Sequence[float],
    seconds: float,
) -> Chart:
    seconds = max(seconds, 1e-6)
    top = _round_up(max([_LEAST_TOP, *limits, *(max(one) for one in values)]))

    def height(value: float) -> float:
        return round(100 * (1 - value / top), 2)

    lines = []
    for (step, known), offset, one in zip(drawn, offsets, values, strict=True):
        at = [round(WIDTH * (offset + moment) / seconds, 1) for moment in known.seconds]
        points = [
            f"{x},{HEIGHT * height(value) / 100:.1f}" for x, value in zip(at, one, strict=True)
        ]
        area = f"{at[0]},{HEIGHT} {' '.join(points)} {at[-1]},{HEIGHT}"
        text = f"peak {max(one):.3g} {unit}".rstrip() + f", last {one[-1]:.3g} {unit}".rstrip()
        name = cut(step.name, 200)
        lines.append(Line(step_key(step), name, step.word, " ".join(points), area, text))
    shown = [(height(limit), f"limit {limit:g} {unit}".rstrip()) for limit in limits]
    levels = [(height(part * top), f"{part * top:g}") for part in (1, 0.5, 0)]
    return Chart(title, unit, lines, shown, levels, seconds, ticks_of(seconds))


def _round_up(value: float) -> float:
    """Return a round number that is not below a value, for the upper edge of a chart."""
    size = 1e-3
    while size * _ROUND[-1] < value:
        size *= 10
    return next(size * factor for factor in _ROUND if size * factor >= min(value, size * 10))


_EVERY: Final = 2
"""Seconds after which a page shows new samples. A step of some seconds is sampled once a second."""
_MAX_POINTS: Final = 240
_MAX_KEPT: Final = 1_000


class Usage(NamedTuple):
    """Usage of a running step until its last sample.

    Attributes:
        cpu: CPU time in seconds.
        cores: Mean number of CPU cores used since the sample before the last one.
        memory: Resident memory at the last sample, in bytes.
        peak: Highest resident memory of a sample, in bytes.
    """

    cpu: float
    cores: float
    memory: int
    peak: int


def samples(view: RunView, step: StepRecord) -> Curves | None:
    """Return the curves of a step; None if it has fewer than two samples.

    Args:
        view: The run.
        step: A step of it.
    """
    if not step.started and not step.samples:
        return None
    key = (str(view.folder), step.recipe, step.name, step.attempt, step.finished)
    if step.finished and key in _ended:
        return _ended[key]
    path = samples_path(view, step)
    try:
        file = path.stat() if path else None
    except OSError:
        file = None
    known = _read(path, file.st_mtime_ns, file.st_size) if path and file else None
    if step.finished:
        if len(_ended) >= _MAX_KEPT:
            _ended.clear()
        _ended[key] = known
    return known


_ended: dict[tuple[object, ...], Curves | None] = {}
"""Curves of steps that have ended, whose files do not change."""


@lru_cache(maxsize=64)  # a page is shown by several browsers
def _read(path: Path, _time: int, _size: int) -> Curves | None:
    return curves(path, _MAX_POINTS)


def live_usage(view: RunView, step: StepRecord) -> Usage | None:
    """Return the usage of a running step; None if it does not run or has too few samples.

    Args:
        view: The run.
        step: A step of it.
    """
    if step.state not in ACTIVE or step.state == "locked":
        return None
    known = samples(view, step)
    if known is None:
        return None
    before, cpu = 0.0, 0.0
    for at, cores in zip(known.seconds, known.cpu, strict=True):
        cpu += cores * (at - before)
        before = at
    return Usage(round(cpu, 3), known.cpu[-1], known.rss[-1], max(known.rss))


def samples_version(view: RunView) -> str:
    """Return a text that changes every two seconds while a run goes on.

    Args:
        view: The run.
    """
    return str(int(time.time() // _EVERY)) if view.record.state == "running" else ""
