"""Units of a panel: the root key `units`, and the rules for `scope` and `turn` of steps.

A step that sets an instrument and another that measures with it would be torn apart by another
unit that uses the instrument in between. So a recipe in which this could happen is refused.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET

from pytest_orchestrator.core.typed_fields import InputField, SocketField
from pytest_orchestrator.recipe.fields.nested import read_nested
from pytest_orchestrator.recipe.fields.readers import Reading
from pytest_orchestrator.recipe.loader.checks import Content
from pytest_orchestrator.recipe.loader.matrix import check_context
from pytest_orchestrator.recipe.loader.steps import Draft
from pytest_orchestrator.recipe.model.graph import upstream
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.root_mappings import Units, serial_of
from pytest_orchestrator.recipe.model.step import SIDE_BY_SIDE, Step
from pytest_orchestrator.recipe.parsing.nodes import Pairs, pairs
from pytest_orchestrator.recipe.problems import Problem, Problems, RecipeError, quoted

_ALONE: Final = ("locks", "instrument", "turn", "matrix", "background")
"""Keys that a step with `scope: together` cannot have."""
_OF_SERIAL: Final = ("type", "default", "secret")
"""Keys of a field that a serial number cannot have: it is a text, and stands in reports."""


def read_units(key_nodes: Pairs, fields: dict[str, Any], reading: Reading) -> None:
    """Read ``units``, and add an input for the serial number of each unit.

    Args:
        key_nodes: The root keys of the file.
        fields: The fields of the recipe; receives ``units`` and ``inputs``.
        reading: Receives the problems.
    """
    node = key_nodes["units"][1]
    fields.setdefault("inputs", {})
    before = len(reading.problems.found)
    found = read_nested(Units, node, "units", msgspec.structs.replace(reading, path=("units",)))
    if "matrix" in key_nodes:
        hint = "give the steps a matrix, or write a recipe for each cell"
        reading.report(key_nodes["matrix"][0], "matrix", " stands beside 'units'", hint)
    check_context(key_nodes, reading)
    if found is None:
        return
    if (found.get("count") is None) is not found.get("names"):
        own = pairs(node)
        if ("count" in own) == ("names" in own):
            tail = (
                " has 'count' and 'names'" if "count" in own else " has no 'count' and no 'names'"
            )
            reading.report(node, "units", tail, "write {count: 4}, or {names: [A, B]}")
    names = found.get("names", ())
    for twice in dict.fromkeys(name for name in names if names.count(name) > 1):
        reading.report(pairs(node)["names"][1], "units.names", f" has {quoted(twice)} twice")
    field = _serial(pairs(node)["serial"][1], reading) if "serial" in pairs(node) else None
    if len(reading.problems.found) > before:
        return
    units = fields["units"] = Units(**{**found, "serial": field})
    if field is not None:
        fields["inputs"] = {
            **fields["inputs"],
            **{serial_of(name): _described(field, name) for name in units.all},
        }


def _serial(node: Any, reading: Reading) -> InputField | None:
    title = "units.serial"
    for name in _OF_SERIAL:
        keys = pairs(node) if reading.kind(node) == "a mapping" else {}
        if name in keys:
            tail = " is no key of serial numbers, which are texts that reports show"
            reading.report(keys[name][0], f"{title}.{name}", tail)
    fields = read_nested(InputField, node, title, reading)
    return None if fields is None else InputField(**fields)


def _described(field: InputField, unit: str) -> InputField:
    about = (field.description or field.label or "Serial number").rstrip(".")
    text = f"{about}; empty if there is no unit."
    known = {**msgspec.structs.asdict(field), "label": f"Unit {unit}", "description": text}
    return SocketField(**known)


def with_present(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """Return a recipe that knows which of its units are empty.

    Args:
        recipe: A recipe with `units`.
        values: The values of its vars and inputs, as far as they are known at collection.

    Raises:
        RecipeError: No unit is present, or two have the same serial number.
    """
    units = recipe.units
    assert units is not None  # noqa: S101
    serials = {name: values.get(serial_of(name), UNSET) for name in units.all}
    empty = tuple(name for name, serial in serials.items() if serial == "")
    head = ""
    if len(empty) == len(units.all):
        head = "all sockets are empty: no unit has a serial number"
    first: dict[str, str] = {}
    for name, serial in serials.items():
        if isinstance(serial, str) and serial and first.setdefault(serial, name) != name:
            head = f"units '{first[serial]}' and '{name}' have the same serial number, {serial}"
    if head:
        raise RecipeError([Problem(recipe.at["units"], head)], recipe.id, recipe.text)
    units = msgspec.structs.replace(units, empty=empty)
    return msgspec.structs.replace(recipe, units=units, context="recipe")


def check_units(content: Content) -> None:
    """Check the keys `scope` and `turn` of all steps."""
    has_units = "units" in content.fields
    for final, drafts in ((False, content.steps), (True, content.final)):
        for each in drafts:
            if has_units:
                _check_scope(each, content.problems, is_final=final)
            else:
                _refuse_without(each, content.problems)
    if has_units:
        _check_turns(content.steps, content.problems)


def _refuse_without(each: Draft, problems: Problems) -> None:
    for key in ("scope", "turn"):
        if key in each.at:
            hint = "units: {count: 4} at the root, or leave it out"
            _note(each, key, " stands in a recipe without 'units'", hint, problems)


def scope_of(each: Draft, *, is_final: bool = False) -> str:
    """Return the scope of a step in a recipe with units."""
    scope: str | None = each.fields.get("scope")
    return scope or ("once" if is_final else "each")


def _check_scope(each: Draft, problems: Problems, *, is_final: bool) -> None:
    scope = scope_of(each, is_final=is_final)
    if scope == "once" and "turn" in each.at:
        _note(each, "turn", " is for steps of units, and this step runs once", "", problems)
    if scope != "together":
        return
    for key in filter(each.at.__contains__, _ALONE):
        tail = " stands beside 'scope: together': units that start at once cannot wait for it"
        _note(each, key, tail, "write scope: each", problems)
    if each.model.type == "prompt":
        tail = " is 'prompt', and one question is asked at a time"
        _note(each, "type", tail, "write scope: each, or once", problems)
    if is_final:
        tail = " is 'together', and units end one by one"
        _note(each, "scope", tail, "write scope: each, or once", problems)


def _note(each: Draft, key: str, tail: str, hint: str, problems: Problems) -> None:
    place = each.at.get(key, each.at[""])
    problems.add(place, f"'{key}'", f" in {each.title}", tail, hint=hint)


def _check_turns(steps: Sequence[Draft], problems: Problems) -> None:
    """Report turns in which a unit would wait for another that waits for the turn."""
    needs = {each.name: each.awaited for each in steps}
    before = {each.name: upstream(each.name, needs) for each in steps}
    turns: dict[str, list[Draft]] = {}
    for each in steps:
        if turn := each.fields.get("turn"):
            turns.setdefault(turn, []).append(each)
    for turn, members in turns.items():
        names = {each.name for each in members}
        for each in members:
            inside = [one for one in steps if one.name in before[each.name] - names]
            inside = [one for one in inside if before[one.name] & names]
            for one in inside:
                other = one.fields.get("turn")
                scope = scope_of(one)
                if scope == "each" and not (other and _waits_for(other, turns, names, before)):
                    continue
                why = (
                    f"waits for all units ('{scope}')"
                    if scope != "each"
                    else (f"has the turn {quoted(str(other))}, which waits for this one too")
                )
                tail = f" is {quoted(turn)}, and '{one.name}', which runs within it, {why}"
                hint = "give both one turn" if other else f"end the turn before '{one.name}'"
                _note(each, "turn", tail, hint, problems)
                break


def _waits_for(
    turn: str, turns: Mapping[str, list[Draft]], names: set[str], before: Mapping[str, set[str]]
) -> bool:
    """Return True if a turn of several steps has one that waits for one of some steps."""
    return len(turns[turn]) > 1 and any(before[each.name] & names for each in turns[turn])


def check_instruments(steps: Iterable[Step], shared: Collection[str], problems: Problems) -> None:
    """Report two steps of a unit that use one instrument without a common turn.

    Args:
        steps: The steps of the recipe.
        shared: The instruments whose steps do not depend on each other.
        problems: Receives the problems.
    """
    from pytest_orchestrator.recipe.fields import type_hooks

    first: dict[str, Step] = {}
    for step in steps:
        if (step.scope or "each") not in SIDE_BY_SIDE:
            continue
        for name in type_hooks.call("instruments", step, ""):
            other = first.setdefault(name, step)
            if name in shared or other is step or (step.turn and step.turn == other.turn):
                continue
            place = (step.uses[-1].place if step.uses else step.at.get("instrument")) or step.at[""]
            head = f"steps '{other.name}' and '{step.name}' use instrument '{name}'"
            tail = ", and another unit may use it in between"
            hint = f"give both the same turn, as turn: {name}; or shared: true in the station file"
            problems.add(place, head, "", tail, hint=hint)
            break
