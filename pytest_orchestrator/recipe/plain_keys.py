"""A loaded recipe as plain data: what its keys mean once files are used and defaults are known."""

from typing import Any

import msgspec

from pytest_orchestrator.recipe.expressions import Expression
from pytest_orchestrator.recipe.model import Need, Recipe
from pytest_orchestrator.recipe.output import Output
from pytest_orchestrator.recipe.step_keys import Criterion, Step
from pytest_orchestrator.recipe.walk import keys_of


def plain_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return the keys of a recipe that say anything, steps of used files among its own.

    Args:
        recipe: The recipe, as it was loaded.

    Returns:
        Plain data; expressions stand as they were written.
    """
    told = _said(recipe, {"steps", "finally", "defaults"})
    told["steps"] = [_step(step) for step in recipe.steps]
    if recipe.final:
        told["finally"] = [_step(step) for step in recipe.final]
    return told


def _step(step: Step) -> dict[str, Any]:
    told: dict[str, Any] = {"name": step.name, "type": step.type, "line": step.line}
    if step.part is not None:
        told |= {"file": step.part.source.id, "with": _plain(step.part.given)}
    told |= _said(step, {"name", "type"})
    for template in step.templates:
        _put(told, template.path, template.text)
    return told


def _put(told: Any, path: tuple[str | int, ...], text: str) -> None:
    """Put an expression where its value would stand, where nothing stands."""
    for name in path[:-1]:
        if not isinstance(told, dict) or name not in told:
            return
        told = told[name]
    if path and isinstance(told, dict):
        told.setdefault(path[-1], text)


def _said(model: msgspec.Struct, without: set[str]) -> dict[str, Any]:
    """Return the keys whose values are not what they are where nothing is written."""
    empty = {field.name: _default(field) for field in msgspec.structs.fields(type(model))}
    told: dict[str, Any] = {}
    for name, key in keys_of(type(model)).items():
        value = getattr(model, key.field)
        if name not in without and value != empty.get(key.field):
            told[name] = _plain(value)
    return told


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _plain(value: Any) -> Any:
    """Write a value of a key as JSON has it; of what only the loader made, the text."""
    match value:
        case Criterion():
            return {value.name: _plain(value.wanted), "line": value.place.line}
        case Output():
            return {value.key: _plain(value.value)}
        case Expression():
            return value.text
        case Need():
            return value.path
        case msgspec.Struct():
            return _said(value, set())
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
