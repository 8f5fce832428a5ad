"""Data against which success criteria are checked, and the verdict on a criterion."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.result import Ended, Verdict
from pytest_orchestrator.execution.lanes.pattern_search import Searches
from pytest_orchestrator.recipe.expressions.expression import ExpressionError
from pytest_orchestrator.recipe.model.step import Criterion, Step


class Stamp(msgspec.Struct, frozen=True):
    """Identity, size and modification time of a file, compared to detect writes to the file."""

    device: int
    inode: int
    size: int
    modified_ns: int


Before = Mapping[str, Mapping[str, Stamp]]
"""The files that each path or glob of a step matched before the step started."""

Elsewhere = Callable[[Criterion, float], Iterable[Verdict]]
"""Function that checks a criterion on the worker that has the files.

Its second argument is the start of the step code, in seconds since the epoch.
"""


class CheckInputs(msgspec.Struct, frozen=True):
    """Data against which the success criteria of a step are checked after its step code has ended.

    Attributes:
        step: The step.
        context: The Context as the step left it.
        ended: The end of the step code.
        started: The start of the step code, in seconds since the epoch.
        root: The folder to which paths are relative.
        before: The stamps of files before the step started, for criteria with `fresh`.
        names: The variables of expressions.
        errors: The errors of expressions in the step, by the path of the value, such as
            ``("success", 0)``.
        elsewhere: Function that checks a criterion on files on the worker that has the files;
            None if this machine has them.
        searches: Searches patterns within the timeout of the step.
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


Check = Callable[[Criterion, CheckInputs], Iterable[Verdict]]
"""Function that checks one criterion; it yields a verdict for each condition of the criterion."""


def verdict(criterion: Criterion, unmet: str | None = None, **fields: Any) -> Verdict:
    """Create the `Verdict` on a criterion, with the criterion's name, wanted value and place.

    Args:
        criterion: The criterion.
        unmet: One line that states why the criterion does not hold; None if it holds.
        fields: Other fields of the `Verdict`; they override those taken from the criterion.
    """
    return Verdict(
        **(
            {"name": criterion.name, "expected": criterion.expected, "place": criterion.place}
            | fields
        ),
        unmet=unmet,
    )
