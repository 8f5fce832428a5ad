"""Calls of the class methods of step types, such as `check`, `secrets`, `locks` and `questions`.

A hook is code of a plugin. Whatever it raises or wrongly returns becomes a `HookError`, whose
message names the plugin.
"""

import contextlib
import inspect
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import NODEFAULT

from pytest_orchestrator.core.json_values import mapped
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.text import clipped, one_line
from pytest_orchestrator.extending import (
    KeyPath,
    KeyProblem,
    Question,
    StepSpec,
    StepType,
    Unevaluated,
)
from pytest_orchestrator.recipe.expressions.expression import ExpressionError, Template
from pytest_orchestrator.recipe.fields.extensions import CustomStep, as_json, own_keys
from pytest_orchestrator.recipe.fields.readers import keys_of
from pytest_orchestrator.recipe.fields.resolve import evaluate_step, is_early, put
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
            keys[name] = put(keys[name], one.path[1:], Unevaluated(one.text))
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


def call(
    hook: str,
    step: Step,
    recipe: str,
    names: Mapping[str, Any] | None = None,
    *,
    before_steps: bool = False,
) -> list[Any]:
    """Call a hook with a step, as far as the values of the step are known.

    Args:
        hook: The hook, one of those that get a `StepSpec`.
        step: The step.
        recipe: The path of its recipe.
        names: The names that the expressions in its own keys may use, with their values; None for
            a step that is evaluated as far as it can be.
        before_steps: True if the names are those that exist before any step runs: other
            expressions have no value then, and no lock is known that may depend on one.

    Returns:
        What the hook returned; empty without the hook, or for a step that is of no plugin's type,
        or if an expression has no value with the names, because the step will raise that error.

    Raises:
        HookError: The hook raised an exception, or returned something else than it may. With
            `names`, the error is left to the step.
    """
    if not has_hook(step, hook):
        return []
    assert isinstance(step, CustomStep)  # noqa: S101
    if names is None:
        keys = keys_with_defaults(type(step), step.own, step.templates)
        spec = StepSpec(step=step.name, recipe=recipe, keys=keys)
        return called(type(step), hook, spec, place=step.at["type"])
    fields = {*own_keys(type(step)).values()}
    own = [one for one in step.templates if one.path[0] in fields]
    due = tuple(one for one in own if not before_steps or is_early(one))
    if hook == "locks" and len(due) < len(own):
        return []
    with contextlib.suppress(ExpressionError):
        known = evaluate_step(msgspec.structs.replace(step, templates=due), names)
        left = tuple(one for one in own if one not in due)
        return call(hook, msgspec.structs.replace(known, templates=left), recipe)
    return []


def has_hook(step: Step, hook: str) -> bool:
    """Return True if a step is of a plugin's type that has a hook."""
    return isinstance(step, CustomStep) and defines(step.kind, hook)


def called(
    model: type[CustomStep], hook: str, *arguments: object, place: Place | None = None
) -> list[Any]:
    """Call a hook of a type, and return the list that it returns; empty without the hook.

    Args:
        model: The Struct of the type.
        hook: The name of the hook.
        arguments: The arguments of the hook.
        place: The place of an error in the recipe; None if the caller knows it.

    Raises:
        HookError: The hook raised an exception, or returned something else than it may.
    """
    if not defines(model.kind, hook):
        return []
    plugin = f"plugin '{model.plugin}': " if model.plugin else ""
    title = f"{plugin}{hook} of step type '{model.type}'"
    try:
        returned = getattr(model.kind, hook)(*arguments)
        is_list = isinstance(returned, Iterable) and not isinstance(returned, str | bytes)
        found = list(returned) if is_list else []
    except Exception as error:  # noqa: BLE001 - a hook is code of a plugin
        text = one_line(clipped(str(error)).strip().partition("\n")[0])
        name = type(error).__name__
        wrong = f"raised {name}: {text}" if text else f"raised {name}"
        raise HookError(f"{title} {wrong}", place) from None
    if not is_list:
        raise HookError(f"{title} returned {_kind(returned)}, no list", place)
    wanted, word = _ITEMS.get(hook, (object, ""))
    for one in found:
        if not isinstance(one, wanted):
            wrong = f"returned a list with {_kind(one)} in it, no {word}"
            raise HookError(f"{title} {wrong}", place)
    if hook == "secrets":
        return [_maskable(one) for one in found]
    if hook == "instruments":  # a name that is not evaluated yet is unknown
        return list(dict.fromkeys(one for one in found if isinstance(one, str)))
    if hook == "locks":
        reader = keys_of(Step)["locks"].reader
        assert reader is not None  # noqa: S101
        try:
            return [*reader.convert(found, "locks")]
        except ValueError as error:
            raise HookError(f"{title}: {error}", place) from None
    return found


_ITEMS: Final[Mapping[str, tuple[Any, str]]] = {
    "check": (KeyProblem, "KeyProblem"),
    "questions": (Question, "Question"),
    "instruments": (str | Unevaluated, "name"),
}
"""For each hook, the type of the items of its list, and the word for it in messages."""


def _maskable(value: Any) -> Any:
    """Return the texts and numbers of a value; other parts, which cannot be masked, are None."""
    return mapped(value, lambda one: one if isinstance(one, str | int | float) else None)


def _kind(value: object) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"


def with_locks(step: Step, recipe: str) -> Step:
    """Return a step whose locks also contain those that its type asks for.

    Args:
        step: The step; all its keys have their values.
        recipe: The path of its recipe.

    Raises:
        HookError: The hook raised an exception, or returned something else than names of locks.
    """
    more = [name for name in call("locks", step, recipe) if name not in step.locks]
    if not more:
        return step
    return msgspec.structs.replace(step, locks=(*step.locks, *dict.fromkeys(more)))


def as_written(value: Any) -> Any:
    """Return a JSON value of a recipe with its expressions as `Unevaluated`."""
    return mapped(value, lambda one: Unevaluated(one.text) if isinstance(one, Template) else one)


def path_of(name: str, keys: Mapping[str, Any]) -> KeyPath:
    """Return the key path of the first value of a step that has a name; ``()`` if none has it.

    Args:
        name: The name.
        keys: The keys of the step, as JSON values.
    """
    return next((path for path, value in _values(keys, ()) if value == name), ())


def _values(value: Any, path: KeyPath) -> "list[tuple[KeyPath, Any]]":
    """Return all scalars in a value, each with its key path, in the order of the file."""
    if isinstance(value, Mapping):
        parts: Any = value.items()
    elif isinstance(value, list | tuple):
        parts = enumerate(value)
    else:
        return [(path, value)]
    return [found for key, one in parts for found in _values(one, (*path, key))]
