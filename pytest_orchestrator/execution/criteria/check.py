"""Evaluation of all success criteria of a step."""

import contextlib
from collections.abc import Iterator

import msgspec

from pytest_orchestrator import extending
from pytest_orchestrator.core import json_values
from pytest_orchestrator.core.result import Verdict
from pytest_orchestrator.core.text import one_line
from pytest_orchestrator.execution import outcome
from pytest_orchestrator.execution.criteria import files, result_checks, simple
from pytest_orchestrator.execution.criteria.evidence import Check, Evidence, verdict
from pytest_orchestrator.execution.lanes.pattern_search import (
    Query,
    SearchInterrupted,
    SearchTimeout,
)
from pytest_orchestrator.recipe.expressions.expression import (
    ExpressionError,
    TimeoutExpressionError,
)
from pytest_orchestrator.recipe.model.step import Criterion

CHECKS: dict[str, Check] = {
    "assert": result_checks.check,
    "ctx_has_keys": simple.has_key,
    "ctx_lacks_keys": simple.lacks_key,
    "files_exist": files.exists,
    "files_absent": files.absent,
    "files": files.files,
    "stdout_contains": simple.output,
    "stdout_not_contains": simple.output,
    "stdout_matches": simple.output,
    "stderr_contains": simple.output,
    "stderr_not_contains": simple.output,
    "stderr_matches": simple.output,
    "result_schema": result_checks.result_schema,
    "max_seconds": simple.max_seconds,
    "max_cpu_seconds": simple.max_cpu_seconds,
    "max_rss_mb": simple.max_rss_mb,
    "leftover_processes": simple.leftover_processes,
}
"""How each criterion is checked; ``exit_code`` apart, which belongs to the body."""

ON_FILES = frozenset({"files", "files_exist", "files_absent"})
"""Those that look at files."""


def _brought(criterion: Criterion, evidence: Evidence) -> Iterator[Verdict]:
    """Let the check of a plugin's criterion look at what a step has left."""
    one, ended = criterion.brought, evidence.ended
    assert one is not None  # noqa: S101
    process = ended.process
    told = one.check(
        msgspec.convert(criterion.wanted, one.type),
        extending.Evidence(
            step=evidence.step.name,
            root=evidence.root,
            result=json_values.unshared(ended.value),
            ctx=evidence.context,
            seconds=ended.usage.seconds,
            stdout=process.stdout.text if process else "",
            stderr=process.stderr.text if process else "",
            exit_code=process.exit_code if process else None,
        ),
    )
    if told is not None and not isinstance(told, str):
        raise TypeError(f"its check returned {outcome.kind_of(told)}, not None or one line")
    yield verdict(criterion, None if told is None else one_line(told))


def _check_of(criterion: Criterion, evidence: Evidence) -> Check | None:
    if criterion.brought:
        return _brought
    elsewhere = evidence.elsewhere
    if elsewhere is not None and criterion.name in ON_FILES:
        return lambda criterion, evidence: elsewhere(criterion, evidence.started)
    return CHECKS.get(criterion.name)


def queries(evidence: Evidence) -> Iterator[Query]:
    """Return all patterns that the criteria of a step search on this machine."""
    for index, one in enumerate(evidence.step.success):
        if ("success", index) in evidence.errors or one.brought is not None:
            continue
        with contextlib.suppress(OSError):  # the check itself tells of it
            if one.name != "files":
                yield from simple.queries(one, evidence)
            elif evidence.elsewhere is None:
                yield from files.queries(one, evidence)


def checked(evidence: Evidence) -> tuple[Verdict, ...]:
    """Check the criteria of a step whose body did as wanted.

    Args:
        evidence: The step, and what it left.

    Returns:
        Their verdicts, in the order of the recipe.

    Raises:
        SearchTimeout: The time of the step is over, and one is still searching.
        SearchInterrupted: The step was ended.
        TimeoutExpressionError: The time of the step is over, and one is still evaluated.
    """
    verdicts: list[Verdict] = []
    for index, criterion in enumerate(evidence.step.success):
        check = _check_of(criterion, evidence)
        if check is None:
            continue
        wrong = evidence.errors.get(("success", index))
        try:
            verdicts += () if wrong else check(criterion, evidence)
        except (SearchTimeout, SearchInterrupted):
            raise
        except ExpressionError as error:
            wrong = error
        except Exception as error:  # noqa: BLE001
            reason = one_line(f"{type(error).__name__}: {error}")
            verdicts.append(verdict(criterion, f"cannot be checked: {reason}"))
        if isinstance(wrong, TimeoutExpressionError):
            raise wrong
        if wrong:
            place = wrong.place or criterion.place
            verdicts.append(verdict(criterion, one_line(str(wrong)), place=place, errs=True))
    return tuple(verdicts)
