"""Timeline of a recipe: spans of waiting and running, in lanes."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from pytest_orchestrator.runs.record import RecipeRecord, StepRecord

Kind = Literal["locked", "running", "failed", "retrying"]

_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200)
_TICKS: Final = 6


class Span(NamedTuple):
    """A time in which a step did one thing.

    Attributes:
        kind: locked: it waited for a lock. running: its last try. failed: a try that failed.
            retrying: it waited to be tried again.
        start: Seconds since the beginning of the timeline.
        stop: The same.
    """

    kind: Kind
    start: float
    stop: float


class Mark(NamedTuple):
    """A change of the Context.

    Attributes:
        at: Seconds since the beginning of the timeline.
        key: The key.
        op: The operation.
    """

    at: float
    key: str
    op: str


class Bar(NamedTuple):
    """What a timeline shows of a step.

    Attributes:
        step: The step.
        lane: Number of its lane, from 0; no two bars of a lane overlap.
        spans: What it did, in order.
        marks: Its changes of the Context.
    """

    step: StepRecord
    lane: int
    spans: tuple[Span, ...]
    marks: tuple[Mark, ...]

    @property
    def start(self) -> float:
        """When it begins."""
        return self.spans[0].start

    @property
    def stop(self) -> float:
        """When it ends."""
        return self.spans[-1].stop


class Timeline(NamedTuple):
    """The steps of a recipe over time.

    Attributes:
        began: When it begins, in seconds since the epoch.
        seconds: How long it is.
        bars: Those of the steps that ran, in the order of the recipe.
        lanes: Number of lanes.
        ticks: Round times to write below it, in seconds since it begins.
    """

    began: float
    seconds: float
    bars: tuple[Bar, ...]
    lanes: int
    ticks: tuple[float, ...]


def timeline(recipe: RecipeRecord, last: str) -> Timeline | None:
    """Return the timeline of a recipe; None where no step of it ran.

    Args:
        recipe: The recipe.
        last: When the last line of the journal was written, which is as far as a step that
            has not ended is shown; in ISO 8601.
    """
    ran = [
        (step, found, list(_marks(step)))
        for step in recipe.steps.values()
        if (found := list(_spans(step, last)))
    ]
    if not ran:
        return None
    began = min(spans[0].start for _, spans, _ in ran)
    # What a step returned is written once its body is over.
    ended = max(at for _, spans, marks in ran for at in (spans[-1].stop, *(m.at for m in marks)))
    lanes = _lanes([(spans[0].start, spans[-1].stop) for _, spans, _ in ran])
    bars = tuple(
        Bar(
            step,
            lane,
            tuple(Span(each.kind, each.start - began, each.stop - began) for each in spans),
            tuple(mark._replace(at=max(0.0, mark.at - began)) for mark in marks),
        )
        for (step, spans, marks), lane in zip(ran, lanes, strict=True)
    )
    seconds = max(ended - began, 1e-6)
    return Timeline(began, seconds, bars, max(lanes) + 1, _ticks(seconds))


def moment(told: str) -> float:
    """Return seconds since the epoch of a time in ISO 8601."""
    return datetime.fromisoformat(told).timestamp()


def _spans(step: StepRecord, last: str) -> Iterator[Span]:
    block = step.block or {}
    time: Mapping[str, Any] | None = block.get("time")
    if step.state == "restored" or (time is None and step.started is None):
        return
    tries = [
        (start := moment(one["start"]), _stop(one, start))
        for one in block.get("attempts", ())
        if "start" in one
    ]
    if time is not None:
        tries.append((moment(time.get("last_start", time["start"])), moment(time["stop"])))
    elif step.started is not None:
        tries.append((moment(step.started), moment(last)))
    waited = time.get("waited_seconds", 0.0) if time else 0.0
    before = tries[0][0] - waited
    if waited:
        yield Span("locked", before, tries[0][0])
        before = tries[0][0]
    for number, (start, stop) in enumerate(tries, 1):
        if number > 1:
            yield Span("retrying", before, max(before, start))
        last_one = number == len(tries)
        yield Span("running" if last_one else "failed", start, max(start, stop))
        before = max(start, stop)


def _stop(attempt: Mapping[str, Any], start: float) -> float:
    """Return the end of an attempt; the blocks of older versions have only its seconds."""
    return moment(attempt["stop"]) if "stop" in attempt else start + float(attempt["seconds"])


def _marks(step: StepRecord) -> Iterator[Mark]:
    """Return the changes that a step made, in seconds since the epoch."""
    for write in (step.block or {}).get("context", {}).get("writes", ()):
        yield Mark(moment(write["ts"]), write["key"], write["op"])


def _lanes(times: Sequence[tuple[float, float]]) -> list[int]:
    """Return the first lane that is free for each, in the order they begin."""
    free: list[float] = []
    found = [0] * len(times)
    for place in sorted(range(len(times)), key=lambda one: times[one]):
        start, stop = times[place]
        lane = next((one for one, until in enumerate(free) if until <= start), len(free))
        if lane == len(free):
            free.append(stop)
        free[lane] = stop
        found[place] = lane
    return found


def _ticks(seconds: float) -> tuple[float, ...]:
    """Return some round times within a time."""
    fine = (part * 10.0**power for power in range(-6, 0) for part in (1, 2, 5))
    days = (86_400.0 * 2**power for power in range(64))
    step = next(one for one in (*fine, *_STEPS, *days) if seconds / one <= _TICKS)
    return tuple(round(number * step, 6) for number in range(1, int(seconds / step) + 1))
