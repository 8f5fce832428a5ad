"""Evidence that criteria are checked against, and the verdict of one."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.result import Ended, Verdict
from pytest_orchestrator.execution.lanes.pattern_search import Searches
from pytest_orchestrator.recipe.expressions.expression import ExpressionError
from pytest_orchestrator.recipe.model.step import Criterion, Step


class Stamp(NamedTuple):
    """By what a file is known to be the one that was there before."""

    device: int
    inode: int
    size: int
    modified_ns: int


Before = Mapping[str, Mapping[str, Stamp]]
"""The files that each path or glob of a step led to before it began."""

Elsewhere = Callable[[Criterion, float], Iterable[Verdict]]
"""Checks a criterion on files on the machine that has them, given when the step began."""


class Evidence(NamedTuple):
    """A step whose body has ended.

    Attributes:
        step: The step.
        context: The Context as the step left it.
        ended: How the body ended.
        started: When it began, seconds since the epoch.
        root: The folder that paths start from.
        before: The files that were there then.
        names: What the names of expressions mean.
        errors: Why expressions in what a criterion asks for have no value.
        elsewhere: What checks criteria on files, where these are not on this machine.
        searches: Searches patterns within the time of the step.
    """

    step: Step
    context: Context
    ended: Ended
    started: float
    root: Path
    before: Before
    names: Mapping[str, Any] = {}
    errors: Mapping[tuple[str | int, ...], ExpressionError] = {}
    elsewhere: Elsewhere | None = None
    searches: Searches = Searches()


Check = Callable[[Criterion, Evidence], Iterable[Verdict]]
"""Checks one criterion; gives a verdict for each thing that it asks for."""


def verdict(criterion: Criterion, unmet: str | None = None, **found: Any) -> Verdict:
    """Return what became of a criterion.

    Args:
        criterion: The criterion.
        unmet: None where it held, else one line that says what is wrong.
        found: Further fields of the verdict.
    """
    return Verdict(
        **({"name": criterion.name, "wanted": criterion.wanted, "place": criterion.place} | found),
        unmet=unmet,
    )
