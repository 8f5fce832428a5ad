"""Vars that a recipe hands over in environment variables with secret names."""

from collections.abc import Callable, Iterator, Mapping

from msgspec import UNSET

from pytest_orchestrator.core.json_values import Json, mapped
from pytest_orchestrator.core.typed_fields import InputField
from pytest_orchestrator.recipe.expressions.expression import OPENING, Template
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import FileUse

Path = tuple[str, ...]


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
    found: dict[tuple[str, Path], None] = {}
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
        file_use = step.file_use
        while file_use is not None and file_use.name not in found:
            values = {**file_use.vars, **file_use.with_values}
            found[file_use.name] = _literals(file_use.inputs, values)
            file_use = file_use.outer
    return found


def _literals(inputs: Mapping[str, InputField], values: Mapping[str, Json]) -> dict[str, Json]:
    defaults = {name: one.default for name, one in inputs.items() if one.default is not UNSET}
    found: dict[str, Json] = mapped({**defaults, **values}, _literal)
    return found


def _literal(value: Json) -> Json:
    return None if isinstance(value, str) and OPENING in value else value


def _var(template: Template) -> Iterator[Path]:
    """Yield the path of the var that is the complete value of a text, if one is."""
    chain = template.expressions[0].whole_chain if template.is_whole else None
    if chain is not None and chain.root == "vars" and chain.parts and None not in chain.parts:
        yield tuple(map(str, chain.parts))


def _origins(
    recipe: Recipe, file_use: FileUse | None, path: Path
) -> Iterator[tuple[FileUse | None, Path]]:
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
