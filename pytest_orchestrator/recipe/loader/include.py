"""Reader of `use`: expands a step into the steps of another file."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
from msgspec import field

from pytest_orchestrator.core.files import path_text
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.suggestions import nearest, similar
from pytest_orchestrator.recipe.expressions.expression import Template
from pytest_orchestrator.recipe.expressions.names import BEFORE
from pytest_orchestrator.recipe.fields.resolve import plain_locks
from pytest_orchestrator.recipe.model.key_types import FilePath, Json, key
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.root_mappings import Sampler
from pytest_orchestrator.recipe.model.step import FileUse, NamedCell, Source, Step
from pytest_orchestrator.recipe.problems import Problems, RecipeError, quoted
from pytest_orchestrator.recipe.variables import ExternalValue, missing_inputs, wrong_input

DEEPEST = 20
MOST = 20_000
"""Most steps of one recipe, including those of used files."""

OWN = frozenset(
    {
        "name",
        "idx",
        "description",
        "tags",
        "fixtures",
        "needs",
        "after",
        "if",
        "implicit",
        "matrix",
        "scope",
        "turn",
        "continue_on_error",
        "literal_braces",
        "use",
        "with",
    }
)
"""Keys that a step with ``use`` may have; all others belong to the steps of the used file."""

_FOREIGN = ("matrix", "units", "context", "needs", "stop_on_failure", "sampling", "if", "timeout")


class UseStep(Step, frozen=True, kw_only=True):
    """A step that is replaced by the steps of another file."""

    type: ClassVar[str] = "use"

    use: Annotated[
        FilePath,
        key(
            "Path of another recipe file, whose steps run in place of this step. One that begins "
            "with `./` or `../` is relative to this file, others to the rootdir.",
            "recipes/_psu.yaml",
        ),
    ]
    with_: Annotated[
        dict[str, Json],
        key("Values for the `vars` of the used file.", {"volts": 12}, names=BEFORE),
    ] = field(default_factory=dict, name="with")


Load = Callable[[Path, Sequence[Path]], Recipe]
"""Loads a used file; the second argument lists the files that use it, the outermost first."""


def used_path(name: str, user: Path, root: Path) -> Path:
    """Return the path of a used file.

    Args:
        name: The path as `use` says it; with `./` or `../` before it, relative to the user.
        user: The file that has the `use`.
        root: The rootdir, to which other paths are relative.
    """
    base = user.parent if name.startswith(("./", "../")) else root
    return Path(os.path.normpath(base / name))


class Uses:
    """Loader of the files that the steps of one file use.

    Args:
        root: The rootdir.
        users: The files that use this file, and this file.
        load: Loads a file.
        problems: Receives the problems.
    """

    def __init__(self, root: Path, users: Sequence[Path], load: Load, problems: Problems) -> None:
        self._root = root
        self._users = users
        self._load = load
        self._problems = problems

    def recipe(self, name: str, place: Place) -> Recipe | None:
        """Load the file that a step uses; return None after a problem was reported."""
        path = used_path(name, self._users[-1], self._root)
        if path in self._users:
            circle = [*self._users[self._users.index(path) :], path]
            path_names = " -> ".join(self._shown(one) for one in circle)
            self._problems.add(place, f"files use each other in a circle: {path_names}")
        elif len(self._users) > DEEPEST:
            self._problems.add(place, f"files use each other {DEEPEST} levels deep: no more")
        elif not path.is_file():
            self._problems.add(place, f"there is no file {name}{self._near(name, path)}")
        else:
            try:
                return self._load(path, self._users)
            except RecipeError as error:
                head = f"{quoted(name)} has errors"
                self._problems.add(place, head, cause=error)
        return None

    def check(self, used: Recipe, given: Mapping[str, Place], place: Place, title: str) -> None:
        """Report invalid keys of a used file, and entries of `with` that do not match its vars."""
        for name in _FOREIGN:
            if name in used.at:
                head = f"{used.id} has '{name}', which a file that is used cannot have"
                self._problems.add(place, head)
        declared = [*used.inputs, *used.vars, *used.required]
        for name, where in given.items():
            if name not in declared:
                near = nearest(name, declared)
                self._problems.add(where, f"{used.id} has no var {quoted(name)}{near}")
        for name in (*used.required, *missing_inputs(used.inputs, given)):
            if name not in given:
                head = f"{title} does not give {quoted(name)}"
                self._problems.add(
                    place, head, hint=f"{used.id} requires it: with: {{{name}: ...}}"
                )

    def check_inputs(
        self,
        used: Recipe,
        values: Mapping[str, Json],
        given: Mapping[str, Place],
        templates: Sequence[Template],
    ) -> None:
        """Report values of `with` that violate a rule of an input; expressions are checked later.

        Args:
            used: The used file.
            values: The values.
            given: The places of the values, by name.
            templates: The expressions in the values.
        """
        late = {one.path[1] for one in templates if len(one.path) > 1}
        for name in used.inputs.keys() & values.keys() - late:
            external = ExternalValue(values[name], "with")
            if wrong := wrong_input(name, used.inputs[name], external):
                self._problems.add(given[name], f"{used.id}: {wrong}")

    def _shown(self, path: Path) -> str:
        return path_text(os.path.relpath(path, self._root))

    def _near(self, name: str, path: Path) -> str:
        """Return a hint with the value to write, for a file that does not exist."""
        beside = self._users[-1].parent / name
        if beside.is_file():
            return f" (paths are relative to the rootdir: write {self._shown(beside)})"
        folder = path.parent
        if not folder.is_dir():
            return f"; {self._shown(folder)} is no folder"
        for near in (folder, beside.parent):
            files = near.iterdir() if near.is_dir() else ()
            names = [one.name for one in files if one.suffix in (".yaml", ".yml")]
            if found := similar(path.name, names):
                start = name.rpartition("/")[0] if near == folder else self._shown(near)
                return f" (did you mean '{start and f'{start}/'}{found}'?)"
        return ""


def expand_use(step: UseStep, used: Recipe) -> tuple[list[Step], list[Step]]:
    """Convert the steps of a used file, and those of its ``finally``, to steps of the using file.

    Args:
        step: The step that uses the file.
        used: The used file.
    """
    file_use = FileUse(
        name=step.name,
        source=Source(used.id, used.path, used.text),
        title=used.name,
        vars=used.vars,
        inputs=used.inputs,
        templates=tuple(one for one in used.templates if one.path[0] in ("vars", "inputs")),
        locks=tuple(one for one in used.templates if one.path[0] == "locks"),
        secrets=used.secrets,
        with_values=step.with_,
        with_templates=step.templates,
        condition=step.if_,
        place=step.at[""],
        matrix=step.matrix,
        matrix_at=matrix_places(step.at),
    )
    locks = plain_locks(used.locks, used.templates)
    used = msgspec.structs.replace(used, locks=locks)
    steps = [
        _one(step, used, each, file_use, step.needs, step.after, step.named_cells)
        for each in used.steps
    ]
    return steps, [_one(step, used, each, file_use, (), (), ()) for each in used.final]


def matrix_places(at: Mapping[str, Place]) -> dict[str, Place]:
    """Return the places of the matrix of a step and of its lists."""
    return {name: place for name, place in at.items() if name.partition(".")[0] == "matrix"}


def _one(
    step: UseStep,
    used: Recipe,
    inner: Step,
    file_use: FileUse,
    needs: tuple[str, ...],
    after: tuple[str, ...],
    named: tuple[NamedCell, ...],
) -> Step:
    return msgspec.structs.replace(
        inner,
        name=f"{step.name}.{inner.name}",
        named_cells=(
            *(
                msgspec.structs.replace(one, step=f"{step.name}.{one.step}")
                for one in inner.named_cells
            ),
            *named,
        ),
        # A step with needs of its own gets those of the using step through the steps that it needs.
        needs=tuple(f"{step.name}.{each}" for each in inner.needs) or needs,
        after=(*after, *(f"{step.name}.{each}" for each in inner.after)),
        tags=tuple(dict.fromkeys((*step.tags, *used.tags, *inner.tags))),
        fixtures=tuple(dict.fromkeys((*step.fixtures, *used.fixtures, *inner.fixtures))),
        locks=(*inner.locks, *used.locks),  # inner locks first: expressions refer to them by index
        implicit=step.implicit and inner.implicit,
        scope=step.scope,
        turn=step.turn,
        continue_on_error=step.continue_on_error or inner.continue_on_error,
        file_use=_within(file_use, inner.file_use),
    )


def ends_of(steps: Sequence[Step]) -> tuple[str, ...]:
    """Return the names of the last steps: those that no other step in `steps` needs."""
    needed = {name for step in steps for name in step.needs}
    return tuple(step.name for step in steps if step.name not in needed)


def _within(outer: FileUse, inner: FileUse | None) -> FileUse:
    """Add `outer` to the chain of uses of a step as the outermost use, and return the chain."""
    if inner is None:
        return outer
    return msgspec.structs.replace(
        inner, name=f"{outer.name}.{inner.name}", outer=_within(outer, inner.outer)
    )


def numbered_samplers(samplers: Sequence[Sampler], before: int) -> tuple[Sampler, ...]:
    """Set the positions of sampled values in reports: after all steps.

    Args:
        samplers: The sampled values.
        before: Number of the steps of the recipe.
    """
    return tuple(
        msgspec.structs.replace(one, step=msgspec.structs.replace(one.step, index=index))
        for index, one in enumerate(samplers, start=before + 1)
    )


def numbered(
    steps: Sequence[Step],
    names: Mapping[str, tuple[str, ...]],
    before: int,
    *,
    is_final: bool = False,
) -> tuple[Step, ...]:
    """Set the positions of steps, and replace names of `use` steps by those of the used steps.

    Args:
        steps: The steps in execution order.
        names: For each step with `use`, the names of the steps that replace it.
        before: Number of the steps that run before these.
        is_final: True for steps of ``finally``.
    """

    def replaced(names_of_needs: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            dict.fromkeys(name for one in names_of_needs for name in names.get(one, (one,)))
        )

    return tuple(
        msgspec.structs.replace(
            step,
            index=index,
            is_final=is_final,
            needs=replaced(step.needs),
            after=replaced(step.after),
        )
        for index, step in enumerate(steps, start=before + 1)
    )
