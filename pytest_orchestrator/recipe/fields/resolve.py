"""Expressions of a step: all of them, and their replacement by their values."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

import msgspec

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.expressions import command_line
from pytest_orchestrator.recipe.expressions.expression import (
    Expression,
    ExpressionError,
    Template,
    as_text,
)
from pytest_orchestrator.recipe.expressions.names import COLLECTED, EARLY, FUNCTIONS
from pytest_orchestrator.recipe.fields.extensions import as_json, check_criterion_value
from pytest_orchestrator.recipe.fields.readers import Key, Reader, keys_of
from pytest_orchestrator.recipe.model import key_types
from pytest_orchestrator.recipe.model.options import OF_SHELL, FileRules, Success
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import Criterion, FileUse, ShellStep, Step

_S = TypeVar("_S", bound=Step)

LATE = frozenset({"success", "outputs", "measurements", "artifacts"})
"""Fields whose expressions are evaluated after the step code has run."""

_APART = frozenset({"success", "measurements"})
_BY_PART = _APART | {"outputs"}
"""Fields whose parts are converted one by one."""

Errors = Mapping[tuple[str | int, ...], ExpressionError]
"""Errors of expressions, by the field and key that contain them."""


def evaluate_step(step: _S, names: Mapping[str, Any], *, late: bool = False) -> _S:
    """Return a step with its expressions replaced by their values.

    Args:
        step: The step.
        names: The names that expressions may use, with their current values.
        late: True to evaluate the expressions that are due after the step code, False for those
            that are due before it.

    Raises:
        ExpressionError: An expression has no value, or a value that its key does not accept.
    """
    if not step.templates:
        return step
    due = [one for one in step.templates if is_late(step, one) == late]
    changed = _evaluate_fields(step, due, names)
    left = tuple(one for one in step.templates if is_late(step, one) != late)
    return msgspec.structs.replace(step, **changed, templates=left)


def _evaluate_fields(step: Step, due: list[Template], names: Mapping[str, Any]) -> dict[str, Any]:
    """Evaluate the expressions in `due`, and return the fields of the step that get new values."""
    commands = [one for one in due if _is_command(step, one)]
    changed: dict[str, Any] = {}
    for one in due:
        field = str(one.path[0])
        if not _is_command(step, one):
            value = one.value(names, exact=field == "measurements")
            whole = changed.get(field, getattr(step, field))
            changed[field] = _put(whole, one, one.path[1:], value)
    for field in changed.keys() - _BY_PART:
        changed[field] = _converted(step, field, changed[field], due)
    for one in commands:  # last: their variables are merged into `args`
        changed |= _command(cast("ShellStep", step), one, names, changed)
    return changed


def evaluate_late_expressions(step: _S, names: Mapping[str, Any]) -> tuple[_S, Errors]:
    """Evaluate the late expressions of a step, and collect errors of criteria and measurements.

    Args:
        step: The step.
        names: The names that expressions may use, with their current values.

    Returns:
        The step, and the errors in its criteria and measurements, each reported separately.

    Raises:
        ExpressionError: An expression outside of criteria and measurements has no value.
    """
    if not step.templates:
        return step, {}
    apart = [one for one in step.templates if one.path[0] in _APART]
    rest = tuple(one for one in step.templates if one.path[0] not in _APART)
    step = evaluate_step(msgspec.structs.replace(step, templates=rest), names, late=True)
    errors: dict[tuple[str | int, ...], ExpressionError] = {}
    for key, own in _grouped(apart, 2).items():
        try:
            changed = evaluate_step(msgspec.structs.replace(step, templates=own), names, late=True)
        except ExpressionError as error:
            errors[key] = error
        else:
            step = msgspec.structs.replace(changed, templates=step.templates)
    places = {one.path[1]: one.place for one in apart if one.path[0] == "success"}
    return _split_criteria(step, errors, places)


def _grouped(
    templates: Iterable[Template], size: int
) -> dict[tuple[str | int, ...], tuple[Template, ...]]:
    """Group expressions by the first `size` keys of their paths."""
    groups: dict[tuple[str | int, ...], list[Template]] = {}
    for one in templates:
        groups.setdefault(one.path[:size], []).append(one)
    return {path: tuple(each) for path, each in groups.items()}


def _is_command(step: Step, one: Template) -> bool:
    return isinstance(step, ShellStep) and one.path[0] == "cmd"


def _split_criteria(
    step: _S, errors: Errors, places: Mapping[str | int, Place]
) -> tuple[_S, Errors]:
    """Split each criterion whose expression gave a list; give the errors their new positions."""
    criteria: list[Criterion] = []
    moved = {way: error for way, error in errors.items() if way[0] != "success"}
    for at, one in enumerate(step.success):
        error = errors.get(("success", at))
        if error is None and at in places:
            try:
                criteria += split_criterion(one)
                continue
            except ValueError as wrong:
                error = ExpressionError(str(wrong), places[at])
        if error is not None:
            moved["success", len(criteria)] = error
        criteria.append(one)
    return msgspec.structs.replace(step, success=tuple(criteria)), moved


def is_late(step: Step, one: Template) -> bool:
    """Return True if an expression is evaluated after the step code; one in `exit_code` is not."""
    if one.path[0] == "success" and step.success[cast("int", one.path[1])].name in OF_SHELL:
        return False
    return one.path[0] in LATE


def for_reports(
    recipe: Recipe,
    values: Mapping[str, Any],
    test_meta: Mapping[str, Any],
    origins: Mapping[str, str],
) -> Recipe:
    """Return a copy of a recipe for reports, with `test_meta` and vars evaluated.

    Args:
        recipe: The recipe.
        values: The values of its vars.
        test_meta: Its `test_meta` with values.
        origins: The source of each value that comes from outside the recipe, by var.
    """
    if not (values or recipe.vars or recipe.required or recipe.inputs or recipe.templates):
        return recipe
    sources = {name: origins.get(name, "recipe") for name in values}
    return msgspec.structs.replace(recipe, test_meta=test_meta, vars=values, origins=sources)


def replace_expressions(
    templates: Sequence[Template],
    path: tuple[str | int, ...],
    value: Any,
    names: Mapping[str, Any],
) -> Any:
    """Return a value with its expressions replaced by their values.

    Args:
        templates: The expressions, each with its path.
        path: The position of the value, as in the paths of the expressions.
        value: The value as it was read.
        names: The names that expressions may use, with their values.

    Raises:
        ExpressionError: An expression has no value.
    """
    for one in templates:
        if one.path[: len(path)] == path:
            rest = one.path[len(path) :]
            result = one.value(names)
            value = _put(value, one, rest, result)
    return value


def is_early(template: Template) -> bool:
    """Return True if all expressions of a template can be evaluated before any step runs."""
    known = EARLY.union(FUNCTIONS)
    return all(chain.root in known for one in template.expressions for chain in one.reads)


def plain_locks(names: Sequence[str], templates: Iterable[Template]) -> tuple[str, ...]:
    """Return the names of locks that contain no expression.

    Args:
        names: The locks as they are written.
        templates: The expressions of the locks, or of all fields.
    """
    written = {one.path[1] for one in templates if one.path[0] == "locks" and len(one.path) > 1}
    return tuple(name for at, name in enumerate(names) if at not in written)


def lock_names(templates: Iterable[Template], names: Mapping[str, Any]) -> tuple[str, ...]:
    """Evaluate the expressions of `locks`, and return the names of locks that they give.

    Args:
        templates: The expressions, which may include those of other fields.
        names: The names that expressions may use, with their values.

    Raises:
        ExpressionError: An expression has no value, or a value that is no name of a lock.
    """
    reader = keys_of(Step)["locks"].reader
    assert reader is not None  # noqa: S101
    locks: list[str] = []
    for one in templates:
        if one.path[0] == "locks":
            value = one.value(names)
            try:
                lock_values = reader.convert([value] if len(one.path) > 1 else value, "locks")
            except ValueError as error:
                raise ExpressionError(str(error), one.place) from None
            locks += cast("tuple[str, ...]", lock_values)
    return tuple(locks)


def vars_unknown_at_collection(
    templates: Iterable[Template],
    unknown: Mapping[str, str] | None = None,
    of_a_run: Collection[str] = EARLY - COLLECTED,
) -> dict[str, str]:
    """Return the vars whose values need names that exist only in a run, each with such a name.

    Args:
        templates: The expressions in the values of a recipe's root, or of the root of a used file.
        unknown: Further unknown vars, such as inputs without a value, each with what it needs.
        of_a_run: The names that exist only in a run.
    """
    late = {**unknown} if unknown else {}
    # The inputs are known before the vars.
    for one in sorted(templates, key=lambda each: each.path[0] != "inputs"):
        if one.path[0] in ("vars", "inputs"):
            for reads in late_reads(one.expressions, late, of_a_run):
                late.setdefault(str(one.path[1]), reads)
    return late


def late_reads(
    expressions: Iterable[Expression], late: Mapping[str, str], of_a_run: Collection[str]
) -> Iterator[str]:
    """Yield the names that expressions read and that have no value at collection.

    Args:
        expressions: The expressions.
        late: The vars without a value, each with the name that it needs; that name is yielded.
        of_a_run: The names that exist only in a run.
    """
    for chain in (chain for one in expressions for chain in one.reads):
        name = str(chain.parts[0]) if chain.root == "vars" and chain.parts else ""
        if name in late:
            yield late[name]
        elif chain.root in of_a_run:
            yield chain.root


def _key(step: Step, field: str) -> tuple[str, Key]:
    return next(pair for pair in keys_of(type(step)).items() if pair[1].field == field)


def _converted(step: Step, field: str, value: Any, due: list[Template]) -> Any:
    name, key = _key(step, field)
    if key.reader is None:
        return value
    own = [one for one in due if one.path[0] == field]
    item = key.reader.item
    for one in own if item is not None else ():
        if len(one.path) == 2:
            way = one.path[1:]
            try:
                _converted_part(key.reader, name, way, value[way[0]])
            except ValueError as error:
                raise ExpressionError(str(error), one.place) from None
    try:
        return key.reader.convert(value, name)
    except ValueError as error:
        raise ExpressionError(str(error), own[0].place) from None


def _command(
    step: ShellStep, one: Template, names: Mapping[str, Any], changed: Mapping[str, Any]
) -> dict[str, Any]:
    if len(one.path) > 1:
        words = cast("tuple[str, ...]", changed.get("cmd", step.cmd))
        return _words(_put(words, one, one.path[1:], command_line.word(one, names)), one)
    if not any(isinstance(piece, str) and piece.strip() for piece in one.pieces):
        return _words(_listed(one, names), one)
    if step.shell is None and not command_line.template_needs_shell(one):
        return _words(command_line.words(one, names), one)
    line, variables = command_line.line(one, names)
    args = changed.get("args", step.args)
    return {"cmd": line, "args": args | variables}


def _listed(one: Template, names: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the words of the list that an expression gives as the complete command."""
    values = [each.value(names) for each in one.expressions]
    if len(values) != 1 or not isinstance(values[0], list):
        raise ExpressionError(command_line.WHOLE, one.place)
    return tuple(as_text(word) for word in values[0])


def _words(words: tuple[str, ...], one: Template) -> dict[str, Any]:
    """Check the words of a command, and return them as the new value of the field `cmd`."""
    try:
        return {"cmd": key_types.command(tuple(key_types.word(word) for word in words))}
    except ValueError as error:
        raise ExpressionError(f"'cmd' is a list, which {error}", one.place) from None


def _put(into: Any, one: Template, way: tuple[str | int, ...], value: Any) -> Any:
    """Return a copy of a value with the value of an expression; see `put`.

    Raises:
        ExpressionError: A key does not accept the value.
    """
    try:
        return put(into, way, value)
    except ValueError as error:
        raise ExpressionError(str(error), one.place) from None


def put(into: Any, way: tuple[str | int, ...], value: Any) -> Any:
    """Return a copy of a value in which the part at a path is replaced.

    Raises:
        ValueError: The key of a Struct, or a criterion, does not accept the value.
    """
    if not way:
        return value
    if isinstance(into, Criterion):
        return with_value(into, way[1:], value)
    at, rest = way[0], way[1:]
    if isinstance(into, msgspec.Struct):
        new, field = put(getattr(into, str(at)), rest, value), str(at)
        key = next((each for each in keys_of(type(into)).values() if each.field == field), None)
        if key is not None and key.reader is not None:
            new = key.reader.convert(new, field)
        return msgspec.structs.replace(into, **{field: new})
    new = put(into[at], rest, value)
    if isinstance(into, dict):
        return into | {at: new}
    items = [*into]
    items[cast("int", at)] = new
    return type(into)(items)


def with_value(one: Criterion, way: tuple[str | int, ...], value: Any) -> Criterion:
    """Return a copy of a criterion in which the value of an expression replaces the expression.

    Args:
        one: The criterion; `split_criterion` checks the complete value of a plugin's criterion.
        way: The keys and indexes of the expression in the value of the criterion.
        value: The value. A list in place of a list becomes a tuple; see `split_criterion`.

    Raises:
        ValueError: The criterion does not accept the value; the message says why.
    """
    if one.plugin_criterion or one.name == "result_schema":
        return msgspec.structs.replace(one, expected=put(one.expected, way, value))
    if one.name != "files":
        converted = _converted_part(keys_of(Success)[one.name].reader, one.name, way, value)
        is_part = one.name in OF_SHELL and way
        wanted = put(one.expected, way, converted) if is_part else converted
        return msgspec.structs.replace(one, expected=wanted)
    rule = str(way[0])
    converted = _converted_part(keys_of(FileRules)[rule].reader, f"files.{rule}", way[1:], value)
    rules = put(one.expected, way, as_json(converted))
    least, most = rules.get("min_bytes"), rules.get("max_bytes")
    if isinstance(least, int) and isinstance(most, int) and least > most:
        raise ValueError(f"'files.min_bytes' is {least}, above 'max_bytes', which is {most}")
    return msgspec.structs.replace(one, expected=rules)


def split_criterion(one: Criterion) -> Iterator[Criterion]:
    """Yield one criterion for each item if an expression gave a list, else the criterion itself.

    Raises:
        ValueError: A plugin's criterion does not accept its value.
    """
    if one.plugin_criterion:
        check_criterion_value(one.plugin_criterion.type, one.name, one.expected)
    wanted: Any = one.expected
    if not isinstance(wanted, tuple):
        yield one
        return
    for each in wanted:
        yield msgspec.structs.replace(one, expected=each)


def _converted_part(
    reader: Reader | None, title: str, way: tuple[str | int, ...], value: Any
) -> Any:
    """Convert a value with the reader of its key; if `way` is not empty, with that of an item."""
    for number in way:
        reader, title = reader and reader.item, f"{title}[{number}]"
    assert reader is not None  # noqa: S101  # the reader of a list has a reader of its items
    try:
        return reader.convert(value, title)
    except ValueError as error:
        if not way or not isinstance(value, list):
            raise
        raise ValueError(f"{error} (write the expression in the place of the list)") from None


def all_expressions(step: Step) -> Iterator[tuple[Expression, bool]]:
    """Yield the expressions of a step, each with True if it is evaluated after the step code."""
    for one in step.templates:
        is_after = bool(one.path) and is_late(step, one)
        yield from ((each, is_after) for each in one.expressions)
    for condition in (step.if_, step.foreach):
        if isinstance(condition, Expression):
            yield condition, False
    if step.retry is not None:
        conditions = (step.retry.until, step.retry.abort_if)
        yield from ((each, True) for each in conditions if each is not None)
    yield from ((each.value, True) for each in step.measurements.values())
    yield from ((each.expression, True) for each in step.success if each.expression is not None)


def expressions_of_uses(step: Step) -> Iterator[tuple[Expression, FileUse]]:
    """Yield the expressions of the `use` steps that include a step, each with its `use`."""
    for file_use in step.uses:
        for one in file_use.with_templates:
            yield from ((each, file_use) for each in one.expressions)
        if file_use.condition is not None:
            yield file_use.condition, file_use
