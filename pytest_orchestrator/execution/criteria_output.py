"""Criteria on what a step printed: all of it, wherever it is kept."""

from collections.abc import Iterator

from pytest_orchestrator.core.result import Stream, Verdict
from pytest_orchestrator.execution.evidence import Evidence, verdict
from pytest_orchestrator.execution.lanes.pattern_search import Query, Searches
from pytest_orchestrator.execution.printable import quoted
from pytest_orchestrator.execution.printed import searched
from pytest_orchestrator.execution.search import Searched
from pytest_orchestrator.recipe.step_keys import Criterion

STREAMS = ("stdout", "stderr")


def output(criterion: Criterion, evidence: Evidence) -> Iterator[Verdict]:
    """A text or a pattern is found on a stream, or is not; the criterion's name says which."""
    if evidence.ended.process is None:
        return
    name, _, rule = criterion.name.partition("_")
    stream: Stream = getattr(evidence.ended.process, name)
    wanted = str(criterion.wanted)
    yield found(criterion, rule, wanted, searched(stream, name), evidence.searches)


def queries(criterion: Criterion, evidence: Evidence) -> Iterator[Query]:
    """Return the pattern that a criterion searches, where it is one on the output."""
    name, _, rule = criterion.name.partition("_")
    if rule == "matches" and name in STREAMS and evidence.ended.process is not None:
        stream: Stream = getattr(evidence.ended.process, name)
        yield query_of(criterion, str(criterion.wanted), searched(stream, name))


def query_of(criterion: Criterion, pattern: str, where: Searched) -> Query:
    """Return the search of a pattern for a criterion."""
    rule = "files.matches" if criterion.name == "files" else criterion.name
    return Query(where, pattern, rule, criterion.place)


def found(
    criterion: Criterion, rule: str, wanted: str, where: Searched, searches: Searches
) -> Verdict:
    """Search and judge.

    Args:
        criterion: The criterion.
        rule: ``contains``, ``not_contains`` or ``matches``.
        wanted: The text or the pattern.
        where: What is searched.
        searches: Searches patterns.
    """
    if rule == "matches":
        match = searches.first(query_of(criterion, wanted, where))
        hit = match and match.hit
    else:
        hit = where.text(wanted)
    lost = f"; {where.lost:,} bytes of it were not kept" if where.lost else ""
    if rule == "not_contains":
        if hit is None:
            unmet = f"nobody knows whether {quoted(wanted)} is in {where.name}{lost}"
            return verdict(criterion, unmet if lost else None)
        line = f"line {hit.line:,}" if hit.line else "a line near the end"
        told = "" if hit.text.strip() == wanted.strip() else f": {quoted(hit.text)}"
        unmet = f"{quoted(wanted)} is in {line} of {where.name}{told}"
        return verdict(criterion, unmet, measured=hit.text)
    if hit is not None:
        return verdict(criterion)
    end = where.end()
    tail = f"which ends with {quoted(end)}" if end else "which says nothing"
    what = "no match of " if rule == "matches" else "no "
    return verdict(criterion, f"{what}{quoted(wanted)} in {where.name}, {tail}{lost}")
