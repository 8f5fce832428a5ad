"""Timeline of a recipe: spans of waiting and running steps, in lanes."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

import msgspec

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.runs.block import Attempt
from pytest_orchestrator.runs.record import StepRecord

Kind = Literal["locked", "running", "failed", "retrying"]

_TICK_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200)
_MAX_TICKS: Final = 6
_MAX_STEP_ROWS: Final = 60
_ROUNDING: Final = 0.0015
"""Seconds, above the overlap of two steps that follow each other. A block has times in whole
milliseconds, the start rounded down and the end rounded up, so that they may overlap by one."""


class Span(msgspec.Struct, frozen=True):
    """A part of the bar of a step.

    Attributes:
        kind: locked: waiting for locks. running: the last attempt. failed: a failed attempt.
            retrying: the delay before the next attempt.
        start: Start, in seconds since the start of the timeline.
        stop: End, in the same unit.
    """

    kind: Kind
    start: float
    stop: float


class Mark(msgspec.Struct, frozen=True):
    """A change of the Context.

    Attributes:
        at: Time in seconds since the start of the timeline.
        key: The key.
        op: The operation.
    """

    at: float
    key: str
    op: str


class Bar(msgspec.Struct, frozen=True):
    """The bar of a step.

    Attributes:
        step: The step.
        lane: Number of its lane, from 0; bars of the same lane do not overlap. A sampled value
            takes no worker slot, so it has none of the lanes.
        spans: Parts of the bar, in order.
        marks: Changes of the Context by the step.
    """

    step: StepRecord
    lane: int
    spans: tuple[Span, ...]
    marks: tuple[Mark, ...]

    @property
    def start(self) -> float:
        """Start of the first span."""
        return self.spans[0].start

    @property
    def stop(self) -> float:
        """End of the last span."""
        return self.spans[-1].stop


class Timeline(msgspec.Struct, frozen=True):
    """The steps of a recipe over time.

    Attributes:
        began: Start, in seconds since the epoch.
        seconds: Duration.
        bars: Bars of the steps that ran, in the order of the recipe.
        lanes: Number of lanes.
        ticks: Round times for the axis, in seconds since the start.
    """

    began: float
    seconds: float
    bars: tuple[Bar, ...]
    lanes: int
    ticks: tuple[float, ...]


def timeline_of(steps: Iterable[StepRecord], last: str) -> Timeline | None:
    """Return the timeline of some steps of a recipe; None if none of them ran.

    Args:
        steps: The steps.
        last: The time at which bars of unfinished steps end, in ISO 8601.
    """
    ran = [(step, spans, _marks(step)) for step in steps if (spans := _spans(step, last))]
    if not ran:
        return None
    times = [(spans[0].start, spans[-1].stop) for _, spans, _ in ran]
    began = min(start for start, _ in times)
    # Outputs are written to the Context after the step code has ended.
    ends = [mark.at for _, _, marks in ran for mark in marks]
    ended = max(*ends, *(stop for _, stop in times), began)
    busy = lanes_of(
        [each for (step, _, _), each in zip(ran, times, strict=True) if not step.sampled]
    )
    number, free = max(busy, default=-1) + 1, iter(busy)
    lanes = [number if step.sampled else next(free) for step, _, _ in ran]
    bars = tuple(
        Bar(
            step,
            lane,
            tuple([Span(one.kind, one.start - began, one.stop - began) for one in spans]),
            tuple([Mark(max(0.0, one.at - began), one.key, one.op) for one in marks]),
        )
        for (step, spans, marks), lane in zip(ran, lanes, strict=True)
    )
    seconds = max(ended - began, 1e-6)
    return Timeline(began, seconds, bars, number, ticks_of(seconds))


class Row(msgspec.Struct, frozen=True):
    """Row of a timeline: the bar of one step with its name, or all bars of a lane without one."""

    name: str
    bars: tuple[Bar, ...]


def rows(line: Timeline) -> list[Row]:
    """Return a row for each step, or one for each lane if there are too many; then samples."""
    steps = [bar for bar in line.bars if not bar.step.sampled]
    found = [Row(bar.step.name, (bar,)) for bar in steps]
    if len(steps) > _MAX_STEP_ROWS:
        lanes: list[list[Bar]] = [[] for _ in range(line.lanes)]
        for bar in steps:
            lanes[bar.lane].append(bar)
        found = [Row("", tuple(lane)) for lane in lanes]
    return found + [Row(bar.step.name, (bar,)) for bar in line.bars if bar.step.sampled]


def _spans(step: StepRecord, last: str) -> list[Span]:
    block = step.block
    time = (block and block.time) or None
    if step.state == "restored":
        return []
    if time is None:
        return [*_unfinished(step, epoch_seconds(last))] if step.started or step.locked else []
    attempts = [
        (start := epoch_seconds(attempt.start), _stop(attempt, start))
        for attempt in (block and block.attempts) or ()
    ]
    attempts.append((epoch_seconds(time.last_start or time.start), epoch_seconds(time.stop)))
    spans = []
    before = attempts[0][0]
    if time.waited_seconds:
        spans.append(Span("locked", before - time.waited_seconds, before))
    for number, (start, stop) in enumerate(attempts, 1):
        if number > 1:
            spans.append(Span("retrying", before, max(before, start)))
        before = max(start, stop)
        spans.append(Span("running" if number == len(attempts) else "failed", start, before))
    return spans


def _unfinished(step: StepRecord, now: float) -> Iterator[Span]:
    """Yield the spans of a step that has no report yet, from the events of its attempts."""
    parts: list[tuple[Kind, float, float]] = [
        (kind, epoch_seconds(start), epoch_seconds(stop)) for kind, start, stop in step.phases
    ]
    if step.locked is not None:
        parts.append(("locked", epoch_seconds(step.locked[1]), now))
    elif step.started and ("failed", step.started) not in [one[:2] for one in step.phases]:
        parts.append(("running", epoch_seconds(step.started), now))
    failed_at = None
    for kind, start, stop in parts:
        if failed_at is not None:
            yield Span("retrying", failed_at, max(failed_at, start))
        failed_at = max(start, stop) if kind == "failed" else None
        yield Span(kind, start, max(start, stop))
    if failed_at is not None:
        yield Span("retrying", failed_at, max(failed_at, now))


def _stop(attempt: Attempt, start: float) -> float:
    """Return the end of an attempt; if the journal lacks it, the start plus the duration."""
    return epoch_seconds(attempt.stop) if attempt.stop else start + attempt.seconds


def _marks(step: StepRecord) -> list[Mark]:
    """Return the changes that a step made in the Context, at times in seconds since the epoch."""
    block = step.block
    writes = block.context.writes if block else ()
    return [Mark(epoch_seconds(write.ts), write.key, write.op) for write in writes]


def lanes_of(times: Sequence[tuple[float, float]]) -> list[int]:
    """Return the lane of each interval: the first free one, assigned in the order of starts."""
    free: list[float] = []
    lanes = [0] * len(times)
    for index in sorted(range(len(times)), key=lambda each: times[each]):
        start, stop = times[index]
        fits = (number for number, until in enumerate(free) if until <= start + _ROUNDING)
        lane = next(fits, len(free))
        if lane == len(free):
            free.append(stop)
        free[lane] = max(free[lane], stop)
        lanes[index] = lane
    return lanes


def ticks_of(seconds: float) -> tuple[float, ...]:
    """Return a few round times within a duration."""
    fine = (part * 10.0**power for power in range(-6, 0) for part in (1, 2, 5))
    days = (86_400.0 * 2**power for power in range(64))
    step = next(each for each in (*fine, *_TICK_STEPS, *days) if seconds / each <= _MAX_TICKS)
    return tuple(round(number * step, 6) for number in range(1, int(seconds / step) + 1))


def tick_text(seconds: float) -> str:
    """Return the label of a time on the axis of a timeline."""
    if seconds < 1:
        return f"{seconds * 1e3:g} ms"
    if seconds < 120:
        return f"{seconds:g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min" + (f" {rest} s" if rest else "")
    return f"{minutes / 60:g} h"
