"""Values of vars and inputs: from outside the recipe, from `with`, by default, and the secret ones.

A vars file is in YAML, JSON or dotenv format.
"""

import io
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from pytest_orchestrator.core import json_values
from pytest_orchestrator.core.json_values import mapped
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.typed_fields import InputField, value_of_json, value_of_text
from pytest_orchestrator.recipe.expressions.expression import OPENING, ExpressionError, Template
from pytest_orchestrator.recipe.fields.resolve import replace_expressions
from pytest_orchestrator.recipe.fields.values import Values
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import FileUse, Step
from pytest_orchestrator.recipe.parsing.nodes import Check
from pytest_orchestrator.recipe.parsing.source import MAX_BYTES, compose, decoded, read_file
from pytest_orchestrator.recipe.problems import Problems, RecipeError, Refused, quoted, shortened
from pytest_orchestrator.recipe.pyyaml import MappingNode

if TYPE_CHECKING:
    from pytest_orchestrator.core.json_values import Json
else:  # msgspec cannot resolve a recursive type
    Json = Any


def vars_of(path: Path) -> dict[str, Json]:
    """Return the values of vars from a vars file.

    Args:
        path: A file whose name ends in ``.json`` or ``.env``, or a YAML file.

    Returns:
        The values by name; an empty mapping if the file is empty.

    Raises:
        RecipeError: The file cannot be read or is no mapping; the error has the position.
    """
    problems = Problems()
    try:
        text = decoded(read_file(path, MAX_BYTES, problems), problems)
        if not text.strip():
            return {}
        if path.suffix == ".env" or path.name == ".env":
            return _dotenv(text, problems)
        return _json(text, problems) if path.suffix == ".json" else _yaml(text, problems)
    except Refused:
        raise RecipeError(problems.found, str(path), problems.text) from None


def _yaml(text: str, problems: Problems) -> dict[str, Json]:
    root = compose(text, problems)
    if root is None or root.value == "":
        return {}
    if type(root) is not MappingNode:
        problems.add(Place(1, 1), "a file of vars is a mapping of names to values")
        raise Refused
    Check(text, problems).visit(root)
    if problems.found:
        raise Refused
    values = Values(text, problems).json(root)
    if problems.found:
        raise Refused
    return values if isinstance(values, dict) else {}


def _json(text: str, problems: Problems) -> dict[str, Json]:
    try:
        values = json_values.decode(text)
    except (ValueError, RecursionError) as error:  # msgspec raises the latter if JSON is too deep
        problems.add(Place(1, 1), f"this is no JSON: {error}")
        raise Refused from None
    if not isinstance(values, dict):
        problems.add(Place(1, 1), "a file of vars is a mapping of names to values")
        raise Refused
    return values


def _dotenv(text: str, problems: Problems) -> dict[str, Json]:
    from dotenv.parser import parse_stream

    values: dict[str, Json] = {}
    for each in parse_stream(io.StringIO(text)):
        if each.error:
            problems.add(Place(each.original.line, 1), "this is no NAME=value")
        elif each.key is not None:
            values[each.key] = each.value or ""
    if problems.found:
        raise Refused
    return values


class ExternalValue(msgspec.Struct, frozen=True):
    """The value of a var that comes from outside its recipe.

    Attributes:
        value: The value.
        origin: Its source, such as ``--recipe-var`` or the path of a file.
        text: The text as it was given; None for a value of a YAML or JSON file.
    """

    value: Json
    origin: str
    text: str | None = None


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
    if is_empty_socket(name, given):
        return None
    try:
        converted(field, given)
    except ValueError as error:
        return refusal(name, field, given.value if given.text is None else given.text, str(error))
    return None


def is_empty_socket(name: str, given: ExternalValue) -> bool:
    """Return True if a value says that the socket of a unit is empty; see `Units.empty`."""
    return "." in name and given.value == ""


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
            is_empty = is_empty_socket(name, given[name])
            values[name] = "" if is_empty else converted(field, given[name])
        elif not field.is_required and name not in excluded:
            values[name] = _default(name, field, templates, {**names, "vars": values}, place)
    return values


def var_values(
    source: Recipe | FileUse,
    given: Mapping[str, ExternalValue],
    names: Mapping[str, Any],
    excluded: Collection[str] = (),
) -> dict[str, Json]:
    """Return the values of the vars of a file in order; each may read those that precede it.

    Args:
        source: The recipe, or the use of the file.
        given: The values that come from outside the file, by name.
        names: The other names that expressions may use, with their values.
        excluded: Names of vars that are left out, because they are not known yet.

    Raises:
        ExpressionError: A value violates a rule, or an expression has no value.
    """
    required = source.required if isinstance(source, Recipe) else given
    values: dict[str, Json] = {name: given[name].value for name in required if name in given}
    places = source.at if isinstance(source, Recipe) else {}
    values |= input_values(source.inputs, given, source.templates, names, places, excluded)
    for name, value in source.vars.items():
        if name in given:
            values[name] = given[name].value
        elif name not in excluded:
            known = {**names, "vars": values}
            values[name] = replace_expressions(source.templates, ("vars", name), value, known)
    return values


def with_values(
    use: FileUse, names: Mapping[str, Any], excluded: Collection[str] = ()
) -> dict[str, ExternalValue]:
    """Return the values that a step with `use` gives to the vars of the file.

    Args:
        use: The use.
        names: The names that expressions of the using file may use, with their values.
        excluded: Names of vars that are left out, because they are not known yet.

    Raises:
        ExpressionError: An expression has no value.
    """
    found: dict[str, ExternalValue] = {}
    for name, written in use.with_values.items():
        if name not in excluded:
            value = replace_expressions(use.with_templates, ("with_", name), written, names)
            found[name] = ExternalValue(value, "with")
    return found


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
    if step.file_use is None:
        keys = [one.key_template for one in step.outputs if one.key_template is not None]
        return [*keys, *(one for one in step.templates if one.path[0] == "matrix")]
    has_cells = step.matrix is not None or any(use.matrix is not None for use in step.uses)
    has_cells = has_cells or any(one.key_template for one in step.outputs)
    return list(step.uses[-1].with_templates) if has_cells else []


VarPath = tuple[str, ...]


def secret_vars(recipe: Recipe, is_secret: Callable[[str], bool]) -> dict[str, tuple[str, ...]]:
    """Return the vars and inputs whose complete value a step has in a variable with a secret name.

    In ``env: {API_TOKEN: "${{ vars.token }}"}`` this is ``vars.token``. If another var or a
    ``with`` gives the value of that var, the var that it comes from is returned too.

    Args:
        recipe: The recipe.
        is_secret: Returns True if an environment variable of a name has a secret value.

    Returns:
        Paths such as ``vars.login.token``, by the name of the ``use`` whose file has the var; the
        recipe's own have the name ``""``.
    """
    found: dict[tuple[str, VarPath], None] = {}
    due = [
        (step.file_use, path)
        for step in (*recipe.steps, *recipe.final, *(one.step for one in recipe.samplers))
        for template in step.templates
        if template.path[0] in ("args", "env") and is_secret(str(template.path[1]))
        for path in _var(template)
    ]
    while due:
        file_use, path = due.pop()
        scope = "" if file_use is None else file_use.name
        if (scope, path) not in found:
            found[scope, path] = None
            due += _origins(recipe, file_use, path)
    names: dict[str, tuple[str, ...]] = {}
    for scope, path in found:
        names[scope] = (*names.get(scope, ()), ".".join(("vars", *path)))
    return names


def literal_vars(recipe: Recipe) -> dict[str, dict[str, Json]]:
    """Return the values that stand in the files of a recipe, with null for each text to evaluate.

    Args:
        recipe: The recipe.

    Returns:
        Values of vars and inputs by name, by the name of the ``use`` whose file has them; the
        recipe's own have the name ``""``.
    """
    found = {"": _literals(recipe.inputs, recipe.vars)}
    for step in (*recipe.steps, *recipe.final):
        for use in step.uses:
            if use.name not in found:
                found[use.name] = _literals(use.inputs, {**use.vars, **use.with_values})
    return found


def _literals(inputs: Mapping[str, InputField], values: Mapping[str, Json]) -> dict[str, Json]:
    defaults = {name: one.default for name, one in inputs.items() if one.default is not UNSET}
    found: dict[str, Json] = mapped({**defaults, **values}, _literal)
    return found


def _literal(value: Json) -> Json:
    return None if isinstance(value, str) and OPENING in value else value


def _var(template: Template) -> Iterator[VarPath]:
    """Yield the path of the var that is the complete value of a text, if one is."""
    chain = template.expressions[0].whole_chain if template.is_whole else None
    if chain is not None and chain.root == "vars" and chain.parts and None not in chain.parts:
        yield tuple(map(str, chain.parts))


def _origins(
    recipe: Recipe, file_use: FileUse | None, path: VarPath
) -> Iterator[tuple[FileUse | None, VarPath]]:
    """Yield the vars that give a var its value, each with the use of the file that has it."""
    if file_use is not None and path[0] in file_use.with_values:
        templates, key, outer = file_use.with_templates, "with_", file_use.outer
    else:
        key, outer = "vars", file_use
        templates = recipe.templates if file_use is None else file_use.templates
    for template in templates:
        below = tuple(map(str, template.path[1:]))
        shared = min(len(below), len(path))
        if template.path[0] == key and below[:shared] == path[:shared]:
            for origin in _var(template):
                yield outer, (*origin, *path[len(below) :])
