"""Critical path of a run: the longest chain of dependent steps.

Worked out of the blocks of the JSON report, so that every view says the same.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.recipe.model.graph import ordered

_CLOCKS = 0.005
"""Seconds by which the clocks of two processes, and rounding, may let two steps overlap."""


class CriticalPath(NamedTuple):
    """The chain of steps, each needed by the next, whose bodies took longest together.

    Attributes:
        names: The steps, in order.
        seconds: What their bodies took, all tries included.
        whole: Seconds from the start of the first step of the run to the end of the last.
    """

    names: tuple[str, ...]
    seconds: float
    whole: float


class _Ran(NamedTuple):
    """A step whose body ran: its name and times, in seconds since the epoch."""

    name: str
    start: float
    stop: float
    is_service: bool


def critical_path(blocks: Sequence[Mapping[str, Json]]) -> CriticalPath | None:
    """Return the critical path of a recipe; None where no step ran.

    A step of ``finally`` comes after all that stand before it; a service counts until the
    first step that needs it could begin.

    Args:
        blocks: The blocks of all steps of one run of a recipe.
    """
    ran = _ran(blocks)
    if not ran:
        return None
    waits = _waits(blocks)
    seconds = _seconds(blocks, ran, waits)
    best: dict[str, tuple[float, str]] = {}
    for name in ordered(waits):
        before = max(waits[name], key=lambda one: best[one][0], default="")
        total = best[before][0] if before else 0.0
        best[name] = (total + seconds.get(name, 0.0), before)
    last = max(best, key=lambda one: best[one][0])
    chain, name = [], last
    while name:
        if seconds.get(name) is not None:
            chain.append(name)
        name = best[name][1]
    whole = max(one.stop for one in ran) - min(one.start for one in ran)
    return CriticalPath(tuple(reversed(chain)), best[last][0], max(whole, best[last][0]))


def parallel(blocks: Sequence[Mapping[str, Json]]) -> frozenset[str]:
    """Return the names of the steps that ran while another one did; services do not count.

    Args:
        blocks: The blocks of all steps of one run of a recipe.
    """
    ran = sorted((one for one in _ran(blocks) if not one.is_service), key=lambda one: one.start)
    found: set[str] = set()
    longest = None
    for one in ran:
        if longest is not None and one.start < longest.stop - _CLOCKS:
            found |= {one.name, longest.name}
        if longest is None or one.stop > longest.stop:
            longest = one
    return frozenset(found)


def moment(text: Json) -> float:
    """Return the seconds since the epoch of a time of the JSON report."""
    return datetime.fromisoformat(str(text)).timestamp()


def _ran(blocks: Sequence[Mapping[str, Json]]) -> list[_Ran]:
    found = []
    for block in blocks:
        step, time = block["step"], block.get("time")
        if isinstance(step, dict) and isinstance(time, dict):
            attempts = block.get("attempts")
            first = attempts[0] if isinstance(attempts, list) and attempts else time
            start = moment(first["start"] if isinstance(first, dict) else time["start"])
            service = bool(step.get("background"))
            found.append(_Ran(str(step["name"]), start, moment(time["stop"]), service))
    return found


def _waits(blocks: Sequence[Mapping[str, Json]]) -> dict[str, list[str]]:
    """Return what each step waits for, of the steps that there are."""
    steps = [step for block in blocks if isinstance(step := block["step"], dict)]
    names = [str(step["name"]) for step in steps]
    known = set(names)
    found: dict[str, list[str]] = {}
    for place, step in enumerate(steps):
        asked: list[Json] = []
        for key in ("needs", "after"):
            told = step.get(key)
            asked += told if isinstance(told, list) else []
        waits = [*dict.fromkeys(one for one in map(str, asked) if one in known)]
        found[names[place]] = names[:place] if step.get("final") else waits
    return found


def _seconds(
    blocks: Sequence[Mapping[str, Json]], ran: Sequence[_Ran], waits: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Return what each body took; of a service, what it took to be ready for others."""
    by_name = {one.name: one for one in ran}
    found = {}
    for block in blocks:
        step, resources = block["step"], block.get("resources")
        if not isinstance(step, dict) or not isinstance(resources, dict):
            continue
        name, seconds = str(step["name"]), resources.get("seconds")
        attempts = block.get("attempts")
        each = [seconds, *(one.get("seconds") for one in _dicts(attempts))]
        found[name] = sum(one for one in each if isinstance(one, (int, float)))
        if step.get("background") and name in by_name:
            users = [one.start for one in ran if name in waits[one.name] and not one.is_service]
            ready = min(users, default=by_name[name].start) - by_name[name].start
            found[name] = max(0.0, min(found[name], ready))
    return found


def _dicts(told: Json) -> list[dict[str, Json]]:
    return [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []
