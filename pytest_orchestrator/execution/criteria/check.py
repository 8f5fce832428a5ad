"""Evaluation of all success criteria of a step."""

from collections.abc import Iterator

import msgspec

from pytest_orchestrator import extending
from pytest_orchestrator.core import json_values
from pytest_orchestrator.core.result import Verdict
from pytest_orchestrator.core.text import one_line
from pytest_orchestrator.execution import outcome
from pytest_orchestrator.execution.criteria import files, simple
from pytest_orchestrator.execution.criteria.simple import Check, CheckInputs, verdict
from pytest_orchestrator.execution.lanes.pattern_search import (
    SearchInterrupted,
    SearchTimeout,
)
from pytest_orchestrator.recipe.expressions.expression import (
    ExpressionError,
    TimeoutExpressionError,
)
from pytest_orchestrator.recipe.fields.extensions import CustomStep
from pytest_orchestrator.recipe.fields.resolve import evaluate_late_expressions
from pytest_orchestrator.recipe.model.step import Criterion

CHECKS: dict[str, Check] = {
    "assert": simple.check,
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
    "result_schema": simple.result_schema,
    "max_seconds": simple.max_seconds,
    "max_cpu_seconds": simple.max_cpu_seconds,
    "max_rss_mb": simple.max_rss_mb,
    "leftover_processes": simple.leftover_processes,
}
"""Check function by criterion. ``exit_code`` has none: it is evaluated with the step code."""

ON_FILES = frozenset({"files", "files_exist", "files_absent"})
"""Names of the criteria that read files."""


def _registered(criterion: Criterion, inputs: CheckInputs) -> Iterator[Verdict]:
    """Yield the verdict of the check function that a plugin registered for a criterion."""
    registered, ended = criterion.plugin_criterion, inputs.ended
    assert registered is not None  # noqa: S101
    process = ended.process
    unmet = registered.check(
        msgspec.convert(criterion.expected, registered.type),
        extending.Evidence(
            step=inputs.step.name,
            root=inputs.root,
            result=json_values.deep_copy(ended.value),
            ctx=inputs.context,
            seconds=ended.usage.seconds,
            stdout=process.stdout.text if process else "",
            stderr=process.stderr.text if process else "",
            exit_code=process.exit_code if process else None,
        ),
    )
    if unmet is not None and not isinstance(unmet, str):
        raise TypeError(f"its check returned {outcome.kind_of(unmet)}, not None or one line")
    yield verdict(criterion, None if unmet is None else one_line(unmet))


def _check_of(criterion: Criterion, inputs: CheckInputs) -> Check | None:
    if criterion.plugin_criterion:
        return _registered
    elsewhere = inputs.elsewhere
    if elsewhere is not None and criterion.name in ON_FILES:
        return lambda criterion, inputs: elsewhere(criterion, inputs.started)
    return CHECKS.get(criterion.name)


def unmet_of_type(inputs: CheckInputs) -> tuple[Verdict, ...]:
    """Check the criteria that only the type of a step has; they come before its outputs.

    Args:
        inputs: The step, its end and its output.

    Returns:
        The verdicts on these criteria; none if all of them hold.

    Raises:
        TimeoutExpressionError: The timeout of the step passed while an expression was evaluated.
    """
    step = inputs.step
    if not isinstance(step, CustomStep) or not step.kind.criteria:
        return ()
    own = [
        at
        for at, one in enumerate(step.success)
        if any(one.plugin_criterion is each for each in step.kind.criteria)
    ]
    templates = tuple(
        msgspec.structs.replace(one, path=("success", own.index(at), *one.path[2:]))
        for one in step.templates
        if one.path[0] == "success" and (at := one.path[1]) in own
    )
    only = tuple(step.success[at] for at in own)
    step = msgspec.structs.replace(step, success=only, templates=templates)
    step, errors = evaluate_late_expressions(step, inputs.names)
    verdicts = checked(msgspec.structs.replace(inputs, step=step, errors=errors))
    return verdicts if any(one.unmet for one in verdicts) else ()


def checked(inputs: CheckInputs) -> tuple[Verdict, ...]:
    """Check the success criteria of a step whose step code has ended.

    Args:
        inputs: The step, its end and its output.

    Returns:
        The verdicts, in the order of the recipe.

    Raises:
        SearchTimeout: The timeout of the step passed during a search.
        SearchInterrupted: The step was cancelled during a search.
        TimeoutExpressionError: The timeout of the step passed while an expression was evaluated.
    """
    verdicts: list[Verdict] = []
    for index, criterion in enumerate(inputs.step.success):
        check = _check_of(criterion, inputs)
        if check is None:
            continue
        problem = inputs.errors.get(("success", index))
        try:
            verdicts += () if problem else check(criterion, inputs)
        except (SearchTimeout, SearchInterrupted):
            raise
        except ExpressionError as error:
            problem = error
        except Exception as error:  # noqa: BLE001
            reason = one_line(f"{type(error).__name__}: {error}")
            verdicts.append(verdict(criterion, f"cannot be checked: {reason}"))
        if isinstance(problem, TimeoutExpressionError):
            raise problem
        if problem:
            place = problem.place or criterion.place
            verdicts.append(verdict(criterion, one_line(str(problem)), place=place, errs=True))
    return tuple(verdicts)
