"""Outputs of a type that are read as another type, in limits and comparisons."""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from pytest_orchestrator.core.json_values import kind
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.expressions.sandbox import Chain
from pytest_orchestrator.recipe.fields.step_expressions import all_expressions
from pytest_orchestrator.recipe.model.limits import NUMERIC
from pytest_orchestrator.recipe.model.options import Output, Search
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import Step

_FAMILY: Final = {"text": "text", "integer": "number", "number": "number", "boolean": "boolean"}
_CURE: Final = {"number": "type: number", "text": "type: text", "boolean": "type: boolean"}
_WORDS: Final = {"text": "a text", "number": "a number", "boolean": "true or false"}
_COMPARED: Final = frozenset({"eq", "ne", "lt", "lteq", "gt", "gteq"})


class Misread(NamedTuple):
    """An output that a step reads as another type than it has.

    Attributes:
        step: The step that reads it.
        place: The place of the expression.
        head: The message.
        hint: The key of the output that would make the types agree.
    """

    step: Step
    place: Place
    head: str
    hint: str


class _Typed(NamedTuple):
    """The only output of a recipe with a key: its step, and the family of its type."""

    step: str
    family: str


def misread_outputs(recipe: Recipe) -> Iterator[Misread]:
    """Yield the outputs of a recipe that are compared with a value of another type.

    Args:
        recipe: The recipe. Keys that several steps write are left out, and so are keys whose
            values have any type.
    """
    steps = (*recipe.steps, *recipe.final)
    typed = _typed(steps)
    for step in steps if typed else ():
        yield from _of_measurements(step, typed)
        for expression, _ in all_expressions(step):
            for chain, operator, literal in expression.comparisons:
                one = typed.get(_key(chain))
                family = _family_of(literal)
                if one and operator in _COMPARED and family not in (None, one.family):
                    compared = f"and compares it with {kind(literal)}"
                    yield _misread(step, expression.place, chain, one, compared, str(family))


def _of_measurements(step: Step, typed: Mapping[str, _Typed]) -> Iterator[Misread]:
    for measurement in step.measurements.values():
        chain = measurement.value.whole_chain
        one = typed.get(_key(chain)) if chain is not None else None
        keys = {"number": NUMERIC, "text": ("matches",)}
        for family, names in keys.items():
            limit = next((name for name in names if name in measurement.at), None)
            if chain is not None and one and limit and one.family != family:
                needed = f"and '{limit}' needs {_WORDS[family]}"
                yield _misread(step, measurement.value.place, chain, one, needed, family)


def _misread(step: Step, place: Place, chain: Chain, one: _Typed, why: str, family: str) -> Misread:
    head = (
        f"step '{step.name}' reads {chain.text}, which step '{one.step}' writes as "
        f"{_WORDS[one.family]}, {why}"
    )
    return Misread(step, place, head, f"{_CURE[family]} in the output of '{one.step}'")


def _typed(steps: tuple[Step, ...]) -> dict[str, _Typed]:
    """Return the outputs with a known type, by key."""
    writers: dict[str, list[_Typed | None]] = {}
    for step in steps:
        for one in step.outputs:
            family = _family_of_output(one)
            writers.setdefault(one.key, []).append(_Typed(step.name, family) if family else None)
    return {key: each[0] for key, each in writers.items() if len(each) == 1 and each[0]}


def _family_of_output(one: Output) -> str | None:
    """Return the family of the type of an output; None if its values may have several types."""
    if not isinstance(one.value, Search) or "default" in one.value.at:
        return None
    return _FAMILY.get(one.value.type)


def _key(chain: Chain) -> str:
    parts = [str(one) for one in chain.parts]
    return ".".join(parts) if chain.root == "ctx" and None not in chain.parts else ""


def _family_of(literal: object) -> str | None:
    if isinstance(literal, bool):
        return "boolean"
    if isinstance(literal, int | float):
        return "number"
    return "text" if isinstance(literal, str) else None
