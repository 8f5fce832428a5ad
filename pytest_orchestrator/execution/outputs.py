"""What a step writes to the Context by its recipe: its ``outputs``."""

from typing import TYPE_CHECKING, Any

from pytest_orchestrator.core import patterns
from pytest_orchestrator.core.result import Ended, Failure, Stream
from pytest_orchestrator.execution import printed
from pytest_orchestrator.recipe.model import Step
from pytest_orchestrator.recipe.output import Output, Search

if TYPE_CHECKING:
    from pytest_orchestrator.core.values import Json


def found(step: Step, ended: Ended, limit: int) -> "dict[str, Json] | Failure":
    """Return the outputs of a step by their keys.

    Args:
        step: The step, with the values of the expressions in its outputs.
        ended: How its body ended; what it printed is searched.
        limit: The most bytes of that of which what is secret is known.

    Returns:
        All of them, or why one has no value.
    """
    values: dict[str, Json] = {}
    for one in step.outputs:
        value = one.value
        if isinstance(value, Search):
            value = _searched(one, value, ended, limit)
        if isinstance(value, Failure):
            return value
        values[one.key] = value
    return values


def _searched(one: Output, search: Search, ended: Ended, limit: int) -> Any:
    name = search.from_
    stream = getattr(ended.process, name, Stream())
    where = printed.unmasked(stream, name, limit)
    match = where.match(patterns.compiled(search.regex))
    if match is not None:
        hit = match[1] if match.re.groups else match[0]
        return hit and hit.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if "default" in search.at:
        return search.default
    lost = f"; {where.lost:,} bytes of it were not kept" if where.lost else ""
    return Failure(
        kind="criterion",
        reason=f"outputs.{one.key}: nothing in {name} matches {search.regex!r}{lost}",
        place=search.at["regex"],
    )
