"""Criteria on the result: JSON Schema and `assert` expressions."""

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.figures.exact import LongDecimal
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Verdict
from pytest_orchestrator.core.text import cut_to_length, one_line
from pytest_orchestrator.execution.criteria.inputs import CheckInputs, verdict
from pytest_orchestrator.recipe.expressions.expression import Expression, ExpressionError
from pytest_orchestrator.recipe.model.step import Criterion

_MAX_VALUES = 6
_MAX_OPERAND_WIDTH = 80


def unmet(expression: Expression, names: Mapping[str, Any], context: Context) -> str | None:
    """Return the reason why an expression is false, or None if the expression is true.

    Args:
        expression: The expression.
        names: The variables of the expression.
        context: The Context, whose history names the writers of its keys.

    Returns:
        None if the expression is true, else one line with the values that it read.

    Raises:
        ExpressionError: The expression cannot be evaluated.
    """
    if expression.holds(names):
        return None
    values = list(dict.fromkeys(_values(expression, names, context)))
    shown = ", ".join(values[:_MAX_VALUES])
    return f"`{expression.text}` is false{': ' * bool(shown)}{shown}"


def check(criterion: Criterion, inputs: CheckInputs) -> Iterator[Verdict]:
    """Yield the verdict on an `assert` criterion of a step."""
    if criterion.expression is not None:
        reason = unmet(criterion.expression, inputs.names, inputs.context)
        yield verdict(criterion, reason)


def _values(expression: Expression, names: Mapping[str, Any], context: Context) -> Iterator[str]:
    for chain in expression.reads:
        text = chain.text
        if text is None:
            continue
        try:
            value = Expression(text, expression.place).value(names, exact=True)
        except ExpressionError:
            continue
        shown = one_line(repr(value) if isinstance(value, str) else _as_json(value))
        shown = cut_to_length(shown, _MAX_OPERAND_WIDTH)
        yield f"{text} = {shown}{_last_writer(chain.parts, context) if chain.root == 'ctx' else ''}"


def _as_json(value: Any) -> str:
    import json

    return value.text if type(value) is LongDecimal else json.dumps(value, ensure_ascii=False)


def _last_writer(parts: tuple[Any, ...], context: Context) -> str:
    """Return a note on the last write to a Context key, or to its nearest parent with a history.

    The note is empty if neither the key nor a parent has a history.
    """
    path = [str(part) for part in parts]
    for cut in range(len(path), 0, -1):
        history = context.get_history(".".join(path[:cut]))
        if history:
            last = history[-1]
            return f" (written by {last['who']} at {last['ts']})"
    return ""


def result_schema(criterion: Criterion, inputs: CheckInputs) -> Iterator[Verdict]:
    """Validate the result of a step by a JSON Schema, and yield the verdict."""
    schema = criterion.expected if isinstance(criterion.expected, dict) else {}
    errors = inputs.searches.schema_errors(schema, inputs.ended.exact_value, criterion.place)
    if "fault" in errors:
        way, fault = errors["fault"]
        where = f" in {'.'.join(map(str, way))}" if way else ""
        place = criterion.at.get("/".join(map(str, way)), criterion.place)
        yield verdict(criterion, f"no JSON Schema{where}: {fault}", place=place, errs=True)
        return
    if not errors["rows"]:
        yield verdict(criterion)
        return
    yield verdict(
        criterion,
        "; ".join(errors["rows"]),
        place=_place(criterion, errors["way"]),
        measured=errors["measured"],
    )


def _place(criterion: Criterion, way: list[str]) -> Place:
    """Return the recipe position of a schema rule, or of the `$ref` that leads to the rule."""
    way = [*way]
    at = criterion.at
    if "/".join(way) in at:
        return at["/".join(way)]
    while way:  # the path that jsonschema reports does not contain the `$ref`
        way.pop()
        for key in ("/".join([*way, "$ref"]), "/".join(way)):
            if key in at:
                return at[key]
    return criterion.place
