"""From a file to a recipe, or to all that is wrong with it."""

import gc
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from pytest_orchestrator.core.place import Place
from pytest_orchestrator.recipe import defaults, inline, matrix
from pytest_orchestrator.recipe.background import Background
from pytest_orchestrator.recipe.custom import BUILT_IN, Extensions
from pytest_orchestrator.recipe.kinds import FilePath
from pytest_orchestrator.recipe.model import Need, Recipe, Step
from pytest_orchestrator.recipe.nodes import Check, Pairs, pairs
from pytest_orchestrator.recipe.order import Order
from pytest_orchestrator.recipe.problems import Problems, RecipeError, Refused
from pytest_orchestrator.recipe.readers import reader
from pytest_orchestrator.recipe.reading import Reading
from pytest_orchestrator.recipe.source import MAX_BYTES, compose, decoded, read
from pytest_orchestrator.recipe.steps import Draft, draft
from pytest_orchestrator.recipe.templates import Templates
from pytest_orchestrator.recipe.values import FAILED, Values
from pytest_orchestrator.recipe.walk import fields_of, keys_of
from pytest_orchestrator.recipe.words import quoted

_WANTED = "a recipe has a list of 'steps'"


def load(
    path: Path, *, root: Path, max_bytes: int = MAX_BYTES, known: Extensions = BUILT_IN
) -> Recipe:
    """Read a recipe. Nothing is imported, run or written.

    Args:
        path: The file.
        root: The rootdir of pytest.
        max_bytes: A larger file is refused before it is read.
        known: The types of steps and the criteria that there are.

    Returns:
        The recipe.

    Raises:
        RecipeError: The file cannot be read or is no good recipe; it has all problems.
    """
    identity = path.relative_to(root) if path.is_relative_to(root) else path
    problems = Problems()
    try:
        data = read(path, max_bytes, problems)
        with _collector_paused():
            fields = _Loader(decoded(data, problems), problems, known).fields()
    except Refused:
        raise RecipeError(problems.found, identity.as_posix(), problems.text) from None
    return Recipe(
        id=identity.as_posix(),
        path=path,
        text=problems.text,
        sha256=hashlib.sha256(data).hexdigest(),
        **fields,
    )


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


class _Loader:
    """Reads the document of one file."""

    def __init__(self, text: str, problems: Problems, known: Extensions) -> None:
        self._text = text
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
        fields = fields_of(Recipe, found, self._reading, self._unknown)
        if "steps" not in found and not any("'steps'" in hint for hint in self._hints):
            self._problems.add(self._values.place(root), "missing 'steps'", hint=_WANTED)
        if "defaults" in found:
            reading = self._reading._replace(templates=Templates())
            node = found["defaults"][1]
            fields["defaults"], self._defaults = defaults.read(node, reading)
        if "matrix" in found:
            matrix.check(found["matrix"][1], self._reading)
        if "needs" in found:
            fields["needs"] = self._needs(found["needs"][1])
        steps = self._drafts(found, "steps", "step")
        final = self._drafts(found, "finally", "final step")
        inline.check([*steps, *final], fields.get("fixtures", ()), self._values, self._problems)
        steps, final = Order(self._values, self._problems).arranged(steps, final)
        Background(self._problems).check([*steps, *final], fields.get("fixtures", ()))
        if self._problems.found:
            raise Refused
        fields["steps"] = _built(steps, 0)
        fields["final"] = _built(final, len(steps), is_final=True)
        fields["templates"] = tuple(self._reading.templates.found)
        fields["at"] = {name: self._values.place(node) for name, (_, node) in found.items()}
        for key in ("matrix", "vars", "required"):
            fields["at"] |= self._places(key)
        return fields

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

    def _root(self) -> MappingNode:
        root = compose(self._text, self._problems)
        if root is None or root.value == "":
            self._problems.add(Place(1, 1), "the file is empty", hint=_WANTED)
            raise Refused
        if type(root) is MappingNode:
            Check(self._text, self._problems).visit(root)
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
            draft(
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


def _built(drafts: list[Draft], before: int, *, is_final: bool = False) -> tuple[Step, ...]:
    return tuple(
        each.model(**each.fields, index=index, is_final=is_final, at=each.at)
        for index, each in enumerate(drafts, start=before + 1)
    )
