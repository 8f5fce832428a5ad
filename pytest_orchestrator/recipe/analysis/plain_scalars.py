"""Check for plain scalars whose text YAML changes before a program gets it.

YAML reads ``1.10`` as the number 1.1 and ``012`` as the number 12, so a script gets ``1.1`` and
``12``. Such a scalar is reported where a program certainly gets it as text: in `env`, `args` and
`stdin`, and in vars and matrix values that these or `cmd` read. Python code gets the same number
for ``1.10`` and ``1.1``. So in all other places only numbers that begin with a 0 are reported,
because these are probably meant as text.
"""

from collections.abc import Iterable, Iterator

from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.recipe.expressions.expression import Expression, as_text
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import FileUse, ShellStep, Source, SshStep
from pytest_orchestrator.recipe.parsing.nodes import (
    NotJsonScalar,
    pairs,
    place_of,
    plain,
    root_mapping,
)
from pytest_orchestrator.recipe.parsing.pyyaml import MappingNode, Node, ScalarNode, SequenceNode
from pytest_orchestrator.recipe.parsing.source import MAX_BYTES, PLAIN
from pytest_orchestrator.recipe.problems import Problem, Problems, shortened

_AS_TEXT = {"args": 2, "env": 2, "stdin": 1, "cmd": 2}
"""Keys of steps whose values a program gets as text, with the length of their longest path.

Values on longer paths are parts of JSON.
"""
_PADDED = lazy_pattern(r"[-+]?0[0-9]+(?:\.[0-9]*)?")
_Variable = tuple[str, str]
"""Id of a file, and the name of a var in it.

For a `with` the name contains the step: ``low.volts``; a matrix value is ``matrix:volts``.
"""


def changed_scalars(recipe: Recipe) -> Iterator[tuple[Source, Problem]]:
    """Yield a problem for each scalar that YAML changes in a recipe and in the files that it uses.

    Args:
        recipe: The recipe.

    Yields:
        The file that contains the scalar, and the problem.
    """
    file_uses = {
        step.file_use.name: step.file_use
        for step in (*recipe.steps, *recipe.final)
        if step.file_use
    }
    left = list(file_uses.values())
    while left:
        outer = left.pop().outer
        if outer is not None and outer.name not in file_uses:
            file_uses[outer.name] = outer
            left.append(outer)
    own = Source(recipe.id, recipe.path, recipe.text)
    texts = _passed_as_text(recipe, own)
    for source in {
        each.id: each for each in (own, *(one.source for one in file_uses.values()))
    }.values():
        root = root_mapping(source.text, Problems(), MAX_BYTES, "")
        for problem in _FileCheck(source, texts).problems(root):
            yield source, problem


def _passed_as_text(recipe: Recipe, own: Source) -> set[_Variable]:
    """Return the vars and matrix values that a program gets as text.

    This includes the entries of `with` that set these vars.
    """
    variables: set[_Variable] = set()
    for step in (*recipe.steps, *recipe.final):
        for one in step.templates:
            if one.path[0] in _AS_TEXT and len(one.path) <= _AS_TEXT[str(one.path[0])]:
                _add_read_variables(one.expressions, step.file_use, recipe, own, variables)
    return variables


def _add_read_variables(
    expressions: Iterable[Expression],
    file_use: FileUse | None,
    recipe: Recipe,
    own: Source,
    variables: set[_Variable],
) -> None:
    """Add to `variables` the vars and matrix values that expressions read, even indirectly."""
    chains = [chain for each in expressions for chain in each.reads]
    in_matrix = (one for one in chains if one.root == "matrix" and len(one.parts) == 1)
    variables |= {(own.id, f"matrix:{one.parts[0]}") for one in in_matrix}
    for name in {str(one.parts[0]) for one in chains if one.root == "vars" and len(one.parts) == 1}:
        if file_use is not None and name in file_use.with_values:
            user, templates, way = file_use.outer, file_use.with_templates, ("with_", name)
            source = user.source if user is not None else own
            variable = (source.id, f"{file_use.name.rpartition('.')[2]}.{name}")
        else:
            user, way = file_use, ("vars", name)
            templates = recipe.templates if file_use is None else file_use.templates
            variable = ((own if file_use is None else file_use.source).id, name)
        if variable not in variables:
            variables.add(variable)
            for one in templates:
                if one.path == way:
                    _add_read_variables(one.expressions, user, recipe, own, variables)


class _FileCheck:
    """Check of the plain scalars of one file.

    Args:
        source: The file.
        texts: The vars and matrix values that a program gets as text.
    """

    def __init__(self, source: Source, texts: set[_Variable]) -> None:
        self._source = source
        self._texts = texts

    def problems(self, root: Node) -> Iterator[Problem]:
        """Yield the problems in the vars, the matrix, the defaults and the steps of the file."""
        keys = pairs(root)
        for name, node in _values(keys.get("vars")):
            is_text = (self._source.id, name) in self._texts
            yield from self._value(f"vars.{name}", node, is_text=is_text)
        yield from self._matrix(keys.get("matrix"))
        for key in ("env", "args"):
            for name, node in _values(_entry(keys.get("defaults"), key)):
                yield from self._value(f"defaults.{key}.{name}", node, is_text=True)
        for name, node in _values(keys.get("env")):
            yield from self._value(f"env.{name}", node, is_text=True)
        for key in ("steps", "finally"):
            steps = keys[key][1] if key in keys else None
            for step in steps.value if type(steps) is SequenceNode else ():
                yield from self._step(step)

    def _matrix(self, pair: tuple[Node, Node] | None) -> Iterator[Problem]:
        """Yield the problems of the values in `matrix`, except those in `exclude`."""
        for axis, values in _values(pair):
            for number, value in enumerate(values.value if type(values) is SequenceNode else ()):
                title = f"matrix.{axis}[{number}]"
                entries = _values((value, value)) if axis == "include" else [(axis, value)]
                for name, node in entries if axis != "exclude" else ():
                    is_text = (self._source.id, f"matrix:{name}") in self._texts
                    key = f"{title}.{name}" if axis == "include" else title
                    yield from self._value(key, node, is_text=is_text)

    def _step(self, step: Node) -> Iterator[Problem]:
        keys = pairs(step)
        used = f"{keys['name'][1].value}." if "name" in keys else ""
        runs = "type" in keys and keys["type"][1].value in (ShellStep.type, SshStep.type)
        for key in ("env", "args") if runs else ("env",):
            for name, node in _values(keys.get(key)):
                yield from self._value(f"{key}.{name}", node, is_text=True)
        for name, node in _values(keys.get("with")):
            is_text = (self._source.id, used + name) in self._texts
            yield from self._value(f"with.{name}", node, is_text=is_text)
        for name, node in _values(keys.get("params")):
            yield from self._value(f"params.{name}", node, is_text=False)
        yield from self._matrix(keys.get("matrix"))
        if runs and "stdin" in keys:
            yield from self._value("stdin", keys["stdin"][1], is_text=True)

    def _value(self, key: str, node: Node, *, is_text: bool) -> Iterator[Problem]:
        if type(node) is MappingNode:
            for name, each in _values((node, node)):
                yield from self._value(f"{key}.{name}", each, is_text=False)
        elif type(node) is SequenceNode:
            for number, each in enumerate(node.value):
                yield from self._value(f"{key}[{number}]", each, is_text=False)
        elif type(node) is ScalarNode and node.tag == PLAIN:
            text = _changed_text(node.value)
            if text is not None and (is_text or _PADDED.fullmatch(node.value)):
                gets = "the program gets" if is_text else "it is the number"
                head = f"'{shortened(key)}' is {shortened(node.value)}, and {gets} {text}"
                hint = f"quote it to have it as it is: '{shortened(node.value)}'"
                yield Problem(place_of(node, self._source.text), head, hint=hint)


def _changed_text(text: str) -> str | None:
    """Return the text that a program gets for a plain scalar; None if YAML keeps the text."""
    try:
        value = plain(text)
    except NotJsonScalar:
        return None
    is_unchanged = value is None or as_text(value) == text
    return None if is_unchanged else as_text(value)


def _entry(pair: tuple[Node, Node] | None, key: str) -> tuple[Node, Node] | None:
    return dict(pairs(pair[1])).get(key) if pair and type(pair[1]) is MappingNode else None


def _values(pair: tuple[Node, Node] | None) -> list[tuple[str, Node]]:
    """Return the names and value nodes of a mapping; an empty list if the value is no mapping."""
    if pair is None or type(pair[1]) is not MappingNode:
        return []
    return [(name, value) for name, (_, value) in pairs(pair[1]).items()]
