"""Result of a step with ``foreach``, computed from the results of its elements."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec

from pytest_orchestrator.core.events import Change
from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.result import Element, Ended, Failure, Outcome, StepResult, Usage
from pytest_orchestrator.core.text import counted
from pytest_orchestrator.recipe.model.step import Step

_SUMMED = ("cpu_user_seconds", "cpu_system_seconds", "read_bytes", "write_bytes")
_PEAKS = ("max_rss", "largest_rss", "heap_peak", "processes")

EMPTY = "foreach: the list is empty"
"""Reason of a step that passed because its list has no element."""


def failure_of(
    elements: Sequence[Element], is_unexpected: Callable[[Failure | None], bool]
) -> Failure | None:
    """Return the failure of a step: that of its first failed element, with the number of others.

    The failure of an element that the recipe's `timeout` ended has priority.

    Args:
        elements: The elements that ran.
        is_unexpected: Returns False for a failure that the step code itself declares as expected;
            such a failure counts only if no other element failed.
    """
    failed = [(one, one.result.failure) for one in elements if one.result.failure is not None]
    if not failed:
        return None
    first = next((pair for pair in failed if is_unexpected(pair[1])), failed[0])
    element, failure = next((pair for pair in failed if pair[1].is_of_recipe), first)
    more = f" (and {len(failed) - 1:,} more of {counted(len(elements), 'element')} failed)"
    reason = f"{element.label}: {failure.reason}{more if len(failed) > 1 else ''}"
    return msgspec.structs.replace(failure, reason=reason)


def lists_of_outputs(
    elements: Sequence[Element], outputs: Sequence[dict[str, Json]], keys: Sequence[str]
) -> dict[str, Json]:
    """Return the values of the ``outputs`` of a step: for each key the list over the elements.

    An element without outputs, because its step code failed, has the value None.

    Args:
        elements: The elements.
        outputs: The outputs of each element.
        keys: The keys.

    Returns:
        An empty mapping if no element has outputs, unless there is no element at all.
    """
    if elements and not any(outputs):
        return {}
    return {key: [one.get(key) for one in outputs] for key in keys}


def whole(
    step: Step,
    elements: Sequence[Element],
    failure: Failure | None,
    changes: tuple[Change, ...],
    missed: tuple[str, ...],
) -> StepResult:
    """Return the result of a step.

    Args:
        step: The step.
        elements: All elements of the list.
        failure: The failure of the step; None if no element failed.
        changes: All changes of the Context that the step made, in order.
        missed: Context paths that the step itself read and that did not exist.
    """
    results = [one.result for one in elements]
    outcome: Outcome = "failed" if failure else "passed"
    reason = "" if results else EMPTY
    if results and not failure and all(one.outcome == "skipped" for one in results):
        outcome, reason = "skipped", results[0].reason
    return StepResult(
        step=step.name,
        outcome=outcome,
        failure=failure,
        reason=reason,
        meets=failure is None or step.continue_on_error,
        changes=changes,
        missed=tuple(dict.fromkeys([*missed, *(path for one in results for path in one.missed)])),
        ended=Ended(
            usage=_total([one.ended.usage for one in results if one.ended]),
            value=[one.ended.value if one.ended else None for one in results],
            where=next((one.ended.where for one in results if one.ended), None),
            answers=tuple(answer for one in results if one.ended for answer in one.ended.answers),
        ),
        artifacts=tuple(artifact for one in results for artifact in one.artifacts),
        warnings=tuple(
            f"{element.label}: {warning}"
            for element in elements
            for warning in element.result.warnings
        ),
        elements=tuple(elements),
    )


def _total(usages: Sequence[Usage]) -> Usage:
    """Return the sum of durations, CPU times and bytes, and the largest of the peaks."""

    def known(name: str) -> list[Any]:
        return [value for one in usages if (value := getattr(one, name)) is not None]

    sums = {name: sum(known(name)) for name in _SUMMED if known(name)}
    peaks = {name: max(known(name)) for name in _PEAKS if known(name)}
    return Usage(
        seconds=sum(one.seconds for one in usages),
        source=usages[0].source if usages else {},
        **cast("Any", sums | peaks),
    )
