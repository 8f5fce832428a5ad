"""Expression resolution: a step with its expressions replaced by their values."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

import msgspec

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.expressions import command_line
from pytest_orchestrator.recipe.expressions.expression import (
    ExpressionError,
    Template,
    as_text,
    within,
)
from pytest_orchestrator.recipe.expressions.names import EARLY, FUNCTIONS
from pytest_orchestrator.recipe.fields.extensions import as_json, checked
from pytest_orchestrator.recipe.fields.readers import Reader
from pytest_orchestrator.recipe.fields.struct_fields import Key, keys_of
from pytest_orchestrator.recipe.model import key_types
from pytest_orchestrator.recipe.model.options import OF_SHELL, FileRules, Success
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import Criterion, ShellStep, Step

_S = TypeVar("_S", bound=Step)

LATE = frozenset({"success", "outputs", "measurements", "artifacts"})
"""Fields whose expressions are evaluated after the body."""

_APART = frozenset({"success", "measurements"})

Errors = Mapping[tuple[str | int, ...], ExpressionError]
"""Why expressions have no value, by field and key of what they stand in."""

_OF_A_RUN = frozenset({"matrix", "run", "recipe"})


def resolved(step: _S, names: Mapping[str, Any], *, late: bool = False) -> _S:
    """Return a step with the values of its expressions.

    Args:
        step: The step.
        names: What the names of expressions mean now.
        late: Evaluate those that are asked after the body instead of those before it.

    Raises:
        ExpressionError: One has no value, or one that the key cannot have.
    """
    if not step.templates:
        return step
    due = [one for one in step.templates if is_late(step, one) == late]
    with within(None, is_shared=True):
        changed = _changed(step, due, names)
    left = tuple(one for one in step.templates if is_late(step, one) != late)
    return msgspec.structs.replace(step, **changed, templates=left)


def _changed(step: Step, due: list[Template], names: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a step that have other values now."""
    commands = [one for one in due if _is_command(step, one)]
    changed: dict[str, Any] = {}
    for one in due:
        field = str(one.path[0])
        if not _is_command(step, one):
            value = one.value(names)
            if len(one.path) > 1:
                value = _put(changed.get(field, getattr(step, field)), one, one.path[1:], value)
            changed[field] = value
    for field in changed.keys() - LATE:
        changed[field] = _taken(step, field, changed[field], due)
    for one in commands:  # last: the variables that they refer to stand beside those of `args`
        changed |= _command(cast("ShellStep", step), one, names, changed)
    return changed


def checkable(step: _S, names: Mapping[str, Any]) -> tuple[_S, Errors]:
    """Return a step with the values of its late expressions, and those that have none.

    Args:
        step: The step.
        names: What the names of expressions mean now.

    Returns:
        The step, and the errors in its criteria and measurements: one hides no other.

    Raises:
        ExpressionError: One outside of them has no value.
    """
    if not step.templates:
        return step, {}
    apart = [one for one in step.templates if one.path[0] in _APART]
    rest = tuple(one for one in step.templates if one.path[0] not in _APART)
    step = resolved(msgspec.structs.replace(step, templates=rest), names, late=True)
    errors: dict[tuple[str | int, ...], ExpressionError] = {}
    for key, own in _grouped(apart, 2).items():
        try:
            found = resolved(msgspec.structs.replace(step, templates=own), names, late=True)
        except ExpressionError as error:
            errors[key] = error
        else:
            step = msgspec.structs.replace(found, templates=step.templates)
    places = {one.path[1]: one.place for one in apart if one.path[0] == "success"}
    return _spread(step, errors, places)


def _grouped(
    templates: Iterable[Template], size: int
) -> dict[tuple[str | int, ...], tuple[Template, ...]]:
    """Return expressions by the first keys of their paths."""
    found: dict[tuple[str | int, ...], list[Template]] = {}
    for one in templates:
        found.setdefault(one.path[:size], []).append(one)
    return {path: tuple(each) for path, each in found.items()}


def _is_command(step: Step, one: Template) -> bool:
    return isinstance(step, ShellStep) and one.path[0] == "cmd"


def _spread(step: _S, errors: Errors, places: Mapping[str | int, Place]) -> tuple[_S, Errors]:
    """Return a step that has a criterion for each item of the lists that expressions gave."""
    told: list[Criterion] = []
    moved = {way: error for way, error in errors.items() if way[0] != "success"}
    for at, one in enumerate(step.success):
        error = errors.get(("success", at))
        if error is None and at in places:
            try:
                told += spread(one)
                continue
            except ValueError as wrong:
                error = ExpressionError(str(wrong), places[at])
        if error is not None:
            moved["success", len(told)] = error
        told.append(one)
    return msgspec.structs.replace(step, success=tuple(told)), moved


def is_late(step: Step, one: Template) -> bool:
    """Tell whether an expression is evaluated after the body; a wanted exit code is not."""
    if one.path[0] == "success" and step.success[cast("int", one.path[1])].name in OF_SHELL:
        return False
    return one.path[0] in LATE


def for_reports(recipe: Recipe, names: Mapping[str, Any], origins: Mapping[str, str]) -> Recipe:
    """Return a recipe as reports show it: its `test_meta` and vars have their values.

    Args:
        recipe: The recipe.
        names: What the names of expressions mean before anything runs.
        origins: Where the values of vars come from that are not the recipe's own.

    Raises:
        ExpressionError: An expression has no value.
    """
    if not (recipe.vars or recipe.required or recipe.templates):
        return recipe
    values = names["vars"]
    meta = value_of(recipe, ("test_meta",), recipe.test_meta, names)
    found = {name: origins.get(name, "recipe") for name in values}
    return msgspec.structs.replace(recipe, test_meta=meta, vars=values, origins=found)


def value_of(
    recipe: Recipe, path: tuple[str | int, ...], value: Any, names: Mapping[str, Any]
) -> Any:
    """Return a value of the root of a recipe with those of the expressions in it.

    Args:
        recipe: The recipe.
        path: Where the value stands.
        value: The value as it was read.
        names: What the names of expressions mean.

    Raises:
        ExpressionError: An expression has no value.
    """
    return valued(recipe.templates, path, value, names)


def valued(
    templates: Sequence[Template],
    path: tuple[str | int, ...],
    value: Any,
    names: Mapping[str, Any],
) -> Any:
    """Return a value with those of the expressions in it.

    Args:
        templates: The expressions, each with its path.
        path: Where the value stands.
        value: The value as it was read.
        names: What the names of expressions mean.

    Raises:
        ExpressionError: An expression has no value.
    """
    for one in templates:
        if one.path[: len(path)] == path:
            rest = one.path[len(path) :]
            given = one.value(names)
            value = _put(value, one, rest, given) if rest else given
    return value


def is_early(template: Template) -> bool:
    """Tell whether expressions have their values before anything runs."""
    known = EARLY.union(FUNCTIONS)
    return all(chain.root in known for one in template.expressions for chain in one.reads)


def plain_locks(names: Sequence[str], templates: Iterable[Template]) -> tuple[str, ...]:
    """Return the names that are no expressions.

    Args:
        names: The locks as they are written.
        templates: The expressions beside them, or of all fields.
    """
    written = {one.path[1] for one in templates if one.path[0] == "locks" and len(one.path) > 1}
    return tuple(name for at, name in enumerate(names) if at not in written)


def lock_names(templates: Iterable[Template], names: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names that expressions give.

    Args:
        templates: The expressions, those of other fields among them.
        names: What the names of expressions mean.

    Raises:
        ExpressionError: One has no value, or one that is no name of a lock.
    """
    reader = keys_of(Step)["locks"].reader
    assert reader is not None  # noqa: S101
    told: list[str] = []
    for one in templates:
        if one.path[0] == "locks":
            value = one.value(names)
            try:
                given = reader.taken([value] if len(one.path) > 1 else value, "locks")
            except ValueError as error:
                raise ExpressionError(str(error), one.place) from None
            told += cast("tuple[str, ...]", given)
    return tuple(told)


def later(templates: Iterable[Template]) -> dict[str, str]:
    """Return the vars that have no value yet at collection, each with the name that it reads.

    Args:
        templates: The expressions in the values of a recipe's root.
    """
    found: dict[str, str] = {}
    for one in templates:
        for expression in one.expressions if one.path[0] == "vars" else ():
            for chain in expression.reads:
                name = chain.parts[0] if chain.root == "vars" and chain.parts else None
                if chain.root in _OF_A_RUN or name in found:
                    found.setdefault(str(one.path[1]), found.get(str(name), chain.root))
    return found


def _key(step: Step, field: str) -> tuple[str, Key]:
    return next(pair for pair in keys_of(type(step)).items() if pair[1].field == field)


def _taken(step: Step, field: str, value: Any, due: list[Template]) -> Any:
    name, key = _key(step, field)
    try:
        return value if key.reader is None else key.reader.taken(value, name)
    except ValueError as error:
        place = next(one.place for one in due if one.path[0] == field)
        raise ExpressionError(str(error), place) from None


def _command(
    step: ShellStep, one: Template, names: Mapping[str, Any], changed: Mapping[str, Any]
) -> dict[str, Any]:
    if len(one.path) > 1:
        given = cast("tuple[str, ...]", changed.get("cmd", step.cmd))
        return _words(_put(given, one, one.path[1:], command_line.word(one, names)), one)
    if not any(isinstance(piece, str) and piece.strip() for piece in one.pieces):
        return _words(_listed(one, names), one)
    if step.shell is None and not command_line.template_needs_shell(one):
        return _words(command_line.words(one, names), one)
    line, variables = command_line.line(one, names)
    args = changed.get("args", step.args)
    return {"cmd": line, "args": args | variables}


def _listed(one: Template, names: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the list that a command line is which is nothing but an expression."""
    found = [each.value(names) for each in one.expressions]
    if len(found) != 1 or not isinstance(found[0], list):
        raise ExpressionError(command_line.WHOLE, one.place)
    return tuple(as_text(word) for word in found[0])


def _words(words: tuple[str, ...], one: Template) -> dict[str, Any]:
    """Return a command that can be executed."""
    try:
        return {"cmd": key_types.command(tuple(key_types.word(word) for word in words))}
    except ValueError as error:
        raise ExpressionError(f"'cmd' is a list, which {error}", one.place) from None


def _put(into: Any, one: Template, path: tuple[str | int, ...], value: Any) -> Any:
    """Return a copy of a value with another one somewhere in it."""
    at, rest = path[0], path[1:]
    if isinstance(into, Criterion):
        try:
            return with_value(into, path[1:], value)
        except ValueError as error:
            raise ExpressionError(str(error), one.place) from None
    if isinstance(into, msgspec.Struct):
        inner = _put(getattr(into, str(at)), one, rest, value) if rest else value
        return _with(into, str(at), inner, one)
    old = into[at]
    new = _put(old, one, rest, value) if rest else value
    if isinstance(into, dict):
        return into | {at: new}
    items = [*into]
    items[cast("int", at)] = new
    return type(into)(items)


def _with(struct: msgspec.Struct, field: str, value: Any, one: Template) -> msgspec.Struct:
    """Return a Struct with another value of a field, which its key takes."""
    key = next((each for each in keys_of(type(struct)).values() if each.field == field), None)
    try:
        if key is not None and key.reader is not None:
            value = key.reader.taken(value, field)
    except ValueError as error:
        raise ExpressionError(str(error), one.place) from None
    return msgspec.structs.replace(struct, **{field: value})


def with_value(one: Criterion, way: tuple[str | int, ...], value: Any) -> Criterion:
    """Return a criterion with the value of an expression in what it asks for.

    Args:
        one: The criterion; `spread` looks at that of a plugin as a whole.
        way: The keys and places that lead to the expression in what is written.
        value: The value. A list in the place of a list becomes a tuple; see `spread`.

    Raises:
        ValueError: The criterion does not take it; the text says why.
    """
    if one.brought or one.name == "result_schema":
        return msgspec.structs.replace(one, wanted=_value_put(one.wanted, way, value))
    if one.name != "files":
        taken = _value_taken(keys_of(Success)[one.name].reader, one.name, way, value)
        is_part = one.name in OF_SHELL and way
        wanted = _value_put(one.wanted, way, taken) if is_part else taken
        return msgspec.structs.replace(one, wanted=wanted)
    rule = str(way[0])
    taken = _value_taken(keys_of(FileRules)[rule].reader, f"files.{rule}", way[1:], value)
    return msgspec.structs.replace(one, wanted=_value_put(one.wanted, way, as_json(taken)))


def spread(one: Criterion) -> Iterator[Criterion]:
    """Return the criteria that a list makes which an expression gave; else the criterion.

    Raises:
        ValueError: It is a plugin's, which does not take what it asks for now.
    """
    if one.brought:
        checked(one.brought.type, one.name, one.wanted)
    wanted: Any = one.wanted
    if not isinstance(wanted, tuple):
        yield one
        return
    for each in wanted:
        yield msgspec.structs.replace(one, wanted=each)


def _value_taken(reader: Reader | None, title: str, way: tuple[str | int, ...], value: Any) -> Any:
    """Return a value as the reader of its key takes it, that of an item where a way leads on."""
    for number in way:
        reader, title = reader and reader.item, f"{title}[{number}]"
    assert reader is not None  # noqa: S101  # a list was read there
    try:
        return reader.taken(value, title)
    except ValueError as error:
        if not way or not isinstance(value, list):
            raise
        raise ValueError(f"{error} (write the expression in the place of the list)") from None


def _value_put(into: Any, way: tuple[str | int, ...], value: Any) -> Any:
    """Return a copy of JSON with another value somewhere in it."""
    if not way:
        return value
    copy = into.copy()
    copy[way[0]] = _value_put(into[way[0]], way[1:], value)
    return copy
