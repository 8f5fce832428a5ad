"""Cross-step checks: services, inline steps, and the names that expressions read.

Each problem is an error with a cure.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from msgspec import Struct

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.questions import SERIAL
from pytest_orchestrator.core.suggestions import nearest, there_is
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.recipe.expressions.expression import Expression, Template
from pytest_orchestrator.recipe.expressions.names import OUTCOMES, TRIED, Chain, dashed, unknown
from pytest_orchestrator.recipe.fields.extensions import CustomStep, can_be_service, own_keys
from pytest_orchestrator.recipe.fields.resolve import vars_unknown_at_collection
from pytest_orchestrator.recipe.fields.values import Templates, Values
from pytest_orchestrator.recipe.loader.environment import has_no_effect
from pytest_orchestrator.recipe.loader.matrix import matrix_names
from pytest_orchestrator.recipe.loader.steps import Draft
from pytest_orchestrator.recipe.model.graph import upstream
from pytest_orchestrator.recipe.model.options import OF_A_PROCESS, OF_SHELL
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import (
    CodeStep,
    PythonStep,
    ShellStep,
    SshStep,
    Step,
)
from pytest_orchestrator.recipe.parsing.nodes import pairs
from pytest_orchestrator.recipe.problems import Problems, quoted, shortened

_NOT_PASSED = lazy_pattern(r"\bnot\b[\s(]*passed\(")
_MOST = 8
_FIELDS = {"run": ("id", "dir", "port"), "recipe": ("name", "path", "dir")}
_OF_A_STEP = (
    *("outcome", "result", "exit_code", "seconds", "kind", "attempts"),
    *("stdout", "stderr", "measurements"),
)
_OF_A_CELL = (*_OF_A_STEP, "matrix", "unit")


class Content(Struct, frozen=True):
    """Content of a recipe file that its checks compare.

    Attributes:
        fields: The fields of the recipe that could be read.
        drafts: All steps, in the order of the file.
        steps: The steps that have a name, in execution order, with their needs.
        final: Those of ``finally``.
        used: For each step with `use`, the used file; None if that has errors.
        templates: The expressions in the values of root keys.
        places: Returns the places of the items below a root key, by names such as ``vars.gain``.
        values: Returns the places of nodes.
        problems: Receives the problems.
    """

    fields: dict[str, Any]
    drafts: Sequence[Draft]
    steps: Sequence[Draft]
    final: Sequence[Draft]
    used: Mapping[str, Recipe | None]
    templates: Templates
    places: Callable[[str], dict[str, Place]]
    values: Values
    problems: Problems

    @property
    def ordered(self) -> list[Draft]:
        """The steps that have a name, with those of ``finally``, in execution order."""
        return [*self.steps, *self.final]

    @property
    def fixtures(self) -> tuple[str, ...]:
        """The fixtures of the recipe, which all steps request."""
        fixtures: tuple[str, ...] = self.fields.get("fixtures", ())
        return fixtures

    @property
    def variables(self) -> list[str]:
        """The names of the vars that the file declares; a var may read those before it."""
        keys = ("inputs", "vars", "required")
        return [place.partition(".")[2] for key in keys for place in self.places(key)]


def check_names(content: Content) -> None:
    """Check the names that expressions read, as far as they are known before a run."""
    _NameChecks(content).check()


class _NameChecks:
    """Check of the names that the expressions of one file read."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._problems = content.problems
        self._vars = content.variables
        self._matrix = matrix_names(content.fields.get("matrix", {}))
        self._has_units = "units" in content.fields
        self._of_units: set[str] = set()
        self._late = {each.name for each in content.final}
        self._inner = {
            name: {f"{name}.{one.name}": one for one in (*recipe.steps, *recipe.final)}
            for name, recipe in content.used.items()
            if recipe is not None
        }
        # The results of a step with a matrix are a list.
        self._listed = {
            name
            for steps in self._inner.values()
            for name, one in steps.items()
            if one.matrix is not None
        }

    def check(self) -> None:
        """Report names that do not exist, or that have no value where they are read."""
        templates = self._content.templates
        for expression in templates.expressions:
            for chain in _looked_up(expression):
                self._shared(expression, chain, "", self._matrix)
        self._check_order(templates.found)
        for secret, place in self._content.places("secrets").items():
            _, kind, name = secret.split(".", 2) if secret.count(".") > 1 else ("", "", "")
            if kind == "vars" and name not in self._vars:
                self._unknown_var(place, name, " in 'secrets'")
        self._check_matrices(templates.found)
        self._check_steps()

    def _check_matrices(self, templates: Sequence[Template]) -> None:
        """Check that no matrix reads a secret, since the ids of its cells contain its values."""
        hidden = {name: name for name in self._content.fields.get("secrets", ())}
        if not hidden:
            return
        # A var reads only the inputs, and the vars above it.
        for one in sorted(templates, key=lambda each: each.path[0] != "inputs"):
            name = f"vars.{one.path[1]}" if one.path[0] in ("vars", "inputs") else ""
            read = next((hidden[each] for each in _names(one) if each in hidden), "")
            if name and read:
                hidden.setdefault(name, read)
        drafts = self._content.ordered
        of_steps = (one for each in drafts for one in each.fields.get("templates", ()))
        for one in (*templates, *of_steps):
            for name in _names(one) if one.path[0] == "matrix" else ():
                if name in hidden:
                    head = f"a matrix reads {name}, whose value is secret"
                    if hidden[name] != name:
                        head = f"a matrix reads {name}, which reads {hidden[name]}, a secret"
                    tail = ", and the ids of its cells would show it"
                    hint = "list names in the matrix, and read the secret in the steps"
                    self._problems.add(one.place, head, "", tail, hint=hint)

    def _check_order(self, templates: Sequence[Template]) -> None:
        """Check that vars read only earlier ones, and `matrix` only values known at collection."""
        required = self._content.fields.get("required", ())
        late = vars_unknown_at_collection(templates)
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
                    elif one.path[0] not in ("vars", "inputs") or name not in self._vars:
                        continue
                    elif name not in required:
                        self._above(expression, str(one.path[0]), own, str(name))

    def _above(self, expression: Expression, key: str, own: str, name: str) -> None:
        if self._vars.index(name) >= self._vars.index(own):
            what = "itself" if name == own else f"vars.{name}, which stands below it"
            cure = "a var may read those above it"
            if key == "inputs":
                cure = "an input may read those above it"
                what = what.replace("stands below it", "is known after it")
            self._problems.add(expression.place, f"{key}.{own} reads {what}", hint=cure)

    def _check_steps(self) -> None:
        """Check the expressions of steps."""
        steps, final, ordered = self._content.steps, self._content.final, self._content.ordered
        if not any(each.expressions for each in ordered):
            return  # most files
        flat = {each.name: self._inner.get(each.name, {each.name: None}) for each in ordered}
        names = {name: at for at, inner in enumerate(flat.values()) for name in inner}
        own = {name: 1 << at for at, name in enumerate(flat)}
        for each in ordered:
            if "matrix" in each.at:
                self._listed.update(flat[each.name])
            if self._has_units and not self._runs_once(each):
                self._of_units.update(flat[each.name])
        before: dict[str, int] = {}
        for each in steps:  # the steps that a step waits for come before it
            ended_before = 0
            for wait in each.awaited:
                ended_before |= before.get(wait, 0) | own.get(wait, 0)
            before[each.name] = ended_before
            self._step(each, names, ended_before)
        ended = sum(own[name] for name in {each.name for each in steps})
        for each in final:
            self._step(each, names, ended, is_final=True)
            ended |= own[each.name]

    def _step(
        self, each: Draft, names: Mapping[str, int], ended_before: int, *, is_final: bool = False
    ) -> None:
        """Check the expressions of one step.

        Args:
            each: The step.
            names: The names of all steps, each with the number of its step in this file.
            ended_before: The steps that have ended before this step, as a bit mask.
            is_final: True for a step of ``finally``.
        """
        if not is_final:
            self._check_outcomes(each)
        where = f" in {each.title}"
        fixtures = {*self._content.fixtures, *each.fields.get("fixtures", ())}
        matrix = _with_own(self._matrix, each)
        listed = self._listed
        if self._has_units and self._runs_once(each):
            listed = listed | self._of_units
        for expression in each.expressions:
            for chain in _looked_up(expression):
                name = chain.parts[0]
                if chain.root == "steps":
                    base, bracket, _ = str(name).partition("[")
                    base = base if bracket and base in listed else str(name)
                    self._of_step(expression, base, each, names, ended_before)
                    if base in listed:
                        self._field_of_cell(expression, chain, where)
                    else:
                        self._field(expression, chain, chain.parts[1:2], _OF_A_STEP, where)
                elif chain.root == "fixtures" and name not in fixtures:
                    head = f"{each.title} does not name the fixture {quoted(str(name))}"
                    cure = f"fixtures: [{name}]"
                    self._problems.add(expression.place, head, hint=cure)
                else:
                    self._shared(expression, chain, where, matrix)

    def _runs_once(self, each: Draft) -> bool:
        """Return True for a step that runs once for all units."""
        scope = each.fields.get("scope")
        return scope == "once" or (scope is None and each.name in self._late)

    def _field_of_cell(self, expression: Expression, chain: Chain, where: str) -> None:
        """Check the keys of the results of a step with a matrix, which are a list."""
        name, *parts = chain.parts
        if str(name).endswith("]"):  # one cell
            self._field(expression, chain, parts[:1], _OF_A_CELL, where)
        elif parts and isinstance(parts[0], str):
            head = f"steps.{name} is a list"
            why = "has a matrix" if name in self._listed else "runs for each unit"
            tail = f", because step '{name}' {why}"
            cure = f"steps.{name} | map(attribute='{parts[0]}') | list"
            self._problems.add(expression.place, head, where, tail, hint=cure)
        else:
            self._field(expression, chain, parts[1:2], _OF_A_CELL, where)

    def _check_outcomes(self, each: Draft) -> None:
        """Check where an ordinary step reads what became of the recipe, such as `failed()`."""
        where = f" in {each.title}"
        for expression in each.expressions:
            for chain in expression.reads:
                if chain.root == "recipe" and chain.parts[:1] == ("outcome",):
                    cure = "write steps.x.outcome"
                    head = "recipe.outcome is known only in 'finally'"
                    self._problems.add(expression.place, head, where, hint=cure)
                elif chain.root not in OUTCOMES:
                    continue
                elif expression is not each.fields.get("if_"):
                    head = f"{chain.root}() is known only in 'if' and in 'finally'"
                    self._problems.add(expression.place, head, where)
                elif chain.root != "passed" or _NOT_PASSED.search(expression.text):
                    self._check_awaited(each, expression, chain.root)

    def _check_awaited(self, each: Draft, expression: Expression, function: str) -> None:
        """Report a condition that never holds, because no step that may fail runs before it."""
        needs = each.fields.get("needs", ())
        if each.fields.get("after") or (needs and "needs" in each.at):
            return
        head = f"{each.title} reads {function}(), and waits for no step"
        if needs:
            head = f"{each.title} reads {function}(), and runs only if '{needs[0]}' has passed"
        cure = f"after: [{needs[0] if needs else 'x'}]"
        self._problems.add(expression.place, head, hint=cure)

    def _of_step(
        self,
        expression: Expression,
        name: str,
        each: Draft,
        names: Mapping[str, int],
        ended_before: int,
    ) -> None:
        if name in names and ended_before >> names[name] & 1:
            return
        if name in names:
            head = f"{each.title} reads steps.{name}, and does not wait for it"
            cure = f"needs: [{name}] or after: [{name}]"
            self._problems.add(expression.place, head, hint=cure)
            return
        hint = dashed(expression.text, name)
        known = self._problems.variables
        if hint and unknown(expression.reads, expression.text, TRIED, known):
            return  # already reported
        hint = hint or self._problems.suggest(name, names)
        inside = [one for one in names if one.startswith(f"{name}.")]
        if inside:
            hint = f"it stands for {', '.join(inside[:_MOST])}: steps['{inside[0]}']"
        self._problems.add(expression.place, f"no step {quoted(name)} of this recipe", hint=hint)

    def _shared(
        self,
        expression: Expression,
        chain: Chain,
        where: str,
        matrix: Collection[str] | None,
    ) -> None:
        """Check a lookup of a var, a matrix value, or a key of `run` and `recipe`."""
        name = str(chain.parts[0])
        if chain.root == "vars" and name not in self._vars:
            self._unknown_var(expression.place, name, where)
        elif chain.root == "matrix" and matrix is not None and name not in matrix:
            head = f"no name {quoted(name)} of the matrix"
            self._unknown(expression.place, head, name, list(matrix), where)
        if where and chain.root == "recipe" and name == "outcome":
            return  # see `_check_outcomes`
        self._field(expression, chain, chain.parts[:1], _FIELDS.get(chain.root, ()), where)

    def _field(
        self,
        expression: Expression,
        chain: Chain,
        parts: Sequence[str | int | None],
        known: Sequence[str],
        where: str,
    ) -> None:
        """Check keys of an object that has a fixed set of keys, such as `run`."""
        for name in parts:
            if known and isinstance(name, str) and name not in known:
                head = f"no {quoted(name)} in '{chain.root}'"
                self._unknown(expression.place, head, name, known, where)

    def _unknown_var(self, place: Place, name: str, where: str) -> None:
        head = f"no var {quoted(name)}"
        if self._vars:
            self._unknown(place, head, name, self._vars, where)
        else:
            hint = f"the file declares no vars; write vars: {{{shortened(name)}: VALUE}}"
            self._problems.add(place, head, where, hint=hint)

    def _unknown(
        self, place: Place, head: str, name: str, known: Sequence[str], where: str
    ) -> None:
        hint = nearest(name, known) or there_is([*map(shortened, known[:_MOST])])
        self._problems.add(place, head, where, hint)


def _with_own(shared: Collection[str] | None, each: Draft) -> Collection[str] | None:
    """Return the names of the matrix values that a step may read; None if they are not known."""
    own = matrix_names(each.fields.get("matrix") or {})
    return None if shared is None or own is None else (*shared, *own)


def _looked_up(expression: Expression) -> list[Chain]:
    """Return the lookups whose first key is literal text and must exist."""
    return [
        chain
        for chain in expression.reads
        if chain.parts and isinstance(chain.parts[0], str) and not chain.is_optional
    ]


AT_THE_END = frozenset(
    {
        "exit_code",
        "result_schema",
        "max_cpu_seconds",
        "max_rss_mb",
        "leftover_processes",
    }
)
"""Criteria that are known only at the end of a step, so a service cannot have them."""
_LEAVE = "leave it out"
_OWN = "and a service has a process of its own"
_KEEPS_RUNNING = "and a service keeps running"


def check_services(content: Content) -> None:
    """Check all services, and set the default of `parse` in shell services to `text`."""
    drafts = content.ordered
    needs = {each.name: tuple(each.fields.get("needs", ())) for each in drafts}
    for each in drafts:
        note = partial(_note_service, content.problems, each)
        if each.fields.get("background"):
            _check_service(each, content.fixtures, note)
            _check_locks(each, drafts, upstream(each.name, needs), content.problems)
            if issubclass(each.model, ShellStep):
                each.fields.setdefault("parse", "text")
            continue
        for key in ("ready", "stop_signal"):
            if key in each.at:
                note(key, " belongs to services", "say background: true, or leave it out")


def _check_service(each: Draft, fixtures: Sequence[str], note: Callable[..., None]) -> None:
    fields = each.fields
    if not can_be_service(each.model):
        tail = " is for services, which run until they are ended; this type ends by itself"
        note("background", tail)
        return
    if "matrix" in each.at:
        tail = " runs the step once for each cell, and a service runs once"
        note("matrix", tail, "write a service for each value")
    if fields.get("isolation") == "inline":
        note("isolation", f" is 'inline', {_OWN}")
    if issubclass(each.model, CodeStep) and (names := [*fields.get("fixtures", ()), *fixtures]):
        tail = f" has '{names[0]}', so the step would run inside pytest, {_OWN}"
        note("fixtures", tail, "hand over by the Context what it needs")
    if fields.get("heap"):
        note("heap", " is measured when a step returns, and a service is ended")
    if fields.get("parse", "text") != "text":
        tail = f" reads what was printed to the end, {_KEEPS_RUNNING}"
        note("parse", tail, f"{_LEAVE}; 'ready' has 'stdout_matches'")
    for criterion in fields.get("success", ()):
        if criterion.name in AT_THE_END:
            tail = f" is known at the end of a step, {_KEEPS_RUNNING}"
            note(criterion.name, tail, place=criterion.place)
    if fields.get("ready") is not None and pairs(each.node_of("ready")).keys() <= {"timeout"}:
        cure = "give 'file', 'port', 'http' or 'stdout_matches'"
        note("ready", " names nothing to wait for", cure)


def _check_locks(
    each: Draft, drafts: Iterable[Draft], before: set[str], problems: Problems
) -> None:
    """Report steps that would wait forever for a lock that a service holds to the end."""
    held = set(each.fields.get("locks", ()))
    for other in drafts:
        shared = [name for name in other.fields.get("locks", ()) if name in held]
        if shared and other is not each and other.name not in before:
            tail = f" has '{shared[0]}', which service '{each.name}' holds to the end"
            _note_service(problems, other, "locks", tail, "leave it to the service")


def _note_service(
    problems: Problems,
    each: Draft,
    key: str,
    tail: str,
    cure: str = _LEAVE,
    place: Place | None = None,
) -> None:
    place = place or each.at.get(key, each.at[""])
    problems.add(place, f"'{key}'", f" in {each.model.type} {each.title}", tail, hint=cure)


OF_AN_OWN_PROCESS = OF_A_PROCESS - OF_SHELL
"""Criteria that a Python step inside pytest cannot have."""
OF_THE_TREE = frozenset({"max_cpu_seconds", "max_rss_mb", "leftover_processes"})
"""Criteria on the process tree, which a step on another machine cannot have."""


def check_inline(content: Content) -> None:
    """Report each criterion that needs a separate local process if the step runs without one."""
    for step in content.drafts:
        cause = _cause(step, content.fixtures)
        far = issubclass(step.model, SshStep)
        names = {one.name for one in step.fields.get("success", ())}
        names &= OF_THE_TREE if far else OF_AN_OWN_PROCESS
        if not cause or not names:
            continue
        for name, (key, _) in pairs(step.node_of("success")).items():
            if name in names:
                content.problems.add(
                    content.values.place(key),
                    f"'{name}' needs a process {'on this machine' if far else 'of its own'}",
                    f", and {step.title} runs {'on another' if far else 'inside pytest'}",
                    hint=cause,
                )


def check_environment(content: Content) -> None:
    """Report environments and working directories that a Python step cannot have."""
    problems = content.problems
    for step in content.drafts:
        if step.at.keys().isdisjoint(("env", "cwd")) or not issubclass(step.model, CodeStep):
            continue
        cause = _cause(step, content.fixtures)
        for key in ("env", "cwd") if cause else ():
            if key in step.at and step.fields.get(key) != {}:
                head = f"'{key}' needs a process of its own"
                tail = f", and {step.title} runs inside pytest"
                problems.add(step.at[key], head, tail, hint=cause)
        for name in step.fields.get("env") or () if not cause else ():
            if has_no_effect(name):
                head = f"'env.{name}' has no effect in a Python step, whose interpreter has started"
                hint = "set it where pytest is started, or in the env of shell steps"
                problems.add(step.at[f"env.{name}"], head, hint=hint)


def check_units_identified(content: Content) -> None:
    """Report fields of prompts that cannot name the unit under test with `dut`."""
    seen: dict[str, str] = {}
    for step in content.ordered:
        own = own_keys(step.model) if issubclass(step.model, CustomStep) else {}
        named = step.fields.get(own.get("fields", ""))
        for name, field in named.items() if isinstance(named, Mapping) else ():
            key = field.get("dut") if isinstance(field, Mapping) else None
            if not isinstance(key, str):
                continue
            text = f"'fields.{name}.dut' in {step.title}"
            node = pairs(pairs(step.node_of("fields"))[name][1])["dut"][1]
            wrong = "is asked for each element of 'foreach'" if "foreach" in step.fields else ""
            if step in content.final:
                wrong = "stands in 'finally', after the unit was tested"
            elif key in seen:
                wrong = f"gives {quoted(key)}, as {seen[key]} does"
            hint = "name the unit in one step before it is tested"
            if "units" in content.fields and not wrong:
                if key not in SERIAL:
                    wrong = f"is {quoted(key)}, and the units of a panel differ by serial number"
                    hint = f"write dut: {SERIAL[0]}"
                elif step.fields.get("scope") == "once":
                    wrong = "is asked once for all units"
                    hint = "write scope: each, which asks for each unit"
            if wrong:
                content.problems.add(content.values.place(node), f"{text} {wrong}", hint=hint)
            seen |= dict.fromkeys(SERIAL if "units" in content.fields else (key,), step.title)


def _cause(step: Draft, shared: Collection[str]) -> str:
    if issubclass(step.model, SshStep):
        return "measure it on that machine, and print it"
    if not issubclass(step.model, CodeStep):
        return ""
    if step.fields.get("isolation") == "inline":
        return "it says 'isolation: inline'"
    if step.fields.get("fixtures"):
        return "it has 'fixtures'"
    return "the recipe has 'fixtures'" if shared else ""


def _names(template: Template) -> Iterator[str]:
    """Yield the vars and environment variables that a template reads, such as ``vars.pin``."""
    for expression in template.expressions:
        for chain in expression.reads:
            if chain.root in ("vars", "env") and chain.parts:
                yield f"{chain.root}.{chain.parts[0]}"


CHECKS: Final[Sequence[Callable[[Content], None]]] = (
    check_inline,
    check_environment,
    check_services,
    check_names,
    check_units_identified,
)
"""The checks that compare the parts of a file; each reports all problems that it finds."""


def check_fixtures(steps: Iterable[Step], shared: Collection[str], problems: Problems) -> None:
    """Report keys of ``params`` that are also fixtures: one parameter would receive two values.

    Args:
        steps: The steps of a file and of the files that it uses.
        shared: Fixtures of the file, which all steps receive.
        problems: Receives the problems.
    """
    for step in steps:
        fixtures = {*shared, *step.fixtures}
        if not fixtures or not isinstance(step, PythonStep):
            continue
        for name in fixtures & step.params.keys():
            head, where = f"'{name}' is a fixture and a key of params", f" in step '{step.name}'"
            place = step.at[f"params.{name}"] if step.file_use is None else step.uses[-1].place
            problems.add(place, head, where, hint="call one of them by another name")
