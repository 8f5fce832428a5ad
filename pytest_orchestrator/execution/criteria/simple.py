"""Criteria on Context keys, resource limits and printed output."""

from collections.abc import Iterator
from typing import Any

from msgspec import UNSET

from pytest_orchestrator.core.figures.exact import exact, rounded, violated
from pytest_orchestrator.core.figures.notation import figure, notation
from pytest_orchestrator.core.result import Stream, Verdict, is_memory_bound
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.core.text import quoted, some_of
from pytest_orchestrator.execution.captured_output import searched
from pytest_orchestrator.execution.criteria.inputs import CheckInputs, verdict
from pytest_orchestrator.execution.lanes.pattern_search import Searches
from pytest_orchestrator.execution.text_search import Searched
from pytest_orchestrator.recipe.model.step import Criterion

STREAMS = ("stdout", "stderr")


def output(criterion: Criterion, inputs: CheckInputs) -> Iterator[Verdict]:
    """Yield the verdict on a criterion such as `stdout_contains`; none if no process has run."""
    if inputs.ended.process is None:
        return
    name, _, rule = criterion.name.partition("_")
    stream: Stream = getattr(inputs.ended.process, name)
    wanted = str(criterion.expected)
    yield search_verdict(criterion, rule, wanted, searched(stream, name), inputs.searches)


def search_verdict(
    criterion: Criterion, rule: str, wanted: str, source: Searched, searches: Searches
) -> Verdict:
    """Search a text or pattern in a source; return the verdict on the criterion.

    Args:
        criterion: The criterion.
        rule: ``contains``, ``not_contains`` or ``matches``.
        wanted: The text or the pattern.
        source: The file or output that is searched.
        searches: Runs pattern searches within the timeout of the step.
    """
    if rule == "matches":
        name = "files.matches" if criterion.name == "files" else criterion.name
        match = searches.first(wanted, source, name, criterion.place)
        hit = match and match.hit
    else:
        hit = source.text(wanted)
    lost = f"; {source.lost:,} bytes of it were not kept" if source.lost else ""
    if rule == "not_contains":
        if hit is None:
            unmet = f"it is not known whether {quoted(wanted)} is in {source.name}{lost}"
            return verdict(criterion, unmet if lost else None)
        line = f"line {hit.line:,}" if hit.line else "a line near the end"
        shown = "" if hit.text.strip() == wanted.strip() else f": {quoted(hit.text)}"
        unmet = f"{quoted(wanted)} is in {line} of {source.name}{shown}"
        return verdict(criterion, unmet, measured=hit.text)
    if hit is not None:
        return verdict(criterion)
    end = source.end()
    tail = f"which ends with {quoted(end)}" if end else "which says nothing"
    what = "no match of " if rule == "matches" else "no "
    return verdict(criterion, f"{what}{quoted(wanted)} in {source.name}, {tail}{lost}")


def has_key(criterion: Criterion, inputs: CheckInputs) -> Iterator[Verdict]:
    """Yield a verdict that holds if the Context has the wanted key."""
    key, context = str(criterion.expected), inputs.context
    if key in context:
        yield verdict(criterion)
        return
    keys = context.keys()
    near = nearest(key, keys)
    existing = "" if near else f"; it has {some_of(keys) or 'none at all'}"
    yield verdict(criterion, f"the context has no key '{key}'{near}{existing}")


def lacks_key(criterion: Criterion, inputs: CheckInputs) -> Iterator[Verdict]:
    """Yield a verdict that holds if the Context lacks the unwanted key."""
    key, context = str(criterion.expected), inputs.context
    if key not in context:
        yield verdict(criterion)
        return
    history = context.get_history(key)
    by = f", written by {history[-1]['who']}" if history else ""
    yield verdict(criterion, f"the context has the key '{key}'{by}")


_MEGA = 1_000_000


def max_seconds(criterion: Criterion, inputs: CheckInputs) -> Iterator[Verdict]:
    """Yield the verdict on the duration of the attempt, including the start of its process.

    The time in which a person was asked does not count.
    """
    ended = inputs.ended
    yield _at_most(criterion, max(0.0, ended.usage.seconds - ended.asked), "s", "took")


def max_cpu_seconds(criterion: Criterion, inputs: CheckInputs) -> Iterator[Verdict]:
    """Yield the verdict on the CPU time of the step's process tree."""
    if inputs.ended.process is None:
        return
    usage = inputs.ended.usage
    if usage.cpu_user_seconds is UNSET or usage.cpu_system_seconds is UNSET:
        yield verdict(criterion, "no CPU time was measured")
        return
    used = exact(usage.cpu_user_seconds) + exact(usage.cpu_system_seconds)
    yield _at_most(criterion, rounded(used), "s", "used", "of CPU")


def max_rss_mb(criterion: Criterion, inputs: CheckInputs) -> Iterator[Verdict]:
    """Yield the verdict on the peak memory of the step's process tree.

    If only an upper bound of the peak is known, the bound must meet the limit. Samples cannot show
    that a limit held, and whether there is one depends on the speed of the machine.
    """
    process, usage = inputs.ended.process, inputs.ended.usage
    if process is None:
        return
    peak = usage.max_rss
    if peak is UNSET:
        yield verdict(criterion, "no memory was measured")
        return
    bound = process.rss_bound or (peak if is_memory_bound(usage.source) else 0)
    known = 0.0 if bound == peak else peak / _MEGA
    checked = _at_most(criterion, known, "MB", "had", "at its peak")
    if bound and checked.unmet is None:
        limit: Any = criterion.expected
        most, unmet = f"{bound / _MEGA:.1f}", None
        if violated(bound / _MEGA, None, limit):
            unmet = f"at most {most} MB: cannot show that {figure(limit)} MB held"
        checked = verdict(criterion, unmet, measured=f"≤ {most}", unit="MB")
    yield checked


def leftover_processes(criterion: Criterion, inputs: CheckInputs) -> Iterator[Verdict]:
    """Yield the verdict on the number of processes that the step left running."""
    process = inputs.ended.process
    if process is None:
        return
    checked = _at_most(criterion, len(process.leftovers), "", "left", "running")
    if checked.unmet is None:
        yield checked
        return
    yield verdict(
        criterion,
        f"{checked.unmet}: {some_of(process.leftovers)}",
        measured=checked.measured,
        distance=checked.distance,
    )


def _at_most(
    criterion: Criterion, value: float, unit: str, before: str, after: str = ""
) -> Verdict:
    limit = criterion.expected
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        return verdict(criterion, "the limit is no number", measured=value, unit=unit)
    return compared(criterion, value, (None, limit), unit, before, after)


def compared(
    criterion: Criterion,
    value: float,
    limits: tuple[float | None, float | None],
    unit: str,
    before: str,
    after: str = "",
) -> Verdict:
    """Return the verdict on a figure with one limit.

    Args:
        criterion: The criterion.
        value: The figure.
        limits: Its lower and its upper limit, one of them None.
        unit: The unit of all; ``bytes`` are shown as ``B``.
        before: The words before the figure if it violates its limit.
        after: The words after it.
    """
    low, high = limits
    limit = high if low is None else low
    if limit is None or not violated(value, low, high):
        return verdict(criterion, measured=value, unit=unit)
    made = notation([value], low=low, high=high, unit="B" if unit == "bytes" else unit)
    words = filter(None, (before, made.with_unit(value), after))
    return verdict(
        criterion,
        f"{' '.join(words)}, limit {made.beyond(value, limit)}",
        measured=value,
        unit=unit,
        distance=rounded(abs(exact(value) - exact(limit))),
    )
