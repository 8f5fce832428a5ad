"""Critical path of a run: the longest chain of dependent steps.

It is computed from the blocks of the JSON report, so that every view shows the same path.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.recipe.model.graph import dependencies, longest_chains

_CLOCK_TOLERANCE = 0.005
"""Largest apparent overlap of two consecutive steps, in seconds, caused by the clocks of two
processes and by rounding."""


class CriticalPath(NamedTuple):
    """Chain of dependent steps with the longest total duration of step code.

    Attributes:
        names: The steps, in order.
        seconds: Total duration of their step code, including all attempts.
        whole: Seconds from the start of the first step of the run to the end of the last.
    """

    names: tuple[str, ...]
    seconds: float
    whole: float


class _Interval(NamedTuple):
    """Time in which the code of a step ran, in seconds since the epoch."""

    name: str
    start: float
    stop: float
    is_service: bool


def critical_path(blocks: Sequence[Mapping[str, Json]]) -> CriticalPath | None:
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


def parallel(blocks: Sequence[Mapping[str, Json]]) -> frozenset[str]:
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


def _intervals(blocks: Sequence[Mapping[str, Json]]) -> list[_Interval]:
    intervals = []
    for block in blocks:
        step, time = block["step"], block.get("time")
        if isinstance(step, dict) and isinstance(time, dict):
            attempts = block.get("attempts")
            first = attempts[0] if isinstance(attempts, list) and attempts else time
            start = epoch_seconds(str((first if isinstance(first, dict) else time)["start"]))
            service = bool(step.get("background"))
            stop = epoch_seconds(str(time["stop"]))
            intervals.append(_Interval(str(step["name"]), start, stop, service))
    return intervals


def _needs(blocks: Sequence[Mapping[str, Json]]) -> dict[str, list[str]]:
    """Return, for each step, the names of the steps of the same recipe that must end before it."""
    steps = [step for block in blocks if isinstance(step := block["step"], dict)]
    listed = dependencies(steps)
    names = [*listed]
    return {
        name: names[:place] if steps[place].get("final") else [*listed[name]]
        for place, name in enumerate(names)
    }


def _seconds(
    blocks: Sequence[Mapping[str, Json]],
    intervals: Sequence[_Interval],
    needs: Mapping[str, Sequence[str]],
) -> dict[str, float]:
    """Return the duration of each step; of a service, the time until the first user starts."""
    by_name = {interval.name: interval for interval in intervals}
    durations = {}
    for block in blocks:
        step, resources = block["step"], block.get("resources")
        if not isinstance(step, dict) or not isinstance(resources, dict):
            continue
        name, seconds = str(step["name"]), resources.get("seconds")
        attempts = block.get("attempts")
        each = [seconds, *(attempt.get("seconds") for attempt in _dicts(attempts))]
        durations[name] = sum(value for value in each if isinstance(value, (int, float)))
        if step.get("background") and name in by_name:
            users = [
                interval.start
                for interval in intervals
                if name in needs[interval.name] and not interval.is_service
            ]
            ready = min(users, default=by_name[name].start) - by_name[name].start
            durations[name] = max(0.0, min(durations[name], ready))
    return durations


def _dicts(value: Json) -> list[dict[str, Json]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
