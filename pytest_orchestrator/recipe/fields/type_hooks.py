"""Calls of the class methods of step types, such as `check`, `secrets`, `locks` and `questions`.

A hook is code of a plugin. Whatever it raises or wrongly returns becomes a `HookError`, whose
message names the plugin.
"""

import contextlib
import inspect
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import NODEFAULT

from pytest_orchestrator.core.json_values import mapped
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.text import clipped, one_line
from pytest_orchestrator.extending import (
    KeyProblem,
    Project,
    Question,
    StepSpec,
    StepType,
    Unevaluated,
    WrittenStep,
)
from pytest_orchestrator.recipe.expressions.expression import ExpressionError, Template
from pytest_orchestrator.recipe.fields.extensions import CustomStep, as_json, own_keys
from pytest_orchestrator.recipe.fields.resolve import evaluate_step, is_early, value_put
from pytest_orchestrator.recipe.fields.struct_fields import keys_of
from pytest_orchestrator.recipe.model.step import Step

HOOKS: Final = ("check", "secrets", "locks", "instruments", "questions", "cleanup")


class HookError(ExpressionError):
    """Exception for a hook of a step type that failed; the message names the plugin."""


@lru_cache(maxsize=256)
def defines(kind: type[StepType], hook: str) -> bool:
    """Return True if a step type has a hook of its own, as a class method or a static method."""
    own = inspect.getattr_static(kind, hook)
    return own is not vars(StepType)[hook] and isinstance(own, classmethod | staticmethod)


def uncalled(kind: type[StepType]) -> list[str]:
    """Return the names of hooks that a step type has as something else than a class method."""
    static = {hook: inspect.getattr_static(kind, hook) for hook in HOOKS}
    return [hook for hook, own in static.items() if not isinstance(own, classmethod | staticmethod)]


def keys_with_defaults(
    model: type[CustomStep], values: Mapping[str, Any], templates: Iterable[Template]
) -> dict[str, Any]:
    """Return the own keys of a step by name, with defaults and with `Unevaluated` values.

    Args:
        model: The Struct of the type.
        values: The values of the keys that the recipe has, by name.
        templates: The expressions of the step that have no value yet.
    """
    keys = defaults(model.kind.Keys)
    names = {field: name for name, field in own_keys(model).items()}
    keys |= {name: as_json(value) for name, value in values.items()}
    for one in templates:
        field = str(one.path[0])
        if field in names:
            name = names[field]
            keys[name] = value_put(keys[name], one.path[1:], Unevaluated(one.text))
    return keys


def defaults(keys: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the keys of a step type that have a default, with their defaults as JSON values."""
    found: dict[str, Any] = {}
    for each in msgspec.structs.fields(keys):
        if each.default is not NODEFAULT:
            found[each.encode_name] = msgspec.to_builtins(each.default)
        elif each.default_factory is not NODEFAULT:
            found[each.encode_name] = msgspec.to_builtins(each.default_factory())
    return found


def spec_of(step: CustomStep, recipe: str) -> StepSpec:
    """Return name and keys of a step as its hooks receive them.

    Args:
        step: The step; values that are not evaluated yet are given as `Unevaluated`.
        recipe: The path of its recipe.
    """
    keys = keys_with_defaults(type(step), step.own, step.templates)
    return StepSpec(step=step.name, recipe=recipe, keys=keys)


def problems(model: type[CustomStep], step: WrittenStep, project: Project) -> list[KeyProblem]:
    """Return the mistakes that the hook `check` of a type finds in a step.

    Raises:
        HookError: A hook raised an exception, or returned something else.
    """
    found: list[Any] = []
    if defines(model.kind, "check"):
        found = _called(model, "check", step, project)
        strange = next((one for one in found if not isinstance(one, KeyProblem)), None)
        if strange is not None:
            wrong = f"returned a list with {_kind(strange)} in it, no KeyProblem"
            raise HookError(f"{_title(model, 'check')} {wrong}")
    return found


def written_secrets(model: type[CustomStep], step: WrittenStep) -> list[Any]:
    """Return the secret values of a step as its recipe is read, which may have mistakes.

    Raises:
        HookError: The hook `secrets` raised an exception, or returned no list.
    """
    if not defines(model.kind, "secrets"):
        return []
    spec = StepSpec(step=step.step, recipe=step.recipe, keys=step.keys)
    return [_maskable(value) for value in _called(model, "secrets", spec)]


def secrets_of(step: Step, recipe: str) -> list[Any]:
    """Return the secret values of a step, as far as they are known.

    Args:
        step: The step; one that is not of a plugin's type has none.
        recipe: The path of its recipe.

    Raises:
        HookError: The hook raised an exception, or returned no list.
    """
    if not isinstance(step, CustomStep) or not defines(step.kind, "secrets"):
        return []
    values = _called(type(step), "secrets", spec_of(step, recipe), place=step.at["type"])
    return [_maskable(value) for value in values]


def _maskable(value: Any) -> Any:
    """Return the texts and numbers of a value; other parts, which cannot be masked, are None."""
    return mapped(value, lambda one: one if isinstance(one, str | int | float) else None)


def with_locks(step: Step, recipe: str) -> Step:
    """Return a step whose locks also contain those that its type asks for.

    Args:
        step: The step; all its keys have their values.
        recipe: The path of its recipe.

    Raises:
        HookError: The hook raised an exception, or returned something else than names of locks.
    """
    if not isinstance(step, CustomStep) or not defines(step.kind, "locks"):
        return step
    more = [name for name in _locks(step, recipe) if name not in step.locks]
    return msgspec.structs.replace(step, locks=(*step.locks, *dict.fromkeys(more)))


def early_locks(step: Step, recipe: str, names: Mapping[str, Any]) -> Sequence[str]:
    """Return the locks that the type of a step asks for, if they are known before any step runs.

    Args:
        step: The step as the recipe has it.
        recipe: The path of its recipe.
        names: The names that expressions may use before any step runs, with their values.
    """
    if not isinstance(step, CustomStep) or not all(map(is_early, _own_templates(step))):
        return ()
    return locks_with(step, recipe, names)


def asks_for_locks(step: Step) -> bool:
    """Return True if the type of a step may ask for locks."""
    return isinstance(step, CustomStep) and defines(step.kind, "locks")


def locks_with(step: Step, recipe: str, names: Mapping[str, Any]) -> Sequence[str]:
    """Return the locks that the type of a step asks for with given values of names.

    Args:
        step: The step as the recipe has it.
        recipe: The path of its recipe.
        names: The names that its expressions may use, with their values.

    Returns:
        The locks; none if an expression has no value, because the step will raise the error.
    """
    if not isinstance(step, CustomStep) or not asks_for_locks(step):
        return ()
    with contextlib.suppress(ExpressionError):
        own = _own_templates(step)
        known = evaluate_step(msgspec.structs.replace(step, templates=own), names)
        return _locks(known, recipe)
    return ()


def _own_templates(step: CustomStep) -> tuple[Template, ...]:
    """Return the expressions in the keys that only the type of a step has."""
    fields = {*own_keys(type(step)).values()}
    return tuple(one for one in step.templates if one.path[0] in fields)


def _locks(step: CustomStep, recipe: str) -> Sequence[str]:
    names = _called(type(step), "locks", spec_of(step, recipe), place=step.at["type"])
    reader = keys_of(Step)["locks"].reader
    assert reader is not None  # noqa: S101
    try:
        locks: Sequence[str] = reader.convert(names, "locks")
    except ValueError as error:
        raise HookError(f"{_title(type(step), 'locks')}: {error}", step.at["type"]) from None
    return locks


def uses_instruments(step: Step) -> bool:
    """Return True if the type of a step may use instruments of the station."""
    return isinstance(step, CustomStep) and defines(step.kind, "instruments")


def instruments_with(step: Step, recipe: str, names: Mapping[str, Any]) -> list[str]:
    """Return the instruments that the type of a step uses, with given values of names.

    Args:
        step: The step as the recipe has it.
        recipe: The path of its recipe.
        names: The names that its expressions may use, with their values.

    Returns:
        The names that are known with these values.
    """
    if not isinstance(step, CustomStep) or not uses_instruments(step):
        return []
    own = tuple(one for one in _own_templates(step) if is_early(one))
    with contextlib.suppress(ExpressionError):  # the step will raise the error
        known = evaluate_step(msgspec.structs.replace(step, templates=own), names)
        left = tuple(one for one in step.templates if one not in own)
        return instruments_of(msgspec.structs.replace(known, templates=left), recipe)
    return []


def questions_of(step: Step, recipe: str) -> list[Question] | None:
    """Return the questions that a step will ask; None if they are known only when it runs.

    Args:
        step: The step.
        recipe: The path of its recipe.

    Raises:
        HookError: The hook raised an exception, or returned something else than questions.
    """
    if not isinstance(step, CustomStep) or not defines(step.kind, "questions"):
        return None
    found = _called(type(step), "questions", spec_of(step, recipe), place=step.at["type"])
    strange = next((one for one in found if not isinstance(one, Question)), None)
    if strange is not None:
        wrong = f"returned a list with {_kind(strange)} in it, no Question"
        raise HookError(f"{_title(type(step), 'questions')} {wrong}", step.at["type"])
    return found or None


def written_instruments(model: type[CustomStep], step: WrittenStep) -> list[str]:
    """Return the names of instruments in a step as its recipe is read, as far as they are known.

    Args:
        model: The Struct of the type.
        step: The step, whose keys were found to be valid.

    Raises:
        HookError: The hook `instruments` raised an exception, or returned something else.
    """
    if not defines(model.kind, "instruments"):
        return []
    spec = StepSpec(step=step.step, recipe=step.recipe, keys=step.keys)
    return _names_of_instruments(model, spec, None)


def instruments_of(step: Step, recipe: str) -> list[str]:
    """Return the names of the instruments that a step uses, as far as they are known.

    Args:
        step: The step; one that is not of a plugin's type has none.
        recipe: The path of its recipe.

    Raises:
        HookError: The hook raised an exception, or returned something else than names.
    """
    if not isinstance(step, CustomStep) or not defines(step.kind, "instruments"):
        return []
    return _names_of_instruments(type(step), spec_of(step, recipe), step.at["type"])


def _names_of_instruments(
    model: type[CustomStep], spec: StepSpec, place: Place | None
) -> list[str]:
    found = _called(model, "instruments", spec, place=place)
    strange = next((one for one in found if not isinstance(one, str | Unevaluated)), None)
    if strange is not None:
        wrong = f"returned a list with {_kind(strange)} in it, no name"
        raise HookError(f"{_title(model, 'instruments')} {wrong}", place)
    return list(dict.fromkeys(one for one in found if isinstance(one, str)))


def _title(model: type[CustomStep], hook: str) -> str:
    plugin = f"plugin '{model.plugin}': " if model.plugin else ""
    return f"{plugin}{hook} of step type '{model.type}'"


def _called(
    model: type[CustomStep], hook: str, *arguments: object, place: Place | None = None
) -> list[Any]:
    """Call a hook that returns a list, and return that list.

    Args:
        model: The Struct of the type.
        hook: The name of the hook.
        arguments: The arguments of the hook.
        place: The place of an error in the recipe; None if the caller knows it.

    Raises:
        HookError: The hook raised an exception, or returned something else.
    """
    wrong = ""
    try:
        returned = getattr(model.kind, hook)(*arguments)
        if isinstance(returned, Iterable) and not isinstance(returned, str | bytes):
            return list(returned)
        wrong = f"returned {_kind(returned)}, no list"
    except Exception as error:  # noqa: BLE001 - a hook is code of a plugin
        text = one_line(clipped(str(error)).strip().partition("\n")[0])
        name = type(error).__name__
        wrong = f"raised {name}: {text}" if text else f"raised {name}"
    raise HookError(f"{_title(model, hook)} {wrong}", place)


def _kind(value: object) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"


def as_written(value: Any) -> Any:
    """Return a JSON value of a recipe with its expressions as `Unevaluated`."""
    return mapped(value, lambda one: Unevaluated(one.text) if isinstance(one, Template) else one)
