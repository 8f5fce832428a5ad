"""Repetition: the matrix of a recipe or of a step with its cells, and the key `foreach`."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.recipe.expressions.expression import (
    Expression,
    ExpressionError,
    Template,
    as_text,
    collecting,
)
from pytest_orchestrator.recipe.fields.readers import Reading
from pytest_orchestrator.recipe.fields.resolve import replace_expressions
from pytest_orchestrator.recipe.model.step import Cell
from pytest_orchestrator.recipe.parsing.nodes import Pairs
from pytest_orchestrator.recipe.parsing.source import PLAIN
from pytest_orchestrator.recipe.problems import quoted
from pytest_orchestrator.recipe.pyyaml import MappingNode, Node, ScalarNode, SequenceNode

MOST = 1000
"""Most cells of one matrix."""

_NAME = lazy_pattern(r"[A-Za-z_][A-Za-z0-9_]*")
_STRANGE = lazy_pattern(r"[^\w.+-]")
_OWN = ("include", "exclude")


def check_context(key_nodes: Pairs, reading: Reading) -> None:
    """Report a ``context: session`` beside the matrix of a recipe, which it would not obey."""
    context = key_nodes["context"][1] if "context" in key_nodes else None
    if context is not None and context.value == "session":
        tail = " is 'session', but each cell of a matrix always has its own Context"
        reading.report(context, "context", tail, "leave it out")


def check_matrix(node: Node, reading: Reading) -> None:
    """Report the problems of a matrix as it is written; its lists may be expressions."""
    keys = reading.mapping(node, "matrix")
    for name, (name_node, value) in (keys or {}).items():
        if not _NAME.fullmatch(name):
            should = "should be letters, digits and _, beginning with a letter or _"
            reading.report(name_node, "matrix", f" has the key {quoted(name)}, {should}")
        elif type(value) is not SequenceNode:
            _with_expressions(reading).report_kind(value, f"matrix.{name}", "a list")
        elif not value.value and name not in _OWN:
            reading.report(value, f"matrix.{name}", " is empty: no step would run")
        elif name in _OWN:
            for number, entry in enumerate(value.value):
                if type(entry) is not MappingNode:
                    title = f"matrix.{name}[{number}]"
                    _with_expressions(reading).report_kind(entry, title, "a mapping")
    if keys == {}:
        reading.report(node, "matrix", " is empty: no step would run")


def _with_expressions(reading: Reading) -> Reading:
    return msgspec.structs.replace(reading, values=reading.values.with_expressions)


def matrix_names(matrix: Mapping[str, Json]) -> list[str] | None:
    """Return the names of the values of a matrix; None if they are unknown before a run."""
    names = [name for name in matrix if name not in _OWN]
    entries = matrix.get("include", [])
    if not isinstance(entries, list):
        return None
    for entry in entries:
        if not isinstance(entry, dict):
            return None
        names += entry
    return list(dict.fromkeys(names))


class Matrix(msgspec.Struct, frozen=True):
    """A matrix as it is written, at the root of a recipe or on a step.

    Attributes:
        lists: The lists by name, with `include` and `exclude`.
        templates: The expressions; those of the lists have a path that begins with ``matrix``.
        at: The place of each list by names such as ``matrix.gain``, and that of the ``matrix``.
    """

    lists: Mapping[str, Json]
    templates: Sequence[Template]
    at: Mapping[str, Place]

    @property
    def expressions(self) -> list[Expression]:
        """The expressions in the lists."""
        own = (one for one in self.templates if one.path[0] == "matrix")
        return [expression for one in own for expression in one.expressions]

    def place(self, name: str = "") -> Place:
        """Return the place of a list; that of the matrix if the list has none."""
        return self.at.get(f"matrix.{name}", self.at["matrix"])

    def cells(self, names: Mapping[str, Any]) -> list[Cell]:
        """Return the cells, in the order and by the rules of GitHub Actions.

        Args:
            names: The names that expressions may use at collection, with their values.

        Raises:
            ExpressionError: An expression has no value or gives no list, or there are too many
                cells or none.
        """
        axes: dict[str, list[Json]] = {}
        with collecting():
            for name, value in self.lists.items():
                path = ("matrix", name)
                axes[name] = self._listed(
                    name, replace_expressions(self.templates, path, value, names)
                )
        include, exclude = (self._entries(name, axes.pop(name, [])) for name in _OWN)
        combinations = self._combined(axes, include, exclude)
        if not combinations:
            raise ExpressionError("the matrix has no cell: no step would run", self.place())
        ids = _names(combinations, axes)
        return [Cell(name, each.values) for name, each in zip(ids, combinations, strict=True)]

    def _listed(self, name: str, value: Json) -> list[Json]:
        if not isinstance(value, list):
            raise ExpressionError(f"matrix.{name} is no list", self.place(name))
        if not value and name not in _OWN:
            raise ExpressionError(f"matrix.{name} is empty: no step would run", self.place(name))
        return value

    def _entries(self, name: str, entries: list[Json]) -> list[dict[str, Json]]:
        for entry in entries:
            if not isinstance(entry, dict):
                reason = f"matrix.{name} has an entry that is no mapping"
                raise ExpressionError(reason, self.place(name))
        return [entry for entry in entries if isinstance(entry, dict)]

    def _combined(
        self,
        axes: Mapping[str, list[Json]],
        include: list[dict[str, Json]],
        exclude: list[dict[str, Json]],
    ) -> "list[_Combination]":
        """Return the values of all cells."""
        size = 1
        for values in axes.values():
            size *= len(values)
        if size > MOST:
            reason = f"the matrix has {size:,} cells; {MOST:,} are the most"
            raise ExpressionError(reason, self.place())
        self._check_known(axes, exclude)
        combined = []
        for numbers in itertools.product(*map(range, map(len, axes.values()))) if axes else ():
            indices = dict(zip(axes, numbers, strict=True))
            cell = {name: axes[name][index] for name, index in indices.items()}
            if not any(_within(entry, cell) for entry in exclude):
                combined.append(_Combination(cell, indices))
        original = len(combined)
        for entry in include:
            own = {name: value for name, value in entry.items() if name in axes}
            met = [each for each in combined[:original] if _within(own, each.values)]
            for combination in met:
                combination.values.update(entry)
            if not met:
                combined.append(_Combination(dict(entry), {}))
        return combined

    def _check_known(self, axes: Mapping[str, list[Json]], exclude: list[dict[str, Json]]) -> None:
        for entry in exclude:
            for name in entry:
                if name not in axes:
                    reason = f"matrix.exclude names {name!r}, which the matrix does not have"
                    raise ExpressionError(reason, self.place("exclude"))


class _Combination(msgspec.Struct, frozen=True):
    """Values of one cell of a matrix.

    Attributes:
        values: The values by name, with those that `include` adds.
        indices: The index of each value in the list that it was taken from; values of `include`
            have none.
    """

    values: dict[str, Json]
    indices: Mapping[str, int]


def _within(entry: Mapping[str, Json], cell: Mapping[str, Json]) -> bool:
    return all(
        name in cell and type(cell[name]) is type(value) and cell[name] == value
        for name, value in entry.items()
    )


def _names(combinations: list[_Combination], axes: Mapping[str, list[Json]]) -> Iterator[str]:
    """Yield the id of each cell: its names and values.

    A value without a short text, or with the same text as another value, becomes its index.
    """
    values_of_cells = [combination.values for combination in combinations]
    order = list(dict.fromkeys([*axes, *(name for cell in values_of_cells for name in cell)]))
    values: dict[str, list[Json]] = {name: [] for name in order}
    for name in order:
        for cell in values_of_cells:
            if name in cell and not any(_same(cell[name], one) for one in values[name]):
                values[name].append(cell[name])
    for name in axes:
        values[name] = axes[name]
    texts = {name: [_short(value) for value in listed] for name, listed in values.items()}
    seen: dict[str, int] = {}
    for combination in combinations:
        cell, indices = combination.values, combination.indices
        parts = []
        for name in (name for name in order if name in cell):
            index = indices.get(name, _index(cell[name], values[name]))
            parts.append(f"{name}:{_text(cell[name], texts[name], index)}")
        text = joined = ",".join(parts)
        while text in seen:
            seen[joined] += 1
            text = f"{joined}-{seen[joined]}"
        seen[text] = 1
        yield text


def _index(value: Json, values: list[Json]) -> int:
    return next((index for index, one in enumerate(values) if _same(one, value)), 0)


def _text(value: Json, texts: list[str], index: int) -> str:
    short = _short(value)
    is_unique = short and not isinstance(value, list | dict) and texts.count(short) < 2
    return short if is_unique else str(index)


def _short(value: Json) -> str:
    return _STRANGE.sub("_", as_text(value))[:60]


def _same(one: Json, other: Json) -> bool:
    return type(one) is type(other) and one == other


_WANTED = "an expression that gives a list, or a list"
_LEAVE = "leave one of them out"


def without_null_list(key_nodes: Pairs, reading: Reading) -> Pairs:
    """Return the keys of a step without ``foreach`` if its list is null, which is reported.

    Args:
        key_nodes: The keys of the step and their nodes.
        reading: Receives the problem.
    """
    node = key_nodes["foreach"][1] if "foreach" in key_nodes else None
    if type(node) is not ScalarNode or node.tag != PLAIN or not node.value:
        return key_nodes
    if reading.values.with_expressions.scalar(node) is not None:
        return key_nodes
    reading.report_kind(node, "foreach", _WANTED)
    return {name: pair for name, pair in key_nodes.items() if name != "foreach"}


def check_foreach(key_nodes: Pairs, reading: Reading, *, is_service: bool) -> None:
    """Report the problems of ``foreach`` and ``fail_fast`` that do not depend on a run.

    Args:
        key_nodes: The keys of the step and their nodes.
        reading: Receives the problems.
        is_service: True for a step with `background: true`.
    """
    if "foreach" not in key_nodes:
        node = key_nodes["fail_fast"][0]
        hint = "it ends the loop over the elements of a list"
        reading.report(node, "fail_fast", " stands without 'foreach'", hint)
        return
    key, list_node = key_nodes["foreach"]
    if is_service:
        tail = " stands beside 'background': a service is started once"
        reading.report(key, "foreach", tail, _LEAVE)
    if type(list_node) is ScalarNode and list_node.tag == PLAIN and list_node.value:
        value = reading.values.with_expressions.scalar(list_node)
        if isinstance(value, bool | int | float):  # `_Condition` takes it as an expression
            reading.report_kind(list_node, "foreach", _WANTED)
