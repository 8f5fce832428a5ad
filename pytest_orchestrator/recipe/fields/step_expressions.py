"""All expressions of a step, and of the `use` steps that include it."""

from collections.abc import Iterator

from pytest_orchestrator.recipe.expressions.expression import Expression
from pytest_orchestrator.recipe.fields.resolve import is_late
from pytest_orchestrator.recipe.model.step import FileUse, Step


def all_expressions(step: Step) -> Iterator[tuple[Expression, bool]]:
    """Yield the expressions of a step, each with True if it is evaluated after the step code."""
    for one in step.templates:
        is_after = bool(one.path) and is_late(step, one)
        yield from ((each, is_after) for each in one.expressions)
    for condition in (step.if_, step.foreach):
        if isinstance(condition, Expression):
            yield condition, False
    if step.retry is not None:
        conditions = (step.retry.until, step.retry.abort_if)
        yield from ((each, True) for each in conditions if each is not None)
    yield from ((each.value, True) for each in step.measurements.values())
    yield from ((each.expression, True) for each in step.success if each.expression is not None)


def expressions_of_uses(step: Step) -> Iterator[tuple[Expression, FileUse]]:
    """Yield the expressions of the `use` steps that include a step, each with its `use`."""
    file_use: FileUse | None = step.file_use
    while file_use is not None:
        for one in file_use.with_templates:
            yield from ((each, file_use) for each in one.expressions)
        if file_use.condition is not None:
            yield file_use.condition, file_use
        file_use = file_use.outer
