"""Values of the `outputs` of a step, which are searched in its output or come from expressions."""

from typing import Any

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.result import Ended, Failure, Stream
from pytest_orchestrator.core.text import quoted
from pytest_orchestrator.execution import captured_output
from pytest_orchestrator.execution.lanes.pattern_search import Searches
from pytest_orchestrator.execution.text_search import Searched
from pytest_orchestrator.recipe.expressions.expression import ExpressionError
from pytest_orchestrator.recipe.model.options import Output, Search
from pytest_orchestrator.recipe.model.step import Step


def outputs_of(
    step: Step, ended: Ended, limit: int, searches: Searches
) -> dict[str, Json] | Failure:
    """Return the values of a step's `outputs` by their Context keys, or a failure.

    Args:
        step: The step, with the values of the expressions in its outputs.
        ended: The end of its step code, with the streams to search.
        limit: The number of bytes of a stream up to which masked secrets are restored.
        searches: Runs the pattern searches.

    Returns:
        All outputs, or the failure of the first one that has no value, or one of the wrong type.

    Raises:
        ExpressionError: The value of an expression in a `default` has the wrong type.
    """
    values: dict[str, Json] = {}
    streams: dict[str, Searched] = {}
    for one in step.outputs:
        value = one.value
        if isinstance(value, Search):
            name = value.from_
            if name not in streams:
                stream = getattr(ended.process, name, Stream())
                streams[name] = captured_output.unmasked(stream, name, limit)
            value = _searched(one, value, streams[name], searches)
        if isinstance(value, Failure):
            return value
        values[one.key] = value
    return values


def _searched(one: Output, search: Search, where: Searched, searches: Searches) -> Any:
    match = searches.first(search.regex, where, f"outputs.{one.key}", search.at["regex"])
    is_text = search.type == "text"
    if match is not None and (match.value is not None or is_text):
        hit = match.value
        text = hit and hit.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return text if is_text else _typed(one, search, str(text))
    if "default" in search.at:
        return search.default if is_text else _typed_default(one, search)
    nothing = f"nothing in {search.from_} matches" if match is None else "no text in the group of"
    lost = f"; {where.lost:,} bytes of it were not kept" if where.lost else ""
    return Failure(
        kind="criterion",
        reason=f"outputs.{one.key}: {nothing} {search.regex!r}{lost}",
        place=search.at["regex"],
    )


def _typed(one: Output, search: Search, text: str) -> Json | Failure:
    """Return a text from the output of the step, converted to the type of the output."""
    from pytest_orchestrator.recipe.model.options import typed_output

    try:
        return typed_output(search.type, text)
    except ValueError as error:
        reason = f"outputs.{one.key}: {quoted(text)} in {search.from_} {error}"
        return Failure(kind="criterion", reason=reason, place=search.at["type"])


def _typed_default(one: Output, search: Search) -> Json:
    from pytest_orchestrator.recipe.model.options import checked_output

    try:
        return checked_output(search.type, search.default)
    except ValueError as error:
        raise ExpressionError(
            f"'outputs.{one.key}.default' {error}", search.at["default"]
        ) from None
