"""Critical path of a run: the longest chain of dependent steps.

It is computed from the blocks of the JSON report, so that every view shows the same path.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.recipe.model.graph import dependencies, longest_chains

if TYPE_CHECKING:
    from pytest_orchestrator.runs.block import Block

_CLOCK_TOLERANCE = 0.005
"""Largest apparent overlap of two consecutive steps, in seconds, caused by the clocks of two
processes and by rounding."""


class CriticalPath(msgspec.Struct, frozen=True):
    """Chain of dependent steps with the longest total duration of step code.

    Attributes:
        names: The steps, in order.
        seconds: Total duration of their step code, including all attempts.
        whole: Seconds from the start of the first step of the run to the end of the last.
    """

    names: tuple[str, ...]
    seconds: float
    whole: float


class _Interval(msgspec.Struct, frozen=True):
    """Time in which the code of a step ran, in seconds since the epoch."""

    name: str
    start: float
    stop: float
    is_service: bool


def critical_path(blocks: "Sequence[Block]") -> CriticalPath | None:
    """Return the critical path of a recipe; None if no step ran.

    A step of ``finally`` follows all steps listed before it. A service counts until the start of
    the first step that needs it.

    Args:
        blocks: The blocks of all steps of one run of a recipe.
    """
    intervals = _intervals(blocks)
    if not intervals:
        return None
    needs = _needs(blocks)
    seconds = _seconds(blocks, intervals, needs)
    best = longest_chains(needs, seconds)
    last = max(best, key=lambda each: best[each][0])
    chain, name = [], last
    while name:
        if seconds.get(name) is not None:
            chain.append(name)
        name = best[name][1]
    whole = max(each.stop for each in intervals) - min(each.start for each in intervals)
    return CriticalPath(tuple(reversed(chain)), best[last][0], max(whole, best[last][0]))


def parallel(blocks: "Sequence[Block]") -> frozenset[str]:
    """Return the names of the steps that overlapped with another step; services do not count.

    Args:
        blocks: The blocks of all steps of one run of a recipe.
    """
    intervals = sorted(
        (each for each in _intervals(blocks) if not each.is_service), key=lambda each: each.start
    )
    overlapping: set[str] = set()
    latest = None
    for interval in intervals:
        if latest is not None and interval.start < latest.stop - _CLOCK_TOLERANCE:
            overlapping |= {interval.name, latest.name}
        if latest is None or interval.stop > latest.stop:
            latest = interval
    return frozenset(overlapping)


def _intervals(blocks: "Sequence[Block]") -> list[_Interval]:
    intervals = []
    for block in blocks:
        if block.time and not block.step.sampled:
            first = block.attempts[0] if block.attempts else block.time
            start = epoch_seconds(first.start)
            is_service = bool(block.step.background)
            stop = epoch_seconds(block.time.stop)
            intervals.append(_Interval(block.step.name, start, stop, is_service))
    return intervals


def _needs(blocks: "Sequence[Block]") -> dict[str, list[str]]:
    """Return, for each step, the names of the steps of the same recipe that must end before it."""
    steps = [block.step for block in blocks]
    listed = dependencies(
        [{"name": one.name, "needs": [*one.needs], "after": [*(one.after or ())]} for one in steps]
    )
    names = [*listed]
    return {
        name: names[:place] if blocks[place].step.final else [*listed[name]]
        for place, name in enumerate(names)
    }


def _seconds(
    blocks: "Sequence[Block]", intervals: Sequence[_Interval], needs: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Return the duration of each step; of a service, the time until the first user starts."""
    by_name = {interval.name: interval for interval in intervals}
    durations = {}
    for block in blocks:
        if not block.resources or block.step.sampled:
            continue
        name, attempts = block.step.name, block.attempts or ()
        durations[name] = block.resources.seconds + sum(each.seconds for each in attempts)
        if block.step.background and name in by_name:
            users = [
                interval.start
                for interval in intervals
                if name in needs[interval.name] and not interval.is_service
            ]
            ready = min(users, default=by_name[name].start) - by_name[name].start
            durations[name] = max(0.0, min(durations[name], ready))
    return durations
