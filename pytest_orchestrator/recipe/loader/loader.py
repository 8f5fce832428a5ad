"""Entry point of the loader: reads a recipe and the files that it uses, and orders the steps."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from pytest_orchestrator.core.files import gc_paused, path_text
from pytest_orchestrator.core.location import Place, Places
from pytest_orchestrator.extending import Project
from pytest_orchestrator.recipe.fields.extensions import BUILT_IN, Extensions
from pytest_orchestrator.recipe.fields.readers import Reading, fields_of, keys_of, reader
from pytest_orchestrator.recipe.fields.silent_slips import check_braces
from pytest_orchestrator.recipe.fields.values import FAILED, Templates, Values
from pytest_orchestrator.recipe.loader import checks, matrix
from pytest_orchestrator.recipe.loader import steps as step_loader
from pytest_orchestrator.recipe.loader.environment import shared_environment
from pytest_orchestrator.recipe.loader.include import (
    MOST,
    Uses,
    UseStep,
    ends_of,
    expand_use,
    numbered,
    numbered_samplers,
)
from pytest_orchestrator.recipe.loader.steps import Draft, Origin, StepFile, read_step
from pytest_orchestrator.recipe.model import graph
from pytest_orchestrator.recipe.model.key_types import FilePath
from pytest_orchestrator.recipe.model.recipe import Defaults, Need, Recipe
from pytest_orchestrator.recipe.model.root_mappings import Requires
from pytest_orchestrator.recipe.model.step import NamedCell, Step
from pytest_orchestrator.recipe.parsing.nodes import Pairs, pairs, root_mapping
from pytest_orchestrator.recipe.parsing.source import MAX_BYTES, decoded, read_file
from pytest_orchestrator.recipe.problems import (
    Problems,
    RecipeError,
    Refused,
    lines,
    quoted,
    shortened,
    unknown_key,
)
from pytest_orchestrator.recipe.pyyaml import MappingNode, Node, ScalarNode, SequenceNode

_WANTED = "a recipe has a list of 'steps'"
_WRITTEN = {"inputs": "vars", "vars": "vars", "required": "vars", "matrix": "matrix"}
"""The root keys that declare values, each with the name of these values in expressions."""
_OF_STATION = "'instruments' is a key of the station file; see --recipe-station"


class Document:
    """Reader of the content of one recipe file.

    Args:
        text: The complete text, without a byte order mark.
        problems: Receives the problems.
        uses: Loads the used files.
        known: The step types and criteria that exist.
        max_bytes: The size limit of a file.
        origin: The project and the path of the file.
    """

    def __init__(
        self,
        text: str,
        problems: Problems,
        uses: Uses,
        known: Extensions,
        max_bytes: int,
        origin: Origin,
    ) -> None:
        self._origin = origin
        self._text = text
        self._max_bytes = max_bytes
        self._uses = uses
        self._known = known
        self._problems = problems
        self._values = Values(text, problems)
        self._reading = Reading(self._values, problems, "", Templates())
        self._hints: set[str] = set()
        self._pairs: Pairs = {}
        self._defaults: Pairs = {}
        self._env: Pairs = {}

    def fields(self) -> dict[str, Any]:
        """Return the fields of the recipe that come from its text.

        Raises:
            Refused: The file has a problem.
        """
        root = root_mapping(self._text, self._problems, self._max_bytes, _WANTED)
        key_nodes = {name: pair for name, pair in pairs(root).items() if not name.startswith("x-")}
        self._pairs = key_nodes
        if "requires" in key_nodes:
            self._origin = self._origin.with_extras(key_nodes["requires"][1])
        self._problems.variables = self._declared()
        fields = fields_of(Recipe, key_nodes, self._reading, self._unknown)
        if "steps" not in key_nodes and not any("'steps'" in hint for hint in self._hints):
            self._problems.add(self._values.place(root), "missing 'steps'", hint=_WANTED)
        self._read_own(key_nodes, fields)
        if "units" in key_nodes:
            _units().read_units(key_nodes, fields, self._reading)
        if "literal_braces" in key_nodes:  # at the root it is a weaker default of the steps
            self._defaults = {"literal_braces": key_nodes["literal_braces"], **self._defaults}
        check_braces(self._text, root, self._known.shell, self._problems)
        fields["steps"], fields["final"] = self._steps(key_nodes, fields)
        count = len(fields["steps"]) + len(fields["final"])
        fields["samplers"] = numbered_samplers(fields.get("samplers", ()), count)
        all_steps = (*fields["steps"], *fields["final"])
        fields["has_cells"] = "units" in key_nodes or any(map(_has_cells, all_steps))
        fields["templates"] = tuple(self._reading.templates.found)
        fields["at"] = {name: self._values.place(node) for name, (_, node) in key_nodes.items()}
        for key in ("matrix", "inputs", "vars", "required"):
            fields["at"] |= self._places(key)
        for name in fields["inputs"] if "units" in key_nodes else ():
            fields["at"].setdefault(f"inputs.{name}", fields["at"]["units"])
        return fields

    def _read_own(self, key_nodes: Pairs, fields: dict[str, Any]) -> None:
        """Read the root keys whose values need more than a reader of one type."""
        if "defaults" in key_nodes:
            reading = msgspec.structs.replace(self._reading, templates=Templates())
            node = key_nodes["defaults"][1]
            fields["defaults"], self._defaults = step_loader.read_defaults(node, reading)
        if "env" in key_nodes:
            fields |= self._environment(key_nodes["env"])
        if {"env", "args"} & (key_nodes.keys() | self._defaults.keys()):
            self._defaults = shared_environment(self._env, self._defaults, self._reading)
        for key in ("vars", "test_meta"):  # their keys must be known before a run
            if key in key_nodes and type(key_nodes[key][1]) is ScalarNode:
                self._reading.report_kind(key_nodes[key][1], key, "a mapping")
        if "matrix" in key_nodes:
            matrix.check_matrix(key_nodes["matrix"][1], self._reading)
            matrix.check_context(key_nodes, self._reading)
        if "requires" in key_nodes:
            from pytest_orchestrator.recipe.fields.nested import read_struct

            reading = msgspec.structs.replace(self._reading, path=("requires",))
            fields["requires"] = read_struct(Requires, key_nodes["requires"][1], reading)
        if "inputs" in key_nodes:
            from pytest_orchestrator.recipe.loader.inputs import check_names, read_inputs

            fields["inputs"] = inputs = read_inputs(key_nodes["inputs"][1], self._reading)
            check_names(key_nodes, self._values, self._problems)
            secret = (f"vars.{name}" for name, field in inputs.items() if field.secret)
            fields["secrets"] = tuple(dict.fromkeys((*fields.get("secrets", ()), *secret)))
        if "needs" in key_nodes:
            fields["needs"] = self._needs(key_nodes["needs"][1])

    def _environment(self, pair: tuple[ScalarNode, Node]) -> dict[str, Any]:
        """Read the root key ``env``; each step reads its variables as if they were its own."""
        before = len(self._problems.found)
        reading = msgspec.structs.replace(self._reading, templates=Templates())
        fields = fields_of(Defaults, {"env": pair}, reading, self._unknown)
        if len(self._problems.found) == before:
            self._env = {"env": pair}
        return fields

    def _steps(
        self, key_nodes: Pairs, fields: dict[str, Any]
    ) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
        """Read the steps and those of ``finally``, and add the secrets of used files.

        Raises:
            Refused: The file has a problem.
        """
        steps = self._drafts(key_nodes, "steps", "step")
        final = self._drafts(key_nodes, "finally", "final step")
        drafts = [*steps, *final]
        steps, final = StepOrdering(self._values, self._problems).arrange(steps, final)
        if "sampling" in key_nodes:
            self._read_sampling(key_nodes["sampling"][1], steps, final, fields)
        if any("measurements" in each.fields for each in drafts) or "sampling" in key_nodes:
            from pytest_orchestrator.recipe.loader.decisions import Decisions

            Decisions(fields, self._known, self._problems).settle(drafts)
        used = {each.name: self._used(each) for each in (*steps, *final) if each.model is UseStep}
        content = checks.Content(
            fields=fields,
            drafts=drafts,
            steps=steps,
            final=final,
            used=used,
            templates=self._reading.templates,
            places=self._places,
            values=self._values,
            problems=self._problems,
        )
        for check in checks.CHECKS:
            check(content)
        if "units" in key_nodes or any(one.at.keys() & {"scope", "turn"} for one in drafts):
            _units().check_units(content)
        if self._problems.found:
            raise Refused
        if not used:  # most files
            plain = _plain(steps, 0), _plain(final, len(steps), is_final=True)
            return self._without_clashes(*plain, fields)
        inner = [each for each in used.values() if each is not None]
        if sum(len(each.steps) + len(each.final) for each in inner) > MOST:
            head = f"more than {MOST:,} steps, those of used files counted"
            self._problems.add(Place(1, 1), head)
            raise Refused
        # The name of a var has no meaning outside of its file.
        secrets = [one for each in inner for one in each.secrets if not one.startswith("vars.")]
        fields["secrets"] = tuple(dict.fromkeys((*fields.get("secrets", ()), *secrets)))
        for requires in filter(None, (each.requires for each in inner)):
            own = fields.get("requires")
            fields["requires"] = requires if own is None else own.joined(requires)
        return self._without_clashes(*_built(steps, final, used), fields)

    def _read_sampling(
        self, node: Node, steps: list[Draft], final: list[Draft], fields: dict[str, Any]
    ) -> None:
        from pytest_orchestrator.recipe.loader.sampling import SamplingReader

        has_units = "units" in self._pairs
        reader = SamplingReader(self._values, self._problems, self._known, has_units=has_units)
        fields["samplers"] = tuple(reader.read(node, steps, final))
        # Checked as the expressions of root keys are.
        self._reading.templates.expressions += reader.expressions

    def _without_clashes(
        self, steps: tuple[Step, ...], final: tuple[Step, ...], fields: Mapping[str, Any]
    ) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
        """Check that no key of ``params`` is also a fixture of its step, and return the steps.

        Raises:
            Refused: A parameter of a step would receive two values.
        """
        checks.check_fixtures([*steps, *final], fields.get("fixtures", ()), self._problems)
        if "units" in self._pairs:
            _units().check_instruments(steps, self._known.shared, self._problems)
        if self._problems.found:
            raise Refused
        return steps, final

    def _used(self, draft: Draft) -> Recipe | None:
        """Load the recipe that a step uses; return None if `use` is invalid."""
        name = draft.fields.get("use")
        if name is None:
            return None
        recipe = self._uses.recipe(name, draft.at["use"])
        if recipe is not None:
            node = draft.node_of("with") if "with" in draft.at else None
            inner = pairs(node).items() if type(node) is MappingNode else ()
            given = {name: self._values.place(key) for name, (key, _) in inner}
            self._uses.check(recipe, given, draft.at["use"], draft.title)
            if recipe.inputs:
                fields = draft.fields
                self._uses.check_inputs(recipe, fields.get("with_", {}), given, fields["templates"])
        return recipe

    def _places(self, key: str) -> dict[str, Place]:
        """Return the places of the items below a root key, by names such as ``vars.gain``."""
        node = self._pairs[key][1] if key in self._pairs else None
        if type(node) is MappingNode:
            # The value of an input is a mapping of several lines: its name is the better place.
            at = 0 if key == "inputs" else 1
            inner: dict[str, Node] = {name: pair[at] for name, pair in pairs(node).items()}
        elif type(node) is SequenceNode:
            inner = {each.value: each for each in node.value if type(each) is ScalarNode}
        else:
            return {}
        return {f"{key}.{name}": self._values.place(each) for name, each in inner.items()}

    def _declared(self) -> dict[str, str]:
        """Return how expressions write the vars and matrix values of the file, by their names."""
        return {
            place.partition(".")[2]: f"{root}.{place.partition('.')[2]}"
            for key, root in _WRITTEN.items()
            for place in self._places(key)
        }

    def _needs(self, node: Node) -> tuple[Need, ...]:
        paths = reader(tuple[FilePath, ...]).read(node, "needs", self._reading)
        path_nodes = () if paths is FAILED else zip(paths, node.value, strict=True)
        return tuple(Need(path, self._values.place(each)) for path, each in path_nodes)

    def _drafts(self, key_nodes: Pairs, key: str, title: str) -> list[Draft]:
        if key not in key_nodes:
            return []
        node = key_nodes[key][1]
        if type(node) is not SequenceNode:
            self._reading.report_kind(node, key, "a list of steps")
            return []
        if key == "steps" and not node.value:
            self._reading.report(node, key, " has no step in it")
        known, origin = self._known, self._origin
        scope = ("once" if key == "finally" else "each") if "units" in self._pairs else ""
        file = StepFile(self._values, self._problems, self._defaults, known, origin, scope)
        drafts = [
            read_step(each, f"{title} {number}", file)
            for number, each in enumerate(node.value, start=1)
        ]
        return [each for each in drafts if each]

    def _unknown(self, name: str, node: Node) -> None:
        place = self._values.place(node)
        hint = unknown_key(name, keys_of(Recipe), self._problems, exclude=self._pairs)
        hint = _OF_STATION if name == "instruments" else hint
        self._hints.add(hint)
        self._problems.add(place, f"unknown key {quoted(name)}", " in the recipe", hint=hint)


def _units() -> Any:
    """Return the module for recipes with units, which few sessions need."""
    from pytest_orchestrator.recipe.loader import units

    return units


def _has_cells(step: Step) -> bool:
    """Return True if a step is expanded at collection: by a matrix or by a key of `outputs`."""
    has_matrix = step.matrix is not None or any(use.matrix is not None for use in step.uses)
    return has_matrix or any(one.key_template for one in step.outputs)


def _plain(drafts: list[Draft], before: int, *, is_final: bool = False) -> tuple[Step, ...]:
    return tuple(
        each.model(**each.fields, index=index, is_final=is_final, at=Places(each.at))
        for index, each in enumerate(drafts, start=before + 1)
    )


def _built(
    drafts: list[Draft], final: list[Draft], used: Mapping[str, Recipe | None]
) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """Return the steps of a file and of its used files, numbered in execution order."""
    names: dict[str, tuple[str, ...]] = {}
    ends: list[Step] = []

    def flat(each: Draft, *, is_final: bool) -> list[Step]:
        step = each.model(**each.fields, at=Places(each.at))
        inner = used.get(each.name)
        if not isinstance(step, UseStep) or inner is None:
            return [step]
        more, late = expand_use(step, inner)
        if is_final:
            more += late
        else:
            ends.extend(late)
        names[step.name] = ends_of(more)
        return more

    steps = [step for each in drafts for step in flat(each, is_final=False)]
    ends += [step for each in final for step in flat(each, is_final=True)]
    return numbered(steps, names, 0), numbered(ends, names, len(steps), is_final=True)


def load(
    path: Path,
    *,
    root: Path,
    max_bytes: int = MAX_BYTES,
    known: Extensions = BUILT_IN,
) -> Recipe:
    """Read a recipe without importing, running or writing anything.

    Args:
        path: The file.
        root: The rootdir of pytest.
        max_bytes: A larger file is refused before it is read.
        known: The step types and criteria that exist.

    Returns:
        The recipe.

    Raises:
        RecipeError: The file cannot be read or has errors; the exception has all problems.
    """
    return _Files(root, max_bytes, known).load(path, ())


class _Files:
    """Loader of the files of one recipe; each used file is read once."""

    def __init__(self, root: Path, max_bytes: int, known: Extensions) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._known = known
        self._used: dict[Path, Recipe | RecipeError] = {}

    def load(self, path: Path, users: Sequence[Path]) -> Recipe:
        """Read one recipe file.

        Args:
            path: The file.
            users: The files that use it, the outermost first.

        Raises:
            RecipeError: The file has errors.
        """
        root = self._root
        identity = path_text(path.relative_to(root) if path.is_relative_to(root) else path)
        problems = Problems()
        uses = Uses(root, (*users, Path(os.path.normpath(path))), self._use, problems)
        try:
            data = read_file(path, self._max_bytes, problems)
            with gc_paused():
                text = decoded(data, problems)
                origin = Origin(Project(root=root), str(path))
                loader = Document(text, problems, uses, self._known, self._max_bytes, origin)
                fields = loader.fields()
        except Refused:
            raise RecipeError(problems.found, identity, problems.text, problems.secrets) from None
        recipe = Recipe(
            id=identity,
            path=path,
            text=problems.text,
            sha256=hashlib.sha256(data).hexdigest(),
            **fields,
        )
        if recipe.has_cells:
            from pytest_orchestrator.recipe.loader.step_matrix import expand_steps

            expand_steps(recipe, None)  # reports the errors that do not depend on vars
        return recipe

    def _use(self, path: Path, users: Sequence[Path]) -> Recipe:
        if path not in self._used:
            try:
                self._used[path] = self.load(path, users)
            except RecipeError as error:
                self._used[path] = error
        used = self._used[path]
        if isinstance(used, RecipeError):
            raise used
        return used


_AWAITED = {
    "needs": (
        "needs",
        "steps of 'finally' need only each other: they run whatever became of the rest",
    ),
    "after": ("comes after", "steps of 'finally' come after all others anyway"),
}
"""Keys that name other steps, with a verb and the cure for a step outside of the same list."""


class StepOrdering:
    """Ordering of the steps in ``steps`` and ``finally``.

    Args:
        values: Returns the places of nodes.
        problems: Receives the problems.
    """

    def __init__(self, values: Values, problems: Problems) -> None:
        self._values = values
        self._problems = problems

    def arrange(
        self, steps: Sequence[Draft], final: Sequence[Draft]
    ) -> tuple[list[Draft], list[Draft]]:
        """Return the steps in execution order, each with its needs.

        Args:
            steps: The steps of the recipe in the order of the list.
            final: The steps of ``finally``.

        Returns:
            Both lists in order. The field ``needs`` of each step has the steps that it needs,
            ``after`` the other steps that it waits for. The result is valid only if no problem
            was reported.
        """
        steps, final = self._by_idx(steps), self._by_idx(final)
        named = self._named([*steps, *final])
        late = {each.name for each in final}
        before = ""
        for each in steps:
            if not _AWAITED.keys() & each.at.keys():
                each.fields["needs"] = (before,) if before else ()
            before = each.name
        for each in (*steps, *final):
            for key in filter(each.at.__contains__, _AWAITED):
                self._check(each, key, named, late)
        return self._sorted(steps), self._sorted(final)

    def _note(self, node: Node, head: str, where: str = "", hint: str = "") -> None:
        self._problems.add(self._values.place(node), head, where, hint=hint)

    def _by_idx(self, drafts: Sequence[Draft]) -> list[Draft]:
        with_idx = [each for each in drafts if "idx" in each.at]
        for each in drafts if with_idx else ():
            if "idx" not in each.at:
                cure = "all steps of a list have one, or none"
                self._note(each.node, "missing 'idx'", f" in {each.title}", cure)
        first: dict[int, Draft] = {}
        for each in with_idx:
            idx = each.fields.get("idx")
            if idx is None:
                continue
            other = first.setdefault(idx, each)
            if other is not each:
                where = lines(other.at["idx"].line, each.at["idx"].line)
                self._note(each.node_of("idx"), f"idx {idx} is given twice, in {where}")
        return sorted(drafts, key=lambda each: each.fields.get("idx", 0))

    def _named(self, drafts: Sequence[Draft]) -> dict[str, Draft]:
        named: dict[str, Draft] = {}
        for each in drafts:
            if not each.name:
                continue
            first = named.setdefault(each.name, each)
            if first is not each:
                where = lines(first.at["name"].line, each.at["name"].line)
                head = f"two steps are called {quoted(each.name)}, in {where}"
                self._note(each.node_of("name"), head)
        return named

    def _check(self, each: Draft, key: str, named: Mapping[str, Draft], late: set[str]) -> None:
        """Report the invalid step names in `needs` or `after`, and keep only the valid ones."""
        written = each.fields.get(key, ())
        kept: dict[str, None] = {}
        verb, cure = _AWAITED[key]
        for whole, node in zip(written, each.node_of(key).value if written else (), strict=True):
            name, bracket, cell = whole.removesuffix("]").partition("[")
            head = f"{each.title} {verb} {quoted(whole)}"
            if name == each.name:
                self._note(node, f"{each.title} {verb} itself")
            elif name not in named:
                hint = self._problems.suggest(name, named, exclude=[each.name])
                self._note(node, f"{head}, which is no step of this recipe", hint=hint)
            elif name in late and each.name not in late:
                self._note(node, f"{head}, which stands in 'finally' and runs after all steps")
            elif name not in late and each.name in late:
                self._note(node, f"{head}, which does not stand in 'finally'", hint=cure)
            elif bracket and "matrix" not in named[name].at:
                self._note(node, f"{head}, and {named[name].title} has no matrix")
            else:
                kept[name] = None
                if bracket and name not in written:  # the name alone means all cells
                    one = NamedCell(key, name, cell, self._values.place(node))
                    each.fields["named_cells"] = (*each.fields.get("named_cells", ()), one)
        each.fields[key] = tuple(kept)

    def _sorted(self, drafts: Sequence[Draft]) -> list[Draft]:
        by_name: dict[str, Draft] = {}
        for each in drafts:
            if each.name:
                by_name.setdefault(each.name, each)
        waits = {
            name: tuple(other for other in each.awaited if other in by_name)
            for name, each in by_name.items()
        }
        circles = graph.circles(waits) if not graph.is_forward(waits) else []
        for circle in circles:
            self._circle([by_name[name] for name in circle])
        return list(drafts) if circles else [by_name[name] for name in graph.ordered(waits)]

    def _circle(self, drafts: Sequence[Draft]) -> None:
        steps = list(pairwise(drafts))
        explicit = [each.node_of(key) for each, other in steps if (key := _key(each, other))]
        implicit = [pair for pair in steps if not _key(*pair)]
        hint = ""
        if implicit:
            each, need = implicit[0]
            hint = (
                f"'{each.name}' needs the step before it, '{need.name}', unless it says needs: []"
            )
        path = shortened(" -> ".join(each.name for each in drafts), 400)
        verb = "wait for" if any(_key(*pair) == "after" for pair in steps) else "need"
        self._note(explicit[0], f"steps {verb} each other in a circle: {path}", hint=hint)


def _key(each: Draft, other: Draft) -> str:
    """Return the key, `needs` or `after`, in which a step names another; empty if in neither."""
    return next((key for key in _AWAITED if key in each.at and other.name in each.fields[key]), "")
