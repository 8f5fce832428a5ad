"""Entry point of the loader: reads a recipe and the files that it uses."""

import gc
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from pytest_orchestrator.core.files import path_text
from pytest_orchestrator.core.location import Place, Places
from pytest_orchestrator.recipe.fields.extensions import BUILT_IN, Extensions
from pytest_orchestrator.recipe.fields.readers import Reading, reader
from pytest_orchestrator.recipe.fields.struct_fields import fields_of, keys_of
from pytest_orchestrator.recipe.fields.values import FAILED, Templates, Values
from pytest_orchestrator.recipe.loader import checks, matrix
from pytest_orchestrator.recipe.loader import steps as step_loader
from pytest_orchestrator.recipe.loader.checks import NameChecks, ServiceChecks
from pytest_orchestrator.recipe.loader.include import (
    MOST,
    Uses,
    UseStep,
    ends_of,
    expanded,
    numbered,
)
from pytest_orchestrator.recipe.loader.ordering import StepOrdering
from pytest_orchestrator.recipe.loader.steps import Draft, read_step
from pytest_orchestrator.recipe.model.key_types import FilePath
from pytest_orchestrator.recipe.model.recipe import Need, Recipe
from pytest_orchestrator.recipe.model.step import Step
from pytest_orchestrator.recipe.parsing.nodes import Check, Pairs, pairs
from pytest_orchestrator.recipe.parsing.source import MAX_BYTES, compose, decoded, read_file
from pytest_orchestrator.recipe.problems import Problem, Problems, RecipeError, Refused, quoted

_WANTED = "a recipe has a list of 'steps'"


class Document:
    """Reads the document of one file.

    Args:
        text: The whole text, without a byte order mark.
        problems: Takes what is wrong.
        uses: The files that are used.
        known: The types of steps and criteria that there are.
        max_bytes: The limit of the size of a file.
    """

    def __init__(
        self, text: str, problems: Problems, uses: Uses, known: Extensions, max_bytes: int
    ) -> None:
        self._text = text
        self._max_bytes = max_bytes
        self._uses = uses
        self._known = known
        self._problems = problems
        self._values = Values(text, problems)
        self._reading = Reading(self._values, problems, "", Templates())
        self._hints: set[str] = set()
        self._found: Pairs = {}
        self._defaults: Pairs = {}

    def fields(self) -> dict[str, Any]:
        """The fields of the recipe that come from its text.

        Raises:
            Refused: There is a problem.
        """
        root = self._root()
        found = {name: pair for name, pair in pairs(root).items() if not name.startswith("x-")}
        self._found = found
        self._problems.variables = self._declared()
        fields = fields_of(Recipe, found, self._reading, self._unknown)
        if "steps" not in found and not any("'steps'" in hint for hint in self._hints):
            self._problems.add(self._values.place(root), "missing 'steps'", hint=_WANTED)
        self._read_own(found, fields)
        fields["steps"], fields["final"] = self._steps(found, fields)
        fields["templates"] = tuple(self._reading.templates.found)
        fields["at"] = {name: self._values.place(node) for name, (_, node) in found.items()}
        for key in ("matrix", "vars", "required"):
            fields["at"] |= self._places(key)
        return fields

    def _read_own(self, found: Pairs, fields: dict[str, Any]) -> None:
        """Read the keys that are more than values of one type."""
        if "defaults" in found:
            reading = self._reading._replace(templates=Templates())
            node = found["defaults"][1]
            fields["defaults"], self._defaults = step_loader.read_defaults(node, reading)
        for key in ("vars", "test_meta"):  # whose keys are known before a run
            if key in found and type(found[key][1]) is ScalarNode:
                self._reading.mismatch(found[key][1], key, "a mapping")
        if "matrix" in found:
            matrix.check_matrix(found["matrix"][1], self._reading)
        if "needs" in found:
            fields["needs"] = self._needs(found["needs"][1])

    def _steps(
        self, found: Pairs, fields: dict[str, Any]
    ) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
        """Read the steps and those of ``finally``; secrets of used files become the recipe's own.

        Raises:
            Refused: There is a problem in the file.
        """
        steps = self._drafts(found, "steps", "step")
        final = self._drafts(found, "finally", "final step")
        checks.check_inline(
            [*steps, *final], fields.get("fixtures", ()), self._values, self._problems
        )
        steps, final = StepOrdering(self._values, self._problems).arranged(steps, final)
        ServiceChecks(self._problems).check([*steps, *final], fields.get("fixtures", ()))
        used = {each.name: self._used(each) for each in (*steps, *final) if each.model is UseStep}
        self._check_reads(fields, steps, final, used)
        if self._problems.found:
            raise Refused
        if not used:  # as in most files
            return _plain(steps, 0), _plain(final, len(steps), is_final=True)
        inner = [each for each in used.values() if each is not None]
        if sum(len(each.steps) + len(each.final) for each in inner) > MOST:
            head = f"more than {MOST:,} steps, those of used files counted"
            self._problems.add(Place(1, 1), head)
            raise Refused
        secrets = [name for each in inner for name in each.secrets if not _is_var(name)]
        fields["secrets"] = tuple(dict.fromkeys((*fields.get("secrets", ()), *secrets)))
        return _built(steps, final, used)

    def _check_reads(
        self,
        fields: Mapping[str, Any],
        steps: list[Draft],
        final: list[Draft],
        used: Mapping[str, Recipe | None],
    ) -> None:
        """Check what expressions read, as far as that is known before a run."""
        names = [*fields.get("vars", {}), *fields.get("required", ())]
        known = matrix.matrix_names(fields.get("matrix", {}))
        inner = {
            name: [f"{name}.{one.name}" for one in (*recipe.steps, *recipe.final)]
            for name, recipe in used.items()
            if recipe is not None
        }
        reads = NameChecks(self._problems, names, known, fields.get("fixtures", ()))
        reads.check_root(self._reading.templates.expressions)
        reads.check_order(self._reading.templates.found, fields.get("required", ()))
        reads.check_secrets(self._places("secrets"))
        reads.check_steps(steps, final, inner)

    def _used(self, draft: Draft) -> Recipe | None:
        """Return the recipe that a step uses."""
        name = draft.fields.get("use")
        if name is None:
            return None
        found = self._uses.recipe(name, draft.at["use"])
        if found is not None:
            node = draft.node_of("with") if "with" in draft.at else None
            inner = pairs(node).items() if type(node) is MappingNode else ()
            given = {name: self._values.place(key) for name, (key, _) in inner}
            self._uses.check(found, given, draft.at["use"], draft.title)
        return found

    def _places(self, key: str) -> dict[str, Place]:
        """Return where what is below a key of the root stands, by names such as ``vars.gain``."""
        node = self._found[key][1] if key in self._found else None
        if type(node) is MappingNode:
            inner = {name: value for name, (_, value) in pairs(node).items()}
        elif type(node) is SequenceNode:
            inner = {each.value: each for each in node.value if type(each) is ScalarNode}
        else:
            return {}
        return {f"{key}.{name}": self._values.place(each) for name, each in inner.items()}

    def _declared(self) -> set[str]:
        """Return the names of the vars."""
        return {
            place.partition(".")[2] for key in ("vars", "required") for place in self._places(key)
        }

    def _root(self) -> MappingNode:
        root = compose(self._text, self._problems)
        if root is None or root.value == "":
            self._problems.add(Place(1, 1), "the file is empty", hint=_WANTED)
            raise Refused
        if type(root) is MappingNode:
            Check(self._text, self._problems, self._max_bytes).visit(root)
            return root
        found = "a list" if type(root) is SequenceNode else "one text or number"
        head = f"the file is {found}, should be a mapping"
        self._problems.add(self._values.place(root), head, hint=_WANTED)
        raise Refused

    def _needs(self, node: Node) -> tuple[Need, ...]:
        paths = reader(tuple[FilePath, ...]).read(node, "needs", self._reading)
        given = () if paths is FAILED else zip(paths, node.value, strict=True)
        return tuple(Need(path, self._values.place(each)) for path, each in given)

    def _drafts(self, found: Pairs, key: str, title: str) -> list[Draft]:
        if key not in found:
            return []
        node = found[key][1]
        if type(node) is not SequenceNode:
            self._reading.mismatch(node, key, "a list of steps")
            return []
        if key == "steps" and not node.value:
            self._reading.wrong(node, key, " has no step in it")
        drafts = [
            read_step(
                each,
                f"{title} {number}",
                self._values,
                self._problems,
                self._defaults,
                self._known,
            )
            for number, each in enumerate(node.value, start=1)
        ]
        return [each for each in drafts if each]

    def _unknown(self, name: str, node: Node) -> None:
        place = self._values.place(node)
        hint = self._problems.meant(name, keys_of(Recipe), but=self._found)
        self._hints.add(hint)
        self._problems.add(place, f"unknown key {quoted(name)}", " in the recipe", hint=hint)


def _is_var(secret: str) -> bool:
    """Tell whether a secret is a var: the name means nothing outside of its file."""
    return secret.startswith("vars.")


def _plain(drafts: list[Draft], before: int, *, is_final: bool = False) -> tuple[Step, ...]:
    return tuple(
        each.model(**each.fields, index=index, is_final=is_final, at=Places(each.at))
        for index, each in enumerate(drafts, start=before + 1)
    )


def _built(
    drafts: list[Draft], final: list[Draft], used: Mapping[str, Recipe | None]
) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """Return the steps of a file and of those that it uses, numbered as they run."""
    names: dict[str, tuple[str, ...]] = {}
    ends: list[Step] = []

    def flat(each: Draft, *, is_final: bool) -> list[Step]:
        step = each.model(**each.fields, at=Places(each.at))
        inner = used.get(each.name)
        if not isinstance(step, UseStep) or inner is None:
            return [step]
        more, late = expanded(step, inner)
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
    may_use: Callable[[Path], bool] = lambda _: True,
) -> Recipe:
    """Read a recipe. Nothing is imported, run or written.

    Args:
        path: The file.
        root: The rootdir of pytest.
        max_bytes: A larger file is refused before it is read.
        known: The types of steps and the criteria that there are.
        may_use: Returns False for a file that is not to be opened, whatever `use` says.

    Returns:
        The recipe.

    Raises:
        RecipeError: The file cannot be read or is no good recipe; it has all problems.
    """
    return _Files(root, max_bytes, known, may_use).load(path, ())


class _Files:
    """Reads the files of one recipe, those that it uses among them, each once."""

    def __init__(
        self, root: Path, max_bytes: int, known: Extensions, may_use: Callable[[Path], bool]
    ) -> None:
        self._root = root
        self._may_use = may_use
        self._max_bytes = max_bytes
        self._known = known
        self._used: dict[Path, Recipe | RecipeError] = {}

    def load(self, path: Path, users: Sequence[Path]) -> Recipe:
        """Read a file.

        Args:
            path: The file.
            users: The files that use it, the first one first.

        Raises:
            RecipeError: It is no good recipe.
        """
        root = self._root
        identity = path_text(path.relative_to(root) if path.is_relative_to(root) else path)
        problems = Problems()
        uses = Uses(root, (*users, Path(os.path.normpath(path))), self._use, problems)
        try:
            data = read_file(path, self._max_bytes, problems)
            with _collector_paused():
                text = decoded(data, problems)
                loader = Document(text, problems, uses, self._known, self._max_bytes)
                fields = loader.fields()
        except Refused:
            raise RecipeError(problems.found, identity, problems.text) from None
        return Recipe(
            id=identity,
            path=path,
            text=problems.text,
            sha256=hashlib.sha256(data).hexdigest(),
            **fields,
        )

    def _use(self, path: Path, users: Sequence[Path]) -> Recipe:
        if path not in self._used and not self._may_use(path):
            why = Problem(Place(1, 1), "it lies where nothing is to be opened")
            self._used[path] = RecipeError((why,), path.as_posix())
        if path not in self._used:
            try:
                self._used[path] = self.load(path, users)
            except RecipeError as error:
                self._used[path] = error
        found = self._used[path]
        if isinstance(found, RecipeError):
            raise found
        return found


@contextmanager
def _collector_paused() -> Iterator[None]:
    # The nodes of a document are many, live until it is read and hold no circles, but for
    # those that are refused. Looked at again and again, they make a large file twice as dear.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
