"""Values of inputs: given from outside, converted and checked by each recipe, or their defaults."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from msgspec import UNSET

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.typed_fields import InputField, value_of_json, value_of_text
from pytest_orchestrator.recipe.expressions.expression import ExpressionError, Template
from pytest_orchestrator.recipe.fields.resolve import replace_expressions
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import Step
from pytest_orchestrator.recipe.problems import quoted, shortened
from pytest_orchestrator.recipe.variables import ExternalValue


def converted(field: InputField, given: ExternalValue) -> Json:
    """Return the value of an input that comes from outside.

    Args:
        field: The input.
        given: The value; the text of an option is converted to the type of the input.

    Raises:
        ValueError: The value violates a rule; the message is the rule.
    """
    if given.text is None or (field.type == "string" and isinstance(given.value, str)):
        return value_of_json(field, given.value)
    return value_of_text(field, given.text)


def wrong_input(name: str, field: InputField, given: ExternalValue) -> str | None:
    """Return a sentence if the value of an input violates a rule; None if it is good.

    Args:
        name: The name of the input.
        field: The input.
        given: The value from outside the recipe.
    """
    try:
        converted(field, given)
    except ValueError as error:
        return refusal(name, field, given.value if given.text is None else given.text, str(error))
    return None


def refusal(name: str, field: InputField, value: object, rule: str) -> str:
    """Return the sentence about a wrong value of an input; a secret value is not shown."""
    shown = quoted(value) if isinstance(value, str) else shortened(repr(value))
    return f"input '{name}' is {'***' if field.secret else shown}, {rule}"


def missing_inputs(
    inputs: Mapping[str, InputField], given: Collection[str]
) -> dict[str, InputField]:
    """Return the inputs that need a value and have none.

    Args:
        inputs: The inputs of a recipe.
        given: Names of the values that come from outside.
    """
    return {
        name: field for name, field in inputs.items() if field.is_required and name not in given
    }


def input_values(
    inputs: Mapping[str, InputField],
    given: Mapping[str, ExternalValue],
    templates: Sequence[Template],
    names: Mapping[str, Any],
    places: Mapping[str, Place],
    excluded: Collection[str] = (),
) -> dict[str, Json]:
    """Return the values of inputs in their order; a missing one is left out.

    Args:
        inputs: The inputs.
        given: The values that come from outside, by name.
        templates: The expressions in the defaults, which may read the inputs above them.
        names: The names that expressions may use, with their values.
        places: The places of the inputs, by names such as ``inputs.serial``.
        excluded: Names of inputs whose defaults are not evaluated.

    Raises:
        ExpressionError: A value violates a rule, or a default has no value.
    """
    values: dict[str, Json] = {}
    for name, field in inputs.items():
        place = places.get(f"inputs.{name}")
        if name in given:
            if wrong := wrong_input(name, field, given[name]):
                raise ExpressionError(wrong, place)
            values[name] = converted(field, given[name])
        elif not field.is_required and name not in excluded:
            values[name] = _default(name, field, templates, {**names, "vars": values}, place)
    return values


def _default(
    name: str,
    field: InputField,
    templates: Sequence[Template],
    names: Mapping[str, Any],
    place: Place | None,
) -> Json:
    path = ("inputs", name, "default")
    if field.default is UNSET or not any(one.path[:3] == path for one in templates):
        return field.absent
    value = replace_expressions(templates, path, field.default, names)
    try:
        return value_of_json(field, value)
    except ValueError as error:
        reason = f"the default of {refusal(name, field, value, str(error))}"
        raise ExpressionError(reason, place) from None


def read_at_collection(recipe: Recipe) -> set[str] | None:
    """Return the vars and inputs that matrices and keys of `outputs` read, directly or not.

    Args:
        recipe: The recipe, before its steps are expanded.

    Returns:
        The names; None if any of them may be read.
    """
    found: set[str] = set()
    queue = [one for one in recipe.templates if one.path[0] == "matrix"]
    if recipe.has_cells:
        queue += [one for step in (*recipe.steps, *recipe.final) for one in _collected(step)]
    while queue:
        for expression in queue.pop().expressions:
            for chain in expression.reads:
                if chain.root != "vars":
                    continue
                name = chain.parts[0] if chain.parts else None
                if name is None:
                    return None
                if name not in found:
                    found.add(str(name))
                    queue += [
                        one
                        for one in recipe.templates
                        if one.path[0] in ("vars", "inputs") and one.path[1] == name
                    ]
    return found


def _collected(step: Step) -> list[Template]:
    """Return the expressions of a step that are evaluated at collection by names of the recipe.

    A step of a used file reads the vars of that file, to which `with` gives values.
    """
    use = step.file_use
    if use is None:
        keys = [one.key_template for one in step.outputs if one.key_template is not None]
        return [*keys, *(one for one in step.templates if one.path[0] == "matrix")]
    has_cells = step.matrix is not None or any(one.key_template for one in step.outputs)
    while use.outer is not None:
        has_cells, use = has_cells or use.matrix is not None, use.outer
    return list(use.with_templates) if has_cells or use.matrix is not None else []
