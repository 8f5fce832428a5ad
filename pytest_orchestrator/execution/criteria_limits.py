"""Criteria that limit what a step takes: time, memory, processes that it leaves."""

from collections.abc import Iterator

from pytest_orchestrator.core.result import Verdict
from pytest_orchestrator.execution import distance
from pytest_orchestrator.execution.evidence import Evidence, verdict
from pytest_orchestrator.recipe.step_keys import Criterion

_MEGA = 1_000_000


def max_seconds(criterion: Criterion, evidence: Evidence) -> Iterator[Verdict]:
    """The body of the try took no longer, the start of its process included."""
    yield _at_most(criterion, evidence.ended.usage.seconds, "s", "took {}")


def max_cpu_seconds(criterion: Criterion, evidence: Evidence) -> Iterator[Verdict]:
    """All processes of the step together used no more CPU time."""
    if evidence.ended.process is None:
        return
    usage = evidence.ended.usage
    if usage.cpu_user_seconds is None or usage.cpu_system_seconds is None:
        yield verdict(criterion, "no CPU time was measured")
        return
    used = usage.cpu_user_seconds + usage.cpu_system_seconds
    yield _at_most(criterion, used, "s", "used {} of CPU")


def max_rss_mb(criterion: Criterion, evidence: Evidence) -> Iterator[Verdict]:
    """All processes of the step together never had more memory."""
    if evidence.ended.process is None:
        return
    peak = evidence.ended.usage.max_rss
    if peak is None:
        yield verdict(criterion, "no memory was measured")
        return
    yield _at_most(criterion, peak / _MEGA, "MB", "had {} at its peak", digits=1)


def leftover_processes(criterion: Criterion, evidence: Evidence) -> Iterator[Verdict]:
    """No more processes were left running."""
    process = evidence.ended.process
    if process is None:
        return
    found = _at_most(criterion, len(process.leftovers), "", "left {} running")
    if found.unmet is None:
        yield found
        return
    names = ", ".join(process.leftovers[:5])
    more = f" and {len(process.leftovers) - 5} more" if len(process.leftovers) > 5 else ""
    yield verdict(
        criterion,
        f"{found.unmet}: {names}{more}",
        measured=found.measured,
        distance=found.distance,
    )


def _at_most(
    criterion: Criterion, value: float, unit: str, said: str, *, digits: int = 2
) -> Verdict:
    limit = criterion.wanted
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        return verdict(criterion, "the limit is no number", measured=value, unit=unit)
    if value <= limit:
        return verdict(criterion, measured=value, unit=unit)
    figure, rest = distance.measured(value, limit, unit, digits=digits)
    return verdict(
        criterion,
        f"{said.format(figure)}, {rest}",
        measured=value,
        unit=unit,
        distance=value - limit,
    )
