"""What expressions read of vars, steps, the matrix and fixtures: whether there is such a thing."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.recipe.expressions import Expression, Template
from pytest_orchestrator.recipe.names import TRIED, dashed, unknown
from pytest_orchestrator.recipe.order import awaited
from pytest_orchestrator.recipe.problems import Problems
from pytest_orchestrator.recipe.resolve import later
from pytest_orchestrator.recipe.steps import Draft
from pytest_orchestrator.recipe.words import quoted, shortened

if TYPE_CHECKING:
    from pytest_orchestrator.recipe.chains import Chain

_MOST = 8
_FIELDS = {"run": ("id", "dir", "port"), "recipe": ("name", "path", "dir")}
_OF_A_STEP = ("outcome", "result", "exit_code", "seconds")


class Reads:
    """Checks the expressions of one file.

    Args:
        problems: Takes what is wrong.
        variables: Names of the vars that the file declares.
        matrix: Names of its matrix; None where they are not known yet.
        fixtures: Fixtures that the file names for all steps.
    """

    def __init__(
        self,
        problems: Problems,
        variables: Sequence[str],
        matrix: Collection[str] | None,
        fixtures: Collection[str],
    ) -> None:
        self._problems = problems
        self._vars = variables
        self._matrix = matrix
        self._fixtures = fixtures

    def check_root(self, expressions: Iterable[Expression]) -> None:
        """Check the expressions in the values of the root."""
        for expression in expressions:
            for chain in _looked_up(expression):
                self._shared(expression, chain, "")

    def check_secrets(self, secrets: Mapping[str, Place]) -> None:
        """Check that the vars are there that are to be masked.

        Args:
            secrets: The places of such as ``secrets.vars.pin``.
        """
        for secret, place in secrets.items():
            _, kind, name = secret.split(".", 2) if secret.count(".") > 1 else ("", "", "")
            if kind == "vars" and name not in self._vars:
                self._unknown(place, f"no var {quoted(name)}", name, self._vars, " in 'secrets'")

    def check_order(self, templates: Sequence[Template], required: Collection[str]) -> None:
        """Check that vars read those above them, and a matrix what there is at collection.

        Args:
            templates: The expressions in the values of the root.
            required: The vars that are given from outside.
        """
        late = later(templates)
        for one in templates:
            for expression in one.expressions:
                names = [
                    chain.parts[0]
                    for chain in expression.reads
                    if chain.root == "vars" and chain.parts
                ]
                own = str(one.path[1]) if len(one.path) > 1 else ""
                for name in names:
                    if one.path[0] == "matrix" and name in late:
                        head = f"matrix.{own} reads vars.{name}, which reads {late[str(name)]}"
                        cure = "cells exist at collection, before there is that"
                        self._problems.add(expression.place, head, hint=cure)
                    elif one.path[0] == "vars" and name in self._vars and name not in required:
                        self._above(expression, own, str(name))

    def _above(self, expression: Expression, own: str, name: str) -> None:
        if self._vars.index(name) >= self._vars.index(own):
            what = "itself" if name == own else f"vars.{name}, which stands below it"
            cure = "a var may read those above it"
            self._problems.add(expression.place, f"vars.{own} reads {what}", hint=cure)

    def check_steps(
        self, steps: Sequence[Draft], final: Sequence[Draft], inner: Mapping[str, Sequence[str]]
    ) -> None:
        """Check the expressions of steps.

        Args:
            steps: The steps in the order they run.
            final: Those of ``finally``.
            inner: For each step that uses a file the names of what it stands for.
        """
        if not any(each.expressions for each in (*steps, *final)):
            return  # as in most files
        flat = {each.name: inner.get(each.name, [each.name]) for each in (*steps, *final)}
        names = {name: at for at, found in enumerate(flat.values()) for name in found}
        own = {name: 1 << at for at, name in enumerate(flat)}
        before: dict[str, int] = {}
        for each in steps:  # what a step waits for stands before it
            known = 0
            for wait in awaited(each):
                known |= before.get(wait, 0) | own.get(wait, 0)
            before[each.name] = known
            self._step(each, names, known)
        ended = sum(own[name] for name in {each.name for each in steps})
        for each in final:
            self._step(each, names, ended)
            ended |= own[each.name]

    def _step(self, each: Draft, names: Mapping[str, int], known: int) -> None:
        """Check one step.

        Args:
            each: The step.
            names: All that can be read of, each with the number of its step.
            known: The steps that have ended by then: a bit for each.
        """
        where = f" in {each.title}"
        fixtures = {*self._fixtures, *each.fields.get("fixtures", ())}
        for expression in each.expressions:
            for chain in _looked_up(expression):
                name = chain.parts[0]
                if chain.root == "steps":
                    self._of_step(expression, str(name), each, names, known)
                    self._field(expression, chain, chain.parts[1:2], _OF_A_STEP, where)
                elif chain.root == "fixtures" and name not in fixtures:
                    head = f"{each.title} does not name the fixture {quoted(str(name))}"
                    cure = f"fixtures: [{name}]"
                    self._problems.add(expression.place, head, hint=cure)
                else:
                    self._shared(expression, chain, where)

    def _of_step(
        self,
        expression: Expression,
        name: str,
        each: Draft,
        names: Mapping[str, int],
        known: int,
    ) -> None:
        if name in names and known >> names[name] & 1:
            return
        if name in names:
            head = f"{each.title} reads steps.{name}, and does not wait for it"
            cure = f"needs: [{name}] or after: [{name}]"
            self._problems.add(expression.place, head, hint=cure)
            return
        hint = dashed(expression.text, name)
        if hint and unknown(expression, TRIED):
            return  # which is told already
        hint = hint or self._problems.meant(name, names)
        inside = [one for one in names if one.startswith(f"{name}.")]
        if inside:
            hint = f"it stands for {', '.join(inside[:_MOST])}: steps['{inside[0]}']"
        self._problems.add(expression.place, f"no step {quoted(name)} of this recipe", hint=hint)

    def _shared(self, expression: Expression, chain: "Chain", where: str) -> None:
        """Check what all steps may read."""
        name = str(chain.parts[0])
        if chain.root == "vars" and name not in self._vars:
            self._unknown(expression.place, f"no var {quoted(name)}", name, self._vars, where)
        elif chain.root == "matrix" and self._matrix is not None and name not in self._matrix:
            head = f"no name {quoted(name)} of the matrix"
            self._unknown(expression.place, head, name, list(self._matrix), where)
        self._field(expression, chain, chain.parts[:1], _FIELDS.get(chain.root, ()), where)

    def _field(
        self,
        expression: Expression,
        chain: "Chain",
        parts: Sequence[str | int | None],
        known: Sequence[str],
        where: str,
    ) -> None:
        """Check a name that is looked up in what has some names and no others."""
        for name in parts:
            if known and isinstance(name, str) and name not in known:
                head = f"no {quoted(name)} in '{chain.root}'"
                self._unknown(expression.place, head, name, known, where)

    def _unknown(
        self, place: Place, head: str, name: str, known: Sequence[str], where: str
    ) -> None:
        near = nearest(name, known)
        listed = ", ".join(map(shortened, known[:_MOST]))
        there = f"; there is {listed}" if listed else "; there is none"
        self._problems.add(place, head, where, near or there)


def _looked_up(expression: Expression) -> "list[Chain]":
    """Return what an expression looks up by a name that is written down and must be there."""
    return [
        chain
        for chain in expression.reads
        if chain.parts and isinstance(chain.parts[0], str) and not chain.asked
    ]
