"""What a step writes to the Context by its recipe: its ``outputs``."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pytest_orchestrator.core.result import Ended, Failure, Stream
from pytest_orchestrator.execution import printed
from pytest_orchestrator.execution.lanes.pattern_search import Query, Searches
from pytest_orchestrator.recipe.output import Output, Search
from pytest_orchestrator.recipe.step_keys import Step

if TYPE_CHECKING:
    from pytest_orchestrator.core.values import Json
    from pytest_orchestrator.execution.search import Searched


def queries(step: Step, ended: Ended, limit: int) -> Iterator[Query]:
    """Return the patterns that the outputs of a step search.

    Args:
        step: The step, with the values of the expressions in its outputs.
        ended: How its body ended; what it printed is searched.
        limit: The most bytes of that of which what is secret is known.
    """
    streams: dict[str, Searched] = {}
    for one in step.outputs:
        if isinstance(one.value, Search):
            name = one.value.from_
            if name not in streams:
                stream = getattr(ended.process, name, Stream())
                streams[name] = printed.unmasked(stream, name, limit)
            yield Query(streams[name], one.value.regex, f"outputs.{one.key}", one.value.at["regex"])


def found(step: Step, asked: Iterable[Query], searches: Searches) -> "dict[str, Json] | Failure":
    """Return the outputs of a step by their keys.

    Args:
        step: The step, with the values of the expressions in its outputs.
        asked: The searches that its outputs ask for; see `queries`.
        searches: Searches patterns.

    Returns:
        All of them, or why one has no value.
    """
    values: dict[str, Json] = {}
    queue = iter(asked)
    for one in step.outputs:
        value = one.value
        if isinstance(value, Search):
            value = _searched(one, value, next(queue), searches)
        if isinstance(value, Failure):
            return value
        values[one.key] = value
    return values


def _searched(one: Output, search: Search, query: Query, searches: Searches) -> Any:
    match, name, where = searches.first(query), search.from_, query.where
    if match is not None:
        hit = match.value
        return hit and hit.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if "default" in search.at:
        return search.default
    lost = f"; {where.lost:,} bytes of it were not kept" if where.lost else ""
    return Failure(
        kind="criterion",
        reason=f"outputs.{one.key}: nothing in {name} matches {search.regex!r}{lost}",
        place=search.at["regex"],
    )
