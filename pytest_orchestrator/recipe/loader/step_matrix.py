"""Expansion of the steps with a matrix: one step for each cell, with its needs and outputs.

The steps of a used file are expanded together if the step with `use` has a matrix. So a step in
one cell of the use needs only the steps of the same cell.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import msgspec

from pytest_orchestrator.core.errors import ContextKeyError
from pytest_orchestrator.core.keys import checked_key
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.recipe.expressions.expression import (
    Expression,
    ExpressionError,
    Template,
    as_text,
    collecting,
)
from pytest_orchestrator.recipe.expressions.names import BEFORE, CONDITION, EARLY
from pytest_orchestrator.recipe.fields.resolve import (
    late_reads,
    vars_unknown_at_collection,
)
from pytest_orchestrator.recipe.loader.include import MOST, numbered_samplers
from pytest_orchestrator.recipe.loader.matrix import Matrix, matrix_names
from pytest_orchestrator.recipe.model.options import Output
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.root_mappings import Sampler
from pytest_orchestrator.recipe.model.step import (
    Cell,
    FileUse,
    NamedCell,
    Source,
    Step,
    cell_name,
)
from pytest_orchestrator.recipe.problems import Problem, RecipeError, quoted
from pytest_orchestrator.recipe.variables import var_values, with_values

_EARLY = "cells exist at collection, before there is that"
_KEYS_EARLY = "such keys are evaluated at collection, before there is that"


def expand_steps(recipe: Recipe, names: Mapping[str, Any] | None) -> Recipe:
    """Return a recipe in which each step with a matrix is replaced by its cells.

    Args:
        recipe: The recipe, or one cell of its matrix.
        names: The names that expressions may use at collection, with their values. None if they
            are not known: then a matrix with expressions is not expanded and not checked.

    Raises:
        RecipeError: A matrix, a key of `outputs` or the name of a cell has an error.
    """
    return _Expansion(recipe, names).recipe()


class _Nest(NamedTuple):
    """The cells around a step.

    Attributes:
        uses: The uses that include the step, the outermost first.
        ids: The id of the cell of each step that has a matrix, by the name of that step; below
            ``""`` that of the unit, which comes first.
        values: The values of all these cells.
        unit: Name and index of the unit; empty for a step of no unit.
    """

    uses: tuple[FileUse, ...] = ()
    ids: Mapping[str, str] = {}
    values: Mapping[str, Any] = {}
    unit: Mapping[str, Any] = {}

    def of_unit(self, index: int, name: str) -> "_Nest":
        """Return the nest of a step of that unit."""
        ids = {"": f"unit:{name}", **self.ids}
        return self._replace(ids=ids, unit={"name": name, "index": index})

    def within(self, name: str, cell: Cell | None, use: FileUse | None = None) -> "_Nest":
        """Return the nest inside a step with that name, in one cell of its matrix."""
        uses = (*self.uses, use) if use else self.uses
        if cell is None:
            return self._replace(uses=uses)
        return _Nest(uses, {**self.ids, name: cell.id}, {**self.values, **cell.values})

    @property
    def cell(self) -> Cell | None:
        """The cell with the ids and values of all matrices; None outside of any matrix."""
        if not self.ids:
            return None
        return Cell(",".join(self.ids.values()), dict(self.values), dict(self.unit))


class _Expanded(NamedTuple):
    """One cell of a step, or a step without a matrix.

    Attributes:
        step: The step as it is written.
        nest: The cells around it, with its own.
        around: The cells around it without its own.
    """

    step: Step
    nest: _Nest
    around: _Nest


class _Written(NamedTuple):
    """The matrix of a step, or of a step with `use`."""

    name: str
    matrix: Matrix
    source: Recipe | Source

    @property
    def where(self) -> str:
        return f" in step '{self.name}'"


class _Names(NamedTuple):
    """Names that expressions of one file may use at collection.

    Attributes:
        values: The names with their values.
        late: The vars whose values are not known at collection, each with a name that it reads.
    """

    values: Mapping[str, Any]
    late: Mapping[str, str]


class _Expansion:
    """Expansion of the steps of one recipe."""

    def __init__(self, recipe: Recipe, names: Mapping[str, Any] | None) -> None:
        self._recipe = recipe
        present = recipe.units.present if recipe.units is not None else ()
        names_of_units = recipe.units.all if recipe.units is not None else ()
        self._units = [(names_of_units.index(name), name) for name in present]
        self._names = names
        self._problems: dict[Problem, Recipe | Source] = {}
        self._expanded: dict[str, list[_Expanded]] = {}
        self._unknown: set[str] = set()
        self._known: dict[tuple[str, str], _Names] = {}
        self._uses: dict[tuple[str, str], FileUse] = {}
        self._all: dict[str, tuple[str, ...]] = {}
        self._size = 0

    def recipe(self) -> Recipe:
        """Return the recipe with the expanded steps.

        Raises:
            RecipeError: There are problems; the error has those of the first file.
        """
        recipe = self._recipe
        steps = list(self._by_unit(self._spread(recipe.steps, _Nest()), "each"))
        final = list(self._by_unit(self._spread(recipe.final, _Nest()), "once"))
        for each in (*steps, *final):
            self._expanded.setdefault(each.step.name, []).append(each)
        made = [self._made(each, index) for index, each in enumerate((*steps, *final), start=1)]
        self._check_outputs(made)
        if self._problems:
            source = next(iter(self._problems.values()))
            problems = [one for one, other in self._problems.items() if other is source]
            raise RecipeError(problems, source.id, source.text)
        cut = len(steps)
        return msgspec.structs.replace(
            recipe,
            steps=tuple(made[:cut]),
            final=tuple(made[cut:]),
            samplers=numbered_samplers([*self._samplers()], len(made)),
            has_cells=True,
        )

    def _note(
        self,
        source: Recipe | Source,
        place: Place,
        head: str,
        where: str = "",
        tail: str = "",
        hint: str = "",
    ) -> None:
        self._problems.setdefault(Problem(place, head, where, tail, hint), source)

    def _source(self, uses: Sequence[FileUse]) -> Recipe | Source:
        return uses[-1].source if uses else self._recipe

    def _spread(self, steps: Sequence[Step], nest: _Nest) -> Iterator[_Expanded]:
        """Yield the cells of steps of one file, those of one cell of a `use` together."""
        depth = len(nest.uses)

        def use_of(step: Step) -> FileUse | None:
            uses = step.uses[::-1]
            return uses[depth] if len(uses) > depth else None

        def key(step: Step) -> str:
            use = use_of(step)
            return use.name if use else ""

        for name, group in groupby(steps, key):
            members = list(group)
            use = use_of(members[0])
            if use is not None:
                lists, places = use.matrix, use.matrix_at
                for cell in self._cells(name, lists, use.with_templates, places, nest):
                    yield from self._spread(members, nest.within(name, cell, use))
                continue
            for step in members:
                for cell in self._cells(step.name, step.matrix, step.templates, step.at, nest):
                    self._size += 1
                    if self._size > MOST:
                        self._refuse_size()
                    yield _Expanded(step, nest.within(step.name, cell), nest)

    def _by_unit(self, steps: Iterator[_Expanded], scope: str) -> Iterator[_Expanded]:
        """Yield each step for each unit that is present; steps with the scope ``once`` once."""
        for each in steps:
            if not self._units or (each.step.scope or scope) == "once":
                yield each
                continue
            for index, name in self._units:
                self._size += 1
                if self._size > MOST:
                    self._refuse_size()
                yield each._replace(nest=each.nest.of_unit(index, name))

    def _samplers(self) -> Iterator[Sampler]:
        """Yield the sampled values, those with the scope ``each`` for each unit."""
        for one in self._recipe.samplers:
            if one.sampling.scope != "each":
                yield one
                continue
            for index, unit in self._units:
                cell = _Nest().of_unit(index, unit).cell
                name = cell_name(one.name, f"unit:{unit}")
                yield msgspec.structs.replace(
                    one, step=msgspec.structs.replace(one.step, name=name, cell=cell)
                )

    def _refuse_size(self) -> None:
        place = self._recipe.at.get("steps", Place(1, 1))
        head = f"more than {MOST:,} steps, those of all cells counted"
        raise RecipeError([Problem(place, head)], self._recipe.id, self._recipe.text)

    def _cells(
        self,
        name: str,
        lists: Mapping[str, Any] | None,
        templates: Sequence[Template],
        at: Mapping[str, Place],
        nest: _Nest,
    ) -> Sequence[Cell | None]:
        """Return the cells of a matrix; only None without one, or if the cells are not known."""
        if lists is None:
            return (None,)
        written = _Written(name, Matrix(lists, templates, at), self._source(nest.uses))
        expressions = written.matrix.expressions
        cells: Sequence[Cell] = ()
        try:
            known = self._names_of(nest) if expressions else _Names({}, {})
            if known is not None and not self._has_late(written, expressions, known):
                cells = written.matrix.cells(known.values)
        except ExpressionError as error:
            place = error.place or written.matrix.place()
            self._note(written.source, place, f"step '{written.name}': {error}")
        if not cells:
            self._unknown.add(written.name)
            return (None,)
        self._check_names(written, cells, nest)
        return cells

    def _has_late(
        self, written: _Written, expressions: Sequence[Expression], known: _Names
    ) -> bool:
        late = [(one, reads) for one in expressions for reads in _late(one, known.late)]
        for one, reads in late:
            self._note(written.source, one.place, "'matrix'", written.where, reads, _EARLY)
        return bool(late)

    def _check_names(self, written: _Written, cells: Sequence[Cell], nest: _Nest) -> None:
        """Report a name that this matrix and a matrix around it have."""
        recipe = self._recipe
        around = dict.fromkeys(nest.values, "the matrix of its `use`")
        of_root = recipe.cell.values if recipe.cell else matrix_names(recipe.matrix) or ()
        around |= dict.fromkeys(of_root, "the matrix of the recipe")
        for name in dict.fromkeys(name for cell in cells for name in cell.values):
            if name in around:
                source, place = written.source, written.matrix.place(name)
                if nest.uses:  # the used file does not know who uses it
                    source, place = recipe, nest.uses[0].place
                head = f"matrix.{name}"
                tail = f" is a name of {around[name]}, too"
                hint = "call one of them by another name"
                self._note(source, place, head, written.where, tail, hint)

    def _names_of(self, nest: _Nest) -> _Names | None:
        """Return the names that expressions of a file may use; None if they are not known."""
        if self._names is None:
            return None
        use = nest.uses[-1] if nest.uses else None
        key = (use.name if use else "", ",".join(nest.ids.values()))
        if key not in self._known:
            recipe = self._recipe
            root = recipe.cell.values if recipe.cell else {}
            if use is None:
                names = {**self._names, "matrix": {**root, **nest.values}}
                self._known[key] = _Names(names, vars_unknown_at_collection(recipe.templates))
            else:
                outer = self._names_of(nest._replace(uses=nest.uses[:-1]))
                assert outer is not None  # noqa: S101  # the names are known
                self._known[key] = _names_within(use, outer)
        return self._known[key]

    def _made(self, each: _Expanded, index: int) -> Step:
        """Return one cell of a step as a step of its own."""
        step, nest = each.step, each.nest
        return msgspec.structs.replace(
            step,
            name=self._name(each),
            index=index,
            needs=self._awaited(each, "needs", step.needs),
            after=self._awaited(each, "after", step.after),
            matrix=None,
            named_cells=(),
            cell=nest.cell,
            outputs=tuple(self._output(each, one) for one in step.outputs),
            templates=tuple(one for one in step.templates if one.path[0] != "matrix"),
            file_use=self._use(nest.uses, nest.ids) if nest.uses else None,
        )

    def _name(self, each: _Expanded) -> str:
        return cell_name(each.step.name, *each.nest.ids.values())

    def _use(self, uses: tuple[FileUse, ...], ids: Mapping[str, str]) -> FileUse:
        """Return a use in one cell; the steps of that cell share the object."""
        use = uses[-1]
        own = [ids[one] for one in ("", *(use.name for use in uses)) if one in ids]
        key = (use.name, ",".join(own))
        if key not in self._uses:
            outer = self._use(uses[:-1], ids) if uses[1:] else None
            self._uses[key] = msgspec.structs.replace(
                use, name=cell_name(use.name, *own), cell=key[1], outer=outer, matrix=None
            )
        return self._uses[key]

    def _awaited(self, each: _Expanded, key: str, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the cells of the steps that a step waits for."""
        named = [one for one in each.step.named_cells if one.key == key]
        for one in named:
            self._check_named(each, one)
        awaited: list[str] = []
        for name in names:
            if name not in self._all:
                self._all[name] = tuple(map(self._name, self._expanded[name]))
            shared = each.nest.ids.keys() & self._expanded[name][0].nest.ids.keys()
            if not shared and not named:
                if len(names) == 1 and not each.nest.unit:
                    return self._all[name]  # the cells of this step share the tuple
                awaited += self._all[name]
                continue
            for other in self._expanded[name]:
                ids = other.nest.ids
                if all(ids[one] == each.nest.ids[one] for one in shared) and _is_meant(ids, named):
                    awaited.append(self._name(other))
        if each.nest.unit and key == "needs":
            awaited += self._through_once(each, names)
        return tuple(dict.fromkeys(awaited))

    def _through_once(self, each: _Expanded, names: tuple[str, ...]) -> Iterator[str]:
        """Yield what a step of a unit needs of its own unit through steps that run once.

        Such a step runs as long as one unit is left, so it does not keep a failed unit from going
        on: the steps before it have to.
        """
        queue = [name for name in names if not self._expanded[name][0].nest.unit]
        for name in queue:
            for need in self._expanded[name][0].step.needs:
                for other in self._expanded[need]:
                    if not other.nest.unit:
                        queue += [need] if need not in queue else []
                    elif other.nest.unit == each.nest.unit:
                        yield self._name(other)

    def _check_named(self, each: _Expanded, one: NamedCell) -> None:
        cells = {
            other.nest.ids[one.step]
            for others in self._expanded.values()
            for other in others
            if one.step in other.nest.ids
        }
        if one.cell in cells or one.step in self._unknown:
            return
        verb = "needs" if one.key == "needs" else "comes after"
        name = each.step.name
        cell = f"{one.step}[{one.cell}]"
        head = f"step '{name}' {verb} {quoted(cell)}, and step '{one.step}' has no such cell"
        hint = nearest(cell, [f"{one.step}[{other}]" for other in sorted(cells)])
        self._note(self._source(each.nest.uses), one.place, head, hint=hint.strip(" ()"))

    def _output(self, each: _Expanded, output: Output) -> Output:
        """Return an output with the expressions in its key replaced by their values."""
        template = output.key_template
        if template is None:
            return output
        source, where = self._source(each.nest.uses), f" in step '{each.step.name}'"
        text = ""
        try:
            known = self._names_of(each.around) or _static(template, each.nest)
            if known is None:
                return output
            late = [reads for one in template.expressions for reads in _late(one, known.late)]
            if late:
                head = "a key of 'outputs'"
                self._note(source, template.place, head, where, late[0], _KEYS_EARLY)
                return output
            matrix = {**known.values["matrix"], **each.nest.values}
            with collecting():
                text = as_text(template.value({**known.values, "matrix": matrix}))
            return msgspec.structs.replace(output, key=checked_key(text), key_template=None)
        except ExpressionError as error:
            place = error.place or template.place
            self._note(source, place, f"step '{each.step.name}': {error}")
        except ContextKeyError:
            tail = f" has the key {quoted(text)}, should be a key of the Context such as "
            self._note(source, template.place, "'outputs'", where, f"{tail}dut.serial_v1")
        return output

    def _check_outputs(self, made: Sequence[Step]) -> None:
        """Report each key of the Context that two cells of a step would write."""
        written: dict[tuple[str, str], dict[str, str]] = {}
        reported: set[tuple[str, Place]] = set()
        for step in made:
            base, bracket, _ = step.name.partition("[")
            for output in step.outputs if bracket else ():
                if output.key_template is not None or (base, output.place) in reported:
                    continue
                other = written.setdefault((base, step.unit), {}).setdefault(output.key, step.name)
                if other != step.name:
                    reported.add((base, output.place))
                    self._note_twice(self._expanded[base][0], output, step.name, other)

    def _note_twice(self, each: _Expanded, output: Output, name: str, other: str) -> None:
        nest = each.nest
        head = f"cells '{other}' and '{name}' both write the output {quoted(output.key)}"
        if nest.uses and each.step.name not in nest.ids:
            use = next(one for one in nest.uses if one.name in nest.ids)
            source = self._source(nest.uses[: nest.uses.index(use)])
            name = next(iter(nest.values))
            hint = f"put a var into the key, and give it with: {{{name}: ${{{{ matrix.{name} }}}}}}"
            self._note(source, use.matrix_at["matrix"], head, hint=hint)
            return
        source = self._source(nest.uses)
        templates = {one.place: one.key_template for one in each.step.outputs}
        template = templates[output.place]
        place = template.place if template else output.place
        hint = "put all values of the matrix into the key"
        self._note(source, place, head, hint=hint)


def _static(template: Template, nest: _Nest) -> _Names | None:
    """Return the names for a key that reads only matrix values of known cells, else None."""
    for one in template.expressions:
        for chain in one.reads:
            if chain.root != "matrix" or not chain.parts or chain.parts[0] not in nest.values:
                return None
    return _Names({"matrix": {}}, {})


def _is_meant(ids: Mapping[str, str], named: Sequence[NamedCell]) -> bool:
    """Return True if a cell is among the named cells, or if no cell of its step is named."""
    wanted = [one for one in named if one.step in ids]
    return not wanted or any(ids[one.step] == one.cell for one in wanted)


def _late(expression: Expression, late: Mapping[str, str]) -> Iterator[str]:
    """Yield a phrase for each var of an expression whose value is not known at collection."""
    for chain in expression.reads:
        name = str(chain.parts[0]) if chain.parts else ""
        if chain.root == "vars" and name in late:
            yield f" reads vars.{name}, which reads {late[name]}"


def _names_within(use: FileUse, outer: _Names) -> _Names:
    """Return the names for expressions of a used file, as far as they are known at collection."""
    late: dict[str, str] = {}
    for one in use.with_templates:
        if one.path[0] == "with_":
            for reads in late_reads(one.expressions, outer.late, BEFORE - CONDITION):
                late.setdefault(str(one.path[1]), reads)
    own = [one for one in use.templates if one.path[1] not in use.with_values]
    late = vars_unknown_at_collection(own, late, EARLY - CONDITION)
    with collecting():
        given = with_values(use, outer.values, late)
        return _Names({**outer.values, "vars": var_values(use, given, outer.values, late)}, late)
