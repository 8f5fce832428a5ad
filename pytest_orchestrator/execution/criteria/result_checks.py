"""Criteria on the result: JSON Schema, and `assert` expressions."""

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Verdict
from pytest_orchestrator.core.text import one_line
from pytest_orchestrator.execution.criteria.evidence import Evidence, verdict
from pytest_orchestrator.recipe.expressions.expression import Expression, ExpressionError
from pytest_orchestrator.recipe.model.step import Criterion

_MOST_VALUES = 6
_WIDEST_OPERAND = 80


def unmet(expression: Expression, names: Mapping[str, Any], context: Context) -> str | None:
    """Check an expression.

    Args:
        expression: The expression.
        names: What its names mean.
        context: Knows who wrote what it reads there.

    Returns:
        None where it is true, else one line with the values of its names.

    Raises:
        ExpressionError: It cannot be evaluated.
    """
    if expression.holds(names):
        return None
    values = list(dict.fromkeys(_values(expression, names, context)))
    told = ", ".join(values[:_MOST_VALUES])
    return f"`{expression.text}` is false{': ' * bool(told)}{told}"


def check(criterion: Criterion, evidence: Evidence) -> Iterator[Verdict]:
    """Check an `assert` of a step."""
    if criterion.expression is not None:
        told = unmet(criterion.expression, evidence.names, evidence.context)
        yield verdict(criterion, told)


def _values(expression: Expression, names: Mapping[str, Any], context: Context) -> Iterator[str]:
    for chain in expression.reads:
        text = chain.text
        if text is None:
            continue
        try:
            value = Expression(text, expression.place).value(names)
        except ExpressionError:
            continue
        shown = one_line(repr(value) if isinstance(value, str) else _as_json(value))
        shown = shown if len(shown) <= _WIDEST_OPERAND else f"{shown[: _WIDEST_OPERAND - 1]}…"
        yield f"{text} = {shown}{_written(chain.parts, context) if chain.root == 'ctx' else ''}"


def _as_json(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)


def _written(parts: tuple[Any, ...], context: Context) -> str:
    """Tell who wrote a key last, and when."""
    path = [str(part) for part in parts]
    for cut in range(len(path), 0, -1):
        history = context.get_history(".".join(path[:cut]))
        if history:
            last = history[-1]
            return f" (written by {last['who']} at {last['ts']})"
    return ""


def result_schema(criterion: Criterion, evidence: Evidence) -> Iterator[Verdict]:
    """What the step returned, or said, keeps the schema."""
    schema = criterion.wanted if isinstance(criterion.wanted, dict) else {}
    found = evidence.searches.schema_errors(schema, evidence.ended.value, criterion.place)
    if "fault" in found:
        way, fault = found["fault"]
        where = f" in {'.'.join(map(str, way))}" if way else ""
        place = criterion.at.get("/".join(map(str, way)), criterion.place)
        yield verdict(criterion, f"no JSON Schema{where}: {fault}", place=place, errs=True)
        return
    if not found["rows"]:
        yield verdict(criterion)
        return
    yield verdict(
        criterion,
        "; ".join(found["rows"]),
        place=_place(criterion, found["way"]),
        measured=found["measured"],
    )


def _place(criterion: Criterion, way: list[str]) -> Place:
    """Return where the rule stands, or the reference that leads to it."""
    way = [*way]
    at = criterion.at
    if "/".join(way) in at:
        return at["/".join(way)]
    while way:  # what a reference leads to is told without it
        way.pop()
        for key in ("/".join([*way, "$ref"]), "/".join(way)):
            if key in at:
                return at[key]
    return criterion.place
