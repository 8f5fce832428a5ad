"""What a step writes to the Context by its recipe: its ``outputs``."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_orchestrator.core.result import Failure
from pytest_orchestrator.recipe.model import Step
from pytest_orchestrator.recipe.output import Output, Search

if TYPE_CHECKING:
    from pytest_orchestrator.core.values import Json


def found(step: Step, names: Mapping[str, Any]) -> "dict[str, Json] | Failure":
    """Return the outputs of a step by their keys.

    Args:
        step: The step, with the values of the expressions in its outputs.
        names: What the names of expressions mean, for what was printed.

    Returns:
        All of them, or why one has no value.
    """
    values: dict[str, Json] = {}
    for one in step.outputs:
        value = _searched(one, one.value, names) if isinstance(one.value, Search) else one.value
        if isinstance(value, Failure):
            return value
        values[one.key] = value
    return values


def _searched(one: Output, search: Search, names: Mapping[str, Any]) -> Any:
    text = str(names[search.from_])
    found = re.search(search.regex, text, re.MULTILINE)
    if found is not None:
        return found[1] if found.re.groups else found[0]
    if "default" in search.at:
        return search.default
    return Failure(
        kind="criterion",
        reason=f"outputs.{one.key}: nothing in {search.from_} matches {search.regex!r}",
        place=search.at["regex"],
    )
